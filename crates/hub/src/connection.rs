//! One connection: its handshake, its requests over HTTP/1.1 or HTTP/2, and when it is cut.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;

use crate::server::Options;
use crate::stalled::Stalled;
use crate::underway::{UnderWay, Watched, WatchedBody};

/// Bytes of a request's head in HTTP/2.
const HEAD: u32 = 16 << 10;

/// Bytes of a request's head in HTTP/1.1, of what is read at once, and of an answer that waits for what was written before it.
const HTTP1_BUFFER: usize = 64 << 10;

/// Bytes that a client may send ahead of what is read: for each request of a connection, and for all of them. So a
/// connection holds no more than the latter, whatever is sent.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Bytes of an answer that HTTP/2 takes before the client does.
const SEND_BUFFER: usize = 64 << 10;

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

/// Said to those who speak plain HTTP where TLS is spoken.
const SPEAKS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 83\r\n\
    Connection: close\r\n\r\n{\"error\":\"bad-request\",\"message\":\"this hub speaks TLS: ask https://, not http://\"}\n";

/// The other end of the connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What a connection needs of the hub.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) router: Router,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) options: Arc<Options>,
    /// Its sender never sends: it is dropped when the hub stops.
    pub(crate) stopping: watch::Receiver<()>,
}

/// Answers the requests of one connection, and holds `held` so long.
pub(crate) async fn converse(stream: TcpStream, peer: SocketAddr, host: Host, held: impl Send) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection keeps its delay");
    }
    let ended = match &host.tls {
        None => attend(stream, peer, &host).await,
        Some(tls) => match timeout(host.options.handshake_timeout, greet(stream, tls)).await {
            // Elsewhere, so that a connection without TLS does not carry its room along.
            Ok(Ok(Some(stream))) => Box::pin(attend(stream, peer, &host)).await,
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("the TLS handshake took too long".into()),
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended");
    }
    drop(held);
}

/// Shakes hands. None where the client speaks no TLS, and was told.
async fn greet(
    mut stream: TcpStream,
    tls: &TlsAcceptor,
) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE] {
        if first[0].is_ascii_uppercase() {
            stream.write_all(SPEAKS_TLS).await?;
            stream.shutdown().await?;
        }
        return Ok(None);
    }
    tls.accept(stream).await.map(Some)
}

/// Answers requests until the client goes, stalls, or leaves the connection idle.
async fn attend<S>(stream: S, peer: SocketAddr, host: &Host) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Host { router, options, .. } = host;
    let watched = Arc::new(Watched::new());
    let answer = TowerToHyperService::new(router.clone());
    let least_rate = options.least_rate();
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let mut under_way = UnderWay::new(&watched, request.version());
        let answer = answer.call(request);
        async move {
            answer.await.map(|mut response: Response<Body>| {
                under_way.answers(response.extensions_mut().remove(), least_rate);
                response.map(|body| WatchedBody::new(body, under_way))
            })
        }
    });
    let builder = builder(options);
    let stalled = Stalled::new(stream, options.stall_timeout, watched.wire.clone());
    let io = TokioIo::new(stalled.opening_within(options.header_timeout));
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let mut stopping = host.stopping.clone();
    let mut ending = false;
    let shortest = options.stall_timeout.min(options.idle_timeout).min(options.header_timeout);
    let period = (shortest / 4).max(Duration::from_millis(1));
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut idle = Idle { begun: 0, since: Instant::now() };
    loop {
        tokio::select! {
            // The connection last: a busy one would keep the others from their turn.
            biased;
            _ = stopping.changed(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => {
                if watched.wire.head.takes(options.header_timeout) {
                    return Err("the head of a request took too long".into());
                }
                if let Some(why) = watched.lingers(options.stall_timeout) {
                    return Err(why.into());
                }
                if idle.for_so_long(&watched, options.idle_timeout) {
                    // Told to go, and still there after the same time once more: cut.
                    if std::mem::replace(&mut ending, true) {
                        return Err("the other side was told to go, and did not".into());
                    }
                    connection.as_mut().graceful_shutdown();
                }
            }
            ended = connection.as_mut() => return ended,
        }
    }
}

fn builder(options: &Options) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let http1 = &mut builder.http1();
    http1.max_buf_size(HTTP1_BUFFER).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.http2_streams.max(1))
        .max_header_list_size(HEAD)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(options.stall_timeout)
        .keep_alive_timeout(options.stall_timeout);
    builder
}

/// Since when nothing has been asked for.
struct Idle {
    begun: u64,
    since: Instant,
}

impl Idle {
    /// Whether nothing was under way for so long. Where it was, the time begins again.
    fn for_so_long(&mut self, watched: &Watched, patience: Duration) -> bool {
        let begun = watched.begun();
        if watched.is_busy() || begun != self.begun {
            *self = Self { begun, since: Instant::now() };
            return false;
        }
        let is_over = self.since.elapsed() >= patience;
        if is_over {
            self.since = Instant::now();
        }
        is_over
    }
}
