//! Streams of committed transactions as response bodies.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Body as _, Frame as BodyFrame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tolstoy_proto::coding::ZSTD;
use tolstoy_proto::{ChunkId, Form, FrameEncoder, LogId, TrnId, media};

use super::App;
use super::coding::{self, Coder, Coding};
use super::error::ApiError;
use super::state::Told;
use crate::gate::{Client, Place};
use crate::pace::Holds;
use crate::service::{Begin, Pull, PullEnd, PullError, Service};
use crate::storage::StorageError;

/// Bytes of a page: what is read from the storage at once.
const PAGE: usize = 384 << 10;

/// Pages that wait to be sent, and bytes after which no more are read.
const QUEUE: usize = 3;
const AHEAD: usize = 1 << 20;

/// Bytes of a page without a long chunk.
const USUAL: usize = 2 * PAGE + (16 << 10);

/// Buffers that are kept to be filled again.
const SPARE: usize = 16;

/// Answers of at most so many bytes are not weighed.
const SHORT: usize = 4 << 10;

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

/// What a stream is to hold, and how.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) log: LogId,
    /// It begins after the first of these that is committed.
    pub(super) from: Vec<TrnId>,
    pub(super) begin: Begin,
    pub(super) form: Form,
    pub(super) coding: Coding,
}

/// Answers what is asked for.
pub(super) async fn answer(
    app: &Arc<App>,
    client: &Client,
    asked: Asked,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let content_type = match asked.form {
        Form::MessagePack => media::MSGPACK,
        Form::Json => media::JSON,
    };
    let buffers = app.buffers.clone();
    let first = move |service: &Service| {
        let pull = service.pull_with(asked.log, &asked.from, asked.begin)?;
        let mut reading = Box::new(Reading::new(pull, &asked, buffers.clone()));
        let (bytes, end) = reading.page().map_err(|error| match error {
            PullError::Gone => ApiError::conflict("the log was deleted while it was read"),
            PullError::Storage(error) => error.into(),
        })?;
        let is_coded = reading.coder.is_some();
        let rest = (end != PullEnd::Whole).then_some(reading);
        let weight = Weight { kib: kib(bytes.len()), is_long: rest.is_some() };
        Ok(((bytes, is_coded, rest), weight))
    };
    let ((bytes, is_coded, rest), places) = weighed(app, client, first).await?;
    let vary = (header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type)), vary, coding::TAKES];
    let bytes = app.buffers.lend(bytes, places.page);
    let body = match rest {
        None => Body::from(bytes),
        Some(reading) => Body::new(Pages::new(app.clone(), client.clone(), bytes, reading, places.stream)),
    };
    let holds = Extension(app.holds(client));
    Ok((status, Extension(Told), holds, headers, content_encoding(is_coded), body).into_response())
}

/// A chunk's bytes as an answer; none where there is no such chunk.
pub(super) async fn chunk(
    app: &Arc<App>,
    client: &Client,
    log: LogId,
    id: ChunkId,
    coding: Coding,
) -> Result<Option<Response>, ApiError> {
    let read = move |service: &Service| {
        let Some(bytes) = service.v0_chunk(log, &id)? else { return Ok((None, Weight::default())) };
        let coded = coding.whole(&bytes)?.map(Bytes::from);
        let is_coded = coded.is_some();
        let bytes = coded.unwrap_or(bytes);
        let weight = Weight { kib: kib(bytes.len()), is_long: false };
        Ok((Some((bytes, is_coded)), weight))
    };
    let (Some((bytes, is_coded)), places) = weighed(app, client, read).await? else { return Ok(None) };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media::OCTETS)),
        (header::VARY, HeaderValue::from_static("Accept-Encoding")),
        coding::TAKES,
    ];
    let holds = Extension(app.holds(client));
    Ok(Some((holds, headers, content_encoding(is_coded), held(bytes, places.page)).into_response()))
}

fn content_encoding(is_coded: bool) -> Option<[(HeaderName, HeaderValue); 1]> {
    is_coded.then(|| [(header::CONTENT_ENCODING, HeaderValue::from_static(ZSTD))])
}

/// Bytes as the gate of answers weighs them.
pub(super) const fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

/// What an answer takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    /// Of the gate of answers, for the bytes that are there.
    pub(super) kib: usize,
    /// Whether more follows, for which it holds something all the while.
    pub(super) is_long: bool,
}

/// An answer's places.
pub(super) struct Places {
    /// Of its bytes.
    pub(super) page: Place,
    /// Of a stream; none where nothing follows.
    pub(super) stream: Option<Place>,
}

/// What `read` reads, with its places. Where there are none it is let go, and read again when there are: what waits is not
/// held. A stream's place is waited for before that of its bytes, and never the other way round: bytes have theirs only
/// until they are sent, so that who has a stream's comes to bytes in the end.
pub(super) async fn weighed<T: Send + 'static>(
    app: &Arc<App>,
    client: &Client,
    read: impl Fn(&Service) -> Result<(T, Weight), ApiError> + Send + Sync + 'static,
) -> Result<(T, Places), ApiError> {
    let read = Arc::new(read);
    let mut stream: Option<Place> = None;
    let mut page: Option<(Place, usize)> = None;
    loop {
        let (there, owner, read) = (app.clone(), client.clone(), read.clone());
        let found = super::read(app, move |service| {
            let (found, weight) = read(service)?;
            if weight.is_long && stream.is_none() {
                stream = there.gates.streams.try_take(&owner, 1);
            }
            let page = match page {
                Some((mut place, most)) if weight.kib <= most => {
                    place.set(weight.kib);
                    Some(place)
                }
                // Let go before more is asked for.
                Some(_) => None,
                None => there.gates.answers.try_take(&owner, weight.kib),
            };
            Ok::<_, ApiError>(match page {
                Some(page) if stream.is_some() || !weight.is_long => Ok((found, Places { page, stream })),
                _ => Err((weight, stream)),
            })
        });
        match found.await?? {
            Ok(found) => return Ok(found),
            Err((weight, held)) => {
                stream = held;
                if weight.is_long && stream.is_none() {
                    stream = Some(app.gates.streams.take(client, 1).await);
                }
                page = Some((app.gates.answers.take(client, weight.kib).await, weight.kib));
            }
        }
    }
}

/// The bytes, with their place for as long as anything holds them.
pub(super) fn held(bytes: Bytes, place: Place) -> Bytes {
    struct Held(Bytes, #[expect(dead_code, reason = "it is free again when it is dropped")] Place);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Held(bytes, place))
}

/// The answer, with a place among all where it is not short and nobody has weighed it. There it is already, so where there
/// is no room it is dropped, and the client told so.
pub(super) fn weigh(app: &App, client: &Client, mut response: Response) -> Response {
    let bytes = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let Some(bytes) = bytes.filter(|bytes| *bytes > SHORT) else { return response };
    if response.extensions().get::<Holds>().is_some() {
        return response;
    }
    match app.gates.answers.try_take(client, kib(bytes)) {
        Some(place) => {
            response.extensions_mut().insert(app.holds(client));
            response.map(|body| Body::new(Weighed { body, place: Some(place) }))
        }
        None => ApiError::busy("too many answers are being sent: try again later").into_response(),
    }
}

/// A body whose bytes have a place.
struct Weighed {
    body: Body,
    /// None once the bytes have it.
    place: Option<Place>,
}

impl http_body::Body for Weighed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let place = self.place.take();
        Poll::Ready(frame.map(|frame| {
            Ok(match place {
                Some(place) => frame?.map_data(|bytes| held(bytes, place)),
                None => frame?,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Buffers that pages were in, to be filled again: fresh memory of this size costs more than what is written into it. All
/// streams share them, and a few are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        let free = self.free().pop();
        free.unwrap_or_else(|| Vec::with_capacity(PAGE + PAGE / 4))
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut free = self.free();
        // A page that held a large chunk is not kept.
        if bytes.capacity() <= 2 * PAGE && free.len() < SPARE {
            free.push(bytes);
        }
    }

    /// The bytes, with their place for as long as anything holds them; their buffer comes back then. Where a quarter of it is
    /// empty they get one of their length, since their place is for so much.
    fn lend(&self, bytes: Vec<u8>, place: Place) -> Bytes {
        if bytes.len() < bytes.capacity() / 4 * 3 {
            let short = held(Bytes::copy_from_slice(&bytes), place);
            self.give_back(bytes);
            return short;
        }
        Bytes::from_owner(Lent { bytes, buffers: self.clone(), _place: place })
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    bytes: Vec<u8>,
    buffers: Buffers,
    _place: Place,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.buffers.give_back(std::mem::take(&mut self.bytes));
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
    /// Bytes that the next page may have.
    most: usize,
}

impl Reading {
    fn new(pull: Pull, asked: &Asked, buffers: Buffers) -> Self {
        let encoder = FrameEncoder::new(asked.form);
        Self { pull, encoder, coding: asked.coding, coder: None, buffers, most: USUAL }
    }

    /// The next page, as it is sent. It is empty where there was no room for what comes next.
    fn page(&mut self) -> Result<(Vec<u8>, PullEnd), PullError> {
        let mut bytes = self.buffers.take();
        let end = self.pull.page_within(PAGE, self.most, &mut self.encoder, &mut bytes)?;
        // After a long page another is likely.
        self.most = match end {
            PullEnd::Longer(bytes) => bytes.saturating_add(USUAL),
            PullEnd::More | PullEnd::Whole if bytes.len() > USUAL => self.most,
            PullEnd::More | PullEnd::Whole => USUAL,
        };
        let is_whole = end == PullEnd::Whole;
        if self.coding != Coding::Identity && (is_whole || !bytes.is_empty()) {
            bytes = self.code(bytes, is_whole)?;
        }
        Ok((bytes, end))
    }

    /// The page as it is sent, in a buffer of its own.
    fn code(&mut self, page: Vec<u8>, is_last: bool) -> Result<Vec<u8>, StorageError> {
        if self.coder.is_none() {
            self.coder = self.coding.coder(page.len(), is_last)?;
        }
        let Some(coder) = &mut self.coder else { return Ok(page) };
        let mut coded = self.buffers.take();
        let result = coder.page(&page, is_last, &mut coded);
        self.buffers.give_back(page);
        result.map(|()| coded)
    }
}

/// Pages as a body. While some are sent, others are read: as many as there is room for in the queue, without giving the
/// thread away between them. No thread waits for a slow client. A stream that stops early ends the body with an error,
/// which cuts the connection: the client sees no end frame.
struct Pages {
    ahead: Ahead,
    queue: mpsc::Receiver<Bytes>,
    reader: Reader,
    _place: Option<Place>,
}

/// What reads a stream's pages.
enum Reader {
    /// Nothing, until there is room.
    Parked(Box<Reading>),
    /// A task. It gives the stream back where the queue was full.
    Running(JoinHandle<Result<Option<Box<Reading>>, ApiError>>),
    /// Nothing is left to read.
    Done,
    /// Reading failed: after the pages that are there the stream is cut.
    Failed,
}

impl Pages {
    fn new(app: Arc<App>, client: Client, first: Bytes, rest: Box<Reading>, place: Option<Place>) -> Self {
        let (room, queue) = mpsc::channel(QUEUE);
        let queued = Arc::new(AtomicUsize::new(first.len()));
        let sent = room.try_send(first);
        debug_assert!(sent.is_ok(), "a new queue has room");
        Self { ahead: Ahead { app, client, room, queued }, queue, reader: Reader::Parked(rest), _place: place }
    }

    /// Starts a reader where half of the queue is free. Who has ended since is seen first, and who is started wakes the task
    /// when it ends.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        self.note_end(cx);
        let has_room = self.ahead.queued.load(Ordering::Relaxed) <= AHEAD / 2 && self.queue.len() <= QUEUE / 2;
        if has_room && matches!(self.reader, Reader::Parked(_)) {
            self.reader = match std::mem::replace(&mut self.reader, Reader::Done) {
                Reader::Parked(reading) => self.start(reading),
                other => other,
            };
            self.note_end(cx);
        }
    }

    /// Takes note of a reader that has ended.
    fn note_end(&mut self, cx: &mut Context<'_>) {
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

    /// A reader, where there is a place for the next page. It is waited for where no page is left to send: a stream that
    /// waited for what its own pages hold would be one that others wait for.
    fn start(&self, reading: Box<Reading>) -> Reader {
        let place = self.ahead.app.gates.answers.try_take(&self.ahead.client, kib(reading.most));
        if place.is_some() || self.queue.is_empty() {
            Reader::Running(tokio::spawn(self.ahead.clone().read(reading, place)))
        } else {
            Reader::Parked(reading)
        }
    }
}

/// Reads pages ahead of what is sent.
#[derive(Clone)]
struct Ahead {
    app: Arc<App>,
    client: Client,
    room: mpsc::Sender<Bytes>,
    /// Bytes in the queue: a page may be as long as a chunk.
    queued: Arc<AtomicUsize>,
}

impl Ahead {
    /// Reads until the queue is full or there is no place for the next page, and gives the stream back; none where it has
    /// ended, or nobody wants it any more. A page has its place before it is read: the first `place`, or one that is waited for.
    async fn read(self, reading: Box<Reading>, place: Option<Place>) -> Result<Option<Box<Reading>>, ApiError> {
        let place = match place {
            Some(place) => place,
            None => tokio::select! {
                place = self.app.gates.answers.take(&self.client, kib(reading.most)) => place,
                () = self.room.closed() => return Ok(None),
            },
        };
        let app = self.app.clone();
        let read = super::read(&app, move |_| self.read_on(reading, place)).await?;
        read.map_err(|error| ApiError::internal(&error))
    }

    fn read_on(&self, mut reading: Box<Reading>, place: Place) -> Result<Option<Box<Reading>>, PullError> {
        let mut next = Some(place);
        while self.queued.load(Ordering::Relaxed) < AHEAD
            && let Ok(room) = self.room.try_reserve()
            && let Some(mut place) = next.take()
        {
            let (bytes, end) = reading.page()?;
            if !bytes.is_empty() {
                self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
                place.set(kib(bytes.len()));
                room.send(reading.buffers.lend(bytes, place));
            }
            if end == PullEnd::Whole {
                return Ok(None);
            }
            next = self.app.gates.answers.try_take(&self.client, kib(reading.most));
        }
        Ok(Some(reading))
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
                self.ahead.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
                return Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
            }
            if !self.queue.is_empty() {
                // The task has had its turn, and is woken for the next: tokio lets nothing be received until then.
                return Poll::Pending;
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
mod tests;
