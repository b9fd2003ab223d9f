//! The collector in the background.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::service::{Collector, GcFigures, GcStep, Service};

/// How long others have the writer for themselves between two steps.
const PAUSE: Duration = Duration::from_millis(15);

/// A thread that collects garbage until it is stopped.
#[derive(Debug)]
pub(crate) struct Runner {
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Runner {
    /// Begins to collect what the service keeps, and notes it in `figures`. It rests so long before each pass.
    pub(crate) fn start(service: Service, figures: Arc<Mutex<GcFigures>>, between: Duration) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut collector = Collector::new(service, figures);
        let thread = thread::Builder::new().name("hub-gc".to_owned()).spawn(move || {
            let mut rest = between;
            while stopped.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                rest = match collector.step() {
                    Ok(GcStep::More) => PAUSE,
                    Ok(GcStep::Idle) => between,
                    Err(error) => {
                        tracing::warn!(%error, "collecting garbage failed; it is tried again later");
                        between
                    }
                };
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Runner {
    /// Waits for the step that is under way.
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("collecting garbage panicked");
        }
    }
}

/// A collector's figures, shared with those who show them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(pub(crate) Arc<Mutex<GcFigures>>);

impl Figures {
    pub(crate) fn get(&self) -> GcFigures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
