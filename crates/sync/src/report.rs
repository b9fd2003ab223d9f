//! What a sync did.

use tolstoy_store::Rebased;

use crate::engine::OtherLife;

/// What one pass did. A pass is atomic: one transaction of the store, or one of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Both sides were the same already.
    NoChanges,
    /// Only the log had changes; the store has them now.
    LocalFastForward,
    /// Only the store had changes; the log has them now.
    RemoteFastForward,
    /// Both had changes; the store has both now. With `follow_up` the log still lacks the store's.
    Merge {
        /// Whether a push follows.
        follow_up: bool,
    },
}

/// One pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassReport {
    /// What it did.
    pub outcome: Outcome,
    /// Transactions that came from the log.
    pub received: u64,
    /// How many of them came in a snapshot.
    pub from_snapshot: u64,
    /// Transactions that went to the log.
    pub sent: u64,
    /// Of a local fast-forward or a merge, what happened to the store.
    pub rebased: Option<Rebased>,
}

/// What became of the snapshot that the hub asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// The hub has it.
    Kept {
        /// How many transactions it stands for.
        transactions: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// It was not made, or the hub did not take it. Another device, or a later sync, will.
    Failed(String),
}

/// A sync: one pass, or a series of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncReport {
    /// The passes, in order. The last one leaves both sides the same.
    pub passes: Vec<PassReport>,
    /// Requests made.
    pub round_trips: u32,
    /// Bytes of bodies sent.
    pub bytes_sent: u64,
    /// Bytes of bodies received.
    pub bytes_received: u64,
    /// Transactions that the hub had lost, as after a restore from a backup, and that this store gave it again.
    pub resupplied: u64,
    /// Transactions that the log had already, since the answer to an earlier push was lost.
    pub acknowledged: u64,
    /// What was done with another life of the log, where it was in one.
    pub other_life: Option<OtherLife>,
    /// Why the snapshot that the log came with was of no use, so that all of the log was asked for instead.
    pub snapshot_unusable: Option<String>,
    /// What became of the snapshot that the hub asked for, if it did.
    pub snapshot_offered: Option<Offered>,
}

impl SyncReport {
    pub(crate) fn push(&mut self, pass: PassReport) {
        // A push that is split into several requests is one fast-forward to whoever reads the report.
        match self.passes.last_mut() {
            Some(last) if last.outcome == Outcome::RemoteFastForward && pass.outcome == last.outcome => {
                last.sent += pass.sent;
            }
            _ => self.passes.push(pass),
        }
    }
}
