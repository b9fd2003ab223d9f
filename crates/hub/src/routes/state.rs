//! Every answer of `/1` about a log carries the log's state: so a client sees at once that a log was wiped, or a hub
//! restored. Most do so in their body; the others in a header field.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};
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

/// Where an answer about a log under this path template carries its state.
pub(super) fn is_told(template: &str) -> bool {
    template.starts_with("/1/logs/{log}")
}

/// Adds the log's state to an answer that does not carry it. Where the hub has trouble, it is not asked for more.
pub(super) async fn tell(app: &Arc<App>, log: LogId, response: &mut Response) {
    let in_trouble = response.status().is_server_error() || response.status() == StatusCode::REQUEST_TIMEOUT;
    let told = response.extensions().get::<Told>().is_some() || response.headers().contains_key(media::STATE);
    if !in_trouble
        && !told
        && let Ok(Ok(state)) = Box::pin(super::read(app, move |service| service.info(log))).await
    {
        with_state(response, &state);
    }
}
