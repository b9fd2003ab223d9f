//! The log: every transaction of main, and of the side timelines that rebases moved off main.

pub mod codec;
pub(crate) mod operation;
pub(crate) mod read;
pub(crate) mod rewind;

use tolstoy_edn::Instant;
use uuid::Uuid;

use crate::types::{Change, Datom, Entid, Origin, Value};

pub use operation::{Field, Operation, Update};

/// Entities that a change allocated, as a run: what they were when it was authored, what they are in this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntidRun {
    /// The first one's number when the change was authored.
    pub authored: Entid,
    /// The first one's number in this log.
    pub current: Entid,
    /// How many there are; at least 1.
    pub count: i64,
}

/// A cardinality-one value that both sides of a merge changed; the transaction that carries this re-applied the local one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overwrite {
    /// The entity.
    pub e: Entid,
    /// The attribute.
    pub a: Entid,
    /// The value at the root, if there was one.
    pub base: Option<Value>,
    /// The value that the other side gave it, unless it retracted it.
    pub incoming: Option<Value>,
    /// The value that the local side gave it.
    pub local: Value,
    /// What the re-applied transaction left.
    pub stands: Stands,
}

impl Overwrite {
    /// The value that the transaction left, if it left one.
    pub const fn result(&self) -> Option<&Value> {
        match &self.stands {
            Stands::Local => Some(&self.local),
            Stands::Instead(value) => value.as_ref(),
        }
    }
}

/// Which value stands of those that both sides of a merge gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// The local one.
    Local,
    /// By the attribute's merge policy this one, or none.
    Instead(Option<Value>),
}

/// Why a change was displaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A value it asserts for a unique attribute belongs to another entity.
    Unique,
    /// It mentions an entity whose allocation was displaced.
    Depends,
    /// It edits, or refers to, an entity that the other side deleted whole; or it deletes one that the other side edited, or referred to.
    Deleted,
    /// Its datoms do not fit the schema of the new base.
    Schema,
    /// An operation failed, or is not known.
    Operation,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 5] = [Self::Unique, Self::Depends, Self::Deleted, Self::Schema, Self::Operation];

    /// The word that stands for it in formats and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Depends => "depends",
            Self::Deleted => "deleted",
            Self::Schema => "schema",
            Self::Operation => "operation",
        }
    }
}

/// An entity that a displaced change mentions and that this log does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unbound {
    /// The number that stands for it in the displaced datoms.
    pub entid: Entid,
    /// The change that allocated it.
    pub origin: Uuid,
    /// The number it had when it was authored; 0 stands for that change's own transaction entity.
    pub authored: Entid,
}

/// A change that could not be re-applied. The transaction that holds it is its carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displaced {
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub detail: String,
    /// The entities in `changes` and `operations` that the log does not have.
    pub unbound: Vec<Unbound>,
    /// The change's own datoms, those that its operations came to left out.
    pub changes: Vec<Change>,
    /// The change's operations.
    pub operations: Vec<Operation>,
}

/// One transaction of the log.
///
/// What it *did* are its `changes`: the datoms that became or ceased to be true. What its change *says* is
/// [`statement`](Self::statement): the same, unless the change was re-applied and found some of it true already, or had to
/// replace what it did not know of, or has `operations`: what those came to is among its datoms, and not among what it says. A
/// carrier did nothing but take its place; what its change says is in `displaced`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its entity: 268435456 plus its place in the log.
    pub tx: Entid,
    /// Its `:db/txInstant`.
    pub instant: Instant,
    /// What names the change for ever.
    pub origin: Origin,
    /// The entities it allocated when it was authored.
    pub entids: Vec<EntidRun>,
    /// What it means to do to the facts as it finds them.
    pub operations: Vec<Operation>,
    /// Values that it set and that both sides of a merge had changed.
    pub overwritten: Vec<Overwrite>,
    /// Of a carrier, what it carries.
    pub displaced: Option<Displaced>,
    /// What its change says, in the log's order, where its datoms are something else: some of it was true already when it
    /// was re-applied, or is not any more what it replaces, or operations came to it. Another rebase re-applies all of it, and
    /// runs the operations. Where there are operations there is always this.
    pub said: Option<Vec<Change>>,
    /// Its datoms, in the log's order, its own `:db/txInstant` among them.
    pub changes: Vec<Change>,
}

impl Transaction {
    /// Its datoms.
    pub fn datoms(&self) -> impl Iterator<Item = Datom> + '_ {
        self.changes.iter().map(|change| change.clone().at(self.tx))
    }

    /// Its datoms beside its own instant.
    pub fn facts(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|c| !self.is_own_instant(c))
    }

    /// What its change says, whether or not it had to be done. Its own instant is left out.
    pub fn statement(&self) -> impl Iterator<Item = &Change> {
        self.said.as_deref().unwrap_or(&self.changes).iter().filter(|c| !self.is_own_instant(c))
    }

    /// Every entity that it names, in whatever position, the entities it allocated left out.
    pub(crate) fn mentions(&self) -> impl Iterator<Item = Entid> + '_ {
        let displaced = self.displaced.iter().flat_map(|d| &d.changes);
        let operations = self.operations.iter().chain(self.displaced.iter().flat_map(|d| &d.operations));
        let stated = self.changes.iter().chain(self.said.iter().flatten()).chain(displaced);
        let values = |o: &'_ Overwrite| {
            [o.base.as_ref(), o.incoming.as_ref(), Some(&o.local), o.result()].map(|v| v.and_then(Value::as_ref_entid))
        };
        let overwritten =
            self.overwritten.iter().flat_map(move |o| [Some(o.e), Some(o.a)].into_iter().chain(values(o)));
        let stated = stated.flat_map(|c| [Some(c.e), Some(c.a), c.v.as_ref_entid()]);
        stated.chain(overwritten).flatten().chain(operations.flat_map(Operation::mentions))
    }

    /// Whether it or what it carries has operations.
    pub(crate) fn operates(&self) -> bool {
        !self.operations.is_empty() || self.displaced.as_ref().is_some_and(|d| !d.operations.is_empty())
    }

    fn is_own_instant(&self, change: &Change) -> bool {
        change.e == self.tx && change.a == crate::bootstrap::entids::TX_INSTANT
    }
}
