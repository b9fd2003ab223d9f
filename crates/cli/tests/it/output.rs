//! The forms in which data is printed.

use serde_json::json;

use crate::room::Room;

const TYPES: &str = r#"[
 {:db/ident :t/ref :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}
 {:db/ident :t/keyword :db/valueType :db.type/keyword :db/cardinality :db.cardinality/one}
 {:db/ident :t/long :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
 {:db/ident :t/double :db/valueType :db.type/double :db/cardinality :db.cardinality/one}
 {:db/ident :t/string :db/valueType :db.type/string :db/cardinality :db.cardinality/one}
 {:db/ident :t/uuid :db/valueType :db.type/uuid :db/cardinality :db.cardinality/one}
 {:db/ident :t/uri :db/valueType :db.type/uri :db/cardinality :db.cardinality/one}
 {:db/ident :t/boolean :db/valueType :db.type/boolean :db/cardinality :db.cardinality/one}
 {:db/ident :t/instant :db/valueType :db.type/instant :db/cardinality :db.cardinality/one}
 {:db/ident :t/bytes :db/valueType :db.type/bytes :db/cardinality :db.cardinality/one}]
[{:t/ref :db/doc :t/keyword :a/b :t/long -9007199254740993 :t/double 1.0 :t/string "say \"hi\"\n"
  :t/uuid #uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6" :t/uri #uri "https://example.org/?a=1" :t/boolean true
  :t/instant #inst "2026-11-21T20:02:00.5Z" :t/bytes #bytes "00ff"}]
[{:t/double ##Inf :t/long 1} {:t/double ##-Inf :t/long 2}]
"#;

#[test]
fn each_type_of_value_has_its_json() {
    let room = Room::new();
    room.write("types.edn", TYPES);
    room.ok(&["import", "types.db", "types.edn"]);
    let value = |attribute: &str| {
        let query = format!("[:find ?v . :where [?e :t/uuid] [?e :t/{attribute} ?v]]");
        room.json(&["query", "--json", "types.db", &query])
    };
    assert_eq!(value("ref"), json!(37));
    assert_eq!(value("keyword"), json!(":a/b"));
    assert_eq!(value("long"), json!(-9007199254740993_i64));
    assert_eq!(value("double"), json!(1.0));
    assert_eq!(value("string"), json!("say \"hi\"\n"));
    assert_eq!(value("uuid"), json!("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"));
    assert_eq!(value("uri"), json!("https://example.org/?a=1"));
    assert_eq!(value("boolean"), json!(true));
    assert_eq!(value("instant"), json!("2026-11-21T20:02:00.500Z"));
    assert_eq!(value("bytes"), json!("00ff"));
    let infinite = "[:find ?l ?v :where [?e :t/long ?l] [?e :t/double ?v] [(> ?l 0)] :order ?l]";
    assert_eq!(room.json(&["query", "--json", "types.db", infinite]), json!([[1, "Infinity"], [2, "-Infinity"]]));
}

#[test]
fn each_shape_of_answer_has_its_json_and_its_edn() {
    let room = Room::with_people();
    let both = |find: &str, input: &str| {
        let query = format!("[:find {find} :in ?n :where [?p :person/name ?n] [?p :person/age ?a]]");
        let edn = room.ok(&["query", "people.db", &query, input]);
        (room.json(&["query", "--json", "people.db", &query, input]), edn)
    };
    assert_eq!(both("?n ?a", "\"Ivan\""), (json!([["Ivan", 30]]), "[[\"Ivan\" 30]]\n".to_owned()));
    assert_eq!(both("[?a ...]", "\"Ivan\""), (json!([30]), "[30]\n".to_owned()));
    assert_eq!(both("[?n ?a]", "\"Ivan\""), (json!(["Ivan", 30]), "[\"Ivan\" 30]\n".to_owned()));
    assert_eq!(both("?a .", "\"Ivan\""), (json!(30), "30\n".to_owned()));
    assert_eq!(both("?n ?a", "\"Vera\""), (json!([]), "[]\n".to_owned()));
    assert_eq!(both("[?a ...]", "\"Vera\""), (json!([]), "[]\n".to_owned()));
    assert_eq!(both("[?n ?a]", "\"Vera\""), (json!(null), "nil\n".to_owned()));
    assert_eq!(both("?a .", "\"Vera\""), (json!(null), "nil\n".to_owned()));
}

#[test]
fn a_transaction_is_reported() {
    let room = Room::with_people();
    let transaction = r#"[{:db/id "new" :person/name "Vera" :person/friend (lookup-ref :person/name "Ivan")}
                          {:person/name "Ivan" :person/age 31}]"#;
    insta::assert_snapshot!(room.tidy(&room.ok(&["transact", "people.db", transaction])), @r#"
    transaction 268435459 at INSTANT
      "new" is 65542
      - 65540 :person/age    30
      + 65540 :person/age    31
      + 65542 :person/name   "Vera"
      + 65542 :person/friend 65540
    "#);
    insta::assert_snapshot!(room.tidy(&room.ok(&["transact", "people.db", transaction])), @r#"
    transaction 268435460 at INSTANT
      "new" is 65542
      all of it was true already
    "#);
    let report = room.ok(&["transact", "--json", "people.db", "[{:db/id \"a\" :person/name \"Anna\"}]"]);
    insta::assert_snapshot!(room.tidy(&report), @r#"{"tx":268435461,"instant":"INSTANT","origin":"UUID","tempids":{"a":65543},"datoms":[[65543,":person/name","Anna",268435461,true],[268435461,":db/txInstant","INSTANT",268435461,true]]}"#);
}

#[test]
fn a_log_is_told_oldest_first() {
    let room = Room::with_people();
    room.ok(&["transact", "people.db", "[{:person/name \"Ivan\" :person/age 31}]"]);
    room.ok(&["transact", "people.db", "[{:person/name \"Ivan\" :person/age 31}]"]);
    insta::assert_snapshot!(room.tidy(&room.ok(&["log", "people.db", "--limit", "3"])), @r#"
    transaction 268435458 at INSTANT
      origin UUID of device UUID
      + 65540 :person/name   "Ivan"
      + 65540 :person/email  "ivan@example.org"
      + 65540 :person/age    30
      + 65541 :person/name   "Olga"
      + 65541 :person/friend 65540

    transaction 268435459 at INSTANT
      origin UUID of device UUID
      - 65540 :person/age 30
      + 65540 :person/age 31

    transaction 268435460 at INSTANT
      origin UUID of device UUID
      nothing new: all of it was true already
    "#);
    let log = room.json(&["log", "people.db", "--json"]);
    let transactions = log.as_array().unwrap();
    assert_eq!(transactions.len(), 4);
    assert_eq!(transactions[2]["datoms"][0], json!([65540, ":person/age", 30, 268435459, false]));
    assert_eq!(room.json(&["log", "people.db", "--json", "-n", "1"]), json!([transactions[3]]));
    assert_eq!(room.json(&["log", "people.db", "--json", "-n", "0"]), json!([]));
    assert_eq!(room.json(&["log", "people.db", "--json", "-n", "9"]), log);
}

#[test]
fn a_schema_defines_itself_in_another_store() {
    let room = Room::with_people();
    room.ok(&["transact", "people.db", "[[:db/add :person/age :db/merge :db.merge/max]]"]);
    let schema = room.ok(&["schema", "people.db"]);
    insta::assert_snapshot!(schema, @r#"
    [{:db/ident :person/name
      :db/valueType :db.type/string
      :db/cardinality :db.cardinality/one
      :db/unique :db.unique/identity
      :db/doc "what they are called"}
     {:db/ident :person/email
      :db/valueType :db.type/string
      :db/cardinality :db.cardinality/one
      :db/unique :db.unique/value}
     {:db/ident :person/age
      :db/valueType :db.type/long
      :db/cardinality :db.cardinality/one
      :db/merge :db.merge/max}
     {:db/ident :person/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}]
    "#);
    let ran = room.run_with(&["transact", "other.db", "-"], &schema);
    assert_eq!((ran.code, ran.err.as_str()), (0, "created other.db\n"));
    let schema = room.json(&["schema", "--json", "people.db"]);
    assert_eq!(room.json(&["schema", "--json", "other.db"]), schema);
    assert_eq!(
        schema[0],
        json!({
            "entid": 65536, "ident": ":person/name", "valueType": ":db.type/string", "cardinality": ":db.cardinality/one",
            "unique": ":db.unique/identity", "index": true, "isComponent": false, "fulltext": false, "noHistory": false,
            "merge": null, "doc": "what they are called"
        })
    );
    let all = room.json(&["schema", "--json", "--all", "people.db"]);
    assert_eq!(all.as_array().unwrap().len(), 18 + 4);
}

#[test]
fn imports_are_counted() {
    let room = Room::with_people();
    room.write("more.edn", "[{:person/name \"Vera\"}] [{:person/name \"Anna\" :person/age 2}]");
    let told = room.json(&["import", "--json", "people.db", "people.edn", "more.edn"]);
    assert_eq!(
        told,
        json!([
            {"file": "people.edn", "transactions": 2, "datoms": 0},
            {"file": "more.edn", "transactions": 2, "datoms": 3},
        ])
    );
    let ran = room.run_with(&["import", "people.db", "-"], "[{:person/name \"Zoe\"}]");
    assert_eq!(ran.to_string(), "<stdin>: 1 transaction, 1 datom\nexit 0");
}

#[test]
fn queries_come_from_files_and_standard_input_too() {
    let room = Room::with_people();
    let query =
        "; who is that old?\n[:find ?n .\n :in ?a\n :where [?p :person/age ?a]\n        [?p :person/name ?n]]\n";
    room.write("query.edn", query);
    assert_eq!(room.ok(&["query", "people.db", "@query.edn", "30"]), "\"Ivan\"\n");
    assert_eq!(room.run_with(&["query", "people.db", "-", "30"], query).out, "\"Ivan\"\n");
    room.write("query.edn", &query.replace(":person/name", ":person/nmae"));
    insta::assert_snapshot!(room.run(&["query", "people.db", "@query.edn", "30"]), @r#"
    error: query.edn:5:13: :person/nmae is not an attribute (did you mean :person/name?)
              [?p :person/nmae ?n]]
                  ^^^^^^^^^^^^
    exit 3
    "#);
    assert!(room.ok(&["query", "--explain", "people.db", query, "30"]).starts_with("SELECT "));
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_failure() {
    use std::io::Read;

    let room = Room::with_people();
    // More than a pipe holds.
    let many: String = (0..4000).map(|n| format!("{{:person/name \"somebody called {n}\"}}\n")).collect();
    room.write("many.edn", &format!("[{many}]"));
    room.ok(&["import", "people.db", "many.edn"]);
    for args in [
        ["log", "people.db"].as_slice(),
        &["log", "--json", "people.db"],
        &["query", "people.db", "[:find ?e ?n :where [?e :person/name ?n]]"],
        &["query", "--json", "people.db", "[:find ?e ?n :where [?e :person/name ?n]]"],
    ] {
        let mut child = room.command(args).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()), "{args:?}");
    }
}
