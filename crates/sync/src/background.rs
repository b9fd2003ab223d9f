//! A store that is kept in step by itself: a thread that syncs whenever the store or the log changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tolstoy_store::{Entid, Store};

use crate::carry_out::sync;
use crate::error::{Error, ErrorKind, Result};
use crate::follow::{Synced, log_changes};
use crate::options::Options;
use crate::remote::Remote;
use crate::report::SyncReport;
use crate::transport::{Access, HttpTransport, TransportError};

/// How often the store is looked at for changes. A look reads one number.
const LOOK: Duration = Duration::from_millis(250);
/// The first pause after a failure that may pass by itself; each further one is twice as long, up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(120);
/// The pause after a failure that somebody has to do something about.
const LONG_PAUSE: Duration = Duration::from_secs(600);

/// What is kept in step with what.
#[derive(Clone)]
pub struct Pair {
    /// The store's file. The syncer opens it for itself; others may have it open too.
    pub store: PathBuf,
    /// The log.
    pub remote: Remote,
    /// What the hub asks for.
    pub access: Access,
}

/// What a background sync tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happened {
    /// A sync ended; both are the same.
    Synced(SyncReport),
    /// A sync failed. It is tried again after the pause, or at once where somebody [wakes](Syncer::wake) it.
    Failed {
        /// Why. Its [kind](Error::kind) says whether it may pass by itself.
        error: Error,
        /// The pause.
        again_in: Duration,
    },
    /// The syncer ended. Nothing follows.
    Stopped,
}

/// A background syncer. It stops when it is dropped; what it had under way is left as whole as any crash leaves it.
#[derive(Debug)]
pub struct Syncer {
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Opens the store and begins to keep it in step. `told` is called from the syncer's thread.
    ///
    /// # Errors
    /// Where the store cannot be opened, or syncs with another log; where the TLS settings or the system's network cannot
    /// be used.
    pub fn start(pair: &Pair, options: Options, told: impl FnMut(Happened) + Send + 'static) -> Result<Self> {
        let mut store = Store::open(&pair.store, options.env.clone())?;
        pair.remote.remember(&mut store)?;
        let transport = HttpTransport::with_access(pair.remote.clone(), &pair.access)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_network)?;
        let wake = Arc::new(Notify::new());
        let (stop, mut stopping) = watch::channel(false);
        let mut task = Task { store, transport, options, told, wake: Arc::clone(&wake), failures: 0 };
        let thread = std::thread::Builder::new().name("tolstoy-sync".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => {}
                    () = task.run() => {}
                }
            });
            (task.told)(Happened::Stopped);
        });
        Ok(Self { wake, stop, thread: Some(thread.map_err(no_network)?) })
    }

    /// Syncs now, whatever it is waiting for.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Stops, and returns when the store is closed.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of `told` ended it; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.end();
    }
}

fn no_network(e: std::io::Error) -> Error {
    TransportError::Unreachable(format!("the network cannot be used: {e}")).into()
}

struct Task<F> {
    store: Store,
    transport: HttpTransport,
    options: Options,
    told: F,
    wake: Arc<Notify>,
    /// Failed syncs in a row.
    failures: u32,
}

impl<F: FnMut(Happened)> Task<F> {
    async fn run(&mut self) {
        loop {
            match self.round().await {
                Ok(()) => self.failures = 0,
                Err(error) => self.pause(error).await,
            }
        }
    }

    /// A sync, and waiting for a reason for the next one.
    async fn round(&mut self) -> Result<()> {
        let report = sync(&mut self.store, &mut self.transport, &self.options).await?;
        (self.told)(Happened::Synced(report));
        self.failures = 0;
        let mut watching = self.transport.clone();
        let synced = Synced::of(&self.store)?;
        let wake = Arc::clone(&self.wake);
        tokio::select! {
            () = wake.notified() => Ok(()),
            changed = self.store_changes() => changed,
            changed = log_changes(&mut watching, &synced, || {}) => changed,
        }
    }

    async fn store_changes(&mut self) -> Result<()> {
        loop {
            sleep(LOOK).await;
            self.store.refresh()?;
            if self.store.basis() > self.store.last_positioned()?.unwrap_or(Entid::TX0) {
                return Ok(());
            }
        }
    }

    async fn pause(&mut self, error: Error) {
        self.failures = self.failures.saturating_add(1);
        let again_in = pause_after(error.kind(), self.failures);
        (self.told)(Happened::Failed { error, again_in });
        let wake = Arc::clone(&self.wake);
        tokio::select! {
            () = sleep_until(Instant::now() + again_in) => {}
            () = wake.notified() => {}
        }
    }
}

/// How long to wait after so many failures in a row, of which this is the last.
fn pause_after(kind: ErrorKind, failures: u32) -> Duration {
    match kind {
        ErrorKind::Offline | ErrorKind::Contended | ErrorKind::Store => {
            let doublings = failures.saturating_sub(1).min(16);
            FIRST_PAUSE.saturating_mul(1 << doublings).min(LAST_PAUSE)
        }
        _ => LONG_PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_where_waiting_helps() {
        let pauses: Vec<u64> = (1..10).map(|n| pause_after(ErrorKind::Offline, n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(pause_after(ErrorKind::Offline, u32::MAX), LAST_PAUSE);
        assert_eq!(pause_after(ErrorKind::Generation, 1), LONG_PAUSE);
    }
}
