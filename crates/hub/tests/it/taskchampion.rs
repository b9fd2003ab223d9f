//! TaskChampion's sync protocol, byte for byte: what clients send, and what they are answered.

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tolstoy_hub::service::{Policy, VersionThreshold};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::taskchampion::ClientId;
use tolstoy_proto::{LogId, LogState, TrnId, paths};

use crate::common::{Answer, Pushing, TestHub, env};

const CLIENT: &str = "ea82d570-3d7e-494a-a581-babe65dc7b3b";
const NIL: &str = "00000000-0000-0000-0000-000000000000";
const BASE: &str = "785fd86c-c11f-48b6-9557-27ec78bb568c";
const SEGMENT: &str = "application/vnd.taskchampion.history-segment";
const SNAPSHOT: &str = "application/vnd.taskchampion.snapshot";

/// An answer as it came over the wire: its status line and head, and its body. What differs from answer to answer is left out:
/// the date and the request's id.
#[derive(Debug, PartialEq, Eq)]
struct Wire {
    status: String,
    fields: Vec<String>,
    body: Vec<u8>,
}

impl Wire {
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter().filter_map(|field| field.split_once(": "));
        fields.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn code(&self) -> u16 {
        self.status[9..12].parse().unwrap()
    }

    fn version(&self) -> String {
        self.field("x-version-id").unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends these fields and this body, and nothing else but what HTTP asks for.
async fn wire(hub: &HubHandle, line: &str, fields: &[(&str, &str)], body: &[u8]) -> Wire {
    let mut request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n").into_bytes();
    for (name, value) in fields {
        request.extend(format!("{name}: {value}\r\n").bytes());
    }
    if line.starts_with("POST") {
        request.extend(format!("content-length: {}\r\n", body.len()).bytes());
    }
    request.extend(b"\r\n");
    request.extend(body);
    let mut stream = tokio::net::TcpStream::connect(hub.address()).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n").map(str::to_owned);
    let status = lines.next().unwrap();
    let mut fields: Vec<String> =
        lines.filter(|line| !["date: ", "x-request-id: "].iter().any(|name| line.starts_with(name))).collect();
    fields.sort();
    Wire { status, fields, body: answer[end + 4..].to_vec() }
}

async fn add(hub: &TestHub, parent: &str, body: &[u8]) -> Wire {
    let line = format!("POST /v1/client/add-version/{parent}");
    wire(&hub.handle, &line, &[("X-Client-Id", CLIENT), ("Content-Type", SEGMENT)], body).await
}

async fn child(hub: &TestHub, parent: &str) -> Wire {
    wire(&hub.handle, &format!("GET /v1/client/get-child-version/{parent}"), &[("X-Client-Id", CLIENT)], b"").await
}

async fn add_snapshot(hub: &TestHub, version: &str, body: &[u8]) -> Wire {
    let line = format!("POST /v1/client/add-snapshot/{version}");
    wire(&hub.handle, &line, &[("X-Client-Id", CLIENT), ("Content-Type", SNAPSHOT)], body).await
}

async fn snapshot(hub: &TestHub) -> Wire {
    wire(&hub.handle, "GET /v1/client/snapshot", &[("X-Client-Id", CLIENT)], b"").await
}

fn of_client() -> LogId {
    CLIENT.parse::<ClientId>().unwrap().log()
}

#[tokio::test]
async fn versions_come_back_as_they_were_sent() {
    let hub = TestHub::start().await;
    assert_eq!(child(&hub, NIL).await.code(), 404, "nobody knows the client");
    let sent: Vec<u8> = (0..=255).collect();
    let added = add(&hub, NIL, &sent).await;
    let one = added.version();
    assert_eq!(
        added,
        Wire {
            status: "HTTP/1.1 200 OK".into(),
            fields: vec!["connection: close".into(), "content-length: 0".into(), format!("x-version-id: {one}")],
            body: vec![],
        }
    );
    let two = add(&hub, &one, b"two").await.version();
    let found = child(&hub, NIL).await;
    assert_eq!(
        found,
        Wire {
            status: "HTTP/1.1 200 OK".into(),
            fields: vec![
                "connection: close".into(),
                "content-length: 256".into(),
                format!("content-type: {SEGMENT}"),
                format!("x-parent-version-id: {NIL}"),
                format!("x-version-id: {one}"),
            ],
            body: sent,
        }
    );
    let found = child(&hub, &one).await;
    assert_eq!((found.code(), found.version(), &found.body[..]), (200, two.clone(), &b"two"[..]));
    assert_eq!(found.field("x-parent-version-id"), Some(one.as_str()));
    let last = child(&hub, &two).await;
    assert_eq!((last.code(), last.json()["error"].as_str()), (404, Some("not-found")));
    // Another client has another log.
    let other = [("X-Client-Id", "ea82d570-3d7e-494a-a581-babe65dc7b3c")];
    assert_eq!(wire(&hub.handle, &format!("GET /v1/client/get-child-version/{NIL}"), &other, b"").await.code(), 404);
    let hub = hub.restart().await;
    assert_eq!(child(&hub, &one).await.version(), two);
}

#[tokio::test]
async fn a_conflict_names_the_newest_version() {
    let hub = TestHub::start().await;
    let one = add(&hub, NIL, b"one").await.version();
    let two = add(&hub, &one, b"two").await.version();
    // The very same again is a conflict too: the client finds its own version, and goes on from there.
    for (stale, body) in [(NIL, &b"one"[..]), (&one, b"two"), (BASE, b"new")] {
        let refused = add(&hub, stale, body).await;
        assert_eq!((refused.code(), refused.field("x-parent-version-id")), (409, Some(two.as_str())));
        assert_eq!(refused.field("x-version-id"), None);
        assert_eq!(refused.json()["error"], "conflict");
    }
    assert_eq!(child(&hub, &two).await.code(), 404);
}

#[tokio::test]
async fn a_log_may_begin_above_a_base() {
    let hub = TestHub::start().await;
    let added = add(&hub, BASE, b"one").await;
    assert_eq!((added.code(), added.field("x-snapshot-request")), (200, Some("urgency=high")));
    let one = added.version();
    let found = child(&hub, BASE).await;
    assert_eq!((found.code(), found.version(), found.field("x-parent-version-id")), (200, one.clone(), Some(BASE)));
    let gone = child(&hub, NIL).await;
    assert_eq!((gone.code(), gone.json()["error"].as_str()), (410, Some("gone")));
    assert_eq!(child(&hub, "785fd86c-c11f-48b6-9557-27ec78bb568d").await.code(), 410);
    assert_eq!(child(&hub, &one).await.code(), 404);
    assert_eq!(add_snapshot(&hub, BASE, b"x").await.code(), 400, "the base is no version");
}

#[tokio::test]
async fn the_newest_snapshot_comes_back() {
    let hub = TestHub::start().await;
    assert_eq!(snapshot(&hub).await.code(), 404);
    assert_eq!(add_snapshot(&hub, BASE, b"x").await.code(), 400);
    let one = add(&hub, NIL, b"one").await.version();
    let two = add(&hub, &one, b"two").await.version();
    assert_eq!(snapshot(&hub).await.code(), 404);
    for unknown in [BASE, NIL] {
        assert_eq!(add_snapshot(&hub, unknown, b"x").await.code(), 400);
    }
    let kept = add_snapshot(&hub, &two, b"second").await;
    let fields = vec!["connection: close".to_owned(), "content-length: 0".to_owned()];
    assert_eq!(kept, Wire { status: "HTTP/1.1 200 OK".into(), fields, body: vec![] });
    let expected = |version: &str, body: &[u8]| Wire {
        status: "HTTP/1.1 200 OK".into(),
        fields: vec![
            "connection: close".into(),
            format!("content-length: {}", body.len()),
            format!("content-type: {SNAPSHOT}"),
            format!("x-version-id: {version}"),
        ],
        body: body.to_vec(),
    };
    assert_eq!(snapshot(&hub).await, expected(&two, b"second"));
    // Older, or of the same version: taken and let go.
    assert_eq!(add_snapshot(&hub, &one, b"first").await.code(), 200);
    assert_eq!(add_snapshot(&hub, &two, b"again").await.code(), 200);
    assert_eq!(snapshot(&hub).await, expected(&two, b"second"));
    let three = add(&hub, &two, b"three").await.version();
    let long: Vec<u8> = (0..1_000_000).map(|n| (n / 977) as u8).collect();
    assert_eq!(add_snapshot(&hub, &three, &long).await.code(), 200);
    assert_eq!(snapshot(&hub).await, expected(&three, &long));
    let hub = hub.restart().await;
    assert_eq!(snapshot(&hub).await, expected(&three, &long));
}

#[tokio::test]
async fn what_is_malformed_is_refused() {
    let hub = TestHub::start().await;
    let one = add(&hub, NIL, b"one").await.version();
    let client = ("X-Client-Id", CLIENT);
    let paths = [
        (format!("POST /v1/client/add-version/{one}"), Some(SEGMENT)),
        (format!("POST /v1/client/add-snapshot/{one}"), Some(SNAPSHOT)),
        (format!("GET /v1/client/get-child-version/{NIL}"), None),
        ("GET /v1/client/snapshot".to_owned(), None),
    ];
    for (line, media) in &paths {
        let media = media.map(|media| ("Content-Type", media));
        let bad = ["", "x", "ea82d570-3d7e-494a-a581-babe65dc7b3", "ea82d5703d7e494aa581babe65dc7b3b", "\u{e9}"];
        let ids = bad.iter().map(|id| vec![("X-Client-Id", *id)]).chain([vec![], vec![client, client]]);
        for id in ids {
            let fields: Vec<_> = id.iter().copied().chain(media).collect();
            let refused = wire(&hub.handle, line, &fields, b"body").await;
            assert_eq!((refused.code(), refused.json()["error"].as_str()), (400, Some("bad-request")), "{line} {id:?}");
        }
        let Some(media) = media else { continue };
        for wrong in [None, Some("application/octet-stream"), Some(if media.1 == SEGMENT { SNAPSHOT } else { SEGMENT })]
        {
            let fields: Vec<_> = [client].into_iter().chain(wrong.map(|wrong| ("Content-Type", wrong))).collect();
            assert_eq!(wire(&hub.handle, line, &fields, b"body").await.code(), 400, "{line} {wrong:?}");
        }
        assert_eq!(wire(&hub.handle, line, &[client, media], b"").await.code(), 400, "{line} without a body");
        let coded = wire(&hub.handle, line, &[client, media, ("Content-Encoding", "zstd")], b"body").await;
        assert_eq!(coded.code(), 415);
    }
    for id in ["x", "785FD86C-C11F-48B6-9557-27EC78BB568C", "785fd86cc11f48b6955727ec78bb568c"] {
        assert_eq!(add(&hub, id, b"body").await.code(), 400);
        assert_eq!(child(&hub, id).await.code(), 400);
        assert_eq!(add_snapshot(&hub, id, b"body").await.code(), 400);
    }
    assert_eq!(child(&hub, &one).await.code(), 404, "nothing of it was kept");
    assert_eq!(snapshot(&hub).await.code(), 404);
}

#[tokio::test]
async fn long_versions_have_their_length_and_a_limit() {
    let hub = TestHub::start().await;
    let long: Vec<u8> = (0..5_000_000).map(|n| (n / 7919) as u8).collect();
    let one = add(&hub, NIL, &long).await.version();
    let found = child(&hub, NIL).await;
    assert_eq!(
        (found.version(), found.field("content-length"), found.body == long),
        (one.clone(), Some("5000000"), true)
    );
    // Of exactly the length of a chunk, and one more.
    let mut parent = one;
    for length in [256 << 10, (256 << 10) + 1] {
        let version = add(&hub, &parent, &long[..length]).await.version();
        assert_eq!(child(&hub, &parent).await.body, &long[..length]);
        parent = version;
    }
    let mut stream = tokio::net::TcpStream::connect(hub.handle.address()).await.unwrap();
    let head = format!(
        "POST /v1/client/add-version/{parent} HTTP/1.1\r\nhost: localhost\r\nx-client-id: {CLIENT}\r\n\
         content-type: {SEGMENT}\r\ncontent-length: {}\r\n\r\n",
        (100 << 20) + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_snapshot_is_asked_for() {
    let policy = Policy { snapshot_versions: VersionThreshold { versions: 4, days: 14 }, ..Policy::default() };
    let hub = TestHub::start_with(Options { policy, ..Options::default() }).await;
    let (mut parent, mut asked) = (NIL.to_owned(), Vec::new());
    for _ in 0..7 {
        let added = add(&hub, &parent, b"version").await;
        parent = added.version();
        asked.push(added.field("x-snapshot-request").map(str::to_owned));
    }
    let (low, high) = (Some("urgency=low".to_owned()), Some("urgency=high".to_owned()));
    assert_eq!(asked, [None, None, None, low.clone(), low, high.clone(), high]);
    assert_eq!(add_snapshot(&hub, &parent, b"snapshot").await.code(), 200);
    assert_eq!(add(&hub, &parent, b"version").await.field("x-snapshot-request"), None);
}

#[tokio::test]
async fn a_quota_is_told_and_changes_nothing() {
    let policy = Policy { quota_bytes: Some(1000), ..Policy::default() };
    let hub = TestHub::start_with(Options { policy, ..Options::default() }).await;
    let one = add(&hub, NIL, b"one").await.version();
    for refused in [add(&hub, &one, &[7; 1000]).await, add_snapshot(&hub, &one, &[7; 1000]).await] {
        assert_eq!((refused.code(), refused.json()["error"].as_str()), (507, Some("quota")));
    }
    assert_eq!((child(&hub, &one).await.code(), snapshot(&hub).await.code()), (404, 404));
}

#[tokio::test]
async fn a_log_is_of_one_kind() {
    let hub = TestHub::start().await;
    let one = add(&hub, NIL, b"one").await.version();
    let theirs = of_client();
    assert!(theirs.is_taskchampion() && theirs.to_string() != CLIENT);
    // Who looks after the hub sees what it is.
    let state = hub.state(theirs).await;
    assert_eq!((state.head.to_string(), state.seq.0), (one.clone(), 1));
    let push = hub.push(theirs, &Pushing::onto(&state).text("ours")).await;
    assert_eq!((push.status, push.error().as_str()), (409, "foreign-log"));
    assert!(push.text().contains("Taskwarrior"), "{}", push.text());
    let v0 = paths::v0_base(theirs);
    for (method, path) in [
        ("GET", paths::pull(theirs, &[])),
        ("GET", paths::snapshots(theirs)),
        ("PUT", paths::snapshot(theirs, one.parse().unwrap())),
        ("GET", format!("{v0}/head")),
        ("PUT", format!("{v0}/head")),
        ("GET", format!("{v0}/transactions")),
        ("GET", format!("{v0}/transactions/{one}")),
        ("PUT", format!("{v0}/transactions/{one}")),
        ("GET", format!("{v0}/chunks/a")),
        ("PUT", format!("{v0}/chunks/a")),
        ("GET", format!("{v0}/chunks/a").replace('7', "%37")),
    ] {
        let answer = hub.send(method, &path, "x").await;
        assert_eq!((answer.status, answer.error().as_str()), (409, "foreign-log"), "{method} {path}");
    }
    // Logs that others began are not in the way of a client with the same id.
    let own = CLIENT.parse::<LogId>().unwrap();
    assert_eq!(hub.push(own, &Pushing::onto(&LogState::EMPTY).text("ours")).await.status, 200);
    let two = add(&hub, &one, b"two").await.version();
    assert_eq!(hub.state(theirs).await.head.to_string(), two);
    let status = hub.get(paths::STATUS).await.json();
    let kinds: Vec<_> =
        status["logs"].as_array().unwrap().iter().map(|log| (log["log"].as_str(), log["kind"].as_str())).collect();
    assert!(kinds.contains(&(Some(&theirs.to_string()), Some("taskchampion"))), "{kinds:?}");
    assert!(kinds.contains(&(Some(CLIENT), Some("tolstoy"))), "{kinds:?}");
    assert_eq!(hub.delete(&paths::log(theirs)).await.status, 204);
    assert_eq!(child(&hub, &one).await.code(), 404);
    assert_eq!(add(&hub, &two, b"anew").await.code(), 200);
    assert_eq!(hub.state(theirs).await.generation.unwrap().number, 2);
}

#[tokio::test]
async fn the_id_of_a_client_is_shown_nowhere() {
    let hub = TestHub::start().await;
    let one = add(&hub, NIL, b"one").await.version();
    assert_eq!(add_snapshot(&hub, &one, b"snapshot").await.code(), 200);
    for path in [paths::STATUS, paths::METRICS] {
        let text = hub.get(path).await.text();
        assert!(!text.contains(CLIENT), "{path}");
    }
    let metrics = hub.get(paths::METRICS).await.text();
    assert!(metrics.contains(r#"route="/v1/client/add-version/{parent}""#), "{metrics}");
    let activity = hub.get(paths::STATUS).await.json()["activity"].clone();
    let kinds: Vec<&str> = activity.as_array().unwrap().iter().map(|act| act["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["snapshot", "push"]);
    hub.handle.stop().await.unwrap();
    for file in std::fs::read_dir(hub.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let id: TrnId = CLIENT.parse().unwrap();
        let shows = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        assert!(!shows(CLIENT.as_bytes()) && !shows(id.as_bytes()));
    }
}

#[tokio::test]
async fn racing_clients_make_one_chain() {
    let directory = TempDir::new().unwrap();
    let hub = Hub::open(directory.path(), env(), Options::default()).unwrap();
    let handle = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let hub = std::sync::Arc::new(TestHub { handle, client: reqwest::Client::new(), directory });
    let writers = (0..8).map(|writer| {
        let hub = hub.clone();
        tokio::spawn(async move {
            let mut parent = NIL.to_owned();
            let mut own = Vec::new();
            while own.len() < 10 {
                let body = format!("{writer} {}", own.len());
                let added = add(&hub, &parent, body.as_bytes()).await;
                match added.code() {
                    200 => {
                        parent = added.version();
                        own.push(body);
                    }
                    409 => parent = added.field("x-parent-version-id").unwrap().to_owned(),
                    other => panic!("{other}: {added:?}"),
                }
            }
            own
        })
    });
    let mut sent = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        sent.extend(writer.await.unwrap());
    }
    let (mut parent, mut read) = (NIL.to_owned(), Vec::new());
    loop {
        let found = child(&hub, &parent).await;
        if found.code() == 404 {
            break;
        }
        assert_eq!(found.field("x-parent-version-id"), Some(parent.as_str()));
        parent = found.version();
        read.push(String::from_utf8(found.body).unwrap());
    }
    read.sort();
    sent.sort();
    assert_eq!(read, sent);
}

#[tokio::test]
async fn a_change_wakes_who_watches_the_log() {
    let hub = TestHub::start().await;
    let one = add(&hub, NIL, b"one").await.version();
    let path = paths::log(of_client());
    let tag = hub.client.get(hub.url(&path)).send().await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
    let waiting = hub.client.get(hub.url(&format!("{path}?wait=30"))).header("if-none-match", tag).send();
    let (answer, two) = tokio::join!(waiting, async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        add(&hub, &one, b"two").await.version()
    });
    assert_eq!(Answer::of(answer.unwrap()).await.state().head.to_string(), two);
}
