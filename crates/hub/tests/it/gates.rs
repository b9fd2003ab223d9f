//! What a hub holds for those who ask: nobody has all of it, and nobody keeps it from others by being slow.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tolstoy_hub::auth::Secret;
use tolstoy_hub::service::{Service, Upload};
use tolstoy_hub::storage::SqliteStorage;
use tolstoy_hub::{Options, SqliteOptions};
use tolstoy_proto::{BlobDigest, Form, LogId, LogState, media, paths};

use crate::closed::Closed;
use crate::common::{Answer, Pushing, env, hold, log};

/// Far shorter than what a client may take at most, and far longer than an answer takes.
const SOON: Duration = Duration::from_secs(30);

async fn push(hub: &Closed, token: &Secret, log: LogId, push: &Pushing) -> Answer {
    let request = reqwest::Client::new().post(format!("{}{}", hub.hub.url(), paths::push(log)));
    let request = request.bearer_auth(token.expose()).header("content-type", media::MSGPACK);
    Answer::of(request.body(push.bytes(Form::MessagePack)).send().await.unwrap()).await
}

async fn pull(hub: &Closed, token: &Secret, log: LogId) -> Answer {
    let request = reqwest::Client::new().get(format!("{}{}", hub.hub.url(), paths::pull(log, &[])));
    Answer::of(request.bearer_auth(token.expose()).send().await.unwrap()).await
}

/// Fills a log with so many chunks of a MiB.
async fn fill(hub: &Closed, token: &Secret, log: LogId, count: u8) {
    let chunks: Vec<Vec<u8>> = (0..count).map(|n| vec![n; 1 << 20]).collect();
    let chunks = chunks.iter().fold(Pushing::onto(&LogState::EMPTY), |push, bytes| push.chunks(&[bytes]));
    assert_eq!(push(hub, token, log, &chunks).await.status, 200);
}

fn long_push(n: u8) -> Pushing {
    Pushing::onto(&LogState::EMPTY).chunks(&[&vec![n; 600 << 10]])
}

/// Sends the head of a request and the beginning of its body, over HTTP/1.1.
async fn begin(hub: &Closed, method: &str, path: &str, headers: &str, token: &Secret, body: &[u8]) -> TcpStream {
    let mut link = TcpStream::connect(hub.hub.address()).await.unwrap();
    let token = token.expose();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
    link.write_all(head.as_bytes()).await.unwrap();
    link.write_all(body).await.unwrap();
    link
}

#[tokio::test]
async fn one_token_does_not_keep_others_from_pushing_long_bodies() {
    let hub = Closed::start(Options::default()).await;
    let (one, other) = (hub.token("read,write", &[]), hub.token("read,write", &[]));
    let headers = format!("Content-Type: {}\r\nContent-Length: 60000000\r\n", media::MSGPACK);
    let mut held = Vec::new();
    for _ in 0..Options::default().large_bodies {
        let begun = &long_push(1).bytes(Form::MessagePack)[..400 << 10];
        held.push(begin(&hub, "POST", &paths::push(log(1)), &headers, &one, begun).await);
    }
    sleep(Duration::from_millis(200)).await;
    let pushed = timeout(SOON, push(&hub, &other, log(2), &long_push(2))).await.expect("a place for the other");
    assert_eq!(pushed.status, 200);
}

#[tokio::test]
async fn one_token_does_not_keep_others_from_long_answers() {
    let hub = Closed::start(Options::default()).await;
    let (one, other) = (hub.token("read,write", &[]), hub.token("read,write", &[]));
    fill(&hub, &one, log(1), 24).await;
    let mut held = JoinSet::new();
    for _ in 0..150 {
        let mut link = begin(&hub, "GET", &paths::pull(log(1), &[]), "", &one, b"").await;
        held.spawn(async move {
            let _ = link.read_exact(&mut [0; 1000]).await;
            link
        });
    }
    // Those that are answered are answered by now; all go on to read nothing.
    sleep(Duration::from_secs(2)).await;
    let pulled = timeout(SOON, pull(&hub, &other, log(1))).await.expect("a place for the other");
    assert!(pulled.status == 200 && pulled.body.len() > 24 << 20);
}

#[tokio::test]
async fn one_token_does_not_keep_others_from_snapshots() {
    let hub = Closed::start(Options::default()).await;
    let (one, other) = (hub.token("read,write", &[]), hub.token("read,write", &[]));
    let pushed = push(&hub, &one, log(1), &Pushing::onto(&LogState::EMPTY).text("one")).await;
    let path = paths::snapshot(log(1), pushed.state().head);
    let digest = BlobDigest::of(b"all of it").to_field();
    let headers = format!("{}: {digest}\r\nContent-Length: 60000000\r\n", media::REPR_DIGEST);
    let mut held = Vec::new();
    for _ in 0..Options::default().snapshot_uploads {
        held.push(begin(&hub, "PUT", &path, &headers, &one, b"and").await);
    }
    sleep(Duration::from_millis(200)).await;
    let request = reqwest::Client::new().put(format!("{}{path}", hub.hub.url())).bearer_auth(other.expose());
    let sent = request.header(media::REPR_DIGEST, &digest).body("all of it").send();
    assert_eq!(timeout(SOON, sent).await.expect("a place for the other").unwrap().status(), 201);
}

#[tokio::test]
async fn one_token_does_not_keep_others_from_being_asked_at_all() {
    let hub = Closed::start(Options { requests: 8, ..Options::default() }).await;
    let (one, other) = (hub.token("read,write", &[]), hub.token("read,write", &[]));
    let headers = format!("Content-Type: {}\r\nContent-Length: 1000\r\n", media::MSGPACK);
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(begin(&hub, "POST", &paths::push(log(1)), &headers, &one, b"x").await);
    }
    sleep(Duration::from_millis(200)).await;
    assert_eq!(pull(&hub, &other, log(1)).await.status, 200);
    assert_eq!(pull(&hub, &one, log(1)).await.error(), "busy");
}

#[tokio::test]
async fn a_slow_body_keeps_its_place_until_others_wait_for_it() {
    let options =
        Options { large_bodies: 1, stall_timeout: Duration::from_millis(400), min_rate: 4 << 20, ..Options::default() };
    let hub = Closed::start(options).await;
    let (one, other) = (hub.token("read,write", &[]), hub.token("read,write", &[]));
    let headers = format!("Content-Type: {}\r\nContent-Length: 60000000\r\n", media::MSGPACK);
    let chunk = Pushing::onto(&LogState::EMPTY).chunks(&[&vec![1; 16 << 20]]).bytes(Form::MessagePack);
    let (begun, rest) = chunk.split_at(400 << 10);
    let link = begin(&hub, "POST", &paths::push(log(1)), &headers, &one, begun).await;
    let (mut answers, mut link) = link.into_split();
    let rest = rest.to_vec();
    // Fast enough for one who is alone, and too slow where others wait.
    let slow = tokio::spawn(async move {
        for piece in rest.chunks(16 << 10) {
            if link.write_all(piece).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    sleep(Duration::from_millis(1500)).await;
    assert!(!slow.is_finished());
    assert!(timeout(Duration::from_millis(1), answers.readable()).await.is_err(), "nobody waits, and it is not cut");
    let pushed = timeout(SOON, push(&hub, &other, log(2), &long_push(2))).await.expect("its place");
    assert_eq!(pushed.status, 200);
    let mut answer = vec![0; 4096];
    let length = answers.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("while others waited"), "{answer}");
    slow.abort();
}

#[tokio::test]
async fn a_slow_reader_keeps_its_place_until_others_wait_for_it() {
    let options = Options {
        answer_memory: 3 << 19,
        stall_timeout: Duration::from_secs(2),
        min_rate: 8 << 20,
        ..Options::default()
    };
    let hub = Closed::start(options).await;
    let other = hub.token("read,write", &[]);
    fill(&hub, &other, log(1), 40).await;
    let mut slow = JoinSet::new();
    for _ in 0..4 {
        let token = hub.token("read", &[]);
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut link = socket.connect(hub.hub.address()).await.unwrap();
        let path = paths::pull(log(1), &[]);
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", token.expose());
        link.write_all(head.as_bytes()).await.unwrap();
        slow.spawn(async move {
            let (mut piece, mut read) = (vec![0; 16 << 10], 0);
            loop {
                match link.read(&mut piece).await {
                    Ok(n) if n > 0 => read += n,
                    _ => return read,
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
    sleep(Duration::from_millis(4500)).await;
    assert_eq!(slow.len(), 4);
    assert!(slow.try_join_next().is_none(), "nobody waits, and none is cut");
    let pulled = timeout(SOON, pull(&hub, &other, log(1))).await.expect("a place");
    assert!(pulled.status == 200 && pulled.body.len() > 40 << 20);
    // One of them was cut for it, at least.
    let read = timeout(SOON, slow.join_next()).await.unwrap().unwrap().unwrap();
    assert!(read < 40 << 20, "{read}");
}

#[tokio::test]
async fn answers_on_one_connection_are_bounded_in_sum() {
    let hub = Closed::start(Options { answer_memory: 4 << 20, ..Options::default() }).await;
    let (one, other) = (hub.token("read,write", &[]), hub.token("read,write", &[]));
    let short = Pushing::onto(&LogState::EMPTY).chunks(&[&vec![7; 300 << 10]]);
    assert_eq!(push(&hub, &one, log(1), &short).await.status, 200);
    let stream = TcpStream::connect(hub.hub.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut answers = JoinSet::new();
    for _ in 0..30 {
        let mut client = client.clone().ready().await.unwrap();
        let url = format!("{}{}", hub.hub.url(), paths::pull(log(1), &[]));
        let request = axum::http::Request::get(url).header("authorization", format!("Bearer {}", one.expose()));
        let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        answers.spawn(answer);
    }
    // Those for which there is room are answered; none of them is read.
    let mut begun = Vec::new();
    while let Ok(Some(answer)) = timeout(Duration::from_millis(500), answers.join_next()).await {
        begun.push(answer.unwrap().unwrap());
    }
    assert_eq!(begun.len(), 3, "three of 301 KiB are all that a quarter of 4 MiB holds");
    assert_eq!(pull(&hub, &other, log(1)).await.status, 200);
    // What is read, or is wanted no more, makes room for the next.
    drop(begun);
    assert!(timeout(SOON, answers.join_next()).await.unwrap().is_some());
    connection.abort();
}

#[tokio::test]
async fn what_a_push_holds_is_held_until_it_is_written() {
    let room = TempDir::new().unwrap();
    let storage = Arc::new(SqliteStorage::open(room.path(), &SqliteOptions::default()).unwrap());
    let service = Service::new(storage.clone(), env());
    let writer = hold(storage.as_ref());
    let place = Arc::new(());
    let upload = Upload::from_frames(long_push(1).all()).unwrap();
    let answer = service.clone().holding(Some(place.clone())).push(log(1), upload);
    // Nobody waits for the answer any more; the push waits for the writer with all that it holds.
    drop(answer);
    assert!(Arc::strong_count(&place) > 1);
    drop(writer);
    service.prove().await.unwrap();
    assert_eq!(service.info(log(1)).unwrap().seq.0, 1);
    timeout(SOON, async {
        while Arc::strong_count(&place) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is free again");
}
