//! The 0.1 API, point by point.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{Answer, TestHub};

const USER: &str = "/0.1/3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10";
const ROOT: &str = "00000000-0000-0000-0000-000000000000";

/// The path of a transaction with this number.
fn trn(n: u8) -> String {
    format!("{USER}/transactions/{}", id(n))
}

fn id(n: u8) -> String {
    format!("10000000-0000-4000-8000-{n:012}")
}

async fn put_chunk(hub: &TestHub, name: &str, bytes: &'static str) -> Answer {
    hub.put(&format!("{USER}/chunks/{name}"), bytes).await
}

async fn put_trn(hub: &TestHub, n: u8, parent: &str, chunks: &[&str]) -> Answer {
    hub.put(&trn(n), json!({"parent": parent, "chunks": chunks}).to_string()).await
}

async fn put_head(hub: &TestHub, head: &str) -> Answer {
    hub.put(&format!("{USER}/head"), json!({"head": head}).to_string()).await
}

async fn head(hub: &TestHub) -> String {
    hub.get(&format!("{USER}/head")).await.json()["head"].as_str().unwrap().to_owned()
}

async fn listed(hub: &TestHub, query: &str) -> serde_json::Value {
    let answer = hub.get(&format!("{USER}/transactions{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// A hub with chunk `a` and transactions 1 and 2 committed.
async fn hub_with_two() -> TestHub {
    let hub = TestHub::start().await;
    assert_eq!(put_chunk(&hub, "a", "A").await.status, 201);
    assert_eq!(put_trn(&hub, 1, ROOT, &["a"]).await.status, 201);
    assert_eq!(put_trn(&hub, 2, &id(1), &["a"]).await.status, 201);
    assert_eq!(put_head(&hub, &id(2)).await.status, 204);
    hub
}

#[tokio::test]
async fn an_empty_log_has_root_as_head_and_no_transactions() {
    let hub = TestHub::start().await;
    assert_eq!(head(&hub).await, ROOT);
    assert_eq!(listed(&hub, "").await, json!({"from": ROOT, "limit": 100, "transactions": []}));
    for path in ["/".to_owned(), USER.to_owned(), format!("{USER}/")] {
        assert_eq!(hub.get(&path).await.status, 200, "{path}");
    }
    assert_eq!(put_head(&hub, ROOT).await.status, 204);
    assert_eq!(hub.state("3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10".parse().unwrap()).await.generation, None);
}

#[tokio::test]
async fn what_is_committed_can_be_read() {
    let hub = hub_with_two().await;
    assert_eq!(head(&hub).await, id(2));
    let second = hub.get(&trn(2)).await;
    assert_eq!(second.json(), json!({"id": id(2), "seq": 2, "parent": id(1), "chunks": ["a"]}));
    assert_eq!(hub.get(&trn(1)).await.json()["parent"], ROOT);
    assert_eq!(listed(&hub, "").await["transactions"], json!([id(1), id(2)]));
    let after = listed(&hub, &format!("?from={}&limit=7", id(1))).await;
    assert_eq!(after, json!({"from": id(1), "limit": 7, "transactions": [id(2)]}));
    assert_eq!(listed(&hub, "?limit=1").await["transactions"], json!([id(1)]));
    assert_eq!(hub.get(&format!("{USER}/chunks/a")).await.text(), "A");
    assert_eq!(hub.get(&format!("{USER}/chunks/b")).await.error(), "not-found");
    assert_eq!(hub.get(&trn(3)).await.status, 404);
    assert_eq!(hub.get(&format!("{USER}/transactions/{ROOT}")).await.status, 404);
}

#[tokio::test]
async fn the_same_put_again_answers_as_the_first_did_though_its_parent_is_stale() {
    let hub = hub_with_two().await;
    assert_eq!(put_chunk(&hub, "a", "A").await.status, 201);
    assert_eq!(put_trn(&hub, 1, ROOT, &["a"]).await.status, 201);
    assert_eq!(put_trn(&hub, 2, &id(1), &["a"]).await.status, 201);
    // A pending one whose branch has lost.
    assert_eq!(put_trn(&hub, 3, &id(2), &["a"]).await.status, 201);
    assert_eq!(put_trn(&hub, 4, &id(2), &["a"]).await.status, 201);
    assert_eq!(put_head(&hub, &id(4)).await.status, 204);
    assert_eq!(put_trn(&hub, 3, &id(2), &["a"]).await.status, 201);
    assert_eq!(put_head(&hub, &id(4)).await.status, 204);
}

#[tokio::test]
async fn head_may_be_put_where_it_is_but_not_back() {
    let hub = hub_with_two().await;
    assert_eq!(put_head(&hub, &id(2)).await.status, 204);
    assert_eq!(put_head(&hub, &id(1)).await.status, 409);
    assert_eq!(put_head(&hub, ROOT).await.error(), "conflict");
    assert_eq!(put_head(&hub, &id(9)).await.status, 409);
    assert_eq!(head(&hub).await, id(2));
}

#[tokio::test]
async fn the_same_id_with_other_content_is_a_conflict_and_what_is_stored_stays() {
    let hub = hub_with_two().await;
    assert_eq!(put_chunk(&hub, "b", "B").await.status, 201);
    assert_eq!(put_chunk(&hub, "a", "other").await.error(), "conflict");
    assert_eq!(hub.get(&format!("{USER}/chunks/a")).await.text(), "A");
    assert_eq!(put_trn(&hub, 2, &id(1), &["b"]).await.status, 409);
    assert_eq!(put_trn(&hub, 2, ROOT, &["a"]).await.status, 409);
    assert_eq!(hub.get(&trn(2)).await.json()["chunks"], json!(["a"]));
    assert_eq!(put_trn(&hub, 3, &id(2), &["a"]).await.status, 201);
    assert_eq!(put_trn(&hub, 3, &id(2), &["b"]).await.status, 409);
    assert_eq!(put_head(&hub, &id(3)).await.status, 204);
    assert_eq!(hub.get(&trn(3)).await.json()["chunks"], json!(["a"]));
    let root =
        hub.put(&format!("{USER}/transactions/{ROOT}"), json!({"parent": id(3), "chunks": []}).to_string()).await;
    assert_eq!(root.status, 409);
}

#[tokio::test]
async fn a_chunk_whose_id_is_a_sha256_is_checked() {
    let hub = TestHub::start().await;
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(put_chunk(&hub, abc, "abd").await.error(), "bad-request");
    assert_eq!(hub.get(&format!("{USER}/chunks/{abc}")).await.status, 404);
    assert_eq!(put_chunk(&hub, abc, "abc").await.status, 201);
    assert_eq!(hub.get(&format!("{USER}/chunks/{abc}")).await.text(), "abc");
    assert_eq!(put_chunk(&hub, &"z".repeat(64), "anything").await.status, 201);
}

#[tokio::test]
async fn pending_transactions_are_invisible() {
    let hub = hub_with_two().await;
    assert_eq!(put_trn(&hub, 3, &id(2), &["a"]).await.status, 201);
    assert_eq!(hub.get(&trn(3)).await.status, 404);
    assert_eq!(listed(&hub, "").await["transactions"], json!([id(1), id(2)]));
    let from = hub.get(&format!("{USER}/transactions?from={}", id(3))).await;
    assert_eq!((from.status, from.error().as_str()), (404, "not-found"));
    assert_eq!(put_head(&hub, &id(3)).await.status, 204);
    assert_eq!(hub.get(&trn(3)).await.status, 200);
    assert_eq!(listed(&hub, &format!("?from={}", id(3))).await["transactions"], json!([]));
}

#[tokio::test]
async fn of_several_branches_the_first_wins_and_an_abandoned_one_blocks_nobody() {
    let hub = hub_with_two().await;
    // A client that crashed before its PUT head, one that wins, one that comes too late.
    for n in [3, 4, 5] {
        assert_eq!(put_trn(&hub, n, &id(2), &["a"]).await.status, 201);
    }
    assert_eq!(put_trn(&hub, 6, &id(4), &[]).await.status, 201);
    assert_eq!(put_head(&hub, &id(6)).await.status, 204);
    assert_eq!(put_head(&hub, &id(5)).await.status, 409);
    assert_eq!(put_head(&hub, &id(3)).await.status, 409);
    assert_eq!(listed(&hub, "").await["transactions"], json!([id(1), id(2), id(4), id(6)]));
    // What grows from a branch that has lost can never win.
    assert_eq!(put_trn(&hub, 7, &id(3), &[]).await.status, 409);
    assert_eq!(put_trn(&hub, 7, &id(6), &[]).await.status, 201);
    assert_eq!(put_head(&hub, &id(7)).await.status, 204);
}

#[tokio::test]
async fn a_parent_that_is_no_longer_head_is_a_conflict_at_once() {
    let hub = hub_with_two().await;
    assert_eq!(put_trn(&hub, 3, &id(1), &["a"]).await.error(), "conflict");
    assert_eq!(put_trn(&hub, 3, ROOT, &["a"]).await.status, 409);
    assert_eq!(put_trn(&hub, 3, &id(9), &["a"]).await.status, 409);
    assert_eq!(put_trn(&hub, 3, &id(2), &["a"]).await.status, 201);
}

#[tokio::test]
async fn a_head_with_descendants_is_a_conflict() {
    let hub = hub_with_two().await;
    assert_eq!(put_trn(&hub, 3, &id(2), &["a"]).await.status, 201);
    assert_eq!(put_trn(&hub, 4, &id(3), &["a"]).await.status, 201);
    assert_eq!(put_head(&hub, &id(3)).await.status, 409);
    assert_eq!(put_head(&hub, &id(4)).await.status, 204);
    assert_eq!(hub.get(&trn(4)).await.json()["seq"], 4);
}

#[tokio::test]
async fn an_unknown_chunk_is_not_found() {
    let hub = hub_with_two().await;
    assert_eq!(put_trn(&hub, 3, &id(2), &["a", "nope"]).await.error(), "not-found");
    assert_eq!(hub.get(&trn(3)).await.status, 404);
    assert_eq!(put_head(&hub, &id(3)).await.status, 409);
    // The chunk of another log is not here either.
    let other = "/0.1/00000000-0000-4000-8000-000000000001";
    let body = json!({"parent": ROOT, "chunks": ["a"]}).to_string();
    assert_eq!(hub.put(&format!("{other}/transactions/{}", id(1)), body).await.status, 404);
}

#[tokio::test]
async fn a_deleted_log_is_as_if_it_never_was() {
    let hub = hub_with_two().await;
    assert_eq!(hub.delete(USER).await.status, 204);
    assert_eq!(head(&hub).await, ROOT);
    assert_eq!(hub.get(&trn(1)).await.status, 404);
    assert_eq!(hub.get(&format!("{USER}/chunks/a")).await.status, 404);
    assert_eq!(listed(&hub, "").await["transactions"], json!([]));
    assert_eq!(hub.delete(USER).await.status, 204);
    assert_eq!(put_chunk(&hub, "a", "other bytes now").await.status, 201);
    assert_eq!(put_trn(&hub, 2, ROOT, &["a"]).await.status, 201);
    assert_eq!(put_head(&hub, &id(2)).await.status, 204);
}

#[tokio::test]
async fn malformed_ids_and_bodies_are_bad_requests() {
    let hub = hub_with_two().await;
    for path in [
        "/0.1/not-a-uuid".to_owned(),
        "/0.1/3A1F0B52-6C1D-4A57-9F0E-5D1C2B7A9E10/head".to_owned(),
        "/0.1/3a1f0b526c1d4a579f0e5d1c2b7a9e10/head".to_owned(),
        "/0.1/%ff/head".to_owned(),
        format!("{USER}/transactions/x"),
        format!("{USER}/transactions?from=x"),
        format!("{USER}/transactions?from="),
        format!("{USER}/transactions?limit=-1"),
        format!("{USER}/transactions?limit=ten"),
        format!("{USER}/transactions?limit="),
        format!("{USER}/transactions?limit=1&limit=2"),
        format!("{USER}/chunks/UPPER"),
        format!("{USER}/chunks/{}", "a".repeat(65)),
        format!("{USER}/chunks/a%2fb"),
    ] {
        let answer = hub.get(&path).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{path}");
    }
    for body in ["", "{", "[]", "{\"head\": 7}", "{\"head\": \"x\"}", "{\"head\": null}", "{}", "\u{0}"] {
        let answer = hub.put(&format!("{USER}/head"), body).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{body}");
    }
    for body in [
        "{\"parent\": 1, \"chunks\": []}".to_owned(),
        format!("{{\"parent\": \"{ROOT}\"}}"),
        format!("{{\"parent\": \"{ROOT}\", \"chunks\": [1]}}"),
        format!("{{\"parent\": \"{ROOT}\", \"chunks\": [\"NO\"]}}"),
        format!("{{\"parent\": \"{ROOT}\", \"chunks\": \"a\"}}"),
    ] {
        assert_eq!(hub.put(&trn(3), body.clone()).await.error(), "bad-request", "{body}");
    }
    // Keys that nobody knows are no error.
    let more = format!("{{\"parent\": \"{}\", \"chunks\": [], \"more\": {{}}}}", id(2));
    assert_eq!(hub.put(&trn(3), more).await.status, 201);
    assert_eq!(head(&hub).await, id(2));
}

#[tokio::test]
async fn a_high_limit_is_capped_and_the_cap_is_echoed() {
    let hub = hub_with_two().await;
    for (asked, taken) in [("0", 0), ("1000", 1000), ("1001", 1000), ("99999999999999999999999", 1000)] {
        assert_eq!(listed(&hub, &format!("?limit={asked}")).await["limit"], taken);
    }
    assert_eq!(listed(&hub, "?limit=0").await["transactions"], json!([]));
}

#[tokio::test]
async fn a_wrong_method_and_a_wrong_path_say_so_in_json() {
    let hub = TestHub::start().await;
    for (method, path) in [
        ("POST", USER.to_owned()),
        ("DELETE", format!("{USER}/head")),
        ("PUT", format!("{USER}/transactions")),
        ("POST", trn(1)),
        ("DELETE", format!("{USER}/chunks/a")),
        ("POST", "/".to_owned()),
        ("PUT", "/healthz".to_owned()),
        ("GET", "/1/logs/3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10/push".to_owned()),
    ] {
        let answer = hub.send(method, &path, "").await;
        assert_eq!((answer.status, answer.error().as_str()), (405, "method-not-allowed"), "{method} {path}");
    }
    for path in ["/0.2/x", "/0.1", "/nothing", &format!("{USER}/other"), &format!("{USER}/head/more"), "/1/logs"] {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, answer.error().as_str()), (404, "not-found"), "{path}");
    }
}

#[tokio::test]
async fn a_body_in_pieces_and_a_connection_for_each_request_are_fine() {
    let hub = TestHub::start().await;
    let exchange = async |request: String| {
        let mut stream = tokio::net::TcpStream::connect(hub.handle.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let chunk = exchange(format!(
        "PUT {USER}/chunks/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    ));
    assert!(chunk.await.starts_with("HTTP/1.1 201 "));
    let body = format!("{{\"parent\": \"{ROOT}\", \"chunks\": [\"a\"]}}");
    let put = exchange(format!(
        "PUT {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        trn(1),
        body.len()
    ));
    assert!(put.await.starts_with("HTTP/1.1 201 "));
    assert_eq!(put_head(&hub, &id(1)).await.status, 204);
    assert_eq!(hub.get(&format!("{USER}/chunks/a")).await.text(), "abcde");
}

#[tokio::test]
async fn a_listing_goes_on_from_its_last() {
    let hub = TestHub::start().await;
    let mut parent = ROOT.to_owned();
    for n in 0..250 {
        assert_eq!(put_trn(&hub, n, &parent, &[]).await.status, 201);
        parent = id(n);
    }
    assert_eq!(put_head(&hub, &parent).await.status, 204);
    let (mut all, mut from) = (Vec::new(), ROOT.to_owned());
    loop {
        let page = listed(&hub, &format!("?from={from}")).await;
        let page = page["transactions"].as_array().unwrap();
        let Some(last) = page.last() else { break };
        from = last.as_str().unwrap().to_owned();
        assert!(page.len() <= 100);
        all.extend(page.iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    assert_eq!(all, (0..250).map(id).collect::<Vec<_>>());
}
