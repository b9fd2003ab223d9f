//! Request bodies: bounded, awaited with patience, and few large ones at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tolstoy_proto::coding::{self, CodingError, Decompressor, max_coded};
use tolstoy_proto::limits::MAX_PUSH;
use tolstoy_proto::{ErrorKind, Form, FrameDecoder};

use super::App;
use super::coding::is_zstd;
use super::error::ApiError;
use crate::gate::{Client, Gate, Place, Wanted};
use crate::pace::Pace;
use crate::service::{Held, Segment, SegmentUpload, Upload, UploadError, Uploader};

/// Bytes that a request may hold without taking one of the few places for large bodies.
pub(crate) const SMALL_BODY: usize = 256 << 10;

/// Bytes beyond a limit that are read and forgotten, so that the client hears why it is refused.
const PATIENCE: usize = 64 << 20;

/// Bytes that must arrive within the patience for a body, again and again: half a kilobyte a second, usually. Fewer are a
/// stall too, or a client could keep its place for ever with a byte now and then.
const STRIDE: usize = 16 << 10;

/// A request's places among the bodies held in memory. They are free again when nobody has them any more: who holds
/// memory that they stand for holds them too, on a thread or in a job.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    first: Option<Arc<Place>>,
    others: Vec<Arc<Place>>,
}

impl Places {
    fn add(&mut self, place: Place) {
        let place = Arc::new(place);
        match self.first {
            None => self.first = Some(place),
            Some(_) => self.others.push(place),
        }
    }

    /// The same, for a job to hold. Most requests have one place: then this costs nothing.
    pub(super) fn into_held(self) -> Option<Held> {
        match self.first {
            Some(first) if self.others.is_empty() => Some(first),
            first => first.is_some().then(|| Arc::new(Self { first, others: self.others }) as Held),
        }
    }

    fn wanted(&self) -> Wanted {
        self.first.iter().chain(&self.others).map(|place| place.wanted()).fold(Wanted::default(), Wanted::and)
    }
}

/// A body that arrives, as it is sent: where it is coded, its bytes here are the coded ones.
pub(super) struct Incoming<'a> {
    app: &'a App,
    client: Client,
    places: Places,
    pace: Pace,
    body: Body,
    is_coded: bool,
    arrived: usize,
    ended: bool,
    /// Bytes of the body with nothing coded.
    limit: usize,
    /// Bytes since the client was last given time, and until when it has it.
    stride: usize,
    until: Instant,
}

impl<'a> Incoming<'a> {
    pub(super) async fn new(
        app: &'a App,
        client: Client,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<Self, ApiError> {
        let until = Instant::now() + app.body_timeout;
        let (places, pace) = (Places::default(), Pace::new(app.least_rate));
        let is_coded = is_zstd(headers)?;
        let mut incoming =
            Self { app, client, places, pace, body, is_coded, arrived: 0, ended: false, limit, stride: 0, until };
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > incoming.most() as u64) {
            return Err(Box::pin(incoming.refuse()).await);
        }
        Ok(incoming)
    }

    /// Waits for a place among those of this gate. That the hub waited is no fault of the client's.
    pub(super) async fn take(&mut self, gate: &Arc<Gate>) {
        let place = gate.take(&self.client, 1).await;
        self.places.add(place);
        self.give_time();
    }

    /// Its places, for who goes on to hold what arrived.
    pub(super) fn places(&self) -> Places {
        self.places.clone()
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(piece) = self.piece().await? else { return Ok(None) };
        self.arrived += piece.len();
        if self.arrived > self.most() {
            // Elsewhere, so that a body that is taken does not carry its room along.
            return Err(Box::pin(self.refuse()).await);
        }
        Ok(Some(piece))
    }

    /// Bytes that may arrive.
    fn most(&self) -> usize {
        if self.is_coded { max_coded(self.limit) } else { self.limit }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        let late = |message| ApiError::new(StatusCode::REQUEST_TIMEOUT, ErrorKind::Timeout, message);
        while !self.ended {
            let asked = Instant::now();
            // What has arrived needs no timer. What has not is asked for again, by one who is woken.
            let arrived = Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(Waker::noop()));
            let frame = match arrived {
                Poll::Ready(frame) => frame,
                Poll::Pending => timeout_at(self.until, self.body.frame())
                    .await
                    .map_err(|_| late("the body took too long to arrive"))?,
            };
            match frame {
                None => self.ended = true,
                Some(Err(error)) => return Err(ApiError::bad_request(format!("the body was cut: {error}"))),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        self.pace.moved(piece.len(), asked.elapsed());
                        if self.pace.is_too_slow(self.places.wanted()) {
                            return Err(late("the body arrived too slowly while others waited for its place"));
                        }
                        self.stride += piece.len();
                        if self.stride >= STRIDE {
                            self.give_time();
                        }
                        return Ok(Some(piece));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The client has the whole patience from here: what the hub waited for was no fault of its.
    pub(super) fn give_time(&mut self) {
        self.stride = 0;
        self.until = Instant::now() + self.app.body_timeout;
    }

    async fn refuse(&mut self) -> ApiError {
        self.forget().await;
        ApiError::too_large(self.limit)
    }

    /// Bytes that mean nothing to the hub are kept as they come.
    pub(super) async fn refuse_coding(&mut self) -> ApiError {
        self.forget().await;
        let message = "this is kept as it comes: send it without a content coding";
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorKind::UnsupportedMediaType, message)
    }

    /// Whether it is compressed.
    pub(super) fn is_coded(&self) -> bool {
        self.is_coded
    }

    /// Reads what else the client sends and forgets it, so that it hears why it is refused.
    pub(super) async fn forget(&mut self) {
        self.give_time();
        let mut forgotten = 0;
        while forgotten < PATIENCE {
            match self.piece().await {
                Ok(Some(piece)) => forgotten += piece.len(),
                Ok(None) | Err(_) => break,
            }
        }
    }
}

/// A whole body of at most `limit` bytes, with nothing coded.
pub(super) async fn whole(
    app: &App,
    client: Client,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Bytes, Places), ApiError> {
    let mut incoming = Incoming::new(app, client, headers, body, limit).await?;
    incoming.take(&app.gates.small).await;
    let mut large = false;
    let body = match (incoming.next().await?, incoming.next().await?) {
        (None, _) => Bytes::new(),
        (Some(only), None) => only,
        (Some(first), mut next) => {
            let mut all = BytesMut::from(first);
            while let Some(piece) = next {
                if !large && all.len() + piece.len() > SMALL_BODY {
                    incoming.take(&app.gates.large).await;
                    large = true;
                }
                all.extend_from_slice(&piece);
                next = incoming.next().await?;
            }
            all.freeze()
        }
    };
    if !incoming.is_coded {
        return Ok((body, incoming.places));
    }
    if !large {
        match coding::decompress(&body, limit.min(SMALL_BODY)) {
            Err(CodingError::TooLong(small)) if small < limit => incoming.take(&app.gates.large).await,
            short => return Ok((short?.into(), incoming.places)),
        }
    }
    // Elsewhere: this takes a while.
    let places = incoming.places;
    let long = tokio::task::spawn_blocking(move || Ok((coding::decompress(&body, limit)?.into(), places))).await;
    long.map_err(|error| ApiError::internal(&error))?
}

/// A history segment: it is sent as it is, and is not empty. A short one is taken here; a long one on a thread that may block,
/// which puts it aside.
pub(super) async fn segment(
    app: &App,
    client: Client,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Segment, Places), ApiError> {
    let empty = || ApiError::bad_request("the body is empty, and a version holds something");
    let mut incoming = Incoming::new(app, client, headers, body, limit).await?;
    if incoming.is_coded {
        return Err(incoming.refuse_coding().await);
    }
    incoming.take(&app.gates.small).await;
    let first = incoming.next().await?.ok_or_else(empty)?;
    let mut more = BytesMut::new();
    let mut ended = false;
    while !ended && incoming.arrived <= SMALL_BODY {
        match incoming.next().await? {
            Some(piece) if more.is_empty() => {
                more.extend_from_slice(&first);
                more.extend_from_slice(&piece);
            }
            Some(piece) => more.extend_from_slice(&piece),
            None => ended = true,
        }
    }
    let arrived = if more.is_empty() { first } else { more.freeze() };
    if ended && incoming.arrived <= SMALL_BODY {
        return Ok((Segment::short(arrived).ok_or_else(empty)?, incoming.places));
    }
    let spool = app.spool.clone();
    incoming.take(&app.gates.large).await;
    // Elsewhere, so that a short version does not carry its room along.
    let upload = Box::pin(onto_thread(&mut incoming, move |mut arriving| {
        let mut upload = SegmentUpload::new(spool.as_deref())?;
        upload.take(&arrived)?;
        drop(arrived);
        while let Some(piece) = arriving.blocking_recv() {
            upload.take(&piece)?;
        }
        Ok::<_, UploadError>(upload)
    }));
    let segment = upload.await?.finish().ok_or_else(empty)?;
    Ok((segment, incoming.places))
}

/// A push. A short one is taken here; a long one on a thread that may block, which puts it aside.
pub(super) async fn upload(
    app: &App,
    client: Client,
    headers: &HeaderMap,
    body: Body,
    form: Form,
) -> Result<(Upload, Places), ApiError> {
    let limit = match form {
        Form::MessagePack => MAX_PUSH,
        Form::Json => MAX_PUSH / 3 * 4,
    };
    let mut incoming = Incoming::new(app, client, headers, body, limit).await?;
    incoming.take(&app.gates.small).await;
    // Copied from the second piece on: a piece holds on to the buffer that it was read into, however short it is.
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    let mut ended = false;
    while !ended && incoming.arrived <= SMALL_BODY {
        match incoming.next().await? {
            Some(piece) if first.is_empty() => first = piece,
            Some(piece) => more.extend_from_slice(&piece),
            None => ended = true,
        }
    }
    let pieces = [first, more.freeze()];
    if ended && let Some(reading) = Reading::short(&incoming, form, &pieces)? {
        return Ok((reading.finish()?, incoming.places));
    }
    let mut reading = Reading::new(&incoming, form)?;
    incoming.take(&app.gates.large).await;
    // Elsewhere, so that a short push does not carry its room along.
    let reading = Box::pin(onto_thread(&mut incoming, move |mut arriving| {
        pieces.iter().try_for_each(|piece| reading.take(piece))?;
        drop(pieces);
        while let Some(piece) = arriving.blocking_recv() {
            reading.take(&piece)?;
        }
        Ok::<_, ApiError>(reading)
    }));
    let reading = reading.await?;
    Ok((reading.finish()?, incoming.places))
}

/// Hands what arrives to a thread that may block. Where that fails, the rest is forgotten, so that the client hears why.
pub(super) async fn onto_thread<R, E>(
    incoming: &mut Incoming<'_>,
    take: impl FnOnce(mpsc::Receiver<Bytes>) -> Result<R, E> + Send + 'static,
) -> Result<R, ApiError>
where
    R: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let (forward, arriving) = mpsc::channel::<Bytes>(4);
    let places = incoming.places();
    let taking = tokio::task::spawn_blocking(move || {
        let taken = take(arriving);
        // Held by who holds the bytes, not by who sends them, who may have gone.
        drop(places);
        taken
    });
    let mut cut = None;
    loop {
        match incoming.next().await {
            Ok(Some(piece)) => {
                // It stops listening when it has met an error, which it gives below.
                let waits = forward.capacity() == 0;
                if forward.send(piece).await.is_err() {
                    break;
                }
                if waits {
                    incoming.give_time();
                }
            }
            Ok(None) => break,
            Err(error) => {
                cut = Some(error);
                break;
            }
        }
    }
    drop(forward);
    match (taking.await.map_err(|error| ApiError::internal(&error))?, cut) {
        (Err(error), _) => {
            incoming.forget().await;
            Err(error.into())
        }
        (Ok(_), Some(error)) => Err(error),
        (Ok(taken), None) => Ok(taken),
    }
}

/// A push that is read.
struct Reading {
    coding: Option<Decompressor>,
    frames: Frames,
}

impl Reading {
    fn new(incoming: &Incoming<'_>, form: Form) -> Result<Self, ApiError> {
        let coding = incoming.is_coded.then(|| Decompressor::new(incoming.limit)).transpose();
        Ok(Self {
            coding: coding.map_err(|error| ApiError::internal(&error))?,
            frames: Frames::new(incoming.app, form),
        })
    }

    /// A push that has arrived and is short, read; none where it is long with nothing coded any more.
    fn short(incoming: &Incoming<'_>, form: Form, pieces: &[Bytes]) -> Result<Option<Self>, ApiError> {
        let mut frames = Frames::new(incoming.app, form);
        if incoming.is_coded {
            match coding::decompress(&pieces.concat(), SMALL_BODY) {
                Err(CodingError::TooLong(_)) => return Ok(None),
                bytes => frames.take(&bytes?)?,
            }
        } else {
            pieces.iter().try_for_each(|piece| frames.take(piece))?;
        }
        Ok(Some(Self { coding: None, frames }))
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        match &mut self.coding {
            Some(coding) => coding.feed(piece, |bytes| self.frames.take(bytes)),
            None => self.frames.take(piece),
        }
    }

    fn finish(self) -> Result<Upload, ApiError> {
        self.coding.map_or(Ok(()), Decompressor::finish)?;
        self.frames.finish()
    }
}

/// The frames of a push.
struct Frames {
    decoder: FrameDecoder,
    uploader: Uploader,
}

impl Frames {
    fn new(app: &App, form: Form) -> Self {
        Self { decoder: FrameDecoder::new(form), uploader: Uploader::new(app.spool.clone()) }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.decoder.feed(bytes);
        while let Some(frame) = self.decoder.next_frame().map_err(|error| ApiError::bad_request(error.to_string()))? {
            self.uploader.accept(frame)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Upload, ApiError> {
        self.decoder.finish().map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(self.uploader.finish()?)
    }
}
