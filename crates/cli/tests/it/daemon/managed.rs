//! A daemon under a service manager, and its signals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use super::{ALERT, Home, Patience, pairs};
use crate::room::Room;

const UNIT: &str = include_str!("../../../../../packaging/tolstoy-daemon.service");

fn home() -> Home {
    let home = Home::new(&Arc::new(Room::new()), "ann");
    fs::create_dir(home.path("shared")).unwrap();
    home.settings(&format!("{ALERT}[[tasks]]\nwith = [\"~/shared/\"]\n"));
    home
}

fn next(socket: &UnixDatagram) -> Vec<String> {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).expect("the daemon says nothing");
    String::from_utf8(bytes[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_manager_is_told_and_a_hangup_reads_the_settings_again() {
    let home = home();
    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut daemon = home.start_with(&[], &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert_eq!(next(&socket), ["READY=1"]);
    daemon.wait_in_step("it begins", || true);
    let before = daemon.status().unwrap();

    // One more pair; the one that was there goes on.
    fs::create_dir(home.path("more")).unwrap();
    home.settings(&format!("{ALERT}[[tasks]]\nwith = [\"~/shared/\", \"~/more\"]\n"));
    daemon.signal("HUP");
    assert_eq!(next(&socket)[0], "RELOADING=1");
    assert_eq!(next(&socket), ["READY=1"]);
    let after = daemon.wait_in_step("the second pair", || true);
    assert_eq!((pairs(&before).len(), pairs(&after).len()), (1, 2));
    assert_eq!(pairs(&before)[0]["in_step_since"], pairs(&after)[0]["in_step_since"]);

    // What is wrong changes nothing, and is told.
    home.settings("[[tasks]]\nwiht = [\"~/shared/\"]\n");
    daemon.signal("HUP");
    assert_eq!((next(&socket)[0].as_str(), next(&socket)), ("RELOADING=1", vec!["READY=1".to_owned()]));
    let status = daemon.status().unwrap();
    assert!(status["settings_error"].as_str().unwrap().ends_with("daemon.toml:2:1: there is no key wiht here"));
    assert_eq!((pairs(&status).len(), home.run(&["daemon", "status"]).code), (2, 6));

    // Pairs that are named no more are left alone.
    home.settings(&format!("{ALERT}[[tasks]]\nwith = [\"~/more/\"]\n"));
    daemon.signal("HUP");
    assert_eq!((next(&socket)[0].as_str(), next(&socket)), ("RELOADING=1", vec!["READY=1".to_owned()]));
    let milk = home.add("Buy milk");
    let file = format!("{milk}.json");
    let status = daemon.wait_in_step("only the second pair", || home.path("more").join(&file).exists());
    assert_eq!((pairs(&status).len(), &status["settings_error"]), (1, &serde_json::Value::Null));
    assert!(!home.path("shared").join(&file).exists());

    daemon.signal("TERM");
    assert_eq!(next(&socket), ["STOPPING=1"]);
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn it_tells_that_it_lives_where_the_manager_asks() {
    let home = home();
    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "20000000")];
    let _daemon = home.start_with(&[], &variables);
    let mut told: Vec<String> = (0..2).flat_map(|_| next(&socket)).collect();
    told.sort();
    assert_eq!(told, ["READY=1", "WATCHDOG=1"]);
}

#[test]
fn it_ends_in_time_also_where_a_sync_does_not() {
    let home = home();
    let mut daemon = home.start(&["--drain", "300ms"]);
    daemon.wait_in_step("it begins", || true);
    let lock = fs::File::options().create(true).truncate(false).write(true).open(home.path("shared/.lock")).unwrap();
    lock.lock().unwrap();
    let milk = home.add("Buy milk");
    daemon.wait("a sync hangs", |status| pairs(status)[0]["state"] == "syncing");
    let patience = Patience::new();
    daemon.signal("TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(patience.lasts() && log.contains("did not end in time"), "{log}");
    drop(lock);
    let daemon = home.start(&[]);
    daemon.wait_in_step("the next one goes on", || home.path("shared").join(format!("{milk}.json")).exists());
}

#[test]
fn there_is_one_and_only_its_owner_speaks_to_it() {
    let home = home();
    let daemon = home.start(&[]);
    let pid = daemon.child.id();
    let second = home.run(&["daemon"]);
    assert_eq!(
        (second.code, second.err.contains(&format!("a daemon runs already: process {pid}\n"))),
        (1, true),
        "{second}"
    );
    let mode = |name: &str| {
        fs::metadata(home.path(".local/share/tolstoy/daemon").join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("socket")), (0o700, 0o600));
    // Another data directory is another matter.
    let other = home.command(&["daemon", "--log", "off"]).env("XDG_DATA_HOME", home.path("elsewhere")).spawn();
    let mut other = other.unwrap();
    let socket = home.path("elsewhere/tolstoy/daemon/socket");
    let patience = Patience::new();
    while !socket.exists() {
        assert!(patience.lasts());
    }
    other.kill().unwrap();
    other.wait().unwrap();
    // One that does not answer is none that does not run.
    daemon.signal("STOP");
    let silent = home.run(&["daemon", "status"]);
    assert_eq!((silent.code, silent.err.contains("runs and does not answer")), (7, true), "{silent}");
    daemon.signal("CONT");
    // One that was killed is no obstacle, and is not taken for one that runs.
    daemon.signal("KILL");
    let mut daemon = daemon;
    daemon.end();
    assert!(home.path(".local/share/tolstoy/daemon/socket").exists());
    assert_eq!(home.run(&["daemon", "status"]).code, 1);
    home.start(&[]).stop();
    assert!(!home.path(".local/share/tolstoy/daemon/socket").exists());
}

#[test]
fn the_unit_starts_the_daemon_as_it_is_called() {
    let value = |key: &str| UNIT.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    assert_eq!((value("Type="), value("ExecReload=")), ("notify", "/bin/kill -HUP $MAINPID"));
    assert!(value("ExecStart=").ends_with("/tolstoy daemon"));
    assert_eq!(value("WantedBy="), "default.target");
    for hardening in ["NoNewPrivileges=yes", "RestrictSUIDSGID=yes", "SystemCallArchitectures=native", "UMask=0077"] {
        assert!(UNIT.lines().any(|line| line == hardening), "{hardening}");
    }
}
