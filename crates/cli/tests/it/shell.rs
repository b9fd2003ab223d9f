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
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @r#"
    transaction 268435457 at INSTANT
      + :person/name :db/ident       :person/name
      + :person/name :db/valueType   :db.type/string
      + :person/name :db/cardinality :db.cardinality/one
      + :person/name :db/unique      :db.unique/identity
      + :person/name :db/index       true
      + :person/age  :db/ident       :person/age
      + :person/age  :db/valueType   :db.type/long
      + :person/age  :db/cardinality :db.cardinality/one
    transaction 268435458 at INSTANT
      + 65538 :person/name "Ivan"
      + 65538 :person/age  30
    transaction 268435459 at INSTANT
      + 65539 :person/name "a ] in a string"
      + 65539 :person/age  1
    [["a ] in a string" 1] ["Ivan" 30]]
    [["Ivan"] ["a ] in a string"]]
    30
    2
    [{:db/ident :person/name
      :db/valueType :db.type/string
      :db/cardinality :db.cardinality/one
      :db/unique :db.unique/identity}
     {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]
    transaction 268435459 at INSTANT
      origin UUID of device UUID
      + 65539 :person/name "a ] in a string"
      + 65539 :person/age  1
    .log [N]
      list the newest N transactions, 10 where N is not given
    created people.db
    exit 0
    "#);
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
    insta::assert_snapshot!(ran, @r#"
    30
    error: <stdin>:1:35: :person/age takes values of type :db.type/long, not a string
      [{:person/name "Ivan" :person/age "old"}]
                                        ^^^^^
    error: <stdin>:3:13: :person/agee is not an attribute (did you mean :person/age?)
       :where [?x :person/agee]]
                  ^^^^^^^^^^^^
    error: there is no command .tranact
    hint: did you mean .transact? `.help` lists all commands
    error: .timer is used so: .timer on|off
    error: <stdin>:6:1: a keyword is neither a query nor a transaction
      :help
      ^^^^^
    hint: commands begin with a dot: .help
    error: <stdin>:7:1: a map is neither a query nor a transaction
      {:person/name "Vera"}
      ^^^^^^^^^^^^^^^^^^^^^
    hint: a transaction is a vector of forms: [{...}]
    error: nowhere.edn: there is no such file
    error: people.db has not synced yet, so it needs a URL and a log
    hint: `tolstoy sync people.db http://127.0.0.1:7410 new` makes a log; give its UUID on other devices
    error: missing/x.db: there is no directory missing
    hint: make it first, or name a file elsewhere
    error: <stdin>:12:1: this `[` is never closed: a `]` is missing
      [:find ?n
      ^
    exit 4
    "#);
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
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @r#"
    define.edn: 1 transaction, 3 datoms
    nil
    ["Ivan" "Olga"]
    define.edn: 1 transaction, 3 datoms
    []
    created new file.db
    exit 0
    "#);
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
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @r#"
    [{"file":"define.edn","transactions":1,"datoms":3}]
    0
    {"tx":268435458,"instant":"INSTANT","origin":"UUID","tempids":{},"datoms":[[65537,":a/b",1,268435458,true],[268435458,":db/txInstant","INSTANT",268435458,true]]}
    1
    1
    {"error":"refused","message":"<stdin>:2:11: :a/b takes values of type :db.type/long, not a string","hint":null}
    exit 4
    "#);
}

#[test]
fn a_shell_syncs() {
    let room = Room::with_people();
    let hub = room.hub();
    let log = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";
    let script = format!(".sync {}/0.1 {log}\n.sync\n", hub.url);
    let ran = room.run_with(&["repl", "people.db"], &script);
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @r#"
    remote fast-forward: 2 transactions went to the log
    log UUID at http://127.0.0.1:PORT, 1 round trip, N bytes
    no changes: this store and the log were the same already
    log UUID at http://127.0.0.1:PORT, 1 round trip, N bytes
    exit 0
    "#);
}

#[test]
fn a_line_that_is_no_text_stops_nothing() {
    let room = Room::with_people();
    let mut child = room.command(&["repl", "people.db"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let script = b"; first\n[:find \xff]\n[:find (count ?p) . :where [?p :person/name]]\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "2\n");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: <stdin>:2:8: this is not UTF-8 text\nhint: "), "{told}");
    assert_eq!(output.status.code(), Some(3));
}
