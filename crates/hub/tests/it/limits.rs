//! How much of a hub one asker gets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tolstoy_hub::{Options, Rate};
use tolstoy_proto::{Form, LogState, media, paths};

use crate::closed::Closed;
use crate::common::{Answer, Pushing, TestHub, log};

/// One request, and the next not in this test's lifetime.
const ONE: Option<Rate> = Some(Rate { per_second: 1, burst: 1 });

async fn ask(hub: &Closed, token: Option<&str>, headers: &[(&'static str, &str)]) -> (Option<String>, Answer) {
    let mut request = reqwest::Client::new().get(format!("{}{}", hub.hub.url(), paths::log(log(1))));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (after, Answer::of(response).await)
}

#[tokio::test]
async fn a_token_has_so_many_requests() {
    let rate = Some(Rate { per_second: 1, burst: 3 });
    let hub = Closed::start(Options { token_rate: rate, address_rate: None, ..Options::default() }).await;
    let (one, other) = (hub.token("read", &[]), hub.token("read", &[]));
    let mut refused = None;
    // At least one of so many is refused, however slow this machine is: a burst is three, and the next three seconds away.
    for _ in 0..100 {
        let (after, answer) = ask(&hub, Some(one.expose()), &[]).await;
        if answer.status == 429 {
            refused = Some((after, answer));
            break;
        }
        assert_eq!(answer.status, 200);
    }
    let (after, answer) = refused.unwrap();
    assert_eq!((after.as_deref(), answer.error().as_str()), (Some("1"), "rate-limited"));
    assert_eq!(ask(&hub, Some(other.expose()), &[]).await.1.status, 200);
}

#[tokio::test]
async fn an_address_has_so_many_requests_also_without_a_token() {
    let hub = Closed::start(Options { address_rate: ONE, ..Options::default() }).await;
    let status = async |token| ask(&hub, token, &[]).await.1.status;
    for _ in 0..3 {
        assert_eq!(status(None).await, 200, "nobody is counted on loopback where no token is asked for");
    }
    let token = hub.token("read", &[]);
    let mut answers = Vec::new();
    while !answers.contains(&429) {
        answers.push(status(None).await);
        answers.push(status(Some(token.expose())).await);
    }
    assert!(matches!(answers[0], 401), "{answers:?}");
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_the_one_that_it_names() {
    let options = Options { address_rate: ONE, behind_proxy: true, require_token: true, ..Options::default() };
    let hub = Closed::start(options).await;
    let token = hub.token("read", &[]);
    let status = async |value: &str| ask(&hub, Some(token.expose()), &[("x-forwarded-for", value)]).await.1.status;
    for client in 1..20 {
        assert_eq!(status(&format!("192.0.2.{client}")).await, 200);
        assert_eq!(status(&format!("10.0.0.1, 198.51.100.{client}")).await, 200);
    }
    let mut tries = 0;
    while status("203.0.113.1").await == 200 {
        tries += 1;
        assert!(tries < 100);
    }
}

#[tokio::test]
async fn without_a_proxy_nobody_says_where_he_comes_from() {
    let hub = Closed::start(Options { address_rate: ONE, ..Options::default() }).await;
    let token = hub.token("read", &[]);
    let mut answers = Vec::new();
    for client in 0..50 {
        let named = format!("192.0.2.{client}");
        answers.push(ask(&hub, Some(token.expose()), &[("x-forwarded-for", &named)]).await.1.status);
    }
    assert!(answers.contains(&429));
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let options = Options { connections_per_address: 2, require_token: true, ..Options::default() };
    let hub = Closed::start(options).await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let connect = async || {
        let mut link = TcpStream::connect(hub.hub.address()).await.unwrap();
        // The connection may be closed before this is written.
        let _ = link.write_all(request).await;
        let mut first = [0; 12];
        let is_answered = link.read_exact(&mut first).await.is_ok() && &first == b"HTTP/1.1 200";
        is_answered.then_some(link)
    };
    let (one, two) = (connect().await, connect().await);
    assert!(one.is_some() && two.is_some());
    assert!(connect().await.is_none());
    drop(one);
    // The hub notices that it has gone, sooner or later.
    while connect().await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_http2_answer_that_nobody_takes_is_cut() {
    let options = Options { stall_timeout: Duration::from_millis(200), ..Options::default() };
    let hub = TestHub::start_with(options).await;
    let mut state = LogState::EMPTY;
    for _ in 0..8 {
        let text = "x".repeat(1 << 20);
        let bytes = Pushing::onto(&state).text(&text).bytes(Form::MessagePack);
        let answer = hub.push_bytes(log(1), bytes).await;
        assert_eq!(answer.status, 200);
        state = answer.state();
    }
    // A connection whose one answer is not read, while the connection itself is alive and moves.
    let stream = TcpStream::connect(hub.handle.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let url = format!("{}{}", hub.handle.url(), paths::pull(log(1), &[]));
    let request = axum::http::Request::get(url).header("accept", media::MSGPACK).body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    // It ends, though nobody took the body.
    let _ = connection.await.unwrap();
    drop(answer);
    // And its place is free: others are answered whole.
    assert!(hub.pull(log(1), &[]).await.len() > 8);
}

#[tokio::test]
async fn an_http2_answer_that_is_taken_slowly_arrives_whole() {
    let options = Options { stall_timeout: Duration::from_secs(2), ..Options::default() };
    let hub = TestHub::start_with(options).await;
    let bytes = Pushing::onto(&LogState::EMPTY).text(&"x".repeat(400 << 10)).bytes(Form::MessagePack);
    assert_eq!(hub.push_bytes(log(1), bytes).await.status, 200);
    let stream = TcpStream::connect(hub.handle.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let url = format!("{}{}", hub.handle.url(), paths::pull(log(1), &[]));
    let (answer, _) = client.send_request(axum::http::Request::get(url).body(()).unwrap(), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        length += piece.len();
        tokio::time::sleep(Duration::from_millis(5)).await;
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert!(length > 400 << 10, "{length}");
}
