//! What the owner of a hub decides.

use std::time::Duration;

/// The rules of a hub that its owner may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Bytes that a log may hold ([`Usage::bytes`](crate::storage::Usage)); none: as many as the disk.
    pub quota_bytes: Option<u64>,
    /// Committed transactions that a log may hold; none: any number.
    pub quota_transactions: Option<u64>,
    /// How long after a log's last upload its garbage is collected.
    pub garbage_after: Duration,
    /// When a push is told that a snapshot would be good to have.
    pub snapshot_low: Threshold,
    /// When it is told that one is needed.
    pub snapshot_high: Threshold,
    /// When a client of TaskChampion's is told so; at half as much again it is needed.
    pub snapshot_versions: VersionThreshold,
    /// Bytes of a snapshot.
    pub snapshot_limit: u64,
}

/// What came since the newest snapshot, so that another is wanted: so many bytes, or so many transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Bytes.
    pub bytes: u64,
    /// Transactions.
    pub transactions: u64,
}

impl Threshold {
    pub(super) fn is_reached(&self, bytes: u64, transactions: u64) -> bool {
        bytes >= self.bytes || transactions >= self.transactions
    }
}

/// What passed since the newest snapshot of a log of TaskChampion's, or since the log began: so many versions, or so many days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionThreshold {
    /// Versions.
    pub versions: u64,
    /// Days.
    pub days: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            quota_bytes: None,
            quota_transactions: None,
            garbage_after: Duration::from_secs(7 * 24 * 60 * 60),
            snapshot_low: Threshold { bytes: 8 << 20, transactions: 5_000 },
            snapshot_high: Threshold { bytes: 64 << 20, transactions: 50_000 },
            snapshot_versions: VersionThreshold { versions: 100, days: 14 },
            snapshot_limit: 1 << 30,
        }
    }
}
