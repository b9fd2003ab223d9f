//! Tokens: who is answered, and who may do what.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use reqwest::header::{HeaderMap, HeaderValue};
use tempfile::TempDir;
use tolstoy_edn::Instant;
use tolstoy_env::{Clock, Entropy, Env, NoEntropy};
use tolstoy_hub::auth::{Logs, NewToken, Secret, Token, TokenFile};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::{Form, LogId, LogState, media, paths};

use crate::common::{Answer, Pushing, log};

/// A time that a test sets.
#[derive(Default)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    fn set(&self, seconds: i64) {
        self.0.store(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Random bytes that repeat from test to test: each call's are another digest's.
#[derive(Default)]
struct Digests(std::sync::atomic::AtomicU64);

impl Entropy for Digests {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for piece in bytes.chunks_mut(32) {
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            let digest = tolstoy_proto::Fingerprint::of(&n.to_be_bytes()).0;
            piece.copy_from_slice(&digest[..piece.len()]);
        }
        Ok(())
    }
}

/// A hub that asks for tokens.
pub(crate) struct Closed {
    pub(crate) hub: HubHandle,
    pub(crate) tokens: TokenFile,
    pub(crate) clock: Arc<SetClock>,
    env: Env,
    pub(crate) room: TempDir,
}

impl Closed {
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_in(TempDir::new().unwrap(), options).await
    }

    pub(crate) async fn start_in(room: TempDir, options: Options) -> Self {
        let clock = Arc::new(SetClock::default());
        let env = Env::new(clock.clone(), Arc::new(Digests::default()));
        let options = Options { token_poll: std::time::Duration::from_millis(5), ..options };
        let hub = Hub::open(room.path(), env.clone(), options).unwrap();
        let hub = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        Self { hub, tokens: TokenFile::of(room.path()), clock, env, room }
    }

    /// Makes a token, and has the hub know it.
    pub(crate) fn token(&self, rights: &str, logs: &[LogId]) -> Secret {
        self.token_until(rights, logs, None).1
    }

    fn token_until(&self, rights: &str, logs: &[LogId], expires: Option<i64>) -> (Token, Secret) {
        let new = NewToken {
            name: None,
            rights: rights.parse().unwrap(),
            logs: if logs.is_empty() { Logs::All } else { Logs::Only(logs.iter().copied().collect()) },
            expires: expires.map(|seconds| Instant::from_micros(seconds * 1_000_000)),
        };
        let made = self.tokens.create(new, &self.env).unwrap();
        self.hub.reloader().reload().unwrap();
        made
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> (HeaderMap, Answer) {
        self.send(method, path, token, "application/octet-stream", Vec::new()).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        content_type: &str,
        body: Vec<u8>,
    ) -> (HeaderMap, Answer) {
        let client = reqwest::Client::new();
        let request = client.request(method.parse().unwrap(), format!("{}{path}", self.hub.url()));
        // An id of its own, so that equal requests have equal answers.
        let request = request.header("content-type", content_type).header("x-request-id", "asked").body(body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        let mut headers = response.headers().clone();
        headers.remove("date");
        (headers, Answer::of(response).await)
    }

    async fn status(&self, method: &str, path: &str, token: &Secret) -> u16 {
        self.ask(method, path, Some(token.expose())).await.1.status
    }

    async fn push(&self, log: LogId, token: &Secret) -> u16 {
        let bytes = Pushing::onto(&LogState::EMPTY).text("one").bytes(Form::MessagePack);
        self.send("POST", &paths::push(log), Some(token.expose()), media::MSGPACK, bytes).await.1.status
    }
}

#[tokio::test]
async fn a_hub_with_a_token_answers_nobody_without() {
    let hub = Closed::start(Options::default()).await;
    let path = paths::log(log(1));
    assert_eq!(hub.ask("GET", &path, None).await.1.status, 200, "there is no token yet");
    let token = hub.token("read,write", &[]);
    let (headers, answer) = hub.ask("GET", &path, None).await;
    assert_eq!((answer.status, answer.error().as_str()), (401, "unauthorized"));
    assert_eq!(headers["www-authenticate"], "Bearer");
    let (_, answer) = hub.ask("GET", &path, Some(token.expose())).await;
    assert_eq!(answer.status, 200);

    let other = token.expose().replace("tol_", "lot_");
    let cut = &token.expose()[..60];
    for bad in ["", "x", cut, other.as_str()] {
        let (headers, answer) = hub.ask("GET", &path, Some(bad)).await;
        assert_eq!((answer.status, answer.error().as_str()), (401, "unauthorized"), "{bad}");
        assert_eq!(headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    }
    // Health is for everybody, and so is the page that asks for the token; nothing else is.
    for (path, status) in [("/healthz", 200), ("/", 200), ("/nowhere", 401), ("/metrics", 401), ("/openapi.json", 401)]
    {
        assert_eq!(hub.ask("GET", path, None).await.1.status, status, "{path}");
    }
    assert_eq!(hub.ask("GET", "/healthz", Some("wrong")).await.1.status, 200);
    assert_eq!(hub.status("GET", "/nowhere", &token).await, 404);
}

#[tokio::test]
async fn a_token_comes_alone_and_as_bearer() {
    let hub = Closed::start(Options::default()).await;
    let token = hub.token("read", &[]);
    let bearer = format!("Bearer {}", token.expose());
    for (values, status) in [
        (vec![bearer.clone()], 200),
        (vec![bearer.replace("Bearer", "bearer")], 200),
        (vec![token.expose().to_owned()], 401),
        (vec![bearer.replace("Bearer", "Basic")], 401),
        (vec![bearer.clone(), bearer.clone()], 401),
        (vec!["Basic eDp5".to_owned(), bearer], 401),
    ] {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| {
            headers.append("authorization", HeaderValue::from_str(value).unwrap());
        });
        let url = format!("{}{}", hub.hub.url(), paths::log(log(1)));
        let response = reqwest::Client::new().get(url).headers(headers).send().await.unwrap();
        assert_eq!(response.status(), status, "{values:?}");
    }
}

#[tokio::test]
async fn each_right_opens_what_it_names() {
    let hub = Closed::start(Options::default()).await;
    let (read, write, admin) = (hub.token("read", &[]), hub.token("write", &[]), hub.token("admin", &[]));
    let v0_chunk = format!("{}/chunks/a", paths::v0_base(log(1)));
    // Method, path, and what each of the three may.
    for (method, path, allowed) in [
        ("GET", paths::log(log(1)), [true, true, false]),
        ("HEAD", paths::log(log(1)), [true, true, false]),
        ("GET", paths::pull(log(1), &[]), [true, true, false]),
        ("GET", paths::v0_base(log(1)), [true, true, false]),
        ("GET", paths::v0_head(log(1)), [true, true, false]),
        ("GET", v0_chunk.clone(), [true, true, false]),
        ("PUT", v0_chunk, [false, true, false]),
        ("PUT", paths::v0_head(log(1)), [false, true, false]),
        ("POST", paths::push(log(1)), [false, true, false]),
        ("DELETE", paths::log(log(1)), [false, false, true]),
        ("DELETE", paths::v0_base(log(1)), [false, false, true]),
    ] {
        for (token, allowed) in [&read, &write, &admin].into_iter().zip(allowed) {
            let (_, answer) = hub.ask(method, &path, Some(token.expose())).await;
            if allowed {
                assert!(!matches!(answer.status, 401 | 403), "{method} {path} {token:?}: {}", answer.text());
            } else if method == "HEAD" {
                assert_eq!(answer.status, 403);
            } else {
                assert_eq!((answer.status, answer.error().as_str()), (403, "forbidden"), "{method} {path} {token:?}");
            }
        }
    }
    let (_, answer) = hub.ask("DELETE", &paths::log(log(1)), Some(read.expose())).await;
    assert_eq!(answer.json()["message"], "this token lacks the right admin, on this log");
    assert_eq!(hub.push(log(1), &read).await, 403);
    assert_eq!(hub.push(log(1), &write).await, 200);
    assert_eq!(hub.ask("GET", &paths::log(log(1)), Some(read.expose())).await.1.state().seq.0, 1);
}

#[tokio::test]
async fn an_unknown_log_and_a_forbidden_one_are_the_same_byte_for_byte() {
    let hub = Closed::start(Options::default()).await;
    let (there, elsewhere) = (log(1), log(2));
    let (all, some) = (hub.token("write,admin", &[]), hub.token("read,write,admin", &[log(3)]));
    assert_eq!(hub.push(there, &all).await, 200);
    assert_eq!(hub.push(log(3), &some).await, 200);
    for (method, path) in [("GET", ""), ("DELETE", ""), ("GET", "/pull"), ("POST", "/push"), ("PATCH", "")] {
        let path = |log| format!("{}{path}", paths::log(log));
        for token in [Some(some.expose()), None, Some("tol_wrong")] {
            let (known, unknown) =
                (hub.ask(method, &path(there), token).await, hub.ask(method, &path(elsewhere), token).await);
            let told = |(headers, answer): (HeaderMap, Answer)| (headers, answer.status, answer.body);
            let known = told(known);
            assert_eq!(known.1, if token == Some(some.expose()) { 404 } else { 401 }, "{method} {token:?}");
            assert_eq!(known, told(unknown), "{method} {token:?}");
        }
    }
    let v0 = [paths::v0_head(there), paths::v0_base(there), format!("{}/", paths::v0_base(there))];
    for path in v0 {
        assert_eq!(hub.status("GET", &path, &some).await, 404, "{path}");
        assert_eq!(hub.status("GET", &path, &all).await, 200, "{path}");
    }
    assert_eq!(hub.push(there, &some).await, 404);
    assert_eq!(hub.status("GET", &paths::log(there), &all).await, 200, "it was not deleted");
    // Another spelling of a log's name is the same log.
    let spelled = paths::log(there).replace("0000", "%30%30%30%30");
    assert_ne!(spelled, paths::log(there));
    assert_eq!(hub.status("GET", &spelled, &some).await, 404);
    assert_eq!(hub.status("GET", &spelled, &all).await, 200);
    assert_eq!(hub.status("GET", "/1/logs/no-uuid", &some).await, 400);
    assert_eq!(hub.status("GET", "/1/logs/%ff", &some).await, 400);
}

#[tokio::test]
async fn the_log_of_a_token_that_is_for_one_needs_no_name() {
    let closed = Closed::start(Options::default()).await;
    let (one, reader) = (closed.token("read,write", &[log(1)]), closed.token("read", &[log(1)]));
    let (two, all) = (closed.token("read,write", &[log(1), log(2)]), closed.token("read,write,admin", &[]));
    let foreign: LogId = closed_client().log();
    let theirs = closed.token("read,write", &[foreign]);
    let task = "/task/pb67wndxge8293xd";
    let example = r#"{"client_state":{"id":"pb67wndxge8293xd","description":"example description","tags":["test"]}}"#;
    let ask = async |method: &str, path: &str, token: &Secret, body: &str| {
        let request = reqwest::Client::new().request(method.parse().unwrap(), format!("{}{path}", closed.hub.url()));
        Answer::of(request.bearer_auth(token.expose()).body(body.to_owned()).send().await.unwrap()).await
    };
    assert_eq!(ask("GET", "/hashes", &one, "").await.text(), "{}");
    let answer = ask("POST", task, &one, example).await;
    assert_eq!((answer.status, answer.text()), (200, example.replace("client", "server")));
    // It is that log's, and the one who may read it sees it.
    let hashes = ask("GET", &paths::hashes(log(1)), &two, "").await.text();
    assert_eq!(ask("GET", "/hashes", &reader, "").await.text(), hashes);
    assert_eq!(ask("POST", task, &reader, example).await.error(), "forbidden");
    assert_eq!(ask("GET", &paths::hashes(log(2)), &one, "").await.error(), "not-found");
    assert_eq!(ask("POST", &paths::task(log(2), "pb67wndxge8293xd"), &one, example).await.error(), "not-found");
    for token in [&two, &all] {
        for (method, path) in [("GET", "/hashes"), ("POST", task)] {
            let answer = ask(method, path, token, example).await;
            assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"));
            assert!(answer.text().contains(&format!("/1/logs/LOG{path}")), "{}", answer.text());
        }
    }
    assert_eq!(ask("GET", "/hashes", &theirs, "").await.error(), "foreign-log");
    assert_eq!(ask("GET", &paths::hashes(foreign), &theirs, "").await.error(), "foreign-log");
    let (_, none) = closed.ask("GET", "/hashes", None).await;
    assert_eq!(none.error(), "unauthorized");
}

/// A client of TaskChampion's.
fn closed_client() -> tolstoy_proto::taskchampion::ClientId {
    "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10".parse().unwrap()
}

#[tokio::test]
async fn an_expired_token_is_none() {
    let hub = Closed::start(Options::default()).await;
    let (_, token) = hub.token_until("read", &[], Some(100));
    let path = paths::log(log(1));
    hub.clock.set(99);
    assert_eq!(hub.status("GET", &path, &token).await, 200);
    hub.clock.set(100);
    assert_eq!(hub.status("GET", &path, &token).await, 401);
}

/// Asks until the answer has this status: the hub notices a change by itself.
async fn until(hub: &Closed, token: &Secret, status: u16) {
    while hub.status("GET", &paths::log(log(1)), token).await != status {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_running_hub_notices_what_becomes_of_tokens() {
    let hub = Closed::start(Options::default()).await;
    let new = |rights: &str| NewToken { name: None, rights: rights.parse().unwrap(), logs: Logs::All, expires: None };
    let (first, secret) = hub.tokens.create(new("read"), &hub.env).unwrap();
    while hub.ask("GET", &paths::log(log(1)), None).await.1.status != 401 {
        tokio::task::yield_now().await;
    }
    until(&hub, &secret, 200).await;
    let (_, second) = hub.tokens.create(new("read"), &hub.env).unwrap();
    until(&hub, &second, 200).await;
    hub.tokens.revoke(&first.id).unwrap();
    until(&hub, &secret, 401).await;
    assert_eq!(hub.status("GET", &paths::log(log(1)), &second).await, 200);
    // Where the file is gone, or damaged, the hub does not open.
    std::fs::write(hub.tokens.path(), "{").unwrap();
    assert!(hub.hub.reloader().reload().is_err());
    assert_eq!(hub.status("GET", &paths::log(log(1)), &second).await, 200, "the last good state stays");
    assert_eq!(hub.ask("GET", &paths::log(log(1)), None).await.1.status, 401);
    std::fs::remove_file(hub.tokens.path()).unwrap();
    until(&hub, &second, 401).await;
    assert_eq!(hub.ask("GET", &paths::log(log(1)), None).await.1.status, 401);
}

#[tokio::test]
async fn a_damaged_file_keeps_a_hub_from_starting() {
    let hub = Closed::start(Options::default()).await;
    hub.token("read", &[]);
    let Closed { hub, tokens, room, env, .. } = hub;
    hub.stop().await.unwrap();
    std::fs::write(tokens.path(), "{\"format\": 1}").unwrap();
    let error = Hub::open(room.path(), env, Options::default()).unwrap_err();
    assert!(error.to_string().contains("tokens.json is damaged: missing field `tokens`"), "{error}");
}

#[tokio::test]
async fn a_token_opens_a_hub_by_any_name_and_a_stranger_gets_nowhere() {
    let hub = Closed::start(Options { require_token: true, ..Options::default() }).await;
    let url = format!("{}{}", hub.hub.url(), paths::log(log(1)));
    let ask = async |token: Option<&Secret>| {
        let request =
            reqwest::Client::new().get(&url).header("host", "hub.example").header("origin", "https://x.example");
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token.expose()));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(None).await, 401, "it asks for tokens even where there is none");
    let token = hub.token("read", &[]);
    assert_eq!((ask(Some(&token)).await, ask(None).await), (200, 401));
}

#[tokio::test]
async fn what_a_proxy_passes_on_is_not_local() {
    let hub = Closed::start(Options::default()).await;
    let url = format!("{}{}", hub.hub.url(), paths::log(log(1)));
    let status = async |name: &str| {
        reqwest::Client::new().get(&url).header(name, "192.0.2.1").send().await.unwrap().status().as_u16()
    };
    assert_eq!((status("x-forwarded-for").await, status("forwarded").await, status("x-other").await), (403, 403, 200));
}
