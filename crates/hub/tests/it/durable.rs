//! What was acknowledged is there afterwards.

use std::fs;

use tempfile::TempDir;
use tolstoy_hub::{Hub, HubHandle, OpenError, Options};
use tolstoy_proto::{LogState, paths};

use crate::common::{Pushing, TestHub, check_stream, env, log, texts};

#[tokio::test]
async fn a_restart_changes_nothing() {
    let hub = TestHub::start().await;
    let mut states = Vec::new();
    for n in 0..5 {
        let push = Pushing::onto(&LogState::EMPTY).text("one").text(&format!("two of {n}"));
        states.push(hub.push(log(n), &push).await.state());
    }
    hub.put(&format!("{}/chunks/pending", paths::v0_base(log(1))), "kept").await;
    let hub = hub.restart().await;
    for (n, state) in (0..).zip(&states) {
        assert_eq!(hub.state(log(n)).await, *state);
        check_stream(&hub.pull(log(n), &[]).await);
    }
    assert_eq!(hub.get(&format!("{}/chunks/pending", paths::v0_base(log(1)))).await.text(), "kept");
    let again = hub.push(log(3), &Pushing::onto(&states[3]).text("three")).await;
    assert_eq!(again.state().seq.0, 3);
}

/// The files as they are at this moment, while the hub runs: what a kill would leave.
fn snapshot(from: &TempDir) -> TempDir {
    let to = TempDir::new().unwrap();
    for name in ["hub.db", "hub.db-wal"] {
        fs::copy(from.path().join(name), to.path().join(name)).unwrap();
    }
    to
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_that_moment() {
    let hub = TestHub::start().await;
    let mut state = LogState::EMPTY;
    for n in 0..20 {
        state = hub.push(log(1), &Pushing::onto(&state).text(&format!("{n}"))).await.state();
        if n % 5 == 0 {
            let killed = TestHub::start_in(snapshot(&hub.directory)).await;
            assert_eq!(killed.state(log(1)).await, state);
            let stream = killed.pull(log(1), &[]).await;
            check_stream(&stream);
            assert_eq!(texts(&stream).len(), n + 1);
        }
    }
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_then_refuses() {
    let hub = TestHub::start().await;
    let push = Pushing::onto(&LogState::EMPTY).chunks(&[&vec![3; 8 << 20]]);
    let (url, directory) = (hub.url(&paths::push(log(1))), hub.directory);
    let body = push.bytes(tolstoy_proto::Form::MessagePack);
    let request = hub.client.post(&url).header("content-type", tolstoy_proto::media::MSGPACK).body(body).send();
    let sending = tokio::spawn(request);
    hub.handle.stop().await.unwrap();
    let answered = sending.await.unwrap().is_ok_and(|response| response.status() == 200);
    // Whichever came first: what was acknowledged is there, what was not is not there in part.
    let hub = TestHub::start_in(directory).await;
    let state = hub.state(log(1)).await;
    assert!(state == LogState::EMPTY && !answered || state.head == push.last.0, "{state:?}");
    check_stream(&hub.pull(log(1), &[]).await);
}

#[tokio::test]
async fn two_hubs_do_not_share_a_directory() {
    let directory = TempDir::new().unwrap();
    let first = Hub::open(directory.path(), env(), Options::default()).unwrap();
    let error = Hub::open(directory.path(), env(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().starts_with("another hub is running on "), "{error}");
    drop(first);
    let second = Hub::open(directory.path(), env(), Options::default()).unwrap();
    HubHandle::start(second, "127.0.0.1:0".parse().unwrap()).await.unwrap().stop().await.unwrap();
}
