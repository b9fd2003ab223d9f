//! `/1/logs/{log}/snapshots`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;
use tolstoy_proto::{BlobDigest, ErrorBody, ErrorKind, LogId, LogState, Snapshot, TrnId, media};

use super::body::{Incoming, onto_thread};
use super::checked::Checked;
use super::error::ApiError;
use super::state::{Told, with_state};
use super::stream::kib;
use super::table::Routes;
use super::{App, openapi};
use crate::gate::{Client, Place};
use crate::service::{Service, SnapshotOutcome, SnapshotRoom, SnapshotUpload, UploadError};
use crate::storage::{PIECE, SnapshotId};

pub(super) fn routes() -> Routes {
    const ONE: &str = "/1/logs/{log}/snapshots/{trn}";
    Routes::default()
        .get("/1/logs/{log}/snapshots", list, openapi::snapshots::list)
        .get(ONE, download, openapi::snapshots::download)
        .put(ONE, upload, openapi::snapshots::upload)
}

async fn list(State(app): State<Arc<App>>, Checked(Path(log)): Checked<Path<LogId>>) -> Result<Response, ApiError> {
    let found = super::read(&app, move |service| service.snapshots(log)).await??;
    Ok((Extension(Told), Json(found)).into_response())
}

fn no_transaction(trn: TrnId, state: LogState) -> ApiError {
    let mut body = ErrorBody::new(ErrorKind::NotFound, format!("there is no committed transaction {trn}"));
    body.state = Some(state);
    ApiError::with(StatusCode::NOT_FOUND, body)
}

async fn upload(
    State(app): State<Arc<App>>,
    Checked(Path((log, trn))): Checked<Path<(LogId, TrnId)>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let limit = usize::try_from(app.service.policy().snapshot_limit).unwrap_or(usize::MAX);
    let announced = http_body::Body::size_hint(&body).lower();
    let mut incoming = Incoming::new(&app, client, &headers, body, limit).await?;
    let Some(digest) = headers.get(media::REPR_DIGEST).and_then(|field| BlobDigest::from_field(field.to_str().ok()?))
    else {
        incoming.forget().await;
        return Err(ApiError::bad_request("a snapshot comes with its SHA-256: Repr-Digest: sha-256=:base64:"));
    };
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        incoming.forget().await;
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::UnsupportedMediaType,
            "a snapshot is kept as it comes: send it without a content coding",
        ));
    }
    let room = super::read(&app, move |service| service.snapshot_room(log, trn, digest)).await??;
    // Without an announced length it is weighed as it arrives.
    if let Some(refused) = room.lacks(announced) {
        incoming.forget().await;
        return answer(trn, refused);
    }
    incoming.take(&app.gates.snapshots).await;
    let arrived = match put_aside(&app, &mut incoming, room).await? {
        Ok(arrived) => arrived,
        Err(refused) => {
            incoming.forget().await;
            return answer(trn, refused);
        }
    };
    if arrived.digest() != digest {
        return Err(ApiError::bad_request(format!(
            "the bytes' SHA-256 is {}, and Repr-Digest says {digest}: they were damaged on the way",
            arrived.digest()
        )));
    }
    let (service, places) = (app.service.clone(), incoming.places());
    let kept = tokio::task::spawn_blocking(move || {
        let kept = service.keep_snapshot(log, trn, arrived);
        drop(places);
        kept
    });
    answer(trn, kept.await.map_err(|error| ApiError::internal(&error))??)
}

fn answer(trn: TrnId, outcome: SnapshotOutcome) -> Result<Response, ApiError> {
    match outcome {
        SnapshotOutcome::Done(kept) => Ok((StatusCode::CREATED, Extension(Told), Json(kept)).into_response()),
        SnapshotOutcome::UnknownTransaction(state) => Err(no_transaction(trn, state)),
        SnapshotOutcome::Quota(state, quota) => Err(ApiError::quota(quota, Some(state))),
    }
}

/// Takes the body into a file, or says why there is no room for so much.
async fn put_aside(
    app: &App,
    incoming: &mut Incoming<'_>,
    room: SnapshotRoom,
) -> Result<Result<SnapshotUpload, SnapshotOutcome>, ApiError> {
    let spool = app.spool.clone();
    let upload = onto_thread(incoming, move |mut arriving| {
        let mut upload = SnapshotUpload::new(spool.as_deref())?;
        while let Some(piece) = arriving.blocking_recv() {
            if let Some(refused) = room.lacks(upload.bytes() + piece.len() as u64) {
                return Ok(Err(refused));
            }
            upload.take(&piece)?;
        }
        Ok::<_, UploadError>(Ok(upload))
    });
    upload.await
}

async fn download(
    State(app): State<Arc<App>>,
    Checked(Path((log, trn))): Checked<Path<(LogId, TrnId)>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (state, found) = super::read(&app, move |service| service.snapshot(log, trn)).await??;
    let Some((id, snapshot)) = found else {
        let mut body = ErrorBody::new(ErrorKind::NotFound, format!("there is no snapshot at transaction {trn}"));
        body.state = Some(state);
        return Err(ApiError::with(StatusCode::NOT_FOUND, body));
    };
    let tag = format!("\"{}\"", snapshot.digest);
    let has = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known =
        has.flat_map(|value| value.split(',')).any(|known| matches!(known.trim(), "*") || known.trim() == tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let places = [app.gates.streams.take(&client, 1).await, app.gates.answers.take(&client, kib(HELD)).await];
        let holds = Extension(app.holds(&client));
        let body = Body::new(Pieces::read(app.clone(), id, &snapshot, places));
        let length = [(header::CONTENT_LENGTH, snapshot.bytes)];
        (holds, [(header::CONTENT_TYPE, media::OCTETS)], length, body).into_response()
    };
    let fields = [(header::ETAG.as_str(), tag), (media::REPR_DIGEST, snapshot.digest.to_field())];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    with_state(&mut response, &state);
    Ok(response)
}

/// Pieces that wait to be sent.
const QUEUE: usize = 2;

/// What a download holds: those, the one that is read and the one that is sent.
const HELD: usize = (QUEUE + 2) * PIECE;

/// A snapshot's pieces as a body. A task reads them while there is room for them, one at a time.
struct Pieces {
    queue: mpsc::Receiver<Result<Bytes, Cut>>,
    left: u64,
    _places: [Place; 2],
}

/// The snapshot was replaced or its log deleted while it was read, or the storage failed.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot was cut")]
struct Cut;

impl Pieces {
    fn read(app: Arc<App>, id: SnapshotId, snapshot: &Snapshot, places: [Place; 2]) -> Self {
        let left = snapshot.bytes;
        let (room, queue) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut at = 0;
            let mut given = 0;
            while given < left {
                let Ok(room) = room.reserve().await else { return };
                let read = super::read(&app, move |service: &Service| service.piece(id, at)).await;
                match read {
                    Ok(Ok(Some(piece))) => {
                        given += piece.len() as u64;
                        at += 1;
                        room.send(Ok(piece));
                    }
                    Ok(Ok(None)) => return room.send(Err(Cut)),
                    Ok(Err(error)) => {
                        tracing::error!(%error, "a snapshot could not be read");
                        return room.send(Err(Cut));
                    }
                    Err(_) => return room.send(Err(Cut)),
                }
            }
        });
        Self { queue, left, _places: places }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.queue.poll_recv(cx).map(|piece| {
            let piece = piece?;
            if let Ok(bytes) = &piece {
                self.left = self.left.saturating_sub(bytes.len() as u64);
            }
            Some(piece.map(Frame::data))
        })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}
