//! Snapshots: opaque blobs that stand for a log up to a transaction, kept in pieces of bounded size.

use bytes::Bytes;
use tolstoy_proto::Seq;

use super::{Life, StorageError, Tip};

/// Bytes of a piece; the last one may be shorter.
pub const PIECE: usize = 256 << 10;

/// Names a snapshot within a storage. No two share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(pub i64);

/// What a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The committed transaction that it stands for, its place and the chain digest at it.
    pub tip: Tip,
    /// The SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// How many bytes it has.
    pub bytes: u64,
}

impl Snapshot {
    /// How many pieces it has.
    pub fn pieces(&self) -> u64 {
        self.bytes.div_ceil(PIECE as u64)
    }

    /// Its place.
    pub fn seq(&self) -> Seq {
        self.tip.seq
    }
}

/// Reads snapshots. Every method fails where the storage failed.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait ReadSnapshots {
    /// The whole snapshots of a life, newest first.
    fn snapshots(&self, life: Life) -> Result<Vec<(SnapshotId, Snapshot)>, StorageError>;

    /// A piece of a snapshot; none where it was swept meanwhile.
    fn piece(&self, snapshot: SnapshotId, place: u64) -> Result<Option<Bytes>, StorageError>;
}

/// Writes snapshots. Every method fails where the storage failed.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait WriteSnapshots {
    /// Begins a snapshot, whose pieces follow in jobs of their own. Nobody sees it before it is whole.
    fn begin_snapshot(&mut self, life: Life, snapshot: &Snapshot) -> Result<SnapshotId, StorageError>;

    /// Puts the piece at this place.
    fn put_piece(&mut self, snapshot: SnapshotId, place: u64, bytes: &Bytes) -> Result<(), StorageError>;

    /// The snapshot is whole: it counts, and is seen. False where it is gone, since its log was deleted.
    fn end_snapshot(&mut self, life: Life, snapshot: SnapshotId) -> Result<bool, StorageError>;

    /// Nobody sees the snapshot any more; its pieces are swept.
    fn drop_snapshot(&mut self, life: Life, snapshot: SnapshotId) -> Result<(), StorageError>;
}
