//! Local changes that settle entries of the journal.

use uuid::Uuid;

use crate::bootstrap::entids::JOURNAL_SETTLES;
use crate::error::Result;
use crate::journal::settled_between;
use crate::log::{Operation, Reason};
use crate::rebase::reapply::{InProgress, Why};
use crate::types::{Change, Value};

impl InProgress<'_, '_> {
    /// A change that applies an entry which the other side has settled meanwhile would do twice what was meant once. One that
    /// states nothing but settlements does nothing that could be done twice.
    pub(super) fn settled_meanwhile(&self, changes: &[Change], operations: &[Operation]) -> Result<Option<Why>> {
        if operations.is_empty() && changes.iter().all(|c| c.a == JOURNAL_SETTLES) {
            return Ok(None);
        }
        let settles = |c: &Change| -> Option<Uuid> {
            match &c.v {
                Value::Uuid(id) if c.added && c.a == JOURNAL_SETTLES && c.e.is_tx() => Some(*id),
                _ => None,
            }
        };
        for id in changes.iter().filter_map(settles) {
            if let Some(by) = settled_between(self.working, id, self.root, self.incoming_end)? {
                let detail = format!("it applies {id}, which transaction {by} of the other side has settled meanwhile");
                return Ok(Some(Why { reason: Reason::Operation, detail }));
            }
        }
        Ok(None)
    }
}
