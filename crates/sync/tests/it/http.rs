//! The transport over HTTP, to things that are no hub, or none that works.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tolstoy_proto::coding::{compress, decompress};
use tolstoy_proto::{ChunkId, LogId, LogState};
use tolstoy_sync::{Answer, Begin, Body, HttpTransport, Remote, Transport, TransportError};
use uuid::Uuid;

/// A transport to something that reads the head of one request, answers this, and stays silent.
async fn to(answer: &'static [u8]) -> HttpTransport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut link, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            head.push(link.read_u8().await.unwrap());
        }
        link.write_all(answer).await.unwrap();
        // Until the client has gone.
        let _ = link.read_to_end(&mut Vec::new()).await;
    });
    let log = LogId(Uuid::from_u128(1));
    HttpTransport::new(Remote { url, log }).unwrap().with_silence(Duration::from_millis(100))
}

/// A request that was sent: its head, in lowercase, and its body.
type Sent = (String, Vec<u8>);

/// A transport to something that gives these answers, one after the other; and what was sent to it.
async fn to_all(answers: Vec<Vec<u8>>) -> (HttpTransport, tokio::task::JoinHandle<Vec<Sent>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = tokio::spawn(async move {
        let (mut link, _) = listener.accept().await.unwrap();
        let mut sent = Vec::new();
        for answer in answers {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(link.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            link.read_exact(&mut body).await.unwrap();
            sent.push((head, body));
            link.write_all(&answer).await.unwrap();
        }
        sent
    });
    let log = LogId(Uuid::from_u128(1));
    (HttpTransport::new(Remote { url, log }).unwrap(), sent)
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn pull(answer: &'static [u8]) -> TransportError {
    to(answer).await.pull(&[], Begin::Transactions).await.unwrap_err()
}

async fn push(answer: &'static [u8]) -> TransportError {
    to(answer).await.push(Bytes::from_static(b"frames")).await.unwrap_err()
}

fn protocol(error: TransportError) -> String {
    match error {
        TransportError::Protocol(why) => why,
        other => panic!("{other}"),
    }
}

fn broken(error: TransportError) -> String {
    match error {
        TransportError::Broken(why) => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn who_never_answers_is_given_up() {
    for error in [pull(b"").await, push(b"").await, pull(b"HTTP/1.1 200 OK\r\nContent-").await] {
        assert!(broken(error).ends_with("nothing came from there for 0.1 seconds"));
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.tolstoy+msgpack\r\nContent-Length: 9\r\n\r\nabc";
    let Answer::Stream(mut body) = to(head).await.pull(&[], Begin::Transactions).await.unwrap() else {
        panic!("no stream")
    };
    assert_eq!(body.next().await.unwrap().unwrap(), "abc");
    assert!(broken(body.next().await.unwrap_err()).ends_with("nothing came from there for 0.1 seconds"));
}

#[tokio::test]
async fn who_is_no_hub_is_told_from_who_is_out_of_reach() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";
    assert_eq!(protocol(pull(page).await), "it answered 200 OK, and not as a hub does");
    assert_eq!(protocol(push(page).await), "it answered a push with no state of a log");

    let moved = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://hub.example/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(protocol(pull(moved).await), "it answered 308 Permanent Redirect: ask https://hub.example/");
    assert_eq!(protocol(push(moved).await), "it answered 308 Permanent Redirect: ask https://hub.example/");

    let gateway = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";
    assert!(broken(pull(gateway).await).ends_with("502 Bad Gateway"));
    assert!(broken(push(gateway).await).ends_with("502 Bad Gateway"));

    let fault = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nOops";
    assert_eq!(protocol(push(fault).await), "it answered 500 Internal Server Error, and not as a hub does");
}

#[tokio::test]
async fn a_hubs_own_error_is_its_own() {
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 36\r\n\r\n{\"error\":\"busy\",\"message\":\"so much\"}";
    let Answer::Refused(body) = to(answer).await.pull(&[], Begin::Transactions).await.unwrap() else {
        panic!("not refused")
    };
    assert_eq!((body.error, body.message.as_str()), (tolstoy_proto::ErrorKind::Busy, "so much"));
}

#[tokio::test]
async fn where_nobody_listens_nobody_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut nobody = HttpTransport::new(Remote { url, log: LogId(Uuid::from_u128(1)) }).unwrap();
    assert!(matches!(nobody.pull(&[], Begin::Transactions).await, Err(TransportError::Unreachable(_))));
}

const STREAM: &str = "Content-Type: application/vnd.tolstoy+msgpack\r\n";

#[tokio::test]
async fn a_body_is_compressed_once_the_hub_has_said_that_it_takes_that() {
    let taken = answer("200 OK", "Accept-Encoding: gzip, zstd\r\n", &serde_json::to_vec(&LogState::EMPTY).unwrap());
    let stored = answer("201 Created", "", b"");
    let refused = answer("415 Unsupported Media Type", "", br#"{"error":"unsupported-media-type","message":"no"}"#);
    let plain = answer("200 OK", "", &serde_json::to_vec(&LogState::EMPTY).unwrap());
    let (mut transport, sent) =
        to_all(vec![taken.clone(), taken.clone(), taken.clone(), taken, stored.clone(), refused, stored, plain]).await;
    let long = Bytes::from(vec![1; 100_000]);
    let noise: Vec<u8> = (0..5000_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
    let noise = Bytes::from(noise);
    let short = Bytes::from(vec![1; 10_000]);
    let id = ChunkId::of(&long);
    for body in [&long, &long, &noise, &short] {
        assert!(matches!(transport.push(body.clone()).await.unwrap(), Answer::Accepted(_)));
    }
    // The second of these meets a hub that takes zstd no longer.
    for _ in 0..2 {
        assert!(matches!(transport.put_chunk(&id, long.clone()).await.unwrap(), Answer::Stored));
    }
    assert!(matches!(transport.push(long.clone()).await.unwrap(), Answer::Accepted(_)));
    let sent = sent.await.unwrap();
    let coded: Vec<bool> = sent.iter().map(|(head, _)| head.contains("content-encoding: zstd")).collect();
    assert_eq!(coded, [false, true, false, false, true, true, false, false]);
    let bodies = [&long, &long, &noise, &short, &long, &long, &long, &long];
    for (((_, body), coded), meant) in sent.iter().zip(coded).zip(bodies) {
        let body = if coded { decompress(body, 100_000).unwrap() } else { body.clone() };
        assert!(body == *meant);
    }
    assert!(sent[0].0.contains("accept-encoding: zstd"));
}

/// What a stream of this body in zstd gives.
async fn streamed(coded: Vec<u8>) -> Result<(Vec<u8>, usize), TransportError> {
    let headers = format!("{STREAM}Content-Encoding: zstd\r\n");
    let (mut transport, _sent) = to_all(vec![answer("200 OK", &headers, &coded)]).await;
    let Answer::Stream(mut body) = transport.pull(&[], Begin::Transactions).await? else { panic!("no stream") };
    let (mut all, mut longest) = (Vec::new(), 0);
    while let Some(piece) = body.next().await? {
        longest = longest.max(piece.len());
        all.extend_from_slice(&piece);
    }
    Ok((all, longest))
}

#[tokio::test]
async fn a_compressed_stream_is_read_in_bounded_pieces() {
    let long = vec![0; 64 << 20];
    let coded = compress(&long, 3).unwrap();
    let (all, longest) = streamed(coded.clone()).await.unwrap();
    assert!(all == long && longest <= 64 << 10);
    // A frame that was cut is a stream that was cut, as its reader sees from what is missing.
    let (all, _) = streamed(coded[..coded.len() / 2].to_vec()).await.unwrap();
    assert!(!all.is_empty() && all.len() < long.len());
    assert!(broken(streamed(b"no frame at all".to_vec()).await.unwrap_err()).contains("not a zstd frame"));
    assert!(broken(streamed([coded.clone(), coded].concat()).await.unwrap_err()).contains("follows"));
    let (mut transport, _sent) =
        to_all(vec![answer("200 OK", &format!("{STREAM}Content-Encoding: br\r\n"), b"x")]).await;
    assert!(protocol(transport.pull(&[], Begin::Transactions).await.unwrap_err()).contains("\"br\""));
}

#[tokio::test]
async fn a_hub_that_says_when_to_ask_again_is_heard() {
    for (status, kind) in [("429 Too Many Requests", "rate-limited"), ("503 Service Unavailable", "busy")] {
        let body = format!("{{\"error\":\"{kind}\",\"message\":\"so much\"}}");
        let head = format!("HTTP/1.1 {status}\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer: &'static str = (head + &body).leak();
        let Answer::Later { after, body } = to(answer.as_bytes()).await.pull(&[], Begin::Transactions).await.unwrap()
        else {
            panic!("{kind}")
        };
        assert_eq!((after, body.message.as_str()), (Duration::from_secs(7), "so much"));
    }
}
