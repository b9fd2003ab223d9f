//! Opening a hub, and listening.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tolstoy_env::Env;

use crate::gc;
use crate::routes::{self, App, Gate, Guard, SMALL_BODY};
use crate::service::{GcFigures, Policy, Service};
use crate::stalled::Stalled;
use crate::storage::{MemoryStorage, OpenError, SqliteOptions, SqliteStorage};

/// How a hub works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Listens beyond loopback too, and answers whoever asks.
    pub open: bool,
    /// Connections at the same time; who comes later waits.
    pub connections: usize,
    /// Bytes of request bodies held in memory at the same time, large bodies left out.
    pub body_memory: usize,
    /// Large request bodies (over 256 KiB) at the same time. Each may hold twice the largest chunk.
    pub large_bodies: usize,
    /// Snapshots that arrive at the same time. Each takes as much of the disk as it is long, until it is kept.
    pub snapshot_uploads: usize,
    /// Long answers at the same time.
    pub streams: usize,
    /// Requests that wait for a log to change, at the same time; more are answered 503.
    pub waits: usize,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// How long a client may take for the next 16 KiB of a body, or its end, and for taking anything of an answer.
    pub stall_timeout: Duration,
    /// How long requests under way may take to end once the hub stops.
    pub drain: Duration,
    /// How long the collector of garbage rests between two passes. A pass over logs without garbage costs little.
    pub gc_rest: Duration,
    /// What the owner decides about logs.
    pub policy: Policy,
    /// The database.
    pub sqlite: SqliteOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            open: false,
            connections: 4096,
            body_memory: 64 << 20,
            large_bodies: 4,
            snapshot_uploads: 2,
            streams: 64,
            waits: 2048,
            header_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            gc_rest: Duration::from_secs(30),
            policy: Policy::default(),
            sqlite: SqliteOptions::default(),
        }
    }
}

/// A hub whose data is open.
#[derive(Debug)]
pub struct Hub {
    app: Arc<App>,
    database: Option<Arc<SqliteStorage>>,
    options: Options,
    gc: gc::Figures,
}

impl Hub {
    /// Opens the data directory, and makes it where there is none.
    ///
    /// # Errors
    /// Where the directory cannot be used, another hub has it open, or what is in it is no hub's or too new.
    pub fn open(directory: &Path, env: Env, options: Options) -> Result<Self, OpenError> {
        let database = Arc::new(SqliteStorage::open(directory, &options.sqlite)?);
        let service = Service::new(database.clone(), env).with_policy(options.policy);
        Ok(Self::new(service, Some(database), Some(directory.to_owned()), options))
    }

    /// A hub that forgets everything when it stops, for tests.
    pub fn in_memory(env: Env, options: Options) -> Self {
        let service = Service::new(Arc::new(MemoryStorage::new()), env).with_policy(options.policy);
        Self::new(service, None, None, options)
    }

    fn new(service: Service, database: Option<Arc<SqliteStorage>>, spool: Option<PathBuf>, options: Options) -> Self {
        let places = |n: usize| Arc::new(Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS)));
        let gate = Gate {
            small: places(options.body_memory / SMALL_BODY),
            large: places(options.large_bodies),
            // Two for each connection, so that one is ready when a connection is.
            reads: places(options.sqlite.readers * 2),
            snapshots: places(options.snapshot_uploads),
            streams: places(options.streams),
            waits: places(options.waits),
        };
        let app = Arc::new(App { service, gate, spool, body_timeout: options.stall_timeout });
        Self { app, database, options, gc: gc::Figures::default() }
    }

    /// The hub's rules, without HTTP.
    pub fn service(&self) -> &Service {
        &self.app.service
    }

    /// What the collector has done since the hub began to serve.
    pub fn gc_figures(&self) -> GcFigures {
        self.gc.get()
    }

    /// Does the writes that wait and closes the database; later requests are refused.
    pub fn close(&self) {
        if let Some(database) = &self.database {
            database.close();
        }
    }
}

/// Why a hub cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can be reached from elsewhere, and nobody said that it may.
    #[error(
        "{0} can be reached from other machines, and anyone there could read and write every log: listen on 127.0.0.1, or say --open if that is what you want"
    )]
    NotOpen(SocketAddr),
    /// The listener failed.
    #[error("cannot listen: {0}")]
    Io(#[from] io::Error),
}

/// Serves until `shutdown` is ready; then takes no more connections, lets the requests under way end, and closes the
/// database. What was acknowledged is on the disk.
///
/// # Errors
/// Where the listener fails, or listens beyond loopback and [`Options::open`] does not say so.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    let guard = match (address.ip().is_loopback(), hub.options.open) {
        (true, _) => Guard::Loopback,
        (false, true) => Guard::Open,
        (false, false) => return Err(ServeError::NotOpen(address)),
    };
    let router = routes::router(hub.app.clone(), guard);
    let connections = u32::try_from(hub.options.connections.max(1)).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(connections as usize));
    let (stop, stopping) = watch::channel(());
    let collector = gc::Runner::start(hub.service().clone(), hub.gc.0.clone(), hub.options.gc_rest)?;
    tracing::info!(%address, "listening");
    tokio::select! {
        () = accept(&listener, &router, &places, &stopping, &hub.options) => {}
        () = shutdown => {}
    }
    drop((listener, stop));
    hub.service().end_watches();
    if tokio::time::timeout(hub.options.drain, places.acquire_many(connections)).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut");
    }
    let close = move || {
        drop(collector);
        hub.close();
    };
    if tokio::task::spawn_blocking(close).await.is_err() {
        tracing::error!("closing the database failed");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Takes connections for ever.
async fn accept(
    listener: &TcpListener,
    router: &Router,
    places: &Arc<Semaphore>,
    stopping: &watch::Receiver<()>,
    options: &Options,
) {
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = converse(stream, router.clone(), place, stopping.clone(), options.clone());
                tokio::spawn(connection);
            }
            Err(error) => {
                // The client has gone, or the process is out of file descriptors: others may end meanwhile.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Answers the requests of one connection.
async fn converse(
    stream: TcpStream,
    router: Router,
    _place: OwnedSemaphorePermit,
    mut stopping: watch::Receiver<()>,
    options: Options,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection keeps its delay");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .serve_connection(TokioIo::new(Stalled::new(stream, options.stall_timeout)), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The sender never sends: it is dropped when the hub stops.
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// A hub that serves in the background.
#[derive(Debug)]
pub struct HubHandle {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl HubHandle {
    /// Serves the hub at this address; port 0 takes a free one.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn start(hub: Hub, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, hub, async {
            // A handle that was dropped stops the hub too.
            let _ = stopped.await;
        }));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it, and waits until its data is closed.
    ///
    /// # Errors
    /// How serving ended.
    pub async fn stop(self) -> Result<(), ServeError> {
        // Where the hub has ended already, its end is told below.
        let _ = self.stop.send(());
        self.task.await.unwrap_or_else(|error| Err(ServeError::Io(io::Error::other(error))))
    }
}
