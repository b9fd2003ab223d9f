//! `/0.1/{user}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Json, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tolstoy_proto::limits::MAX_CHUNK;
use tolstoy_proto::v0::{CommittedTransaction, DEFAULT_LIMIT, Head, Listing, MAX_BODY, MAX_LIMIT, NewTransaction};
use tolstoy_proto::{ChunkId, LogId, LogState, TrnId, check_chunk_ids};

use super::body::Places;
use super::checked::Checked;
use super::coding::Coding;
use super::error::ApiError;
use super::table::Routes;
use super::watched::{self, WaitArgs};
use super::{App, body, openapi, stream};
use crate::gate::Client;
use crate::service::{HeadOutcome, ListOutcome, PutOutcome};

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/0.1/{user}", base, openapi::v0::base)
        .delete("/0.1/{user}", delete, openapi::v0::delete)
        .get("/0.1/{user}/", base, openapi::v0::base_slash)
        .delete("/0.1/{user}/", delete, openapi::v0::delete_slash)
        .get("/0.1/{user}/head", get_head, openapi::v0::get_head)
        .put("/0.1/{user}/head", put_head, openapi::v0::put_head)
        .get("/0.1/{user}/transactions", list, openapi::v0::list)
        .get("/0.1/{user}/transactions/{trn}", get_transaction, openapi::v0::get_transaction)
        .put("/0.1/{user}/transactions/{trn}", put_transaction, openapi::v0::put_transaction)
        .get("/0.1/{user}/chunks/{chunk}", get_chunk, openapi::v0::get_chunk)
        .put("/0.1/{user}/chunks/{chunk}", put_chunk, openapi::v0::put_chunk)
}

async fn base(Checked(Path(_)): Checked<Path<LogId>>) -> StatusCode {
    StatusCode::OK
}

async fn delete(State(app): State<Arc<App>>, Checked(Path(log)): Checked<Path<LogId>>) -> Result<StatusCode, ApiError> {
    app.service.delete(log).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn get_head(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    Checked(Query(args)): Checked<Query<WaitArgs>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let show = |state: LogState| Json(Head { head: state.head });
    Ok(watched::answer(&app, log, &client, &headers, &args, show).await?.1)
}

async fn put_head(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let (Head { head }, places) = json(&app, client, &headers, body).await?;
    match app.writing().holding(places.into_held()).v0_put_head(log, head).await? {
        HeadOutcome::Done => Ok(StatusCode::NO_CONTENT),
        HeadOutcome::Conflict(why) => Err(ApiError::conflict(why)),
    }
}

#[derive(Debug, Deserialize)]
struct ListArgs {
    from: Option<TrnId>,
    limit: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    Checked(Path(log)): Checked<Path<LogId>>,
    Checked(Query(args)): Checked<Query<ListArgs>>,
) -> Result<Json<Listing>, ApiError> {
    let from = args.from.unwrap_or(TrnId::ROOT);
    let limit = args.limit.as_deref().map_or(Ok(DEFAULT_LIMIT), parse_limit)?;
    // At most MAX_LIMIT, which every usize holds.
    let count = usize::try_from(limit).unwrap_or(usize::MAX);
    match super::read(&app, move |service| service.v0_list(log, from, count)).await?? {
        ListOutcome::Listed(transactions) => Ok(Json(Listing { from, limit, transactions })),
        ListOutcome::UnknownFrom => Err(ApiError::not_found(format!("from: no committed transaction {from}"))),
    }
}

/// A number that is not negative, however large, taken as at most the highest limit.
fn parse_limit(text: &str) -> Result<u64, ApiError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ApiError::bad_request("the query's limit: it must be a number that is not negative"));
    }
    Ok(text.parse().unwrap_or(MAX_LIMIT).min(MAX_LIMIT))
}

async fn get_transaction(
    State(app): State<Arc<App>>,
    Checked(Path((log, id))): Checked<Path<(LogId, TrnId)>>,
) -> Result<Json<CommittedTransaction>, ApiError> {
    let found = super::read(&app, move |service| service.v0_transaction(log, id)).await??;
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("there is no committed transaction {id}")))
}

async fn put_transaction(
    State(app): State<Arc<App>>,
    Checked(Path((log, id))): Checked<Path<(LogId, TrnId)>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let (new, places): (NewTransaction, _) = json(&app, client, &headers, body).await?;
    check_chunk_ids(&new.chunks).map_err(ApiError::bad_request)?;
    put(app.writing().holding(places.into_held()).v0_put_transaction(log, id, new).await?)
}

async fn get_chunk(
    State(app): State<Arc<App>>,
    Checked(Path((log, id))): Checked<Path<(LogId, ChunkId)>>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = stream::chunk(&app, &client, log, id, Coding::accepted(&headers)?).await?;
    found.ok_or_else(|| ApiError::not_found(format!("there is no chunk {id}")))
}

async fn put_chunk(
    State(app): State<Arc<App>>,
    Checked(Path((log, id))): Checked<Path<(LogId, ChunkId)>>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let (bytes, places) = body::whole(&app, client, &headers, body, MAX_CHUNK).await?;
    put(app.writing().holding(places.into_held()).v0_put_chunk(log, id, bytes).await?)
}

fn put(outcome: PutOutcome) -> Result<StatusCode, ApiError> {
    match outcome {
        PutOutcome::Done => Ok(StatusCode::CREATED),
        PutOutcome::UnknownChunk(id) => Err(ApiError::not_found(format!("there is no chunk {id}"))),
        PutOutcome::WrongDigest => Err(ApiError::bad_request("the chunk's id is a SHA-256, and not that of the bytes")),
        PutOutcome::Conflict(why) => Err(ApiError::conflict(why)),
        PutOutcome::Quota(quota) => Err(ApiError::quota(quota, None)),
    }
}

/// A body in JSON, whatever its content type says: clients of this API do not always say it.
async fn json<T: DeserializeOwned>(
    app: &App,
    client: Client,
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, Places), ApiError> {
    let (bytes, places) = body::whole(app, client, headers, body, MAX_BODY).await?;
    let value = serde_json::from_slice(&bytes);
    Ok((value.map_err(|error| ApiError::bad_request(format!("the body: {error}")))?, places))
}
