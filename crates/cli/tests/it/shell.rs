//! `tolstoy repl`, from a pipe.

use crate::room::Room;

#[test]
fn a_script_is_run_entry_by_entry() {
    let room = Room::new();
    let script = r#"; definitions first
[{:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
 {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]

.t [{:person/name "Ivan"      ; a comment with a bracket ]
     :person/age 30}]
.transact [{:person/name "a ] in a string" :person/age 1}]
[:find ?n ?a
 :where [?p :person/name ?n]
        [?p :person/age ?a]
 :order ?a]
{:find [?n] :where [[_ :person/name ?n]] :order [?n]}
.q [:find ?a . :in ?n :where [?p :person/name ?n] [?p :person/age ?a]] "Ivan"
.query_prepared [:find (count ?p) . :where [?p :person/name]]
.schema
.log 1
.help log
.exit
[:find ?never :where [?never :person/name]]
"#;
    let ran = room.run_with(&["repl", "people.db"], script);
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @"");
}

#[test]
fn a_failure_stops_nothing_and_is_remembered() {
    let room = Room::with_people();
    let script = r#"[{:person/name "Ivan" :person/age "old"}]
[:find ?x
 :where [?x :person/agee]]
.tranact []
.timer maybe
:help
{:person/name "Vera"}
.import nowhere.edn
.sync
.open missing/x.db
[:find ?a . :where [?p :person/name "Ivan"] [?p :person/age ?a]]
[:find ?n
"#;
    let ran = room.run_with(&["repl", "people.db"], script);
    assert_eq!(ran.out, "30\n");
    insta::assert_snapshot!(ran, @"");
}

#[test]
fn stores_are_opened_and_closed() {
    let room = Room::with_people();
    room.write("define.edn", "[{:db/ident :a/b :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]");
    let script = "\
.i define.edn
[:find ?i . :where [_ :a/b] [?a :db/ident ?i]]
.open people.db
[:find [?n ...] :where [_ :person/name ?n] :order ?n]
.open new file.db
.import define.edn
.close
.schema
";
    let ran = room.run_with(&["repl"], script);
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @"");
    assert!(room.path("new file.db").exists());
}

#[test]
fn flags_run_in_the_order_given() {
    let room = Room::new();
    room.write("define.edn", "[{:db/ident :a/b :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]");
    let args = [
        "repl",
        "-d",
        "a.db",
        "-i",
        "define.edn",
        "-q",
        "[:find (count ?e) . :where [?e :a/b]]",
        "-t",
        "[{:a/b 1}]",
        "-q",
        "[:find (count ?e) . :where [?e :a/b]]",
        "--no-tty",
        "--json",
    ];
    let ran = room.run_with(&args, "[:find ?b . :where [_ :a/b ?b]]\n.t [{:a/b \"x\"}]\n");
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @"");
}

#[test]
fn a_shell_syncs() {
    let room = Room::with_people();
    let hub = room.hub();
    let log = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";
    let script = format!(".sync {}/0.1 {log}\n.sync\n", hub.url);
    let ran = room.run_with(&["repl", "people.db"], &script);
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @"");
}
