//! Logs in the original client's format, through the real program.

use crate::room::Room;

const NAMES: &str = "[{:db/ident :name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}]";
const SCORES: &str = "[{:db/ident :score :db/valueType :db.type/double :db/cardinality :db.cardinality/one}]";

#[test]
fn two_stores_share_a_log_in_the_originals_format() {
    let room = Room::new();
    let hub = room.hub();
    room.ok(&["transact", "one.db", NAMES]);
    room.ok(&["transact", "one.db", r#"[{:name "Anna"}]"#]);
    let new = room.run(&["sync", "one.db", &hub.url, "new", "--format", "original"]);
    assert_eq!(new.code, 0, "{new}");
    let log = new.err.split_whitespace().last().unwrap().to_owned();

    // Who joins is told the format by the log, whatever it would have begun one in.
    room.ok(&["transact", "two.db", NAMES]);
    room.ok(&["transact", "two.db", r#"[{:name "Boris"} {:name "Anna"}]"#]);
    room.ok(&["sync", "two.db", &hub.url, &log, "--format", "native"]);
    room.ok(&["sync", "one.db"]);
    let all = "[:find [?n ...] :where [_ :name ?n]]";
    for db in ["one.db", "two.db"] {
        assert_eq!(room.ok(&["query", "--json", db, all]), "[\"Anna\",\"Boris\"]\n");
    }
    assert_eq!(room.contents("one.db"), room.contents("two.db"));
}

#[test]
fn what_the_format_cannot_say_stops_the_sync_and_changes_nothing() {
    let room = Room::new();
    let hub = room.hub();
    room.ok(&["transact", "one.db", SCORES]);
    room.ok(&["sync", "one.db", &hub.url, "new", "--format", "original"]);
    room.ok(&["transact", "one.db", r#"[[:db/add "best" :score ##Inf]]"#]);
    let before = room.contents("one.db");
    let refused = room.run(&["sync", "one.db"]);
    assert_eq!(refused.code, 6, "{refused}");
    insta::assert_snapshot!("original-unsayable", room.tidy(&refused.to_string()).replace(&hub.url, "URL"));
    assert!(room.run(&["sync", "one.db", "--json"]).err.contains("unsayable"));
    assert_eq!(room.contents("one.db"), before);
}

#[test]
fn a_format_that_nobody_knows() {
    let room = Room::new();
    let refused = room.run(&["sync", "one.db", "http://127.0.0.1:1", "new", "--format", "mentat"]);
    assert_eq!(refused.code, 2, "{refused}");
    insta::assert_snapshot!("original-wrong", room.tidy(&refused.to_string()));
}
