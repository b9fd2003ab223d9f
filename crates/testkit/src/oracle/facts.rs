//! The oracle's own facts: a set, and the rules that every transaction must keep. It shares no code with the store.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::{Instant, Keyword};
use tolstoy_store::{Change, Datom, Entid, Transaction, Value};

/// The entids of the bootstrap schema that the rules speak of.
pub mod core {
    use tolstoy_store::Entid;

    /// `:db/ident`.
    pub const IDENT: Entid = Entid::new(1);
    /// `:db/txInstant`.
    pub const TX_INSTANT: Entid = Entid::new(3);
    /// `:db/valueType`.
    pub const VALUE_TYPE: Entid = Entid::new(7);
    /// `:db/cardinality`.
    pub const CARDINALITY: Entid = Entid::new(8);
    /// `:db/unique`.
    pub const UNIQUE: Entid = Entid::new(9);
    /// `:db/isComponent`.
    pub const IS_COMPONENT: Entid = Entid::new(10);
    /// `:db/index`.
    pub const INDEX: Entid = Entid::new(11);
    /// `:db/noHistory`, the last of the attributes that make up a definition.
    pub const NO_HISTORY: Entid = Entid::new(13);
    /// `:db.cardinality/one`.
    pub const ONE: Entid = Entid::new(33);
    /// `:db.unique/identity`.
    pub const IDENTITY: Entid = Entid::new(36);
    /// `:db.journal/settles`.
    pub const SETTLES: Entid = Entid::new(2007);
    /// `:db/merge`.
    pub const MERGE: Entid = Entid::new(2000);
    /// `:db/doc`.
    pub const DOC: Entid = Entid::new(37);
}

const TX0: i64 = 0x1000_0000;
const USER0: i64 = 0x1_0000;

/// A set of facts that grew transaction by transaction.
#[derive(Debug, Clone)]
pub struct Facts {
    facts: BTreeMap<(Entid, Entid, Value), Entid>,
    holders: BTreeMap<(Entid, Value), BTreeSet<Entid>>,
    /// The highest user entity mentioned so far, as entity or ref.
    high: Entid,
    last: Option<(Entid, Instant)>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { facts: BTreeMap::new(), holders: BTreeMap::new(), high: Entid::new(USER0 - 1), last: None }
    }
}

impl Facts {
    /// Takes in the next transaction.
    ///
    /// # Errors
    /// Which rule it breaks. The facts are of no use then.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<(), String> {
        let tx = transaction.tx;
        let broken = |what: String| Err(format!("transaction {tx}: {what}"));
        if let Some((last, instant)) = self.last {
            if tx != last.plus(1) {
                return broken(format!("follows {last}"));
            }
            if transaction.instant <= instant {
                return broken(format!("its instant {:?} is not later than {instant:?}", transaction.instant));
            }
        }
        let own = Change::add(tx, core::TX_INSTANT, Value::Instant(transaction.instant));
        if transaction.changes.iter().filter(|c| c.a == core::TX_INSTANT).ne([&own]) {
            return broken("it does not state its own instant, once, and no other".to_owned());
        }
        self.check_numbers(tx, &transaction.changes)?;
        for change in transaction.changes.iter().filter(|c| !c.added) {
            if !self.remove(change) {
                return broken(format!("retracts {}, which is not true", show(change)));
            }
        }
        for change in transaction.changes.iter().filter(|c| c.added) {
            if !self.insert(change, tx) {
                return broken(format!("asserts {}, which is true already", show(change)));
            }
        }
        self.last = Some((tx, transaction.instant));
        self.check_rules(&transaction.changes).map_err(|what| format!("transaction {tx}: {what}"))
    }

    fn insert(&mut self, c: &Change, tx: Entid) -> bool {
        self.holders.entry((c.a, c.v.clone())).or_default().insert(c.e);
        self.facts.insert((c.e, c.a, c.v.clone()), tx).is_none()
    }

    fn remove(&mut self, c: &Change) -> bool {
        if let Some(holders) = self.holders.get_mut(&(c.a, c.v.clone())) {
            holders.remove(&c.e);
        }
        self.facts.remove(&(c.e, c.a, c.v.clone())).is_some()
    }

    /// New entities take the numbers that follow the highest one mentioned, without holes; transactions the ones there are.
    fn check_numbers(&mut self, tx: Entid, changes: &[Change]) -> Result<(), String> {
        let mut new = BTreeSet::new();
        for c in changes {
            for e in [Some(c.e), c.v.as_ref_entid()].into_iter().flatten() {
                let n = e.get();
                if e > tx {
                    return Err(format!("transaction {tx} mentions {e}, a later one"));
                }
                if (USER0..TX0).contains(&n) && e > self.high {
                    new.insert(e);
                }
                if n < USER0 && self.last.is_some() && (defines(c.a) && e == c.e || !self.exists(e)) {
                    return Err(format!("transaction {tx} changes or makes up the core entity {e}"));
                }
            }
        }
        for (e, n) in new.iter().zip(1..) {
            if *e != self.high.plus(n) {
                return Err(format!(
                    "transaction {tx} mentions {e}, which nobody allocated; the highest was {}",
                    self.high
                ));
            }
        }
        self.high = new.last().copied().unwrap_or(self.high);
        Ok(())
    }

    fn check_rules(&self, changes: &[Change]) -> Result<(), String> {
        for c in changes {
            if [core::CARDINALITY, core::UNIQUE, core::VALUE_TYPE].contains(&c.a) {
                self.check_attribute(c.e)?;
            }
            if !c.added {
                continue;
            }
            let Some(wants) = self.value_type(c.a) else { return Err(format!("{} is not an attribute", c.a)) };
            if wants != c.v.value_type().entid() {
                return Err(format!("{} has a value of another type than {wants}", show(c)));
            }
            if self.is_one(c.a) && self.values(c.e, c.a).count() != 1 {
                return Err(format!("{} is one of several values", show(c)));
            }
            if self.unique(c.a).is_some() && self.holders(c.a, &c.v).len() != 1 {
                return Err(format!("{} is unique and has several holders", show(c)));
            }
        }
        Ok(())
    }

    /// A definition that changed must fit all facts there are.
    fn check_attribute(&self, a: Entid) -> Result<(), String> {
        let one = self.is_one(a);
        let mut previous = None;
        for (e, at, v) in self.facts.keys().filter(|(_, at, _)| *at == a) {
            if self.value_type(a) != Some(v.value_type().entid()) {
                return Err(format!("the type of {a} changed under its facts"));
            }
            if one && previous.replace(*e) == Some(*e) {
                return Err(format!("{a} became cardinality one, and {e} has several values"));
            }
            if self.unique(*at).is_some() && self.holders(a, v).len() != 1 {
                return Err(format!("{a} became unique, and {v} has several holders"));
            }
        }
        Ok(())
    }

    /// Whether this is a fact.
    pub fn holds(&self, e: Entid, a: Entid, v: &Value) -> bool {
        self.asserted(e, a, v).is_some()
    }

    /// The transaction that asserted this fact.
    pub fn asserted(&self, e: Entid, a: Entid, v: &Value) -> Option<Entid> {
        self.facts.get(&(e, a, v.clone())).copied()
    }

    /// All facts about an entity.
    pub fn about(&self, e: Entid) -> impl Iterator<Item = (Entid, &Value)> {
        let from = (e, Entid::new(i64::MIN), Value::Ref(Entid::new(i64::MIN)));
        self.facts.range(from..).take_while(move |((of, _, _), _)| *of == e).map(|((_, a, v), _)| (*a, v))
    }

    /// The values of an attribute on an entity.
    pub fn values(&self, e: Entid, a: Entid) -> impl Iterator<Item = &Value> {
        self.about(e).filter(move |(at, _)| *at == a).map(|(_, v)| v)
    }

    /// The entities that have this value.
    pub fn holders(&self, a: Entid, v: &Value) -> Vec<Entid> {
        self.holders.get(&(a, v.clone())).map(|holders| holders.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether anything is stated about the entity.
    pub fn exists(&self, e: Entid) -> bool {
        self.about(e).next().is_some()
    }

    fn named(&self, e: Entid, a: Entid) -> Option<Entid> {
        self.values(e, a).next().and_then(Value::as_ref_entid)
    }

    /// The entid of the attribute's type, where it is an attribute.
    pub fn value_type(&self, a: Entid) -> Option<Entid> {
        self.named(a, core::CARDINALITY)?;
        self.named(a, core::VALUE_TYPE)
    }

    /// Whether the attribute holds one value.
    pub fn is_one(&self, a: Entid) -> bool {
        self.named(a, core::CARDINALITY) == Some(core::ONE)
    }

    /// The attribute's uniqueness, `:db.unique/value` or `:db.unique/identity`.
    pub fn unique(&self, a: Entid) -> Option<Entid> {
        self.named(a, core::UNIQUE)
    }

    /// The attribute's merge policy, where one is stated.
    pub fn merge(&self, a: Entid) -> Option<Entid> {
        self.named(a, core::MERGE)
    }

    /// Whether a value of the attribute names its entity.
    pub fn identifies(&self, a: Entid) -> bool {
        self.unique(a) == Some(core::IDENTITY)
    }

    /// The entity's ident.
    pub fn ident(&self, e: Entid) -> Option<&Keyword> {
        self.values(e, core::IDENT).find_map(|v| match v {
            Value::Keyword(k) => Some(k),
            _ => None,
        })
    }

    /// Whether an entity has this ident.
    pub fn has_ident(&self, ident: &Keyword) -> bool {
        !self.holders(core::IDENT, &Value::Keyword(ident.clone())).is_empty()
    }

    /// The user's attributes.
    pub fn attributes(&self) -> Vec<Entid> {
        let defined = self.facts.keys().filter(|(e, a, _)| *a == core::VALUE_TYPE && e.get() >= USER0);
        defined.map(|(e, _, _)| *e).filter(|e| self.value_type(*e).is_some()).collect()
    }

    /// The highest user entity mentioned so far.
    pub fn high(&self) -> Entid {
        self.high
    }

    /// All facts, as the store lists them.
    pub fn datoms(&self) -> Vec<Datom> {
        let datom = |((e, a, v), tx): (&(Entid, Entid, Value), &Entid)| Datom {
            e: *e,
            a: *a,
            v: v.clone(),
            tx: *tx,
            added: true,
        };
        self.facts.iter().map(datom).collect()
    }

    /// Whether a fact refers to the entity.
    pub fn is_referred_to(&self, e: Entid) -> bool {
        self.iter().any(|(.., v)| v.as_ref_entid() == Some(e))
    }

    /// All facts without their transactions.
    pub fn iter(&self) -> impl Iterator<Item = (Entid, Entid, &Value)> {
        self.facts.keys().map(|(e, a, v)| (*e, *a, v))
    }
}

/// Whether facts of this attribute define attributes or idents.
pub fn defines(a: Entid) -> bool {
    a == core::IDENT || (core::VALUE_TYPE..=core::NO_HISTORY).contains(&a)
}

/// Whether a datom of this attribute says what facts of another mean: its type, cardinality, uniqueness and the like.
pub fn gives_meaning(a: Entid) -> bool {
    (core::VALUE_TYPE..=core::NO_HISTORY).contains(&a) && ![core::INDEX, core::NO_HISTORY].contains(&a)
}

/// A change for people.
pub fn show(c: &Change) -> String {
    format!("[{} {} {} {}]", if c.added { "+" } else { "-" }, c.e, c.a, c.v)
}
