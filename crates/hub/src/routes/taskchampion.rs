//! `/v1/client`: TaskChampion's sync protocol.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tolstoy_proto::taskchampion::{
    CLIENT_ID, ClientId, GET_SNAPSHOT, HISTORY_SEGMENT, MAX_BODY, PARENT_VERSION_ID, SNAPSHOT, SNAPSHOT_REQUEST,
    VERSION_ID,
};
use tolstoy_proto::{ErrorKind, TrnId, Urgency};

use super::body::Incoming;
use super::checked::Checked;
use super::error::ApiError;
use super::pieces::{HELD, Pieces};
use super::stream::{Weight, held, kib, weighed};
use super::table::Routes;
use super::{App, body, openapi, snapshots};
use crate::gate::Client;
use crate::service::{AddVersion, ChildVersion, Service, SnapshotOutcome, SnapshotPlace, SnapshotRoom, VersionBytes};

/// What the paths of this surface begin with. The log is named by a header field.
pub(super) const BASE: &str = "/v1/client/";

pub(super) fn routes() -> Routes {
    Routes::default()
        .post("/v1/client/add-version/{parent}", add_version, openapi::taskchampion::add_version)
        .get("/v1/client/get-child-version/{parent}", get_child_version, openapi::taskchampion::get_child_version)
        .post("/v1/client/add-snapshot/{version}", add_snapshot, openapi::taskchampion::add_snapshot)
        .get(GET_SNAPSHOT, get_snapshot, openapi::taskchampion::get_snapshot)
}

/// Whose log a request is about; none where it does not say, or says it wrongly, or more than once.
pub(super) fn client_id(headers: &HeaderMap) -> Option<ClientId> {
    let mut all = headers.get_all(CLIENT_ID).iter();
    let id = all.next()?.to_str().ok()?.parse().ok()?;
    all.next().is_none().then_some(id)
}

/// The answer to who does not say whose log it is about.
pub(super) fn no_client_id() -> ApiError {
    ApiError::bad_request("the request names no client: X-Client-Id is a UUID of 36 lowercase characters")
}

/// Whose log a request is about.
struct Of(ClientId);

impl<S: Send + Sync> FromRequestParts<S> for Of {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        client_id(&parts.headers).map(Self).ok_or_else(no_client_id)
    }
}

fn is_sent_as(headers: &HeaderMap, wanted: &str) -> Result<(), ApiError> {
    let sent = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
    if sent.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("the body's Content-Type is {wanted} here, and not {sent:?}")))
}

fn field(name: &'static str, id: TrnId) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_static(name), HeaderValue::from_str(&id.to_string()).ok()?))
}

async fn add_version(
    State(app): State<Arc<App>>,
    Checked(Path(parent)): Checked<Path<TrnId>>,
    Of(of): Of,
    client: Client,
    request: Request,
) -> Result<Response, ApiError> {
    // Taken apart, since what asks for the head's fields gets a copy.
    let (Parts { headers, .. }, body) = request.into_parts();
    is_sent_as(&headers, HISTORY_SEGMENT)?;
    let (segment, places) = body::segment(&app, client, &headers, body, MAX_BODY).await?;
    match app.writing().holding(places.into_held()).add_version(of, parent, segment).await? {
        AddVersion::Added(id, wanted) => {
            let mut response = StatusCode::OK.into_response();
            let wanted = wanted.map(|urgency| match urgency {
                Urgency::Low => "urgency=low",
                Urgency::High => "urgency=high",
            });
            response.headers_mut().extend(field(VERSION_ID, id));
            response.headers_mut().extend(
                wanted.map(|wanted| (HeaderName::from_static(SNAPSHOT_REQUEST), HeaderValue::from_static(wanted))),
            );
            Ok(response)
        }
        AddVersion::Conflict(newest) => {
            let error = ApiError::conflict(format!("the newest version is {newest}, and not {parent}"));
            Err(field(PARENT_VERSION_ID, newest)
                .into_iter()
                .fold(error, |error, (name, id)| error.with_header(name, id)))
        }
        AddVersion::Quota(quota) => Err(ApiError::quota(quota, None)),
    }
}

async fn get_child_version(
    State(app): State<Arc<App>>,
    Checked(Path(parent)): Checked<Path<TrnId>>,
    Of(of): Of,
    client: Client,
) -> Result<Response, ApiError> {
    let read = move |service: &Service| {
        let child = service.child_version(of, parent)?;
        let weight = match &child {
            ChildVersion::Found(version) => match &version.segment {
                VersionBytes::Whole(bytes) => Weight { kib: kib(bytes.len()), is_long: false },
                VersionBytes::Chunks(..) => Weight { kib: kib(HELD), is_long: true },
            },
            ChildVersion::None | ChildVersion::Gone => Weight::default(),
        };
        Ok((child, weight))
    };
    let (child, places) = weighed(&app, &client, read).await?;
    let version = match child {
        ChildVersion::Found(version) => version,
        ChildVersion::None => return Err(ApiError::not_found(format!("there is no version after {parent} yet"))),
        ChildVersion::Gone => {
            let message = format!("there is no version {parent} here, and there are others: begin with the snapshot");
            return Err(ApiError::new(StatusCode::GONE, ErrorKind::Gone, message));
        }
    };
    let body = match (version.segment, places.stream) {
        (VersionBytes::Whole(bytes), _) => Body::from(held(bytes, places.page)),
        (VersionBytes::Chunks(chunks, bytes), Some(stream)) => {
            let read = move |service: &Service, at: u64| match usize::try_from(at).ok().and_then(|at| chunks.get(at)) {
                Some(chunk) => service.v0_chunk(of.log(), chunk),
                None => Ok(None),
            };
            Body::new(Pieces::read(app.clone(), bytes, [stream, places.page], read))
        }
        // A long answer has a stream's place.
        (VersionBytes::Chunks(..), None) => return Err(ApiError::busy("too many long answers are being sent")),
    };
    let holds = Extension(app.holds(&client));
    let mut response = (holds, [(header::CONTENT_TYPE, HISTORY_SEGMENT)], body).into_response();
    let ids = [field(VERSION_ID, version.id), field(PARENT_VERSION_ID, version.parent)];
    response.headers_mut().extend(ids.into_iter().flatten());
    Ok(response)
}

async fn add_snapshot(
    State(app): State<Arc<App>>,
    Checked(Path(version)): Checked<Path<TrnId>>,
    Of(of): Of,
    client: Client,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (Parts { headers, .. }, body) = request.into_parts();
    is_sent_as(&headers, SNAPSHOT)?;
    let limit = usize::try_from(app.service.policy().snapshot_limit).unwrap_or(usize::MAX).min(MAX_BODY);
    let announced = http_body::Body::size_hint(&body).lower();
    let mut incoming = Incoming::new(&app, client, &headers, body, limit).await?;
    if incoming.is_coded() {
        return Err(incoming.refuse_coding().await);
    }
    let room = match super::read(&app, move |service| service.snapshot_place(of, version)).await?? {
        SnapshotPlace::Wanted(room) => room,
        SnapshotPlace::Late => {
            incoming.forget().await;
            return Ok(StatusCode::OK);
        }
        SnapshotPlace::Nowhere => {
            incoming.forget().await;
            return Err(no_version(version));
        }
    };
    if let Some(refused) = room.lacks(announced) {
        incoming.forget().await;
        return kept(version, refused);
    }
    incoming.take(&app.gates.snapshots).await;
    keep(&app, incoming, of, version, room).await
}

/// Takes the snapshot, and keeps it.
async fn keep(
    app: &App,
    mut incoming: Incoming<'_>,
    of: ClientId,
    version: TrnId,
    room: SnapshotRoom,
) -> Result<StatusCode, ApiError> {
    let arrived = match snapshots::put_aside(app, &mut incoming, room).await? {
        Ok(arrived) if arrived.bytes() == 0 => {
            return Err(ApiError::bad_request("the body is empty: it is no snapshot"));
        }
        Ok(arrived) => arrived,
        Err(refused) => {
            incoming.forget().await;
            return kept(version, refused);
        }
    };
    let (service, places) = (app.service.clone(), incoming.places());
    let keeping = tokio::task::spawn_blocking(move || {
        let kept = service.keep_snapshot(of.log(), version, arrived);
        drop(places);
        kept
    });
    kept(version, keeping.await.map_err(|error| ApiError::internal(&error))??)
}

fn kept(version: TrnId, outcome: SnapshotOutcome) -> Result<StatusCode, ApiError> {
    match outcome {
        SnapshotOutcome::Done(_) => Ok(StatusCode::OK),
        SnapshotOutcome::UnknownTransaction(_) => Err(no_version(version)),
        SnapshotOutcome::Quota(_, quota) => Err(ApiError::quota(quota, None)),
    }
}

fn no_version(version: TrnId) -> ApiError {
    ApiError::bad_request(format!("there is no version {version}"))
}

async fn get_snapshot(State(app): State<Arc<App>>, Of(of): Of, client: Client) -> Result<Response, ApiError> {
    let found = super::read(&app, move |service| service.newest_snapshot(of)).await??;
    let Some((id, snapshot)) = found else { return Err(ApiError::not_found("there is no snapshot")) };
    let body = snapshots::bytes(&app, &client, id, &snapshot).await;
    let mut response = ([(header::CONTENT_TYPE, SNAPSHOT)], body).into_response();
    response.headers_mut().extend(field(VERSION_ID, snapshot.id));
    Ok(response)
}
