//! Unique identities: a statement about a new entity becomes one about the entity that has the value.

use insta::assert_snapshot;

use crate::common::*;

const IVAN_AND_PETR: &str = r#"[
  {:person/email "ivan@x" :person/ssn 1 :person/name "Ivan"}
  {:person/email "petr@x" :person/ssn 2 :person/name "Petr"}]"#;

#[test]
fn maps_and_tempids_become_the_entity_that_has_the_value() {
    let mut store = store_with(&[PEOPLE, IVAN_AND_PETR]);
    let report = must(
        &mut store,
        r#"[{:person/email "ivan@x" :person/age 30} [:db/add "p" :person/ssn 2] [:db/add "p" :person/age 40]]"#,
    );
    assert_snapshot!(show(&store, &report.datoms), @r#"
        + 65548 :person/age 30
        + 65549 :person/age 40
        "#);
    assert_eq!(report.tempids["p"].get(), 65549);
}

#[test]
fn all_identities_of_one_entity_may_be_stated() {
    let mut store = store_with(&[PEOPLE, IVAN_AND_PETR]);
    assert_snapshot!(
        effects(&mut store, r#"[{:person/email "ivan@x" :person/ssn 1 :person/account {:db/doc "new"} :person/age 30}]"#),
        @r#"
        + 65548 :person/age 30
        + 65548 :person/account 65550
        + 65550 :db/doc "new"
        "#
    );
}

#[test]
fn an_upsert_may_change_another_identity() {
    let mut store = store_with(&[PEOPLE, IVAN_AND_PETR]);
    assert_snapshot!(effects(&mut store, r#"[{:person/email "ivan@x" :person/ssn 3}]"#), @r#"
        - 65548 :person/ssn 1
        + 65548 :person/ssn 3
        "#);
}

#[test]
fn two_new_entities_with_one_identity_are_one() {
    let mut store = store_with(&[PEOPLE]);
    let report = must(
        &mut store,
        r#"[{:db/id "a" :person/email "new@x" :person/name "New"} {:db/id "b" :person/email "new@x" :person/age 1}
            {:person/friend "b" :person/ssn 9} {:person/ssn 9 :person/email "new@x"}]"#,
    );
    assert_snapshot!(show(&store, &report.datoms), @r#"
        + 65548 :person/name "New"
        + 65548 :person/age 1
        + 65548 :person/email "new@x"
        + 65548 :person/ssn 9
        + 65548 :person/friend 65548
        "#);
    assert_eq!(report.tempids["a"], report.tempids["b"]);
}

#[test]
fn a_new_entity_is_the_stated_one_that_takes_its_identity_in_the_same_transaction() {
    let mut store = store_with(&[PEOPLE, IVAN_AND_PETR]);
    assert_snapshot!(
        effects(&mut store, r#"[[:db/add [:person/ssn 1] :person/email "i@y"] {:person/email "i@y" :person/age 30}]"#),
        @r#"
        + 65548 :person/age 30
        - 65548 :person/email "ivan@x"
        + 65548 :person/email "i@y"
        "#
    );
}

#[test]
fn identities_that_are_refs_are_followed_to_the_end() {
    let mut store = store_with(&[
        PEOPLE,
        r#"[{:person/name "owner" :person/account {:person/name "account" :person/account {:person/email "deep@x"}}}]"#,
    ]);
    // The innermost is known by its email, so the account around it is, and so is the owner.
    assert_snapshot!(
        effects(
            &mut store,
            r#"[[:db/add "owner" :person/age 50] [:db/add "owner" :person/account "account"]
                [:db/add "account" :person/account "deep"] [:db/add "deep" :person/email "deep@x"]]"#
        ),
        @"+ 65548 :person/age 50"
    );
}

#[test]
fn new_entities_with_one_new_ref_identity_are_one() {
    let mut store = store_with(&[PEOPLE]);
    let report = must(
        &mut store,
        r#"[[:db/add "x" :person/account "a"] [:db/add "y" :person/account "b"]
            [:db/add "a" :person/email "same@x"] [:db/add "b" :person/email "same@x"]
            [:db/add "x" :person/name "X"]]"#,
    );
    assert_snapshot!(show(&store, &report.datoms), @r#"
        + 65548 :person/name "X"
        + 65548 :person/account 65549
        + 65549 :person/email "same@x"
        "#);
    assert_eq!(report.tempids["x"], report.tempids["y"]);
    assert_eq!(report.tempids["a"], report.tempids["b"]);
}

#[test]
fn a_long_chain_of_identities_is_resolved_quickly() {
    let mut store = store_with(&[PEOPLE]);
    let chain = |prefix: &str| -> String {
        let mut text: String =
            (1..2_000).map(|n| format!("[:db/add \"{prefix}{n}\" :person/account \"{prefix}{}\"]", n + 1)).collect();
        text += &format!("[:db/add \"{prefix}2000\" :person/ssn 77]");
        text
    };
    let report = must(&mut store, &format!("[{}{}]", chain("a"), chain("b")));
    assert_eq!(report.tempids["a1"], report.tempids["b1"]);
    assert_eq!(report.datoms.len(), 2_000 + 1);
    let again = must(&mut store, &format!("[{}]", chain("c")));
    assert_eq!(again.datoms.len(), 1);
    assert_eq!(again.tempids["c1"], report.tempids["a1"]);
}

#[test]
fn what_would_be_two_entities_is_refused() {
    let mut store = store_with(&[PEOPLE, IVAN_AND_PETR]);
    assert_snapshot!(refused(&mut store, r#"[{:person/email "ivan@x" :person/ssn 2}]"#), @r#"
        Refused: tx:1:26: the entity of this map would be two entities: 65548, which has :person/email "ivan@x", and 65549, which has :person/ssn 2
          [{:person/email "ivan@x" :person/ssn 2}]
                                   ^^^^^^^^^^^^^
        "#);
    assert_snapshot!(
        refused(&mut store, "[[:db/add \"who\" :person/email \"ivan@x\"]\n [:db/add \"who\" :person/email \"petr@x\"]]"),
        @r#"
        Refused: tx:2:2: the tempid "who" would be two entities: 65548, which has :person/email "ivan@x", and 65549, which has :person/email "petr@x"
           [:db/add "who" :person/email "petr@x"]]
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#
    );
    assert_snapshot!(
        refused(
            &mut store,
            r#"[{:db/id "a" :person/email "ivan@x"} {:db/id "b" :person/ssn 2} {:db/id "a" :person/account "c"}
    {:db/id "b" :person/account "c"} {:db/id "c" :person/age 1}]"#
        ),
        @r#"
        Refused: tx:2:17: the tempid "b" would be two entities: 65549, which has :person/ssn 2, and 65548, which has :person/account the tempid "c"
              {:db/id "b" :person/account "c"} {:db/id "c" :person...
                          ^^^^^^^^^^^^^^^^^^^
        "#
    );
}

#[test]
fn a_taken_unique_value_is_refused() {
    let mut store = store_with(&[PEOPLE, IVAN_AND_PETR, r#"[{:person/badge "b1" :person/name "Badged"}]"#]);
    assert_snapshot!(refused(&mut store, r#"[{:person/badge "b1" :person/name "Another"}]"#), @r#"
        Refused: tx:1:3: :person/badge "b1" is unique and belongs to entity 65550, so entity 65551 cannot take it
          [{:person/badge "b1" :person/name "Another...
            ^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:person/badge "b2"} {:person/badge "b2"}]"#), @r#"
        Refused: tx:1:24: :person/badge "b2" is unique and belongs to entity 65551, so entity 65552 cannot take it
          [{:person/badge "b2"} {:person/badge "b2"}]
                                 ^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[[:db/add [:person/ssn 1] :person/email "petr@x"]]"#), @r#"
        Refused: tx:1:2: :person/email "petr@x" is unique and belongs to entity 65549, so entity 65548 cannot take it
          [[:db/add [:person/ssn 1] :person/email "...
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
}

#[test]
fn unique_values_can_be_handed_on_in_one_transaction() {
    let mut store = store_with(&[PEOPLE, IVAN_AND_PETR]);
    assert_snapshot!(
        effects(
            &mut store,
            r#"[[:db/retract [:person/ssn 1] :person/email "ivan@x"] [:db/add [:person/ssn 2] :person/email "ivan@x"]]"#
        ),
        @r#"
        - 65548 :person/email "ivan@x"
        - 65549 :person/email "petr@x"
        + 65549 :person/email "ivan@x"
        "#
    );
    assert_snapshot!(
        effects(&mut store, r#"[[:db/add 65548 :person/ssn 2] [:db/add 65549 :person/ssn 1]]"#),
        @r#"
        - 65548 :person/ssn 1
        + 65548 :person/ssn 2
        - 65549 :person/ssn 2
        + 65549 :person/ssn 1
        "#
    );
}
