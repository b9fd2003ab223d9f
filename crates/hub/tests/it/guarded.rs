//! Who is answered.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tolstoy_hub::{Exposed, Hub, HubHandle, Options, ServeError, TlsOptions, may_listen};

use crate::common::{Answer, TestHub, env};

#[tokio::test]
async fn on_loopback_only_loopbacks_own_names_are_answered() {
    let hub = TestHub::start().await;
    let ask = async |host: &str, origin: Option<&str>| {
        let mut request = hub.client.get(hub.url("/healthz")).header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        Answer::of(request.send().await.unwrap()).await
    };
    for (host, origin) in [
        ("localhost", None),
        ("127.0.0.1:7410", None),
        ("[::1]:7410", Some("http://localhost:3000")),
        ("localhost:1", Some("https://127.0.0.1")),
    ] {
        assert_eq!(ask(host, origin).await.json(), serde_json::json!({"status": "ok"}), "{host} {origin:?}");
    }
    for (host, origin) in [
        ("evil.example", None),
        ("localhost.evil.example", None),
        ("192.168.0.1", None),
        ("localhost", Some("http://evil.example")),
        ("localhost", Some("null")),
    ] {
        let answer = ask(host, origin).await;
        assert_eq!((answer.status, answer.error().as_str()), (403, "forbidden"), "{host} {origin:?}");
    }
}

#[tokio::test]
async fn a_request_that_names_no_host_or_two_is_not_answered() {
    let hub = TestHub::start().await;
    for request in [
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(hub.handle.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.split_whitespace().nth(1) == Some("403"), "{request}: {answer}");
    }
}

#[tokio::test]
async fn beyond_loopback_it_listens_only_when_told() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let closed = HubHandle::start(Hub::in_memory(env(), Options::default()), everywhere).await.unwrap();
    let error = closed.stop().await.unwrap_err();
    assert!(matches!(error, ServeError::Exposed(Exposed::NoTokensNoTls(_))), "{error}");

    let options = Options { open: true, ..Options::default() };
    let open = HubHandle::start(Hub::in_memory(env(), options), everywhere).await.unwrap();
    let url = format!("http://127.0.0.1:{}/healthz", open.address().port());
    let answer = reqwest::Client::new().get(url).header("host", "hub.example").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    open.stop().await.unwrap();
}

#[test]
fn a_hub_is_as_open_as_somebody_said() {
    let (here, there) = ("127.0.0.1:1".parse().unwrap(), "192.0.2.1:1".parse().unwrap());
    let plain = Options::default();
    let tls = Options { tls: Some(TlsOptions::SelfSigned { names: vec![] }), ..Options::default() };
    let proxied = Options { behind_proxy: true, ..Options::default() };
    let open = Options { open: true, ..Options::default() };
    let asking = |options: &Options| Options { require_token: true, ..options.clone() };
    for (address, options, has_tokens, expected) in [
        (here, &plain, false, Ok(())),
        (here, &plain, true, Ok(())),
        (here, &proxied, false, Err(Exposed::ProxyNoTokens)),
        (here, &proxied, true, Ok(())),
        (here, &open, false, Ok(())),
        (here, &open, true, Err(Exposed::OpenWithTokens)),
        (here, &asking(&open), false, Err(Exposed::OpenWithTokens)),
        (there, &plain, false, Err(Exposed::NoTokensNoTls(there))),
        (there, &plain, true, Err(Exposed::NoTls(there))),
        (there, &asking(&plain), false, Err(Exposed::NoTls(there))),
        (there, &tls, false, Err(Exposed::NoTokens(there))),
        (there, &tls, true, Ok(())),
        (there, &asking(&tls), false, Ok(())),
        (there, &proxied, false, Err(Exposed::NoTokens(there))),
        (there, &proxied, true, Ok(())),
        (there, &open, false, Ok(())),
        (there, &open, true, Err(Exposed::OpenWithTokens)),
    ] {
        assert_eq!(may_listen(address, options, has_tokens), expected, "{address} {options:?} {has_tokens}");
    }
}
