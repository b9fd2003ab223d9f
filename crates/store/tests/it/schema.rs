//! What may be said of attributes, and when.

use insta::assert_snapshot;
use tolstoy_edn::Keyword;
use tolstoy_store::{Store, Unique};

use crate::common::*;

fn attribute<'s>(store: &'s Store, ident: &str) -> &'s tolstoy_store::Attribute {
    store.schema().attribute(entid(store, ident)).unwrap()
}

#[test]
fn unique_and_full_text_attributes_state_their_index() {
    let mut store = store();
    assert_snapshot!(
        effects(
            &mut store,
            "[{:db/ident :a/id :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/unique :db.unique/value}
              {:db/ident :a/text :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/fulltext true
               :db/index false}]"
        ),
        @r#"
        + :a/id :db/ident :a/id
        + :a/id :db/valueType :db.type/long
        + :a/id :db/cardinality :db.cardinality/one
        + :a/id :db/unique :db.unique/value
        + :a/id :db/index true
        + :a/text :db/ident :a/text
        + :a/text :db/valueType :db.type/string
        + :a/text :db/cardinality :db.cardinality/one
        + :a/text :db/index true
        + :a/text :db/fulltext true
        "#
    );
    assert!(attribute(&store, "a/text").fulltext() && attribute(&store, "a/text").indexed());
    assert_eq!(attribute(&store, "a/id").unique(), Some(Unique::Value));
}

#[test]
fn cardinality_changes_where_the_facts_permit() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/ssn 1 :person/name "Ivan" :person/alias "a"}]"#]);
    assert_snapshot!(
        effects(&mut store, "[{:db/id :person/alias :db/cardinality :db.cardinality/one}]"),
        @r#"
        - :person/alias :db/cardinality :db.cardinality/many
        + :person/alias :db/cardinality :db.cardinality/one
        "#
    );
    assert_snapshot!(
        effects(
            &mut store,
            r#"[{:db/id :person/name :db/cardinality :db.cardinality/many} {:person/ssn 1 :person/name ["x" "y"]}]"#
        ),
        @r#"
        - :person/name :db/cardinality :db.cardinality/one
        + :person/name :db/cardinality :db.cardinality/many
        + 65548 :person/name "x"
        + 65548 :person/name "y"
        "#
    );
    assert_snapshot!(
        refused(&mut store, "[{:db/id :person/name :db/cardinality :db.cardinality/one}]"),
        @"
    Refused: tx:1:23: the attribute :person/name cannot become cardinality one: 65548 has several values
      [{:db/id :person/name :db/cardinality :db.cardinality/one}]
                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "
    );
    must(&mut store, r#"[[:db/retract [:person/ssn 1] :person/name ["x" "Ivan"]]]"#);
    must(&mut store, "[{:db/id :person/name :db/cardinality :db.cardinality/one}]");
}

#[test]
fn uniqueness_comes_where_no_value_stands_twice() {
    let mut store =
        store_with(&[PEOPLE, r#"[{:person/name "Ivan" :person/age 1} {:person/name "Petr" :person/age 1}]"#]);
    must(&mut store, "[{:db/id :person/name :db/unique :db.unique/identity}]");
    assert_snapshot!(effects(&mut store, r#"[{:person/name "Ivan" :person/age 2}]"#), @r#"
        - 65548 :person/age 1
        + 65548 :person/age 2
        "#);
    must(&mut store, r#"[{:person/name "Ivan" :person/age 1}]"#);
    assert_snapshot!(refused(&mut store, "[{:db/id :person/age :db/unique :db.unique/value}]"), @"
    Refused: tx:1:22: the attribute :person/age cannot become unique: 65548 and 65549 have the same value
      [{:db/id :person/age :db/unique :db.unique/value}]
                           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(
        refused(&mut store, r#"[{:db/id :person/age :db/unique :db.unique/value} {:person/name "New" :person/age 9} {:person/name "Ivan" :person/age 9}]"#),
        @r#"
        Refused: tx:1:71: :person/age 9 is unique and belongs to entity 65548, so entity 65550 cannot take it
          ...person/age :db/unique :db.unique/value} {:person/name "New" :person/age 9} {:person/name "Ivan" :per...
                                                                         ^^^^^^^^^^^^^
        "#
    );
    // Uniqueness goes again, and with it the upsert.
    must(&mut store, "[[:db/retract :person/name :db/unique :db.unique/identity]]");
    must(&mut store, r#"[{:person/name "Ivan"}]"#);
}

#[test]
fn an_attribute_that_becomes_unique_identifies_from_the_next_transaction_on() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/name "Ivan"}]"#]);
    assert_snapshot!(
        refused(&mut store, r#"[{:db/id :person/name :db/unique :db.unique/identity} {:person/name "Ivan" :person/age 2}]"#),
        @r#"
        Refused: tx:1:56: :person/name "Ivan" is unique and belongs to entity 65548, so entity 65549 cannot take it
          [{:db/id :person/name :db/unique :db.unique/identity} {:person/name "Ivan" :person/age 2}]
                                                                 ^^^^^^^^^^^^^^^^^^^
        "#
    );
}

#[test]
fn types_stay_while_there_are_facts() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/name "Ivan"}]"#]);
    assert_snapshot!(refused(&mut store, "[{:db/id :person/name :db/valueType :db.type/long}]"), @r#"
        Refused: tx:1:23: the attribute :person/name has facts, so its type cannot be changed or taken away
          [{:db/id :person/name :db/valueType :db.type/long}]
                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(
        refused(&mut store, "[[:db/retract :person/name :db/valueType :db.type/string]]"),
        @r#"
        Refused: tx:1:2: the attribute :person/name needs both a :db/valueType and a :db/cardinality
          [[:db/retract :person/name :db/valueType ...
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#
    );
    assert_snapshot!(refused(&mut store, "[{:db/id :person/name :db/fulltext true}]"), @r#"
        Refused: tx:1:23: the attribute :person/name has facts, so it cannot become or cease to be full text
          [{:db/id :person/name :db/fulltext true}]
                                ^^^^^^^^^^^^^^^^^
        "#);
    must(&mut store, "[{:db/id :person/age :db/valueType :db.type/string}]");
    must(&mut store, r#"[{:person/age "thirty"}]"#);
}

#[test]
fn definitions_must_be_whole_and_make_sense() {
    let mut store = store_with(&[PEOPLE]);
    assert_snapshot!(refused(&mut store, "[{:db/ident :a/b :db/valueType :db.type/long}]"), @r#"
        Refused: tx:1:18: the attribute :a/b needs both a :db/valueType and a :db/cardinality
          [{:db/ident :a/b :db/valueType :db.type/long}]
                           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(
        refused(&mut store, "[{:db/ident :a/b :db/valueType :db.type/lnog :db/cardinality :db.cardinality/one}]"),
        @r#"
        Input: tx:1:32: no entity has the ident :db.type/lnog (did you mean :db.type/long?)
          [{:db/ident :a/b :db/valueType :db.type/lnog :db/cardinality :db.cardin...
                                         ^^^^^^^^^^^^^
        "#
    );
    assert_snapshot!(
        refused(&mut store, "[{:db/ident :a/b :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/isComponent true}]"),
        @r#"
        Refused: tx:1:82: the attribute :a/b is a component, so its type must be :db.type/ref
          ...valueType :db.type/long :db/cardinality :db.cardinality/one :db/isComponent true}]
                                                                         ^^^^^^^^^^^^^^^^^^^^
        "#
    );
    assert_snapshot!(
        refused(&mut store, "[{:db/ident :a/b :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/fulltext true}]"),
        @r#"
        Refused: tx:1:82: the attribute :a/b is full text, so its type must be :db.type/string
          ...valueType :db.type/long :db/cardinality :db.cardinality/one :db/fulltext true}]
                                                                         ^^^^^^^^^^^^^^^^^
        "#
    );
    assert_snapshot!(refused(&mut store, "[{:db/ident :a/b :db/valueType :db.type/long} {:a/b 1}]"), @r#"
        Input: tx:1:48: :a/b cannot be used as an attribute: it needs both a :db/valueType and a :db/cardinality
          [{:db/ident :a/b :db/valueType :db.type/long} {:a/b 1}]
                                                         ^^^^
        "#);
}

#[test]
fn attributes_can_be_renamed() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/ssn 1 :person/name "Ivan"}]"#]);
    assert_snapshot!(
        effects(
            &mut store,
            r#"[[:db/add :person/name :db/ident :human/name] {:person/ssn 1 :human/name "John"}]"#
        ),
        @r#"
        - :human/name :db/ident :person/name
        + :human/name :db/ident :human/name
        - 65548 :human/name "Ivan"
        + 65548 :human/name "John"
        "#
    );
    assert_eq!(store.schema().entid(&Keyword::parse("person/name").unwrap()), None);
    assert_snapshot!(refused(&mut store, r#"[{:person/name "x"}]"#), @r#"
        Input: tx:1:3: :person/name is not an attribute (did you mean :person/age?)
          [{:person/name "x"}]
            ^^^^^^^^^^^^
        "#);
    // Two idents exchanged.
    must(&mut store, "[[:db/add :person/age :db/ident :human/name] [:db/add :human/name :db/ident :person/age]]");
    assert_snapshot!(effects(&mut store, r#"[{:person/ssn 1 :person/age "swapped"}]"#), @r#"
        - 65548 :person/age "John"
        + 65548 :person/age "swapped"
        "#);
}

#[test]
fn idents_are_enumerations_too() {
    let mut store = store_with(&[PEOPLE]);
    assert_snapshot!(
        effects(
            &mut store,
            "[{:db/ident :rank/major} [:db/add \"c\" :db/ident :rank/captain] {:person/age 3 :person/friend [:rank/major :rank/captain]}]"
        ),
        @r#"
        + :rank/major :db/ident :rank/major
        + :rank/captain :db/ident :rank/captain
        + 65550 :person/age 3
        + 65550 :person/friend :rank/major
        + 65550 :person/friend :rank/captain
        "#
    );
    assert_snapshot!(effects(&mut store, "[{:db/ident :rank/major :db/doc \"the same\"}]"), @r#"+ :rank/major :db/doc "the same""#);
    assert_snapshot!(refused(&mut store, "[{:rank/major 1}]"), @r#"
        Input: tx:1:3: :rank/major is an ident, but not an attribute: it has no :db/valueType
          [{:rank/major 1}]
            ^^^^^^^^^^^
        "#);
}

#[test]
fn the_core_schema_stays_as_it_is() {
    let mut store = store();
    for text in [
        "[{:db/id :db/doc :db/cardinality :db.cardinality/many}]",
        "[{:db/ident :db/doc :db/index true}]",
        "[[:db/retract :db/ident :db/unique :db.unique/identity]]",
        "[[:db/add :db.part/user :db/ident :my/part]]",
    ] {
        assert!(refused(&mut store, text).contains("belongs to the core schema, which cannot be changed"));
    }
    must(&mut store, "[[:db/add :db/doc :db/doc \"documents\"]]");
}

#[test]
fn a_description_says_what_was_stated() {
    let store = store_with(&[PEOPLE]);
    let all: Vec<String> = store
        .schema()
        .attributes()
        .into_iter()
        .filter(|(e, _)| e.is_user())
        .map(|(e, a)| format!("{} {a}", store.schema().name(e)))
        .collect();
    assert_snapshot!(all.join("\n"), @r#"
        :person/name :db.type/string one
        :person/age :db.type/long one
        :person/email :db.type/string one unique-identity
        :person/ssn :db.type/long one unique-identity
        :person/badge :db.type/string one unique-value
        :person/alias :db.type/string many
        :person/friend :db.type/ref many
        :person/spouse :db.type/ref one
        :person/home :db.type/ref one component
        :person/account :db.type/ref one unique-identity
        :home/street :db.type/string one
        :home/room :db.type/ref many component
        "#);
}
