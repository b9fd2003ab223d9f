//! Which entity is which. A number means different entities on different devices and at different times; a name, which is
//! the change that brought the entity into being and the number it had there and then, means one for ever.

use std::collections::BTreeMap;

use tolstoy_store::{Change, Entid, Store, Timeline, Transaction, Value};
use uuid::Uuid;

use super::facts::{Facts, core};

/// An entity, by the change that allocated it and the number it got when that was authored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The change.
    pub origin: Uuid,
    /// The number; see [`Name::OWN`] and [`Name::CARRIER`].
    pub authored: Entid,
}

impl Name {
    /// Stands for the change's own transaction entity.
    pub const OWN: Entid = Entid::new(0);
    /// Stands for the transaction entity of the change's carrier, which is not what the change meant by its own.
    pub const CARRIER: Entid = Entid::new(-1);
}

/// What somebody meant by a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// An entity of the bootstrap.
    Core(Entid),
    /// An entity with these names, in order: several where it took several entities to be one.
    Named(Vec<Name>),
}

impl Who {
    /// Whether both can be meant by one number.
    pub fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(names), Self::Named(others)) => names.iter().any(|name| others.contains(name)),
            _ => self == other,
        }
    }
}

/// So many of the newest transactions are compared one by one.
const COMPARED: usize = 64;

fn unreadable(e: tolstoy_store::Error) -> String {
    format!("the store cannot be read: {e}")
}

/// A store as the oracle sees it.
#[derive(Debug, Clone)]
pub struct View {
    /// Its log, the bootstrap included.
    pub log: Vec<Transaction>,
    /// The sum of its log.
    pub facts: Facts,
    names: BTreeMap<Entid, Vec<Name>>,
}

impl View {
    /// Reads the store's log, adds it up, and compares the sum with the facts that the store holds.
    ///
    /// # Errors
    /// Where a transaction breaks a rule or the store holds other facts than its log adds up to.
    pub fn of(store: &Store) -> Result<Self, String> {
        let view = Self::of_log(store)?;
        view.compare(store)?;
        Ok(view)
    }

    fn of_log(store: &Store) -> Result<Self, String> {
        let mut view = Self { log: Vec::new(), facts: Facts::default(), names: BTreeMap::new() };
        view.take_in_all(store, Entid::TX0.plus(-1))?;
        Ok(view)
    }

    fn take_in_all(&mut self, store: &Store, after: Entid) -> Result<(), String> {
        let log = store.transactions(Timeline::MAIN, after, usize::MAX);
        for transaction in log.map_err(unreadable)? {
            self.take_in(transaction)?;
        }
        if self.log.last().map(|t| t.tx) != Some(store.basis()) {
            return Err("the store's basis is not its newest transaction".to_owned());
        }
        Ok(())
    }

    /// Compares the sum of the log with the facts that the store holds.
    ///
    /// # Errors
    /// Where the store holds other facts than its log adds up to.
    pub fn compare(&self, store: &Store) -> Result<(), String> {
        let (datoms, expected) = (store.datoms().map_err(unreadable)?, self.facts.datoms());
        if datoms != expected {
            let strange = datoms.iter().find(|d| !expected.contains(d));
            let missing = expected.iter().find(|d| !datoms.contains(d));
            return Err(format!(
                "the store does not hold what its log adds up to: {missing:?} is missing, {strange:?} too many"
            ));
        }
        Ok(())
    }

    /// Brings the view up to date. Where the store only went on, what is new is taken in; else all of it is read again, and
    /// the transactions are given that are not where they were.
    ///
    /// # Errors
    /// As for [`View::of`], but that the facts are not compared.
    pub fn refresh(&mut self, store: &Store) -> Result<Vec<Transaction>, String> {
        let Some(last) = self.log.last() else { return Err("a view without a bootstrap".to_owned()) };
        if store.basis() == last.tx && self.went_on(store)? {
            return Ok(Vec::new());
        }
        if store.basis() > last.tx && self.went_on(store)? {
            let after = last.tx;
            self.take_in_all(store, after)?;
            return Ok(Vec::new());
        }
        let before = std::mem::replace(self, Self::of_log(store)?);
        let same = before.log.iter().zip(&self.log).take_while(|(a, b)| a == b).count();
        Ok(before.log.into_iter().skip(same).collect())
    }

    /// Whether the store still has the log that was seen: compared whole where it is short, else at distances from its end
    /// that double.
    fn went_on(&self, store: &Store) -> Result<bool, String> {
        let mut distance = 1;
        while let Some(seen) = self.log.len().checked_sub(distance).and_then(|at| self.log.get(at)) {
            if store.transaction(seen.tx).map_err(unreadable)?.as_ref() != Some(seen) {
                return Ok(false);
            }
            distance += if distance < COMPARED { 1 } else { distance };
        }
        Ok(true)
    }

    /// Takes in the store's next transaction.
    ///
    /// # Errors
    /// Where it breaks a rule.
    pub fn take_in(&mut self, transaction: Transaction) -> Result<(), String> {
        self.facts.apply(&transaction)?;
        if !self.log.is_empty() {
            for (name, e) in names(&transaction) {
                let of = self.names.entry(e).or_default();
                of.push(name);
                of.sort();
            }
        }
        self.log.push(transaction);
        Ok(())
    }

    /// What a number means here.
    ///
    /// # Errors
    /// Where nobody ever allocated it.
    pub fn who(&self, e: Entid) -> Result<Who, String> {
        match self.names.get(&e) {
            Some(names) => Ok(Who::Named(names.clone())),
            None if e <= Entid::TX0 && (!e.is_user()) => Ok(Who::Core(e)),
            None => Err(format!("entity {e} was allocated by no transaction")),
        }
    }

    /// The origins of all changes in the log.
    pub fn origins(&self) -> impl Iterator<Item = Uuid> {
        self.log.iter().map(|t| t.origin.id)
    }
}

/// The names that a transaction gives, with the entity of each, as it stands in its log.
pub(super) fn names(transaction: &Transaction) -> Vec<(Name, Entid)> {
    let origin = transaction.origin.id;
    let allocated = transaction.entids.iter().flat_map(|run| {
        (0..run.count).map(move |n| (Name { origin, authored: run.authored.plus(n) }, run.current.plus(n)))
    });
    let own = if transaction.displaced.is_some() { Name::CARRIER } else { Name::OWN };
    allocated.chain([(Name { origin, authored: own }, transaction.tx)]).collect()
}

/// The datoms of a transaction, its own instant left out.
pub(super) fn facts_of(transaction: &Transaction) -> impl Iterator<Item = &Change> {
    transaction.changes.iter().filter(|c| c.a != core::TX_INSTANT)
}

/// The entities that a change mentions.
pub(super) fn mentioned(c: &Change) -> impl Iterator<Item = Entid> {
    [Some(c.e), Some(c.a), c.v.as_ref_entid()].into_iter().flatten()
}

/// A change as its author meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The entity.
    pub e: Who,
    /// The number that it had there and then.
    pub number: Entid,
    /// The attribute.
    pub a: Who,
    /// The value; of a ref what it refers to is in `to`.
    pub v: Value,
    /// What a ref refers to.
    pub to: Option<Who>,
    /// Whether it was asserted.
    pub added: bool,
}
