//! The service over HTTP, as `docs/http.md` draws it. One file per surface.

mod body;
mod checked;
mod coding;
mod error;
mod guard;
mod openapi;
mod snapshots;
mod state;
mod stream;
mod table;
mod v0;
mod v1;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::{Extension, Router, middleware};
use serde_json::json;
use tokio::sync::Semaphore;
use tolstoy_proto::{ErrorKind, paths};

use crate::service::Service;
use error::ApiError;
use table::Routes;

pub(crate) use body::SMALL_BODY;
pub(crate) use guard::Door;

/// How long `/healthz` waits for the writer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// What all routes share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) service: Service,
    pub(crate) gate: Gate,
    /// Where long pushes are put aside; none: they stay in memory.
    pub(crate) spool: Option<PathBuf>,
    /// How long a client may take for the next 16 KiB of a body, or its end.
    pub(crate) body_timeout: Duration,
}

/// How much may be held in memory at the same time. Who finds no room waits.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Request bodies of at most [`SMALL_BODY`] bytes, or the beginnings of larger ones.
    pub(crate) small: Arc<Semaphore>,
    /// Larger request bodies.
    pub(crate) large: Arc<Semaphore>,
    /// Reads of the storage.
    pub(crate) reads: Arc<Semaphore>,
    /// Snapshots that arrive, each in a file.
    pub(crate) snapshots: Arc<Semaphore>,
    /// Answers that are longer than a page.
    pub(crate) streams: Arc<Semaphore>,
    /// Requests that wait for a log to change. Who finds no room is told so.
    pub(crate) waits: Arc<Semaphore>,
}

/// All routes.
pub(crate) fn router(app: Arc<App>, door: Arc<Door>) -> Router {
    let (routes, described) = Routes::default()
        .get("/", root, openapi::hub::root)
        .get(paths::HEALTHZ, healthz, openapi::hub::healthz)
        .and(v0::routes())
        .and(v1::routes().and(snapshots::routes()).told(app.clone()))
        .and(openapi::routes())
        .split();
    routes
        .layer(Extension(openapi::Document::of(described)))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
        .layer(middleware::from_fn_with_state(door, guard::admit))
}

async fn root() -> &'static str {
    "This is a Tolstoy hub.\n"
}

async fn healthz(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    match tokio::time::timeout(HEALTH_TIMEOUT, app.service.probe()).await {
        Ok(answer) => {
            answer?;
            Ok(Json(json!({"status": "ok"})).into_response())
        }
        Err(_) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Busy, "the writer does not answer")),
    }
}

async fn no_such_path() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, "there is nothing at this path")
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::MethodNotAllowed,
        "this path does not know the request's method",
    )
}

/// Reads the storage on a thread that may block.
async fn read<R: Send + 'static>(
    app: &Arc<App>,
    read: impl FnOnce(&Service) -> R + Send + 'static,
) -> Result<R, ApiError> {
    let _place = app.gate.reads.acquire().await.map_err(|_| ApiError::closing())?;
    let service = app.service.clone();
    tokio::task::spawn_blocking(move || read(&service)).await.map_err(|error| ApiError::internal(&error))
}
