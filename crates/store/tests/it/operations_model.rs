//! Operations against a model that is a map: in one store, and in two that merge.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tolstoy_store::{Entid, Store, Timeline, Value};
use uuid::Uuid;

use crate::common::{entid, must, render, store_with};
use crate::rebase::{Log, device, main_of};

const SCHEMA: &str = "[{:db/ident :m/n :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
                       {:db/ident :m/key :db/valueType :db.type/long :db/cardinality :db.cardinality/one
                        :db/unique :db.unique/identity}]";
const KEYS: i64 = 3;

/// The values by the key of their entity.
type Model = BTreeMap<i64, i64>;

#[derive(Debug, Clone)]
enum Op {
    Add(i64),
    Retract(i64),
    Cas(Option<i64>, Option<i64>),
    Inc(i64),
    Max(i64),
    Min(i64),
}

impl Op {
    fn text(&self, key: i64) -> String {
        let nil = |n: &Option<i64>| n.map_or("nil".to_owned(), |n| n.to_string());
        let place = format!("[:m/key {key}] :m/n");
        match self {
            Self::Add(n) => format!("[:db/add {place} {n}]"),
            Self::Retract(n) => format!("[:db/retract {place} {n}]"),
            Self::Cas(old, new) => format!("[:db/cas {place} {} {}]", nil(old), nil(new)),
            Self::Inc(n) => format!("[:db/inc {place} {n}]"),
            Self::Max(n) => format!("[:db/max {place} {n}]"),
            Self::Min(n) => format!("[:db/min {place} {n}]"),
        }
    }
}

/// What a transaction's operations on one entity leave of its value; `Err` where they are refused.
fn after(value: Option<i64>, ops: &[Op]) -> Result<Option<i64>, ()> {
    let mut outcomes: Vec<Option<i64>> = Vec::new();
    let (mut retracted, mut sum) = (Vec::new(), None);
    for op in ops {
        match op {
            Op::Add(n) => outcomes.push(Some(*n)),
            Op::Retract(n) => retracted.push(*n),
            Op::Cas(old, _) if *old != value => return Err(()),
            Op::Cas(_, new) => outcomes.push(*new),
            Op::Inc(n) => sum = Some(sum.unwrap_or(i128::from(value.unwrap_or(0))) + i128::from(*n)),
            Op::Max(n) => outcomes.push(Some(value.map_or(*n, |v| v.max(*n)))),
            Op::Min(n) => outcomes.push(Some(value.map_or(*n, |v| v.min(*n)))),
        }
    }
    if let Some(sum) = sum {
        outcomes.push(Some(i64::try_from(sum).map_err(|_| ())?));
    }
    match outcomes.split_first() {
        None => Ok(value.filter(|v| !retracted.contains(v))),
        Some((first, rest)) if rest.iter().any(|other| other != first) => Err(()),
        Some((Some(n), _)) if retracted.contains(n) => Err(()),
        Some((first, _)) => Ok(*first),
    }
}

fn apply(model: &Model, transaction: &[(i64, Op)]) -> Result<Model, ()> {
    let mut next = model.clone();
    for key in 0..KEYS {
        let ops: Vec<Op> = transaction.iter().filter(|(k, _)| *k == key).map(|(_, op)| op.clone()).collect();
        match after(model.get(&key).copied(), &ops)? {
            Some(value) => next.insert(key, value),
            None => next.remove(&key),
        };
    }
    Ok(next)
}

fn text(transaction: &[(i64, Op)]) -> String {
    format!("[{}]", transaction.iter().map(|(key, op)| op.text(*key)).collect::<Vec<_>>().join(" "))
}

fn current(store: &Store) -> Model {
    let (n, key) = (entid(store, "m/n"), entid(store, "m/key"));
    let datoms = store.datoms().unwrap();
    let long = |v: &Value| match v {
        Value::Long(n) => *n,
        other => panic!("{other}"),
    };
    let keys: BTreeMap<Entid, i64> = datoms.iter().filter(|d| d.a == key).map(|d| (d.e, long(&d.v))).collect();
    datoms.iter().filter(|d| d.a == n).map(|d| (keys[&d.e], long(&d.v))).collect()
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -2_i64..3, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => numbers().prop_map(Op::Add),
        1 => numbers().prop_map(Op::Retract),
        2 => (prop::option::of(numbers()), prop::option::of(numbers())).prop_map(|(old, new)| Op::Cas(old, new)),
        4 => numbers().prop_map(Op::Inc),
        2 => numbers().prop_map(Op::Max),
        2 => numbers().prop_map(Op::Min),
    ]
}

fn transactions() -> impl Strategy<Value = Vec<(i64, Op)>> {
    prop::collection::vec((0..KEYS, ops()), 1..5)
}

fn entities() -> String {
    format!("[{}]", (0..KEYS).map(|key| format!("{{:m/key {key}}}")).collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn operations_do_what_the_model_does(history in prop::collection::vec(transactions(), 1..25)) {
        let mut store = store_with(&[SCHEMA, &entities()]);
        let mut model = Model::new();
        for transaction in history {
            let text = text(&transaction);
            match (apply(&model, &transaction), store.transact_str(&text)) {
                (Ok(after), Ok(_)) => model = after,
                (Err(()), Err(_)) => {}
                (Ok(_), Err(e)) => prop_assert!(false, "refused: {}\n{model:?}", render(&e, &text)),
                (Err(()), Ok(_)) => prop_assert!(false, "not refused: {text}\n{model:?}"),
            }
            prop_assert_eq!(&current(&store), &model, "{}", text);
        }
    }
}

/// A device does a transaction, or syncs.
#[derive(Debug, Clone)]
enum Step {
    Transact(usize, Vec<(i64, Op)>),
    Sync(usize),
}

/// Without assertions and retractions, of which the model would have to know what both sides knew.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let op = ops().prop_filter("an operation", |op| !matches!(op, Op::Add(_) | Op::Retract(_)));
    let transact = (0..3_usize, prop::collection::vec((0..KEYS, op), 1..4)).prop_map(|(d, t)| Step::Transact(d, t));
    prop::collection::vec(prop_oneof![4 => transact, 1 => (0..3_usize).prop_map(Step::Sync)], 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever order the merges give to the changes: the facts are what the model makes of their intents in that order,
    /// and what the model refuses, and only that, is displaced.
    #[test]
    fn merged_operations_are_their_intents_in_the_logs_order(steps in steps()) {
        let mut log = Log::default();
        let mut devices: Vec<Store> = (1..4).map(device).collect();
        must(&mut devices[0], SCHEMA);
        must(&mut devices[0], &entities());
        for store in &mut devices {
            log.sync(store);
        }
        let mut intents: BTreeMap<Uuid, Vec<(i64, Op)>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Transact(d, transaction) => {
                    if let Ok(report) = devices[d].transact_str(&text(&transaction)) {
                        intents.insert(report.origin.id, transaction);
                    }
                }
                Step::Sync(d) => drop(log.sync(&mut devices[d])),
            }
        }
        for _ in 0..2 {
            for store in &mut devices {
                log.sync(store);
            }
        }
        let mut model = Model::new();
        let main = main_of(&devices[0]);
        for transaction in &main {
            let Some(intent) = intents.remove(&transaction.origin.id) else { continue };
            match apply(&model, &intent) {
                Ok(after) => {
                    prop_assert!(transaction.displaced.is_none(), "{transaction:?}");
                    model = after;
                }
                Err(()) => prop_assert!(transaction.displaced.is_some(), "{transaction:?}"),
            }
            prop_assert!(transaction.overwritten.is_empty());
        }
        prop_assert!(intents.is_empty());
        for store in &devices {
            prop_assert_eq!(current(store), model.clone());
            prop_assert_eq!(main_of(store), main.clone());
            prop_assert!(store.transactions(Timeline::MAIN, Entid::TX0, 1).unwrap()[0].operations.is_empty());
        }
    }
}
