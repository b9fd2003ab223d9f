//! Encrypted logs, through the real program.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;

use crate::room::Room;

const PEOPLE: &str =
    r#"[{:db/ident :name :db/valueType :db.type/string :db/cardinality :db.cardinality/one} {:name "Anna Secret"}]"#;

#[test]
fn two_stores_share_a_log_that_the_hub_cannot_read() {
    let room = Room::new();
    let hub = room.hub();
    let made = room.run(&["key", "create", "our.key"]);
    insta::assert_snapshot!("key-create", room.tidy(&made.to_string()));
    assert_eq!(std::fs::metadata(room.path("our.key")).unwrap().permissions().mode() & 0o777, 0o600);
    room.ok(&["transact", "one.db", PEOPLE]);
    let new = room.run(&["sync", "one.db", &hub.url, "new", "--key-file", "our.key"]);
    assert_eq!(new.code, 0, "{new}");
    let words: Vec<&str> = new.err.split_whitespace().collect();
    let &[.., log, "--key-file", "FILE"] = &words[..] else { panic!("{new}") };
    let log = log.to_owned();

    let without = room.run(&["sync", "two.db", &hub.url, &log]);
    insta::assert_snapshot!("key-missing", room.tidy(&without.to_string()).replace(&hub.url, "URL"));
    room.ok(&["sync", "two.db", &hub.url, &log, "--key-file", "our.key"]);
    let all = "[:find [?n ...] :where [_ :name ?n]]";
    assert_eq!(room.ok(&["query", "--json", "two.db", all]), "[\"Anna Secret\"]\n");

    // The file is remembered; the key is in none of the stores and not in the hub, nor is what it hides.
    room.ok(&["transact", "two.db", r#"[{:name "Vera Secret"}]"#]);
    room.ok(&["sync", "two.db"]);
    room.ok(&["sync", "one.db"]);
    assert_eq!(room.ok(&["query", "--json", "one.db", all]), "[\"Anna Secret\",\"Vera Secret\"]\n");
    let key = std::fs::read_to_string(room.path("our.key")).unwrap();
    let hex = key.split_whitespace().last().unwrap().to_owned();
    for (folder, words) in [(room.path("hub"), vec![&hex[..], "Secret"]), (room.path(""), vec![&hex[..]])] {
        for entry in std::fs::read_dir(folder).unwrap().flatten().filter(|e| e.file_name() != "our.key") {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            for word in &words {
                let found = bytes.windows(word.len()).any(|w| w == word.as_bytes());
                assert!(!found, "{word} is in {:?}", entry.path());
            }
        }
    }

    // A rotation: the other device is told, and goes on when it has the file.
    std::fs::copy(room.path("our.key"), room.path("old.key")).unwrap();
    room.ok(&["key", "rotate", "our.key"]);
    room.ok(&["transact", "one.db", r#"[{:name "Oleg"}]"#]);
    room.ok(&["sync", "one.db"]);
    let old = room.run(&["sync", "two.db", "--key-file", "old.key"]);
    assert_eq!((old.code, old.err.contains("key 2, of id")), (6, true), "{old}");
    room.ok(&["sync", "two.db", "--key-file", "our.key"]);
    let shown = room.ok(&["key", "show", "our.key", "--log", &log, "--json"]);
    assert_eq!((shown.matches("\"random\"").count(), shown.contains(&hex)), (2, false), "{shown}");
}

#[test]
fn a_passphrase_makes_the_same_key_on_the_next_device() {
    let room = Room::new();
    let show = |file: &str| {
        let made = room.run_with(&["key", "create", file, "--passphrase"], "correct horse battery\n");
        assert_eq!(made.code, 0, "{made}");
        room.ok(&["key", "show", file, "--log", "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e"])
    };
    let one = show("one.key");
    assert_eq!(one, show("two.key"));
    assert!(one.contains("passphrase") && !one.contains("horse"), "{one}");
}

#[test]
fn key_files_that_cannot_be() {
    let room = Room::new();
    room.ok(&["key", "create", "our.key"]);
    std::fs::write(room.path("bad.key"), "key 1 0123\n").unwrap();
    std::fs::write(room.path("empty"), "").unwrap();
    let mut said = String::new();
    for args in [
        &["key", "create", "our.key"][..],
        &["key", "create", "no/where.key"],
        &["key", "create", "pass.key", "--passphrase"],
        &["key", "rotate", "missing.key"],
        &["key", "show", "bad.key"],
        &["key", "show", "empty"],
        &["key", "show", "our.key", "--log", "mine"],
    ] {
        said.push_str(&format!("$ tolstoy {}\n{}\n", args.join(" "), room.tidy(&room.run(args).to_string())));
    }
    insta::assert_snapshot!("key-refusals", said);
}
