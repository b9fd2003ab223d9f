//! Stores that are kept in step with their logs.

use std::sync::Arc;

use super::{ALERT, Home, pairs};
use crate::room::{Hub, Room};

/// A person with a store that syncs with a log of the hub, and the settings for it.
fn device(room: &Arc<Room>, name: &'static str, url: &str, log: &str) -> Home {
    let home = Home::new(room, name);
    home.settings(&format!("{ALERT}[[store]]\npath = \"~/people.db\"\nurl = \"{url}\"\nlog = \"{log}\"\n"));
    home
}

const SCHEMA: &str = "[{:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}]";

fn names(home: &Home) -> String {
    home.ok(&["query", "people.db", "[:find ?name :where [_ :person/name ?name] :order ?name]"])
}

fn new_log(home: &Home, url: &str) -> String {
    home.ok(&["transact", "people.db", SCHEMA]);
    let report: serde_json::Value =
        serde_json::from_str(&home.ok(&["sync", "--json", "people.db", url, "new"])).unwrap();
    report["log"].as_str().unwrap().to_owned()
}

#[test]
fn what_one_device_writes_is_soon_on_the_other() {
    let room = Arc::new(Room::new());
    let hub = room.hub();
    let log = new_log(&Home::new(&room, "ann"), &hub.url);
    let [ann, ben] = ["ann", "ben"].map(|name| device(&room, name, &hub.url, &log));
    let daemons = [ann.start(&[]), ben.start(&[])];
    // Its file is made where there is none.
    daemons[1].wait_in_step("the second device begins", || ben.path("people.db").exists());
    for (from, to, name) in [(&ann, &ben, "Ivan"), (&ben, &ann, "Olga"), (&ann, &ben, "Vera")] {
        from.ok(&["transact", "people.db", &format!("[{{:person/name {name:?}}}]")]);
        daemons[0].wait_in_step(name, || names(to).contains(name));
    }
    assert_eq!(names(&ann), names(&ben));
    for daemon in daemons {
        let log = daemon.stop();
        assert!(log.contains("transaction"), "{log}");
    }
}

#[test]
fn a_hub_that_goes_away_is_waited_for_and_nothing_is_lost() {
    let room = Arc::new(Room::new());
    let mut hub = room.hub();
    let url = hub.url.clone();
    let ann = Home::new(&room, "ann");
    let log = new_log(&ann, &url);
    // A pause that a test can wait for: the address of loopback does not change when the hub comes back.
    let text = format!(
        "settle = \"20ms\"\nretry = \"1s\"\n[[store]]\npath = \"~/people.db\"\nurl = \"{url}\"\nlog = \"{log}\"\n"
    );
    ann.settings(&text);
    let daemon = ann.start(&[]);
    daemon.wait_in_step("it begins", || true);
    hub.signal("KILL");
    hub.end();
    ann.ok(&["transact", "people.db", "[{:person/name \"Ivan\"}]"]);
    let status = daemon.wait("the hub is away", |status| pairs(status)[0]["state"] == "waiting");
    assert_eq!((&pairs(&status)[0]["error"], ann.run(&["daemon", "status"]).code), (&"offline".into(), 5));
    daemon.wait("it is tried again and again", |status| pairs(status)[0]["failures"].as_u64().unwrap() >= 3);
    let address = url.strip_prefix("http://").unwrap();
    let _hub = Hub::start(&room, &["serve", "--listen", address, "--data", "hub"]);
    daemon.wait_in_step("the hub is back", || true);
    ann.ok(&["sync", "other.db", &url, &log]);
    assert_eq!(ann.ok(&["query", "other.db", "[:find ?name . :where [_ :person/name ?name]]"]), "\"Ivan\"\n");
    let told = daemon.stop();
    assert_eq!((told.matches("waiting:").count(), told.matches("in step again").count()), (1, 1), "{told}");
}

#[test]
fn a_closed_hub_takes_the_token_of_the_file_and_nobody_sees_it() {
    let room = Arc::new(Room::new());
    let ann = Home::new(&room, "ann");
    let token = room.ok(&["token", "create", "--data", "hub"]).trim().to_owned();
    let hub = room.hub();
    ann.ok(&["transact", "people.db", SCHEMA]);
    std::fs::write(ann.path("token"), "tol_wrong").unwrap();
    let log = "c707b728-8be4-452c-a3bd-d3adde5df51c";
    let text = format!(
        "[[store]]\npath = \"~/people.db\"\nurl = \"{}\"\nlog = \"{log}\"\ntoken-file = \"~/token\"\n",
        hub.url
    );
    ann.settings(&format!("{ALERT}{text}"));
    let daemon = ann.start(&["--log", "debug"]);
    let status = daemon.wait("the token is wrong", |status| pairs(status)[0]["state"] == "stuck");
    assert_eq!((&pairs(&status)[0]["error"], ann.run(&["daemon", "status"]).code), (&"hub-refused".into(), 6));
    // Another file, and somebody says so.
    std::fs::write(ann.path("token"), &token).unwrap();
    ann.ok(&["daemon", "sync"]);
    let status = daemon.wait_in_step("the token is right", || true);
    let log = daemon.stop();
    for told in [status.to_string(), log, std::fs::read_to_string(ann.path(".config/tolstoy/daemon.toml")).unwrap()] {
        assert!(!told.contains(&token) && !told.contains("tol_wrong"), "{told}");
    }
}

#[test]
fn tasks_go_from_one_machine_to_another_through_a_log() {
    let room = Arc::new(Room::new());
    let hub = room.hub();
    let [ann, ben] = ["ann", "ben"].map(|name| Home::new(&room, name));
    let milk = ann.add("Buy milk");
    let db = ".local/share/tolstoy/tasks.db";
    let report: serde_json::Value = serde_json::from_str(&ann.ok(&["sync", "--json", db, &hub.url, "new"])).unwrap();
    let log = report["log"].as_str().unwrap();
    for home in [&ann, &ben] {
        std::fs::create_dir_all(home.path("tasks")).unwrap();
        home.settings(&format!(
            "{ALERT}[[tasks]]\nwith = [\"~/tasks/\"]\n[[store]]\npath = \"~/{db}\"\nurl = \"{}\"\nlog = \"{log}\"\n",
            hub.url
        ));
    }
    let daemons = [ann.start(&[]), ben.start(&[])];
    let file = ben.path("tasks").join(format!("{milk}.json"));
    daemons[1].wait_in_step("from a store through the log into a folder", || file.exists());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("Buy milk", "Buy oat milk")).unwrap();
    daemons[0].wait_in_step("and back", || ann.ok(&["task", "list"]).contains("Buy oat milk"));
    for daemon in &daemons {
        daemon.wait_in_step("both come to rest", || ann.tasks() == ben.tasks());
    }
}

#[test]
fn tasks_are_shared_through_a_hub_that_comes_and_goes() {
    let room = Arc::new(Room::new());
    let token = room.ok(&["token", "create", "--data", "hub"]).trim().to_owned();
    let mut hub = room.hub();
    let url = hub.url.clone();
    let [ann, ben] = ["ann", "ben"].map(|name| Home::new(&room, name));
    for home in [&ann, &ben] {
        std::fs::write(home.path("token"), &token).unwrap();
        home.settings(&format!(
            "settle = \"20ms\"\nretry = \"1s\"\n[[tasks]]\nwith = [\"{url}/1/logs/c707b728-8be4-452c-a3bd-d3adde5df51c\"]\n\
             token-file = \"~/token\"\n"
        ));
    }
    assert!(ann.ok(&["daemon", "--check"]).ends_with(": ready\n"));
    let daemons = [ann.start(&[]), ben.start(&[])];
    daemons[0].wait_in_step("it begins", || true);
    let milk = ann.add("Buy milk");
    daemons[1].wait_in_step("the hub tells at once", || ben.ok(&["task", "list"]).contains("Buy milk"));
    hub.signal("TERM");
    hub.end();
    ann.ok(&["task", "modify", &milk, "+home"]);
    ben.ok(&["task", "modify", &milk, "Buy oat milk"]);
    for daemon in &daemons {
        let status = daemon.wait("the hub is away", |status| pairs(status)[0]["state"] == "waiting");
        assert_eq!(pairs(&status)[0]["error"], "offline");
    }
    let address = url.strip_prefix("http://").unwrap();
    let _hub = Hub::start(&room, &["serve", "--listen", address, "--data", "hub"]);
    for daemon in &daemons {
        daemon.wait_in_step("both edits are everywhere", || {
            let listed = [&ann, &ben].map(|home| home.ok(&["task", "list", "+home"]));
            listed.iter().all(|listed| listed.contains("Buy oat milk")) && ann.tasks() == ben.tasks()
        });
    }
    let log = daemons.map(super::Daemon::stop).concat();
    assert!(!log.contains(&token), "{log}");
}
