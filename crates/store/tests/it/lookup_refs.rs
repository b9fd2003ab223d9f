//! Entities named by a unique value.

use insta::assert_snapshot;

use crate::common::*;

fn people() -> tolstoy_store::Store {
    store_with(&[
        PEOPLE,
        r#"[{:db/id "i" :person/email "ivan@x" :person/name "Ivan" :person/badge "b1"}
            {:person/email "petr@x" :person/ssn 2 :person/account "i"}]"#,
    ])
}

#[test]
fn both_spellings_name_an_entity_and_a_value() {
    let mut store = people();
    assert_snapshot!(
        effects(
            &mut store,
            r#"[[:db/add (lookup-ref :person/email "ivan@x") :person/friend (lookup-ref :person/ssn 2)]
                {:db/id [:person/email "petr@x"] :person/spouse [:person/badge "b1"]}
                [:db/retract [:person/badge "b1"] :person/name "Ivan"]
                [:db/add [:db/ident :person/name] :db/doc "idents are identities"]]"#
        ),
        @r#"
        + :person/name :db/doc "idents are identities"
        - 65548 :person/name "Ivan"
        + 65548 :person/friend 65549
        + 65549 :person/spouse 65548
        "#
    );
}

#[test]
fn a_lookup_ref_may_go_by_a_ref() {
    let mut store = people();
    assert_snapshot!(
        effects(&mut store, r#"[[:db/add [:person/account [:person/badge "b1"]] :person/age 40]]"#),
        @"+ 65549 :person/age 40"
    );
}

#[test]
fn of_two_parts_the_unique_attribute_decides() {
    let mut store = people();
    // The first is one lookup ref, the second a list of two, the third two idents.
    assert_snapshot!(
        effects(
            &mut store,
            r#"[{:person/name "one" :person/friend [:person/ssn 2]}
                {:person/name "two" :person/friend [[:person/ssn 2] [:person/badge "b1"]]}
                {:person/name "three" :person/friend [:person/name :person/age]}]"#
        ),
        @r#"
        + 65550 :person/name "one"
        + 65550 :person/friend 65549
        + 65551 :person/name "two"
        + 65551 :person/friend 65548
        + 65551 :person/friend 65549
        + 65552 :person/name "three"
        + 65552 :person/friend :person/name
        + 65552 :person/friend :person/age
        "#
    );
}

#[test]
fn a_lookup_sees_what_was_before_the_transaction() {
    let mut store = people();
    assert_snapshot!(
        refused(&mut store, r#"[{:person/ssn 5} [:db/add [:person/ssn 5] :person/age 1]]"#),
        @r#"
        Input: tx:1:27: the lookup ref finds nothing: no entity has :person/ssn 5
          [{:person/ssn 5} [:db/add [:person/ssn 5] :person/age 1]]
                                    ^^^^^^^^^^^^^^^
        "#
    );
}

#[test]
fn what_finds_nothing_or_is_no_lookup_ref_is_refused() {
    let mut store = people();
    assert_snapshot!(refused(&mut store, r#"[[:db/add [:person/email "no@x"] :person/age 1]]"#), @r#"
        Input: tx:1:11: the lookup ref finds nothing: no entity has :person/email "no@x"
          [[:db/add [:person/email "no@x"] :person/age 1]]
                    ^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[[:db/add [:person/name "Ivan"] :person/age 1]]"#), @r#"
        Refused: tx:1:12: a lookup ref needs a unique attribute, which :person/name is not
          [[:db/add [:person/name "Ivan"] :person/age 1]]
                     ^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:person/spouse [:person/name "Ivan"]}]"#), @r#"
        Refused: tx:1:19: a lookup ref needs a unique attribute, which :person/name is not
          [{:person/spouse [:person/name "Ivan"]}]
                            ^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:person/friend (lookup-ref :person/emial "ivan@x")}]"#), @r#"
        Input: tx:1:30: :person/emial is not an attribute (did you mean :person/email?)
          [{:person/friend (lookup-ref :person/emial "ivan@x")}]
                                       ^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:person/friend (lookup-ref :person/ssn "2")}]"#), @r#"
        Refused: tx:1:42: :person/ssn takes values of type :db.type/long, not a string
          [{:person/friend (lookup-ref :person/ssn "2")}]
                                                   ^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[{:person/friend (look-up :person/ssn 2)}]"#), @r#"
        Input: tx:1:18: in the place of an entity a list is (lookup-ref attribute value) or (transaction-tx)
          [{:person/friend (look-up :person/ssn 2)}]
                           ^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[[:db/add [:person/ssn] :person/age 1]]"#), @r#"
        Input: tx:1:11: a lookup ref has two parts: [attribute value]
          [[:db/add [:person/ssn] :person/age 1]]
                    ^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[[:db/add [:person/account "t"] :person/age 1]]"#), @r#"
        Input: tx:1:11: the lookup ref finds nothing: no entity has :person/account "t"
          [[:db/add [:person/account "t"] :person/age 1]]
                    ^^^^^^^^^^^^^^^^^^^^^
        "#);
}
