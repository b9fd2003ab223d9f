//! Paths and queries that are checked: what is wrong with them is 400, in the hub's words.

use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind as Wrong;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::request::Parts;

use super::error::ApiError;

/// What `E` takes from a request; where it cannot, the hub's own error.
pub(super) struct Checked<E>(pub(super) E);

impl<S, E> FromRequestParts<S> for Checked<E>
where
    S: Send + Sync,
    E: FromRequestParts<S>,
    E::Rejection: Into<ApiError>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        E::from_request_parts(parts, state).await.map(Self).map_err(Into::into)
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
            return Self::internal(&rejection.body_text());
        };
        // The ids say themselves what they were given, and what an id is.
        Self::bad_request(match failed.into_kind() {
            Wrong::DeserializeError { key, message, .. } => format!("the path's {key}: {message}"),
            Wrong::InvalidUtf8InPathParam { key } => format!("the path's {key}: its percent escapes are not UTF-8"),
            other => format!("the path: {other}"),
        })
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        let why = std::error::Error::source(&rejection).map_or_else(|| rejection.body_text(), ToString::to_string);
        Self::bad_request(format!("the query's {why}"))
    }
}
