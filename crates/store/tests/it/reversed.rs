//! Attributes read backwards.

use insta::assert_snapshot;

use crate::common::*;

#[test]
fn the_value_is_the_entity_and_the_entity_the_value() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/ssn 1} {:person/ssn 2}]"#]);
    assert_snapshot!(
        effects(
            &mut store,
            r#"[[:db/add "x" :person/name "X"]
                [:db/add "x" :person/_friend [:person/ssn 1]]
                {:db/id "y" :person/name "Y" :person/_spouse [[:person/ssn 1] (lookup-ref :person/ssn 2)]}
                {:person/name "Z" :person/_friend [{:person/name "A"} {:person/name "B"} "x"]}]"#
        ),
        @r#"
        + 65548 :person/friend 65550
        + 65548 :person/spouse 65551
        + 65549 :person/spouse 65551
        + 65550 :person/name "X"
        + 65550 :person/friend 65552
        + 65551 :person/name "Y"
        + 65552 :person/name "Z"
        + 65553 :person/name "A"
        + 65553 :person/friend 65552
        + 65554 :person/name "B"
        + 65554 :person/friend 65552
        "#
    );
    assert_snapshot!(
        effects(&mut store, r#"[[:db/retract [:person/ssn 1] :person/_friend [:person/ssn 2]] [:db/retract 65550 :person/_friend [:person/ssn 1]]]"#),
        @"- 65548 :person/friend 65550"
    );
}

#[test]
fn only_refs_read_backwards() {
    let mut store = store_with(&[PEOPLE]);
    assert_snapshot!(refused(&mut store, r#"[{:person/age 1 :person/_name "x"}]"#), @r#"
        Refused: tx:1:17: :person/_name reads :person/name backwards, which only refs can be; its values are of type :db.type/string
          [{:person/age 1 :person/_name "x"}]
                          ^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[[:db/retract :person/name :person/_nobody "x"]]"#), @r#"
        Input: tx:1:28: :person/nobody is not an attribute
          [[:db/retract :person/name :person/_nobody "x"]]
                                     ^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(refused(&mut store, r#"[[:db/add [:person/_friend 1] :person/age 1]]"#), @r#"
        Refused: tx:1:12: a lookup ref needs a unique attribute, which :person/friend is not
          [[:db/add [:person/_friend 1] :person/age 1]]
                     ^^^^^^^^^^^^^^^
        "#);
}
