//! `tolstoy serve` as a process.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::room::{Hub, Room};

const LOG: &str = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";

#[test]
fn signals_end_it_with_what_it_holds() {
    for signal in ["TERM", "INT"] {
        let room = Room::with_people();
        let mut hub = room.hub();
        room.ok(&["sync", "people.db", &hub.url, LOG]);
        hub.signal(signal);
        assert_eq!(hub.end(), (Some(0), String::new()));
        let hub = room.hub();
        assert!(room.ok(&["sync", "phone.db", &hub.url, LOG]).starts_with("local fast-forward: 2 transactions"));
    }
}

#[test]
fn a_killed_hub_has_what_it_acknowledged() {
    let room = Room::with_people();
    let mut hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    hub.signal("KILL");
    assert_eq!(hub.end().0, None);
    let hub = room.hub();
    assert!(room.ok(&["sync", "people.db", &hub.url]).starts_with("no changes"));
}

#[test]
fn a_request_under_way_is_answered_before_the_end_and_a_second_signal_waits_for_nothing() {
    let room = Room::new();
    let mut hub = room.hub();
    let mut link = begin_request(&hub);
    hub.signal("TERM");
    // It listens no more, but the request that has begun is heard to its end.
    while TcpStream::connect(hub.url.strip_prefix("http://").unwrap()).is_ok() {
        std::thread::yield_now();
    }
    link.write_all(b"two").unwrap();
    let mut answer = String::new();
    link.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(hub.end().0, Some(0));

    let mut hub = room.hub();
    let _link = begin_request(&hub);
    hub.signal("TERM");
    while TcpStream::connect(hub.url.strip_prefix("http://").unwrap()).is_ok() {
        std::thread::yield_now();
    }
    hub.signal("TERM");
    assert_eq!(hub.end().0, Some(130));
}

/// A request whose body has half arrived.
fn begin_request(hub: &Hub) -> TcpStream {
    let address = hub.url.strip_prefix("http://").unwrap();
    let mut link = TcpStream::connect(address).unwrap();
    write!(
        link,
        "PUT /0.1/{LOG}/chunks/a HTTP/1.1\r\nHost: {address}\r\nContent-Length: 6\r\nConnection: close\r\n\
         Expect: 100-continue\r\n\r\n"
    )
    .unwrap();
    // The hub asks for the body once it attends to the request.
    let mut asked = [0; 25];
    link.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    link.write_all(b"one").unwrap();
    link
}

#[test]
fn it_tells_what_it_does_where_asked_to() {
    let room = Room::with_people();
    let mut hub = Hub::start(&room, &["serve", "--listen", "127.0.0.1:0", "--data", "hub", "-vv"]);
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    hub.signal("TERM");
    let (code, told) = hub.end();
    assert_eq!(code, Some(0));
    assert!(told.contains("listening") && told.contains("stopped"), "{told}");
    assert!(told.contains(&format!("/1/logs/{LOG}/push")) && told.contains("status=200"), "{told}");
}

#[test]
fn as_json_each_line_is_an_object_and_each_request_a_line() {
    let room = Room::with_people();
    let args = ["serve", "--listen", "127.0.0.1:0", "--data", "hub", "--log", "info", "--log-format", "json"];
    let mut hub = Hub::start(&room, &args);
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    hub.signal("TERM");
    let (code, told) = hub.end();
    assert_eq!(code, Some(0));
    let lines: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().any(|line| line["message"] == "listening"));
    let push = lines.iter().find(|line| line["route"] == "/1/logs/{log}/push").expect(&told);
    assert_eq!((&push["level"], &push["message"]), (&"INFO".into(), &"answered".into()), "{push}");
    assert_eq!((&push["status"], push["span"]["method"].as_str()), (&200.into(), Some("POST")), "{push}");
    assert_eq!(push["span"]["path"], format!("/1/logs/{LOG}/push"), "{push}");
    assert!(push["span"]["id"].as_str().unwrap().contains('-'), "{push}");
    assert!(push["received"].as_u64().unwrap() > 100 && push["sent"].as_u64().unwrap() > 10, "{push}");
    assert!(push["elapsed_ms"].as_f64().unwrap() > 0.0, "{push}");
    assert!(push["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{push}");
}

#[test]
fn its_data_is_where_the_environment_says_or_among_the_users() {
    let room = Room::new();
    let start = |name: &str, value: &str| {
        let mut child =
            room.command(&["serve", "--listen", "127.0.0.1:0"]).env(name, room.path(value)).spawn().unwrap();
        let mut first = [0; 9];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(&first, b"listening");
        child.kill().unwrap();
        child.wait().unwrap();
    };
    start("TOLSTOY_DATA", "there");
    assert!(std::fs::read_dir(room.path("there")).unwrap().count() > 0);
    if cfg!(target_os = "linux") {
        start("XDG_DATA_HOME", "share");
        assert!(std::fs::read_dir(room.path("share/tolstoy/hub")).unwrap().count() > 0);
        start("HOME", "home");
        assert!(std::fs::read_dir(room.path("home/.local/share/tolstoy/hub")).unwrap().count() > 0);
    }
}
