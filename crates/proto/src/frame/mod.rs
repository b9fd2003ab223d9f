//! Frames: everything long travels as a sequence of them.

mod decoder;
mod encoder;
mod json;
mod msgpack;
mod raw;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::decoder::FrameDecoder;
pub use self::encoder::{FrameEncoder, encode_chunk, encode_frame, encode_transaction};
pub use self::raw::RawFrame;

use crate::digest::ChainDigest;
use crate::ids::{ChunkId, Seq, TrnId};
use crate::limits::{MAX_CANDIDATES, MAX_CHUNK, MAX_TRANSACTION_CHUNK_IDS, MAX_TRANSACTION_CHUNKS};
use crate::snapshot::Snapshot;
use crate::state::{Generation, LogState};

/// The two written forms of a stream of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Each frame in MessagePack, preceded by its length.
    MessagePack,
    /// One JSON array of frames.
    Json,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frame {
    /// Opens a stream of committed transactions.
    Start(Start),
    /// Opens a push.
    Push(Push),
    /// A transaction; its chunks follow.
    Transaction(Transaction),
    /// A chunk.
    Chunk(Chunk),
    /// A snapshot; its pieces follow.
    Snapshot(Snapshot),
    /// A piece of a snapshot.
    Piece(Piece),
    /// Closes a stream. One without it was cut.
    End(End),
}

/// The first frame of a stream of committed transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The state that the stream was read at, and leads to.
    pub state: LogState,
    /// The transaction that the stream starts after.
    pub from: TrnId,
    /// Its place.
    pub from_seq: Seq,
    /// The chain digest at it.
    pub from_chain: ChainDigest,
}

/// The first frame of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The generation that the client knows; none yet: none.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// Transactions that the client has, newest first. The first is the HEAD that it expects, and the parent of the
    /// first transaction pushed; none means the root.
    pub expect: Vec<TrnId>,
}

impl Push {
    /// The HEAD that the client expects.
    pub fn expected_head(&self) -> TrnId {
        self.expect.first().copied().unwrap_or(TrnId::ROOT)
    }
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its id.
    pub id: TrnId,
    /// Its place.
    pub seq: Seq,
    /// The transaction before it.
    pub parent: TrnId,
    /// Its chunk ids, in order.
    pub chunks: Vec<ChunkId>,
}

/// A chunk's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its id.
    pub id: ChunkId,
    /// Its bytes.
    #[serde(with = "json::base64_bytes")]
    pub bytes: Bytes,
}

/// The next bytes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The bytes.
    #[serde(with = "json::base64_bytes")]
    pub bytes: Bytes,
}

/// The last frame of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many transactions went before.
    pub count: u64,
    /// The chain digest after the last of them.
    pub chain: ChainDigest,
}

/// Why bytes are no frames. Nothing after it can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame is over the limit.
    #[error("frame {index} is longer than {max} bytes")]
    TooLong {
        /// Which frame, from 0.
        index: u64,
        /// The limit.
        max: usize,
    },
    /// A frame is not what it must be.
    #[error("frame {index}: {reason}")]
    Malformed {
        /// Which frame, from 0.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes ended within a frame, or before the array's closing bracket.
    #[error("the stream was cut within frame {index}")]
    Cut {
        /// Which frame, from 0.
        index: u64,
    },
}

impl Frame {
    /// Checks the limits that a frame's content has beyond its length.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Push(push) if push.expect.len() > MAX_CANDIDATES => {
                Err(format!("expect has {} ids; at most {MAX_CANDIDATES} are allowed", push.expect.len()))
            }
            Self::Transaction(trn) => check_chunk_ids(&trn.chunks),
            Self::Chunk(chunk) if chunk.bytes.len() > MAX_CHUNK => {
                Err(format!("the chunk has {} bytes; at most {MAX_CHUNK} are allowed", chunk.bytes.len()))
            }
            Self::Piece(piece) if piece.bytes.len() > MAX_CHUNK => {
                Err(format!("the piece has {} bytes; at most {MAX_CHUNK} are allowed", piece.bytes.len()))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that a transaction may name these chunks: not too many, and not in too many bytes.
///
/// # Errors
/// What is over which limit.
pub fn check_chunk_ids(chunks: &[ChunkId]) -> Result<(), String> {
    let bytes: usize = chunks.iter().map(|id| id.as_bytes().len()).sum();
    if chunks.len() > MAX_TRANSACTION_CHUNKS || bytes > MAX_TRANSACTION_CHUNK_IDS {
        return Err(format!(
            "the transaction names {} chunks in {bytes} bytes; at most {MAX_TRANSACTION_CHUNKS} in \
             {MAX_TRANSACTION_CHUNK_IDS} bytes are allowed",
            chunks.len()
        ));
    }
    Ok(())
}
