//! Forms, values and reports.

use insta::assert_snapshot;
use tolstoy_edn::Instant;
use tolstoy_store::{Double, Entid, Timeline, Value};

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

#[test]
fn data_may_stand_before_the_schema_it_uses() {
    let mut store = store();
    let text = "[
      {:dog/name \"Rex\" :dog/owner {:dog/name \"Max\"} :dog/tag \"r\"}
      {:dog/tag \"r\" :dog/colour :colour/brown}
      [:db/add \"name\" :db/ident :dog/name]
      {:db/id \"name\" :db/valueType :db.type/string :db/cardinality :db.cardinality/one}
      {:db/ident :dog/owner :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}
      {:db/ident :dog/colour :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}
      {:db/ident :dog/tag :db/valueType :db.type/string :db/cardinality :db.cardinality/one
       :db/unique :db.unique/identity}
      {:db/ident :colour/brown}]";
    assert_snapshot!(effects(&mut store, text), @r#"
        + 65536 :dog/name "Rex"
        + 65536 :dog/owner 65539
        + 65536 :dog/tag "r"
        + 65536 :dog/colour :colour/brown
        + :dog/name :db/ident :dog/name
        + :dog/name :db/valueType :db.type/string
        + :dog/name :db/cardinality :db.cardinality/one
        + :dog/owner :db/ident :dog/owner
        + :dog/owner :db/valueType :db.type/ref
        + :dog/owner :db/cardinality :db.cardinality/one
        + 65539 :dog/name "Max"
        + :dog/tag :db/ident :dog/tag
        + :dog/tag :db/valueType :db.type/string
        + :dog/tag :db/cardinality :db.cardinality/one
        + :dog/tag :db/unique :db.unique/identity
        + :dog/tag :db/index true
        + :dog/colour :db/ident :dog/colour
        + :dog/colour :db/valueType :db.type/ref
        + :dog/colour :db/cardinality :db.cardinality/one
        + :colour/brown :db/ident :colour/brown
        "#);
}

#[test]
fn every_type_takes_its_literals() {
    let mut store = store();
    let mut schema = String::from("[");
    for name in ["ref", "keyword", "long", "double", "string", "uuid", "uri", "boolean", "instant", "bytes"] {
        schema +=
            &format!("{{:db/ident :a/{name} :db/valueType :db.type/{name} :db/cardinality :db.cardinality/many}}");
    }
    must(&mut store, &(schema + "]"));
    let text = r#"[{:a/ref [:db/doc 1 "t"] :a/keyword [:x :x/y] :a/long [-1 9223372036854775807] :a/double [1.5 2 -0.0 ##Inf]
      :a/string ["" "line\nbreak"] :a/uuid #uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
      :a/uri ["https://a.b" #uri "c:d"] :a/boolean #{true false} :a/instant #inst "1969-12-31T23:59:59.5Z"
      :a/bytes [#bytes "" #bytes "00fF"]}
      {:db/id "t" :a/string "t"}]"#;
    assert_snapshot!(effects(&mut store, text), @r#"
        + 65546 :a/ref :db/ident
        + 65546 :a/ref :db/doc
        + 65546 :a/ref 65547
        + 65546 :a/keyword :x
        + 65546 :a/keyword :x/y
        + 65546 :a/long -1
        + 65546 :a/long 9223372036854775807
        + 65546 :a/double 0.0
        + 65546 :a/double 1.5
        + 65546 :a/double 2.0
        + 65546 :a/double ##Inf
        + 65546 :a/string ""
        + 65546 :a/string "line\nbreak"
        + 65546 :a/uuid #uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
        + 65546 :a/uri #uri "c:d"
        + 65546 :a/uri #uri "https://a.b"
        + 65546 :a/boolean false
        + 65546 :a/boolean true
        + 65546 :a/instant #inst "1969-12-31T23:59:59.500Z"
        + 65546 :a/bytes #bytes ""
        + 65546 :a/bytes #bytes "00ff"
        + 65547 :a/string "t"
        "#);
}

#[test]
fn list_forms_add_and_retract_one_value_or_several() {
    let mut store = store_with(&[PEOPLE]);
    let report =
        must(&mut store, r#"[(:db/add "i" :person/name "Ivan") [:db/add "i" :person/alias ["Vanya" "Ванька"]]]"#);
    let ivan = report.tempids["i"];
    assert_snapshot!(effects(&mut store, &format!(
        r#"[[:db/retract {ivan} :person/alias ["Vanya" "nobody"]] [:db/add {ivan} :person/name "Ivan IV"]]"#
    )), @r#"
        - 65548 :person/name "Ivan"
        + 65548 :person/name "Ivan IV"
        - 65548 :person/alias "Vanya"
        "#);
    assert_snapshot!(effects(&mut store, &format!(
        r#"[[:db/retract {ivan} :person/name "somebody else"] {{:db/id {ivan} :person/name "Ivan IV" :person/alias []}}]"#
    )), @"");
}

#[test]
fn a_new_value_replaces_the_old_unless_there_may_be_many() {
    let mut store = store_with(&[PEOPLE, r#"[{:person/ssn 1 :person/age 30 :person/alias "a"}]"#]);
    assert_snapshot!(effects(&mut store, r#"[{:person/ssn 1 :person/age 31 :person/alias "b"}]"#), @r#"
        - 65548 :person/age 30
        + 65548 :person/age 31
        + 65548 :person/alias "b"
        "#);
}

#[test]
fn what_is_true_already_has_no_effect() {
    let text = r#"[{:person/ssn 1 :person/age 30 :person/alias ["a" "b"]}]"#;
    let mut store = store_with(&[PEOPLE, text]);
    let report = must(&mut store, text);
    assert_eq!(show(&store, &report.datoms), "");
    assert_eq!(report.datoms.len(), 1, "the transaction's own instant");
}

#[test]
fn an_empty_transaction_is_one() {
    let mut store = store();
    let report = must(&mut store, "[]");
    assert_eq!((report.tx, report.datoms.len()), (Entid::TX0.plus(1), 1));
    assert_eq!(must(&mut store, "()").tx, Entid::TX0.plus(2));
}

#[test]
fn entities_are_named_by_numbers_idents_and_calls() {
    let mut store = store_with(&[PEOPLE]);
    let name = entid(&store, "person/name");
    assert_snapshot!(effects(&mut store, &format!(
        "[[:db/add {name} :db/doc \"by number\"]
          {{:db/id :person/age :db/doc \"by ident\"}}
          [:db/add :person/alias 37 \"attribute by number\"]
          [:db/add (transaction-tx) :db/doc \"about the transaction\"]
          {{:person/name \"x\" :person/friend [(transaction-tx) :person/age {name}]}}]"
    )), @r#"
        + :person/name :db/doc "by number"
        + :person/age :db/doc "by ident"
        + :person/alias :db/doc "attribute by number"
        + 65548 :person/name "x"
        + 65548 :person/friend :person/name
        + 65548 :person/friend :person/age
        + 65548 :person/friend 268435458
        + 268435458 :db/doc "about the transaction"
        "#);
    must(&mut store, &format!("[[:db/add {} :db/doc \"about an earlier one\"]]", Entid::TX0.plus(1)));
}

#[test]
fn the_report_tells_what_the_log_holds() {
    let mut store = store_with(&[PEOPLE]);
    let report =
        must(&mut store, r#"[{:db/id "i" :person/name "Ivan" :person/friend "p"} {:db/id "p" :person/name "Petr"}]"#);
    let logged = store.transaction(report.tx).unwrap().unwrap();
    assert_eq!(logged.datoms().collect::<Vec<_>>(), report.datoms);
    assert_eq!((logged.instant, logged.origin), (report.instant, report.origin));
    assert_eq!(report.origin.device, store.device());
    assert_eq!(report.origin.authored, report.instant);
    assert_eq!(store.by_origin(report.origin.id).unwrap(), Some(report.tx));
    assert_eq!(store.basis(), report.tx);
    let [run] = logged.entids.as_slice() else { panic!("one run, not {:?}", logged.entids) };
    assert_eq!((run.authored, run.current, run.count), (report.tempids["i"], report.tempids["i"], 2));

    let nothing_new = must(&mut store, "[[:db/add :person/name :db/doc \"x\"]]");
    assert_eq!(store.transaction(nothing_new.tx).unwrap().unwrap().entids, []);
}

#[test]
fn instants_follow_the_clock_and_always_increase() {
    let mut store = store();
    let first = must(&mut store, "[]").instant;
    let second = must(&mut store, "[]").instant;
    assert!(first < second);
    let far = must(&mut store, "[[:db/add (transaction-tx) :db/txInstant #inst \"2050-01-01T00:00:00Z\"]]");
    assert_eq!(far.instant.to_string(), "2050-01-01T00:00:00Z");
    assert_eq!(far.datoms.len(), 1);
    assert_eq!(far.origin.authored, far.instant);
    let next = must(&mut store, "[{:db/id (transaction-tx) :db/doc \"the clock is behind\"}]").instant;
    assert_eq!(next, Instant::from_micros(far.instant.as_micros() + 1));
}

#[test]
fn an_instant_lies_before_the_year_10000_and_others_can_follow_it() {
    let mut store = store();
    assert_snapshot!(refused(&mut store, "[[:db/add (transaction-tx) :db/txInstant #inst \"+010000-01-01T00:00:00Z\"]]"), @"
    Refused: tx:1:2: a transaction's instant can be 9999-12-31T23:59:59.999999Z at the latest
      [[:db/add (transaction-tx) :db/txInstant ...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    must(&mut store, r#"[[:db/add (transaction-tx) :db/txInstant #inst "9999-12-31T23:59:59.999999Z"]]"#);
    let after = must(&mut store, "[]");
    assert_eq!(after.instant.as_micros() - after.origin.authored.as_micros(), 1);
    must(&mut store, "[]");
}

#[test]
fn doubles_are_stored_without_a_signed_zero() {
    let mut store =
        store_with(&["[{:db/ident :x/d :db/valueType :db.type/double :db/cardinality :db.cardinality/one}]"]);
    let report = must(&mut store, "[{:x/d -0.0}]");
    assert!(report.datoms.iter().any(|d| d.v == Value::Double(Double::new(0.0).unwrap())));
}

#[test]
fn the_log_lists_transactions_in_order() {
    let store = store_with(&[PEOPLE, "[{:person/age 1}]", "[{:person/age 2}]"]);
    let page = store.transactions(Timeline::MAIN, Entid::TX0.plus(1), 1).unwrap();
    assert_eq!(page.iter().map(|t| t.tx).collect::<Vec<_>>(), [Entid::TX0.plus(2)]);
    let all = store.transactions(Timeline::MAIN, Entid::new(0), 100).unwrap();
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted_by(|x, y| x.instant < y.instant && x.tx.plus(1) == y.tx));
    assert!(store.side_timelines().unwrap().is_empty());
    assert_eq!(store.transaction(Entid::TX0.plus(4)).unwrap(), None);
}

#[test]
fn the_example_of_the_documentation_runs() {
    let page = include_str!("../../../../docs/transact.md");
    let example = page.split("```edn").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(must(&mut store(), example).datoms.len(), 16);
}
