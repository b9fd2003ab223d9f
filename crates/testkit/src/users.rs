//! Users: what they transact, as EDN text, from what they see in their store.

mod designs;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use tolstoy_edn::Keyword;
use tolstoy_store::{Entid, Operation, Update, Value};
use uuid::Uuid;

use designs::{ALTERABLE, BULK, DESIGNS, Design, IDENTITY, POLICIES, UNIQUE, is_fixed};

pub(crate) use designs::QUARRELS;

use crate::dice::Dice;
use crate::oracle::facts::core;
use crate::oracle::{Facts, NEXT, TAKE, View};
use crate::plan::Format;

/// What a transaction is made of.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// Some facts about one entity.
    Add,
    /// A new entity, as a map, perhaps with more maps in it.
    Entity,
    /// A fact taken back.
    Retract,
    /// An entity deleted whole.
    Delete,
    /// A fact replaced: another value of an attribute that has one.
    Replace,
    /// New attributes.
    Define,
    /// Another ident for an entity that has one, or a first one.
    Rename,
    /// Two entities exchange a unique value.
    Swap,
    /// An identity for an entity that was created without.
    Identify,
    /// A fact about the transaction itself, or an earlier one.
    Annotate,
    /// A ref to something recent.
    Refer,
    /// A remark about an attribute's definition.
    Remark,
    /// Another cardinality or uniqueness for an attribute.
    Alter,
    /// Something done to a value as it is found: an increment, mostly.
    Operate,
    /// A function of the user's program.
    Call,
    /// A value of an attribute with a merge policy, of one of few entities.
    Contest,
    /// Another merge policy for an attribute.
    Decide,
    /// An entry of the journal is settled: applied, where the transaction says more, or dropped.
    Settle,
}

const MOVES: [(Move, u64); 18] = [
    (Move::Call, 20),
    (Move::Contest, 22),
    (Move::Decide, 2),
    (Move::Settle, 10),
    (Move::Operate, 14),
    (Move::Add, 20),
    (Move::Entity, 24),
    (Move::Retract, 14),
    (Move::Delete, 6),
    (Move::Replace, 16),
    (Move::Define, 10),
    (Move::Rename, 3),
    (Move::Swap, 5),
    (Move::Identify, 10),
    (Move::Annotate, 5),
    (Move::Refer, 12),
    (Move::Remark, 2),
    (Move::Alter, 3),
];

impl Move {
    fn is_about_schema(self) -> bool {
        matches!(self, Self::Define | Self::Rename | Self::Remark | Self::Alter | Self::Decide)
    }
}

/// What a user transacts.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) text: String,
    /// The operations in it.
    pub(crate) operations: Vec<Operation>,
}

/// A user who sees a store and decides what to transact.
pub(crate) struct User<'u> {
    dice: &'u mut Dice,
    view: &'u View,
    /// The attributes that all devices have from the log.
    settled: &'u BTreeSet<Entid>,
    /// Whether the log's format is the original client's, which cannot say all.
    original: bool,
    /// How often, in a thousand, a definition is one that others may make differently.
    quarrel: u64,
    text: String,
    operations: Vec<Operation>,
    /// The tempids that are referred to, and those about which something is stated.
    tempids: (BTreeSet<String>, BTreeSet<String>),
}

impl<'u> User<'u> {
    /// A transaction as text. It is well-formed; the store may refuse it all the same, since users err.
    pub(crate) fn transaction(
        dice: &'u mut Dice,
        view: &'u View,
        settled: &'u BTreeSet<Entid>,
        (quarrel, format): (u64, Format),
    ) -> Deed {
        let (text, operations, tempids) = (String::from("["), Vec::new(), Default::default());
        let original = format == Format::Original;
        let mut user = Self { dice, view, settled, original, quarrel, text, operations, tempids };
        let few = user.attributes().len() < 4;
        if few {
            user.define();
        }
        // The original's format cannot say what defines attributes and uses them.
        let about_schema = original && (few || user.dice.chance(200));
        for _ in 0..=user.dice.weighted(&[50, 25, 15, 10]) {
            let weights = MOVES.map(
                |(chosen, weight)| {
                    if original && about_schema != chosen.is_about_schema() { 0 } else { weight }
                },
            );
            let (chosen, _) = MOVES[user.dice.weighted(&weights)];
            user.make(chosen);
        }
        if user.text == "[" {
            user.push("{:db/doc \"nothing else\"}");
        }
        user.state_the_rest();
        user.text.push(']');
        Deed { text: user.text, operations: user.operations }
    }

    /// One of many transactions of a user who is not asked what it sees: some entities, now and then a long value.
    pub(crate) fn plain(dice: &mut Dice, view: &View) -> Deed {
        let mut text = String::from("[");
        let named = |name| Keyword::parse(&format!(":{name}")).is_some_and(|k| view.facts.has_ident(&k));
        for design in DESIGNS.iter().filter(|d| BULK.contains(&d.name) && !named(d.name)) {
            text.push_str(&design.text(""));
        }
        if text == "[" {
            for _ in 0..dice.between(1, 6) {
                let (n, age, words) = (dice.below(900), dice.below(9), dice.below(90));
                let words = if dice.chance(2) { dice.between(1 << 19, 3 << 20) } else { words };
                let words = "x".repeat(usize::try_from(words).unwrap_or(0));
                let _ = match dice.below(3) {
                    0 => write!(text, "{{:u/note \"{n} {words}\" :u/boss [:u/name \"person {n}\"]}} "),
                    _ => write!(text, "{{:u/name \"person {n}\" :u/age {age}}} "),
                };
            }
        }
        text.push_str("{:db/doc \"one of many\"}]");
        Deed { text, operations: Vec::new() }
    }

    fn make(&mut self, chosen: Move) {
        match chosen {
            Move::Add => self.add(),
            Move::Entity => {
                let map = self.map(0);
                self.push(&map);
            }
            Move::Retract => self.retract(),
            Move::Delete => {
                let e = self.entity();
                self.push(&format!("[:db/retractEntity {e}]"));
            }
            Move::Replace => self.replace(),
            Move::Define => self.define(),
            Move::Rename => self.rename(),
            Move::Swap => self.swap(),
            Move::Identify => self.identify(),
            Move::Annotate => self.annotate(),
            Move::Refer => self.refer(),
            Move::Remark => self.remark(),
            Move::Alter => self.alter(),
            Move::Operate => self.operate(),
            Move::Call => self.call(),
            Move::Contest => self.contest(),
            Move::Decide => self.decide(),
            Move::Settle => self.settle(),
        }
    }

    /// States something about each tempid that is only referred to, as a transaction must.
    fn state_the_rest(&mut self) {
        let (used, stated) = self.tempids.clone();
        for id in used.difference(&stated) {
            self.push(&format!("[:db/add {id} :db/doc \"made\"]"));
        }
    }

    fn new_entity(&mut self) -> String {
        let id = self.tempid();
        self.tempids.1.insert(id.clone());
        id
    }

    fn push(&mut self, form: &str) {
        self.text.push(' ');
        self.text.push_str(form);
    }

    fn facts(&self) -> &'u Facts {
        &self.view.facts
    }

    /// The attributes that are there, and that it can be said in text what they are called.
    fn attributes(&self) -> Vec<Entid> {
        self.facts().attributes()
    }

    fn attribute(&mut self, fits: impl Fn(&Facts, Entid) -> bool) -> Option<Entid> {
        let facts = self.facts();
        let fitting: Vec<Entid> = self.attributes().into_iter().filter(|a| fits(facts, *a)).collect();
        self.dice.pick(&fitting).copied()
    }

    fn name(&self, e: Entid) -> String {
        self.facts().ident(e).map_or_else(|| e.to_string(), ToString::to_string)
    }

    fn tempid(&mut self) -> String {
        // Few names, so that several forms of one transaction speak of one new entity.
        format!("\"t{}\"", self.dice.below(3))
    }

    /// Entities with facts, the newest last; attributes are entities too.
    fn entities(&self) -> Vec<Entid> {
        let all: BTreeSet<Entid> = self.facts().iter().map(|(e, _, _)| e).filter(|e| e.is_user()).collect();
        all.into_iter().collect()
    }

    fn is_attribute(&self, e: Entid) -> bool {
        self.facts().value_type(e).is_some()
    }

    /// An entity that exists, as text: mostly a recent one, mostly by number.
    fn entity(&mut self) -> String {
        let all: Vec<Entid> = self.entities().into_iter().filter(|e| !self.is_attribute(*e)).collect();
        let recent = all.get(all.len().saturating_sub(4)..).unwrap_or_default().to_vec();
        let from = if self.dice.chance(500) { recent } else { all };
        let any = self.facts().high();
        match self.dice.weighted(&[70, 14, 4, 4]) {
            1 => self
                .lookup()
                .unwrap_or_else(|| self.dice.pick(&from).map_or_else(|| ":db/doc".to_owned(), ToString::to_string)),
            // Perhaps an entity without facts. Attributes get no facts but those that define them: two of them that
            // became one would be two definitions of one, which stops a sync.
            2 if any.is_user() => {
                let n = self.dice.below(any.get().abs_diff(Entid::USER0.get()) + 1);
                let e = Entid::USER0.plus(i64::try_from(n).unwrap_or(0));
                if self.is_attribute(e) { self.transaction_entity() } else { e.to_string() }
            }
            3 => self.transaction_entity(),
            _ => match self.dice.pick(&from) {
                Some(e) => e.to_string(),
                None => self.transaction_entity(),
            },
        }
    }

    fn transaction_entity(&mut self) -> String {
        let newest = self.view.log.last().map_or(Entid::TX0, |t| t.tx);
        let back = self.dice.below(6);
        let e = Entid::new((newest.get() - i64::try_from(back).unwrap_or(0)).max(Entid::TX0.get() + 1));
        if back == 0 || e > newest { "(transaction-tx)".to_owned() } else { e.to_string() }
    }

    fn lookup(&mut self) -> Option<String> {
        let a = self.attribute(|facts, a| facts.unique(a).is_some())?;
        let held: Vec<String> =
            self.facts().iter().filter(|(_, at, _)| *at == a).map(|(_, _, v)| v.to_string()).collect();
        let v = self.dice.pick(&held)?.clone();
        let name = self.name(a);
        Some(if self.dice.chance(500) { format!("[{name} {v}]") } else { format!("(lookup-ref {name} {v})") })
    }

    /// A value of the attribute, from a small pool, so that values clash.
    fn value(&mut self, a: Entid, depth: u32) -> String {
        let n = self.dice.below(5);
        let Some(value_type) = self.facts().value_type(a) else { return n.to_string() };
        match value_type.get() {
            23 => self.reference(depth),
            24 => format!(":k/v{n}"),
            25 => (i64::try_from(n).unwrap_or(0) - 2).to_string(),
            26 if self.original => ["0.0", "-1.5", "1e300", "0.1", "2.5"][n as usize].to_owned(),
            26 => ["0.0", "-1.5", "1e300", "##Inf", "2.5"][n as usize].to_owned(),
            28 => format!("#uuid \"00000000-0000-4000-8000-00000000000{n}\""),
            29 => format!("#uri \"https://example.org/{n}\""),
            30 => n.is_multiple_of(2).to_string(),
            31 => format!("#inst \"196{n}-02-03T04:05:06.{n}Z\""),
            32 => format!("#bytes \"0{n}ff\""),
            _ => ["\"\"", "\"ä\"", "\"Grisha\"", "\"a\\n\\\"b\\\"\"", "\"Anna\""][n as usize].to_owned(),
        }
    }

    fn reference(&mut self, depth: u32) -> String {
        match self.dice.weighted(&[50, 25, if depth < 2 { 15 } else { 0 }, 6]) {
            1 => {
                let id = self.tempid();
                self.tempids.0.insert(id.clone());
                id
            }
            2 => self.map(depth + 1),
            3 => {
                let all = self.attributes();
                self.dice.pick(&all).map_or_else(|| ":db/doc".to_owned(), |a| self.name(*a))
            }
            _ => self.entity(),
        }
    }

    fn map(&mut self, depth: u32) -> String {
        let mut map = String::from("{");
        if self.dice.chance(400) {
            let id = self.new_entity();
            let _ = write!(map, ":db/id {id} ");
        }
        let mut used = BTreeSet::new();
        for _ in 0..self.dice.between(1, 3) {
            // Every other entity begins without an identity.
            let plain = self.dice.chance(500);
            let Some(a) = self.attribute(|facts, a| !plain || facts.unique(a).is_none()) else { continue };
            if used.insert(a) {
                let (mut name, mut v) = (self.name(a), self.value(a, depth));
                if self.facts().value_type(a) == Some(Entid::new(23)) && self.dice.chance(150) {
                    (name, v) = (name.replace('/', "/_"), self.entity());
                }
                let _ = write!(map, "{name} {v} ");
            }
        }
        if used.is_empty() {
            map.push_str(":db/doc \"made\"");
        }
        map.push('}');
        map
    }

    fn add(&mut self) {
        let e = if self.dice.chance(300) { self.new_entity() } else { self.entity() };
        for _ in 0..self.dice.between(1, 2) {
            if let Some(a) = self.attribute(|_, _| true) {
                let (name, v) = (self.name(a), self.value(a, 0));
                if v.starts_with('{') {
                    self.push(&format!("{{:db/id {e} {name} {v}}}"));
                } else {
                    self.push(&format!("[:db/add {e} {name} {v}]"));
                }
            }
        }
    }

    /// A fact that is true and that users may take back.
    fn fact(&mut self, fits: impl Fn(&Facts, Entid) -> bool) -> Option<(Entid, Entid, Value)> {
        let facts = self.facts();
        let own = |a: Entid| a.is_user() && fits(facts, a);
        let all: Vec<_> = facts.iter().filter(|(_, a, _)| own(*a)).map(|(e, a, v)| (e, a, v.clone())).collect();
        self.dice.pick(&all).cloned()
    }

    fn retract(&mut self) {
        if let Some((e, a, v)) = self.fact(|_, _| true) {
            let a = self.name(a);
            self.push(&format!("[:db/retract {e} {a} {v}]"));
        }
    }

    fn replace(&mut self) {
        if let Some((e, a, _)) = self.fact(Facts::is_one) {
            let (name, v) = (self.name(a), self.value(a, 2));
            self.push(&format!("[:db/add {e} {name} {v}]"));
        }
    }

    fn define(&mut self) {
        for _ in 0..self.dice.between(1, 4) {
            if self.quarrel > 0 && self.dice.chance(self.quarrel) {
                self.quarrel();
                continue;
            }
            let at = self.dice.index(DESIGNS.len());
            let Some(design) = DESIGNS.get(at) else { continue };
            if self.original && ["uri", "bytes"].contains(&design.value_type) {
                continue;
            }
            let doc =
                if self.dice.chance(300) { format!(" :db/doc \"d{}\"", self.dice.below(3)) } else { String::new() };
            self.push(&design.text(&doc));
        }
    }

    /// An attribute that others may define otherwise.
    fn quarrel(&mut self) {
        let Some(ident) = self.dice.pick(&QUARRELS) else { return };
        // Who has a definition keeps it.
        if Keyword::parse(ident).is_some_and(|k| self.facts().has_ident(&k)) || self.text.contains(ident) {
            return;
        }
        let kind = self.dice.pick(&["string", "long", "ref"]).copied().unwrap_or("string");
        let many = if self.dice.chance(300) { "many" } else { "one" };
        let more = self.dice.pick(&["", "", UNIQUE, IDENTITY, ":db/doc \"q\""]).copied().unwrap_or_default();
        self.push(&format!(
            "{{:db/ident {ident} :db/valueType :db.type/{kind} :db/cardinality :db.cardinality/{many} {more}}}"
        ));
    }

    fn rename(&mut self) {
        let named: Vec<Entid> = self.entities().into_iter().filter(|e| self.facts().ident(*e).is_some()).collect();
        if self.dice.chance(400) || named.is_empty() {
            let (e, n) = (self.entity(), self.dice.below(3));
            return self.push(&format!("[:db/add {e} :db/ident :e/n{n}]"));
        }
        if let Some(e) = self.dice.pick(&named).copied() {
            let old = self.name(e);
            if is_fixed(&old) {
                return;
            }
            // Only names that nobody gives to an attribute of another kind.
            let new = if self.is_attribute(e) {
                old.strip_suffix('x').map_or_else(|| format!("{old}x"), ToOwned::to_owned)
            } else {
                format!(":e/n{}", self.dice.below(4))
            };
            self.push(&format!("[:db/add {e} :db/ident {new}]"));
        }
    }

    fn swap(&mut self) {
        let Some((e, a, v)) = self.fact(|facts, a| facts.unique(a).is_some() && facts.is_one(a)) else { return };
        let others: Vec<_> =
            self.facts().iter().filter(|(o, at, _)| *at == a && *o != e).map(|(o, _, v)| (o, v.clone())).collect();
        let Some((other, w)) = self.dice.pick(&others).cloned() else { return };
        let name = self.name(a);
        self.push(&format!("[:db/add {e} {name} {w}] [:db/add {other} {name} {v}]"));
    }

    fn identify(&mut self) {
        if let Some(a) = self.attribute(Facts::identifies) {
            let (e, name, v) = (self.entity(), self.name(a), self.value(a, 2));
            self.push(&format!("[:db/add {e} {name} {v}]"));
        }
    }

    fn annotate(&mut self) {
        let plain = |facts: &Facts, a: Entid| facts.unique(a).is_none() && facts.value_type(a) != Some(Entid::new(23));
        if let Some(a) = self.attribute(plain) {
            let (e, name, v) = (self.transaction_entity(), self.name(a), self.value(a, 2));
            self.push(&format!("[:db/add {e} {name} {v}]"));
        }
    }

    fn refer(&mut self) {
        if let Some(a) = self.attribute(|facts, a| facts.value_type(a) == Some(Entid::new(23))) {
            let (e, name) = (self.entity(), self.name(a));
            let v = match self.dice.weighted(&[60, 10, 15, 15]) {
                1 => e.clone(),
                2 => self.transaction_entity(),
                3 => "(transaction-tx)".to_owned(),
                _ => self.entity(),
            };
            self.push(&format!("[:db/add {e} {name} {v}]"));
        }
    }

    fn remark(&mut self) {
        if let Some(a) = self.attribute(|_, _| true) {
            let name = self.name(a);
            let form = match self.dice.below(4) {
                0 => format!("[:db/add {a} :db/doc \"d{}\"]", self.dice.below(3)),
                1 => format!("[:db/add {name} :db/index true]"),
                2 => format!("[:db/add {name} :db/noHistory {}]", self.dice.chance(500)),
                _ if self.facts().holds(a, core::INDEX, &Value::Boolean(true)) && self.facts().unique(a).is_none() => {
                    format!("[:db/retract {name} :db/index true]")
                }
                _ if is_fixed(&name) => return,
                _ => format!("[:db/retractEntity {name}]"),
            };
            self.push(&form);
        }
    }

    fn alter(&mut self) {
        let Some(ident) = self.dice.pick(&ALTERABLE) else { return };
        let Some(a) = self.attributes().into_iter().find(|a| self.settled.contains(a) && self.name(*a) == *ident)
        else {
            return;
        };
        let form = match (self.dice.below(2), self.facts().unique(a)) {
            (0, None) => format!("[:db/add {ident} :db/unique :db.unique/value]"),
            (0, Some(unique)) => format!("[:db/retract {ident} :db/unique {unique}]"),
            _ if self.facts().is_one(a) => format!("[:db/add {ident} :db/cardinality :db.cardinality/many]"),
            _ => format!("[:db/add {ident} :db/cardinality :db.cardinality/one]"),
        };
        self.push(&form);
    }

    /// A call of a function. One that a device's program does not know is refused there.
    fn call(&mut self) {
        let takes = self.dice.chance(700);
        let ident = Keyword::parse(if takes { ":u/count" } else { ":u/mark" });
        let fits = |facts: &Facts, a: Entid| facts.ident(a) == ident.as_ref() && facts.is_one(a) == takes;
        let Some(a) = self.attribute(fits) else { return };
        let all: Vec<Entid> = self.entities().into_iter().filter(|e| !self.is_attribute(*e)).collect();
        let Some(e) = self.dice.pick(all.get(..3).unwrap_or(&all)).copied() else { return };
        if !self.operations.is_empty() {
            return;
        }
        let (name, mut args) = (self.name(a), vec![Value::Ref(e), Value::Ref(a)]);
        let function = if takes { TAKE } else { NEXT };
        if takes {
            let n = i64::try_from(self.dice.below(3)).unwrap_or(0) + 1;
            args.push(Value::Long(n));
            self.push(&format!("[:{function} {e} {name} {n}]"));
        } else {
            self.push(&format!("[:{function} {e} {name}]"));
        }
        self.operations.extend(Keyword::parse(function).map(|name| Operation::Call { name, args }));
    }

    /// Says of an entry of the journal that it is settled, if anybody has to.
    fn settle(&mut self) {
        let entries = self.view.log.iter().rev().filter(|t| t.displaced.is_some() || !t.overwritten.is_empty());
        let settled = |id: Uuid| !self.facts().holders(core::SETTLES, &Value::Uuid(id)).is_empty();
        let open: Vec<Uuid> = entries.map(|t| t.origin.id).filter(|id| !settled(*id)).take(6).collect();
        if let Some(id) = self.dice.pick(&open).copied() {
            self.push(&format!("[:db/add (transaction-tx) :db.journal/settles #uuid \"{id}\"]"));
        }
    }

    fn contest(&mut self) {
        let Some(a) = self.attribute(|facts, a| facts.merge(a).is_some() && facts.is_one(a)) else {
            if self.original {
                return;
            }
            let undecided: Vec<&Design> = DESIGNS.iter().filter(|d| d.more.contains(":db/merge")).collect();
            let text = self.dice.pick(&undecided).map(|design| design.text(""));
            return text.into_iter().for_each(|text| self.push(&text));
        };
        let all: Vec<Entid> = self.entities().into_iter().filter(|e| !self.is_attribute(*e)).collect();
        if let Some(e) = self.dice.pick(all.get(..3).unwrap_or(&all)).copied() {
            let (name, v) = (self.name(a), self.value(a, 2));
            self.push(&format!("[:db/add {e} {name} {v}]"));
        }
    }

    fn decide(&mut self) {
        let Some(a) = self.attribute(|facts, a| facts.merge(a).is_some() && facts.is_one(a)) else { return };
        let known = match self.facts().value_type(a).map(Entid::get) {
            Some(25) => 6,
            Some(31) => 5,
            _ => 3,
        };
        let (name, policy) = (self.name(a), POLICIES[self.dice.index(known)]);
        self.push(&format!("[:db/add {name} :db/merge :db.merge/{policy}]"));
    }

    /// An operation on an entity that is there. Mostly an increment of a counter, so that many are nothing but incremented.
    fn operate(&mut self) {
        let counter = Keyword::parse(":u/count");
        let counts = |facts: &Facts, a: Entid| facts.ident(a) == counter.as_ref() && facts.is_one(a);
        let long = |facts: &Facts, a: Entid| facts.value_type(a) == Some(Entid::new(25)) && facts.unique(a).is_none();
        let any = self.dice.chance(300);
        let Some(a) = self.attribute(|facts, a| counts(facts, a) || any && facts.is_one(a) && long(facts, a)) else {
            return;
        };
        let all: Vec<Entid> = self.entities().into_iter().filter(|e| !self.is_attribute(*e)).collect();
        let Some(e) = self.dice.pick(all.get(..3).unwrap_or(&all)).copied() else { return };
        let at = |o: &Operation| o.mentions().first() == Some(&e);
        if self.operations.iter().any(at) {
            return;
        }
        let number = |n: u64| Value::Long(i64::try_from(n).unwrap_or(0) - 2);
        let (n, current) = (number(self.dice.below(7)), self.facts().values(e, a).next().cloned());
        let shown = |v: &Option<Value>| v.as_ref().map_or_else(|| "nil".to_owned(), ToString::to_string);
        let (update, said) = match self.dice.weighted(&[70, 8, 8, 14]) {
            1 => (Update::Max(n.clone()), format!("{n}")),
            2 => (Update::Min(n.clone()), format!("{n}")),
            3 => {
                // Now and then of what is not so: that is refused.
                let old = if self.dice.chance(100) { Some(number(self.dice.below(3))) } else { current };
                let new = if self.dice.chance(800) { Some(n) } else { None };
                let said = format!("{} {}", shown(&old), shown(&new));
                (Update::Cas { old, new }, said)
            }
            _ => (Update::Inc(n.clone()), format!("{n}")),
        };
        let name = self.name(a);
        self.push(&format!("[{} {e} {name} {said}]", update.name()));
        self.operations.push(Operation::Update { e, a, update });
    }
}
