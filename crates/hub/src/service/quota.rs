//! What a log may hold, and when a snapshot of it is wanted.

use tolstoy_proto::{Quota, QuotaKind, Seq, SnapshotWanted, Urgency};

use super::{Service, View};
use crate::storage::{ReadTxn, StorageError, Usage};

impl Service {
    /// The limit that the log would pass with so many bytes and committed transactions more.
    pub(super) fn over_quota<T: ReadTxn + ?Sized>(
        &self,
        txn: &T,
        view: &View,
        bytes: u64,
        transactions: u64,
    ) -> Result<Option<Quota>, StorageError> {
        let passes = |of: QuotaKind, limit: Option<u64>, used: u64, more: u64| {
            let over = limit.filter(|limit| more > 0 && used.saturating_add(more) > *limit);
            over.map(|limit| Quota { of, limit, used })
        };
        let count = passes(QuotaKind::Transactions, self.policy().quota_transactions, view.tip.seq.0, transactions);
        if count.is_some() || self.policy().quota_bytes.is_none() {
            return Ok(count);
        }
        let used = view.life().map_or(Ok(0), |life| Ok::<_, StorageError>(txn.usage(life)?.bytes))?;
        Ok(passes(QuotaKind::Bytes, self.policy().quota_bytes, used, bytes))
    }

    /// Whether enough came since the newest snapshot that another is wanted.
    pub(super) fn wanted_snapshot(&self, usage: &Usage, head: Seq) -> Option<SnapshotWanted> {
        let (bytes, transactions) = (usage.fresh, head.0.saturating_sub(usage.snapshot.0));
        let urgency = if self.policy().snapshot_high.is_reached(bytes, transactions) {
            Urgency::High
        } else if self.policy().snapshot_low.is_reached(bytes, transactions) {
            Urgency::Low
        } else {
            return None;
        };
        Some(SnapshotWanted { urgency, bytes, transactions })
    }
}
