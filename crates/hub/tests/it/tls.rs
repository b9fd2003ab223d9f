//! TLS and HTTP/2.

use std::time::Duration;

use reqwest::Version;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tolstoy_hub::{Hub, HubHandle, Options, TlsOptions};
use tolstoy_proto::paths;

use crate::common::{env, log};

fn own() -> Option<TlsOptions> {
    Some(TlsOptions::SelfSigned { names: vec![] })
}

async fn start(room: &TempDir, options: Options) -> HubHandle {
    let hub = Hub::open(room.path(), env(), options).unwrap();
    HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// A client that believes the certificate in the hub's data directory, and no other.
fn client(room: &TempDir) -> reqwest::ClientBuilder {
    let pem = std::fs::read(room.path().join("tls-cert.pem")).unwrap();
    reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
}

#[tokio::test]
async fn over_tls_both_versions_of_http_are_spoken() {
    let room = TempDir::new().unwrap();
    let hub = start(&room, Options { tls: own(), ..Options::default() }).await;
    assert!(hub.url().starts_with("https://127.0.0.1:"));
    let url = format!("{}/healthz", hub.url());
    for (client, version) in [(client(&room), Version::HTTP_2), (client(&room).http1_only(), Version::HTTP_11)] {
        let response = client.build().unwrap().get(&url).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
    }
    assert!(reqwest::get(&url).await.is_err(), "nobody vouches for it");
    hub.stop().await.unwrap();
}

#[tokio::test]
async fn without_tls_both_versions_are_spoken_too() {
    let room = TempDir::new().unwrap();
    let hub = start(&room, Options::default()).await;
    let url = format!("{}{}", hub.url(), paths::log(log(1)));
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let response = http2.get(&url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    // Host is looked at in HTTP/2 as in HTTP/1.1.
    let named = http2.get(&url).header("host", "evil.example").send().await.unwrap();
    assert_eq!(named.status(), 403);
    let evil = http2.get(&url).header("origin", "http://evil.example").send().await.unwrap();
    assert_eq!(evil.status(), 403);
}

#[tokio::test]
async fn a_certificate_is_renewed_while_the_hub_serves() {
    let (room, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    start(&other, Options { tls: own(), ..Options::default() }).await.stop().await.unwrap();
    let hub = start(&room, Options { tls: own(), ..Options::default() }).await;
    let url = format!("{}/healthz", hub.url());
    let ask = async |client: reqwest::ClientBuilder| client.build().unwrap().get(&url).send().await.is_ok();
    let (old, new) = (|| client(&room), || client(&other));
    let first = old();
    assert!(ask(old()).await && !ask(new()).await);
    std::fs::copy(other.path().join("tls-cert.pem"), room.path().join("tls-cert.pem")).unwrap();
    assert!(hub.reloader().reload().is_err(), "the key is not its");
    assert!(ask(first).await);
    std::fs::copy(other.path().join("tls-key.pem"), room.path().join("tls-key.pem")).unwrap();
    hub.reloader().reload().unwrap();
    assert!(ask(new()).await);
}

#[tokio::test]
async fn who_speaks_plain_http_to_tls_is_told() {
    let room = TempDir::new().unwrap();
    let hub = start(&room, Options { tls: own(), ..Options::default() }).await;
    let response = reqwest::get(format!("http://{}/healthz", hub.address())).await.unwrap();
    assert_eq!(response.status(), 400);
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(body["message"], "this hub speaks TLS: ask https://, not http://");
}

#[tokio::test]
async fn who_begins_nothing_is_cut() {
    let room = TempDir::new().unwrap();
    let short = Duration::from_millis(20);
    let options = Options { handshake_timeout: short, header_timeout: short, ..Options::default() };
    let plain = start(&room, options.clone()).await;
    let secure_room = TempDir::new().unwrap();
    let secure = start(&secure_room, Options { tls: own(), ..options }).await;
    // Nothing; the beginning of a handshake; the beginnings of both versions.
    for (hub, begun) in [
        (&plain, &b""[..]),
        (&plain, b"GET / HT"),
        (&plain, b"PRI * HTTP/2.0\r\n"),
        (&secure, b""),
        (&secure, b"\x16\x03\x01\x02\x00\x01"),
    ] {
        let mut link = TcpStream::connect(hub.address()).await.unwrap();
        link.write_all(begun).await.unwrap();
        // The end, or a reset: it waits for nothing more either way.
        let _ = link.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let room = TempDir::new().unwrap();
    let options = Options { idle_timeout: Duration::from_millis(20), ..Options::default() };
    let hub = start(&room, options).await;
    let mut link = TcpStream::connect(hub.address()).await.unwrap();
    // The preface and empty settings of HTTP/2, and then neither a request nor a word.
    link.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let _ = link.read_to_end(&mut Vec::new()).await;
}
