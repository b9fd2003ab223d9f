//! Ids in paths and queries. A malformed one is 400, in JSON.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The path's parameters.
pub(super) struct Params<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Params<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(params) =
            Path::from_request_parts(parts, state).await.map_err(|error| ApiError::bad_request(error.body_text()))?;
        Ok(Self(params))
    }
}

/// The query's parameters.
pub(super) struct Args<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Args<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(args) =
            Query::from_request_parts(parts, state).await.map_err(|error| ApiError::bad_request(error.body_text()))?;
        Ok(Self(args))
    }
}
