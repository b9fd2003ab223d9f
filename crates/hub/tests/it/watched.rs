//! Conditional requests, and waiting for a log to change.

use std::sync::Arc;
use std::time::Duration;

use tolstoy_hub::live::Woken;
use tolstoy_hub::service::{Service, Upload};
use tolstoy_hub::storage::MemoryStorage;
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::{LogId, LogState, TrnId, paths};

use crate::common::{Answer, Pushing, TestHub, env, log};

/// Longer than any wait that a hub grants: what takes so long was never going to be answered.
const FOREVER: Duration = Duration::from_secs(100);

/// An answer and its tag.
async fn ask(hub: &TestHub, path: &str, known: Option<&str>) -> (Answer, String) {
    let mut request = hub.client.get(hub.url(path));
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let response = tokio::time::timeout(FOREVER, request.send()).await.expect("an answer").unwrap();
    let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
    (Answer::of(response).await, tag)
}

#[tokio::test]
async fn a_state_that_is_known_is_not_sent_again() {
    let hub = TestHub::start().await;
    let paths = [paths::log(log(1)), paths::v0_head(log(1))];
    let mut seen = Vec::new();
    let mut state = LogState::EMPTY;
    for round in ["never written", "one", "two", "deleted"] {
        match round {
            "never written" => {}
            "deleted" => assert_eq!(hub.delete(&paths[0]).await.status, 204),
            text => state = hub.push(log(1), &Pushing::onto(&state).text(text)).await.state(),
        }
        for path in &paths {
            let (answer, tag) = ask(&hub, path, None).await;
            assert_eq!(answer.status, 200, "{round}");
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
            for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
                let (same, tag_again) = ask(&hub, path, Some(&known)).await;
                assert_eq!((same.status, tag_again, same.body.len()), (304, tag.clone(), 0), "{round} {known}");
            }
            let (other, _) = ask(&hub, path, Some("\"x\"")).await;
            assert_eq!((other.status, &other.body), (200, &answer.body));
            seen.push(tag);
        }
    }
    // Both surfaces name a state alike; each state has its own name, but that a deleted log is as if it never was.
    assert_eq!((&seen[0], &seen[2], &seen[4], &seen[6]), (&seen[1], &seen[3], &seen[5], &seen[7]));
    assert_eq!(seen[0], seen[6]);
    assert!(seen[0] != seen[2] && seen[2] != seen[4] && seen[0] != seen[4]);
}

#[tokio::test]
async fn a_bad_wait_is_refused_and_one_without_a_tag_does_not_wait() {
    let hub = TestHub::start().await;
    for path in [paths::log(log(1)), paths::v0_head(log(1))] {
        for bad in ["", "x", "-1", "0.5", "1e3"] {
            let (answer, _) = ask(&hub, &format!("{path}?wait={bad}"), Some("*")).await;
            assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{bad}");
        }
        assert_eq!(ask(&hub, &format!("{path}?wait=60"), None).await.0.status, 200);
        assert_eq!(ask(&hub, &format!("{path}?wait=60"), Some("\"x\"")).await.0.status, 200);
        assert_eq!(ask(&hub, &format!("{path}?wait=0"), Some("*")).await.0.status, 304);
        assert_eq!(ask(&hub, &format!("{path}?wait=1"), Some("*")).await.0.status, 304);
    }
}

#[tokio::test]
async fn who_waits_hears_of_every_kind_of_change() {
    let hub = TestHub::start().await;
    let base = paths::v0_base(log(1));
    let trn = TrnId(log(9).0);
    let put = |path: String, body: serde_json::Value| {
        let hub = &hub;
        async move { hub.put(&path, body.to_string()).await.status }
    };
    let path = format!("{}?wait=60", paths::log(log(1)));
    let mut known = ask(&hub, &path, None).await.1;
    for change in ["chunk", "head", "push", "delete"] {
        let waiting = ask(&hub, &path, Some(&known));
        let changing = async {
            match change {
                // The first chunk begins the generation.
                "chunk" => assert_eq!(hub.put(&format!("{base}/chunks/a"), "A").await.status, 201),
                "head" => {
                    let new = serde_json::json!({"parent": TrnId::ROOT, "chunks": ["a"]});
                    assert_eq!(put(paths::v0_transaction(log(1), trn), new).await, 201);
                    assert_eq!(put(paths::v0_head(log(1)), serde_json::json!({"head": trn})).await, 204);
                }
                "push" => {
                    let push = Pushing::onto(&hub.state(log(1)).await).text("x");
                    assert_eq!(hub.push(log(1), &push).await.status, 200);
                }
                _ => assert_eq!(hub.delete(&base).await.status, 204),
            }
        };
        let ((answer, tag), ()) = tokio::join!(waiting, changing);
        assert_eq!(answer.status, 200, "{change}");
        assert_eq!(answer.state(), hub.state(log(1)).await, "{change}");
        assert_ne!(tag, known, "{change}");
        known = tag;
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_and_a_stop_ends_every_wait() {
    let options = Options { waits: 2, ..Options::default() };
    let handle = HubHandle::start(Hub::in_memory(env(), options), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("{}{}?wait=60", handle.url(), paths::log(log(1)));
    let client = reqwest::Client::new();
    let ask = || {
        let request = client.get(&url).header("if-none-match", "*");
        async move { tokio::time::timeout(FOREVER, request.send()).await.expect("an answer").unwrap() }
    };
    // Of three, the one that came last is refused while the others wait on.
    let mut waiting: Vec<_> = (0..3).map(|_| tokio::spawn(ask())).collect();
    let refused = loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Some(at) = waiting.iter().position(tokio::task::JoinHandle::is_finished) {
            break waiting.remove(at).await.unwrap();
        }
    };
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(Answer::of(refused).await.error(), "busy");
    // Who is not up to date hears so even then.
    let news = client.get(&url).header("if-none-match", "\"x\"").send().await.unwrap();
    assert_eq!(news.status(), 200);
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    tokio::time::timeout(FOREVER / 2, handle.stop()).await.expect("a stop").unwrap();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().status(), 304);
    }
}

fn push(service: &Service, log: LogId, text: &str) {
    let upload = Upload::from_frames(Pushing::onto(&service.info(log).unwrap()).text(text).all()).unwrap();
    service.push(log, upload).wait().unwrap();
}

#[tokio::test]
async fn a_change_between_reading_and_waiting_wakes() {
    let service = Service::new(Arc::new(MemoryStorage::new()), env());
    let mut watch = service.watch(log(1));
    let before = service.info(log(1)).unwrap();
    push(&service, log(1), "x");
    assert_eq!(tokio::time::timeout(FOREVER, watch.woken()).await, Ok(Woken::Changed));
    assert_ne!(service.info(log(1)).unwrap(), before);
    // What changes nothing wakes nobody, nor does another log.
    let repeat = Upload::from_frames(Pushing::onto(&before).text("x").all()).unwrap();
    service.push(log(1), repeat).wait().unwrap();
    service.delete(log(3)).wait().unwrap();
    push(&service, log(17), "y");
    assert!(tokio::time::timeout(Duration::ZERO, watch.woken()).await.is_err());
}

/// A writer and followers that each wait for what they have not seen: were one wake-up lost, a follower would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    const LOGS: u64 = 4;
    const PUSHES: u64 = 300;
    let service = Service::new(Arc::new(MemoryStorage::new()), env());
    let followers: Vec<_> = (0..LOGS * 4)
        .map(|n| {
            let (service, log) = (service.clone(), log(n % LOGS));
            tokio::spawn(async move {
                let mut seen = 0;
                while seen < PUSHES {
                    let mut watch = service.watch(log);
                    let now = service.info(log).unwrap().seq.0;
                    if now == seen {
                        assert_eq!(watch.woken().await, Woken::Changed);
                    }
                    seen = now;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..LOGS)
        .map(|n| {
            let service = service.clone();
            tokio::task::spawn_blocking(move || (0..PUSHES).for_each(|text| push(&service, log(n), &text.to_string())))
        })
        .collect();
    for task in writers {
        task.await.unwrap();
    }
    for follower in followers {
        tokio::time::timeout(FOREVER, follower).await.expect("every follower sees the last push").unwrap();
    }
}
