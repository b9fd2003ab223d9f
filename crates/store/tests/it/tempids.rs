//! Entities that have no number yet.

use insta::assert_snapshot;
use tolstoy_store::Entid;

use crate::common::*;

#[test]
fn new_entities_are_numbered_in_the_order_of_the_text() {
    let mut store = store_with(&[PEOPLE]);
    let text = r#"[
      [:db/add "b" :person/friend "a"]
      {:person/name "between" :person/home {:home/street "s" :home/room [{:home/street "r1"} {:home/street "r2"}]}}
      {:db/id "a" :person/name "A"}
      {:db/id "c" :person/name "C" :person/_friend "b"}]"#;
    let report = must(&mut store, text);
    assert_snapshot!(show(&store, &report.datoms), @r#"
        + 65548 :person/friend 65549
        + 65548 :person/friend 65554
        + 65549 :person/name "A"
        + 65550 :person/name "between"
        + 65550 :person/home 65551
        + 65551 :home/street "s"
        + 65551 :home/room 65552
        + 65551 :home/room 65553
        + 65552 :home/street "r1"
        + 65553 :home/street "r2"
        + 65554 :person/name "C"
        "#);
    let numbers: Vec<_> = report.tempids.iter().map(|(name, e)| format!("{name} {e}")).collect();
    assert_eq!(numbers, ["a 65549", "b 65548", "c 65554"]);
}

#[test]
fn one_tempid_is_one_entity_in_every_place() {
    let mut store = store_with(&[PEOPLE]);
    let report = must(
        &mut store,
        r#"[{:db/id "me" :person/name "Me" :person/friend ["me" "me"]} [:db/add "me" :person/spouse "me"] {:person/_friend "me" :person/age 3}]"#,
    );
    assert_snapshot!(show(&store, &report.datoms), @r#"
        + 65548 :person/name "Me"
        + 65548 :person/friend 65548
        + 65548 :person/friend 65549
        + 65548 :person/spouse 65548
        + 65549 :person/age 3
        "#);
    assert_eq!(report.tempids.len(), 1);
}

#[test]
fn tempids_do_not_outlive_their_transaction() {
    let mut store = store_with(&[PEOPLE]);
    let text = r#"[[:db/add "x" :person/name "X"]]"#;
    let (first, second) = (must(&mut store, text), must(&mut store, text));
    assert_eq!(second.tempids["x"], first.tempids["x"].plus(1));
}

#[test]
fn numbers_are_never_given_twice() {
    let mut store = store_with(&[PEOPLE]);
    let first = must(&mut store, r#"[{:db/id "x" :person/name "X"}]"#).tempids["x"];
    must(&mut store, &format!("[[:db/retractEntity {first}]]"));
    // An entity without facts still exists as a number.
    must(&mut store, &format!("[[:db/add {first} :person/age 1]]"));
    let second = must(&mut store, r#"[{:db/id "x" :person/name "X"}]"#).tempids["x"];
    assert_eq!(second, first.plus(1));
}

#[test]
fn an_aborted_transaction_uses_no_numbers() {
    let mut store = store_with(&[PEOPLE]);
    refused(&mut store, r#"[{:person/name "X"} {:person/name "Y"} {:person/name 3}]"#);
    let x = must(&mut store, r#"[{:db/id "x" :person/name "X"}]"#).tempids["x"];
    assert_eq!(x, Entid::USER0.plus(12));
}

#[test]
fn nothing_stated_about_an_entity_is_a_slip() {
    let mut store = store_with(&[PEOPLE]);
    assert_snapshot!(refused(&mut store, r#"[{:person/name "X" :person/friend "petr"}]"#), @r#"
        Input: tx:1:35: nothing is stated about the tempid "petr"
          [{:person/name "X" :person/friend "petr"}]
                                            ^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[[:db/retract "x" :person/name "X"]]"#), @r#"
        Input: tx:1:15: nothing is stated about the tempid "x"
          [[:db/retract "x" :person/name "X"]]
                        ^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:db/id "x"}]"#), @r#"
        Input: tx:1:10: nothing is stated about the tempid "x"
          [{:db/id "x"}]
                   ^^^
        "#);
    assert_snapshot!(refused(&mut store, "[{}]"), @r#"
        Input: tx:1:2: nothing is stated about the entity of this map
          [{}]
           ^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:person/name "X" :person/friend [{}]}]"#), @r#"
        Input: tx:1:36: nothing is stated about the entity of this map
          [{:person/name "X" :person/friend [{}]}]
                                             ^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:db/id "x" :person/_friend "y"} {:db/id "y" :person/age 1}]"#), @r#"
        Input: tx:1:10: nothing is stated about the tempid "x"
          [{:db/id "x" :person/_friend "y"} {:db/id "y" :pe...
                   ^^^
        "#);
}
