//! What is noted of each request: a line in the log, numbers for `/metrics`, and the newest of them for the status page.
//!
//! It is the outermost layer, so that it sees each answer as it goes out. A request ends when its answer's last byte was
//! handed on, or when either side gave up.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tolstoy_proto::{ErrorKind, LogId};
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use super::App;
use super::guard::{self, About, Door, Entered};
use crate::activity::{Act, Activity};
use crate::auth::Principal;
use crate::connection::Peer;
use crate::gate::Client;
use crate::metrics::NO_ROUTE;
use crate::service;

/// The header of a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of an id that an asker gives.
const MAX_ID: usize = 64;

tokio::task_local! {
    /// The request that this task answers.
    static CURRENT: Current;
}

/// What the layers below may know of their request.
struct Current {
    id: RequestId,
    principal: Option<Principal>,
    client: Client,
}

/// What an answer says is wrong, for the layer that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(pub(super) ErrorKind);

/// Names a request: in its answer, in its line of the log, in each error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId {
    characters: [u8; MAX_ID],
    length: u8,
}

impl RequestId {
    /// The asker's own, where it is of letters, digits, dots, dashes and underlines, and not long: what cannot be mistaken
    /// for anything else in a log.
    fn of(headers: &HeaderMap) -> Option<Self> {
        Self::new(headers.get(REQUEST_ID)?.as_bytes())
    }

    fn new(text: &[u8]) -> Option<Self> {
        let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
        if text.is_empty() || !text.iter().all(sane) {
            return None;
        }
        let mut characters = [0; MAX_ID];
        characters.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { characters, length: u8::try_from(text.len()).ok()? })
    }

    fn as_str(&self) -> &str {
        let text = self.characters.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Mints request ids: when the hub started, in microseconds since 1970, and a number. They need not be secret.
#[derive(Debug)]
pub(crate) struct RequestIds {
    started: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids of the run that started then.
    pub(crate) fn new(started: u64) -> Self {
        Self { started, next: AtomicU64::new(1) }
    }

    fn mint(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let digits = (64 - (number | 1).leading_zeros()).div_ceil(4);
        let started = (0..16).rev().map(|at| digit(self.started, at));
        let numbered = (0..digits).rev().map(|at| digit(number, at));
        // 16 digits, a dash and at most 16 digits have room.
        let mut characters = [0; MAX_ID];
        let mut length = 0;
        for (room, character) in characters.iter_mut().zip(started.chain([b'-']).chain(numbered)) {
            *room = character;
            length += 1;
        }
        RequestId { characters, length }
    }
}

/// The hexadecimal digit of a number whose weight is 16 to the power of `at`.
fn digit(number: u64, at: u32) -> u8 {
    let value = (number >> (4 * at)) as u8 & 15;
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// The id of the request that this task answers.
pub(super) fn current_id() -> Option<RequestId> {
    CURRENT.try_with(|current| current.id).ok()
}

/// The log that the asker's token is for, where it is for exactly one.
pub(super) fn own_log() -> Option<LogId> {
    CURRENT.try_with(|current| current.principal.as_ref().and_then(Principal::own_log)).ok().flatten()
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    /// The client that the guard found.
    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(CURRENT.try_with(|current| current.client.clone()).unwrap_or(Self::Anyone))
    }
}

impl App {
    /// The rules, for one who writes under the name of the request's principal.
    pub(super) fn writing(&self) -> service::Service {
        let name = CURRENT.try_with(|current| current.principal.as_ref()?.name().map(Arc::from));
        match name {
            Ok(Some(name)) => self.service.by(name),
            _ => self.service.clone(),
        }
    }
}

/// Puts what answers a path behind the hub's door, under watch. One layer for all, and no `from_fn`: each of those costs a
/// request a good deal of a short push.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) app: Arc<App>,
    pub(super) door: Arc<Door>,
}

impl<S> Layer<S> for Watch {
    type Service = Watching<S>;

    fn layer(&self, inner: S) -> Watching<S> {
        Watching { watch: self.clone(), inner }
    }
}

/// What answers a path, under watch.
#[derive(Clone)]
pub(super) struct Watching<S> {
    watch: Watch,
    inner: S,
}

impl<S> Service<Request> for Watching<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answering {
        // The one that is ready is used, and another left in its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        self.watch.answer(request, |request| Box::pin(inner.call(request)))
    }
}

impl Watch {
    /// Takes note of the request, and has `next` answer it where its door lets it in. All that needs the request itself is
    /// done here, so that the future does not carry it along, once for each layer.
    fn answer<F>(&self, mut request: Request, next: impl FnOnce(Request) -> F) -> Answering
    where
        F: Future<Output = Result<Response, Infallible>> + Unpin + Send + 'static,
    {
        let Self { app, door } = self;
        let id = RequestId::of(request.headers()).unwrap_or_else(|| app.request_ids.mint());
        let about = About::of(&mut request);
        let route = app.metrics.http.route(about.as_ref().map_or(NO_ROUTE, |about| about.template.as_str()));
        let path = request.uri().path();
        let span = tracing::info_span!("request", %id, method = %request.method(), path);
        let mut watched = Watched {
            route,
            act: about.as_ref().and_then(|about| Act::of(about.template.as_str(), request.method(), about.log?)),
            method: request.method().clone(),
            peer: request.extensions().get::<Peer>().map(|peer| peer.0),
            principal: None,
            begun: Instant::now(),
            status: None,
            received: None,
            sent: 0,
            cut: false,
            span: span.clone(),
            app: app.clone(),
        };
        if !request.body().is_end_stream() {
            let received = Arc::new(AtomicU64::new(0));
            watched.received = Some(received.clone());
            request = request.map(|inner| Body::new(Arriving { inner, received }));
        }
        let Entered { principal, client, entry } = span.in_scope(|| guard::enter(door, about.as_ref(), request, next));
        watched.principal = principal.clone();
        let answer = entry.answer(app.clone()).instrument(span);
        let answer = Box::pin(CURRENT.scope(Current { id, principal, client }, answer));
        Answering { answer, watched: Some(watched), id }
    }
}

/// A request that is answered, under watch.
pub(super) struct Answering {
    answer: Pin<Box<dyn Future<Output = Response> + Send>>,
    /// None once it is answered.
    watched: Option<Watched>,
    id: RequestId,
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.answer.as_mut().poll(cx));
        let id = self.id;
        Poll::Ready(Ok(match self.watched.take() {
            Some(watched) => watched.sees(response, id),
            None => response,
        }))
    }
}

/// A request that is watched. It is noted when this is dropped.
struct Watched {
    app: Arc<App>,
    span: Span,
    route: usize,
    method: Method,
    act: Option<Act>,
    peer: Option<SocketAddr>,
    principal: Option<Principal>,
    begun: Instant,
    /// None where nobody waited for the answer.
    status: Option<StatusCode>,
    /// What arrived of the request's body, where it has one.
    received: Option<Arc<AtomicU64>>,
    sent: u64,
    /// Whether the answer ended before its end.
    cut: bool,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let elapsed = self.begun.elapsed();
        let received = self.received.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed));
        let App { metrics, activity, service, .. } = &*self.app;
        metrics.http.ended(self.route, &self.method, self.status, elapsed, (received, self.sent));
        if let (Some(act), Some(status)) = (self.act, self.status)
            && (status.is_success() || status == StatusCode::CONFLICT)
        {
            activity.note(|| Activity {
                at: service.now(),
                act,
                principal: self.principal.clone(),
                peer: self.peer.map(|peer| peer.ip()),
                received,
                sent: self.sent,
                status,
            });
        }
        self.tell(elapsed, received);
    }
}

impl Watched {
    /// Takes note of the answer, which goes out with the request's id.
    fn sees(mut self, mut response: Response, id: RequestId) -> Response {
        self.status = Some(response.status());
        if let Some(Refused(kind)) = response.extensions().get() {
            self.app.metrics.http.refused(*kind);
        }
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        match response.body().size_hint().exact() {
            Some(bytes) => {
                self.sent = bytes;
                response
            }
            // Not cut until it is dropped before its end.
            None => {
                self.cut = true;
                response.map(|inner| Body::new(Leaving { inner, watched: self }))
            }
        }
    }

    fn tell(&self, elapsed: Duration, received: u64) {
        let _in = self.span.enter();
        let millis = elapsed.as_secs_f64() * 1e3;
        tracing::info!(
            target: "tolstoy_hub::requests",
            route = self.app.metrics.http.template(self.route),
            status = self.status.map(|status| status.as_u16()),
            received,
            sent = self.sent,
            cut = self.cut.then_some(true),
            elapsed_ms = (millis * 1e3).round() / 1e3,
            principal = self.principal.as_ref().and_then(Principal::name),
            token = self.principal.as_ref().and_then(Principal::token).map(tracing::field::display),
            peer = self.peer.map(tracing::field::display),
            "{}", if self.status.is_some() { "answered" } else { "nobody waited for the answer" }
        );
    }
}

/// A request's body whose bytes are counted as they arrive.
struct Arriving {
    inner: Body,
    received: Arc<AtomicU64>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.received.fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body of unknown length, which ends the request when it ends.
struct Leaving {
    inner: Body,
    watched: Watched,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.watched.sent += frame.data_ref().map_or(0, Bytes::len) as u64,
            Poll::Ready(None) => self.watched.cut = false,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_askers_id_is_taken_where_it_is_sane() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).unwrap());
            RequestId::of(&headers).map(|id| id.to_string())
        };
        for good in [
            "1",
            "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e",
            "Root=1-67891233_abc".replace('=', ".").as_str(),
            &"x".repeat(64),
        ] {
            assert_eq!(of(good).as_deref(), Some(good));
        }
        for bad in ["", "a b", "a\"b", "<script>", "a=b", "\u{e9}", &"x".repeat(65)] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn minted_ids_differ_within_a_run_and_between_runs() {
        let (one, other) = (RequestIds::new(0xabc), RequestIds::new(u64::MAX));
        assert_eq!(one.mint().to_string(), "0000000000000abc-1");
        assert_eq!(one.mint().to_string(), "0000000000000abc-2");
        assert_eq!(other.mint().to_string(), "ffffffffffffffff-1");
        let last = RequestIds { started: u64::MAX, next: AtomicU64::new(u64::MAX) };
        assert_eq!(last.mint().to_string(), "ffffffffffffffff-ffffffffffffffff");
    }
}
