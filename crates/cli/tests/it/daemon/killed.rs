//! A daemon that is killed at any point, and started again.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::{Dice, Home};
use crate::room::Room;

/// Whether the long suites run, as `docs/testing.md` says.
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
fn rounds() -> u64 {
    if std::env::var_os("TOLSTOY_LONG").is_some() { 100 } else { 12 }
}

#[test]
fn a_daemon_that_is_killed_anywhere_loses_nothing_and_goes_on() {
    let room = Arc::new(Room::new());
    let hub = room.hub();
    fs::create_dir(room.path("shared")).unwrap();
    let homes = [Home::new(&room, "ann"), Home::new(&room, "ben")];
    let db = ".local/share/tolstoy/tasks.db";
    homes[0].add("the first");
    let report: serde_json::Value =
        serde_json::from_str(&homes[0].ok(&["sync", "--json", db, &hub.url, "new"])).unwrap();
    let log = report["log"].as_str().unwrap();
    for home in &homes {
        home.settings(&format!(
            "settle = \"0s\"\n[[tasks]]\nwith = [\"~/../shared/\"]\n[[store]]\npath = \"~/{db}\"\nurl = \"{}\"\nlog = \"{log}\"\n",
            hub.url
        ));
    }
    let mut dice = Dice(3);
    let mut added: BTreeSet<String> =
        homes[0].tasks().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect();
    for round in 0..rounds() {
        let mut daemons = homes.each_ref().map(|home| home.spawn(&[], &[]));
        for n in 0..dice.below(4) {
            let home = &homes[usize::try_from(dice.below(2)).unwrap()];
            added.insert(home.add(&format!("task {round}.{n}")));
        }
        // Somewhere in its start, its looks or its syncs; each round elsewhere.
        std::thread::sleep(Duration::from_millis(dice.below(400)));
        for daemon in &mut daemons {
            daemon.signal("KILL");
            assert_eq!(daemon.end().0, None);
        }
    }
    let daemons = homes.each_ref().map(|home| home.start(&[]));
    for (daemon, home) in daemons.iter().zip(&homes) {
        daemon.wait_in_step("all is everywhere", || {
            let there: BTreeSet<String> =
                home.tasks().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect();
            there == added
        });
    }
    let in_folder = fs::read_dir(room.path("shared")).unwrap().map(|entry| entry.unwrap().file_name());
    let in_folder: BTreeSet<String> =
        in_folder.filter_map(|name| name.to_str()?.strip_suffix(".json").map(str::to_owned)).collect();
    assert_eq!(in_folder, added);
    assert_eq!(homes[0].tasks(), homes[1].tasks());
}
