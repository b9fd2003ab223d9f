#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn longs(numbers: &[i64]) -> Option<Value> {
    let numbers: Vec<Value> = numbers.iter().map(|n| Value::Long(*n)).collect();
    add_up(numbers.iter())
}

fn doubles(numbers: &[f64]) -> Option<f64> {
    let numbers: Vec<Value> = numbers.iter().map(|x| Value::Double(Double::new(*x).unwrap())).collect();
    match add_up(numbers.iter()) {
        Some(Value::Double(sum)) => Some(sum.get()),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

#[test]
fn a_sum_is_exact_or_refused() {
    assert_eq!(longs(&[1, 2, -4]), Some(Value::Long(-1)));
    assert_eq!(longs(&[i64::MAX, 1]), None);
    assert_eq!(longs(&[i64::MIN, -1]), None);
    // What it passes on the way does not matter.
    assert_eq!(longs(&[i64::MAX, 1, -1]), Some(Value::Long(i64::MAX)));
    assert_eq!(doubles(&[0.5, 0.25]), Some(0.75));
    assert_eq!(doubles(&[f64::MAX, f64::MAX]), None);
    assert_eq!(doubles(&[f64::INFINITY, 1.0]), Some(f64::INFINITY));
    assert_eq!(doubles(&[f64::INFINITY, f64::NEG_INFINITY]), None);
    assert_eq!(add_up([Value::Boolean(true)].iter()), None);
}

#[test]
fn what_is_said_is_what_operations_did_not_bring_about() {
    let tx = Entid::TX0.plus(1);
    let [e, a, b] = [65_540, 65_536, 65_537].map(Entid::new);
    let add = |e, a, n| Change::add(e, a, Value::Long(n));
    let retract = |e, a, n| Change::retract(e, a, Value::Long(n));
    let produced = [Produced { at: 0, change: add(e, a, 2) }, Produced { at: 1, change: add(e, b, 9) }];
    // An operation replaced 1 by 2; 8 was replaced by 9, as the text says too; and 5 by 6 on another entity.
    let plain = [add(e, b, 9), add(tx, b, 6)];
    let effects = [
        retract(e, a, 1),
        add(e, a, 2),
        retract(e, b, 8),
        add(e, b, 9),
        Change::add(tx, TX_INSTANT, Value::Long(0)),
        retract(tx, b, 5),
        add(tx, b, 6),
    ];
    let said = plainly_said(tx, effects.iter(), &plain, &produced);
    assert_eq!(said, [retract(e, b, 8), add(e, b, 9), retract(tx, b, 5), add(tx, b, 6)]);
}
