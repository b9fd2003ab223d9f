//! Every answer of `/1` about a log carries the log's state: so a client sees at once that a log was wiped, or a hub
//! restored. Most do so in their body; the others in a header field.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tolstoy_proto::{LogId, LogState, media};

use super::App;

/// Marks an answer whose body carries the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told;

/// Adds the state as a header field.
pub(super) fn with_state(response: &mut Response, state: &LogState) {
    if let Ok(value) = HeaderValue::from_str(&state.to_field()) {
        response.headers_mut().insert(media::STATE, value);
    }
}

/// Adds the state to an answer that does not carry it. Where the hub has trouble, it is not asked for more.
pub(super) async fn tell(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let log = log_of(request.uri().path());
    let mut response = next.run(request).await;
    let in_trouble = response.status().is_server_error() || response.status() == StatusCode::REQUEST_TIMEOUT;
    let told = response.extensions().get::<Told>().is_some() || response.headers().contains_key(media::STATE);
    if let Some(log) = log
        && !in_trouble
        && !told
        && let Ok(Ok(state)) = super::read(&app, move |service| service.info(log)).await
    {
        with_state(&mut response, &state);
    }
    response
}

fn log_of(path: &str) -> Option<LogId> {
    path.strip_prefix("/1/logs/")?.split('/').next()?.parse().ok()
}
