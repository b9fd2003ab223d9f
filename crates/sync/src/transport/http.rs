//! The transport over HTTP, as `docs/http.md` has it.

mod asking;
mod taskchampion;

pub(crate) use taskchampion::{Added, Child};

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tolstoy_proto::coding::{self, Decompressor, ZSTD};
use tolstoy_proto::{ChunkId, ErrorBody, ErrorKind, Pushed, TrnId, media, paths};

use crate::remote::Remote;
use crate::snapshot::Blob;
use crate::transport::access::{Access, untrusted};
use crate::transport::{Answer, Begin, Body, Transport, TransportError};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may move: the hub takes nothing of a request, and nothing of its answer comes.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of a request that are handed to the connection at once.
const PIECE: usize = 64 << 10;
/// Bytes of an answer that is not a stream.
const MAX_SMALL: usize = 1 << 20;
/// Bodies of fewer bytes are sent as they are.
const MIN_CODED: usize = 16 << 10;
/// How hard bodies are compressed: a link is slower than this.
const LEVEL: i32 = 3;

/// Speaks to a hub over HTTP. Keeps its connection between requests; clones share it.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: Client,
    remote: Remote,
    silence: Duration,
    /// Whether the hub has said that it takes zstd.
    takes_zstd: bool,
}

impl HttpTransport {
    /// A transport to a log on a hub that asks for no token.
    ///
    /// # Errors
    /// Where the system's TLS settings cannot be used.
    pub fn new(remote: Remote) -> Result<Self, TransportError> {
        Self::with_access(remote, &Access::default())
    }

    /// A transport to a log on a hub.
    ///
    /// # Errors
    /// Where the TLS settings cannot be used.
    pub fn with_access(remote: Remote, access: &Access) -> Result<Self, TransportError> {
        let builder = access.apply(Client::builder())?;
        // What is not encrypted goes straight to the hub: a token must not meet a proxy on its way.
        let builder = if remote.url.starts_with("http://") { builder.no_proxy() } else { builder };
        let client = builder
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tolstoy/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| TransportError::Unreachable(deepest(&e)))?;
        Ok(Self { client, remote, silence: SILENCE, takes_zstd: false })
    }

    /// The transport with another patience than a minute: a hub that neither takes nor sends a byte for so long is given
    /// up. However long a request or an answer takes as a whole, it goes on while it moves.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.remote.url)
    }

    /// Uploads a body, compressed where the hub takes that and it helps.
    async fn upload(&mut self, request: RequestBuilder, body: Bytes) -> Result<Response, TransportError> {
        if let Some(coded) = self.coded(&body).await
            && let Some(again) = request.try_clone()
        {
            let response = self.send(request.header(CONTENT_ENCODING, ZSTD), coded).await?;
            // A hub that took zstd a moment ago, and is another one now.
            if response.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE {
                return Ok(response);
            }
            self.takes_zstd = false;
            return self.send(again, body).await;
        }
        self.send(request, body).await
    }

    /// The body as zstd, where the hub takes that and it is shorter by a tenth at least.
    async fn coded(&self, body: &Bytes) -> Option<Bytes> {
        if !self.takes_zstd || body.len() < MIN_CODED {
            return None;
        }
        let plain = body.clone();
        // Where it cannot be compressed it is sent as it is.
        let coded = tokio::task::spawn_blocking(move || coding::compress(&plain, LEVEL)).await.ok()?.ok()?;
        (coded.len() < body.len() / 10 * 9).then(|| coded.into())
    }

    /// What the hub says of itself in every answer.
    fn learn(&mut self, response: &Response) {
        let takes = response.headers().get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        self.takes_zstd |= takes.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(ZSTD));
    }

    async fn send(&mut self, request: RequestBuilder, body: Bytes) -> Result<Response, TransportError> {
        let (told, moved) = watch::channel(());
        let request = if body.is_empty() { request } else { request.body(reqwest::Body::wrap(Sending { body, told })) };
        self.carry(request, moved).await
    }

    /// Sends a request, and waits for the answer as long as it moves.
    async fn carry(&mut self, request: RequestBuilder, moved: watch::Receiver<()>) -> Result<Response, TransportError> {
        match while_moving(request.send(), moved, self.silence).await {
            Some(Ok(response)) => {
                self.learn(&response);
                Ok(response)
            }
            Some(Err(e)) => Err(failed(&self.remote, &e)),
            None => Err(TransportError::Broken(format!("{}: {}", self.remote.url, nothing_came(self.silence)))),
        }
    }
}

/// What `work` gives; none where it is not done and nothing moved for so long.
async fn while_moving<F: Future>(work: F, mut moved: watch::Receiver<()>, silence: Duration) -> Option<F::Output> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            Ok(()) = moved.changed() => {}
            () = sleep(silence) => return None,
        }
    }
}

fn nothing_came(silence: Duration) -> String {
    format!("nothing came from there for {} seconds", silence.as_secs_f32())
}

/// A body that tells when a piece of it is taken.
struct Sending {
    body: Bytes,
    told: watch::Sender<()>,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.told.send_replace(());
        let piece = self.body.len().min(PIECE);
        let piece = self.body.split_to(piece);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() as u64)
    }
}

/// A snapshot that tells when a piece of it is taken. What is read of it was written a moment ago, a few pages at a time.
struct SendingSnapshot {
    snapshot: Blob,
    at: u64,
    told: watch::Sender<()>,
}

impl http_body::Body for SendingSnapshot {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        self.told.send_replace(());
        let piece = self.snapshot.piece(self.at);
        Poll::Ready(match piece {
            Ok(piece) => {
                self.at += piece.len() as u64;
                (!piece.is_empty()).then(|| Ok(Frame::data(piece)))
            }
            Err(error) => Some(Err(error)),
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.snapshot.bytes().saturating_sub(self.at))
    }
}

/// A streamed answer.
#[derive(Debug)]
pub struct HttpBody {
    response: Response,
    silence: Duration,
    coded: Option<Coded>,
}

/// An answer that is compressed.
#[derive(Debug)]
struct Coded {
    decompressor: Decompressor,
    /// What arrived last and is not decoded yet. It is decoded step by step: it may hold far more than it is long.
    arrived: Bytes,
}

impl HttpBody {
    fn new(response: Response, silence: Duration) -> Result<Self, TransportError> {
        let coded = match response.headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap_or("?")) {
            None => None,
            Some(identity) if identity.eq_ignore_ascii_case("identity") => None,
            Some(zstd) if zstd.eq_ignore_ascii_case(ZSTD) => {
                // As long as the stream is: its reader bounds what it keeps of it.
                let decompressor = Decompressor::new(usize::MAX).map_err(|e| TransportError::Broken(e.to_string()))?;
                Some(Coded { decompressor, arrived: Bytes::new() })
            }
            Some(other) => {
                let why = format!("it answered in the content coding {other:?}, which nobody asked for");
                return Err(TransportError::Protocol(why));
            }
        };
        Ok(Self { response, silence, coded })
    }

    /// The next bytes as they were sent.
    async fn arrive(&mut self) -> Result<Option<Bytes>, TransportError> {
        match timeout(self.silence, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|e| TransportError::Broken(deepest(&e))),
            Err(_) => Err(TransportError::Broken(nothing_came(self.silence))),
        }
    }
}

impl Body for HttpBody {
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            let Some(Coded { decompressor, arrived }) = &mut self.coded else { return self.arrive().await };
            let mut rest = &arrived[..];
            let bytes = decompressor.step(&mut rest).map(Bytes::copy_from_slice);
            let read = arrived.len() - rest.len();
            arrived.advance(read);
            let bytes = bytes.map_err(|e| TransportError::Broken(e.to_string()))?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
            // A frame that was cut is a stream that was cut: its reader misses the end.
            let Some(piece) = self.arrive().await? else { return Ok(None) };
            if let Some(coded) = &mut self.coded {
                coded.arrived = piece;
            }
        }
    }
}

impl Transport for HttpTransport {
    type Body = HttpBody;

    async fn pull(&mut self, from: &[TrnId], begin: Begin) -> Result<Answer<HttpBody>, TransportError> {
        let path = match begin {
            Begin::Transactions => paths::pull(self.remote.log, from),
            Begin::Snapshot => paths::pull_with_snapshot(self.remote.log, from),
        };
        let request = self.client.get(self.url(&path)).header(ACCEPT, media::MSGPACK);
        let request = request.header(ACCEPT_ENCODING, ZSTD);
        let response = self.send(request, Bytes::new()).await?;
        let body = HttpBody::new(response, self.silence)?;
        if body.response.status() == StatusCode::OK && is_stream(&body.response) {
            return Ok(Answer::Stream(body));
        }
        refusal(&self.remote, body).await
    }

    async fn push(&mut self, body: Bytes) -> Result<Answer<HttpBody>, TransportError> {
        let request = self.client.post(self.url(&paths::push(self.remote.log)));
        let request = request.header(ACCEPT, media::MSGPACK).header(ACCEPT_ENCODING, ZSTD);
        let response = self.upload(request.header(CONTENT_TYPE, media::MSGPACK), body).await?;
        let mut body = HttpBody::new(response, self.silence)?;
        match body.response.status() {
            StatusCode::OK => {
                let pushed: Pushed = serde_json::from_slice(&small(&mut body).await?)
                    .map_err(|_| TransportError::Protocol("it answered a push with no state of a log".to_owned()))?;
                Ok(Answer::Accepted(pushed))
            }
            StatusCode::CONFLICT if is_stream(&body.response) => Ok(Answer::Conflict(body)),
            _ => refusal(&self.remote, body).await,
        }
    }

    async fn put_chunk(&mut self, id: &ChunkId, bytes: Bytes) -> Result<Answer<HttpBody>, TransportError> {
        let request = self.client.put(self.url(&paths::v0_chunk(self.remote.log, id)));
        let response = self.upload(request.header(CONTENT_TYPE, media::OCTETS), bytes).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Answer::Stored);
        }
        refusal(&self.remote, HttpBody::new(response, self.silence)?).await
    }

    async fn put_snapshot(&mut self, id: TrnId, snapshot: Blob) -> Result<Answer<HttpBody>, TransportError> {
        let request = self.client.put(self.url(&paths::snapshot(self.remote.log, id)));
        let request = request.header(CONTENT_TYPE, media::OCTETS);
        let request = request.header(media::REPR_DIGEST, snapshot.digest().to_field());
        let (told, moved) = watch::channel(());
        let body = reqwest::Body::wrap(SendingSnapshot { snapshot, at: 0, told });
        let response = self.carry(request.body(body), moved).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Answer::Stored);
        }
        refusal(&self.remote, HttpBody::new(response, self.silence)?).await
    }
}

fn is_stream(response: &Response) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(media::MSGPACK))
}

/// An answer that is an error, or no answer of a hub at all.
async fn refusal<B>(remote: &Remote, mut answer: HttpBody) -> Result<Answer<B>, TransportError> {
    let status = answer.response.status();
    let header = |name: HeaderName| answer.response.headers().get(name).and_then(|v| v.to_str().ok());
    let location = header(LOCATION).map(str::to_owned);
    let after = header(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let body = serde_json::from_slice::<ErrorBody>(&small(&mut answer).await?);
    let is_for_now = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let (Ok(body), Some(after), true) = (&body, after, is_for_now) {
        return Ok(Answer::Later { after, body: body.clone() });
    }
    Ok(match (body, location) {
        (Ok(ErrorBody { error: ErrorKind::Generation, state: Some(state), .. }), _) => Answer::Generation(state),
        (Ok(ErrorBody { error: ErrorKind::MissingChunks, chunks: Some(chunks), .. }), _) => Answer::Missing(chunks),
        (Ok(body), _) => Answer::Refused(body),
        (Err(_), Some(location)) if status.is_redirection() => {
            return Err(TransportError::Protocol(format!("it answered {status}: ask {location}")));
        }
        // What stands between does not reach the hub at the moment.
        (Err(_), _) if matches!(status.as_u16(), 502..=504) => {
            return Err(TransportError::Broken(format!("{}: {status}", remote.url)));
        }
        (Err(_), _) => {
            return Err(TransportError::Protocol(format!("it answered {status}, and not as a hub does")));
        }
    })
}

async fn small(answer: &mut HttpBody) -> Result<Vec<u8>, TransportError> {
    held(answer, MAX_SMALL).await
}

/// The whole answer, of at most so many bytes.
async fn held(answer: &mut HttpBody, limit: usize) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.next().await? {
        if bytes.len() + piece.len() > limit {
            return Err(TransportError::Protocol("its answer is too long".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn failed(remote: &Remote, e: &reqwest::Error) -> TransportError {
    if let Some(why) = untrusted(e) {
        return TransportError::Untrusted(why);
    }
    let why = format!("{}: {}", remote.url, deepest(e));
    if e.is_connect() || e.is_builder() { TransportError::Unreachable(why) } else { TransportError::Broken(why) }
}

/// The innermost cause, which says what happened; the outer ones say that something did.
fn deepest(e: &dyn std::error::Error) -> String {
    let mut innermost = e;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_waited_for_however_long_it_takes() {
        let (told, moved) = watch::channel(());
        let upload = async move {
            for _ in 0..20 {
                sleep(SILENCE * 9 / 10).await;
                told.send_replace(());
            }
            "sent"
        };
        assert_eq!(while_moving(upload, moved, SILENCE).await, Some("sent"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_move_is_given_up() {
        let (told, moved) = watch::channel(());
        let stuck = async move {
            told.send_replace(());
            std::future::pending::<()>().await;
        };
        assert_eq!(while_moving(stuck, moved, SILENCE).await, None);
        // Nor does it go on for ever where nothing is sent.
        let (_, moved) = watch::channel(());
        assert_eq!(while_moving(std::future::pending::<()>(), moved, SILENCE).await, None);
    }
}
