//! What goes wrong is said with place, cause and hint, has its exit code, and changes nothing.

use crate::room::{Hub, Ran, Room, permissions_do_not_bind};

/// Runs commands that must fail and leave the store of people as it is.
fn refused(room: &Room, commands: &[&[&str]]) -> String {
    let before = room.contents("people.db");
    let mut told = String::new();
    for args in commands {
        let ran = room.run(args);
        assert_ne!(ran.code, 0, "{args:?}: {ran}");
        assert_eq!(ran.out, "", "{args:?}");
        told.push_str(&format!("{}\n\n", room.tidy(&ran.to_string())));
    }
    assert_eq!(room.contents("people.db"), before);
    told
}

#[test]
fn transactions_that_cannot_be() {
    let room = Room::with_people();
    let transact = |edn: &'static str| -> [&str; 3] { ["transact", "people.db", edn] };
    insta::assert_snapshot!(refused(&room, &[
        // A wrong type, an unknown attribute, an upsert that clashes, a unique value that is taken, a lookup ref that
        // finds nothing; and what is no transaction.
        &transact(r#"[{:person/name "Vera" :person/age "old"}]"#),
        &transact(r#"[{:person/name "Vera" :person/agee 3}]"#),
        &transact(r#"[{:db/id "x" :person/name "Ivan"} {:db/id "x" :person/name "Olga"}]"#),
        &transact(r#"[{:person/name "Olga" :person/email "ivan@example.org"}]"#),
        &transact(r#"[[:db/add (lookup-ref :person/name "Vera") :person/age 3]]"#),
        &transact(r#"[:db/add "x" :person/name "Vera"]"#),
        &transact(r#"{:person/name "Vera"}"#),
        &transact(r#"[[:db/ad "x" :person/name "Vera"]]"#),
        &transact("[{:person/name \"Vera\" ]"),
        &transact("[] []"),
        &transact(""),
        &transact("people.edn"),
        &transact("@nowhere.edn"),
    ]), @"");
}

#[test]
fn queries_that_cannot_be() {
    let room = Room::with_people();
    let query = |edn: &'static str| -> [&str; 3] { ["query", "people.db", edn] };
    insta::assert_snapshot!(refused(&room, &[
        &query("[:find ?n :where [_ :person/nam ?n]]"),
        &query("[:find ?n :where [_ :person/name ?n]"),
        &query("[:find ?x :where [_ :person/name ?n]]"),
        &query("[:where [_ :person/name ?n]]"),
        &query("[:find ?n :in ?a :where [?p :person/name ?n] [?p :person/age ?a]]"),
        &["query", "people.db", "[:find ?n :in ?a :where [?p :person/name ?n] [?p :person/age ?a]]", "thirty"],
        &["query", "people.db", "[:find ?n :in ?a :where [?p :person/name ?n] [?p :person/age ?a]]", "[30"],
        &["query", "people.db", "[:find ?n :where [_ :person/name ?n]]", "1"],
    ]), @"");
}

#[test]
fn an_import_says_what_it_did_before_it_stopped() {
    let room = Room::with_people();
    room.write(
        "ages.edn",
        "[{:person/name \"Ivan\" :person/age 31}]\n\n[{:person/name \"Olga\"\n  :person/age \"young\"}]\n",
    );
    room.write("open.edn", "[{:person/name \"Vera\"}]\n[{:person/name \"Anna\"]\n");
    room.write("map.edn", "[{:person/name \"Vera\"}]\n{:person/name \"Anna\"}\n");
    std::fs::write(room.path("latin1.edn"), b"[{:person/name \"Ver\xe1\"}]").unwrap();
    insta::assert_snapshot!(refused(&room, &[
        &["import", "people.db", "open.edn"],
        &["import", "people.db", "people.edn", "map.edn"],
        &["import", "people.db", "latin1.edn"],
        &["import", "people.db", "nowhere.edn"],
    ]), @"");
    let ran = room.run(&["import", "people.db", "ages.edn"]);
    insta::assert_snapshot!(ran, @"");
    let age = "[:find ?age . :where [?p :person/name \"Ivan\"] [?p :person/age ?age]]";
    assert_eq!(room.ok(&["query", "people.db", age]), "31\n");
}

#[test]
fn files_that_are_no_stores() {
    let room = Room::with_people();
    room.write("poem.db", "Once upon a time, in a file that was no store at all, there was a text of some length.\n");
    room.write("empty.db", "");
    std::fs::create_dir(room.path("directory.db")).unwrap();
    // A store's `user_version`, at byte 60 of an SQLite file, is its format.
    let mut bytes = std::fs::read(room.path("people.db")).unwrap();
    bytes[60..64].copy_from_slice(&77_u32.to_be_bytes());
    std::fs::write(room.path("newer.db"), bytes).unwrap();
    let before = room.contents("people.db");
    let query = "[:find ?n :where [_ :db/ident ?n]]";
    insta::assert_snapshot!(refused(&room, &[
        &["query", "nowhere.db", query],
        &["query", "poem.db", query],
        &["query", "empty.db", query],
        &["query", "directory.db", query],
        &["query", "newer.db", query],
        &["transact", "newer.db", "[]"],
        &["transact", "poem.db", "[]"],
        &["transact", "missing/people.db", "[]"],
        &["schema", "nowhere.db"],
        &["log", "nowhere.db"],
        &["sync", "nowhere.db"],
        &["sync", "nowhere.db", "http://127.0.0.1:7410"],
        &["log", "people.db", "--timeline", "7"],
    ]), @"");
    assert_eq!(room.contents("people.db"), before);
    assert!(!room.path("nowhere.db").exists());
    assert_eq!(std::fs::read_to_string(room.path("empty.db")).unwrap(), "");
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;

    let room = Room::new();
    let directory = room.path("locked");
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o555)).unwrap();
    let tell = |ran: Ran, directory: &str| ran.to_string().replace(directory, "LOCKED");
    // The superuser writes everywhere, except where there is no file system that takes files.
    let directory = if permissions_do_not_bind(&directory) { "/proc".to_owned() } else { "locked".to_owned() };
    let ran = room.run(&["transact", &format!("{directory}/people.db"), "[]"]);
    insta::assert_snapshot!(tell(ran, &directory), @"");
    let ran = room.run(&["serve", "--listen", "127.0.0.1:0", "--data", &format!("{directory}/hub")]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran}");
    assert!(ran.err.contains(&format!("error: cannot open {directory}/hub")), "{ran}");
    assert!(ran.err.contains("hint: check that the directory may be written"), "{ran}");
}

#[test]
fn hubs_that_cannot_be() {
    let room = Room::new();
    let hub = room.hub();
    let address = hub.url.strip_prefix("http://").unwrap();
    room.write("file", "");
    std::fs::create_dir(room.path("other")).unwrap();
    let serve = |listen: &str, data: &str, more: &[&str]| {
        room.tidy(&room.run(&[&["serve", "--listen", listen, "--data", data], more].concat()).to_string())
    };
    let told = [
        serve(address, "other", &[]),
        serve("127.0.0.1:0", "hub", &[]),
        serve("0.0.0.0:0", "other", &[]),
        serve("localhost", "other", &[]),
        serve("127.0.0.1:0", "other", &["--log", "tolstoy=loud"]),
    ];
    insta::assert_snapshot!(told.join("\n\n"), @"");
}

#[test]
fn syncs_that_cannot_be() {
    let room = Room::with_people();
    let hub = room.hub();
    let log = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";
    insta::assert_snapshot!(refused(&room, &[
        &["sync", "people.db"],
        &["sync", "people.db", &hub.url],
        &["sync", "people.db", "localhost:7410", log],
        &["sync", "people.db", &hub.url, "mine"],
        // Nothing listens on the port of a discarded socket.
        &["sync", "people.db", &format!("http://{}", free_address()), log],
        &["sync", "--json", "people.db", &format!("http://{}", free_address()), log],
    ]), @"");
    room.ok(&["sync", "people.db", &hub.url, log]);
    insta::assert_snapshot!(refused(&room, &[&["sync", "people.db", &hub.url, "new"]]), @"");
}

/// An address on which nothing listens.
fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_log_that_was_wiped_stops_the_sync() {
    let room = Room::with_people();
    let hub: Hub = room.hub();
    let log = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";
    room.ok(&["sync", "people.db", &hub.url, log]);
    delete(&hub, log);
    insta::assert_snapshot!(refused(&room, &[&["sync", "people.db"]]), @"");
}

fn delete(hub: &Hub, log: &str) {
    use std::io::{Read, Write};

    let address = hub.url.strip_prefix("http://").unwrap();
    let mut link = std::net::TcpStream::connect(address).unwrap();
    write!(link, "DELETE /1/logs/{log} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    link.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

#[test]
fn something_else_answers() {
    let room = Room::with_people();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let web = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut link, _) = listener.accept().unwrap();
        let mut request = [0; 65536];
        let _ = link.read(&mut request).unwrap();
        link.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").unwrap();
        // Until the client has gone: closing with its request unread would break the connection under the answer.
        let _ = link.read_to_end(&mut Vec::new());
    });
    insta::assert_snapshot!(refused(&room, &[&["sync", "people.db", &url, "new"]]), @"");
    web.join().unwrap();
}

#[test]
fn arguments_that_make_no_command() {
    let room = Room::with_people();
    insta::assert_snapshot!(refused(&room, &[
        &["transact", "people.db"],
        &["transcat", "people.db", "[]"],
        &["query", "--jsn", "people.db", "[]"],
        &["query", "--json"],
        &["query", "--json", "--edn", "people.db", "[]"],
        &["log", "people.db", "--limit", "many"],
        &["import", "people.db"],
    ]), @"");
}
