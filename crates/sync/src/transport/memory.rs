//! A transport that calls a function: for hubs in the same process, and for tests that own the link.

use std::collections::VecDeque;

use bytes::Bytes;
use tolstoy_proto::{ChunkId, TrnId};

use crate::snapshot::Blob;
use crate::transport::{Answer, Begin, Body, Transport, TransportError};

/// A request about the transport's log.
#[derive(Debug, Clone)]
pub enum Request {
    /// See [`Transport::pull`].
    Pull {
        /// What the client has.
        from: Vec<TrnId>,
        /// What it asks the stream to begin with.
        begin: Begin,
    },
    /// See [`Transport::push`].
    Push(Bytes),
    /// See [`Transport::put_chunk`].
    PutChunk(ChunkId, Bytes),
    /// See [`Transport::put_snapshot`].
    PutSnapshot(TrnId, Blob),
}

/// Answers each request with what a function says.
pub struct MemoryTransport<F> {
    serve: F,
}

impl<F> MemoryTransport<F>
where
    F: FnMut(Request) -> Result<Answer<MemoryBody>, TransportError> + Send,
{
    /// A transport to whatever `serve` is.
    pub const fn new(serve: F) -> Self {
        Self { serve }
    }
}

/// A body that is in memory: its pieces, or where it breaks.
#[derive(Debug, Default)]
pub struct MemoryBody {
    pieces: VecDeque<Result<Bytes, TransportError>>,
}

impl MemoryBody {
    /// A body of these pieces; after an error there is nothing more.
    pub fn new(pieces: impl IntoIterator<Item = Result<Bytes, TransportError>>) -> Self {
        Self { pieces: pieces.into_iter().collect() }
    }
}

impl Body for MemoryBody {
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        self.pieces.pop_front().transpose()
    }
}

impl<F> Transport for MemoryTransport<F>
where
    F: FnMut(Request) -> Result<Answer<MemoryBody>, TransportError> + Send,
{
    type Body = MemoryBody;

    async fn pull(&mut self, from: &[TrnId], begin: Begin) -> Result<Answer<MemoryBody>, TransportError> {
        (self.serve)(Request::Pull { from: from.to_vec(), begin })
    }

    async fn push(&mut self, body: Bytes) -> Result<Answer<MemoryBody>, TransportError> {
        (self.serve)(Request::Push(body))
    }

    async fn put_chunk(&mut self, id: &ChunkId, bytes: Bytes) -> Result<Answer<MemoryBody>, TransportError> {
        (self.serve)(Request::PutChunk(*id, bytes))
    }
    async fn put_snapshot(&mut self, id: TrnId, snapshot: Blob) -> Result<Answer<MemoryBody>, TransportError> {
        (self.serve)(Request::PutSnapshot(id, snapshot))
    }
}
