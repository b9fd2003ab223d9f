//! `/1/logs/{log}`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use tolstoy_proto::limits::MAX_CANDIDATES;
use tolstoy_proto::{ErrorBody, ErrorKind, Form, LogId, LogState, Pushed, TrnId, media};

use super::checked::Checked;
use super::coding::{self, Coding};
use super::error::ApiError;
use super::state::{self, Told};
use super::stream::Asked;
use super::table::Routes;
use super::watched::{self, WaitArgs};
use super::{App, body, openapi, stream};
use crate::gate::Client;
use crate::service::{Begin, PushOutcome};

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/1/logs/{log}", info, openapi::v1::info)
        .delete("/1/logs/{log}", delete, openapi::v1::delete)
        .get("/1/logs/{log}/pull", pull, openapi::v1::pull)
        .post("/1/logs/{log}/push", push, openapi::v1::push)
}

async fn info(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    Checked(Query(args)): Checked<Query<WaitArgs>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let show = |state| (Extension(Told), Json(state));
    let (state, mut response) = watched::answer(&app, log, &client, &headers, &args, show).await?;
    if response.status() == StatusCode::NOT_MODIFIED {
        state::with_state(&mut response, &state);
    }
    Ok(response)
}

async fn delete(State(app): State<Arc<App>>, Checked(Path(log)): Checked<Path<LogId>>) -> Result<StatusCode, ApiError> {
    app.service.delete(log).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct PullArgs {
    from: Option<String>,
    /// `1`: begin with the newest snapshot, where the stream begins at the root.
    snapshot: Option<u8>,
}

async fn pull(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    Checked(Query(args)): Checked<Query<PullArgs>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let from = candidates(args.from.as_deref().unwrap_or(""))?;
    let begin = if args.snapshot == Some(1) { Begin::Snapshot } else { Begin::Transactions };
    let (form, coding) = (stream::accepted(&headers), Coding::accepted(&headers)?);
    stream::answer(&app, &client, Asked { log, from, begin, form, coding }, StatusCode::OK).await
}

fn candidates(text: &str) -> Result<Vec<TrnId>, ApiError> {
    let ids: Vec<TrnId> = text
        .split(',')
        .filter(|id| !id.is_empty())
        .take(MAX_CANDIDATES + 1)
        .map(|id| id.parse().map_err(|bad| ApiError::bad_request(format!("the query's from: {bad}"))))
        .collect::<Result<_, _>>()?;
    if ids.len() > MAX_CANDIDATES {
        return Err(ApiError::bad_request(format!("the query's from: more than {MAX_CANDIDATES} ids")));
    }
    Ok(ids)
}

async fn push(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    client: Client,
    request: Request,
) -> Result<Response, ApiError> {
    // Taken apart, since what asks for the head's fields gets a copy.
    let (Parts { headers, .. }, body) = request.into_parts();
    let (form, coding) = (stream::accepted(&headers), Coding::accepted(&headers)?);
    let (upload, places) = body::upload(&app, client.clone(), &headers, body, sent(&headers)?).await?;
    // Held by nobody while the push waits for its commit: neither they nor what they were read into.
    drop(headers);
    let outcome = app.writing().holding(places.into_held()).push(log, upload).await?;
    match outcome {
        PushOutcome::Done(state, snapshot) => {
            Ok((Extension(Told), [coding::TAKES], pushed(&Pushed { state, snapshot })?).into_response())
        }
        PushOutcome::Quota(state, quota) => Err(ApiError::quota(quota, Some(state))),
        PushOutcome::Conflict(from) => {
            let asked = Asked { log, from, begin: Begin::Transactions, form, coding };
            // Elsewhere, so that a push that is taken does not carry its room along.
            Box::pin(stream::answer(&app, &client, asked, StatusCode::CONFLICT)).await
        }
        PushOutcome::Generation(state) => Err(with_state(
            StatusCode::PRECONDITION_FAILED,
            ErrorKind::Generation,
            "the log is in another generation than the push: it was deleted, or begun anew",
            state,
        )),
        PushOutcome::MissingChunks(chunks) => {
            let mut body =
                ErrorBody::new(ErrorKind::MissingChunks, "the push names chunks that are neither in it nor here");
            body.chunks = Some(chunks);
            Err(ApiError::with(StatusCode::UNPROCESSABLE_ENTITY, body))
        }
        PushOutcome::IdTaken(why) => Err(ApiError::new(StatusCode::CONFLICT, ErrorKind::IdTaken, why)),
        PushOutcome::ChainMismatch(state) => Err(with_state(
            StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::ChainMismatch,
            "HEAD is what the push expects, but the chains that lead there differ",
            state,
        )),
    }
}

fn with_state(status: StatusCode, kind: ErrorKind, message: &str, state: LogState) -> ApiError {
    let mut body = ErrorBody::new(kind, message);
    body.state = Some(state);
    ApiError::with(status, body)
}

/// The body of the answer to a push that is in the log.
fn pushed(pushed: &Pushed) -> Result<impl IntoResponse + use<>, ApiError> {
    // As long as it is: so it is written in one go.
    let mut body = Vec::with_capacity(384);
    serde_json::to_writer(&mut body, pushed).map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(media::JSON))], body))
}

/// The form that the body is sent in.
fn sent(headers: &HeaderMap) -> Result<Form, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
    match content_type.split(';').next().unwrap_or("").trim() {
        kind if kind.eq_ignore_ascii_case(media::MSGPACK) => Ok(Form::MessagePack),
        kind if kind.eq_ignore_ascii_case(media::JSON) => Ok(Form::Json),
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::UnsupportedMediaType,
            format!("a push is {} or {}, not {content_type:?}: say which in Content-Type", media::MSGPACK, media::JSON),
        )),
    }
}
