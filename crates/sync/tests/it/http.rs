//! The transport over HTTP, to things that are no hub, or none that works.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tolstoy_proto::LogId;
use tolstoy_sync::{Answer, Body, HttpTransport, Remote, Transport, TransportError};
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

async fn pull(answer: &'static [u8]) -> TransportError {
    to(answer).await.pull(&[]).await.unwrap_err()
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
    let Answer::Stream(mut body) = to(head).await.pull(&[]).await.unwrap() else { panic!("no stream") };
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
    let Answer::Refused(body) = to(answer).await.pull(&[]).await.unwrap() else { panic!("not refused") };
    assert_eq!((body.error, body.message.as_str()), (tolstoy_proto::ErrorKind::Busy, "so much"));
}

#[tokio::test]
async fn where_nobody_listens_nobody_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut nobody = HttpTransport::new(Remote { url, log: LogId(Uuid::from_u128(1)) }).unwrap();
    assert!(matches!(nobody.pull(&[]).await, Err(TransportError::Unreachable(_))));
}
