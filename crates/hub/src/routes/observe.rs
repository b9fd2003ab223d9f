//! Is the hub alive, is it ready, and what does it count.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;
use tolstoy_proto::{ErrorKind, paths};

use super::error::ApiError;
use super::table::Routes;
use super::{App, openapi};
use crate::metrics::Now;
use crate::storage::{SqliteStorage, StorageError};

/// How long `/healthz` waits for the writer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The media type of an exposition.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(paths::HEALTHZ, healthz, openapi::hub::healthz)
        .get(paths::READYZ, readyz, openapi::hub::readyz)
        .get(paths::METRICS, metrics, openapi::hub::metrics)
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

async fn readyz(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let problems = app.problems().await;
    if problems.is_empty() {
        return Ok(Json(json!({"status": "ready"})).into_response());
    }
    let message = format!("not ready: {}", problems.join("; "));
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Busy, message))
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
        let streams = self.gate.most_streams.saturating_sub(self.gate.streams.available_permits());
        let app = self.clone();
        super::read(self, move |service| {
            let totals = service.totals()?;
            let database = app.database.as_deref();
            let sizes = database.and_then(|database| database.file_sizes().ok());
            Ok::<_, StorageError>(Now {
                streams,
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
