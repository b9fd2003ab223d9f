//! Bodies over the limits, and long ones within them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::limits::{MAX_CHUNK, MAX_PUSH};
use tolstoy_proto::{Form, LogState, media, paths};

use crate::common::{Pushing, TestHub, check_stream, env, log};

#[tokio::test]
async fn a_chunk_may_be_so_long_and_no_longer() {
    let hub = TestHub::start().await;
    let path = |name: &str| format!("{}/chunks/{name}", paths::v0_base(log(1)));
    let longest = vec![7; MAX_CHUNK];
    assert_eq!(hub.put(&path("longest"), longest.clone()).await.status, 201);
    assert!(hub.get(&path("longest")).await.body == longest);
    let longer = hub.put(&path("longer"), vec![7; MAX_CHUNK + 1]).await;
    assert_eq!((longer.status, longer.error().as_str()), (413, "too-large"));
    assert_eq!(hub.get(&path("longer")).await.status, 404);
    let head = hub.put(&paths::v0_head(log(1)), vec![b' '; 9 << 20]).await;
    assert_eq!(head.status, 413);
}

#[tokio::test]
async fn a_long_push_is_put_aside_and_then_whole() {
    let hub = TestHub::start().await;
    let large = vec![1; 5 << 20];
    let mut push = Pushing::onto(&LogState::EMPTY).text("small").chunks(&[&large, b"more"]);
    for n in 0..2000 {
        push = push.text(&format!("transaction {n}"));
    }
    // Repeated: the whole of it is a repeat; in JSON: the same.
    for form in [Form::MessagePack, Form::Json, Form::MessagePack] {
        let media = if form == Form::Json { media::JSON } else { media::MSGPACK };
        let request = hub.client.post(hub.url(&paths::push(log(1)))).header("content-type", media);
        let answer = crate::common::Answer::of(request.body(push.bytes(form)).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!((answer.state().head, answer.state().seq.0), (push.last.0, 2002));
    }
    check_stream(&hub.pull(log(1), &[]).await);
    let left: Vec<_> = std::fs::read_dir(hub.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("hub.")), "{left:?}");
}

#[tokio::test]
async fn a_long_push_that_is_malformed_late_is_refused_and_leaves_nothing() {
    let hub = TestHub::start().await;
    let mut bytes = Pushing::onto(&LogState::EMPTY).chunks(&[&vec![1; 2 << 20]]).bytes(Form::MessagePack);
    let last = bytes.len() - 50;
    bytes[last] ^= 0xff;
    assert_eq!(hub.push_bytes(log(1), bytes).await.error(), "bad-request");
    let mut frame = Pushing::onto(&LogState::EMPTY).text("x").bytes(Form::MessagePack);
    frame.extend((20u32 << 20).to_be_bytes());
    frame.extend(vec![0; 1 << 20]);
    let answer = hub.push_bytes(log(1), frame).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
}

#[tokio::test]
async fn a_push_over_the_limit_is_refused() {
    let hub = TestHub::start().await;
    let answer = hub.push_bytes(log(1), vec![0; MAX_PUSH + 1]).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn a_client_that_stalls_is_told_and_others_are_served() {
    let options = Options {
        header_timeout: Duration::from_millis(50),
        stall_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let hub = HubHandle::start(Hub::in_memory(env(), options), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut silent = tokio::net::TcpStream::connect(hub.address()).await.unwrap();
    silent.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.unwrap();
    let mut stalled = tokio::net::TcpStream::connect(hub.address()).await.unwrap();
    let head = format!("PUT {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", paths::v0_head(log(1)));
    stalled.write_all(head.as_bytes()).await.unwrap();
    let health = reqwest::get(format!("{}/healthz", hub.url())).await.unwrap();
    assert_eq!(health.status(), 200);
    let mut answer = String::new();
    stalled.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"timeout\""), "{answer}");
    let mut answer = Vec::new();
    // The connection ends, with or without words.
    let _ = silent.read_to_end(&mut answer).await;
    hub.stop().await.unwrap();
}

/// Takes the head of a good answer, which has no body.
async fn is_answered(link: &mut tokio::net::TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(link.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_kept_connection_may_rest_for_longer_than_a_head_may_take() {
    let options = Options { header_timeout: Duration::from_millis(100), ..Options::default() };
    let hub = HubHandle::start(Hub::in_memory(env(), options), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut link = tokio::net::TcpStream::connect(hub.address()).await.unwrap();
    for _ in 0..2 {
        link.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        is_answered(&mut link).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    // A head that begins and does not end: cut, long before an idle connection would be.
    link.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.unwrap();
    let _ = link.read_to_end(&mut Vec::new()).await;
    hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_next_head_is_arriving_is_not_idle() {
    let options = Options { idle_timeout: Duration::from_millis(200), ..Options::default() };
    let hub = HubHandle::start(Hub::in_memory(env(), options), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut link = tokio::net::TcpStream::connect(hub.address()).await.unwrap();
    for begun in ["HEAD /healthz HTTP/1.1\r\nHost: ", "HEAD /he"] {
        link.write_all(begun.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        let rest = "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".strip_prefix(begun).unwrap();
        link.write_all(rest.as_bytes()).await.unwrap();
        is_answered(&mut link).await;
    }
    hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_sends_a_byte_now_and_then_stalls_too() {
    let options = Options { stall_timeout: Duration::from_millis(200), ..Options::default() };
    let hub = HubHandle::start(Hub::in_memory(env(), options), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let link = tokio::net::TcpStream::connect(hub.address()).await.unwrap();
    let (mut answers, mut link) = link.into_split();
    let head = format!("PUT {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n", paths::v0_head(log(1)));
    link.write_all(head.as_bytes()).await.unwrap();
    // It ends by being refused: the bytes it announced would take far longer.
    let dripping = tokio::spawn(async move {
        while link.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = [0; 13];
    answers.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408 ");
    dripping.abort();
    hub.stop().await.unwrap();
}
