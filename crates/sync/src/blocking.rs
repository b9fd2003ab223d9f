//! A connection to a hub for callers that wait: drivers for tasks.

use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};
use tolstoy_proto::ErrorKind as Refused;
use tolstoy_tasks::driver::{DriverError, DriverErrorKind};

use crate::error::{Error, ErrorKind, Result};
use crate::remote::Remote;
use crate::transport::{Access, HttpTransport, TransportError};

/// What failed on the way to the tasks of a log on a hub: the source of a [`DriverError`].
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct HubError {
    /// The log.
    pub remote: Remote,
    /// How.
    #[source]
    pub error: Error,
}

/// A connection that is kept between requests, on a thread of its own; who calls is blocked as long as the hub takes.
#[derive(Debug)]
pub(crate) struct Blocking {
    hub: HttpTransport,
    /// Gone only while it is dropped.
    runtime: Option<Runtime>,
}

impl Blocking {
    /// Nothing is sent yet.
    pub(crate) fn new(remote: Remote, access: &Access) -> Result<Self, DriverError> {
        let failed = |error: TransportError| failed(&remote, error.into());
        let hub = HttpTransport::with_access(remote.clone(), access).map_err(failed)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("tolstoy-tasks").enable_all().build();
        let runtime = runtime
            .map_err(|error| failed(TransportError::Unreachable(format!("the network cannot be used: {error}"))))?;
        Ok(Self { hub, runtime: Some(runtime) })
    }

    /// The log it leads to.
    pub(crate) fn remote(&self) -> &Remote {
        self.hub.remote()
    }

    /// The connection, to be taken into [`Blocking::run`].
    pub(crate) fn hub(&self) -> HttpTransport {
        self.hub.clone()
    }

    /// Runs this on the connection's thread, wherever the caller is: a runtime that blocks on itself would panic.
    pub(crate) fn run<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = (HttpTransport, Result<T>)> + Send + 'static,
    ) -> Result<T, DriverError> {
        let remote = self.hub.remote().clone();
        let ended = || failed(&remote, TransportError::Broken("the driver has ended".to_owned()).into());
        let (done, result) = mpsc::sync_channel(1);
        self.runtime.as_ref().ok_or_else(ended)?.spawn(async move {
            // Who waited for it is there until it comes.
            let _ = done.send(work.await);
        });
        let (hub, result) = result.recv().map_err(|_| ended())?;
        self.hub = hub;
        result.map_err(|error| failed(&remote, error))
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // Waits for nothing, so that it may be dropped anywhere.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a caller of a driver can do about it.
pub(crate) fn failed(remote: &Remote, error: Error) -> DriverError {
    let kind = match error.kind() {
        ErrorKind::Offline => DriverErrorKind::Unavailable,
        ErrorKind::Refused | ErrorKind::Untrusted => match &error {
            Error::Refused(body) if matches!(body.error, Refused::Busy | Refused::RateLimited | Refused::Timeout) => {
                DriverErrorKind::Unavailable
            }
            _ => DriverErrorKind::Refused,
        },
        ErrorKind::Damaged => DriverErrorKind::NoPlace,
        _ => DriverErrorKind::Failed,
    };
    DriverError::new(kind, error.to_string()).because(HubError { remote: remote.clone(), error })
}
