//! How much a log holds, and when and by whom it was last written.

use tolstoy_proto::{ChunkId, Generation, LogId, Seq};

use super::{Life, StorageError, Tip};

/// What a transaction weighs beside its chunks' bytes and its list of them.
pub(super) const TRN_WEIGHT: u64 = 100;

/// What a chunk weighs beside its bytes for as long as no committed transaction takes it: its rows are there, however short
/// it is. One that was taken is in the list of a transaction, which weighs.
pub(super) const LOOSE_WEIGHT: u64 = 100;

/// What a transaction weighs, committed or pending, its chunks' bytes left out.
pub fn weight(chunks: &[ChunkId]) -> u64 {
    TRN_WEIGHT + chunks.iter().map(|id| id.as_bytes().len() as u64).sum::<u64>()
}

/// What a chunk of so many bytes weighs that no committed transaction took.
pub fn loose_weight(bytes: u64) -> u64 {
    LOOSE_WEIGHT.saturating_add(bytes)
}

/// What a life of a log holds. It is kept beside HEAD, so that asking costs nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes: chunks as often as they are stored, those that no committed transaction took with their
    /// [`loose_weight`]; the [`weight`] of transactions, committed or pending; whole snapshots; and tasks with their
    /// [`task_weight`](super::task_weight). What a quota counts.
    pub bytes: u64,
    /// Bytes of chunks and committed transactions that came since the newest snapshot.
    pub fresh: u64,
    /// The place of the newest snapshot; the root's where there is none.
    pub snapshot: Seq,
    /// When something was last uploaded, in microseconds since 1970 as the service's clock told it.
    pub written: i64,
}

/// A living log, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFigures {
    /// Its id.
    pub log: LogId,
    /// Its life.
    pub life: Life,
    /// Its generation.
    pub generation: Generation,
    /// HEAD.
    pub tip: Tip,
    /// What it holds.
    pub usage: Usage,
    /// Who uploaded last, as the service named them; empty where nobody was named.
    pub writer: String,
    /// How many tasks it has.
    pub tasks: u64,
}

impl LogFigures {
    /// Where a list goes on after this log.
    pub fn cursor(&self) -> LogCursor {
        LogCursor { minute: minute(self.usage.written), life: self.life }
    }
}

/// A place in the list of logs by their last upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogCursor {
    /// The minute of the last upload, since 1970.
    pub minute: i64,
    /// The log's life.
    pub life: Life,
}

/// The minute of an instant: lists of logs go by it, so that they need not be sorted anew at every upload.
pub(super) fn minute(micros: i64) -> i64 {
    micros / 60_000_000
}

/// What a storage holds in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Living logs.
    pub logs: u64,
    /// Tasks of living logs.
    pub tasks: u64,
    /// Lives that ended, whose rows are still to be swept.
    pub ended: u64,
    /// Bytes of the file, or of what stands for it.
    pub file: u64,
    /// Of which free, to be used again.
    pub free: u64,
}

/// Reads figures. Every method fails where the storage failed.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait ReadFigures {
    /// What a life holds.
    fn usage(&self, life: Life) -> Result<Usage, StorageError>;

    /// The log that a life is of; none where it ended.
    fn log_of(&self, life: Life) -> Result<Option<LogId>, StorageError>;

    /// Living logs by the minute of their last upload, newest first, after this one; at most `limit`.
    fn logs_by_age(&self, after: Option<LogCursor>, limit: usize) -> Result<Vec<LogFigures>, StorageError>;

    /// Living logs whose ids lie between these, both included, in their order; at most `limit`.
    fn logs_by_id(&self, from: LogId, to: LogId, limit: usize) -> Result<Vec<LogFigures>, StorageError>;

    /// What there is in all. It costs a look at a small index, not at all logs.
    fn totals(&self) -> Result<Totals, StorageError>;
}

/// Writes figures.
pub trait WriteFigures {
    /// Notes an upload: when (microseconds since 1970) and by whom.
    ///
    /// # Errors
    /// Where the storage failed.
    fn stamp(&mut self, life: Life, written: i64, writer: &str) -> Result<(), StorageError>;
}
