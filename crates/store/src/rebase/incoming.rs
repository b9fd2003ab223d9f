//! Applying a log's transactions exactly as they were sent.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::bootstrap::{self, entids::TX_INSTANT};
use crate::core::{Failure, Header, LAST_INSTANT, Plan, Working};
use crate::error::{Error, ErrorKind, Result};
use crate::log::codec::Extra;
use crate::log::read::Timeline;
use crate::log::{EntidRun, Operation, Transaction, read};
use crate::rebase::definitions::{AllMade, note_made};
use crate::rebase::images::{Batches, is_old};
use crate::rebase::operations;
use crate::types::{Change, Entid, Value};

/// What the incoming transactions of a merge did that the re-applied local ones must know. It grows with what local changes
/// mention and, of all that came in, only with what was retracted of entities that are newer than the root.
#[derive(Debug)]
pub(super) struct Seen {
    root: Entid,
    root_next: Entid,
    /// Whether local changes call functions, which may state anything.
    all: bool,
    /// Attributes of entities of the root that local changes state something about.
    stated: HashSet<(Entid, Entid)>,
    /// Entities of the root that they mention.
    mentioned: HashSet<Entid>,
    /// Cardinality-one values among these that came in changed, each with the value at the root; and values that came in and went again, of
    /// entities that are newer.
    pub(super) changed: HashMap<(Entid, Entid), Option<Value>>,
    /// Entities of which something was retracted: of those that are mentioned, and of newer ones.
    pub(super) retracted: HashSet<Entid>,
    /// Attributes that came in, as they were made.
    pub(super) made: AllMade,
}

impl Seen {
    /// Reads what the local changes, which are on a side timeline, mention.
    pub(super) fn new(working: &Working<'_>, side: Timeline, root: Entid, root_next: Entid) -> Result<Self> {
        let (stated, mentioned) = (HashSet::new(), HashSet::new());
        let (changed, retracted, made) = (HashMap::new(), HashSet::new(), HashMap::new());
        let mut seen = Self { root, root_next, all: false, stated, mentioned, changed, retracted, made };
        let mut batches = Batches::new(side, root);
        while let Some(batch) = batches.next(working.sql)? {
            for local in batch.iter().filter(|t| t.displaced.is_none()) {
                seen.expect(local);
            }
        }
        Ok(seen)
    }

    /// Notes what a local change may state when it is re-applied.
    fn expect(&mut self, local: &Transaction) {
        let (root, root_next) = (self.root, self.root_next);
        for change in operations::stated_or_produced(local) {
            self.stated.extend(self.is_old(change.e).then_some((change.e, change.a)));
            let mentioned = [Some(change.e), change.v.as_ref_entid()].into_iter().flatten();
            self.mentioned.extend(mentioned.filter(|e| is_old(*e, root, root_next)));
        }
        for operation in &local.operations {
            self.mentioned.extend(operation.mentions().into_iter().filter(|e| is_old(*e, root, root_next)));
            if let Operation::Update { e, a, .. } = operation {
                self.stated.insert((*e, *a));
            }
            self.all |= matches!(operation, Operation::Call { .. });
        }
    }

    fn is_old(&self, e: Entid) -> bool {
        is_old(e, self.root, self.root_next)
    }

    pub(super) fn take_in(&mut self, working: &Working<'_>, tx: Entid, plan: &Plan) {
        let schema = plan.schema.as_ref().unwrap_or(&working.schema);
        for change in plan.effects.iter().map(|x| &x.change).filter(|c| c.a != TX_INSTANT) {
            let (place, is_new) = ((change.e, change.a), !self.is_old(change.e));
            if !change.added && (is_new || self.all || self.mentioned.contains(&change.e)) {
                self.retracted.insert(change.e);
            }
            let counts = if is_new { !change.added } else { self.all || self.stated.contains(&place) };
            if counts && schema.attribute(change.a).is_some_and(|d| d.is_one()) {
                // Retractions come first among the effects on one attribute, so the first to arrive tells the base.
                self.changed.entry(place).or_insert_with(|| (!change.added).then(|| change.v.clone()));
            }
        }
        if plan.schema.is_some() {
            let new = plan.effects.iter().map(|x| &x.change).filter(|c| !self.is_old(c.e));
            let new: Vec<Change> = new.cloned().collect();
            note_made(&mut self.made, tx, &new, schema);
        }
    }
}

impl Working<'_> {
    /// Applies an incoming transaction. Every datom of it must do what it says on the facts as they are, since the
    /// store that wrote it had the same; so a damaged or forged log is noticed at once.
    pub(super) fn apply_incoming(&mut self, transaction: &Transaction, seen: Option<&mut Seen>) -> Result<Entid> {
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
        if let Some(seen) = seen {
            seen.take_in(self, tx, &plan);
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

#[cfg(test)]
mod tests;
