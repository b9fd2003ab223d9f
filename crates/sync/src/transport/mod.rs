//! The seam to a hub: how requests get there and answers back. `docs/protocol.md` says what they mean.

mod access;
pub(crate) mod http;
mod memory;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tolstoy_proto::{ChunkId, ErrorBody, LogState, Pushed, TrnId};

pub use access::{Access, BadToken, BearerToken, NoCertificates, Trust};
pub use http::HttpTransport;
pub use memory::{MemoryBody, MemoryTransport, Request};

use crate::snapshot::Blob;

/// What a stream that begins at the root begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The first transaction.
    Transactions,
    /// The newest snapshot, where the hub has one; the transactions after it follow.
    Snapshot,
}

/// Carries requests about one log to a hub.
///
/// Requests may be repeated: all of them are idempotent. A transport does not retry by itself.
pub trait Transport: Send {
    /// The body of an answer that is a stream.
    type Body: Body;

    /// Asks for the transactions after the first of `from` that is committed.
    fn pull(
        &mut self,
        from: &[TrnId],
        begin: Begin,
    ) -> impl Future<Output = Result<Answer<Self::Body>, TransportError>> + Send;

    /// Pushes transactions: `body` is the frames, encoded.
    fn push(&mut self, body: Bytes) -> impl Future<Output = Result<Answer<Self::Body>, TransportError>> + Send;

    /// Uploads one chunk ahead of a push that would be too long with it.
    fn put_chunk(
        &mut self,
        id: &ChunkId,
        bytes: Bytes,
    ) -> impl Future<Output = Result<Answer<Self::Body>, TransportError>> + Send;

    /// Uploads the snapshot that stands for the log up to a committed transaction.
    fn put_snapshot(
        &mut self,
        id: TrnId,
        snapshot: Blob,
    ) -> impl Future<Output = Result<Answer<Self::Body>, TransportError>> + Send;
}

/// The bytes of a stream, in pieces.
pub trait Body: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, TransportError>> + Send;
}

/// What a hub answers.
#[derive(Debug)]
pub enum Answer<B> {
    /// The transactions asked for.
    Stream(B),
    /// The push did not fit; the transactions that the client lacks.
    Conflict(B),
    /// The push is in the log. It also says whether a snapshot is wanted.
    Accepted(Pushed),
    /// The chunk, or the snapshot, is there.
    Stored,
    /// The log is in another generation than the client's.
    Generation(LogState),
    /// The hub lacks these chunks.
    Missing(Vec<ChunkId>),
    /// The hub does not do it now, and says when to ask again.
    Later {
        /// After how long.
        after: Duration,
        /// Why.
        body: ErrorBody,
    },
    /// The hub refuses.
    Refused(ErrorBody),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The hub could not be reached.
    #[error("the hub cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke after the request was sent: it may have been carried out, or not.
    #[error("the connection to the hub broke: {0}")]
    Broken(String),
    /// The hub's certificate is not one that is trusted. Nothing was sent.
    #[error("the hub there is not trusted: {0}")]
    Untrusted(String),
    /// What answered does not speak the protocol.
    #[error("what answers there is not a Tolstoy hub, or not one of this version: {0}")]
    Protocol(String),
}
