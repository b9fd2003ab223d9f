//! The JSON bodies of the 0.1 API.

use serde::{Deserialize, Serialize};

use crate::ids::{ChunkId, Seq, TrnId};

/// The `limit` of a listing that names none.
pub const DEFAULT_LIMIT: u64 = 100;

/// The highest `limit`; a higher one is taken as this.
pub const MAX_LIMIT: u64 = 1000;

/// Bytes of a JSON request body: a transaction that names as many chunks as it may.
pub const MAX_BODY: usize = 8 << 20;

/// `GET head` answers it, `PUT head` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// HEAD; the root where the log is empty.
    pub head: TrnId,
}

/// What `PUT transactions/{trn}` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTransaction {
    /// HEAD, or a pending transaction.
    pub parent: TrnId,
    /// The chunk ids, in order.
    pub chunks: Vec<ChunkId>,
}

/// What `GET transactions/{trn}` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedTransaction {
    /// The transaction's id.
    pub id: TrnId,
    /// Its place.
    pub seq: Seq,
    /// The one before.
    pub parent: TrnId,
    /// Its chunk ids, in order.
    pub chunks: Vec<ChunkId>,
}

/// What `GET transactions` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// What was asked for; left out of the list itself.
    pub from: TrnId,
    /// How many at most, as the hub took it.
    pub limit: u64,
    /// Committed transactions after `from`, ascending.
    pub transactions: Vec<TrnId>,
}
