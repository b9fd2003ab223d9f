//! Streams of committed transactions as response bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame as BodyFrame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tolstoy_proto::{Form, FrameEncoder, LogId, TrnId, media};

use super::App;
use super::error::ApiError;
use crate::service::{Pull, PullEnd, PullError};

/// Bytes of a page: what is read from the storage at once.
const PAGE: usize = 256 << 10;

/// The form that the asker wants: JSON where `Accept` prefers it to MessagePack.
pub(super) fn accepted(headers: &HeaderMap) -> Form {
    let weight = |wanted: &str| {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).filter_map(|item| weight_of(item, wanted)).fold(0.0, f32::max)
    };
    if weight(media::JSON) > weight(media::MSGPACK) { Form::Json } else { Form::MessagePack }
}

/// The weight that an item of an `Accept` gives a media type; none where it is about others.
fn weight_of(item: &str, wanted: &str) -> Option<f32> {
    let mut parts = item.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
}

/// Answers what is committed after the first of `from` that is.
pub(super) async fn answer(
    app: &Arc<App>,
    log: LogId,
    from: Vec<TrnId>,
    form: Form,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let first = super::read(app, move |service| {
        let pull = service.pull(log, &from)?;
        Ok::<_, PullError>(Reading { pull, encoder: FrameEncoder::new(form) }.page())
    });
    let first = first.await?.and_then(|page| page);
    let page = first.map_err(|error| match error {
        PullError::Gone => ApiError::conflict("the log was deleted while it was read"),
        PullError::Storage(error) => error.into(),
    })?;
    let content_type = match form {
        Form::MessagePack => media::MSGPACK,
        Form::Json => media::JSON,
    };
    let body = match page.rest {
        None => Body::from(page.bytes),
        Some(rest) => {
            let place = app.gate.streams.clone().acquire_owned().await.map_err(|_| ApiError::closing())?;
            Body::new(Pages { app: app.clone(), next: Next::Here(page.bytes.into(), Some(rest)), _place: place })
        }
    };
    Ok((status, [(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// A stream that is read and written out.
struct Reading {
    pull: Pull,
    encoder: FrameEncoder,
}

/// A page, and the stream where more follows.
struct Page {
    bytes: Vec<u8>,
    rest: Option<Box<Reading>>,
}

impl Reading {
    fn page(mut self) -> Result<Page, PullError> {
        let mut bytes = Vec::with_capacity(PAGE + PAGE / 4);
        let Self { pull, encoder } = &mut self;
        let end = pull.page(PAGE, &mut |frame| encoder.encode(frame, &mut bytes))?;
        Ok(Page { bytes, rest: (end == PullEnd::More).then(|| Box::new(self)) })
    }
}

/// Pages as a body. While one is sent the next is read. A stream that stops early ends the body with an error, which
/// cuts the connection: the client sees no end frame.
struct Pages {
    app: Arc<App>,
    next: Next,
    _place: OwnedSemaphorePermit,
}

enum Next {
    Here(Bytes, Option<Box<Reading>>),
    Reading(JoinHandle<Result<Page, ApiError>>),
    End,
}

fn read_next(app: &Arc<App>, reading: Box<Reading>) -> JoinHandle<Result<Page, ApiError>> {
    let app = app.clone();
    tokio::spawn(async move {
        let page = super::read(&app, move |_| reading.page()).await?;
        page.map_err(|error| ApiError::internal(&error))
    })
}

/// The stream stopped before its end.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut")]
struct Cut;

impl http_body::Body for Pages {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        if let Next::Reading(reading) = &mut self.next {
            match ready!(Pin::new(reading).poll(cx)) {
                Ok(Ok(page)) => self.next = Next::Here(page.bytes.into(), page.rest),
                Ok(Err(_)) | Err(_) => {
                    self.next = Next::End;
                    return Poll::Ready(Some(Err(Cut)));
                }
            }
        }
        match std::mem::replace(&mut self.next, Next::End) {
            Next::Here(bytes, rest) => {
                if let Some(rest) = rest {
                    self.next = Next::Reading(read_next(&self.app, rest));
                }
                Poll::Ready(Some(Ok(BodyFrame::data(bytes))))
            }
            Next::Reading(_) | Next::End => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_given_where_it_is_preferred() {
        let form = |accept: &'static str| {
            accepted(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert_eq!(accepted(&HeaderMap::new()), Form::MessagePack);
        for json in ["application/json", "text/html, Application/JSON;q=0.5", "application/json; q=1, */*"] {
            assert_eq!(form(json), Form::Json, "{json}");
        }
        for other in [
            "*/*",
            "text/html",
            "application/json;q=0",
            "application/json;q=x",
            "application/vnd.tolstoy+msgpack, application/json",
            "application/json;q=0.4, application/vnd.tolstoy+msgpack;q=0.5",
        ] {
            assert_eq!(form(other), Form::MessagePack, "{other}");
        }
    }
}
