//! Errors as answers.

use std::fmt;
use std::io::ErrorKind as IoErrorKind;

use axum::Extension;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use tolstoy_proto::{ErrorBody, ErrorKind, LogState, Quota};

use super::state::Told;
use super::watch;
use crate::service::{BadUpload, UploadError};
use crate::storage::StorageError;

/// An answer that says what is wrong.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    /// What the log is told, and the asker is not.
    reason: Option<Box<str>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::with(status, ErrorBody::new(kind, message))
    }

    pub(super) fn with(status: StatusCode, body: ErrorBody) -> Self {
        Self { status, body: Box::new(body), header: None, reason: None }
    }

    /// With a header that says more.
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorKind::BadRequest, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorKind::Conflict, message)
    }

    /// The log is one of TaskChampion's.
    pub(super) fn foreign_log() -> Self {
        let message = "this log belongs to clients of TaskChampion's, such as Taskwarrior, which alone can read and write it: here \
            it can be looked at, and deleted. A store syncs with a log of its own";
        Self::new(StatusCode::CONFLICT, ErrorKind::ForeignLog, message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::TooLarge,
            format!("the body is longer than {limit} bytes, the most that is taken here"),
        )
    }

    /// The log holds as much as it may.
    pub(super) fn quota(quota: Quota, state: Option<LogState>) -> Self {
        let Quota { of, limit, used } = quota;
        let message = format!("the log may hold {limit} {of} and holds {used}: nothing was changed");
        let mut body = ErrorBody::new(ErrorKind::Quota, message);
        (body.quota, body.state) = (Some(quota), state);
        Self::with(StatusCode::INSUFFICIENT_STORAGE, body)
    }

    /// The hub has no room for it now.
    pub(super) fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Busy, message)
    }

    /// The hub is going down.
    pub(super) fn closing() -> Self {
        Self::busy("the hub is stopping")
    }

    fn because(self, reason: &dyn fmt::Display) -> Self {
        Self { reason: Some(reason.to_string().into()), ..self }
    }

    /// The hub's own failure: the log gets the reason, the asker does not.
    pub(super) fn internal(reason: &dyn fmt::Display) -> Self {
        let message = "the hub failed; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Internal, message).because(reason)
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full(reason) => {
                let message = "the hub's disk is full: nothing was changed";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, ErrorKind::Full, message).because(&reason)
            }
            StorageError::Busy => Self::busy("too many writes are waiting: try again later"),
            StorageError::Closed => Self::closing(),
            StorageError::Failed(reason) => Self::internal(&reason),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Bad(bad @ (BadUpload::Malformed(_) | BadUpload::WrongDigest(_))) => {
                Self::bad_request(bad.to_string())
            }
            UploadError::Io(error) if matches!(error.kind(), IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded) => {
                StorageError::Full(error.to_string()).into()
            }
            UploadError::Io(error) => Self::internal(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, mut body, header: more, reason } = self;
        let request = watch::current_id();
        if let Some(reason) = reason {
            let request = request.as_ref().map(tracing::field::display);
            tracing::error!(request, %reason, "a request failed");
        }
        body.request = request.map(|id| id.to_string());
        let told = body.state.is_some().then_some(Extension(Told));
        let refused = watch::Refused(body.error);
        let mut response = (status, told, Extension(refused), Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.headers_mut().extend(more.map(|header| *header));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_storage_cannot_do_is_told_as_it_is() {
        let told = |error| {
            let response = ApiError::from(error).into_response();
            (response.status().as_u16(), response.headers().contains_key(header::RETRY_AFTER))
        };
        assert_eq!(told(StorageError::Full("no space".to_owned())), (507, false));
        assert_eq!(told(StorageError::Busy), (503, true));
        assert_eq!(told(StorageError::Closed), (503, true));
        assert_eq!(told(StorageError::Failed("why".to_owned())), (500, false));
        let aside = |kind: IoErrorKind| ApiError::from(UploadError::Io(kind.into())).into_response().status().as_u16();
        assert_eq!(aside(IoErrorKind::StorageFull), 507);
        assert_eq!(aside(IoErrorKind::QuotaExceeded), 507);
        assert_eq!(aside(IoErrorKind::PermissionDenied), 500);
        let failed = ApiError::from(StorageError::Failed("a secret path".to_owned()));
        assert!(!failed.body.message.contains("secret"));
    }
}
