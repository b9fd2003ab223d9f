//! Applying a log's transactions exactly as they were sent.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::bootstrap::{self, entids::TX_INSTANT};
use crate::core::{Failure, Header, LAST_INSTANT, Plan, Working};
use crate::error::{Error, ErrorKind, Result};
use crate::log::codec::Extra;
use crate::log::{EntidRun, Operation, Transaction, read};
use crate::types::{Change, Entid, Value};

/// What the incoming transactions of a merge did that the re-applied local ones must know.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Cardinality-one values that they changed, each with the value at the root.
    pub(super) changed: HashMap<(Entid, Entid), Option<Value>>,
    /// Entities of which they retracted something.
    pub(super) retracted: HashSet<Entid>,
}

impl Seen {
    pub(super) fn take_in(&mut self, working: &Working<'_>, plan: &Plan) {
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
        let states = transaction.facts().next().is_some() || transaction.said.is_some();
        if transaction.displaced.is_some() && (states || !transaction.operations.is_empty()) {
            return Err(damaged("it is a carrier and states facts"));
        }
        if transaction.origin.authored > LAST_INSTANT {
            return Err(damaged("it was authored after the year 9999"));
        }
        if transaction.instant != self.instant_for(transaction.origin.authored) {
            return Err(damaged("its instant is neither when it was authored nor right after the one before"));
        }
        self.check_mentions(&transaction.changes, tx).map_err(damaged)?;
        check_built_ins(transaction)?;
        self.check_numbers(transaction).map_err(damaged)?;
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
            operations: transaction.operations.clone(),
            overwritten: transaction.overwritten.clone(),
            displaced: transaction.displaced.clone(),
            said: transaction.said.clone(),
        };
        let header = Header { instant: transaction.instant, origin: transaction.origin, extra };
        self.write(&header, plan).map_err(|f| explain(self, f))?;
        let said = transaction.said.iter().flatten();
        let stated = said.flat_map(|c| [Some(c.e), Some(c.a), c.v.as_ref_entid()]).flatten();
        let mut mentioned = stated.chain(transaction.operations.iter().flat_map(Operation::mentions));
        if transaction.entids.iter().any(|run| !self.has_all(run)) || mentioned.any(|e| !self.has(e)) {
            return Err(damaged("it lists entities that are not there"));
        }
        Ok(tx)
    }

    /// What transaction `tx` mentions can be an entity.
    pub(super) fn check_mentions(&self, changes: &[Change], tx: Entid) -> Result<(), &'static str> {
        for e in changes.iter().flat_map(|c| [Some(c.e), c.v.as_ref_entid()]).flatten() {
            if e.get() < 0 {
                return Err("it mentions an entity below zero");
            }
            if e > tx {
                return Err("it mentions a transaction that is not there");
            }
        }
        Ok(())
    }

    /// Entities are allocated one after the other and mentioned at once, so what is new follows what is there.
    fn check_numbers(&self, transaction: &Transaction) -> Result<(), &'static str> {
        let mut fresh = BTreeSet::new();
        for e in transaction.changes.iter().flat_map(|c| [Some(c.e), c.v.as_ref_entid()]).flatten() {
            if e.is_user() && e >= self.basis.next {
                fresh.insert(e);
            }
        }
        let end = self.basis.next.plus(i64::try_from(fresh.len()).unwrap_or(i64::MAX));
        if fresh.last().is_some_and(|last| *last >= end) {
            return Err("its new entities do not follow those that are there");
        }
        Ok(())
    }

    /// Whether all entities of a run are numbers that some transaction mentioned.
    fn has_all(&self, run: &EntidRun) -> bool {
        let (first, last) = (run.current, run.current.plus(run.count - 1));
        first.is_tx() == last.is_tx() && self.has(first) && self.has(last)
    }

    /// Whether some transaction mentioned the entity, or it lies in the schema's own partition.
    fn has(&self, e: Entid) -> bool {
        if e.is_tx() { e <= self.basis.tx } else { e.get() >= 0 && e < self.basis.next }
    }
}

/// What belongs to the schema's own partition must be known, or a newer version has to say what it means.
fn check_built_ins(transaction: &Transaction) -> Result<()> {
    let own = |e: &Entid| (0..Entid::USER0.get()).contains(&e.get());
    let Some(unknown) = transaction.mentions().filter(own).find(|e| !bootstrap::is_built_in(*e)) else { return Ok(()) };
    let (tx, version) = (transaction.tx, bootstrap::version_of(unknown));
    if version <= bootstrap::VERSION {
        return Err(Error::damaged(format!(
            "the log's transaction {tx} mentions {unknown}, which is no part of the schema"
        )));
    }
    let message = format!(
        "the log's transaction {tx} uses {unknown} of the schema, which format {version} brought; this version knows formats up to {}; \
         update Tolstoy",
        bootstrap::VERSION
    );
    Err(Error::new(ErrorKind::NewerFormat, message))
}
