//! `backup`, `restore`, `fsck` and `gc`.
#![cfg(unix)]

use std::fs;

use crate::room::Room;

const LOG: &str = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";

#[test]
fn a_hub_is_backed_up_while_it_serves_and_restored() {
    let room = Room::with_people();
    let mut hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    let out = room.ok(&["backup", "hub", "copy.db"]);
    assert_eq!(room.tidy(&out), "copy.db: 1 log of hub, N bytes\n");
    assert!(room.ok(&["fsck", "hub"]).ends_with("all is well\n"), "beside a running hub");
    // What comes after the backup is not in it, and comes again from the store that has it.
    room.ok(&["transact", "people.db", "[{:person/name \"Vera\"}]"]);
    room.ok(&["sync", "people.db"]);
    hub.signal("TERM");
    assert_eq!(hub.end().0, Some(0));
    let ran = room.run(&["restore", "copy.db", "again"]);
    assert_eq!(ran.code, 0, "{ran}");
    insta::assert_snapshot!(room.tidy(&ran.to_string()), @"
    again: 1 log as of the backup, N bytes
    stores that have more of a log see the same generation with a HEAD behind theirs, and supply the rest when they sync
    exit 0
    ");
    let hub = crate::room::Hub::start(&room, &["serve", "--listen", "127.0.0.1:0", "--data", "again"]);
    room.ok(&["sync", "phone.db", &hub.url, LOG]);
    let names = |db: &str| room.ok(&["query", db, "[:find [?n ...] :where [_ :person/name ?n] :order ?n]"]);
    assert!(!names("phone.db").contains("Vera"));
    room.ok(&["sync", "people.db", &hub.url]);
    room.ok(&["sync", "phone.db"]);
    assert_eq!(names("phone.db"), names("people.db"));
    assert!(names("phone.db").contains("Vera"));
}

#[test]
fn what_cannot_be_copied_is_told() {
    let room = Room::with_people();
    let hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    room.ok(&["backup", "hub", "copy.db"]);
    std::fs::create_dir(room.path("full")).unwrap();
    room.write("full/file", "");
    let mut told = String::new();
    for args in [
        &["backup", "hub", "copy.db"][..],
        &["backup", "nowhere", "new.db"],
        &["backup", "hub", "nowhere/new.db"],
        &["restore", "copy.db", "hub"],
        &["restore", "copy.db", "full"],
        &["restore", "people.db", "new"],
        &["restore", "hub/hub.db", "new"],
        &["restore", "nowhere.db", "new"],
        &["fsck", "nowhere"],
        &["fsck", "people.db"],
        &["gc", "hub"],
        &["gc", "nowhere"],
        &["gc", "hub", "--after", "soon"],
    ] {
        let ran = room.run(args);
        assert!(ran.code != 0 && ran.out.is_empty(), "{args:?}: {ran}");
        told += &format!("> {}\n{}\n", args.join(" "), room.tidy(&ran.to_string()));
    }
    assert!(!room.path("new.db").exists());
    insta::assert_snapshot!(told, @"
    > backup hub copy.db
    error: copy.db exists already, and is left as it is: choose another name
    hint: name a file that is not there yet
    exit 1
    > backup nowhere new.db
    error: nowhere holds no hub's data
    hint: name the directory that `tolstoy serve --data DIR` was given
    exit 1
    > backup hub nowhere/new.db
    error: nowhere: there is no such file
    hint: check that it exists, has room, and that you may write there
    exit 1
    > restore copy.db hub
    error: another hub is running on hub: stop it first, or choose another directory
    hint: a backup is restored into a new directory
    exit 1
    > restore copy.db full
    error: full is not empty: a hub is restored into a new directory
    hint: name a directory that is not there yet
    exit 1
    > restore people.db new
    error: people.db is not a hub's database
    hint: a backup is a file that `tolstoy backup` made
    exit 1
    > restore hub/hub.db new
    error: hub/hub.db has a write-ahead log beside it, so that it is not whole: make backups with `tolstoy backup`
    hint: `tolstoy backup DATA FILE` makes a whole copy, also while a hub serves
    exit 3
    > restore nowhere.db new
    error: nowhere.db: there is no such file
    hint: check that it exists, has room, and that you may write there
    exit 1
    > fsck nowhere
    error: nowhere holds no hub's data
    hint: name the directory that `tolstoy serve --data DIR` was given
    exit 1
    > fsck people.db
    error: people.db is not a hub's database
    hint: name another directory: `tolstoy serve --data DIR`
    exit 1
    > gc hub
    error: another hub is running on hub: stop it first, or choose another directory
    hint: a running hub collects its garbage by itself; `--dry-run` shows what there is
    exit 1
    > gc nowhere
    error: nowhere holds no hub's data
    hint: name the directory that `tolstoy serve --data DIR` was given
    exit 1
    > gc hub --after soon
    error: invalid value 'soon' for '--after <PERIOD>': a duration is a whole number and a unit, such as 90d, 12h, 5m, 30s or 250ms

    For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn damage_is_told_and_the_exit_code_says_so() {
    let room = Room::with_people();
    let mut hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    hub.signal("TERM");
    hub.end();
    let whole = room.json(&["fsck", "--json", "hub"]);
    assert_eq!((whole["logs"].as_u64(), whole["findings"].as_array().map(Vec::len)), (Some(1), Some(0)));
    // A bit of a chunk.
    let file = room.path("hub/hub.db");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(4).position(|window| window == b"Ivan").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let ran = room.run(&["fsck", "hub"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains(&format!("log {LOG}, transaction ")), "{ran}");
    assert!(ran.out.contains("its bytes have another SHA-256\n"), "{ran}");
    assert!(ran.err.starts_with("error: hub: 1 thing is wrong\nhint: "), "{ran}");
    let ran = room.run(&["fsck", "--json", "hub"]);
    assert_eq!(ran.code, 1);
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["findings"][0]["log"], LOG);
    assert_eq!(found["findings"][0]["what"], "its bytes have another SHA-256");
}

#[test]
fn garbage_is_shown_and_removed() {
    let room = Room::with_people();
    let mut hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    let out = room.ok(&["gc", "hub", "--dry-run", "--after", "0s"]);
    assert!(out.starts_with("no garbage\nof the file's "), "{out}");
    hub.signal("TERM");
    hub.end();
    let done = room.json(&["gc", "--json", "hub", "--after", "0s"]);
    assert_eq!((done["transactions"].as_u64(), done["chunks"].as_u64()), (Some(0), Some(0)));
    assert!(room.ok(&["fsck", "hub"]).ends_with("all is well\n"));
}
