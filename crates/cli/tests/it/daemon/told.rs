//! What the daemon's commands say.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use super::{ALERT, Home, Patience, pairs};
use crate::room::Room;

fn home() -> Home {
    let room = Arc::new(Room::new());
    fs::create_dir(room.path("shared")).unwrap();
    Home::new(&room, "ann")
}

impl Home {
    /// What a command says, with what differs from run to run replaced.
    fn told(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        let said = self.room.tidy(&format!("$ tolstoy {}\n{ran}\n", args.join(" ")));
        let (before, after) = said.split_once("process ").unwrap_or((&said, ""));
        match after.find([',', '\n']) {
            Some(end) => format!("{before}process PID{}", &after[end..]),
            None => said,
        }
    }
}

impl Home {
    /// What the status says at a moment when no pair is just being tried.
    fn status_at_rest(&self) -> String {
        let patience = Patience::new();
        loop {
            let told = self.told(&["daemon", "status"]);
            if !told.contains("syncing since") && !told.contains("about to be synced") {
                return told;
            }
            assert!(patience.lasts(), "{told}");
        }
    }
}

#[test]
fn the_status_at_each_stage() {
    let home = home();
    let mut told = home.told(&["daemon", "status"]);
    home.settings(&format!(
        "{ALERT}[[tasks]]\nwith = [\"~/../shared/\", \"~/stick/\"]\n[[store]]\npath = \"~/people.db\"\n"
    ));
    fs::write(home.path("people.db"), "no store").unwrap();
    let _ = writeln!(told, "{}", home.told(&["daemon", "--check"]));
    let daemon = home.start(&[]);
    let settled = |status: &serde_json::Value| {
        let states: Vec<&str> = pairs(status).iter().map(|pair| pair["state"].as_str().unwrap()).collect();
        states == ["in-step", "waiting", "stuck"]
    };
    daemon.wait("one in step, one that waits, one that is stuck", settled);
    let _ = writeln!(told, "{}", home.status_at_rest());
    let status: serde_json::Value = serde_json::from_str(&home.run(&["daemon", "status", "--json"]).out).unwrap();
    let keys: Vec<&String> = pairs(&status)[0].as_object().unwrap().keys().collect();
    let _ = writeln!(told, "{keys:?}\n");

    // A person puts things right.
    fs::remove_file(home.path("people.db")).unwrap();
    fs::create_dir(home.path("stick")).unwrap();
    home.settings(&format!("{ALERT}[[tasks]]\nwith = [\"~/../shared/\", \"~/stick/\"]\n"));
    daemon.signal("HUP");
    daemon.wait("two pairs", |status| pairs(status).len() == 2);
    daemon.wait_in_step("all are in step", || true);
    let _ = writeln!(told, "{}", home.status_at_rest());
    fs::write(home.path("stick/pb67wndxge8293xd.json"), "{").unwrap();
    daemon.wait("a remark", |status| {
        pairs(status)[1]["state"] == "in-step" && pairs(status)[1]["remarks"].as_array().unwrap().len() == 1
    });
    let _ = writeln!(told, "{}", home.status_at_rest());
    daemon.stop();
    let _ = writeln!(told, "{}", home.told(&["daemon", "sync"]));
    insta::assert_snapshot!("status", told);
}

#[test]
fn settings_that_are_wrong_are_refused() {
    let home = home();
    let mut told = home.told(&["daemon"]);
    for text in ["", "retry = \"soon\"\n", "[[tasks]]\nplace = \"~/tasks.db\"\nwith = \"~/shared/\"\n", "[[store]\n"] {
        home.settings(text);
        for args in [&["daemon"][..], &["daemon", "--check"]] {
            let _ = writeln!(told, "{}", home.told(args));
        }
    }
    home.settings("[[tasks]]\nwith = [\"~/../shared/\"]\n");
    for args in [
        &["daemon", "--log", "tolstoy=loud"][..],
        &["daemon", "--concurrent-syncs", "0"],
        &["daemon", "--config", "none.toml"],
        &["daemon", "--check", "status"],
        &["daemon", "start"],
        &["daemon", "--check"],
    ] {
        let _ = writeln!(told, "{}", home.told(args));
    }
    insta::assert_snapshot!("refused", told);
}

#[test]
fn the_settings_in_force_are_a_settings_file() {
    let home = home();
    let printed = |args: &[&str]| home.ok(&[&["daemon", "--print-config"], args].concat());
    insta::assert_snapshot!("print-config", home.room.tidy(&printed(&[])));
    home.settings("settle = \"1s\" # slow\n\n# mine\n[[tasks]]\nwith = [\"~/../shared/\"] # all\n");
    let first = printed(&["--retry", "7m"]);
    assert!(
        first.contains("settle = \"1s\"\n") && first.contains("retry = \"7m\"\n") && first.ends_with("] # all\n"),
        "{first}"
    );
    home.settings(&first);
    let values = |text: &str| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(values(&printed(&[])), values(&first));
}
