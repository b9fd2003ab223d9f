//! The service over HTTP, as `docs/http.md` draws it. One file per surface.

mod body;
mod checked;
mod coding;
mod error;
mod guard;
mod observe;
mod openapi;
mod pieces;
mod snapshots;
mod state;
mod status;
mod stream;
mod table;
mod taskchampion;
mod tasks;
mod v0;
mod v1;
mod watch;
mod watched;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tolstoy_proto::ErrorKind;

use crate::activity::Activities;
use crate::gate::{Client, Gate};
use crate::gc;
use crate::metrics::Metrics;
use crate::pace::{Holds, LeastRate};
use crate::ready::Readiness;
use crate::service::Service;
use crate::storage::SqliteStorage;
use error::ApiError;
use table::Routes;

pub(crate) use body::SMALL_BODY;
pub(crate) use guard::Door;
pub(crate) use openapi::Document;
pub(crate) use stream::Buffers;
pub(crate) use watch::RequestIds;

/// What all routes share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) service: Service,
    /// The database, where the logs are in one.
    pub(crate) database: Option<Arc<SqliteStorage>>,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) gc: gc::Figures,
    pub(crate) activity: Activities,
    pub(crate) request_ids: RequestIds,
    /// What is written about the routes.
    pub(crate) openapi: OnceLock<Document>,
    pub(crate) gates: Gates,
    pub(crate) buffers: Buffers,
    /// Where long pushes are put aside; none: they stay in memory.
    pub(crate) spool: Option<Arc<Path>>,
    /// How long a client may take for the next 16 KiB of a body, or its end.
    pub(crate) body_timeout: Duration,
    /// How fast it must send while others wait for its places.
    pub(crate) least_rate: LeastRate,
}

/// How much is held for requests at the same time, and how much of it for one client. Who finds no room waits, where it
/// is not said otherwise.
#[derive(Debug)]
pub(crate) struct Gates {
    /// Request bodies of at most [`SMALL_BODY`] bytes, or the beginnings of larger ones.
    pub(crate) small: Arc<Gate>,
    /// Larger request bodies.
    pub(crate) large: Arc<Gate>,
    /// Snapshots that arrive, each in a file.
    pub(crate) snapshots: Arc<Gate>,
    /// Bytes of answers that are read and not sent yet, in KiB.
    pub(crate) answers: Arc<Gate>,
    /// Answers of which more is to be read: for what they hold meanwhile.
    pub(crate) streams: Arc<Gate>,
    /// Requests that wait for a log to change. Who finds no room is told so.
    pub(crate) waits: Arc<Gate>,
    /// Requests under way. Who finds no room is told so.
    pub(crate) requests: Arc<Gate>,
    /// Reads of the storage. No client has a share of these, since none can hold one: a reading holds it, for as long as a
    /// page takes.
    pub(crate) reads: Arc<Semaphore>,
}

impl App {
    /// What a client holds by an answer.
    fn holds(&self, client: &Client) -> Holds {
        Holds { gates: [self.gates.answers.clone(), self.gates.streams.clone()], client: client.clone() }
    }
}

/// All routes.
pub(crate) fn router(app: Arc<App>, door: Arc<Door>) -> Router {
    let (routes, described) = Routes::default()
        .and(observe::routes())
        .and(status::routes())
        .and(v0::routes())
        .and(v1::routes())
        .and(snapshots::routes())
        .and(tasks::routes())
        .and(taskchampion::routes())
        .and(openapi::routes())
        .split();
    app.openapi.get_or_init(|| openapi::Document::of(described));
    routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app.clone())
        .layer(watch::Watch { app, door })
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
    let place = app.gates.reads.clone().acquire_owned().await.map_err(|_| ApiError::closing())?;
    let service = app.service.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let read = read(&service);
        // Held by the reading, not by who asked, who may have gone.
        drop(place);
        read
    });
    reading.await.map_err(|error| ApiError::internal(&error))
}
