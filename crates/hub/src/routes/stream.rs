//! Streams of committed transactions as response bodies.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame as BodyFrame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tolstoy_proto::coding::ZSTD;
use tolstoy_proto::{ChunkId, Form, FrameEncoder, LogId, TrnId, media};

use super::App;
use super::coding::{self, Coder, Coding};
use super::error::ApiError;
use super::state::Told;
use crate::service::{Begin, Pull, PullEnd, PullError};
use crate::storage::StorageError;

/// Bytes of a page: what is read from the storage at once.
const PAGE: usize = 256 << 10;

/// Pages that wait to be sent, or longer ones of as many bytes.
const QUEUE: usize = 4;

/// The form that the asker wants: JSON where `Accept` prefers it to MessagePack.
pub(super) fn accepted(headers: &HeaderMap) -> Form {
    let weight = |wanted: &str| {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).filter_map(|item| weight_of(item, wanted)).fold(0.0, f32::max)
    };
    if weight(media::JSON) > weight(media::MSGPACK) { Form::Json } else { Form::MessagePack }
}

/// The weight that an item of an `Accept`, or `Accept-Encoding`, gives a name; none where it is about others.
pub(super) fn weight_of(item: &str, wanted: &str) -> Option<f32> {
    let mut parts = item.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
}

/// Answers what is committed after the first of `from` that is.
pub(super) async fn answer(
    app: &Arc<App>,
    log: LogId,
    from: Vec<TrnId>,
    begin: Begin,
    form: Form,
    coding: Coding,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let first = || {
        let (app, from) = (app.clone(), from.clone());
        async move {
            let page = super::read(&app, move |service| {
                let pull = service.pull_with(log, &from, begin)?;
                let encoder = FrameEncoder::new(form);
                Reading { pull, encoder, coding, coder: None, buffers: Buffers::default() }.page()
            });
            page.await?.map_err(|error| match error {
                PullError::Gone => ApiError::conflict("the log was deleted while it was read"),
                PullError::Storage(error) => error.into(),
            })
        }
    };
    let (page, place) = bounded(&app.gate.streams, first, Page::is_long).await?;
    let content_type = match form {
        Form::MessagePack => media::MSGPACK,
        Form::Json => media::JSON,
    };
    let vary = (header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type)), vary, coding::TAKES];
    let coding = page.coding();
    Ok((status, Extension(Told), headers, coding, body(app, page, place)).into_response())
}

/// A chunk's bytes as an answer; none where there is no such chunk.
pub(super) async fn chunk(
    app: &Arc<App>,
    log: LogId,
    id: ChunkId,
    coding: Coding,
) -> Result<Option<Response>, ApiError> {
    let read = || {
        let app = app.clone();
        async move {
            super::read(&app, move |service| {
                let Some(bytes) = service.v0_chunk(log, &id)? else { return Ok(None) };
                let coded = coding.whole(&bytes)?.map(Bytes::from);
                Ok(Some(Page { is_coded: coded.is_some(), bytes: coded.unwrap_or(bytes), rest: None }))
            })
            .await?
            .map_err(|error: StorageError| error.into())
        }
    };
    let is_long = |page: &Option<Page>| page.as_ref().is_some_and(Page::is_long);
    let (page, place) = bounded(&app.gate.streams, read, is_long).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media::OCTETS)),
        (header::VARY, HeaderValue::from_static("Accept-Encoding")),
        coding::TAKES,
    ];
    Ok(page.map(|page| (headers, page.coding(), body(app, page, place)).into_response()))
}

/// What `read` reads, with one of the few places for long answers where it is long. It is not held while it waits for
/// one: it is read again.
async fn bounded<T, F: Future<Output = Result<T, ApiError>>>(
    places: &Arc<Semaphore>,
    read: impl Fn() -> F,
    is_long: impl Fn(&T) -> bool,
) -> Result<(T, Option<OwnedSemaphorePermit>), ApiError> {
    let found = read().await?;
    if !is_long(&found) {
        return Ok((found, None));
    }
    if let Ok(place) = places.clone().try_acquire_owned() {
        return Ok((found, Some(place)));
    }
    drop(found);
    let place = places.clone().acquire_owned().await.map_err(|_| ApiError::closing())?;
    Ok((read().await?, Some(place)))
}

fn body(app: &Arc<App>, Page { bytes, rest, .. }: Page, place: Option<OwnedSemaphorePermit>) -> Body {
    match (place, rest) {
        (None, _) => Body::from(bytes),
        (Some(place), None) => Body::from(held(bytes, place)),
        (Some(place), rest) => Body::new(Pages::new(app.clone(), bytes, rest, place)),
    }
}

/// The bytes, with their place for as long as anything holds them.
fn held(bytes: Bytes, place: OwnedSemaphorePermit) -> Bytes {
    struct Held(Bytes, #[expect(dead_code, reason = "it is free again when it is dropped")] OwnedSemaphorePermit);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Held(bytes, place))
}

/// Buffers that pages were in, to be filled again: fresh memory of this size costs more than what is written into it.
#[derive(Debug, Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Vec::with_capacity(PAGE + PAGE / 4))
    }

    /// The bytes, whose buffer comes back when the last who holds them is done.
    fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { bytes, buffers: self.clone() })
    }
}

struct Lent {
    bytes: Vec<u8>,
    buffers: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        // A page that held a large chunk is not kept.
        if bytes.capacity() <= 2 * PAGE {
            self.buffers.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
    }
}

/// A stream that is read and written out.
struct Reading {
    pull: Pull,
    encoder: FrameEncoder,
    coding: Coding,
    /// None before the first page, and where pages are sent as they are.
    coder: Option<Coder>,
    buffers: Buffers,
}

/// A page, and the stream where more follows.
struct Page {
    bytes: Bytes,
    /// Whether the bytes are zstd.
    is_coded: bool,
    rest: Option<Box<Reading>>,
}

impl Page {
    /// Whether it is more than a request may hold without one of the few places.
    fn is_long(&self) -> bool {
        self.rest.is_some() || self.bytes.len() > 2 * PAGE
    }

    /// How the body that begins with it is coded.
    fn coding(&self) -> Option<[(HeaderName, HeaderValue); 1]> {
        self.is_coded.then(|| [(header::CONTENT_ENCODING, HeaderValue::from_static(ZSTD))])
    }
}

impl Reading {
    fn page(mut self) -> Result<Page, PullError> {
        let mut bytes = self.buffers.take();
        let end = self.pull.page(PAGE, &mut self.encoder, &mut bytes)?;
        let is_whole = end == PullEnd::Whole;
        if self.coding != Coding::Identity {
            bytes = self.code(bytes, is_whole)?;
        }
        let is_coded = self.coder.is_some();
        let bytes = self.buffers.lend(bytes);
        Ok(Page { bytes, is_coded, rest: (!is_whole).then(|| Box::new(self)) })
    }

    /// The page as it is sent, in a buffer of its own.
    fn code(&mut self, page: Vec<u8>, is_last: bool) -> Result<Vec<u8>, StorageError> {
        if self.coder.is_none() {
            self.coder = self.coding.coder(page.len(), is_last)?;
        }
        let Some(coder) = &mut self.coder else { return Ok(page) };
        let mut coded = self.buffers.take();
        let result = coder.page(&page, is_last, &mut coded);
        drop(self.buffers.lend(page));
        result.map(|()| coded)
    }
}

/// Pages as a body. While some are sent, others are read: as many as there is room for in the queue, without giving the
/// thread away between them. No thread waits for a slow client. A stream that stops early ends the body with an error,
/// which cuts the connection: the client sees no end frame.
struct Pages {
    app: Arc<App>,
    queue: mpsc::Receiver<Bytes>,
    room: mpsc::Sender<Bytes>,
    /// Bytes in the queue: a page may be as long as a chunk.
    queued: Arc<AtomicUsize>,
    reader: Reader,
    _place: OwnedSemaphorePermit,
}

/// What reads a stream's pages.
enum Reader {
    /// Nothing, until there is room.
    Parked(Box<Reading>),
    /// A thread. It gives the stream back where the queue was full.
    Running(JoinHandle<Result<Option<Box<Reading>>, ApiError>>),
    /// Nothing is left to read.
    Done,
    /// Reading failed: after the pages that are there the stream is cut.
    Failed,
}

impl Pages {
    fn new(app: Arc<App>, first: Bytes, rest: Option<Box<Reading>>, place: OwnedSemaphorePermit) -> Self {
        let (room, queue) = mpsc::channel(QUEUE);
        let queued = Arc::new(AtomicUsize::new(first.len()));
        let sent = room.try_send(first);
        debug_assert!(sent.is_ok(), "a new queue has room");
        Self { app, queue, room, queued, reader: rest.map_or(Reader::Done, Reader::Parked), _place: place }
    }

    /// Starts a reader where half of the queue is free, and takes note of one that has ended.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        if self.queued.load(Ordering::Relaxed) <= QUEUE * PAGE / 2 {
            self.reader = match std::mem::replace(&mut self.reader, Reader::Done) {
                Reader::Parked(reading) => self.start(reading),
                other => other,
            };
        }
        if let Reader::Running(running) = &mut self.reader
            && let Poll::Ready(ended) = Pin::new(running).poll(cx)
        {
            self.reader = match ended {
                Ok(Ok(Some(reading))) => Reader::Parked(reading),
                Ok(Ok(None)) => Reader::Done,
                Ok(Err(_)) | Err(_) => Reader::Failed,
            };
        }
    }

    fn start(&self, mut reading: Box<Reading>) -> Reader {
        let (app, room, queued) = (self.app.clone(), self.room.clone(), self.queued.clone());
        Reader::Running(tokio::spawn(async move {
            let burst = super::read(&app, move |_| {
                while queued.load(Ordering::Relaxed) < QUEUE * PAGE
                    && let Ok(place) = room.try_reserve()
                {
                    let page = reading.page()?;
                    queued.fetch_add(page.bytes.len(), Ordering::Relaxed);
                    place.send(page.bytes);
                    match page.rest {
                        Some(rest) => reading = rest,
                        None => return Ok(None),
                    }
                }
                Ok(Some(reading))
            });
            burst.await?.map_err(|error: PullError| ApiError::internal(&error))
        }))
    }
}

/// The stream stopped before its end.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut")]
struct Cut;

impl http_body::Body for Pages {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        loop {
            self.go_on(cx);
            if let Poll::Ready(Some(bytes)) = self.queue.poll_recv(cx) {
                self.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
                return Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
            }
            match self.reader {
                // It wakes the task with its next page, or when it ends.
                Reader::Running(_) => return Poll::Pending,
                Reader::Parked(_) => {}
                Reader::Done => return Poll::Ready(None),
                Reader::Failed => {
                    self.reader = Reader::Done;
                    return Poll::Ready(Some(Err(Cut)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_answer_has_a_place_until_its_bytes_are_gone() {
        let places = Arc::new(Semaphore::new(1));
        let reads = AtomicUsize::new(0);
        let long = || async {
            reads.fetch_add(1, Ordering::Relaxed);
            Ok(Page { bytes: vec![1; 2 * PAGE + 1].into(), is_coded: false, rest: None })
        };
        let (page, place) = bounded(&places, long, Page::is_long).await.unwrap();
        assert_eq!((reads.load(Ordering::Relaxed), places.available_permits()), (1, 0));
        let bytes = held(page.bytes, place.unwrap());
        let tail = bytes.slice(PAGE..);
        drop(bytes);
        assert_eq!(places.available_permits(), 0);

        // Who comes later does not hold what it read while it waits.
        let (waiting, ()) = tokio::join!(bounded(&places, long, Page::is_long), async {
            tokio::task::yield_now().await;
            assert_eq!(reads.load(Ordering::Relaxed), 2);
            drop(tail);
        });
        assert_eq!(reads.load(Ordering::Relaxed), 3);
        drop(waiting);
        assert_eq!(places.available_permits(), 1);

        let short = || async { Ok(Page { bytes: vec![1; PAGE].into(), is_coded: false, rest: None }) };
        let (_, place) = bounded(&places, short, Page::is_long).await.unwrap();
        assert!(place.is_none());
    }

    #[test]
    fn json_is_given_where_it_is_preferred() {
        let form = |accept: &'static str| {
            accepted(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert_eq!(accepted(&HeaderMap::new()), Form::MessagePack);
        for json in ["application/json", "text/html, Application/JSON;q=0.5", "application/json; q=1, */*"] {
            assert_eq!(form(json), Form::Json, "{json}");
        }
        for other in [
            "*/*",
            "text/html",
            "application/json;q=0",
            "application/json;q=x",
            "application/vnd.tolstoy+msgpack, application/json",
            "application/json;q=0.4, application/vnd.tolstoy+msgpack;q=0.5",
        ] {
            assert_eq!(form(other), Form::MessagePack, "{other}");
        }
    }
}
