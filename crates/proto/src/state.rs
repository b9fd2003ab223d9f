//! What a log's state is.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::ChainDigest;
use crate::ids::{Seq, TrnId};

/// A life of a log. It begins with the first write; a delete ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// Names this life; no other life of any log has it.
    #[serde(with = "crate::ids::uuid_text")]
    pub id: Uuid,
    /// 1 for the first life, one more for each further one.
    pub number: u64,
}

/// A log's state, which every `/1` answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// None where the log was never written, or was deleted.
    pub generation: Option<Generation>,
    /// The newest committed transaction; the root where there is none.
    pub head: TrnId,
    /// HEAD's place.
    pub seq: Seq,
    /// The chain digest at HEAD.
    pub chain: ChainDigest,
}

impl LogState {
    /// The state of a log that was never written, or was deleted.
    pub const EMPTY: Self = Self { generation: None, head: TrnId::ROOT, seq: Seq::ROOT, chain: ChainDigest::ZERO };
}
