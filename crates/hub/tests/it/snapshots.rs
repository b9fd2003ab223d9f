//! Snapshots, quotas, and the state that every answer of `/1` carries.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tolstoy_hub::service::{Policy, Threshold};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::{BlobDigest, Form, Frame, LogState, Pushed, Snapshots, TrnId, Urgency, media, paths};

use crate::common::{Answer, Pushing, TestHub, env, log, texts};

async fn hub(policy: Policy) -> TestHub {
    let directory = TempDir::new().unwrap();
    let options = Options { policy, gc_rest: Duration::from_millis(1), ..Options::default() };
    let hub = Hub::open(directory.path(), env(), options).unwrap();
    let handle = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    TestHub { handle, client: reqwest::Client::new(), directory }
}

/// A hub whose log 1 has so many transactions; their ids.
async fn hub_with(count: usize) -> (TestHub, Vec<TrnId>) {
    let hub = hub(Policy::default()).await;
    let mut push = Pushing::onto(&LogState::EMPTY);
    let mut ids = Vec::new();
    for n in 0..count {
        push = push.text(&format!("transaction {n}"));
        ids.push(push.last.0);
    }
    assert_eq!(hub.push(log(1), &push).await.status, 200);
    (hub, ids)
}

async fn put(hub: &TestHub, trn: TrnId, bytes: &[u8], digest: &str) -> Answer {
    let request = hub.client.put(hub.url(&paths::snapshot(log(1), trn))).header(media::REPR_DIGEST, digest);
    Answer::of(request.body(bytes.to_vec()).send().await.unwrap()).await
}

/// Sends a snapshot in pieces, without its length; gives the whole answer.
async fn put_unannounced(hub: &TestHub, trn: TrnId, bytes: &[u8]) -> String {
    let mut request = format!(
        "PUT {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n{}: {}\r\n\r\n",
        paths::snapshot(log(1), trn),
        media::REPR_DIGEST,
        BlobDigest::of(bytes).to_field()
    );
    for piece in bytes.chunks(100) {
        request += &format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap());
    }
    request += "0\r\n\r\n";
    let mut stream = tokio::net::TcpStream::connect(hub.handle.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn keep(hub: &TestHub, trn: TrnId, bytes: &[u8]) -> Snapshots {
    let answer = put(hub, trn, bytes, &BlobDigest::of(bytes).to_field()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

async fn list(hub: &TestHub) -> Snapshots {
    serde_json::from_slice(&hub.get(&paths::snapshots(log(1))).await.body).unwrap()
}

fn places(snapshots: &Snapshots) -> Vec<u64> {
    snapshots.snapshots.iter().map(|snapshot| snapshot.seq.0).collect()
}

fn blob(n: u8, size: usize) -> Vec<u8> {
    (0..size).map(|i| n.wrapping_add((i % 251) as u8)).collect()
}

#[tokio::test]
async fn a_snapshot_comes_back_as_it_was_sent() {
    let (hub, ids) = hub_with(3).await;
    for (n, size) in [0, 1, 256 << 10, (256 << 10) + 1, 3_000_000].into_iter().enumerate() {
        let bytes = blob(n as u8, size);
        let kept = keep(&hub, ids[2], &bytes).await;
        assert_eq!(kept.state, hub.state(log(1)).await);
        assert_eq!(kept, list(&hub).await);
        let [snapshot] = kept.snapshots[..] else { panic!("{kept:?}") };
        assert_eq!((snapshot.id, snapshot.seq, snapshot.chain), (ids[2], kept.state.seq, kept.state.chain));
        assert_eq!((snapshot.digest, snapshot.bytes), (BlobDigest::of(&bytes), size as u64));
        let answer = hub.client.get(hub.url(&paths::snapshot(log(1), ids[2]))).send().await.unwrap();
        let field = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(field("repr-digest"), snapshot.digest.to_field());
        assert_eq!(field("content-length"), size.to_string());
        assert_eq!(field("content-type"), media::OCTETS);
        assert_eq!(LogState::from_field(&field(media::STATE)), Some(kept.state));
        let tag = field("etag");
        assert_eq!(answer.bytes().await.unwrap(), bytes);
        let request = hub.client.get(hub.url(&paths::snapshot(log(1), ids[2]))).header("if-none-match", tag);
        assert_eq!(request.send().await.unwrap().status(), 304);
    }
}

#[tokio::test]
async fn the_newest_is_kept_and_the_one_before() {
    let (hub, ids) = hub_with(5).await;
    assert_eq!(places(&keep(&hub, ids[1], b"two").await), [2]);
    assert_eq!(places(&keep(&hub, ids[3], b"four").await), [4, 2]);
    assert_eq!(places(&keep(&hub, ids[1], b"two").await), [4, 2], "the same again");
    assert_eq!(places(&keep(&hub, ids[0], b"one").await), [4, 2], "older than all that are kept");
    let held = hub.client.get(hub.url(&paths::snapshot(log(1), ids[1]))).send().await.unwrap();
    assert_eq!(places(&keep(&hub, ids[4], b"five").await), [5, 4]);
    assert_eq!(held.bytes().await.unwrap(), "two");
    assert_eq!(places(&keep(&hub, ids[2], b"three").await), [5, 4]);
    // Of one transaction, the last upload counts.
    assert_eq!(places(&keep(&hub, ids[4], b"FIVE").await), [5, 4]);
    assert_eq!(hub.get(&paths::snapshot(log(1), ids[4])).await.text(), "FIVE");
    assert_eq!(hub.get(&paths::snapshot(log(1), ids[1])).await.error(), "not-found");
    let hub = hub.restart().await;
    assert_eq!(places(&list(&hub).await), [5, 4]);
    hub.delete(&paths::log(log(1))).await;
    assert_eq!(list(&hub).await, Snapshots { state: LogState::EMPTY, snapshots: vec![] });
}

#[tokio::test]
async fn what_is_no_snapshot_of_the_log_is_refused() {
    let (hub, ids) = hub_with(1).await;
    let other = BlobDigest::of(b"other").to_field();
    for digest in ["", "sha-256=nonsense", "sha-512=:AAAA:", other.as_str()] {
        assert_eq!(put(&hub, ids[0], b"bytes", digest).await.error(), "bad-request", "{digest}");
    }
    let digest = BlobDigest::of(b"bytes").to_field();
    for unknown in [TrnId::ROOT, TrnId(log(9).0)] {
        let answer = put(&hub, unknown, b"bytes", &digest).await;
        assert_eq!((answer.status, answer.error().as_str()), (404, "not-found"));
        assert_eq!(
            serde_json::from_value::<LogState>(answer.json()["state"].clone()).unwrap(),
            hub.state(log(1)).await
        );
    }
    let request = hub.client.put(hub.url(&paths::snapshot(log(1), ids[0]))).header(media::REPR_DIGEST, &digest);
    let coded = Answer::of(request.header("content-encoding", "zstd").body("bytes").send().await.unwrap()).await;
    assert_eq!(coded.error(), "unsupported-media-type");
    assert_eq!(places(&list(&hub).await), [0; 0]);

    let hub = self::hub(Policy { snapshot_limit: 1000, ..Policy::default() }).await;
    let state = hub.push(log(1), &Pushing::onto(&LogState::EMPTY).text("x")).await.state();
    let long = put(&hub, state.head, &[1; 1001], &BlobDigest::of(&[1; 1001]).to_field()).await;
    assert_eq!((long.status, long.error().as_str()), (413, "too-large"));
    assert_eq!(places(&keep(&hub, state.head, &[1; 1000]).await), [1]);
}

#[tokio::test]
async fn a_stream_begins_with_the_newest_snapshot_where_it_is_asked_to() {
    let (hub, ids) = hub_with(4).await;
    let bytes = blob(7, 900_000);
    keep(&hub, ids[0], b"older").await;
    keep(&hub, ids[2], &bytes).await;
    let [newest, _] = list(&hub).await.snapshots[..] else { panic!() };
    let pull = async |query: &str, accept: &str| {
        let request = hub.client.get(hub.url(&format!("{}{query}", paths::pull(log(1), &[])))).header("accept", accept);
        Answer::of(request.send().await.unwrap()).await.frames()
    };
    for accept in [media::MSGPACK, media::JSON] {
        let frames = pull("?snapshot=1", accept).await;
        let Some((Frame::Start(start), rest)) = frames.split_first() else { panic!() };
        assert_eq!((start.from, start.state), (TrnId::ROOT, hub.state(log(1)).await));
        let Some((Frame::Snapshot(snapshot), rest)) = rest.split_first() else { panic!() };
        assert_eq!(*snapshot, newest);
        let mut blob = Vec::new();
        let pieces = rest.iter().take_while(|frame| matches!(frame, Frame::Piece(_))).count();
        for frame in &rest[..pieces] {
            let Frame::Piece(piece) = frame else { panic!() };
            assert!(piece.bytes.len() <= 256 << 10);
            blob.extend_from_slice(&piece.bytes);
        }
        assert_eq!(blob, bytes);
        let tail = &rest[pieces..];
        assert_eq!(texts(tail), [["transaction 3"]]);
        let Some(Frame::End(end)) = tail.last() else { panic!() };
        assert_eq!((end.count, end.chain), (1, start.state.chain));
    }
    // Who does not ask never sees it, nor who has something already.
    for query in ["", "?snapshot=0", &format!("?from={}&snapshot=1", ids[0])] {
        assert!(pull(query, media::MSGPACK).await.iter().all(|frame| !matches!(frame, Frame::Snapshot(_))), "{query}");
    }
    keep(&hub, ids[3], b"head").await;
    let frames = pull("?snapshot=1", media::MSGPACK).await;
    assert!(matches!(frames[..], [Frame::Start(_), Frame::Snapshot(_), Frame::Piece(_), Frame::End(_)]), "{frames:?}");
}

#[tokio::test]
async fn a_push_says_when_a_snapshot_is_wanted() {
    let low = Threshold { bytes: 10_000, transactions: 3 };
    let high = Threshold { bytes: 50_000, transactions: 6 };
    let hub = hub(Policy { snapshot_low: low, snapshot_high: high, ..Policy::default() }).await;
    let mut state = LogState::EMPTY;
    let mut push = async |text: &str| -> Pushed {
        let answer = hub.push(log(1), &Pushing::onto(&state).text(text)).await;
        let pushed: Pushed = serde_json::from_slice(&answer.body).unwrap();
        state = pushed.state;
        pushed
    };
    let mut urgency = async |text: &str| push(text).await.snapshot.map(|wanted| wanted.urgency);
    assert_eq!(urgency("1").await, None);
    assert_eq!(urgency("2").await, None);
    for n in 3..6 {
        assert_eq!(urgency(&n.to_string()).await, Some(Urgency::Low));
    }
    assert_eq!(urgency("6").await, Some(Urgency::High));
    let head = hub.state(log(1)).await.head;
    keep(&hub, head, b"snapshot").await;
    assert_eq!(urgency("7").await, None);
    assert_eq!(urgency(&"x".repeat(10_000)).await, Some(Urgency::Low));
    assert_eq!(urgency(&"x".repeat(40_000)).await, Some(Urgency::High));
}

#[tokio::test]
async fn a_log_holds_no_more_than_its_quota() {
    let hub = hub(Policy { quota_bytes: Some(5000), quota_transactions: Some(3), ..Policy::default() }).await;
    let refused = |answer: &Answer, of: &str| {
        assert_eq!((answer.status, answer.error().as_str()), (507, "quota"), "{}", answer.text());
        let quota = answer.json()["quota"].clone();
        assert_eq!(quota["of"], of);
        (quota["limit"].as_u64().unwrap(), quota["used"].as_u64().unwrap())
    };
    let first = Pushing::onto(&LogState::EMPTY).text(&"x".repeat(4000));
    let state = hub.push(log(1), &first).await.state();
    // 100 for the transaction, 64 for its chunk's id.
    let used = 4000 + 164;
    let large = hub.push(log(1), &Pushing::onto(&state).text(&"y".repeat(700))).await;
    assert_eq!(refused(&large, "bytes"), (5000, used));
    assert_eq!(serde_json::from_value::<LogState>(large.json()["state"].clone()).unwrap(), state);
    let chunk = format!("{}/chunks/plain", paths::v0_base(log(1)));
    assert_eq!(refused(&hub.put(&chunk, vec![1; 900]).await, "bytes"), (5000, used));
    assert_eq!(
        refused(&put(&hub, state.head, &[1; 900], &BlobDigest::of(&[1; 900]).to_field()).await, "bytes").1,
        used
    );
    // One whose length nobody announced is weighed as it arrives.
    let streamed = put_unannounced(&hub, state.head, &[1; 900]).await;
    assert!(streamed.starts_with("HTTP/1.1 507") && streamed.contains(&format!("\"used\":{used}")), "{streamed}");
    let (two, four) = (Pushing::onto(&state).text("a").text("b"), Pushing::onto(&state).text("a").text("b").text("c"));
    assert_eq!(refused(&hub.push(log(1), &four).await, "transactions"), (3, 1));
    assert_eq!(hub.state(log(1)).await, state, "nothing was changed");
    let state = hub.push(log(1), &two).await.state();
    assert_eq!(state.seq.0, 3);
    assert_eq!(hub.push(log(1), &two).await.state(), state, "the same again is no more");
    let pending = json!({"parent": state.head, "chunks": []}).to_string();
    assert_eq!(
        refused(&hub.put(&paths::v0_transaction(log(1), TrnId(log(5).0)), pending).await, "transactions"),
        (3, 3)
    );
    // Reading and deleting go on, and other logs have quotas of their own.
    assert_eq!(texts(&hub.pull(log(1), &[]).await).len(), 3);
    assert_eq!(hub.push(log(2), &first).await.status, 200);
    // Empty chunks weigh what their rows do.
    let empty = |n: u64| format!("{}/chunks/empty-{n}", paths::v0_base(log(3)));
    for n in 0..50 {
        assert_eq!(hub.put(&empty(n), vec![]).await.status, 201);
    }
    assert_eq!(refused(&hub.put(&empty(50), vec![]).await, "bytes"), (5000, 5000));
    assert_eq!(hub.delete(&paths::log(log(1))).await.status, 204);
    assert_eq!(hub.push(log(1), &first).await.status, 200);
}

/// The state that an answer carries: in its header, or in its body.
fn carried(headers: &HeaderMap<HeaderValue>, content_type: &str, body: &[u8]) -> Option<LogState> {
    if let Some(field) = headers.get(media::STATE) {
        return LogState::from_field(field.to_str().unwrap());
    }
    let frames = |form| crate::common::frames(form, body).ok();
    let start = |frames: Vec<Frame>| match frames.first() {
        Some(Frame::Start(start)) => Some(start.state),
        _ => None,
    };
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(_)) => frames(Form::Json).and_then(start),
        Ok(mut object) if object["error"].is_string() => serde_json::from_value(object["state"].take()).ok(),
        Ok(object) => serde_json::from_value(object).ok(),
        Err(_) if content_type == media::MSGPACK => frames(Form::MessagePack).and_then(start),
        Err(_) => None,
    }
}

#[tokio::test]
async fn every_answer_of_1_carries_the_state() {
    let (hub, ids) = hub_with(2).await;
    keep(&hub, ids[0], b"snapshot").await;
    let base = paths::log(log(1));
    let here = hub.state(log(1)).await;
    let conflict = Pushing::onto(&LogState { head: ids[0], ..LogState::EMPTY }).text("late").bytes(Form::MessagePack);
    let missing = Pushing::onto(&here).transaction(TrnId(log(6).0), vec!["absent".parse().unwrap()], vec![]);
    let mut taken = Pushing::onto(&here).text("x");
    if let Some(Frame::Transaction(trn)) = taken.frames.first_mut() {
        trn.id = ids[0];
    }
    let mut forked = here;
    forked.chain.0[0] ^= 1;
    let other = LogState { generation: here.generation.map(|g| tolstoy_proto::Generation { number: 9, ..g }), ..here };
    let digest = BlobDigest::of(b"snapshot").to_field();
    let msgpack = |bytes: Vec<u8>| (Some(("content-type", media::MSGPACK.to_owned())), bytes);
    let none = || (None, Vec::new());
    /// A header and a body.
    type Sent = (Option<(&'static str, String)>, Vec<u8>);
    let table: Vec<(&str, String, u16, Sent)> = vec![
        ("GET", base.clone(), 200, none()),
        ("GET", format!("{base}?wait=x"), 400, none()),
        ("GET", format!("{base}/pull"), 200, none()),
        ("GET", format!("{base}/pull?from=x"), 400, none()),
        ("GET", format!("{base}/pull"), 200, (Some(("accept", media::JSON.to_owned())), Vec::new())),
        ("GET", format!("{base}/pull"), 406, (Some(("accept-encoding", "identity;q=0".to_owned())), Vec::new())),
        ("POST", format!("{base}/push"), 200, msgpack(Pushing::onto(&here).bytes(Form::MessagePack))),
        ("POST", format!("{base}/push"), 409, msgpack(conflict)),
        ("POST", format!("{base}/push"), 409, msgpack(taken.bytes(Form::MessagePack))),
        ("POST", format!("{base}/push"), 412, msgpack(Pushing::onto(&other).text("x").bytes(Form::MessagePack))),
        ("POST", format!("{base}/push"), 422, msgpack(missing.bytes(Form::MessagePack))),
        ("POST", format!("{base}/push"), 422, msgpack(Pushing::onto(&forked).text("x").bytes(Form::MessagePack))),
        ("POST", format!("{base}/push"), 400, msgpack(vec![1, 2, 3])),
        ("POST", format!("{base}/push"), 415, none()),
        ("POST", format!("{base}/push"), 413, msgpack(vec![0; (64 << 20) + 1])),
        ("GET", paths::snapshots(log(1)), 200, none()),
        ("GET", paths::snapshot(log(1), ids[0]), 200, none()),
        ("GET", paths::snapshot(log(1), ids[1]), 404, none()),
        ("GET", format!("{base}/snapshots/x"), 400, none()),
        (
            "PUT",
            paths::snapshot(log(1), ids[0]),
            201,
            (Some((media::REPR_DIGEST, digest.clone())), b"snapshot".to_vec()),
        ),
        ("PUT", paths::snapshot(log(1), TrnId::ROOT), 404, (Some((media::REPR_DIGEST, digest)), b"snapshot".to_vec())),
        ("PUT", paths::snapshot(log(1), ids[0]), 400, none()),
    ];
    for (method, path, status, (header, body)) in table {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = hub.client.request(method.clone(), hub.url(&path)).body(body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        let headers = answer.headers().clone();
        let answer = Answer::of(answer).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let state = carried(&headers, &answer.content_type, &answer.body);
        assert_eq!(state, Some(here), "{method} {path} {status}");
    }
    let deleted = hub.client.delete(hub.url(&base)).send().await.unwrap();
    assert_eq!(carried(deleted.headers(), "", b""), Some(LogState::EMPTY));
    // The next life is another, also after its predecessor's rows were swept.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let next = hub.push(log(1), &Pushing::onto(&LogState::EMPTY).text("next")).await.state();
    assert_eq!(next.generation.unwrap().number, here.generation.unwrap().number + 1);
}
