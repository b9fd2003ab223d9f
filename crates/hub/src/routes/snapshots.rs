//! `/1/logs/{log}/snapshots`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use tolstoy_proto::{BlobDigest, ErrorBody, ErrorKind, LogId, LogState, Snapshot, TrnId, media};

use super::body::{Incoming, onto_thread};
use super::checked::Checked;
use super::error::ApiError;
use super::pieces::{HELD, Pieces};
use super::state::{Told, with_state};
use super::stream::kib;
use super::table::Routes;
use super::{App, openapi};
use crate::gate::Client;
use crate::service::{SnapshotOutcome, SnapshotRoom, SnapshotUpload, UploadError};
use crate::storage::SnapshotId;

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
    if incoming.is_coded() {
        return Err(incoming.refuse_coding().await);
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

/// A snapshot's bytes as the body of an answer.
pub(super) async fn bytes(app: &Arc<App>, client: &Client, id: SnapshotId, snapshot: &Snapshot) -> Response {
    let places = [app.gates.streams.take(client, 1).await, app.gates.answers.take(client, kib(HELD)).await];
    let body = Body::new(Pieces::read(app.clone(), snapshot.bytes, places, move |service, at| service.piece(id, at)));
    (Extension(app.holds(client)), [(header::CONTENT_LENGTH, snapshot.bytes)], body).into_response()
}

/// Takes the body into a file, or says why there is no room for so much.
pub(super) async fn put_aside(
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
        (StatusCode::OK, [(header::CONTENT_TYPE, media::OCTETS)], bytes(&app, &client, id, &snapshot).await)
            .into_response()
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
