#![allow(clippy::unwrap_used, clippy::expect_used)]

use rusqlite::Connection;
use tolstoy_edn::{Instant, Keyword};
use uuid::Uuid;

use super::*;
use crate::core::Header;
use crate::types::Origin;

const NAME: Entid = Entid::new(65_536);
const ALIAS: Entid = Entid::new(65_537);
const CODE: Entid = Entid::new(65_538);
const IVAN: Entid = Entid::new(65_539);
const PETR: Entid = Entid::new(65_540);

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn define(e: Entid, ident: &str, cardinality: Entid, unique: Option<Entid>) -> Vec<Change> {
    let refer = |a, to| Change::add(e, a, Value::Ref(to));
    let mut changes = vec![
        Change::add(e, entids::IDENT, Value::Keyword(Keyword::parse(ident).unwrap())),
        refer(entids::VALUE_TYPE, ValueType::String.entid()),
        refer(entids::CARDINALITY, cardinality),
    ];
    changes.extend(unique.map(|u| refer(entids::UNIQUE, u)));
    changes
}

/// Plans and writes, as the transactor does, at an instant of as many microseconds as there are transactions.
fn commit(working: &mut Working<'_>, mut changes: Vec<Change>) -> Result<Vec<Effect>, Failure> {
    let tx = working.next_tx();
    let instant = Instant::from_micros(crate::bootstrap::INSTANT.as_micros() + tx.get());
    changes.push(Change::add(tx, entids::TX_INSTANT, Value::Instant(instant)));
    let plan = working.plan(changes, Entid::TX0)?;
    let effects = plan.effects.iter().filter(|x| x.change.e != tx).cloned().collect();
    let origin = Origin { id: Uuid::from_u128(tx.get() as u128), device: Uuid::nil(), authored: instant };
    working.write(&Header::new(instant, origin), plan)?;
    Ok(effects)
}

fn with_people(test: impl FnOnce(&mut Working<'_>)) {
    let sql = Connection::open_in_memory().unwrap();
    let mut working = Working::create(&sql, Uuid::nil()).unwrap();
    let schema = [
        define(NAME, "p/name", entids::CARDINALITY_ONE, None),
        define(ALIAS, "p/alias", entids::CARDINALITY_MANY, None),
        define(CODE, "p/code", entids::CARDINALITY_ONE, Some(entids::UNIQUE_VALUE)),
    ];
    commit(&mut working, schema.concat()).unwrap();
    commit(
        &mut working,
        vec![
            Change::add(IVAN, NAME, text("Ivan")),
            Change::add(IVAN, ALIAS, text("a")),
            Change::add(IVAN, CODE, text("1")),
            Change::add(PETR, CODE, text("2")),
        ],
    )
    .unwrap();
    test(&mut working);
}

fn refusal(working: &Working<'_>, changes: Vec<Change>) -> Refusal {
    match working.plan(changes, Entid::TX0) {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_retraction_remembers_who_asserted_the_fact() {
    with_people(|working| {
        let asserted = working.basis.tx;
        let effects =
            commit(working, vec![Change::add(IVAN, NAME, text("John")), Change::retract(IVAN, ALIAS, text("a"))]);
        assert_eq!(
            effects.unwrap(),
            [
                Effect { change: Change::retract(IVAN, NAME, text("Ivan")), was: Some(asserted) },
                Effect { change: Change::add(IVAN, NAME, text("John")), was: None },
                Effect { change: Change::retract(IVAN, ALIAS, text("a")), was: Some(asserted) },
            ]
        );
    });
}

#[test]
fn what_changes_nothing_is_not_planned() {
    with_people(|working| {
        let changes = vec![
            Change::add(IVAN, NAME, text("Ivan")),
            Change::add(IVAN, ALIAS, text("a")),
            Change::add(IVAN, ALIAS, text("b")),
            Change::add(IVAN, ALIAS, text("b")),
            Change::retract(IVAN, ALIAS, text("never")),
            Change::retract(PETR, NAME, text("never")),
        ];
        assert_eq!(commit(working, changes).unwrap().len(), 1);
    });
}

#[test]
fn a_plan_is_in_the_order_of_the_log() {
    with_people(|working| {
        let changes = vec![
            Change::add(PETR, CODE, text("1")),
            Change::add(PETR, ALIAS, text("z")),
            Change::add(PETR, ALIAS, text("b")),
            Change::add(IVAN, CODE, text("2")),
        ];
        let effects = commit(working, changes).unwrap();
        assert_eq!(effects.len(), 6);
        assert!(effects.is_sorted_by(|x, y| x.change < y.change));
    });
}

#[test]
fn refusals_say_what_is_wrong() {
    with_people(|working| {
        let clash = refusal(working, vec![Change::add(IVAN, CODE, text("2"))]);
        assert_eq!(clash, Refusal::Unique { e: IVAN, a: CODE, v: text("2"), holder: PETR });
        let wrong = refusal(working, vec![Change::add(IVAN, NAME, Value::Long(1))]);
        assert_eq!(wrong, Refusal::WrongType { a: NAME, wants: ValueType::String, value: Value::Long(1) });
        let unknown = refusal(working, vec![Change::add(IVAN, PETR, text("x"))]);
        assert_eq!(unknown, Refusal::UnknownAttribute { a: PETR });
        let two = refusal(working, vec![Change::add(IVAN, NAME, text("x")), Change::add(IVAN, NAME, text("y"))]);
        assert_eq!(two, Refusal::TwoValues { e: IVAN, a: NAME, first: text("x"), second: text("y") });
        let both = refusal(working, vec![Change::add(IVAN, ALIAS, text("x")), Change::retract(IVAN, ALIAS, text("x"))]);
        assert_eq!(both, Refusal::AddAndRetract { e: IVAN, a: ALIAS, v: text("x") });
        let later = working.next_tx().plus(1);
        let none = refusal(working, vec![Change::add(later, entids::DOC, text("x"))]);
        assert_eq!(none, Refusal::NoSuchTransaction { e: later });
    });
}

#[test]
fn numbers_that_a_transaction_mentions_are_not_given_again() {
    with_people(|working| {
        assert_eq!(working.basis.next, PETR.plus(1));
        commit(working, vec![Change::add(PETR.plus(10), NAME, text("far"))]).unwrap();
        assert_eq!(working.allocate().unwrap(), PETR.plus(11));
        let refer = define(PETR.plus(12), "p/friend", entids::CARDINALITY_ONE, None);
        commit(working, refer).unwrap();
        commit(working, vec![Change::add(PETR.plus(12), entids::VALUE_TYPE, Value::Ref(ValueType::Ref.entid()))])
            .unwrap();
        commit(working, vec![Change::add(IVAN, PETR.plus(12), Value::Ref(PETR.plus(20)))]).unwrap();
        assert_eq!(working.basis.next, PETR.plus(21));
        // The last number of the partition is given, and then no more.
        commit(working, vec![Change::add(IVAN, PETR.plus(12), Value::Ref(Entid::TX0.plus(-2)))]).unwrap();
        assert_eq!(working.allocate().unwrap(), Entid::TX0.plus(-1));
        assert_eq!(working.allocate().unwrap_err().kind(), crate::ErrorKind::Full);
    });
}

#[test]
fn instants_increase() {
    with_people(|working| {
        let tx = working.next_tx();
        let instant = working.basis.instant;
        let plan =
            working.plan(vec![Change::add(tx, entids::TX_INSTANT, Value::Instant(instant))], Entid::TX0).unwrap();
        let origin = Origin { id: Uuid::max(), device: Uuid::nil(), authored: instant };
        let result = working.write(&Header::new(instant, origin), plan);
        assert!(matches!(result, Err(Failure::Refused(Refusal::Instant { .. }))));
    });
}
