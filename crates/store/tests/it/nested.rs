//! Maps as values.

use insta::assert_snapshot;

use crate::common::*;

#[test]
fn maps_stand_for_entities_at_any_depth() {
    let mut store = store_with(&[PEOPLE]);
    assert_snapshot!(
        effects(
            &mut store,
            r#"[{:person/name "Ivan"
                 :person/spouse {:person/name "Anna"}
                 :person/friend [{:person/name "Petr" :person/friend {:person/name "Oleg"}} {:person/name "Yuri"}]}
                [:db/add "x" :person/home {:home/street "Arbat"}]]"#
        ),
        @r#"
        + 65548 :person/name "Ivan"
        + 65548 :person/friend 65550
        + 65548 :person/friend 65552
        + 65548 :person/spouse 65549
        + 65549 :person/name "Anna"
        + 65550 :person/name "Petr"
        + 65550 :person/friend 65551
        + 65551 :person/name "Oleg"
        + 65552 :person/name "Yuri"
        + 65553 :person/home 65554
        + 65554 :home/street "Arbat"
        "#
    );
}

#[test]
fn a_nested_map_may_name_its_entity() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/email "petr@x"}]"#]);
    let report = must(
        &mut store,
        r#"[{:person/name "Ivan"
             :person/friend [{:person/email "petr@x" :person/age 40} {:db/id "o" :person/name "Oleg"}
                             {:db/id :person/name :db/doc "an ident"} {:db/ident :friend/imaginary}]
             :person/spouse "o"}]"#,
    );
    assert_snapshot!(show(&store, &report.datoms), @r#"
        + :person/name :db/doc "an ident"
        + 65548 :person/age 40
        + 65549 :person/name "Ivan"
        + 65549 :person/friend :person/name
        + 65549 :person/friend 65548
        + 65549 :person/friend 65550
        + 65549 :person/friend :friend/imaginary
        + 65549 :person/spouse 65550
        + 65550 :person/name "Oleg"
        + :friend/imaginary :db/ident :friend/imaginary
        "#);
    assert!(report.tempids.contains_key("o"));
}

#[test]
fn a_retraction_takes_no_map() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/email "petr@x"}]"#]);
    assert_snapshot!(
        refused(&mut store, r#"[[:db/retract [:person/email "petr@x"] :person/friend {:person/name "x"}]]"#),
        @r#"
        Input: tx:1:55: a retraction names the value by an entity, not by a map
          [[:db/retract [:person/email "petr@x"] :person/friend {:person/name "x"}]]
                                                                ^^^^^^^^^^^^^^^^^^
        "#
    );
}
