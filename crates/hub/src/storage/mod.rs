//! Where logs are kept: the seam between the rules of the service and a database.
//!
//! A [`Storage`] runs the service's rules as jobs. A read job sees one consistent snapshot. A write job sees the newest
//! state and is alone with it: it checks, then writes, and what it wrote is kept whole and durable before it is told so, or
//! not at all. The rules live in [`crate::service`]; a storage only finds and puts rows, and knows no rule.
//!
//! Rows belong to a *life* of a log, not to the log: a deleted log's next life shares nothing with it.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod figures;
mod garbage;
mod memory;
mod snapshots;
mod sqlite;
mod tasks;

use bytes::Bytes;
use std::borrow::Cow;
use std::time::Duration;
use tolstoy_proto::{ChainDigest, ChunkId, Generation, LogId, Seq, Transaction, TrnId};

pub use figures::{LogCursor, LogFigures, ReadFigures, Totals, Usage, WriteFigures, loose_weight, weight};
pub use garbage::{Loose, PendingTrn, ReadGarbage, Removed, Swept, WriteGarbage};
pub use memory::MemoryStorage;
pub use snapshots::{PIECE, ReadSnapshots, Snapshot, SnapshotId, WriteSnapshots};
pub(crate) use sqlite::make_private_directory;
pub use sqlite::{
    Checked, Copied, CopyError, Finding, Listener, OpenError, Progress, SqliteOptions, SqliteReader, SqliteStorage,
    backup, fsck, restore,
};
pub use tasks::{KeptTask, ReadTasks, WriteTasks, task_weight};

/// Keeps logs.
pub trait Storage: Send + Sync {
    /// Runs `rules` on one consistent snapshot, on the calling thread, which may block.
    ///
    /// # Errors
    /// What `rules` returns, or where no snapshot can be had.
    fn read(&self, rules: &mut ReadRules<'_>) -> Result<(), StorageError>;

    /// Runs the job when its turn comes, and tells it when what it wrote is durable. Never waits for either; a storage
    /// that needs no other thread has done both when it returns.
    fn write(&self, job: Box<dyn WriteJob>);

    /// For how long it has been at the job that it does now; zero where there is none. What grows here and does not end is
    /// stuck.
    fn working_for(&self) -> Duration {
        Duration::ZERO
    }
}

/// Rules that read.
pub type ReadRules<'a> = dyn FnMut(&dyn ReadTxn) -> Result<(), StorageError> + 'a;

/// Rules that check and write.
pub trait WriteJob: Send {
    /// Runs the rules. May be called again after a failure that was not its own: it must do the same again. Where it
    /// returns an error, nothing that it wrote is kept.
    ///
    /// # Errors
    /// Where the storage failed.
    fn run(&mut self, txn: &mut dyn WriteTxn) -> Result<(), StorageError>;

    /// Is told how it ended: `Ok` when what `run` wrote is durable.
    fn done(self: Box<Self>, result: Result<(), StorageError>);
}

/// Why a storage could not do what it must. Never an expected outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No space is left. Nothing was changed; the same may succeed when there is space again.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Too many jobs wait. Try again later.
    #[error("too many writes are waiting")]
    Busy,
    /// The storage was closed.
    #[error("the storage is closed")]
    Closed,
    /// The database failed, or what it holds is damaged.
    #[error("the storage failed: {0}")]
    Failed(String),
}

/// Names one life of a log within a storage. No two lives share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life(pub i64);

/// What a storage knows of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRow {
    /// It was never written.
    Never,
    /// It was deleted; its last generation had this number.
    Ended(u64),
    /// It lives.
    Living(Life, Generation),
}

/// The end of a chain: HEAD, or the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The transaction.
    pub id: TrnId,
    /// Its place.
    pub seq: Seq,
    /// The chain digest at it.
    pub chain: ChainDigest,
}

impl Tip {
    /// The root, the tip of an empty chain.
    pub const ROOT: Self = Self { id: TrnId::ROOT, seq: Seq::ROOT, chain: ChainDigest::ZERO };
}

/// A committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its id.
    pub id: TrnId,
    /// Its place.
    pub seq: Seq,
    /// The transaction before it.
    pub parent: TrnId,
    /// Its chunks, in order.
    pub chunks: Vec<ChunkId>,
    /// The chain digest at it.
    pub chain: ChainDigest,
}

impl Committed {
    /// The tip of a chain that ends here.
    pub fn tip(&self) -> Tip {
        Tip { id: self.id, seq: self.seq, chain: self.chain }
    }
}

/// An uploaded transaction that is not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: TrnId,
    /// The transaction it grows from: pending too, or committed.
    pub parent: TrnId,
    /// Its place, if it is ever committed.
    pub seq: Seq,
    /// The place of the committed transaction that its branch grew from when it was uploaded.
    pub base: Seq,
    /// Its chunks, in order.
    pub chunks: Vec<ChunkId>,
}

/// Gives the bytes of a transaction's chunks.
pub trait ChunkSource {
    /// The place of the earlier transaction that the chunk at this place of the list came with, where the storage knows:
    /// a walk from before it has met the chunk.
    fn came_with(&self, index: usize) -> Option<Seq> {
        let _ = index;
        None
    }

    /// The bytes of the chunk that the transaction names at this place.
    ///
    /// # Errors
    /// Where the storage failed, or has no such chunk.
    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, StorageError>;

    /// How long they are, where that can be had for less.
    ///
    /// # Errors
    /// As for [`ChunkSource::bytes`].
    fn length(&self, index: usize) -> Result<usize, StorageError> {
        Ok(self.bytes(index)?.len())
    }
}

/// What to do for each transaction of a walk; false ends the walk.
pub type Visit<'a> = dyn FnMut(&Committed, &dyn ChunkSource) -> Result<bool, StorageError> + 'a;

/// Committed transactions as a storage has them at hand.
#[derive(Clone, Copy)]
pub enum Run<'a> {
    /// So many whole ones, with all of their chunks, as frames in MessagePack.
    Frames(u64, &'a [u8]),
    /// One of which chunks may lie elsewhere.
    Transaction(&'a Transaction, &'a dyn ChunkSource),
}

/// What to do for each run; false ends the walk.
pub type VisitRuns<'a> = dyn FnMut(Run<'_>) -> Result<bool, StorageError> + 'a;

/// A consistent view. Every method fails where the storage failed.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait ReadTxn: ReadFigures + ReadGarbage + ReadSnapshots + ReadTasks {
    /// What is known of a log.
    fn log(&self, log: LogId) -> Result<LogRow, StorageError>;

    /// The end of the committed chain.
    fn tip(&self, life: Life) -> Result<Tip, StorageError>;

    /// A committed transaction.
    fn committed(&self, life: Life, id: TrnId) -> Result<Option<Committed>, StorageError>;

    /// Whether a transaction is committed.
    fn is_committed(&self, life: Life, id: TrnId) -> Result<bool, StorageError>;

    /// Whether it is known that the ids of all committed transactions derive from their parents and chunks
    /// ([`tolstoy_proto::derive_trn`]). Then no other that derives and grows from HEAD can have the id of one of them.
    fn all_derive(&self, life: Life) -> Result<bool, StorageError> {
        let _ = life;
        Ok(false)
    }

    /// The ids of committed transactions after this place, in order, at most `limit`.
    fn ids_after(&self, life: Life, seq: Seq, limit: usize) -> Result<Vec<TrnId>, StorageError>;

    /// Visits the committed transactions after this place, in order.
    fn walk(&self, life: Life, after: Seq, visit: &mut Visit<'_>) -> Result<(), StorageError>;

    /// Visits the same as [`ReadTxn::walk`], in the form that the storage has them in. A storage that keeps no frames need not
    /// implement it.
    fn runs(&self, life: Life, after: Seq, visit: &mut VisitRuns<'_>) -> Result<(), StorageError> {
        self.walk(life, after, &mut |trn, chunks| {
            let Committed { id, seq, parent, chunks: ids, .. } = trn;
            let trn = Transaction { id: *id, seq: *seq, parent: *parent, chunks: ids.clone() };
            visit(Run::Transaction(&trn, chunks))
        })
    }

    /// A pending transaction.
    fn pending(&self, life: Life, id: TrnId) -> Result<Option<Pending>, StorageError>;

    /// Whether a pending transaction grows from this one.
    fn has_pending_child(&self, life: Life, parent: TrnId) -> Result<bool, StorageError>;

    /// Whether the chunk is here.
    fn has_chunk(&self, life: Life, id: &ChunkId) -> Result<bool, StorageError>;

    /// The chunk's bytes.
    fn chunk(&self, life: Life, id: &ChunkId) -> Result<Option<Bytes>, StorageError>;
}

/// The newest state, and the one hand that changes it. Every method fails where the storage failed; the caller has
/// checked that the rules allow what it asks for.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait WriteTxn: ReadTxn + WriteFigures + WriteGarbage + WriteSnapshots + WriteTasks {
    /// Begins a life of a log that has none.
    fn begin_life(&mut self, log: LogId, generation: Generation) -> Result<Life, StorageError>;

    /// Ends the log's life: nobody sees it any more, the number of its generation stays. Its rows go when they are swept
    /// ([`WriteGarbage::sweep`]), so that this costs the same whatever the log holds.
    fn end_life(&mut self, log: LogId) -> Result<(), StorageError>;

    /// Puts a chunk. One that is here already stays as it is.
    fn put_chunk(&mut self, life: Life, id: &ChunkId, bytes: &Bytes) -> Result<(), StorageError>;

    /// Puts a pending transaction, whose chunks are here, and whose id is new in this life.
    fn put_pending(&mut self, life: Life, pending: &Pending) -> Result<(), StorageError>;

    /// Commits a transaction onto the tip: its chunks are here, and its id is not committed. Where it was pending, it is so
    /// no longer.
    fn append(&mut self, life: Life, committed: &Committed) -> Result<(), StorageError>;

    /// Writes something that changes nothing, so that the commit has something to make durable.
    fn touch(&mut self) -> Result<(), StorageError>;
}
