//! What a hub answers when it does not do what was asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::ChunkId;
use crate::state::LogState;

/// The body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What kind of trouble, for programs.
    pub error: ErrorKind,
    /// What and why, for people.
    pub message: String,
    /// The log's state, where the answer depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<LogState>,
    /// With [`ErrorKind::MissingChunks`]: which, at most [`crate::limits::MAX_MISSING`] of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkId>>,
    /// The request's id, by which the hub's log knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// With [`ErrorKind::Quota`]: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// A limit of what a log may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// What is counted.
    pub of: QuotaKind,
    /// How many the log may hold.
    pub limit: u64,
    /// How many it holds.
    pub used: u64,
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaKind {
    /// Bytes of chunks, transactions and snapshots.
    Bytes,
    /// Committed transactions.
    Transactions,
}

impl fmt::Display for QuotaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl ErrorBody {
    /// An error with nothing but its message.
    pub fn new(error: ErrorKind, message: impl Into<String>) -> Self {
        Self { error, message: message.into(), state: None, chunks: None, quota: None, request: None }
    }
}

/// The kinds of errors, by what the asker should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The request is malformed. The same again will be refused again.
    BadRequest,
    /// The hub answers only who shows a token, and there was none, or none that is valid.
    Unauthorized,
    /// The asker is not answered: wrong Host or Origin, or the token lacks a right.
    Forbidden,
    /// There is no such thing, or none that can be seen.
    NotFound,
    /// The path knows other methods.
    MethodNotAllowed,
    /// The request takes no content coding that the hub knows.
    NotAcceptable,
    /// The request took too long to arrive.
    Timeout,
    /// The state of the log forbids it. Look again, then decide.
    Conflict,
    /// The id names something else already. What is stored stays.
    IdTaken,
    /// The log belongs to other people's clients, who have a surface of their own.
    ForeignLog,
    /// What comes next was never here, or is not here any more, and there is no way to it.
    Gone,
    /// The log is in another generation than the client's: it was wiped or reseeded.
    Generation,
    /// The body is over the limit.
    TooLarge,
    /// The body's media type, or its content coding, is not known here.
    UnsupportedMediaType,
    /// Chunks are neither in the push nor on the hub. Push again with them.
    MissingChunks,
    /// The client's chain digest is not the hub's, though HEAD is the same: one of the two is damaged.
    ChainMismatch,
    /// More requests than this token or address may send. Try again after the time in `Retry-After`.
    RateLimited,
    /// The hub has more to do than it can. Try again later.
    Busy,
    /// The hub's disk is full.
    Full,
    /// The log holds as much as the hub's owner allows. Reading and deleting still work.
    Quota,
    /// The hub failed. Its own log says why.
    Internal,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names() {
        let body = ErrorBody::new(ErrorKind::MissingChunks, "2 chunks are not here");
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"error":"missing-chunks","message":"2 chunks are not here"}"#
        );
        assert_eq!(ErrorKind::IdTaken.to_string(), "id-taken");
        let new: ErrorBody = serde_json::from_str(r#"{"error":"from-the-future","message":"","more":1}"#).unwrap();
        assert_eq!(new.error, ErrorKind::Other);
    }
}
