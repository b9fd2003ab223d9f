//! A hub under a service manager: what it tells systemd, what SIGHUP does, and the unit.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::Duration;

use crate::room::Room;

const UNIT: &str = include_str!("../../../../packaging/tolstoy.service");

/// What the hub tells its manager next.
fn next(socket: &UnixDatagram) -> Vec<String> {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).expect("the hub says nothing");
    String::from_utf8(bytes[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A status without a token, and with this one.
fn statuses(url: &str, token: &str) -> (u16, u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ask = || reqwest::Client::new().get(format!("{url}/1/status"));
        let without = ask().send().await.unwrap().status().as_u16();
        (without, ask().bearer_auth(token).send().await.unwrap().status().as_u16())
    })
}

#[test]
fn the_manager_is_told_and_a_hangup_reads_the_tokens_again() {
    let room = Room::new();
    let socket = UnixDatagram::bind(room.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--data", "hub", "--log", "info", "--token-poll", "5000w"];
    let mut child = room.command(&args).env("NOTIFY_SOCKET", room.path("notify")).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    assert_eq!(next(&socket), ["READY=1"]);

    // The hub does not look by itself for as long as a test lasts.
    let token = room.ok(&["token", "create", "--data", "hub", "--rights", "admin"]);
    assert_eq!(statuses(&url, token.trim()), (200, 200));
    signal(&child, "HUP");
    let told = next(&socket);
    assert_eq!(told[0], "RELOADING=1");
    assert!(told[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().is_ok());
    assert_eq!(next(&socket), ["READY=1"]);
    assert_eq!(statuses(&url, token.trim()), (401, 200));

    signal(&child, "TERM");
    assert_eq!(next(&socket), ["STOPPING=1"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("tokens and certificate were read again"), "{said}");
    assert!(!said.contains(token.trim()), "a token is in the log");
}

#[test]
fn a_hub_tells_that_it_lives_where_the_manager_asks() {
    let room = Room::new();
    let socket = UnixDatagram::bind(room.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = room.command(&["serve", "--listen", "127.0.0.1:0", "--data", "hub"]);
    let mut child = command.env("NOTIFY_SOCKET", room.path("notify")).env("WATCHDOG_USEC", "20000000").spawn().unwrap();
    let mut told: Vec<String> = (0..2).flat_map(|_| next(&socket)).collect();
    told.sort();
    assert_eq!(told, ["READY=1", "WATCHDOG=1"]);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_read_again_stays_and_the_hub_goes_on() {
    let room = Room::new();
    room.ok(&["token", "create", "--data", "hub"]);
    let mut hub = crate::room::Hub::start(&room, &["serve", "--listen", "127.0.0.1:0", "--data", "hub"]);
    let file = std::fs::read_dir(room.path("hub")).unwrap().map(|entry| entry.unwrap().path());
    let file = file.filter(|path| path.to_string_lossy().contains("token")).find(|path| path.is_file()).unwrap();
    std::fs::write(file, "damaged").unwrap();
    hub.signal("HUP");
    // The hub looks by itself too, and goes on as well.
    assert_eq!(statuses(&hub.url, "tol_wrong"), (401, 401));
    hub.signal("TERM");
    let (code, said) = hub.end();
    assert_eq!(code, Some(0));
    assert!(said.contains("stay as they were"), "{said}");
}

#[test]
fn the_unit_starts_the_hub_as_it_is_called() {
    let value = |key: &str| UNIT.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    assert_eq!((value("Type="), value("ExecReload=")), ("notify", "/bin/kill -HUP $MAINPID"));
    let start: Vec<&str> = value("ExecStart=").split(' ').collect();
    assert_eq!(start[1..3], ["serve", "--config"]);
    // The same call with the sample in the place of /etc does what it says.
    let room = Room::new();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/tolstoy.toml");
    room.ok(&["serve", "--config", sample, "--print-config"]);
    for hardening in ["DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "StateDirectory=tolstoy"] {
        assert!(UNIT.lines().any(|line| line == hardening), "{hardening}");
    }
}
