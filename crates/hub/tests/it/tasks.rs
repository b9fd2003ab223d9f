//! The network interchange format of tasks, on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use tolstoy_hub::service::Policy;
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::coding::{compress, decompress};
use tolstoy_proto::{LogState, paths};
use tolstoy_tasks::interchange::{Below, read_hashes, read_nodes};
use tolstoy_tasks::{Digest, Document, Hash, Node, Prefix, TaskId};

use crate::common::{Answer, Pushing, TestHub, env, log};

const ID: &str = "pb67wndxge8293xd";
const OTHER: &str = "px6zrs3z46b8e5pg";

/// The request of the format's own example, as it stands there.
const REQUEST: &str = r#"{
   "client_state": {
      "id": "pb67wndxge8293xd",
      "description": "example description",
      "tags": [ "test" ]
   }
}"#;
const ANSWER: &str =
    r#"{"server_state":{"id":"pb67wndxge8293xd","description":"example description","tags":["test"]}}"#;

async fn get(hub: &TestHub, path: &str, headers: &[(&str, &str)]) -> (HeaderMap, Answer) {
    let request = hub.client.get(hub.url(path));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.unwrap();
    (response.headers().clone(), Answer::of(response).await)
}

async fn post(hub: &TestHub, n: u64, id: &str, body: impl Into<reqwest::Body>) -> Answer {
    hub.send("POST", &paths::task(log(n), id), body).await
}

async fn hashes(hub: &TestHub, n: u64) -> BTreeMap<TaskId, Hash> {
    read_hashes(&hub.get(&paths::hashes(log(n))).await.text()).unwrap()
}

fn state(id: &str, description: &str, updated: u32) -> Value {
    json!({"client_state": {"id": id, "description": description, "updated_at": format!("2026-11-25T09:00:{updated:02}Z")}})
}

/// Ids that are spread like those that are minted.
fn spread(n: usize) -> TaskId {
    let alphabet = b"23456789abcdefghkmnpqrstwxyz";
    let mut left = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let character = |_| {
        let digit = (left % 28) as usize;
        left /= 28;
        char::from(alphabet[digit])
    };
    (0..16).map(character).collect::<String>().parse().unwrap()
}

/// Sends so many tasks, a thousand at a time; gives how many requests that took.
async fn fill(hub: &TestHub, n: u64, tasks: std::ops::Range<usize>) -> usize {
    let all: Vec<usize> = tasks.collect();
    for batch in all.chunks(1000) {
        let items: Vec<String> = batch
            .iter()
            .map(|task| {
                let id = spread(*task);
                format!(r#"{{"id":"{id}","client_state":{{"id":"{id}","description":"task {task}"}}}}"#)
            })
            .collect();
        let answer = hub.send("POST", &paths::tasks(log(n)), format!("[{}]", items.join(","))).await;
        assert_eq!((answer.status, answer.json().as_array().unwrap().len()), (200, batch.len()), "{}", answer.text());
    }
    all.len().div_ceil(1000)
}

#[tokio::test]
async fn the_formats_examples_are_answered_byte_for_byte() {
    let hub = TestHub::start().await;
    let (path, task) = (paths::hashes(log(1)), paths::task(log(1), ID));
    assert_eq!(hub.get(&path).await.text(), "{}");
    let nothing = hub.send("POST", &task, r#"{"client_state":null}"#).await;
    assert_eq!((nothing.status, nothing.text().as_str()), (200, r#"{"server_state":null}"#));
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY, "who asks writes nothing");
    let answer = hub.send("POST", &task, REQUEST).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    assert_eq!(answer.text(), ANSWER);
    assert_eq!(hub.send("POST", &task, r#"{"client_state":null}"#).await.text(), ANSWER);
    assert_eq!(hub.send("POST", &task, REQUEST).await.text(), ANSWER);
    let document =
        Document::parse(&json!({"id": ID, "description": "example description", "tags": ["test"]}).to_string());
    let hash = document.unwrap().hash();
    assert_eq!(hub.get(&path).await.text(), format!(r#"{{"{ID}":"{hash}"}}"#));
    hub.send("POST", &paths::task(log(1), "c6yx4mdzxm9cz7nm"), r#"{"client_state":{"id":"c6yx4mdzxm9cz7nm"}}"#).await;
    let other = Document::parse(r#"{"id":"c6yx4mdzxm9cz7nm"}"#).unwrap().hash();
    let both = format!(r#"{{"c6yx4mdzxm9cz7nm":"{other}","{ID}":"{hash}"}}"#);
    assert_eq!(hub.get(&path).await.text(), both, "in the order of the ids");
    // Another log knows nothing of it, and it is all there after a restart.
    assert_eq!(hub.get(&paths::hashes(log(2))).await.text(), "{}");
    let hub = hub.restart().await;
    assert_eq!(hub.get(&path).await.text(), both);
    assert_eq!(hub.send("POST", &task, r#"{"client_state":null}"#).await.text(), ANSWER);
}

#[tokio::test]
async fn what_comes_is_resolved_with_what_is_here() {
    let hub = TestHub::start().await;
    post(&hub, 1, ID, state(ID, "milk", 1).to_string()).await;
    let newer = post(&hub, 1, ID, state(ID, "oat milk", 2).to_string()).await.json();
    assert_eq!(newer["server_state"]["description"], "oat milk");
    let older = post(&hub, 1, ID, state(ID, "rye", 0).to_string()).await.json();
    assert_eq!(older["server_state"]["description"], "oat milk");
    let lost: Vec<&str> = older["server_state"]["_journal"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lost| lost["value"].as_str().unwrap())
        .collect();
    assert_eq!(lost, ["milk", "rye"]);
    let asked = post(&hub, 1, ID, r#"{"client_state":null}"#).await.json();
    assert_eq!(asked, older);
}

#[tokio::test]
async fn a_digest_that_the_client_works_out_is_the_tag() {
    let hub = TestHub::start().await;
    let path = paths::hashes(log(1));
    let (headers, answer) = get(&hub, &path, &[("if-none-match", &format!("\"{}\"", Digest::default()))]).await;
    assert_eq!((answer.status, answer.text().as_str()), (304, ""));
    assert_eq!(headers["etag"], format!("\"{}\"", "0".repeat(64)));
    fill(&hub, 1, 0..50).await;
    let tasks = hashes(&hub, 1).await;
    let tag = format!("\"{}\"", Digest::of(&tasks));
    for (path, known, status) in [
        (path.clone(), tag.as_str(), 304),
        (path.clone(), "\"x\"", 200),
        (paths::hashes_below(log(1), ""), &tag, 304),
        (paths::hashes_below(log(1), "a,b"), &tag, 200),
    ] {
        let (headers, answer) = get(&hub, &path, &[("if-none-match", known)]).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(headers.get("etag").is_some(), !path.contains(','), "{path}");
        assert!(headers.contains_key("tolstoy-state"), "{path}");
    }
    let prefix: Prefix = Prefix::of(*tasks.keys().next().unwrap(), 1);
    let of_node = format!("\"{}\"", Node::of(prefix.within(&tasks)).digest);
    let path = paths::hashes_below(log(1), prefix.as_str());
    assert_eq!(get(&hub, &path, &[("if-none-match", &of_node)]).await.1.status, 304);
    // What is compressed is another representation of the same.
    let (headers, answer) = get(&hub, &paths::hashes(log(1)), &[("accept-encoding", "zstd")]).await;
    assert_eq!(
        (&headers["etag"], &headers["content-encoding"]),
        (&format!("W/{tag}").parse().unwrap(), &"zstd".parse().unwrap())
    );
    assert_eq!(read_hashes(&String::from_utf8(decompress(&answer.body, 1 << 20).unwrap()).unwrap()).unwrap(), tasks);
    assert_eq!(get(&hub, &paths::hashes(log(1)), &[("if-none-match", &format!("W/{tag}"))]).await.1.status, 304);
}

#[tokio::test]
async fn who_waits_hears_of_a_task_and_of_nothing_else() {
    let hub = TestHub::start().await;
    fill(&hub, 1, 0..3).await;
    let tag = format!("\"{}\"", Digest::of(&hashes(&hub, 1).await));
    let path = format!("{}?wait=1", paths::hashes(log(1)));
    let begun = Instant::now();
    assert_eq!(get(&hub, &path, &[("if-none-match", &tag)]).await.1.status, 304);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let path = format!("{}&wait=30", paths::hashes_below(log(1), ""));
    let conditions = [("if-none-match", tag.as_str())];
    let waiting = get(&hub, &path, &conditions);
    let writing = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // A push is none of their business; nor is a task that changes nothing, or one of another log.
        assert_eq!(hub.push(log(1), &Pushing::onto(&hub.state(log(1)).await).text("x")).await.status, 200);
        fill(&hub, 1, 0..3).await;
        fill(&hub, 2, 3..4).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        fill(&hub, 1, 3..4).await;
        begun
    };
    let ((_, answer), written) = tokio::join!(waiting, writing);
    assert!(written.elapsed() < Duration::from_secs(5));
    assert_eq!(answer.status, 200);
    assert_eq!(read_nodes(&answer.text()).unwrap()[&Prefix::ROOT].node.tasks, 4);
    // A log that is deleted has no tasks any more.
    let tag = format!("\"{}\"", Digest::of(&hashes(&hub, 1).await));
    let conditions = [("if-none-match", tag.as_str())];
    let waiting = get(&hub, &path, &conditions);
    let deleting = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(hub.delete(&paths::log(log(1))).await.status, 204);
    };
    let ((_, answer), ()) = tokio::join!(waiting, deleting);
    assert_eq!(read_nodes(&answer.text()).unwrap()[&Prefix::ROOT].node, Node::default());
    assert_eq!(hub.get(&paths::hashes(log(1))).await.text(), "{}");
    assert_eq!(hashes(&hub, 2).await.len(), 1);
}

#[tokio::test]
async fn ten_thousand_tasks_take_ten_requests_and_a_change_among_them_kilobytes() {
    let hub = TestHub::start().await;
    assert_eq!(fill(&hub, 1, 0..10_000).await, 10);
    let tasks = hashes(&hub, 1).await;
    assert_eq!(tasks.len(), 10_000);
    let (headers, whole) = get(&hub, &paths::hashes(log(1)), &[("accept-encoding", "zstd")]).await;
    assert_eq!(headers["content-encoding"], "zstd");
    assert_eq!(read_hashes(&String::from_utf8(decompress(&whole.body, 1 << 24).unwrap()).unwrap()).unwrap(), tasks);
    let changed = spread(77);
    post(&hub, 1, changed.as_str(), json!({"client_state": {"id": changed.as_str(), "done": true}}).to_string()).await;
    // Down the tree, to where it differs.
    let (mut at, mut bytes, mut requests) = (Prefix::ROOT, 0, 0);
    let found = loop {
        let answer = hub.get(&paths::hashes_below(log(1), at.as_str())).await;
        (bytes, requests) = (bytes + answer.body.len(), requests + 1);
        let told = read_nodes(&answer.text()).unwrap().remove(&at).unwrap();
        assert_eq!(told.node.tasks, at.within(&tasks).count() as u64);
        let of = |prefix: &Prefix| Node::of(prefix.within(&tasks));
        match told.below {
            Below::Nodes(nodes) => {
                let differ: Vec<Prefix> =
                    nodes.into_iter().filter(|(p, node)| of(p) != *node).map(|(p, _)| p).collect();
                assert_eq!(differ.len(), 1);
                at = differ[0];
            }
            Below::Hashes(listed) => {
                break listed.into_iter().filter(|(id, hash)| tasks[id] != *hash).map(|(id, _)| id).collect::<Vec<_>>();
            }
        }
    };
    assert_eq!((found, requests), (vec![changed], 3));
    assert!(bytes < 12_000, "{bytes}");
}

#[tokio::test]
async fn a_batch_goes_as_far_as_its_answer_has_room() {
    let hub = TestHub::start().await;
    let item = |n: usize, size: usize| {
        let id = spread(n);
        format!(r#"{{"id":"{id}","client_state":{{"id":"{id}","description":"{}"}}}}"#, "x".repeat(size))
    };
    let body: Vec<String> = (0..8).map(|n| item(n, 900_000)).collect();
    let answer = hub.send("POST", &paths::tasks(log(1)), format!("[{}]", body.join(","))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().as_array().unwrap().len(), 5);
    // What is left was not looked at.
    assert_eq!(hashes(&hub, 1).await.len(), 5);
    // In a batch a refusal is one item's.
    let (one, two, three) = (spread(0), spread(100), spread(101));
    let body = json!([
        {"id": one.as_str(), "client_state": {"id": one.as_str(), "due": "z".repeat(400_000)}},
        {"id": two.as_str(), "client_state": {"id": three.as_str()}},
        {"id": three.as_str(), "client_state": {"id": three.as_str()}},
        {"id": two.as_str(), "client_state": null},
        {"id": three.as_str(), "client_state": {"id": three.as_str(), "due": 1}},
    ]);
    let answers = hub.send("POST", &paths::tasks(log(1)), body.to_string()).await.json();
    assert!(answers[0]["refused"].as_str().unwrap().contains("both sides together are too large"), "{answers}");
    assert!(answers[1]["refused"].as_str().unwrap().contains("under the name of"), "{answers}");
    assert_eq!(answers[2], json!({"id": three.as_str(), "server_state": {"id": three.as_str()}}));
    assert_eq!(answers[3], json!({"id": two.as_str(), "server_state": null}));
    assert_eq!(answers[4]["server_state"]["due"], 1);
    let alone = json!({"client_state": {"id": one.as_str(), "due": "z".repeat(400_000)}}).to_string();
    assert_eq!(
        (post(&hub, 1, one.as_str(), alone).await.error().as_str(), hashes(&hub, 1).await.len()),
        ("conflict", 6)
    );
}

#[tokio::test]
async fn what_is_hostile_is_refused_in_words_or_kept_safely() {
    let hub = TestHub::start().await;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for id in ["..%2fx", "x", "PB67WNDXGE8293XD", "pb67wndxge8293xdp", "%00", "pb67wndxge8293x%20"] {
        let answer = post(&hub, 1, id, r#"{"client_state":null}"#).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{id}");
        assert!(answer.json()["message"].as_str().unwrap().contains("is no id of a task"), "{id}: {}", answer.text());
    }
    let huge = format!(r#"{{"client_state":{{"id":"{ID}","description":"{}"}}}}"#, "a".repeat(10 << 20));
    let answer = post(&hub, 1, ID, huge).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, "too-large"));
    let bomb = format!(r#"{{"client_state":{{"id":"{ID}","description":"{}"}}}}"#, "a".repeat(100 << 20));
    let request = hub.client.post(hub.url(&paths::task(log(1), ID))).header("content-encoding", "zstd");
    let answer = Answer::of(request.body(compress(bomb.as_bytes(), 1).unwrap()).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, "too-large"));
    for (body, why) in [
        (format!(r#"{{"client_state":{{"id":"{ID}","a":{}}}}}"#, deep(40)), "nested more than"),
        (deep(100_000), "nested more than"),
        (format!(r#"{{"client_state":{{"id":"{ID}","id":"{ID}"}}}}"#), "stands twice in one object"),
        (format!(r#"{{"client_state":{{"id":"{OTHER}"}}}}"#), "under the name of"),
        (format!(r#"{{"client_state":{{"id":"{ID}","tags":"x"}}}}"#), "`tags` is a text"),
        (format!(r#"{{"client_state":{{"id":"{ID}","_clocks":{{"due":"x"}}}}}}"#), "is no stamp"),
        (r#"{"client_state":{"id":"../x"}}"#.to_owned(), "is no id of a task"),
        (String::new(), "it is cut off, or empty"),
        ("{".to_owned(), "is missing"),
    ] {
        let answer = post(&hub, 1, ID, body.clone()).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{}", &body[..body.len().min(99)]);
        assert!(answer.json()["message"].as_str().unwrap().contains(why), "{}", answer.text());
    }
    assert_eq!(hub.send("POST", &paths::task(log(1), ID), vec![0xff, 0xfe]).await.error(), "bad-request");
    assert_eq!(hub.get(&paths::hashes(log(1))).await.text(), "{}");
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
    for (query, why) in [("prefix=../x", "is the beginning of no task's id"), ("wait=x", "must be a number of seconds")]
    {
        let answer = hub.get(&format!("{}?{query}", paths::hashes(log(1)))).await;
        assert!(answer.status == 400 && answer.text().contains(why), "{}", answer.text());
    }
    assert_eq!(hub.get(&paths::hashes_below(log(1), &["p"; 65].join(","))).await.status, 400);
    // The end of time, and what nobody knows, are kept.
    let odd = format!(
        r#"{{"id":"{ID}","description":"\u0000","due":"9999-12-31T23:59:59.999999Z","x":1e400,"y":{}}}"#,
        deep(30)
    );
    let answer = post(&hub, 1, ID, format!(r#"{{"client_state":{odd}}}"#)).await;
    assert_eq!(answer.text(), format!(r#"{{"server_state":{odd}}}"#));
    assert_eq!(hashes(&hub, 1).await.len(), 1);
}

#[tokio::test]
async fn of_two_who_post_at_once_neither_loses_anything() {
    let hub = TestHub::start().await;
    let posts = (0..40_u32).map(|n| {
        let property = format!("p{n}");
        let body = json!({"client_state": {"id": ID, property: n, "description": format!("d{n}"), "updated_at": format!("2026-11-25T09:00:{:02}Z", n % 60)}});
        post(&hub, 1, ID, body.to_string())
    });
    let answers = all(posts.map(Box::pin).collect()).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let stands = post(&hub, 1, ID, r#"{"client_state":null}"#).await.json()["server_state"].clone();
    assert!((0..40).all(|n| stands[format!("p{n}")] == n), "{stands}");
    assert_eq!(stands["description"], "d39");
    let hub = hub.restart().await;
    assert_eq!(post(&hub, 1, ID, r#"{"client_state":null}"#).await.json()["server_state"], stands);
}

/// All of these at once.
async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (one, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = std::pin::Pin::new(one).poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn tasks_count_for_the_quota_and_are_shown() {
    let directory = TempDir::new().unwrap();
    let policy = Policy { quota_bytes: Some(1000), ..Policy::default() };
    let hub = Hub::open(directory.path(), env(), Options { policy, ..Options::default() }).unwrap();
    let handle = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let hub = TestHub { handle, client: reqwest::Client::new(), directory };
    assert_eq!(post(&hub, 1, ID, state(ID, &"x".repeat(300), 1).to_string()).await.status, 200);
    let over = post(&hub, 1, OTHER, state(OTHER, &"x".repeat(700), 1).to_string()).await;
    assert_eq!((over.status, over.error().as_str()), (507, "quota"));
    assert_eq!(over.json()["quota"]["of"], "bytes");
    assert_eq!(hashes(&hub, 1).await.len(), 1);
    // What is there already is no more, and reading goes on.
    assert_eq!(post(&hub, 1, ID, state(ID, &"x".repeat(300), 1).to_string()).await.status, 200);
    assert_eq!(post(&hub, 1, OTHER, r#"{"client_state":null}"#).await.status, 200);
    let status = hub.get("/1/status").await.json();
    assert_eq!((&status["logs"][0]["tasks"], &status["storage"]["tasks"]), (&json!(1), &json!(1)));
    assert_eq!(status["activity"][0]["kind"], "tasks");
    assert!(hub.get("/metrics").await.text().contains("\ntolstoy_hub_tasks 1\n"));
    // A push goes on beside them: a task's log is any log.
    assert_eq!(hub.push(log(1), &Pushing::onto(&hub.state(log(1)).await).text("x")).await.status, 200);
}

#[tokio::test]
async fn what_is_sent_and_answered_may_be_compressed() {
    let hub = TestHub::start().await;
    let body = format!(
        "[{}]",
        (0..200)
            .map(|n| format!(r#"{{"id":"{0}","client_state":{{"id":"{0}"}}}}"#, spread(n)))
            .collect::<Vec<_>>()
            .join(",")
    );
    let request = hub.client.post(hub.url(&paths::tasks(log(1)))).header("accept-encoding", "zstd");
    let request = request.header("content-encoding", "zstd").body(compress(body.as_bytes(), 1).unwrap());
    let response = request.send().await.unwrap();
    let name = HeaderName::from_static("content-encoding");
    assert_eq!((response.status().as_u16(), &response.headers()[&name]), (200, &"zstd".parse().unwrap()));
    assert_eq!(response.headers()["accept-encoding"], "zstd");
    let answers: Value =
        serde_json::from_slice(&decompress(&response.bytes().await.unwrap(), 1 << 20).unwrap()).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 200);
    assert_eq!(hashes(&hub, 1).await.len(), 200);
}
