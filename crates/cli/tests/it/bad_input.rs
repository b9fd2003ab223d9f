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
    ]), @r#"
    error: <argument>:1:35: :person/age takes values of type :db.type/long, not a string
      [{:person/name "Vera" :person/age "old"}]
                                        ^^^^^
    exit 4

    error: <argument>:1:23: :person/agee is not an attribute (did you mean :person/age?)
      [{:person/name "Vera" :person/agee 3}]
                            ^^^^^^^^^^^^
    exit 3

    error: <argument>:1:47: the tempid "x" would be two entities: 65540, which has :person/name "Ivan", and 65541, which has :person/name "Olga"
      [{:db/id "x" :person/name "Ivan"} {:db/id "x" :person/name "Olga"}]
                                                    ^^^^^^^^^^^^^^^^^^^
    exit 4

    error: <argument>:1:23: :person/email "ivan@example.org" is unique and belongs to entity 65540, so entity 65541 cannot take it
      [{:person/name "Olga" :person/email "ivan@example.org"}]
                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    exit 4

    error: <argument>:1:11: the lookup ref finds nothing: no entity has :person/name "Vera"
      [[:db/add (lookup-ref :person/name "Vera") :person...
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    exit 3

    error: <argument>:1:2: a transaction is a vector of forms: put this form into one more pair of [ ]
      [:db/add "x" :person/name "Vera"]
       ^^^^^^^
    exit 3

    error: <argument>:1:1: a transaction is a vector of forms, not a map
      {:person/name "Vera"}
      ^^^^^^^^^^^^^^^^^^^^^
    exit 3

    error: <argument>:1:3: :db/ad is not an operation (did you mean :db/add?)
      [[:db/ad "x" :person/name "Vera"]]
        ^^^^^^
    exit 3

    error: <argument>:1:23: this `]` does not close the `{` of line 1, column 2
      [{:person/name "Vera" ]
                            ^
    exit 3

    error: <argument>:1:4: one form was expected, and a vector follows it
      [] []
         ^^
    exit 3

    error: <argument>:1:1: there is nothing to read here
    exit 3

    error: <argument>:1:1: a transaction is a vector of forms, not a symbol
      people.edn
      ^^^^^^^^^^
    hint: to read the file, write @people.edn
    exit 3

    error: nowhere.edn: there is no such file
    exit 1
    "#);
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
    ]), @r#"
    error: <argument>:1:21: :person/nam is not an attribute (did you mean :person/name?)
      [:find ?n :where [_ :person/nam ?n]]
                          ^^^^^^^^^^^
    exit 3

    error: <argument>:1:1: this `[` is never closed: a `]` is missing
      [:find ?n :where [_ :person/name ?n]
      ^
    exit 3

    error: <argument>:1:8: ?x is not bound: no pattern and no input gives it a value
      [:find ?x :where [_ :person/name ?n]]
             ^^
    exit 3

    error: <argument>:1:1: a query needs :find, such as [:find ?x :where [?x :db/ident]]
      [:where [_ :person/name ?n]]
      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    exit 3

    error: <argument>:1:15: the query takes one input, ?a, and none was given
      [:find ?n :in ?a :where [?p :person/name ?n] [?p :pers...
                    ^^
    exit 3

    error: <argument>:1:15: the input ?a: thirty is not a value that a fact can have, and not a lookup ref such as [:person/name "Ivan"]
      [:find ?n :in ?a :where [?p :person/name ?n] [?p :pers...
                    ^^
    hint: an input is EDN, where a text has quotes of its own: '"thirty"'
    exit 3

    error: <input 1>:1:1: this `[` is never closed: a `]` is missing
      [30
      ^
    exit 3

    error: <argument>:1:1: the query takes no inputs (it has no :in), and one was given
      [:find ?n :where [_ :person/name ?n]]
      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    exit 3
    "#);
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
    ]), @r#"
    error: open.edn:2:22: this `]` does not close the `{` of line 2, column 2
      [{:person/name "Anna"]
                           ^
    exit 3

    error: map.edn:2:1: a transaction is a vector of forms, not a map
      {:person/name "Anna"}
      ^^^^^^^^^^^^^^^^^^^^^
    hint: a file holds one vector of forms, or several vectors, each a transaction; nothing was applied
    exit 3

    error: latin1.edn:1:20: this is not UTF-8 text
    hint: EDN is UTF-8: save the text in that encoding
    exit 3

    error: nowhere.edn: there is no such file
    exit 1
    "#);
    let ran = room.run(&["import", "people.db", "ages.edn"]);
    insta::assert_snapshot!(ran, @r#"
    error: ages.edn:4:15: :person/age takes values of type :db.type/long, not a string
        :person/age "young"}]
                    ^^^^^^^
    hint: 1 of 2 transactions stand in the store already; mend this one, and import it and those after it
    exit 4
    "#);
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
    ]), @r#"
    error: nowhere.db: there is no such file
    hint: `tolstoy transact nowhere.db '[...]'` makes a store, and so do import, repl and sync with a URL
    exit 1

    error: poem.db: the file is not a store
    hint: a store is a file that tolstoy made; name another file
    exit 1

    error: empty.db: the file is empty, not a store
    hint: a store is a file that tolstoy made; name another file
    exit 1

    error: directory.db: this is a directory, and a store is a file
    hint: name a file in it, such as directory.db/people.db
    exit 1

    error: newer.db: the store has format 77, this version knows formats up to 2; update Tolstoy
    hint: this is tolstoy 0.1.0; get a newer one
    exit 1

    error: newer.db: the store has format 77, this version knows formats up to 2; update Tolstoy
    hint: this is tolstoy 0.1.0; get a newer one
    exit 1

    error: poem.db: the file is not a store
    hint: a store is a file that tolstoy made; name another file
    exit 1

    error: missing/people.db: there is no directory missing
    hint: make it first, or name a file elsewhere
    exit 1

    error: nowhere.db: there is no such file
    hint: `tolstoy transact nowhere.db '[...]'` makes a store, and so do import, repl and sync with a URL
    exit 1

    error: nowhere.db: there is no such file
    hint: `tolstoy transact nowhere.db '[...]'` makes a store, and so do import, repl and sync with a URL
    exit 1

    error: nowhere.db: there is no such file
    hint: `tolstoy transact nowhere.db '[...]'` makes a store, and so do import, repl and sync with a URL
    exit 1

    error: nowhere.db: there is no such file
    hint: `tolstoy transact nowhere.db '[...]'` makes a store, and so do import, repl and sync with a URL
    exit 1

    error: people.db: there is no timeline 7
    hint: merges make side timelines; it has none; `--timelines` lists them
    exit 3
    "#);
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
    insta::assert_snapshot!(tell(ran, &directory), @r#"
    error: LOCKED/people.db: the file cannot be opened
    hint: check that the directory exists, has room, and that you may write there
    exit 1
    "#);
    let ran = room.run(&["serve", "--listen", "127.0.0.1:0", "--data", &format!("{directory}/hub")]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran}");
    assert!(ran.err.contains(&format!("error: cannot open {directory}/hub")), "{ran}");
    assert!(ran.err.contains("hint: check that the directory may be written"), "{ran}");
}

/// SQLite cannot make its files beside the store, as in a read-only directory, the superuser included.
#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let room = Room::new();
    room.run(&["transact", "people.db", "[{:db/ident :a/b}]"]);
    std::os::unix::fs::symlink("nowhere", room.path("people.db-shm")).unwrap();
    let query = room.run(&["query", "people.db", "[:find ?e . :where [?e :db/ident :a/b]]"]);
    assert_eq!((query.code, query.out.as_str()), (0, "65536\n"), "{query}");
    for command in ["schema", "log"] {
        let ran = room.run(&[command, "people.db"]);
        assert_eq!(ran.code, 0, "{ran}");
    }
    insta::assert_snapshot!(room.run(&["transact", "people.db", "[]"]).to_string(), @"
    error: people.db: the file cannot be opened
    hint: check that the directory exists, has room, and that you may write there
    exit 1
    ");
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
        serve("127.0.0.1:0", "file", &[]),
        serve("0.0.0.0:0", "other", &[]),
        serve("localhost", "other", &[]),
        serve("127.0.0.1:0", "other", &["--log", "tolstoy=loud"]),
    ];
    insta::assert_snapshot!(told.join("\n\n"), @r#"
    error: 127.0.0.1:PORT is taken by another process
    hint: another hub may run there already; `--listen 127.0.0.1:0` takes a free port
    exit 1

    error: another hub is running on hub: stop it first, or choose another directory
    hint: a hub there can serve any number of logs
    exit 1

    error: file: this is a file, and a hub keeps its data in a directory
    hint: name a directory: `tolstoy serve --data DIR`
    exit 1

    error: 0.0.0.0:0 can be reached from other machines, and whoever is there could read and write every log: there are no tokens, and no TLS
    hint: make a token: `tolstoy token create --data other`; and say how TLS is done: --tls-self-signed, or --tls-cert FILE --tls-key FILE, or --behind-proxy where a proxy in front does it; or say --open, and anyone who reaches the address reads and writes every log
    exit 2

    error: invalid value 'localhost' for '--listen <ADDRESS:PORT>': an address and a port are needed, such as 127.0.0.1:7410

    For more information, try '--help'.
    exit 2

    error: "tolstoy=loud" is no filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    hint: write a level, or `info,tolstoy_hub=debug`
    exit 2
    "#);
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
    ]), @r#"
    error: people.db has not synced yet, so it needs a URL and a log
    hint: `tolstoy sync people.db http://127.0.0.1:7410 new` makes a log; give its UUID on other devices
    exit 2

    error: people.db has not synced yet, so it needs a URL and a log
    hint: `tolstoy sync people.db http://127.0.0.1:7410 new` makes a log; give its UUID on other devices
    exit 2

    error: "localhost:7410" is not the address of a hub: it begins with http:// or https:// and a host, such as http://127.0.0.1:7410
    exit 2

    error: "mine" is no UUID, and logs are named by UUIDs
    hint: `new` in its place makes a log, and prints its name for your other devices
    exit 2

    error: the hub cannot be reached: http://127.0.0.1:PORT: Connection refused
    hint: is the hub running (`tolstoy serve`), and is the address right? Nothing is lost: sync again later
    exit 5

    {"error":"offline","message":"the hub cannot be reached: http://127.0.0.1:PORT: Connection refused","hint":"is the hub running (`tolstoy serve`), and is the address right? Nothing is lost: sync again later"}
    exit 5
    "#);
    room.ok(&["sync", "people.db", &hub.url, log]);
    insta::assert_snapshot!(refused(&room, &[
        &["sync", "people.db", &hub.url, "new"],
        &["sync", "people.db", &hub.url, "11111111-6f0b-4a39-9d0e-1f7b6a1c2d3e"],
    ]), @r#"
    error: people.db holds the history of the log UUID, and can sync with no other
    hint: begin the new log with a new file
    exit 6

    error: people.db holds the history of the log UUID, and can sync with no other
    hint: to have the log UUID on this device, sync it into a new file
    exit 6
    "#);
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
    insta::assert_snapshot!(refused(&room, &[&["sync", "people.db"]]), @r#"
    error: the log on the hub was wiped since the last sync; nothing was changed
    hint: `tolstoy sync DB --reseed` fills it again with this store's whole history; this store keeps the facts it has
    exit 6
    "#);
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
    insta::assert_snapshot!(refused(&room, &[&["sync", "people.db", &url, "new"]]), @r#"
    error: http://127.0.0.1:PORT: what answers there is not a Tolstoy hub, or not one of this version: it answered a push with no state of a log
    hint: check the address; a browser shows a hub's greeting there
    exit 5
    "#);
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
    ]), @r#"
    error: the following required arguments were not provided:
      <EDN|@FILE|->

    Usage: tolstoy transact <DB> <EDN|@FILE|->

    For more information, try '--help'.
    exit 2

    error: unrecognized subcommand 'transcat'

      tip: some similar subcommands exist: 'task', 'transact'

    Usage: tolstoy <COMMAND>

    For more information, try '--help'.
    exit 2

    error: unexpected argument '--jsn' found

      tip: a similar argument exists: '--json'

    Usage: tolstoy query --json <DB> <QUERY|@FILE|-> [INPUT]...

    For more information, try '--help'.
    exit 2

    {"error":"usage","message":"the following required arguments were not provided: <DB> <QUERY|@FILE|->","hint":"`tolstoy help COMMAND` shows how it is used"}
    exit 2

    {"error":"usage","message":"the argument '--json' cannot be used with '--edn'","hint":"`tolstoy help COMMAND` shows how it is used"}
    exit 2

    error: invalid value 'many' for '--limit <N>': a number of transactions is needed, such as 10

    For more information, try '--help'.
    exit 2

    error: the following required arguments were not provided:
      <FILE>...

    Usage: tolstoy import <DB> <FILE>...

    For more information, try '--help'.
    exit 2
    "#);
}
