//! Is the hub alive, is it ready, and what does it count.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;
use tolstoy_proto::paths;

use super::error::ApiError;
use super::table::Routes;
use super::{App, openapi};
use crate::metrics::Now;
use crate::service::STUCK;
use crate::storage::{SqliteStorage, StorageError};

/// The media type of an exposition.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(paths::HEALTHZ, healthz, openapi::hub::healthz)
        .get(paths::READYZ, readyz, openapi::hub::readyz)
        .get(paths::METRICS, metrics, openapi::hub::metrics)
}

async fn healthz(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    if app.service.is_alive() {
        return Ok(Json(json!({"status": "ok"})).into_response());
    }
    let message = format!("a write has been under way for more than {} seconds", STUCK.as_secs());
    Err(ApiError::busy(&message))
}

async fn readyz(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let problems = app.problems().await;
    if problems.is_empty() {
        return Ok(Json(json!({"status": "ready"})).into_response());
    }
    let message = format!("not ready: {}", problems.join("; "));
    Err(ApiError::busy(&message))
}

async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let ready = app.problems().await.is_empty();
    let now = app.look(ready).await?;
    let exposition = app.metrics.exposition(&now).map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], exposition).into_response())
}

impl App {
    /// What keeps the hub from its work.
    pub(super) async fn problems(&self) -> Vec<String> {
        self.readiness.problems(&self.service, self.database.as_deref()).await
    }

    /// Looks up what is not counted.
    pub(super) async fn look(self: &Arc<Self>, ready: bool) -> Result<Now, ApiError> {
        let streams = self.gates.streams.held();
        let answer_bytes = (self.gates.answers.held() as u64) << 10;
        let app = self.clone();
        super::read(self, move |service| {
            let totals = service.totals()?;
            let database = app.database.as_deref();
            let sizes = database.and_then(|database| database.file_sizes().ok());
            Ok::<_, StorageError>(Now {
                streams,
                answer_bytes,
                totals,
                gc: app.gc.get(),
                database_bytes: sizes.map(|(file, _)| file),
                wal_bytes: sizes.map(|(_, wal)| wal),
                disk_free_bytes: database.and_then(SqliteStorage::disk_free),
                ready,
            })
        })
        .await?
        .map_err(ApiError::from)
    }
}
