//! What people read when a form is wrong. Each of these leaves facts, schema and basis as they were.

use insta::assert_snapshot;

use crate::common::*;

fn shown(text: &str) -> String {
    let mut store = store_with(&[PEOPLE, r#"[{:person/ssn 1 :person/name "Ivan"}]"#]);
    refused(&mut store, text)
}

#[test]
fn malformed_text_and_forms() {
    assert_snapshot!(shown("[{:person/name \"Ivan\""), @r#"
        Input: tx:1:2: this `{` is never closed: a `}` is missing
          [{:person/name "Ivan"
           ^
        "#);
    assert_snapshot!(shown("[] []"), @r#"
        Input: tx:1:4: one form was expected, and a vector follows it
          [] []
             ^^
        "#);
    assert_snapshot!(shown("{:person/name \"Ivan\"}"), @r#"
        Input: tx:1:1: a transaction is a vector of forms, not a map
          {:person/name "Ivan"}
          ^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[:db/add 1 :db/doc \"x\"]"), @r#"
        Input: tx:1:2: a transaction is a vector of forms: put this form into one more pair of [ ]
          [:db/add 1 :db/doc "x"]
           ^^^^^^^
        "#);
    assert_snapshot!(shown("[42]"), @r"
    Input: tx:1:2: a form is [:db/add e a v] or another operation, or a map, not an integer
      [42]
       ^^
    ");
    assert_snapshot!(shown("[[]]"), @r#"
        Input: tx:1:2: an empty form states nothing
          [[]]
           ^^
        "#);
    assert_snapshot!(shown("[[\"x\" :person/name \"x\"]]"), @r#"
        Input: tx:1:3: a form begins with :db/add or another operation, not with a string
          [["x" :person/name "x"]]
            ^^^
        "#);
    assert_snapshot!(shown("[[:db/add \"x\" :person/name]]"), @r#"
        Input: tx:1:2: :db/add takes an entity, an attribute and a value: [:db/add e a v]
          [[:db/add "x" :person/name]]
           ^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/retractEntity]]"), @r#"
        Input: tx:1:2: :db/retractEntity takes an entity: [:db/retractEntity e]
          [[:db/retractEntity]]
           ^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/sum 1 :person/age 1]]"), @r"
    Input: tx:1:3: :db/sum is not an operation; there are :db/add, :db/retract, :db/retractEntity, :db/cas, :db/inc, :db/max, :db/min, and functions that the program registers
      [[:db/sum 1 :person/age 1]]
        ^^^^^^^
    ");
}

#[test]
fn unknown_names() {
    assert_snapshot!(shown("[{:person/name \"x\"}\n {:person/nmae \"x\"}]"), @r#"
        Input: tx:2:3: :person/nmae is not an attribute (did you mean :person/name?)
           {:person/nmae "x"}]
            ^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add \"x\" :car/wheels 4]]"), @r#"
        Input: tx:1:15: :car/wheels is not an attribute
          [[:db/add "x" :car/wheels 4]]
                        ^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[{:db/id :person/nam :db/doc \"x\"}]"), @r#"
        Input: tx:1:10: no entity has the ident :person/nam (did you mean :person/name?)
          [{:db/id :person/nam :db/doc "x"}]
                   ^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[{:person/friend :person/alais}]"), @r#"
        Input: tx:1:18: no entity has the ident :person/alais (did you mean :person/alias?)
          [{:person/friend :person/alais}]
                           ^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add 70000 :person/age 1]]"), @r#"
        Input: tx:1:11: entity 70000 does not exist
          [[:db/add 70000 :person/age 1]]
                    ^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add -1 :person/age 1]]"), @r#"
        Input: tx:1:11: entity -1 does not exist
          [[:db/add -1 :person/age 1]]
                    ^^
        "#);
    assert_snapshot!(shown("[[:db/add 41 :person/age 1]]"), @r#"
        Input: tx:1:11: entity 41 does not exist
          [[:db/add 41 :person/age 1]]
                    ^^
        "#);
    assert_snapshot!(shown("[{:person/friend 268435459}]"), @r#"
        Input: tx:1:18: entity 268435459 does not exist
          [{:person/friend 268435459}]
                           ^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add \"x\" 65549 1]]"), @r#"
        Input: tx:1:15: 65549 is not an attribute
          [[:db/add "x" 65549 1]]
                        ^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add \"x\" \"age\" 1]]"), @r#"
        Input: tx:1:15: an attribute is named by a keyword, not by a string
          [[:db/add "x" "age" 1]]
                        ^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add ?x :person/age 1]]"), @r#"
        Input: tx:1:11: an entity is a number, an ident, a tempid in quotes, a lookup ref or (transaction-tx), not a symbol
          [[:db/add ?x :person/age 1]]
                    ^^
        "#);
    assert_snapshot!(shown("[{1.5 2}]"), @r#"
        Input: tx:1:3: an attribute is named by a keyword, not by a float
          [{1.5 2}]
            ^^^
        "#);
}

#[test]
fn values_of_another_type() {
    assert_snapshot!(shown("[{:person/name \"x\"\n  :person/age \"thirty\"}]"), @r#"
        Refused: tx:2:15: :person/age takes values of type :db.type/long, not a string
            :person/age "thirty"}]
                        ^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add \"x\" :person/age 1.0]]"), @r#"
        Refused: tx:1:27: :person/age takes values of type :db.type/long, not a float
          [[:db/add "x" :person/age 1.0]]
                                    ^^^
        "#);
    assert_snapshot!(shown("[[:db/add \"x\" :person/age 99999999999999999999]]"), @r#"
        Refused: tx:1:27: :person/age takes values of type :db.type/long, not a big integer
          [[:db/add "x" :person/age 99999999999999999999]]
                                    ^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[{:person/name nil}]"), @r#"
        Refused: tx:1:16: :person/name takes values of type :db.type/string, not nil: leave out what has no value
          [{:person/name nil}]
                         ^^^
        "#);
    assert_snapshot!(shown("[{:person/name {:person/age 1}}]"), @r#"
        Refused: tx:1:16: :person/name takes values of type :db.type/string, not a map
          [{:person/name {:person/age 1}}]
                         ^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[{:person/alias [\"a\" [\"b\"]]}]"), @r#"
        Refused: tx:1:22: :person/alias takes values of type :db.type/string, not a vector
          [{:person/alias ["a" ["b"]]}]
                               ^^^^^
        "#);
    assert_snapshot!(shown("[{:person/name [\"a\" \"b\"]}]"), @r#"
        Refused: tx:1:16: :person/name holds one value, not a vector
          [{:person/name ["a" "b"]}]
                         ^^^^^^^^^
        "#);
    assert_snapshot!(shown("[{:person/friend 1.5}]"), @r#"
        Input: tx:1:18: an entity is a number, an ident, a tempid in quotes, a lookup ref or (transaction-tx), not a float
          [{:person/friend 1.5}]
                           ^^^
        "#);
    assert_snapshot!(shown("[{:db/ident \"name\"}]"), @r#"
        Refused: tx:1:13: :db/ident takes values of type :db.type/keyword, not a string
          [{:db/ident "name"}]
                      ^^^^^^
        "#);
    let doubles = "{:db/ident :d/d :db/valueType :db.type/double :db/cardinality :db.cardinality/one}";
    let bytes = "{:db/ident :d/b :db/valueType :db.type/bytes :db/cardinality :db.cardinality/one}";
    let uris = "{:db/ident :d/u :db/valueType :db.type/uri :db/cardinality :db.cardinality/one}";
    assert_snapshot!(shown(&format!("[{doubles}\n {{:d/d ##NaN}}]")), @r#"
        Refused: tx:2:8: :d/d takes values of type :db.type/double: ##NaN cannot be a fact
           {:d/d ##NaN}]
                 ^^^^^
        "#);
    assert_snapshot!(shown(&format!("[{doubles}\n {{:d/d 9007199254740993}}]")), @r#"
        Refused: tx:2:8: :d/d takes values of type :db.type/double: 9007199254740993 is too long for a double: write it with a point
           {:d/d 9007199254740993}]
                 ^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown(&format!("[{bytes}\n {{:d/b #bytes \"0\"}}]")), @r#"
        Refused: tx:2:8: :d/b takes values of type :db.type/bytes: #bytes stands before a string of hex digits, two a byte
           {:d/b #bytes "0"}]
                 ^^^^^^^^^^
        "#);
    assert_snapshot!(shown(&format!("[{bytes}\n {{:d/b #bytes \"é\"}}]")), @r#"
        Refused: tx:2:8: :d/b takes values of type :db.type/bytes: #bytes stands before a string of hex digits, two a byte
           {:d/b #bytes "é"}]
                 ^^^^^^^^^^
        "#);
    assert_snapshot!(shown(&format!("[{uris}\n {{:d/u #uri 1}}]")), @r#"
        Refused: tx:2:8: :d/u takes values of type :db.type/uri: #uri stands before a string
           {:d/u #uri 1}]
                 ^^^^^^
        "#);
}

#[test]
fn contradictions() {
    assert_snapshot!(shown("[{:db/id \"x\" :person/age 1}\n {:db/id \"x\" :person/age 2}]"), @r#"
        Refused: tx:2:14: :person/age holds one value, but 65549 is given two: 1 and 2
           {:db/id "x" :person/age 2}]
                       ^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add [:person/ssn 1] :person/age 1]\n [:db/retract [:person/ssn 1] :person/age 1]]"), @r#"
        Refused: tx:2:2: [65548 :person/age 1] is both asserted and retracted in one transaction
           [:db/retract [:person/ssn 1] :person/age...
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/add (transaction-tx) :db/txInstant #inst \"2020-01-01T00:00:00Z\"]]"), @r#"
    Refused: tx:1:2: the transaction's :db/txInstant, #inst "2020-01-01T00:00:00Z", is not later than the one before, #inst "2026-03-01T00:00:01Z"
      [[:db/add (transaction-tx) :db/txInstant ...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(
        shown("[[:db/add (transaction-tx) :db/txInstant #inst \"2040-01-01T00:00:00Z\"]\n {:db/id (transaction-tx) :db/txInstant #inst \"2041-01-01T00:00:00Z\"}]"),
        @r#"
        Refused: tx:2:27: :db/txInstant holds one value, but 268435459 is given two: #inst "2040-01-01T00:00:00Z" and #inst "2041-01-01T00:00:00Z"
           {:db/id (transaction-tx) :db/txInstant #inst "2041-01-01T00:00:00...
                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#
    );
    assert_snapshot!(shown("[[:db/add 268435457 :db/txInstant #inst \"2040-01-01T00:00:00Z\"]]"), @r#"
        Refused: tx:1:2: :db/txInstant can be stated of the transaction itself only
          [[:db/add 268435457 :db/txInstant #inst "...
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
    assert_snapshot!(shown("[[:db/retract 268435457 :db/txInstant #inst \"2026-03-01T00:00:00Z\"]]"), @r#"
        Refused: tx:1:2: :db/txInstant can be stated of the transaction itself only
          [[:db/retract 268435457 :db/txInstant #in...
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#);
}

#[test]
fn definitions_that_mean_nothing() {
    let defined = |ident: &str, more: &str| {
        shown(&format!(
            "[{{:db/ident {ident} :db/valueType :db.type/long :db/cardinality :db.cardinality/one\n  {more}}}]"
        ))
    };
    assert_snapshot!(defined(":x/y", ":db/unique :db.type/string"), @"
    Refused: tx:2:14: :db/unique is :db.unique/value or :db.unique/identity
        :db/unique :db.type/string}]
                   ^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(shown("[[:db/add :person/age :db/cardinality 35]]"), @"
    Refused: tx:1:39: :db/cardinality is :db.cardinality/one or :db.cardinality/many
      [[:db/add :person/age :db/cardinality 35]]
                                            ^^
    ");
    assert_snapshot!(shown("[[:db/add :db.cardinality/one :db/_valueType \"x\"] {:db/id \"x\" :db/ident :x/y}]"), @r#"
    Refused: tx:1:46: :db/valueType is :db.type/string or another of :db.type
      [[:db/add :db.cardinality/one :db/_valueType "x"] {:db/id "x" :db/ident :x/y}]
                                                   ^^^
    "#);
    assert_snapshot!(defined(":db/shoe", ":db/doc \"\""), @"
    Refused: tx:1:13: :db/shoe cannot be defined: the namespaces :db and :db.* are the schema's own
      [{:db/ident :db/shoe :db/valueType :db.type/long :db...
                  ^^^^^^^^
    ");
    assert_snapshot!(defined(":db.my/shoe", ":db/doc \"\""), @"
    Refused: tx:1:13: :db.my/shoe cannot be defined: the namespaces :db and :db.* are the schema's own
      [{:db/ident :db.my/shoe :db/valueType :db.type/long ...
                  ^^^^^^^^^^^
    ");
    assert_snapshot!(defined(":x/_y", ":db/doc \"\""), @"
    Refused: tx:1:13: the name of an ident cannot begin with an underscore: :x/_y reads :x/y backwards
      [{:db/ident :x/_y :db/valueType :db.type/long :db/ca...
                  ^^^^^
    ");
}
