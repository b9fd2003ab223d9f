//! One connection: its handshake, its requests over HTTP/1.1 or HTTP/2, and when it is cut.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, Version};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
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

use crate::pace::{Holds, LeastRate, Pace};
use crate::server::Options;
use crate::stalled::{Head, Stalled};

/// Bytes of an answer that HTTP/2 takes at once. A client must take so many within the patience, again and again.
const PIECE: usize = 16 << 10;

/// The same over HTTP/1.1, where so much is written at once: the more, the less a client has to wake for it. One that does
/// not take as much [in a moment](SWIFT) gets less, so that how fast it is can be told.
const HTTP1_PIECE: usize = 384 << 10;
const HTTP1_SMALL_PIECE: usize = HTTP1_BUFFER;

/// How long a swift client takes for a piece at most.
const SWIFT: Duration = Duration::from_millis(100);

/// Bytes of a request's head in HTTP/2.
const HEAD: u32 = 16 << 10;

/// Bytes of a request's head in HTTP/1.1, and of what is read or written at once.
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
                response.map(|body| WatchedBody { body, rest: Bytes::new(), under_way })
            })
        }
    });
    let builder = builder(options);
    let stalled = Stalled::new(stream, options.stall_timeout, watched.head.clone());
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
            ended = connection.as_mut() => return ended,
            _ = stopping.changed(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => {
                if watched.head.takes(options.header_timeout) {
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
        let begun = watched.begun.load(Ordering::Relaxed);
        let is_busy = watched.under_way.load(Ordering::Relaxed) > 0 || watched.head.is_coming();
        if is_busy || begun != self.begun {
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

/// What is under way on a connection.
#[derive(Debug)]
struct Watched {
    head: Arc<Head>,
    /// Requests that have begun.
    begun: AtomicU64,
    /// Requests that have not ended: their answers are still being sent.
    under_way: AtomicUsize,
    /// Answers that are watched.
    answers: Mutex<HashMap<u64, Answer>>,
}

impl Watched {
    fn new() -> Self {
        let (begun, under_way, answers) = Default::default();
        Self { head: Arc::new(Head::new()), begun, under_way, answers }
    }

    /// Why the connection is to be cut: the client has not taken a piece of some answer for so long, or is too slow while
    /// others wait for what an answer holds. HTTP/2 has no other sign of the former: the connection moves on while one
    /// answer on it stands still.
    fn lingers(&self, patience: Duration) -> Option<&'static str> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.values_mut().find_map(|answer| answer.lingers(patience))
    }
}

/// An answer that is watched.
#[derive(Debug)]
struct Answer {
    is_http2: bool,
    /// A piece that the client is to take.
    given: Option<Given>,
    /// Whether it took the last one swiftly.
    is_swift: bool,
    pace: Option<(Holds, Pace)>,
}

#[derive(Debug)]
struct Given {
    bytes: usize,
    since: Instant,
    /// Until when its pace knows how long the client has taken.
    counted: Instant,
}

impl Answer {
    fn lingers(&mut self, patience: Duration) -> Option<&'static str> {
        let now = Instant::now();
        let Self { is_http2, given, pace, .. } = self;
        if *is_http2 && given.as_ref().is_some_and(|given| now - given.since >= patience) {
            return Some("the other side does not read an answer");
        }
        let (holds, pace) = pace.as_mut()?;
        if let Some(given) = given {
            pace.moved(0, now - std::mem::replace(&mut given.counted, now));
        }
        let is_too_slow = pace.is_too_slow(holds.wanted());
        is_too_slow.then_some("the other side reads an answer too slowly while others wait for its place")
    }

    /// The piece of these bytes that the client is given next.
    fn gives(&mut self, rest: &mut Bytes) -> Bytes {
        let most = match (self.is_http2, self.is_swift) {
            (true, _) => PIECE,
            (false, true) => HTTP1_PIECE,
            (false, false) => HTTP1_SMALL_PIECE,
        };
        let piece = rest.split_to(rest.len().min(most));
        let now = Instant::now();
        self.given = Some(Given { bytes: piece.len(), since: now, counted: now });
        piece
    }

    /// The client took what was given.
    fn took(&mut self) {
        let Some(given) = self.given.take() else { return };
        self.is_swift = given.since.elapsed() < SWIFT;
        if let Some((_, pace)) = &mut self.pace {
            pace.moved(given.bytes, given.counted.elapsed());
        }
    }
}

/// A request until its answer has been sent, or dropped.
#[derive(Debug)]
struct UnderWay {
    watched: Arc<Watched>,
    nr: u64,
    is_http2: bool,
    /// Whether its answer is watched. Over HTTP/1.1 one that is not taken stalls the connection, which [`Stalled`] sees.
    is_watched: bool,
}

impl UnderWay {
    fn new(watched: &Arc<Watched>, version: Version) -> Self {
        let nr = watched.begun.fetch_add(1, Ordering::Relaxed);
        watched.under_way.fetch_add(1, Ordering::Relaxed);
        watched.head.is_whole();
        Self { watched: watched.clone(), nr, is_http2: version == Version::HTTP_2, is_watched: false }
    }

    /// Its answer begins, and holds this.
    fn answers(&mut self, holds: Option<Holds>, least_rate: LeastRate) {
        self.is_watched = self.is_http2 || holds.is_some();
        if self.is_watched {
            let pace = holds.map(|holds| (holds, Pace::new(least_rate)));
            let answer = Answer { is_http2: self.is_http2, given: None, is_swift: true, pace };
            self.watched.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(self.nr, answer);
        }
    }

    /// What `note` makes of its answer, where that is watched.
    fn note<R>(&self, note: impl FnOnce(&mut Answer) -> R) -> Option<R> {
        let mut answers = self.watched.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get_mut(&self.nr).map(note)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.is_watched {
            self.watched.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.nr);
        }
        self.watched.under_way.fetch_sub(1, Ordering::Relaxed);
        // Where another has begun, its head is whole already.
        if !self.is_http2 && self.watched.begun.load(Ordering::Relaxed) == self.nr + 1 {
            self.watched.head.is_next();
        }
    }
}

/// An answer's body, which tells when the client has taken a piece of it.
#[derive(Debug)]
struct WatchedBody {
    body: Body,
    /// What the body gave and was not handed on yet.
    rest: Bytes,
    under_way: UnderWay,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if !this.under_way.is_watched {
            return Pin::new(&mut this.body).poll_frame(cx);
        }
        // It is asked again once the client has taken what it gave.
        this.under_way.note(Answer::took);
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let piece = this.under_way.note(|answer| answer.gives(&mut this.rest));
        Poll::Ready(Some(Ok(Frame::data(piece.unwrap_or_else(|| std::mem::take(&mut this.rest))))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
