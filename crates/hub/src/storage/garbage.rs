//! The rows that the garbage rule looks at, and their removal in small steps. The rule itself is the service's.

use tolstoy_proto::{ChunkId, TrnId};

use super::{Life, StorageError};

/// A chunk that no committed transaction took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loose {
    /// Its id.
    pub id: ChunkId,
    /// Its length.
    pub bytes: u64,
    /// How many times pending transactions name it.
    pub named: u64,
}

/// A pending transaction without the chunks that it names, of which there may be very many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingTrn {
    /// Its id.
    pub id: TrnId,
    /// The transaction it grows from.
    pub parent: TrnId,
}

/// How far the removal of a pending transaction came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// What the log weighs less.
    pub bytes: u64,
    /// Whether the transaction is gone.
    pub is_gone: bool,
}

/// What a step of sweeping did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows removed.
    pub rows: u64,
    /// Bytes of what was removed, roughly.
    pub bytes: u64,
    /// Whether there is more to sweep.
    pub more: bool,
}

/// Finds what may be garbage. Every method fails where the storage failed.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait ReadGarbage {
    /// Living lives after this one that hold pending transactions, or chunks that no committed transaction took; in
    /// order, at most `limit`.
    fn lives_with_uploads(&self, after: Option<Life>, limit: usize) -> Result<Vec<Life>, StorageError>;

    /// Pending transactions after this id, in the order of their ids, at most `limit`.
    fn pending_after(&self, life: Life, after: Option<TrnId>, limit: usize) -> Result<Vec<PendingTrn>, StorageError>;

    /// Whether the transaction is pending.
    fn is_pending(&self, life: Life, id: TrnId) -> Result<bool, StorageError>;

    /// The chunks that a pending transaction names, but for those that its removal took back already.
    fn named_by(&self, life: Life, id: TrnId) -> Result<Vec<ChunkId>, StorageError>;

    /// The pending transaction with the next id after this one that grows from `parent`.
    fn pending_child(&self, life: Life, parent: TrnId, after: Option<TrnId>) -> Result<Option<TrnId>, StorageError>;

    /// Chunks that no committed transaction took, after this one, in an order of the storage's; at most `limit`.
    fn loose_after(&self, life: Life, after: Option<&ChunkId>, limit: usize) -> Result<Vec<Loose>, StorageError>;

    /// How many rows, and about how many bytes, [`WriteGarbage::sweep`] would remove in all. Costs a look at each.
    fn to_sweep(&self) -> Result<Swept, StorageError>;
}

/// Removes garbage, a little at a time. Every method fails where the storage failed.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait WriteGarbage {
    /// Removes a pending transaction that is dead, or goes on with it: takes back that it names the next `chunks` of its
    /// chunks, at least one, and lets it go when none is left. How far that came is kept with it. Those that grow from it
    /// stay.
    fn remove_pending(&mut self, life: Life, id: TrnId, chunks: usize) -> Result<Removed, StorageError>;

    /// Removes a chunk that no committed transaction took and no pending one names.
    fn remove_loose(&mut self, life: Life, id: &ChunkId) -> Result<(), StorageError>;

    /// Removes rows of lives that ended, and of snapshots that were dropped: about `rows`, where a large row counts as
    /// many.
    fn sweep(&mut self, rows: u64) -> Result<Swept, StorageError>;

    /// Gives up to `pages` free pages back to the file system, where so much is free that it will not be needed soon.
    /// How many were given.
    fn give_back(&mut self, pages: u32) -> Result<u64, StorageError>;
}
