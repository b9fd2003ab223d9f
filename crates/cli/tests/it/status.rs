//! Where a store stands, and logs that were wiped, through the real program.

use crate::room::{Hub, Room};

const PEOPLE: &str =
    "[{:db/ident :name :db/valueType :db.type/string :db/cardinality :db.cardinality/one} {:name \"Anna\"}]";

/// What `status` says, with this run's ids and addresses left out.
fn status(room: &Room, hub: &Hub, args: &[&str]) -> String {
    let ran = room.run(&[&["status"], args].concat());
    let log = room.json(&["status", "one.db", "--offline", "--json"])["log"].as_str().map(str::to_owned);
    let mut text = room.tidy(&ran.to_string()).replace(&hub.url, "URL");
    if let Some(log) = log {
        text = text.replace(&log, "LOG");
    }
    let hide = |line: &str| match line {
        line if line.starts_with("chain ") => "chain HEX".to_owned(),
        line => match line.split_once(", device ") {
            Some((before, _)) => format!("{before}, device UUID"),
            None => line.to_owned(),
        },
    };
    format!("$ tolstoy status {}\n{}\n\n", args.join(" "), text.lines().map(hide).collect::<Vec<_>>().join("\n"))
}

#[test]
fn status_says_in_words_where_a_store_stands() {
    let room = Room::new();
    let hub = room.hub();
    let mut said = String::new();
    let mut look = |args: &[&str]| said.push_str(&status(&room, &hub, args));
    room.ok(&["transact", "one.db", PEOPLE]);
    look(&["one.db"]);
    let new = room.run(&["sync", "one.db", &hub.url, "new"]);
    let log = new.err.split_whitespace().last().unwrap().to_owned();
    look(&["one.db"]);
    room.ok(&["sync", "two.db", &hub.url, &log]);
    room.ok(&["transact", "one.db", "[{:name \"Vera\"}]"]);
    room.ok(&["transact", "two.db", "[{:name \"Oleg\"}]"]);
    look(&["one.db"]);
    room.ok(&["sync", "two.db"]);
    look(&["one.db"]);
    look(&["one.db", "--offline"]);

    // Somebody deletes the log.
    let deleted = reqwest::Client::new().delete(format!("{}/1/logs/{log}", hub.url)).send();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(deleted).unwrap().status().is_success());
    look(&["one.db"]);
    let told = |ran: crate::room::Ran| room.tidy(&ran.to_string()).replace(&hub.url, "URL").replace(&log, "LOG");
    let mut synced = String::new();
    for args in [
        &["sync", "one.db"][..],
        &["sync", "one.db", "--adopt"],
        &["sync", "one.db", "--reseed"],
        &["sync", "two.db"],
        &["sync", "two.db", "--reseed"],
        &["sync", "two.db", "--adopt"],
    ] {
        let text = told(room.run(args));
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("log LOG")).collect();
        synced.push_str(&format!("$ tolstoy {}\n{}\n\n", args.join(" "), text.join("\n")));
    }
    room.ok(&["sync", "one.db"]);
    assert_eq!(room.contents("one.db").1, room.contents("two.db").1);
    drop(hub);
    let offline = room.json(&["status", "one.db", "--json"]);
    assert_eq!(offline["status"], "offline", "{offline}");
    insta::assert_snapshot!("status", said);
    insta::assert_snapshot!("status-other-lives", synced);
}
