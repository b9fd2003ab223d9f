//! A log's state, on the condition that it is another than the asker knows; and waiting until it is.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tolstoy_proto::limits::MAX_WAIT;
use tolstoy_proto::{ErrorKind, LogId, LogState};

use super::App;
use super::error::ApiError;
use crate::gate::Client;
use crate::live::Woken;
use crate::service::Service;

/// `?wait=`.
#[derive(Debug, Deserialize)]
pub(super) struct WaitArgs {
    wait: Option<String>,
}

impl WaitArgs {
    /// How long the asker would wait; zero where it would not.
    pub(super) fn patience(&self) -> Result<Duration, ApiError> {
        let Some(text) = self.wait.as_deref() else { return Ok(Duration::ZERO) };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ApiError::bad_request(
                "the query's wait: it must be a number of seconds, without a sign or a fraction",
            ));
        }
        // One with more digits than a number holds is over the highest.
        Ok(Duration::from_secs(text.parse().unwrap_or(MAX_WAIT).min(MAX_WAIT)))
    }
}

/// The log's state, and the answer, as `show` shows it: 304 where the request names the state's tag and, as long as it would wait,
/// the state does not change.
pub(super) async fn answer<R: IntoResponse>(
    app: &Arc<App>,
    log: LogId,
    client: &Client,
    headers: &HeaderMap,
    args: &WaitArgs,
    show: impl FnOnce(LogState) -> R,
) -> Result<(LogState, Response), ApiError> {
    let read = move |service: &Service| {
        let state = service.info(log)?;
        Ok((state, tag(&state)?))
    };
    let (state, tag) = news(app, log, client, headers, args.patience()?, read).await?;
    if is_known(headers, &tag) {
        return Ok((state, not_modified(tag)));
    }
    Ok((state, (tags(tag), show(state)).into_response()))
}

/// The header fields of an answer that has this tag.
pub(super) fn tags(tag: HeaderValue) -> [(HeaderName, HeaderValue); 2] {
    [(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))]
}

/// The answer to who knows this tag.
pub(super) fn not_modified(tag: HeaderValue) -> Response {
    (StatusCode::NOT_MODIFIED, tags(tag)).into_response()
}

/// What `read` reads of a log, with its tag: at once where the asker would not wait or names no tag; else once it is another
/// than the asker knows, or where the time is up or the hub stops.
pub(super) async fn news<T: Send + 'static>(
    app: &Arc<App>,
    log: LogId,
    client: &Client,
    headers: &HeaderMap,
    patience: Duration,
    read: impl Fn(&Service) -> Result<(T, HeaderValue), ApiError> + Clone + Send + 'static,
) -> Result<(T, HeaderValue), ApiError> {
    if patience.is_zero() || !headers.contains_key(header::IF_NONE_MATCH) {
        return super::read(app, read).await?;
    }
    let until = Instant::now() + patience;
    let place = app.gates.waits.try_take(client, 1);
    // Before it is read: what changes after the reading wakes.
    let mut watch = app.service.watch(log);
    loop {
        let (found, tag) = super::read(app, read.clone()).await??;
        if !is_known(headers, &tag) {
            return Ok((found, tag));
        }
        if place.is_none() {
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorKind::Busy,
                "too many requests wait for logs to change: try again later, or ask without wait",
            ));
        }
        tokio::select! {
            woken = watch.woken() => match woken {
                Woken::Changed => {}
                Woken::Ended => return Ok((found, tag)),
            },
            () = sleep_until(until) => return Ok((found, tag)),
        }
    }
}

/// Names a state: the same for equal states, another for others. The chain digest covers HEAD and its place.
fn tag(state: &LogState) -> Result<HeaderValue, ApiError> {
    let text = match &state.generation {
        None => "\"none\"".to_owned(),
        Some(generation) => format!("\"{}-{}\"", generation.id.simple(), state.chain),
    };
    HeaderValue::try_from(text).map_err(|error| ApiError::internal(&error))
}

/// Whether the request names this tag in `If-None-Match`.
pub(super) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).any(|known| {
        // Weak or strong, it is the same state.
        known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_wherever_it_is_named() {
        let tag = HeaderValue::from_static("\"a-b\"");
        let known = |values: &[&'static str]| {
            let values = values.iter().map(|value| (header::IF_NONE_MATCH, HeaderValue::from_static(value)));
            is_known(&values.collect(), &tag)
        };
        for yes in [&["\"a-b\""][..], &["W/\"a-b\""], &["*"], &["\"x\" , \"a-b\""], &["\"x\"", "\"a-b\""]] {
            assert!(known(yes), "{yes:?}");
        }
        for no in [&[][..], &[""], &["a-b"], &["\"a-b"], &["\"a\", \"b\""], &["w/\"a-b\""]] {
            assert!(!known(no), "{no:?}");
        }
    }

    #[test]
    fn patience_has_an_end() {
        let patience = |text: &str| WaitArgs { wait: Some(text.to_owned()) }.patience().ok();
        assert_eq!(WaitArgs { wait: None }.patience().unwrap(), Duration::ZERO);
        assert_eq!(patience("0"), Some(Duration::ZERO));
        assert_eq!(patience("30"), Some(Duration::from_secs(30)));
        for long in ["60", "61", "99999999999999999999999999"] {
            assert_eq!(patience(long), Some(Duration::from_secs(MAX_WAIT)), "{long}");
        }
        for bad in ["", "-1", "1.5", "+1", " 1", "1s", "٣"] {
            assert_eq!(patience(bad), None, "{bad}");
        }
    }
}
