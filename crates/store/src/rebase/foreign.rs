//! What the original client wrote: transactions that are statements, and bootstraps of its own.
//!
//! A store of ours writes what its change *did*, so that every datom of it can be checked. The original's receivers
//! transact what they receive instead, and so is it done here; the rules are in `docs/format.md`.

use std::collections::BTreeSet;

use tolstoy_edn::Instant;
use uuid::Uuid;

use crate::bootstrap::{self, entids::TX_INSTANT};
use crate::core::{Failure, Header, LAST_INSTANT, Plan, Working};
use crate::error::{Error, Result};
use crate::log::codec::Extra;
use crate::log::{EntidRun, Transaction, read};
use crate::rebase::incoming::Seen;
use crate::types::{Change, Entid, Origin, Value};

/// The highest number that a transaction may have: far from the end of the numbers, so that others can follow.
const LAST_TX: Entid = Entid::new(i64::MAX / 2);

/// A transaction that came in.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// Written by a store of ours.
    Own(Box<Transaction>),
    /// Written by another program.
    Foreign(Foreign),
    /// The datoms of the bootstrap transaction that the log begins with.
    Bootstrap(Vec<Change>),
}

/// A transaction that another program wrote: it has the number and the instant that it states, and no more than that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its number.
    pub tx: Entid,
    /// The origin of the change, derived from what names it in the log.
    pub origin: Uuid,
    /// The datoms that it states, its own `:db/txInstant` among them, in any order.
    pub changes: Vec<Change>,
}

impl From<Transaction> for Incoming {
    fn from(transaction: Transaction) -> Self {
        Self::Own(Box::new(transaction))
    }
}

impl Incoming {
    /// The origin of its change.
    pub fn origin(&self) -> Uuid {
        match self {
            Self::Own(transaction) => transaction.origin.id,
            Self::Foreign(foreign) => foreign.origin,
            Self::Bootstrap(_) => bootstrap::ORIGIN.id,
        }
    }

    /// Its datoms.
    pub(super) fn changes(&self) -> &[Change] {
        match self {
            Self::Own(transaction) => &transaction.changes,
            Self::Foreign(foreign) => &foreign.changes,
            Self::Bootstrap(changes) => changes,
        }
    }
}

fn damaged(tx: Entid, why: &str) -> Error {
    Error::damaged(format!("the log's transaction {tx} does not fit: {why}"))
}

/// The one instant that transaction `tx` states of itself.
fn own_instant(tx: Entid, changes: &[Change]) -> Result<Instant> {
    let mut own = changes.iter().filter(|c| c.e == tx && c.a == TX_INSTANT);
    match (own.next(), own.next()) {
        (Some(Change { v: Value::Instant(instant), added: true, .. }), None) if *instant <= LAST_INSTANT => {
            Ok(*instant)
        }
        (Some(Change { v: Value::Instant(_), added: true, .. }), None) => {
            Err(damaged(tx, "its instant is after the year 9999"))
        }
        _ => Err(damaged(tx, "it does not state its instant once")),
    }
}

impl Working<'_> {
    /// Takes in what comes next.
    pub(super) fn take_in(&mut self, incoming: &Incoming, merging: bool, seen: &mut Seen) -> Result<Entid> {
        match incoming {
            Incoming::Own(transaction) => self.apply_incoming(transaction, merging, seen),
            Incoming::Foreign(foreign) => self.apply_foreign(foreign, merging, seen),
            Incoming::Bootstrap(changes) => self.adopt_bootstrap(changes),
        }
    }

    /// Transacts what another program's transaction states, under the number and the instant that it has.
    fn apply_foreign(&mut self, foreign: &Foreign, merging: bool, seen: &mut Seen) -> Result<Entid> {
        let tx = foreign.tx;
        if tx <= self.basis.tx || tx > LAST_TX {
            return Err(damaged(tx, &format!("a number above {} belongs here", self.basis.tx)));
        }
        if read::by_origin(self.sql, foreign.origin)?.is_some() {
            return Err(damaged(tx, "its change is in the log twice"));
        }
        let instant = own_instant(tx, &foreign.changes)?;
        self.check_mentions(&foreign.changes, tx).map_err(|why| damaged(tx, why))?;
        check_built_ins(&foreign.changes).map_err(|why| damaged(tx, &why))?;
        // What it states of itself is what comes next; nothing else depends on where main was.
        self.basis.tx = tx.plus(-1);
        self.basis.instant = Instant::from_micros(instant.as_micros().saturating_sub(1));
        let explain = |working: &Self, failure: Failure| match failure {
            Failure::Refused(refusal) => damaged(tx, &refusal.explain(&working.schema)),
            Failure::Error(error) => error,
        };
        let fresh = self.basis.next;
        let plan = self.plan(foreign.changes.clone(), fresh).map_err(|f| explain(self, f))?;
        if merging {
            seen.take_in(self, &plan);
        }
        let extra =
            Extra { entids: allocated(&plan, fresh), said: said(tx, &foreign.changes, &plan), ..Extra::default() };
        let origin = Origin { id: foreign.origin, device: Uuid::nil(), authored: instant };
        self.write(&Header { instant, origin, extra }, plan).map_err(|f| explain(self, f))
    }

    /// Makes another's bootstrap this store's own: the datoms are the same, the instant is the other's.
    fn adopt_bootstrap(&mut self, changes: &[Change]) -> Result<Entid> {
        let tx = Entid::TX0;
        if self.basis.tx != tx {
            return Err(damaged(tx, "a bootstrap can only be the first"));
        }
        let instant = own_instant(tx, changes)?;
        let is_own = |c: &&Change| c.e == tx && c.a == TX_INSTANT;
        let theirs: BTreeSet<&Change> = changes.iter().filter(|c| !is_own(c)).collect();
        if theirs != bootstrap::core().iter().collect() {
            return Err(damaged(tx, "it is not the bootstrap of the core schema, version 1"));
        }
        let value = Value::Instant(instant);
        for table in ["datoms", "log"] {
            let main = if table == "log" { "AND timeline = 0" } else { "" };
            let update = format!("UPDATE {table} SET v = ?2 WHERE e = ?1 AND a = ?3 AND tx = ?1 {main}");
            self.sql.execute(&update, (tx, &value, TX_INSTANT))?;
        }
        let update = "UPDATE transactions SET instant = ?2, authored = ?2 WHERE timeline = 0 AND tx = ?1";
        self.sql.execute(update, (tx, instant.as_micros()))?;
        self.basis.instant = instant;
        Ok(tx)
    }
}

/// Of the schema's own partition another program knows version 1.
fn check_built_ins(changes: &[Change]) -> Result<(), String> {
    let mut mentioned = changes.iter().flat_map(|c| [Some(c.e), Some(c.a), c.v.as_ref_entid()]).flatten();
    let known = |e: Entid| e >= Entid::USER0 || bootstrap::is_built_in(e) && bootstrap::version_of(e) == 1;
    match mentioned.find(|e| !known(*e)) {
        Some(e) => Err(format!("it mentions {e}, which is no part of the schema")),
        None => Ok(()),
    }
}

/// The entities that a plan mentions and nothing before it did, as runs.
fn allocated(plan: &Plan, fresh: Entid) -> Vec<EntidRun> {
    let mentioned = plan.effects.iter().flat_map(|x| [Some(x.change.e), x.change.v.as_ref_entid()]).flatten();
    let new: BTreeSet<Entid> = mentioned.filter(|e| e.is_user() && *e >= fresh).collect();
    let mut runs: Vec<EntidRun> = Vec::new();
    for e in new {
        match runs.last_mut() {
            Some(run) if run.current.plus(run.count) == e => run.count += 1,
            _ => runs.push(EntidRun { authored: e, current: e, count: 1 }),
        }
    }
    runs
}

/// What was stated, in the log's order, where the plan does something else.
fn said(tx: Entid, stated: &[Change], plan: &Plan) -> Option<Vec<Change>> {
    let own = |c: &&Change| (c.e, c.a) != (tx, TX_INSTANT);
    let stated: BTreeSet<&Change> = stated.iter().filter(own).collect();
    let done = plan.effects.iter().map(|x| &x.change).filter(own);
    (!done.eq(stated.iter().copied())).then(|| stated.into_iter().cloned().collect())
}
