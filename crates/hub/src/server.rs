//! Opening a hub, and listening.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tolstoy_env::Env;
use tolstoy_proto::Fingerprint;

use crate::activity::Activities;
use crate::auth::{LiveTokens, TokenError};
use crate::connection::{Host, converse};
use crate::gate::Gate;
use crate::gc;
use crate::metrics::{Metrics, StorageMetrics};
use crate::pace::LeastRate;
use crate::rate::{Connections, Rate};
use crate::ready::Readiness;
use crate::routes::{self, App, Buffers, Door, Gates, RequestIds, SMALL_BODY};
use crate::service::{GcFigures, Policy, Service};
use crate::storage::{MemoryStorage, OpenError, SqliteOptions, SqliteStorage};
use crate::tls::{Certificates, TlsError, TlsOptions};

/// How a hub works. Of what is there for requests (requests under way, bodies, snapshots, answers, waits) one token, or
/// address where there are no tokens, has at most a quarter. That does not hold on loopback where no token is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Answers whoever asks, beyond loopback too, and asks for no token.
    pub open: bool,
    /// Asks for a token on loopback too, even where there is none yet: then nobody is answered until one is made.
    pub require_token: bool,
    /// A proxy stands before the hub. It does TLS, so that the hub may listen beyond loopback without; and the address
    /// that it names in `X-Forwarded-For` or `Forwarded` is the one that limits are about.
    pub behind_proxy: bool,
    /// Where the certificate comes from; none: plain HTTP.
    pub tls: Option<TlsOptions>,
    /// How often the hub looks whether the tokens' file has changed.
    pub token_poll: Duration,
    /// Requests that each token may send.
    pub token_rate: Option<Rate>,
    /// Requests that each address may send, an IPv6 network of 64 bits being one. It does not hold on loopback where no
    /// token is asked for.
    pub address_rate: Option<Rate>,
    /// Connections at the same time; who comes later waits.
    pub connections: usize,
    /// Connections of one address at the same time; further ones are closed. It does not hold on loopback where no token
    /// is asked for, nor behind a proxy.
    pub connections_per_address: usize,
    /// Requests at the same time on one connection over HTTP/2.
    pub http2_streams: u32,
    /// Requests under way at the same time, on all connections; further ones are refused, to be sent again later.
    pub requests: usize,
    /// Bytes of request bodies held in memory at the same time, large bodies left out.
    pub body_memory: usize,
    /// Large request bodies (over 256 KiB) at the same time. Each may hold twice the largest chunk.
    pub large_bodies: usize,
    /// Snapshots that arrive at the same time. Each takes as much of the disk as it is long, until it is kept.
    pub snapshot_uploads: usize,
    /// Bytes of answers held in memory at the same time: what is read and not sent yet. Who finds no room waits.
    pub answer_memory: usize,
    /// Answers of which more is to be read, at the same time. Each holds up to 4 MiB besides its bytes.
    pub streams: usize,
    /// Requests that wait for a log to change, at the same time; more are answered 503.
    pub waits: usize,
    /// Bytes a second that a client must send of a body, or take of an answer, while others wait for what it holds. It is
    /// measured over [`Options::stall_timeout`].
    pub min_rate: u64,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection stays without a request.
    pub idle_timeout: Duration,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// How long a client may take for the next 16 KiB of a body, or its end, and for taking anything of an answer.
    pub stall_timeout: Duration,
    /// How long requests under way may take to end once the hub stops.
    pub drain: Duration,
    /// Where fewer bytes are free on the disk of the data, `/readyz` says so.
    pub min_disk_free: u64,
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
            require_token: false,
            behind_proxy: false,
            tls: None,
            token_poll: Duration::from_secs(1),
            token_rate: Rate::per_second(500),
            address_rate: Rate::per_second(500),
            connections: 4096,
            connections_per_address: 256,
            http2_streams: 32,
            requests: 8192,
            body_memory: 64 << 20,
            large_bodies: 4,
            snapshot_uploads: 2,
            answer_memory: 128 << 20,
            streams: 64,
            waits: 2048,
            min_rate: 32 << 10,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            min_disk_free: 256 << 20,
            gc_rest: Duration::from_secs(30),
            policy: Policy::default(),
            sqlite: SqliteOptions::default(),
        }
    }
}

impl Options {
    pub(crate) fn least_rate(&self) -> LeastRate {
        LeastRate { per_second: self.min_rate, over: self.stall_timeout }
    }
}

/// A hub whose data is open.
#[derive(Debug)]
pub struct Hub {
    app: Arc<App>,
    env: Env,
    tokens: Arc<LiveTokens>,
    certificates: Option<Arc<Certificates>>,
    options: Options,
}

impl Hub {
    /// Opens the data directory, and makes it where there is none. Reads the tokens and the certificate.
    ///
    /// # Errors
    /// Where the directory cannot be used, another hub has it open, or what is in it is no hub's, damaged or too new.
    pub fn open(directory: &Path, env: Env, options: Options) -> Result<Self, OpenError> {
        let database = Arc::new(SqliteStorage::open(directory, &options.sqlite)?);
        let service = Service::new(database.clone(), env.clone()).with_policy(options.policy);
        let tokens = LiveTokens::load(directory, options.require_token)?;
        let certificates = options.tls.as_ref().map(|tls| Certificates::load(tls, directory)).transpose()?;
        let hub = Self::new(service, env, tokens, Some((directory.to_owned(), database)), options);
        Ok(Self { certificates, ..hub })
    }

    /// A hub that forgets everything when it stops, for tests. It has no tokens, and does no TLS.
    pub fn in_memory(env: Env, options: Options) -> Self {
        let service = Service::new(Arc::new(MemoryStorage::new()), env.clone()).with_policy(options.policy);
        let tokens = LiveTokens::none(options.require_token);
        Self::new(service, env, tokens, None, Options { tls: None, ..options })
    }

    fn new(
        service: Service,
        env: Env,
        tokens: LiveTokens,
        data: Option<(PathBuf, Arc<SqliteStorage>)>,
        options: Options,
    ) -> Self {
        let gates = Gates {
            small: Gate::new(options.body_memory / SMALL_BODY),
            large: Gate::new(options.large_bodies),
            snapshots: Gate::new(options.snapshot_uploads),
            answers: Gate::new(options.answer_memory >> 10),
            streams: Gate::new(options.streams),
            waits: Gate::new(options.waits),
            requests: Gate::new(options.requests),
            // Two for each connection, so that one is ready when a connection is.
            reads: Arc::new(Semaphore::new((options.sqlite.readers * 2).clamp(1, Semaphore::MAX_PERMITS))),
        };
        let (spool, database) = data.unzip();
        let counted = database.as_ref().map_or_else(StorageMetrics::default, |database| database.metrics().clone());
        let now = env.now();
        let app = Arc::new(App {
            metrics: Metrics::new(now, counted),
            readiness: Readiness::new(options.min_disk_free),
            gc: gc::Figures::default(),
            activity: Activities::default(),
            request_ids: RequestIds::new(now.as_micros().unsigned_abs()),
            openapi: OnceLock::new(),
            service,
            database,
            gates,
            buffers: Buffers::default(),
            spool: spool.map(Arc::from),
            body_timeout: options.stall_timeout,
            least_rate: options.least_rate(),
        });
        Self { app, env, tokens: Arc::new(tokens), certificates: None, options }
    }

    /// What reads the tokens and the certificate again while the hub serves.
    pub fn reloader(&self) -> Reloader {
        Reloader { tokens: self.tokens.clone(), certificates: self.certificates.clone() }
    }

    /// The fingerprint of the certificate, where the hub does TLS.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.certificates.as_ref().map(|certificates| certificates.fingerprint())
    }

    /// What answers requests, as [`serve`] would, without listening: for tests, and for servers of one's own.
    pub fn router(&self) -> axum::Router {
        let door = Door::new(self.tokens.clone(), self.env.clone(), &self.options, &self.app.gates);
        routes::router(self.app.clone(), Arc::new(door))
    }

    #[cfg(test)]
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The hub's rules, without HTTP.
    pub fn service(&self) -> &Service {
        &self.app.service
    }

    /// What the collector has done since the hub began to serve.
    pub fn gc_figures(&self) -> GcFigures {
        self.app.gc.get()
    }

    /// Does the writes that wait and closes the database; later requests are refused.
    pub fn close(&self) {
        if let Some(database) = &self.app.database {
            database.close();
        }
    }
}

/// Reads the tokens and the certificate again while their hub serves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reloader {
    tokens: Arc<LiveTokens>,
    certificates: Option<Arc<Certificates>>,
}

/// What could not be read again. It stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The tokens. Those that were revoked since the file was last good are still valid.
    #[error("the tokens stay as they were: {0}")]
    Tokens(#[from] TokenError),
    /// The certificate.
    #[error("the certificate stays as it was: {0}")]
    Tls(#[from] TlsError),
}

impl Reloader {
    /// Reads both, one even where the other fails. Blocks for as long as the files take.
    ///
    /// # Errors
    /// What could not be read, all of it.
    pub fn reload(&self) -> Result<(), Vec<ReloadError>> {
        let tokens = self.tokens.reload().map_err(ReloadError::from);
        let certificate = self.certificates.as_ref().map_or(Ok(()), |all| all.reload()).map_err(ReloadError::from);
        let failed: Vec<ReloadError> = [tokens, certificate].into_iter().filter_map(Result::err).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }
}

/// Why a hub would be more open than somebody said that it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exposed {
    /// The address can be reached from elsewhere, and nothing keeps anybody out.
    #[error(
        "{0} can be reached from other machines, and whoever is there could read and write every log: there are no tokens, and no TLS"
    )]
    NoTokensNoTls(SocketAddr),
    /// The address can be reached from elsewhere, and there are no tokens.
    #[error(
        "{0} can be reached from other machines, and whoever is there could read and write every log: there are no tokens"
    )]
    NoTokens(SocketAddr),
    /// The address can be reached from elsewhere, and tokens would be sent there for anybody to see.
    #[error("{0} can be reached from other machines, and without TLS tokens and facts would pass in the clear")]
    NoTls(SocketAddr),
    /// What a proxy passes on comes from anywhere.
    #[error("what a proxy passes on may come from anywhere, and there are no tokens")]
    ProxyNoTokens,
    /// Two contrary wishes.
    #[error("an open hub answers everybody, and this one has tokens, which would mean nothing")]
    OpenWithTokens,
}

/// Whether a hub with these options may listen at the address, having tokens or not.
///
/// > **Closed.** A hub answers strangers only on loopback, or where its owner said so in as many words.
///
/// # Errors
/// Where it may not, why.
pub fn may_listen(address: SocketAddr, options: &Options, has_tokens: bool) -> Result<(), Exposed> {
    let asks = has_tokens || options.require_token;
    if options.open {
        return if asks { Err(Exposed::OpenWithTokens) } else { Ok(()) };
    }
    if address.ip().is_loopback() {
        return if options.behind_proxy && !asks { Err(Exposed::ProxyNoTokens) } else { Ok(()) };
    }
    match (asks, options.tls.is_some() || options.behind_proxy) {
        (true, true) => Ok(()),
        (true, false) => Err(Exposed::NoTls(address)),
        (false, true) => Err(Exposed::NoTokens(address)),
        (false, false) => Err(Exposed::NoTokensNoTls(address)),
    }
}

/// Why a hub cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It would be more open than somebody said that it may be.
    #[error("{0}")]
    Exposed(#[from] Exposed),
    /// The certificate cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The listener failed.
    #[error("cannot listen: {0}")]
    Io(#[from] io::Error),
}

/// Serves until `shutdown` is ready; then takes no more connections, lets the requests under way end, and closes the
/// database. What was acknowledged is on the disk.
///
/// # Errors
/// Where the listener fails, or the hub [may not listen](may_listen) there.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    may_listen(address, &hub.options, hub.tokens.required())?;
    let tls = match &hub.certificates {
        Some(certificates) => Some(TlsAcceptor::from(Arc::new(certificates.server()?))),
        None => None,
    };
    let router = hub.router();
    let connections = u32::try_from(hub.options.connections.max(1)).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(connections as usize));
    let (stop, stopping) = watch::channel(());
    let collector = gc::Runner::start(hub.service().clone(), hub.app.gc.0.clone(), hub.options.gc_rest)?;
    let host = Host { router, tls, options: Arc::new(hub.options.clone()), stopping };
    tracing::info!(%address, tls = host.tls.is_some(), tokens = hub.tokens.count(), "listening");
    tokio::select! {
        () = accept(&listener, &host, &hub, &places) => {}
        () = follow(&hub.tokens, &hub.options) => {}
        () = shutdown => {}
    }
    hub.app.readiness.drain();
    drop((listener, host, stop));
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
async fn accept(listener: &TcpListener, host: &Host, hub: &Hub, places: &Arc<Semaphore>) {
    let by_address = Connections::new(host.options.connections_per_address);
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let is_trusted = peer.ip().is_loopback() && !hub.tokens.required() || host.options.behind_proxy;
                let counted = (!is_trusted).then(|| by_address.admit(peer.ip().into()));
                if let Some(None) = counted {
                    tracing::debug!(%peer, "a connection too many from its address is closed");
                    continue;
                }
                let open = hub.app.metrics.door.connected();
                tokio::spawn(converse(stream, peer, host.clone(), (place, counted, open)));
            }
            Err(error) => {
                // The client has gone, or the process is out of file descriptors: others may end meanwhile.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Takes in what others do to the tokens' file, for ever.
async fn follow(tokens: &Arc<LiveTokens>, options: &Options) {
    if options.open {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(options.token_poll.max(Duration::from_millis(1))).await;
        let looked = tokens.clone();
        match tokio::task::spawn_blocking(move || looked.refresh()).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!(tokens = tokens.count(), "the tokens were read again"),
            Ok(Err(error)) => tracing::error!(%error, "the tokens stay as they were"),
            // The runtime is going down, and the hub with it.
            Err(_) => return std::future::pending().await,
        }
    }
}

/// A hub that serves in the background.
#[derive(Debug)]
pub struct HubHandle {
    address: SocketAddr,
    scheme: &'static str,
    reloader: Reloader,
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
        let scheme = if hub.certificates.is_some() { "https" } else { "http" };
        let reloader = hub.reloader();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, hub, async {
            // A handle that was dropped stops the hub too.
            let _ = stopped.await;
        }));
        Ok(Self { address, scheme, reloader, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What reads the tokens and the certificate again.
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
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
