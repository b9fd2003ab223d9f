//! The collector in the background.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::service::{Collector, GcFigures, GcStep, Service};

/// How long others have the writer for themselves between two steps.
const PAUSE: Duration = Duration::from_millis(15);

/// How long it rests between two passes: deleted logs are swept no later, and a pass over logs without garbage is cheap.
const REST: Duration = Duration::from_secs(30);

/// A thread that collects garbage until it is stopped.
#[derive(Debug)]
pub(crate) struct Runner {
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Runner {
    /// Begins to collect what the service keeps, and notes it in `figures`.
    pub(crate) fn start(service: Service, figures: Arc<Mutex<GcFigures>>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut collector = Collector::new(service, figures);
        let thread = thread::Builder::new().name("hub-gc".to_owned()).spawn(move || {
            let mut rest = PAUSE;
            while stopped.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                rest = match collector.step() {
                    Ok(GcStep::More) => PAUSE,
                    Ok(GcStep::Idle) => REST,
                    Err(error) => {
                        tracing::warn!(%error, "collecting garbage failed; it is tried again later");
                        REST
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
