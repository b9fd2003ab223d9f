//! Devices in step through a real hub.

use serde_json::json;

use crate::room::{Hub, Room};

const LOG: &str = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";

#[test]
fn two_devices_come_to_the_same_facts() {
    let room = Room::with_people();
    let hub = room.hub();
    let first = room.json(&["sync", "--json", "people.db", &hub.url, LOG]);
    assert_eq!(first["passes"][0]["outcome"], json!("RemoteFastForward"));
    assert_eq!(first["log"], json!(LOG));

    // A new device takes the log, and both go on apart.
    let ran = room.run(&["sync", "phone.db", &hub.url, LOG]);
    assert!(ran.err.starts_with("created phone.db"), "{ran}");
    assert!(ran.out.starts_with("local fast-forward: 2 transactions came from the log\n"), "{ran}");
    assert_eq!(room.contents("phone.db"), room.contents("people.db"));
    room.ok(&["transact", "people.db", r#"[{:person/name "Ivan" :person/age 31 :person/email "i@example.org"}]"#]);
    room.ok(&["transact", "phone.db", r#"[{:person/name "Ivan" :person/age 32}]"#]);
    room.ok(&["transact", "phone.db", r#"[{:person/name "Vera" :person/email "i@example.org"}]"#]);
    room.ok(&["transact", "phone.db", r#"[[:db/add (lookup-ref :person/name "Vera") :person/age 3]]"#]);
    room.ok(&["sync", "people.db"]);

    let ran = room.run(&["sync", "phone.db"]);
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @r#"
    merge: 1 transaction came from the log; of this store's own, 1 re-applied on top, 2 displaced
      displaced (unique): transaction 268435461: :person/email "i@example.org" is unique and belongs to entity 65540, so entity 65542 cannot take it
      displaced (depends): transaction 268435462: it mentions an entity that the displaced change UUID allocated
      both changed 65540 :person/age: was 30, theirs 31, now 32
    remote fast-forward: 3 transactions went to the log
    log UUID at http://127.0.0.1:PORT, 2 round trips, N bytes
    journal: 2 entries wait for somebody to decide: `tolstoy conflicts phone.db`
    exit 0
    "#);
    assert!(room.ok(&["sync", "people.db"]).starts_with("local fast-forward: 3 transactions"));
    assert_eq!(room.contents("phone.db"), room.contents("people.db"));
    insta::assert_snapshot!(room.tidy(&room.ok(&["log", "people.db", "-n", "3"])), @r#"
    transaction 268435460 at INSTANT
      origin UUID of device UUID
      - 65540 :person/age 31
      + 65540 :person/age 32
      both changed 65540 :person/age: was 30, theirs 31, now 32

    transaction 268435461 at INSTANT
      origin UUID of device UUID
      displaced (unique): :person/email "i@example.org" is unique and belongs to entity 65540, so entity 65542 cannot take it
      + -1 :person/name  "Vera"
      + -1 :person/email "i@example.org"

    transaction 268435462 at INSTANT
      origin UUID of device UUID
      displaced (depends): it mentions an entity that the displaced change UUID allocated
      + -1 :person/age 3
    "#);
    assert_eq!(room.json(&["log", "--json", "phone.db", "--timeline", "1"]).as_array().unwrap().len(), 3);
    for db in ["people.db", "phone.db"] {
        assert!(room.ok(&["sync", db]).starts_with("no changes: "));
    }
}

#[test]
fn operations_are_run_again_in_a_merge_and_shown() {
    let room = Room::with_people();
    let hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    room.ok(&["sync", "phone.db", &hub.url, LOG]);
    let older = r#"[[:db/inc (lookup-ref :person/name "Ivan") :person/age 1]]"#;
    room.ok(&["transact", "people.db", older]);
    room.ok(&["transact", "phone.db", older]);
    room.ok(&["transact", "phone.db", r#"[[:db/cas (lookup-ref :person/name "Ivan") :person/age 31 40]]"#]);
    room.ok(&["sync", "people.db"]);
    room.ok(&["sync", "phone.db"]);
    room.ok(&["sync", "people.db"]);
    assert_eq!(room.contents("phone.db"), room.contents("people.db"));
    insta::assert_snapshot!(room.tidy(&room.ok(&["log", "people.db", "-n", "2"])), @r"
    transaction 268435460 at INSTANT
      origin UUID of device UUID
      - 65540 :person/age 31
      + 65540 :person/age 32
      by [:db/inc 65540 :person/age 1]

    transaction 268435461 at INSTANT
      origin UUID of device UUID
      displaced (operation): :person/age of 65540 is 32, not 31 as :db/cas expects
      by [:db/cas 65540 :person/age 31 40]
    ");
    let log = room.json(&["log", "people.db", "--json", "-n", "2"]);
    assert_eq!(log[0]["operations"], json!(["[:db/inc 65540 :person/age 1]"]));
    assert_eq!(log[1]["operations"], json!([]));
    assert_eq!(log[1]["displaced"]["operations"], json!(["[:db/cas 65540 :person/age 31 40]"]));
}

#[test]
fn a_merge_is_reported_whole_as_json() {
    let room = Room::with_people();
    let hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    room.ok(&["sync", "phone.db", &hub.url, LOG]);
    room.ok(&["transact", "people.db", r#"[{:person/name "Ivan" :person/age 31}]"#]);
    room.ok(&["sync", "people.db"]);
    room.ok(&["transact", "phone.db", r#"[{:person/name "Ivan" :person/age 32}]"#]);
    let report = room.json(&["sync", "--json", "phone.db"]);
    let merge = &report["passes"][0];
    assert_eq!((&merge["outcome"], &merge["follow_up"]), (&json!("Merge"), &json!(true)));
    assert_eq!(
        merge["rebased"]["overwritten"],
        json!([{"entity": 65540, "attribute": ":person/age", "base": 30, "incoming": 31, "local": 32, "result": 32}])
    );
    assert_eq!(report["passes"][1]["outcome"], json!("RemoteFastForward"));
    assert_eq!(report["round_trips"], json!(2));
}

#[test]
fn a_merge_policy_says_what_stands() {
    let room = Room::with_people();
    let hub = room.hub();
    room.ok(&["transact", "people.db", "[[:db/add :person/age :db/merge :db.merge/first]]"]);
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    room.ok(&["sync", "phone.db", &hub.url, LOG]);
    room.ok(&["transact", "people.db", r#"[{:person/name "Ivan" :person/age 31}]"#]);
    room.ok(&["sync", "people.db"]);
    room.ok(&["transact", "phone.db", r#"[{:person/name "Ivan" :person/age 32}]"#]);
    insta::assert_snapshot!(room.tidy(&room.ok(&["sync", "phone.db"])), @r"
    merge: 1 transaction came from the log; of this store's own, 1 with nothing to change there
      both changed 65540 :person/age: was 30, theirs 31, ours 32, now 31
    remote fast-forward: 1 transaction went to the log
    log UUID at http://127.0.0.1:PORT, 2 round trips, N bytes
    ");
    insta::assert_snapshot!(room.tidy(&room.ok(&["log", "phone.db", "-n", "1"])), @r"
    transaction 268435461 at INSTANT
      origin UUID of device UUID
      both changed 65540 :person/age: was 30, theirs 31, ours 32, now 31
    ");
    let log = room.json(&["log", "--json", "phone.db", "-n", "1"]);
    assert_eq!(
        log[0]["overwritten"],
        json!([{"entity": 65540, "attribute": ":person/age", "base": 30, "incoming": 31, "local": 32, "result": 31}])
    );
}

#[test]
fn theirs_is_the_way_out_of_two_definitions() {
    let room = Room::with_people();
    let hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    room.ok(&["sync", "phone.db", &hub.url, LOG]);
    let define = |db: &str, value_type: &str| {
        let text = format!(
            "[{{:db/ident :person/tag :db/valueType :db.type/{value_type} :db/cardinality :db.cardinality/one}}]"
        );
        room.ok(&["transact", db, &text]);
    };
    define("people.db", "string");
    define("phone.db", "long");
    room.ok(&["transact", "phone.db", r#"[{:person/name "Ivan" :person/tag 7}]"#]);
    room.ok(&["sync", "people.db"]);
    insta::assert_snapshot!(room.tidy(&room.run(&["sync", "phone.db"]).to_string()), @r"
    error: phone.db: both sides defined the attribute :person/tag, and differently: here it is :db.type/long one, in the log it is :db.type/string one; nothing was changed
    hint: `tolstoy sync phone.db --theirs :ATTR` takes the log's definition and puts this store's own aside; or give this store's another name, then sync again
    exit 6
    ");
    insta::assert_snapshot!(room.tidy(&room.run(&["sync", "phone.db", "--theirs", "tag"]).to_string()), @r#"
    error: invalid value 'tag' for '--theirs <:ATTR>': "tag" is no attribute's name, such as :person/name
    
    For more information, try '--help'.
    exit 2
    "#);
    insta::assert_snapshot!(room.tidy(&room.run(&["sync", "phone.db", "--theirs", ":person/tag"]).to_string()), @r"
    merge: 1 transaction came from the log; of this store's own, 2 displaced
      displaced (schema): transaction 268435460: it defines :person/tag as :db.type/long one, which gave way to the log's definition, :db.type/string one
      displaced (depends): transaction 268435461: it mentions an entity that the displaced change UUID allocated
    remote fast-forward: 2 transactions went to the log
    log UUID at http://127.0.0.1:PORT, 2 round trips, N bytes
    journal: 2 entries wait for somebody to decide: `tolstoy conflicts phone.db`
    exit 0
    ");
    room.ok(&["sync", "people.db"]);
    assert_eq!(room.contents("phone.db"), room.contents("people.db"));
}

#[test]
fn a_new_log_is_named_for_the_other_devices() {
    let room = Room::with_people();
    let hub = room.hub();
    let ran = room.run(&["sync", "people.db", &hub.url, "new"]);
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @r#"
    remote fast-forward: 2 transactions went to the log
    log UUID at http://127.0.0.1:PORT, 1 round trip, N bytes
    new log; on another device: tolstoy sync DB http://127.0.0.1:PORT UUID
    exit 0
    "#);
    let report = room.json(&["sync", "--json", "people.db"]);
    let log = report["log"].as_str().unwrap();
    assert!(ran.err.contains(&format!("tolstoy sync DB {} {log}", hub.url)), "{ran}");
    room.ok(&["sync", "phone.db", &format!("{}/0.1/", hub.url), log]);
    assert_eq!(room.contents("phone.db"), room.contents("people.db"));
}

#[test]
fn a_new_device_begins_with_a_snapshot() {
    let room = Room::with_people();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", "hub", "--snapshot-high-transactions", "2"];
    let hub = Hub::start(&room, &serve);
    let made = room.ok(&["sync", "people.db", &hub.url, LOG]);
    assert!(made.contains("made a snapshot of 2 transactions for new devices, "), "{made}");
    room.ok(&["transact", "people.db", r#"[{:person/name "Ivan" :person/age 31}]"#]);
    let report = room.json(&["sync", "--json", "people.db"]);
    assert_eq!(report["snapshot_offered"], json!(null));
    let came = room.ok(&["sync", "phone.db", &hub.url, LOG]);
    assert!(came.starts_with("local fast-forward: from a snapshot of 2 transactions, and 1 more\n"), "{came}");
    let report = room.json(&["sync", "--json", "laptop.db", &hub.url, LOG]);
    assert_eq!((&report["passes"][0]["received"], &report["passes"][0]["from_snapshot"]), (&json!(3), &json!(2)));
    assert_eq!((&report["snapshot_unusable"], &report["round_trips"]), (&json!(null), &json!(1)));
    assert_eq!(room.contents("phone.db"), room.contents("people.db"));
    assert_eq!(room.contents("laptop.db"), room.contents("people.db"));
}

#[test]
fn a_hub_may_move() {
    let room = Room::with_people();
    let first = room.hub().url.clone();
    let hub = room.hub();
    assert_eq!(room.run(&["sync", "people.db", &first, LOG]).code, 5);
    assert!(room.ok(&["sync", "people.db", &hub.url]).starts_with("remote fast-forward"));
    assert!(room.ok(&["sync", "people.db"]).starts_with("no changes"));
    // An address where no hub answers is not remembered in place of one where it did.
    assert_eq!(room.run(&["sync", "people.db", &first]).code, 5);
    assert!(room.ok(&["sync", "people.db"]).starts_with("no changes"));
}
