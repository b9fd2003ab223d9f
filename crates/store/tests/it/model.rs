//! Random transactions against a model: sets of values, and nothing of the store's own code.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tolstoy_store::{Entid, Store};

use crate::common::*;

const SCHEMA: &str = "[
  {:db/ident :m/one :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :m/many :db/valueType :db.type/long :db/cardinality :db.cardinality/many}
  {:db/ident :m/id :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :m/key :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/unique :db.unique/value}
  {:db/ident :m/ref :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}]";
/// Entities that exist from the beginning, each with a value of `:m/one` and of `:m/id`.
const OLD: i64 = 4;
const FIRST: i64 = 65_541;

const ATTRIBUTES: [&str; 5] = ["one", "many", "id", "key", "ref"];

/// An entity: one that exists from the beginning, or a tempid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Old(i64),
    Temp(u8),
}

impl Who {
    fn text(self) -> String {
        match self {
            Self::Old(n) => (FIRST + n).to_string(),
            Self::Temp(n) => format!("\"t{n}\""),
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put { added: bool, who: Who, attribute: usize, value: i64, to: Who },
    Whole(i64),
}

impl Op {
    fn text(&self) -> String {
        match self {
            Self::Whole(n) => format!("[:db/retractEntity {}]", FIRST + n),
            Self::Put { added, who, attribute, value, to } => {
                let op = if *added { "add" } else { "retract" };
                let name = ATTRIBUTES[*attribute];
                let v = if name == "ref" { to.text() } else { value.to_string() };
                format!("[:db/{op} {} :m/{name} {v}]", who.text())
            }
        }
    }
}

/// An entity; `temps` of a hundred are tempids.
fn who(temps: u32) -> impl Strategy<Value = Who> {
    prop_oneof![100 - temps => (0..OLD).prop_map(Who::Old), temps => (0_u8..3).prop_map(Who::Temp)]
}

fn op() -> impl Strategy<Value = Op> {
    let attribute = || prop::sample::select(vec![0_usize, 0, 1, 1, 2, 2, 2, 3, 4]);
    let put = |added: bool, temps: u32, to: u32| {
        (who(temps), attribute(), 0_i64..6, who(to)).prop_map(move |(who, attribute, value, to)| Op::Put {
            added,
            who,
            attribute,
            value,
            to,
        })
    };
    prop_oneof![12 => put(true, 50, 10), 4 => put(false, 5, 5), 1 => (0..OLD).prop_map(Op::Whole)]
}

fn history() -> impl Strategy<Value = Vec<Vec<Op>>> {
    prop::collection::vec(prop::collection::vec(op(), 1..5), 1..12)
}

/// A fact: entity, attribute by its place in `ATTRIBUTES`, value or referred entity.
type Fact = (i64, usize, i64);

#[derive(Debug, Clone)]
struct Model {
    facts: BTreeSet<Fact>,
    next: i64,
}

impl Model {
    fn holder(&self, attribute: usize, value: i64) -> Option<i64> {
        self.facts.iter().find(|f| f.1 == attribute && f.2 == value).map(|f| f.0)
    }

    /// The facts after a transaction, or `None` where it has to be refused.
    fn after(&self, ops: &[Op]) -> Option<Self> {
        let mut model = self.clone();
        let image = model.number_tempids(ops)?;
        let number = |who: &Who| match who {
            Who::Old(n) => FIRST + n,
            Who::Temp(n) => image[n],
        };
        let (mut adds, mut retracts) = (BTreeSet::new(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Put { added, who, attribute, value, to } => {
                    let value = if ATTRIBUTES[*attribute] == "ref" { number(to) } else { *value };
                    let fact = (number(who), *attribute, value);
                    if *added {
                        adds.insert(fact)
                    } else {
                        retracts.insert(fact)
                    };
                }
                Op::Whole(n) => {
                    let e = FIRST + n;
                    let gone = |f: &&Fact| f.0 == e || (ATTRIBUTES[f.1] == "ref" && f.2 == e);
                    retracts.extend(self.facts.iter().filter(gone));
                }
            }
        }
        if adds.intersection(&retracts).next().is_some() {
            return None;
        }
        model.facts.retain(|f| !retracts.contains(f));
        for (e, a, _) in &adds {
            let single = ["one", "id", "key"].contains(&ATTRIBUTES[*a]);
            if single {
                if adds.iter().filter(|f| (f.0, f.1) == (*e, *a)).count() > 1 {
                    return None;
                }
                model.facts.retain(|f| (f.0, f.1) != (*e, *a));
            }
        }
        model.facts.extend(&adds);
        let mut taken = BTreeSet::new();
        let unique = |f: &&Fact| ["id", "key"].contains(&ATTRIBUTES[f.1]);
        let clash = model.facts.iter().filter(unique).any(|f| !taken.insert((f.1, f.2)));
        (!clash).then_some(model)
    }

    /// The number of each tempid, or `None` where one would be two entities or has nothing stated.
    fn number_tempids(&mut self, ops: &[Op]) -> Option<BTreeMap<u8, i64>> {
        const ID: usize = 2;
        let mut mentioned = Vec::new();
        // What a tempid is, as a set of names: the identities it takes.
        let mut stated: BTreeMap<u8, BTreeSet<i64>> = BTreeMap::new();
        let mut with_facts = BTreeSet::new();
        for op in ops {
            let Op::Put { added, who, attribute, value, to } = op else { continue };
            let refers = ATTRIBUTES[*attribute] == "ref";
            for w in [Some(*who), Some(*to).filter(|_| refers)].into_iter().flatten() {
                if let Who::Temp(n) = w {
                    mentioned.push(n);
                    stated.entry(n).or_default();
                }
            }
            if let (true, Who::Temp(n)) = (added, who) {
                with_facts.insert(*n);
                if *attribute == ID {
                    stated.entry(*n).or_default().insert(*value);
                }
            }
        }
        // The stated entities that take an identity in this very transaction.
        let claims: BTreeMap<i64, i64> = ops
            .iter()
            .filter_map(|op| match op {
                Op::Put { added: true, who: Who::Old(n), attribute: ID, value, .. } => Some((*value, FIRST + n)),
                _ => None,
            })
            .collect();
        // Groups of tempids that share an identity, directly or through others.
        let mut groups: Vec<(BTreeSet<u8>, BTreeSet<i64>)> = Vec::new();
        for (n, ids) in &stated {
            let (mut members, mut names) = (BTreeSet::from([*n]), ids.clone());
            groups.retain(|(others, other_names)| {
                let apart = names.is_disjoint(other_names);
                if !apart {
                    members.extend(others);
                    names.extend(other_names);
                }
                apart
            });
            groups.push((members, names));
        }
        let mut image = BTreeMap::new();
        for (members, names) in &groups {
            let holders: BTreeSet<i64> = names.iter().filter_map(|v| self.holder(ID, *v)).collect();
            let claimants: BTreeSet<i64> = names.iter().filter_map(|v| claims.get(v).copied()).collect();
            let all: BTreeSet<i64> = holders.union(&claimants).copied().collect();
            match all.len() {
                0 if members.is_disjoint(&with_facts) => return None,
                0 => {}
                1 => image.extend(members.iter().map(|m| (*m, *all.first().unwrap()))),
                _ => return None,
            }
        }
        for n in mentioned {
            if image.contains_key(&n) {
                continue;
            }
            let (members, _) = groups.iter().find(|(members, _)| members.contains(&n)).unwrap();
            image.extend(members.iter().map(|m| (*m, self.next)));
            self.next += 1;
        }
        Some(image)
    }
}

fn current(store: &Store) -> BTreeSet<Fact> {
    let attribute: BTreeMap<Entid, usize> =
        ATTRIBUTES.iter().enumerate().map(|(n, name)| (entid(store, &format!("m/{name}")), n)).collect();
    let mut facts = BTreeSet::new();
    for transaction in store.transactions(tolstoy_store::Timeline::MAIN, Entid::TX0.plus(1), usize::MAX).unwrap() {
        for d in transaction.facts() {
            let v = match d.v {
                tolstoy_store::Value::Long(n) => n,
                tolstoy_store::Value::Ref(e) => e.get(),
                ref other => panic!("{other}"),
            };
            let fact = (d.e.get(), attribute[&d.a], v);
            // Each datom of the log alters the facts.
            assert!(if d.added { facts.insert(fact) } else { facts.remove(&fact) }, "{d:?} has no effect");
        }
    }
    facts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn transactions_do_what_the_model_does(history in history()) {
        let mut store = store_with(&[SCHEMA]);
        let beginning: String = (0..OLD).map(|n| format!("{{:m/one {n} :m/id {n}}}")).collect();
        must(&mut store, &format!("[{beginning}]"));
        let mut model = Model { facts: (0..OLD).flat_map(|n| [(FIRST + n, 0, n), (FIRST + n, 2, n)]).collect(), next: FIRST + OLD };
        prop_assert_eq!(&current(&store), &model.facts);
        for ops in history {
            let text = format!("[{}]", ops.iter().map(Op::text).collect::<Vec<_>>().join(" "));
            match (model.after(&ops), store.transact_str(&text)) {
                (Some(after), Ok(_)) => model = after,
                (None, Err(_)) => {}
                (Some(_), Err(e)) => prop_assert!(false, "refused: {}\n{:?}", render(&e, &text), model),
                (None, Ok(report)) => {
                    prop_assert!(false, "not refused: {text}\n{}\n{:?}", show(&store, &report.datoms), model);
                }
            }
            prop_assert_eq!(&current(&store), &model.facts, "{}", text);
        }
    }
}
