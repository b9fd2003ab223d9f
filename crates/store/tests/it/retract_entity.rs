//! Retracting entities whole.

use insta::assert_snapshot;

use crate::common::*;

const HOUSEHOLD: &str = r#"[
  {:db/id "i" :person/email "ivan@x" :person/name "Ivan" :person/alias ["a" "b"]
   :person/home {:home/street "Arbat" :home/room [{:home/street "kitchen"} {:db/id "hall" :home/street "hall"}]}}
  {:person/email "petr@x" :person/friend ["i" "hall"] :person/spouse "i"}]"#;

#[test]
fn facts_components_and_refs_to_them_go() {
    let mut store = store_with(&[PEOPLE, HOUSEHOLD]);
    assert_snapshot!(effects(&mut store, r#"[[:db/retractEntity [:person/email "ivan@x"]]]"#), @r#"
        - 65548 :person/name "Ivan"
        - 65548 :person/email "ivan@x"
        - 65548 :person/alias "a"
        - 65548 :person/alias "b"
        - 65548 :person/home 65549
        - 65549 :home/street "Arbat"
        - 65549 :home/room 65550
        - 65549 :home/room 65551
        - 65550 :home/street "kitchen"
        - 65551 :home/street "hall"
        - 65552 :person/friend 65548
        - 65552 :person/friend 65551
        - 65552 :person/spouse 65548
        "#);
    assert_snapshot!(effects(&mut store, r#"[[:db/retractEntity [:person/email "petr@x"]]]"#), @r#"- 65552 :person/email "petr@x""#);
}

#[test]
fn entities_without_facts_and_repeats_are_fine() {
    let mut store = store_with(&[PEOPLE, HOUSEHOLD]);
    let ivan = must(&mut store, r#"[{:db/id "i" :person/email "ivan@x"}]"#).tempids["i"];
    must(&mut store, &format!("[[:db/retractEntity {ivan}] [:db/retractEntity {ivan}]]"));
    assert_eq!(effects(&mut store, &format!("[[:db/retractEntity {ivan}]]")), "");
}

#[test]
fn components_in_a_circle_end() {
    let mut store = store_with(&[
        PEOPLE,
        r#"[{:db/id "a" :home/street "a" :home/room "b"} {:db/id "b" :home/street "b" :home/room ["a" "b"]}]"#,
    ]);
    let report = must(&mut store, "[[:db/retractEntity 65548]]");
    assert_eq!(report.datoms.iter().filter(|d| !d.added).count(), 5);
    assert!(!facts(&store).contains("home/street \""));
}

#[test]
fn what_is_retracted_cannot_be_asserted_too() {
    let mut store = store_with(&[PEOPLE, HOUSEHOLD]);
    assert_snapshot!(
        refused(&mut store, r#"[[:db/retractEntity [:person/email "ivan@x"]] {:person/email "ivan@x" :person/age 3}]"#),
        @r#"
        Refused: tx:1:48: [65548 :person/email "ivan@x"] is both asserted and retracted in one transaction
          [[:db/retractEntity [:person/email "ivan@x"]] {:person/email "ivan@x" :person/age 3}]
                                                         ^^^^^^^^^^^^^^^^^^^^^^
        "#
    );
}

#[test]
fn only_what_exists_and_may_go_is_retracted() {
    let mut store = store_with(&[PEOPLE, HOUSEHOLD]);
    assert_snapshot!(refused(&mut store, r#"[{:db/id "x" :person/age 1} [:db/retractEntity "x"]]"#), @r#"
        Input: tx:1:48: :db/retractEntity takes an entity that exists before the transaction
          [{:db/id "x" :person/age 1} [:db/retractEntity "x"]]
                                                         ^^^
        "#);
    assert_snapshot!(refused(&mut store, "[[:db/retractEntity (transaction-tx)]]"), @r#"
        Input: tx:1:21: :db/retractEntity takes an entity that exists before the transaction
          [[:db/retractEntity (transaction-tx)]]
                              ^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, "[[:db/retractEntity 268435457]]"), @r#"
        Refused: tx:1:2: :db/txInstant can be stated of the transaction itself only
          [[:db/retractEntity 268435457]]
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, "[[:db/retractEntity :db/doc]]"), @r#"
        Refused: tx:1:2: :db/doc belongs to the core schema, which cannot be changed
          [[:db/retractEntity :db/doc]]
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, "[[:db/retractEntity :person/name]]"), @r#"
        Refused: tx:1:2: the attribute :person/name has facts, so its type cannot be changed or taken away
          [[:db/retractEntity :person/name]]
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, "[[:db/retractEntity 99999]]"), @r#"
        Input: tx:1:21: entity 99999 does not exist
          [[:db/retractEntity 99999]]
                              ^^^^^
        "#);
}
