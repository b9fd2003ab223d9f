//! The constant that every store begins with, against the one that the original client uploads.

use std::collections::BTreeSet;

use tolstoy_edn::{Form, FormKind, Limits, read_one};
use tolstoy_env::Env;
use tolstoy_store::{Entid, Timeline, ValueType, bootstrap};

use crate::common::*;

const RECORDED: &str = include_str!("../fixtures/mentat-bootstrap.edn");

/// `e a type v`; the type of a recorded value follows from its literal and its attribute's place in the schema.
fn recorded(form: &Form) -> (i64, i64, String) {
    let Some([e, a, v]) = form.as_vector() else { panic!("{form:?}") };
    let value = match &v.kind {
        // Among the core attributes only :db.schema/version holds a plain number.
        FormKind::Integer(n) if a.as_i64() == Some(38) => format!("long {n}"),
        FormKind::Integer(n) => format!("ref {n}"),
        FormKind::Keyword(k) => format!("keyword {k}"),
        FormKind::Boolean(b) => format!("boolean {b}"),
        FormKind::Instant(_) => "instant".to_owned(),
        other => panic!("{other:?}"),
    };
    (e.as_i64().unwrap(), a.as_i64().unwrap(), value)
}

/// Version 1 is the original client's; each later one has a thousand numbers of its own.
fn version_of(e: Entid) -> i64 {
    if e.is_tx() { 1 } else { (e.get() / 1000).max(1) }
}

#[test]
fn the_bootstrap_is_the_original_clients_but_for_its_instant() {
    let form = read_one(RECORDED, &Limits::default()).unwrap();
    let theirs: Vec<_> = form.as_vector().unwrap().iter().map(recorded).collect();
    assert_eq!(theirs.len(), 95);

    let store = store();
    let [transaction] = store.transactions(Timeline::MAIN, Entid::new(0), 10).unwrap().try_into().unwrap();
    let ours: Vec<_> = transaction
        .changes
        .iter()
        .filter(|c| version_of(c.e) == 1)
        .inspect(|c| assert!(c.added))
        .map(|c| {
            let value = match c.v.value_type() {
                ValueType::Instant => "instant".to_owned(),
                value_type => format!("{} {}", value_type.name(), c.v),
            };
            (c.e.get(), c.a.get(), value)
        })
        .collect();
    assert_eq!(ours.len(), 95);
    assert_eq!(BTreeSet::from_iter(ours), BTreeSet::from_iter(theirs));
}

#[test]
fn the_bootstrap_is_the_same_in_every_store() {
    let (one, other) = (store(), tolstoy_store::Store::in_memory(Env::repeatable(2)).unwrap());
    assert_ne!(one.device(), other.device());
    assert_eq!(one.transaction(Entid::TX0).unwrap(), other.transaction(Entid::TX0).unwrap());
    let transaction = one.transaction(Entid::TX0).unwrap().unwrap();
    assert_eq!((transaction.instant, transaction.origin), (bootstrap::INSTANT, bootstrap::ORIGIN));
    assert_eq!(transaction.instant.to_string(), "2026-01-01T00:00:00Z");
    assert!(transaction.changes.is_sorted_by(|x, y| x < y));
    assert_eq!(one.facts_digest().unwrap(), other.facts_digest().unwrap());
}

#[test]
fn version_2_adds_these() {
    let store = store();
    let transaction = store.transaction(Entid::TX0).unwrap().unwrap();
    let added: Vec<_> = transaction.datoms().filter(|d| version_of(d.e) == 2).collect();
    assert_eq!(added.len(), transaction.changes.len() - 95);
    assert_eq!(added.iter().map(|d| d.e.get()).collect::<BTreeSet<_>>(), (2000..=2011).collect());
    insta::assert_snapshot!(show(&store, &added), @"
    + :db/merge :db/ident :db/merge
    + :db/merge :db/valueType :db.type/ref
    + :db/merge :db/cardinality :db.cardinality/one
    + :db.merge/last :db/ident :db.merge/last
    + :db.merge/first :db/ident :db.merge/first
    + :db.merge/max :db/ident :db.merge/max
    + :db.merge/min :db/ident :db.merge/min
    + :db.merge/sum :db/ident :db.merge/sum
    + :db.merge/journal :db/ident :db.merge/journal
    + :db.journal/settles :db/ident :db.journal/settles
    + :db.journal/settles :db/valueType :db.type/uuid
    + :db.journal/settles :db/cardinality :db.cardinality/many
    + :db/cas :db/ident :db/cas
    + :db/inc :db/ident :db/inc
    + :db/max :db/ident :db/max
    + :db/min :db/ident :db/min
    ");
}
