//! Applying a log's transactions exactly as they were sent.

use std::collections::{HashMap, HashSet};

use crate::bootstrap::entids::TX_INSTANT;
use crate::core::{Failure, Header, Plan, Working};
use crate::error::{Error, Result};
use crate::log::codec::Extra;
use crate::log::{Transaction, read};
use crate::types::{Entid, Value};

/// What the incoming transactions of a merge did that the re-applied local ones must know.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Cardinality-one values that they changed, each with the value at the root.
    pub(super) changed: HashMap<(Entid, Entid), Option<Value>>,
    /// Entities of which they retracted something.
    pub(super) retracted: HashSet<Entid>,
}

impl Seen {
    fn take_in(&mut self, working: &Working<'_>, plan: &Plan) {
        let schema = plan.schema.as_ref().unwrap_or(&working.schema);
        for change in plan.effects.iter().map(|x| &x.change).filter(|c| c.a != TX_INSTANT) {
            if !change.added {
                self.retracted.insert(change.e);
            }
            if schema.attribute(change.a).is_some_and(|d| d.is_one()) {
                // Retractions come first among the effects on one attribute, so the first to arrive tells the base.
                self.changed.entry((change.e, change.a)).or_insert_with(|| (!change.added).then(|| change.v.clone()));
            }
        }
    }
}

impl Working<'_> {
    /// Applies an incoming transaction. Every datom of it must do what it says on the facts as they are, since the
    /// store that wrote it had the same; so a damaged or forged log is noticed at once.
    pub(super) fn apply_incoming(
        &mut self,
        transaction: &Transaction,
        merging: bool,
        seen: &mut Seen,
    ) -> Result<Entid> {
        let tx = transaction.tx;
        let damaged = |why: &str| Error::damaged(format!("the log's transaction {tx} does not fit: {why}"));
        if tx != self.next_tx() {
            return Err(damaged(&format!("number {} belongs here", self.next_tx())));
        }
        if read::by_origin(self.sql, transaction.origin.id)?.is_some() {
            return Err(damaged("its change is in the log twice"));
        }
        if transaction.displaced.is_some() && transaction.facts().next().is_some() {
            return Err(damaged("it is a carrier and states facts"));
        }
        let explain = |working: &Self, failure: Failure| match failure {
            Failure::Refused(refusal) => damaged(&refusal.explain(&working.schema)),
            Failure::Error(error) => error,
        };
        let plan = self.plan(transaction.changes.clone(), self.basis.next).map_err(|f| explain(self, f))?;
        if !plan.effects.iter().map(|x| &x.change).eq(&transaction.changes) {
            return Err(damaged("a datom asserts what is true already, or retracts what is not"));
        }
        if merging {
            seen.take_in(self, &plan);
        }
        let extra = Extra {
            entids: transaction.entids.clone(),
            overwritten: transaction.overwritten.clone(),
            displaced: transaction.displaced.clone(),
            said: None,
        };
        let header = Header { instant: transaction.instant, origin: transaction.origin, extra };
        self.write(&header, plan).map_err(|f| explain(self, f))
    }
}
