//! A closed hub, as its owner and its users meet it.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::room::{Hub, Ran, Room, tidy};

const LOG: &str = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";
const OTHER: &str = "1a1a1a1a-6f0b-4a39-9d0e-1f7b6a1c2d3e";

/// A hub beyond loopback with a certificate of its own, as `tolstoy serve` starts it, that tells all it does.
struct Closed {
    hub: Hub,
    url: String,
    fingerprint: String,
}

impl Closed {
    fn start(room: &Room) -> Self {
        let mut hub = Hub::start(
            room,
            &["serve", "--listen", "0.0.0.0:0", "--data", "hub", "--tls-self-signed", "--log", "trace"],
        );
        let line = hub.line();
        let fingerprint = line.strip_prefix("certificate ").unwrap().to_owned();
        let url = hub.url.replace("0.0.0.0", "127.0.0.1");
        assert!(url.starts_with("https://"));
        Self { hub, url, fingerprint }
    }

    /// Syncs a new store or an old one with a token in the environment.
    fn sync(&self, room: &Room, db: &str, log: &str, token: &str) -> Ran {
        let args = ["sync", db, &self.url, log, "--trust", &self.fingerprint];
        ran(room.command(&args).env("TOLSTOY_TOKEN", token))
    }
}

fn ran(command: &mut std::process::Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Makes a token, and gives its text.
fn create(room: &Room, args: &[&str]) -> String {
    let out = room.ok(&[&["token", "create", "--data", "hub"], args].concat());
    let token = out.strip_suffix('\n').unwrap();
    assert_eq!((token.len(), token.matches('_').count(), token.starts_with("tol_")), (65, 2, true), "{out:?}");
    token.to_owned()
}

fn id(token: &str) -> &str {
    token.split('_').nth(1).unwrap()
}

/// What a command says, without the parts that differ from run to run.
fn said(room: &Room, ran: &Ran, hub: Option<&Closed>) -> String {
    let mut text = room.tidy(&ran.to_string());
    if let Some(hub) = hub {
        text = text.replace(&hub.fingerprint, "FINGERPRINT");
    }
    text
}

#[test]
fn two_stores_sync_through_a_closed_hub() {
    let room = Room::with_people();
    let token = create(&room, &["--name", "both"]);
    room.write("token", &format!("{token}\n"));
    let mut hub = Closed::start(&room);
    let access = ["--token-file", "token", "--trust", &hub.fingerprint];
    let out = room.ok(&[&["sync", "people.db", &hub.url, LOG], &access[..]].concat());
    assert!(out.starts_with("remote fast-forward: 2 transactions"), "{out}");
    let out = room.ok(&[&["sync", "phone.db", &hub.url, LOG], &access[..]].concat());
    assert!(out.starts_with("local fast-forward: 2 transactions"), "{out}");
    // What it takes is remembered, from any directory, and the token itself is not.
    room.ok(&["transact", "phone.db", "[{:person/name \"Vera\"}]"]);
    assert!(room.ok(&["sync", "phone.db"]).starts_with("remote fast-forward"));
    let elsewhere = Room::new();
    let phone = room.path("people.db").display().to_string();
    assert!(elsewhere.ok(&["sync", &phone]).starts_with("local fast-forward"));
    assert_eq!(room.contents("people.db"), room.contents("phone.db"));
    for db in ["people.db", "phone.db"] {
        let bytes = std::fs::read(room.path(db)).unwrap();
        assert!(!bytes.windows(52).any(|part| part == &token.as_bytes()[13..]));
    }
    // A certificate that vouches for it is as good.
    let out = room.ok(&["sync", "phone.db", "--ca", "hub/tls-cert.pem"]);
    assert!(out.starts_with("no changes"), "{out}");

    hub.hub.signal("TERM");
    let (code, told) = hub.hub.end();
    assert_eq!(code, Some(0));
    assert!(told.contains(id(&token)), "the log says which token: {told}");
    assert!(!told.contains(&token[13..]), "and no secret");
    // It keeps its certificate.
    assert_eq!(Closed::start(&room).fingerprint, hub.fingerprint);
}

#[test]
fn who_has_no_good_token_gets_nowhere() {
    let room = Room::with_people();
    let good = create(&room, &[]);
    let reader = create(&room, &["--rights", "read"]);
    let elsewhere = create(&room, &["--log", OTHER]);
    let hub = Closed::start(&room);
    assert_eq!(hub.sync(&room, "people.db", LOG, &good).code, 0);

    let wrong = format!("{}{}", &good[..13], "a".repeat(52));
    let fresh = |name: &str, token: &str| said(&room, &hub.sync(&room, name, LOG, token), Some(&hub));
    insta::assert_snapshot!(fresh("a.db", &wrong), @"
    created a.db
    error: https://127.0.0.1:PORT: the hub refused (unauthorized): this token is not valid here: it was revoked, has expired, or was never given out
    hint: its owner makes tokens with `tolstoy token create`; give yours with --token-file FILE, or in $TOLSTOY_TOKEN
    exit 4
    ");
    insta::assert_snapshot!(fresh("b.db", ""), @"
    created b.db
    error: https://127.0.0.1:PORT: the hub refused (unauthorized): this hub wants a token: send it as Authorization: Bearer
    hint: its owner makes tokens with `tolstoy token create`; give yours with --token-file FILE, or in $TOLSTOY_TOKEN
    exit 4
    ");
    insta::assert_snapshot!(fresh("c.db", &elsewhere), @"
    created c.db
    error: https://127.0.0.1:PORT: the hub refused (not-found): there is no such log, or this token does not cover it
    hint: ask the hub's owner which logs your token covers; a new log needs one that covers all
    exit 4
    ");
    insta::assert_snapshot!(fresh("d.db", "not a token"), @"
    created d.db
    error: what $TOLSTOY_TOKEN holds is no token
    hint: a token is one word, as `tolstoy token create` prints it
    exit 2
    ");
    assert!(fresh("e.db", &reader).contains("local fast-forward: 2 transactions"));
    room.ok(&["transact", "e.db", "[{:person/name \"Vera\"}]"]);
    insta::assert_snapshot!(fresh("e.db", &reader), @"
    error: https://127.0.0.1:PORT: the hub refused (forbidden): this token lacks the right write, on this log
    hint: a hub without tokens answers only to localhost and 127.0.0.1; with tokens, its owner gives out their rights
    exit 4
    ");

    // Revoked while the hub serves.
    let revoked = room.ok(&["token", "revoke", "--data", "hub", id(&good)]);
    assert_eq!(revoked, format!("revoked {}\n", id(&good)));
    while hub.sync(&room, "people.db", LOG, &good).code == 0 {
        std::thread::yield_now();
    }
    insta::assert_snapshot!(fresh("people.db", &good), @"
    error: https://127.0.0.1:PORT: the hub refused (unauthorized): this token is not valid here: it was revoked, has expired, or was never given out
    hint: its owner makes tokens with `tolstoy token create`; give yours with --token-file FILE, or in $TOLSTOY_TOKEN
    exit 4
    ");
    assert!(hub.sync(&room, "e.db", LOG, &reader).code != 0, "it still has something to push");
    assert_eq!(hub.sync(&room, "f.db", LOG, &reader).code, 0);
}

#[test]
fn a_hub_that_is_not_trusted_gets_nothing() {
    let room = Room::with_people();
    create(&room, &[]);
    let hub = Closed::start(&room);
    let sync = |args: &[&str]| {
        let ran = room.run(&[&["sync", "people.db", &hub.url, LOG], args].concat());
        said(&room, &ran, Some(&hub))
    };
    insta::assert_snapshot!(sync(&[]), @"
    error: https://127.0.0.1:PORT: the hub there is not trusted: nobody who is known here vouches for its certificate
    hint: nothing was sent; compare with what the hub printed when it started (certificate ...): `--trust SHA256` trusts that one, `--ca FILE` one that vouches for it
    exit 5
    ");
    insta::assert_snapshot!(sync(&["--trust", &"00".repeat(32)]), @"
    error: https://127.0.0.1:PORT: the hub there is not trusted: its certificate has the fingerprint FINGERPRINT, not the one that is trusted
    hint: nothing was sent; compare with what the hub printed when it started (certificate ...): `--trust SHA256` trusts that one, `--ca FILE` one that vouches for it
    exit 5
    ");
    insta::assert_snapshot!(sync(&["--trust", "00:11"]), @"
    error: invalid value '00:11' for '--trust <SHA256>': a fingerprint is the 64 hex digits of a certificate's SHA-256, with or without colons, as the hub prints it

    For more information, try '--help'.
    exit 2
    ");
    insta::assert_snapshot!(sync(&["--ca", "people.edn"]), @"
    error: ROOM/people.edn: there is no certificate in it: PEM with BEGIN CERTIFICATE is needed
    exit 3
    ");
    insta::assert_snapshot!(sync(&["--token-file", "missing", "--trust", &hub.fingerprint]), @"
    error: ROOM/missing: there is no such file
    hint: `--token-file FILE` names the file that holds your token
    exit 1
    ");
    room.write("people", "two words");
    insta::assert_snapshot!(sync(&["--token-file", "people", "--trust", &hub.fingerprint]), @"
    error: ROOM/people: this is no token: a token is one word of letters, digits and signs, as `tolstoy token create` prints it
    exit 3
    ");
}

#[test]
fn a_token_is_not_sent_in_the_clear_nor_to_another_hub() {
    let room = Room::with_people();
    let token = create(&room, &[]);
    room.write("token", &token);
    let sync = |args: &[&str]| said(&room, &room.run(&[&["sync", "people.db"], args].concat()), None);
    insta::assert_snapshot!(sync(&["http://hub.example", LOG, "--token-file", "token"]), @"
    error: http://hub.example: a token sent over plain http:// can be read by whoever is in between
    hint: use the hub's https:// address; or, where the network itself encrypts, such as a VPN, say --token-in-clear
    exit 2
    ");
    // What is remembered is for the one address.
    let hub = Hub::start(&room, &["serve", "--listen", "127.0.0.1:0", "--data", "hub"]);
    assert!(sync(&[&hub.url, LOG, "--token-file", "token"]).contains("remote fast-forward"));
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (mut link, _) = other.accept().unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut byte = [0];
            link.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        link.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8(head).unwrap().to_lowercase()
    });
    assert!(sync(&[&url]).ends_with("exit 5"));
    let heard = heard.join().unwrap();
    assert!(heard.contains("user-agent: tolstoy") && !heard.contains("authorization"), "{heard}");
    assert!(sync(&[]).contains("no changes"), "the first hub is still remembered, with the token's file");
}

#[test]
fn tokens_are_listed_without_their_secrets() {
    let room = Room::new();
    insta::assert_snapshot!(said(&room, &room.run(&["token", "list", "--data", "hub"]), None), @"
    no token was ever made for the hub in hub
    exit 0
    ");
    let all = create(&room, &["--name", "laptop", "--expires", "2199-12-31"]);
    let one = create(&room, &["--log", LOG, "--rights", "admin,read"]);
    let list = room.ok(&["token", "list", "--data", "hub"]);
    let today =
        room.json(&["token", "list", "--data", "hub", "--json"])[0]["created"].as_str().unwrap()[..10].to_owned();
    let list = list.replace(id(&all), "IDIDIDID").replace(id(&one), "JDJDJDJD").replace(&today, "0000-00-00");
    insta::assert_snapshot!(list, @"
     id         name     rights       logs                                   created      expires
    ─────────────────────────────────────────────────────────────────────────────────────────────────
     IDIDIDID   laptop   read,write   all logs                               0000-00-00   2199-12-31
     JDJDJDJD            read,admin   0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e   0000-00-00   never
    2 tokens
    ");
    let listed = room.json(&["token", "list", "--data", "hub", "--json"]);
    assert_eq!(listed[0]["expires"], "2199-12-31T00:00:00Z");
    assert_eq!(listed[1]["rights"], serde_json::json!(["read", "admin"]));
    assert_eq!(listed[1]["logs"], serde_json::json!([LOG]));
    let text = listed.to_string();
    assert!(!text.contains(&all[13..]) && !text.contains(&one[13..]));

    let made = room.json(&["token", "create", "--data", "hub", "--json", "--rights", "read"]);
    let token = made["token"].as_str().unwrap();
    assert_eq!(made["id"], id(token));
    let ids = [id(&all), id(&one), id(token)];
    let ran = room.run(&[&["token", "revoke", "--data", "hub"], &ids[..]].concat());
    let text = ids.iter().fold(said(&room, &ran, None), |text, id| text.replace(id, "IDIDIDID"));
    insta::assert_snapshot!(text, @"
    revoked IDIDIDID
    revoked IDIDIDID
    revoked IDIDIDID
    no token is left, and the hub answers nobody: make one; or, for a hub on loopback that asks for none, remove hub/tokens.json and start it again
    exit 0
    ");
    let ran = room.run(&["token", "revoke", "--data", "hub", "aaaaaaaa"]);
    insta::assert_snapshot!(said(&room, &ran, None), @"
    error: there is no token aaaaaaaa in hub
    hint: `tolstoy token list` shows their ids
    exit 3
    ");
    let ran = room.run(&["token", "list", "--data", "hub"]);
    insta::assert_snapshot!(said(&room, &ran, None), @"
    no token is left, and the hub answers nobody: make one; or, for a hub on loopback that asks for none, remove hub/tokens.json and start it again
    exit 0
    ");
    for (args, word) in [
        (&["--rights", "owner"][..], "is no right"),
        (&["--expires", "soon"], "neither a time nor a day"),
        (&["--log", "people"], "named by UUIDs"),
        (&["--name", "two\nlines"], "control characters"),
    ] {
        let ran = room.run(&[&["token", "create", "--data", "hub"], args].concat());
        assert!(ran.code == 2 && ran.err.contains(word) && ran.out.is_empty(), "{ran}");
    }
}

#[test]
fn a_hub_says_what_it_takes_to_be_reached_from_elsewhere() {
    let room = Room::new();
    let serve = |args: &[&str]| {
        let ran = room.run(&[&["serve", "--data", "hub", "--listen"], args].concat());
        said(&room, &ran, None)
    };
    insta::assert_snapshot!(serve(&["0.0.0.0:7410"]), @"
    error: 0.0.0.0:7410 can be reached from other machines, and whoever is there could read and write every log: there are no tokens, and no TLS
    hint: make a token: `tolstoy token create --data hub`; and say how TLS is done: --tls-self-signed, or --tls-cert FILE --tls-key FILE, or --behind-proxy where a proxy in front does it; or say --open, and anyone who reaches the address reads and writes every log
    exit 2
    ");
    assert!(!room.path("hub").exists(), "a refused start leaves nothing behind");
    insta::assert_snapshot!(serve(&["0.0.0.0:7410", "--tls-self-signed"]), @"
    error: 0.0.0.0:7410 can be reached from other machines, and whoever is there could read and write every log: there are no tokens
    hint: make a token: `tolstoy token create --data hub`; or say --open, and anyone who reaches the address reads and writes every log
    exit 2
    ");
    insta::assert_snapshot!(serve(&["127.0.0.1:7410", "--behind-proxy"]), @"
    error: what a proxy passes on may come from anywhere, and there are no tokens
    hint: make a token: `tolstoy token create --data hub`; or say --open, and anyone who reaches the address reads and writes every log
    exit 2
    ");
    create(&room, &[]);
    insta::assert_snapshot!(serve(&["0.0.0.0:7410"]), @"
    error: 0.0.0.0:7410 can be reached from other machines, and without TLS tokens and facts would pass in the clear
    hint: say how TLS is done: --tls-self-signed, or --tls-cert FILE --tls-key FILE, or --behind-proxy where a proxy in front does it
    exit 2
    ");
    insta::assert_snapshot!(serve(&["0.0.0.0:7410", "--open"]), @"
    error: an open hub answers everybody, and this one has tokens, which would mean nothing
    hint: leave --open out; or, if strangers shall read and write all, remove hub/tokens.json
    exit 2
    ");
    insta::assert_snapshot!(serve(&["127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]), @"
    error: cert.pem: No such file or directory
    hint: --tls-cert and --tls-key name files in PEM; --tls-self-signed needs none
    exit 1
    ");
    room.write("cert.pem", "no pem");
    insta::assert_snapshot!(serve(&["127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]), @"
    error: cert.pem: there is no certificate in it: PEM with BEGIN CERTIFICATE is needed
    hint: --tls-cert and --tls-key name files in PEM; --tls-self-signed needs none
    exit 3
    ");
    std::fs::write(room.path("hub/tokens.json"), "{").unwrap();
    insta::assert_snapshot!(serve(&["127.0.0.1:0"]), @"
    error: hub/tokens.json is damaged: EOF while parsing an object at line 1 column 1
    hint: bring it back from a backup; or remove it and make new tokens: until there is one, a hub on loopback asks for none
    exit 1
    ");
}

#[test]
fn on_loopback_a_token_closes_the_hub_and_plain_http_will_do() {
    let room = Room::with_people();
    let hub = room.hub();
    assert!(room.ok(&["sync", "people.db", &hub.url, LOG]).contains("remote fast-forward"));
    let token = create(&room, &[]);
    while room.run(&["sync", "people.db"]).code == 0 {
        std::thread::yield_now();
    }
    let ran = ran(room.command(&["sync", "people.db"]).env("TOLSTOY_TOKEN", &token));
    assert_eq!(ran.code, 0, "{ran}");
    let mut link = TcpStream::connect(hub.url.strip_prefix("http://").unwrap()).unwrap();
    link.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    link.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(tidy(&hub.url), "http://127.0.0.1:PORT");
}

#[test]
fn a_client_of_taskchampions_is_made_known() {
    let room = Room::new();
    let create = ["token", "create", "--data", "hub", "--taskchampion"];
    let made = ran(&mut room.command(&create));
    let client = made.out.strip_suffix('\n').unwrap();
    assert_eq!((made.code, client.len()), (0, 36), "{}", made.err);
    assert!(made.err.contains("sync.server.client_id") && !made.err.contains(client), "{}", made.err);
    let listed = room.ok(&["token", "list", "--data", "hub", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (listed[0]["name"].as_str(), &listed[0]["rights"]),
        (Some("taskchampion"), &serde_json::json!(["read", "write"]))
    );
    assert!(listed[0]["logs"][0].as_str().unwrap().starts_with("7461736b-"), "{listed}");
    assert!(!std::fs::read_to_string(room.path("hub/tokens.json")).unwrap().contains(client));
    // One that is known is not made known again; with another right only once it was revoked.
    let again = ran(&mut room.command(&[&create[..], &[client, "--rights", "read"]].concat()));
    assert!(again.code != 0 && again.err.contains("known already"), "{}", again.err);
    room.ok(&["token", "revoke", "--data", "hub", listed[0]["id"].as_str().unwrap()]);
    let own = room.ok(&[&create[..], &[&client.to_uppercase(), "--rights", "read", "--json"]].concat());
    let own: serde_json::Value = serde_json::from_str(&own).unwrap();
    assert_eq!((own["client_id"].as_str(), &own["id"], own["token"].as_str()), (Some(client), &listed[0]["id"], None));
    for bad in [&["x"][..], &["--log", LOG]] {
        assert_eq!(ran(&mut room.command(&[&create[..], bad].concat())).code, 2, "{bad:?}");
    }
}
