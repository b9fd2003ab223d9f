//! Forms and values.

use insta::assert_snapshot;

use crate::common::*;

#[test]
fn schema_and_data_in_one_transaction_as_in_the_readme() {
    let mut store = store();
    let text = "[
      {:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one}
      {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
      {:person/name \"Grisha\" :person/age 30}]";
    assert_snapshot!(effects(&mut store, text), @r#"
        + :person/name :db/ident :person/name
        + :person/name :db/valueType :db.type/string
        + :person/name :db/cardinality :db.cardinality/one
        + :person/age :db/ident :person/age
        + :person/age :db/valueType :db.type/long
        + :person/age :db/cardinality :db.cardinality/one
        + 65538 :person/name "Grisha"
        + 65538 :person/age 30
        "#);
}
