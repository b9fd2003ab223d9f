//! What a hub tells of itself: ids of requests, `/metrics`, `/readyz`.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::LogState;

use crate::common::{Answer, Pushing, TestHub, env, log};

#[tokio::test]
async fn each_answer_names_its_request() {
    let hub = TestHub::start().await;
    let ask = async |path: &str, id: Option<&str>| {
        let mut request = hub.client.get(hub.url(path));
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let response = request.send().await.unwrap();
        let told = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        (told, Answer::of(response).await)
    };
    let (told, _) = ask("/healthz", Some("mine-1")).await;
    assert_eq!(told, "mine-1");
    let (first, _) = ask("/healthz", None).await;
    let (second, _) = ask("/healthz", Some("not\tsane")).await;
    assert!(first != second && second.rsplit_once('-').unwrap().0 == first.rsplit_once('-').unwrap().0);
    let (told, answer) = ask("/nothing", Some("mine-2")).await;
    assert_eq!((told.as_str(), answer.json()["request"].as_str()), ("mine-2", Some("mine-2")));
    assert_eq!(answer.error(), "not-found");
    let (told, answer) = ask("/1/logs/x", None).await;
    assert_eq!(answer.json()["request"], told.as_str());
}

/// A sample's name and labels.
type Series = (String, BTreeMap<String, String>);

/// What there is of each.
type Samples = BTreeMap<Series, f64>;

/// Reads an exposition as strictly as OpenMetrics is written.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let mut families = BTreeSet::new();
    let mut family: Option<(String, String)> = None;
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (kind, rest) = comment.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            match kind {
                "HELP" => {
                    assert!(families.insert(name.to_owned()), "{name} is there twice");
                    assert!(!value.is_empty() && value.ends_with('.'), "{line}");
                    family = Some((name.to_owned(), String::new()));
                }
                "TYPE" => {
                    assert_eq!(family.as_ref().unwrap().0, name);
                    assert!(["counter", "gauge", "histogram", "info"].contains(&value), "{line}");
                    family = Some((name.to_owned(), value.to_owned()));
                }
                "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                other => panic!("{other}: {line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().expect(line);
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect(line)),
            None => (series, ""),
        };
        let (of, kind) = family.as_ref().unwrap();
        let suffix = name.strip_prefix(of.as_str()).expect(line);
        match kind.as_str() {
            "counter" => assert_eq!(suffix, "_total", "{line}"),
            "gauge" => assert_eq!(suffix, "", "{line}"),
            "info" => assert_eq!(suffix, "_info", "{line}"),
            _ => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
        }
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{line}");
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        let labels: BTreeMap<String, String> = labels
            .split_terminator(',')
            .map(|label| {
                let (name, value) = label.split_once('=').expect(line);
                (name.to_owned(), value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).expect(line).to_owned())
            })
            .collect();
        assert!(samples.insert((name.to_owned(), labels), value).is_none(), "{line} is there twice");
    }
    check_histograms(&samples);
    samples
}

/// Buckets grow, and the last holds as many as are counted.
fn check_histograms(samples: &Samples) {
    let mut last: BTreeMap<Series, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), value) in samples {
        if let Some(name) = name.strip_suffix("_bucket") {
            let mut labels = labels.clone();
            let le = labels.remove("le").unwrap();
            let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
            last.entry((name.to_owned(), labels)).or_default().push((le, *value));
        }
    }
    for ((name, labels), mut buckets) in last {
        buckets.sort_by(|x, y| x.0.total_cmp(&y.0));
        assert!(buckets.is_sorted_by(|x, y| x.1 <= y.1), "{name} {labels:?}");
        assert_eq!(buckets.last().unwrap().0, f64::INFINITY);
        assert_eq!(buckets.last().unwrap().1, samples[&(format!("{name}_count"), labels)]);
    }
}

fn value(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    samples.get(&(format!("tolstoy_hub_{name}"), labels)).copied()
}

#[tokio::test]
async fn metrics_are_what_was_done() {
    let hub = TestHub::start().await;
    let read = async || {
        let answer = hub.get("/metrics").await;
        assert_eq!(answer.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        parse(&answer.text())
    };
    let before = read().await;
    let push = Pushing::onto(&LogState::EMPTY).text("one").text("two");
    let bytes = push.bytes(tolstoy_proto::Form::MessagePack).len();
    assert_eq!(hub.push(log(1), &push).await.status, 200);
    hub.pull(log(1), &[]).await;
    assert_eq!(hub.get("/1/logs/x").await.status, 400);
    for n in 0..20 {
        assert_eq!(hub.get(&format!("/nothing/{n}")).await.status, 404);
    }
    let after = read().await;
    let ended = |route, method, status| {
        value(&after, "requests_total", &[("route", route), ("method", method), ("status", status)])
    };
    assert_eq!(ended("/1/logs/{log}/push", "POST", "2xx"), Some(1.0));
    assert_eq!(ended("/1/logs/{log}/pull", "GET", "2xx"), Some(1.0));
    assert_eq!(ended("/1/logs/{log}", "GET", "4xx"), Some(1.0));
    assert_eq!(ended("none", "GET", "4xx"), Some(20.0));
    assert_eq!(ended("/metrics", "GET", "2xx"), Some(1.0));
    assert_eq!(value(&after, "errors_total", &[("error", "not-found")]), Some(20.0));
    assert_eq!(value(&after, "errors_total", &[("error", "bad-request")]), Some(1.0));
    assert_eq!(value(&after, "logs", &[]), Some(1.0));
    let of_push = [("route", "/1/logs/{log}/push")];
    assert_eq!(value(&after, "received_bytes_total", &of_push), Some(bytes as f64));
    assert_eq!(value(&after, "request_seconds_count", &of_push), Some(1.0));
    assert!(value(&after, "sent_bytes_total", &[("route", "/1/logs/{log}/pull")]).unwrap() > 0.0);
    let grown = |name| value(&after, name, &[]).unwrap() - value(&before, name, &[]).unwrap();
    assert!(grown("commits_total") >= 1.0 && grown("commit_jobs_count") >= 1.0 && grown("commit_seconds_count") >= 1.0);
    assert_eq!(grown("commits_total"), grown("commit_jobs_count"));
    assert!(grown("wal_bytes") > 0.0);
    for name in ["queue_jobs", "streams", "queue_refusals_total", "failed_batches_total"] {
        assert_eq!(value(&after, name, &[]), Some(0.0), "{name}");
    }
    for name in ["ready", "connections", "disk_free_bytes", "database_bytes"] {
        assert!(value(&after, name, &[]).unwrap() >= 1.0, "{name}");
    }
    assert_eq!(value(&after, "build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
}

#[tokio::test]
async fn what_is_asked_makes_no_more_series() {
    let hub = TestHub::start().await;
    let series = async || parse(&hub.get("/metrics").await.text()).len();
    let ask = async |n: u64| {
        hub.get(&format!("/1/logs/{}", log(n))).await;
        hub.get(&format!("/{n}")).await;
        hub.send(&format!("METHOD{n}"), "/healthz", "").await;
        hub.push(log(n), &Pushing::onto(&LogState::EMPTY).text("x")).await;
    };
    ask(0).await;
    series().await;
    let before = series().await;
    for n in 1..10 {
        ask(n).await;
    }
    assert_eq!(series().await, before);
}

#[tokio::test]
async fn a_hub_that_has_no_room_is_not_ready_but_lives() {
    let hub = TestHub::start().await;
    assert_eq!(hub.get("/readyz").await.json(), serde_json::json!({"status": "ready"}));

    let directory = tempfile::TempDir::new().unwrap();
    let options = Options { min_disk_free: u64::MAX, ..Options::default() };
    let cramped = Hub::open(directory.path(), env(), options).unwrap();
    let cramped = HubHandle::start(cramped, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let get = async |path: &str| Answer::of(reqwest::get(format!("{}{path}", cramped.url())).await.unwrap()).await;
    let answer = get("/readyz").await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "busy"));
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("not ready: the disk has "), "{message}");
    assert_eq!(get("/healthz").await.status, 200);
    let told = parse(&get("/metrics").await.text());
    assert_eq!(value(&told, "ready", &[]), Some(0.0));
    cramped.stop().await.unwrap();
}

#[tokio::test]
async fn a_hub_that_is_busy_is_alive() {
    let directory = tempfile::TempDir::new().unwrap();
    let sqlite = tolstoy_hub::SqliteOptions { queue: 1, ..Default::default() };
    let hub = Hub::open(directory.path(), env(), Options { sqlite, ..Options::default() }).unwrap();
    let service = hub.service().clone();
    let handle = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    // Somebody else has the database for a moment, and the writer waits for it.
    let other = rusqlite::Connection::open(directory.path().join("hub.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = Vec::new();
    let refused = loop {
        let (mut deleted, soon) = (service.delete(log(1)), std::time::Duration::from_millis(20));
        match tokio::time::timeout(soon, &mut deleted).await {
            Ok(answer) => break answer,
            Err(_) => waiting.push(deleted),
        }
    };
    assert_eq!(refused, Err(tolstoy_hub::storage::StorageError::Busy));
    let ask = async |path: &str| reqwest::get(format!("{}{path}", handle.url())).await.unwrap().status();
    assert_eq!((ask("/healthz").await, ask("/readyz").await.as_u16()), (reqwest::StatusCode::OK, 503));
    other.execute_batch("COMMIT").unwrap();
    for answer in waiting {
        assert_eq!(answer.await, Ok(()));
    }
    handle.stop().await.unwrap();
}
