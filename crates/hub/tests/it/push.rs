//! `/1`'s push, over HTTP.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tolstoy_proto::{ChunkId, End, Form, Frame, LogState, TrnId, media, paths};

use crate::common::{Answer, Pushing, TestHub, check_stream, encode, log, texts};

/// A hub whose log 1 has transactions of the texts one, two, three; and its state.
async fn hub_with_three() -> (TestHub, LogState) {
    let hub = TestHub::start().await;
    let answer = hub.push(log(1), &Pushing::onto(&LogState::EMPTY).text("one").text("two").text("three")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let state = answer.state();
    (hub, state)
}

#[tokio::test]
async fn a_push_is_committed_whole_and_answers_the_state() {
    let hub = TestHub::start().await;
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
    let push = Pushing::onto(&LogState::EMPTY).text("one").chunks(&[b"two", b"more"]).chunks(&[]);
    let answer = hub.push(log(1), &push).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    let state = answer.state();
    assert_eq!((state.head, state.seq, state.chain), push.last);
    assert_eq!(state.generation.unwrap().number, 1);
    assert_eq!(hub.state(log(1)).await, state);
    let stream = hub.pull(log(1), &[]).await;
    check_stream(&stream);
    assert_eq!(texts(&stream), [vec!["one"], vec!["two", "more"], vec![]]);
    assert_eq!(hub.state(log(2)).await, LogState::EMPTY);
}

/// In a log of which all ids derive, and which is so long that they are in lists.
#[tokio::test]
async fn ids_of_a_long_log_cannot_come_again() {
    let hub = TestHub::start().await;
    let mut state = LogState::EMPTY;
    let mut ids = Vec::new();
    for n in 0..30 {
        let push = (0..16).fold(Pushing::onto(&state), |push, k| push.text(&format!("{n} {k}")));
        ids.extend(push.frames.iter().filter_map(|frame| match frame {
            Frame::Transaction(trn) => Some(trn.id),
            _ => None,
        }));
        state = hub.push(log(1), &push).await.state();
    }
    // In a list, in a block, in the tail; also behind one that derives.
    for taken in [ids[3], ids[200], ids[450], ids[479]] {
        for push in [Pushing::onto(&state), Pushing::onto(&state).text("derives")] {
            let push = push.transaction(taken, vec![], vec![]);
            let answer = hub.push(log(1), &push).await;
            assert_eq!((answer.status, answer.error().as_str()), (409, "id-taken"), "{taken}");
        }
    }
    // One that derives, and is uploaded with other content.
    let next = Pushing::onto(&state).text("next");
    assert_eq!(hub.put(&format!("{}/chunks/plain", paths::v0_base(log(1))), "other").await.status, 201);
    let body = json!({"parent": state.head, "chunks": ["plain"]}).to_string();
    assert_eq!(hub.put(&paths::v0_transaction(log(1), next.last.0), body).await.status, 201);
    let answer = hub.push(log(1), &next).await;
    assert_eq!((answer.status, answer.error().as_str()), (409, "id-taken"));
    // Committed there, it is one whose id does not derive, and cannot come again either; nor can those before it.
    assert_eq!(hub.put(&paths::v0_head(log(1)), json!({"head": next.last.0}).to_string()).await.status, 204);
    let state = hub.state(log(1)).await;
    for taken in [next.last.0, ids[3], ids[450]] {
        let answer = hub.push(log(1), &Pushing::onto(&state).transaction(taken, vec![], vec![])).await;
        assert_eq!((answer.status, answer.error().as_str()), (409, "id-taken"));
    }
    assert_eq!(hub.push(log(1), &Pushing::onto(&state).text("goes on")).await.status, 200);
}

#[tokio::test]
async fn both_surfaces_show_the_same_log() {
    let (hub, state) = hub_with_three().await;
    let v0 = paths::v0_base(log(1));
    let head = hub.get(&format!("{v0}/head")).await.json();
    assert_eq!(head["head"], json!(state.head));
    let listed = hub.get(&format!("{v0}/transactions")).await.json();
    assert_eq!(listed["transactions"].as_array().unwrap().len(), 3);
    assert_eq!(hub.get(&paths::v0_chunk(log(1), &ChunkId::of(b"two"))).await.text(), "two");

    // Uploaded there, pulled here.
    assert_eq!(hub.put(&format!("{v0}/chunks/plain"), "four").await.status, 201);
    let trn = TrnId(log(9).0);
    let body = json!({"parent": state.head, "chunks": ["plain"]}).to_string();
    assert_eq!(hub.put(&paths::v0_transaction(log(1), trn), body).await.status, 201);
    assert_eq!(hub.put(&format!("{v0}/head"), json!({"head": trn}).to_string()).await.status, 204);
    let stream = hub.pull(log(1), &[state.head]).await;
    check_stream(&stream);
    assert_eq!(texts(&stream), [vec!["four"]]);
}

#[tokio::test]
async fn a_repeated_push_answers_the_same_and_changes_nothing() {
    let hub = TestHub::start().await;
    let first = Pushing::onto(&LogState::EMPTY).text("one").text("two");
    let state = hub.push(log(1), &first).await.state();
    let again = hub.push(log(1), &first).await;
    assert_eq!((again.status, again.state()), (200, state));
    // After somebody else's push the repeat is a conflict that contains what was pushed.
    hub.push(log(1), &Pushing::onto(&state).text("three")).await;
    let conflict = hub.push(log(1), &first).await;
    assert_eq!(conflict.status, 409);
    check_stream(&conflict.frames());
    assert_eq!(texts(&conflict.frames()), [["one"], ["two"], ["three"]]);
}

#[tokio::test]
async fn a_conflict_carries_what_the_client_lacks() {
    let (hub, state) = hub_with_three().await;
    let theirs = Pushing::onto(&state).text("four").text("five");
    let theirs = hub.push(log(1), &theirs).await.state();
    let mine = Pushing::onto(&state).text("mine");
    let conflict = hub.push(log(1), &mine).await;
    assert_eq!((conflict.status, conflict.content_type.as_str()), (409, media::MSGPACK));
    let stream = conflict.frames();
    check_stream(&stream);
    let Frame::Start(start) = stream[0] else { panic!() };
    assert_eq!((start.from, start.from_seq, start.from_chain), (state.head, state.seq, state.chain));
    assert_eq!(start.state, theirs);
    assert_eq!(texts(&stream), [["four"], ["five"]]);
    assert_eq!(hub.state(log(1)).await, theirs);
    // In the form that was asked for.
    let request = hub.client.post(hub.url(&paths::push(log(1)))).header("content-type", media::MSGPACK);
    let request = request.header("accept", "application/json").body(mine.bytes(Form::MessagePack));
    let conflict = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((conflict.status, conflict.content_type.as_str()), (409, "application/json"));
    assert_eq!(conflict.frames(), stream);
    // On the new base it is taken.
    let merged = hub.push(log(1), &Pushing::onto(&theirs).text("mine")).await;
    assert_eq!(merged.state().seq.0, 6);
}

#[tokio::test]
async fn a_conflict_starts_at_the_newest_that_both_have() {
    let (hub, state) = hub_with_three().await;
    let ids: Vec<TrnId> = hub
        .pull(log(1), &[])
        .await
        .iter()
        .filter_map(|frame| if let Frame::Transaction(trn) = frame { Some(trn.id) } else { None })
        .collect();
    let mut push = Pushing::onto(&LogState { head: TrnId(log(99).0), ..state }).text("elsewhere");
    push.push.expect.extend([TrnId(log(98).0), ids[1], ids[0]]);
    let conflict = hub.push(log(1), &push).await;
    assert_eq!(conflict.status, 409);
    let Frame::Start(start) = conflict.frames()[0] else { panic!() };
    assert_eq!(start.from, ids[1]);
    assert_eq!(texts(&conflict.frames()), [["three"]]);
}

#[tokio::test]
async fn an_empty_push_asks_whether_anything_is_new() {
    let (hub, state) = hub_with_three().await;
    let nothing = hub.push(log(1), &Pushing::onto(&state)).await;
    assert_eq!((nothing.status, nothing.state()), (200, state));
    let empty = hub.push(log(2), &Pushing::onto(&LogState::EMPTY)).await;
    assert_eq!((empty.status, empty.state()), (200, LogState::EMPTY));
    let behind = hub.push(log(1), &Pushing::onto(&LogState { generation: None, ..LogState::EMPTY })).await;
    assert_eq!(behind.status, 409);
    assert_eq!(texts(&behind.frames()).len(), 3);
}

#[tokio::test]
async fn another_generation_changes_nothing() {
    let (hub, old) = hub_with_three().await;
    assert_eq!(hub.delete(&paths::log(log(1))).await.status, 204);
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
    // The client has one, the log none.
    let push = Pushing::onto(&old).text("four");
    let refused = hub.push(log(1), &push).await;
    assert_eq!((refused.status, refused.error().as_str()), (412, "generation"));
    assert_eq!(refused.json()["state"], serde_json::to_value(LogState::EMPTY).unwrap());
    // The log has the next.
    let fresh = hub.push(log(1), &Pushing::onto(&LogState::EMPTY).text("new life")).await.state();
    assert_eq!(fresh.generation.unwrap().number, 2);
    assert_ne!(fresh.generation.unwrap().id, old.generation.unwrap().id);
    let refused = hub.push(log(1), &push).await;
    assert_eq!(refused.status, 412);
    assert_eq!(refused.json()["state"], serde_json::to_value(fresh).unwrap());
    assert_eq!(hub.state(log(1)).await, fresh);
    // A client that knows none is told.
    let mut push = Pushing::onto(&fresh).text("more");
    push.push.generation = None;
    assert_eq!(hub.push(log(1), &push).await.state().generation, fresh.generation);
    // A deleted log survives a restart as deleted.
    hub.delete(&paths::log(log(1))).await;
    let hub = hub.restart().await;
    let third = hub.push(log(1), &Pushing::onto(&LogState::EMPTY).text("third life")).await.state();
    assert_eq!(third.generation.unwrap().number, 3);
}

#[tokio::test]
async fn a_chunk_that_the_hub_has_may_be_left_out_and_one_that_nobody_has_is_named() {
    let (hub, state) = hub_with_three().await;
    let (one, gone) = (ChunkId::of(b"one"), ChunkId::of(b"gone"));
    let id = TrnId(log(50).0);
    let push = Pushing::onto(&state).transaction(
        id,
        vec![one, ChunkId::of(b"new")],
        vec![(ChunkId::of(b"new"), b"new".to_vec())],
    );
    let after = hub.push(log(1), &push).await;
    assert_eq!(after.status, 200, "{}", after.text());
    let after = after.state();
    let stream = hub.pull(log(1), &[state.head]).await;
    check_stream(&stream);
    assert_eq!(texts(&stream), [["one", "new"]], "what a new stream names first it carries");

    let push = Pushing::onto(&after).transaction(TrnId(log(51).0), vec![one, gone, gone], vec![]);
    let missing = hub.push(log(1), &push).await;
    assert_eq!((missing.status, missing.error().as_str()), (422, "missing-chunks"));
    assert_eq!(missing.json()["chunks"], json!([gone]));
    assert_eq!(hub.state(log(1)).await, after);
    // Another log's chunks are not here.
    let push = Pushing::onto(&LogState::EMPTY).transaction(TrnId(log(52).0), vec![one], vec![]);
    assert_eq!(hub.push(log(2), &push).await.status, 422);
    assert_eq!(hub.state(log(2)).await, LogState::EMPTY);
    // At most a thousand are named.
    let many = (0..1500u32).map(|n| ChunkId::of(&n.to_be_bytes())).collect();
    let missing = hub.push(log(2), &Pushing::onto(&LogState::EMPTY).transaction(id, many, vec![])).await;
    assert_eq!(missing.json()["chunks"].as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn a_push_has_so_many_transactions_and_leaves_out_so_many_chunks_at_most() {
    let hub = TestHub::start().await;
    let ids = |range: std::ops::Range<u32>| range.map(|n| ChunkId::of(&n.to_be_bytes())).collect::<Vec<_>>();
    let push = |half: u32| {
        Pushing::onto(&LogState::EMPTY).transaction(TrnId(log(80).0), ids(0..half), vec![]).transaction(
            TrnId(log(81).0),
            ids(half..2 * half),
            vec![],
        )
    };
    let missing = hub.push(log(1), &push(50_000)).await;
    assert_eq!((missing.status, missing.error().as_str()), (422, "missing-chunks"));
    let refused = hub.push(log(1), &push(50_001)).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "bad-request"));
    assert!(refused.text().contains("leaves out too many chunks: push in parts"), "{}", refused.text());
    let many = (0..=100_000).fold(Pushing::onto(&LogState::EMPTY), |push, _| push.chunks(&[]));
    let refused = hub.push(log(1), &many).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "bad-request"));
    assert!(refused.text().contains("at most 100000 transactions: push in parts"), "{}", refused.text());
}

#[tokio::test]
async fn an_id_that_is_taken_is_refused() {
    let (hub, state) = hub_with_three().await;
    let first = hub.pull(log(1), &[]).await;
    let Frame::Transaction(first) = &first[1] else { panic!() };
    let push = Pushing::onto(&state).transaction(first.id, vec![], vec![]);
    let taken = hub.push(log(1), &push).await;
    assert_eq!((taken.status, taken.error().as_str()), (409, "id-taken"));
    // A chunk under a plain id with other bytes.
    let plain: ChunkId = "plain".parse().unwrap();
    let push = |n, bytes: &[u8], state: &LogState| {
        Pushing::onto(state).transaction(TrnId(log(n).0), vec![plain], vec![(plain, bytes.to_vec())])
    };
    let state = hub.push(log(1), &push(60, b"bytes", &state)).await.state();
    let taken = hub.push(log(1), &push(61, b"other", &state)).await;
    assert_eq!((taken.status, taken.error().as_str()), (409, "id-taken"));
    assert_eq!(hub.push(log(1), &push(61, b"bytes", &state)).await.status, 200);
    assert_eq!(hub.get(&paths::v0_chunk(log(1), &plain)).await.text(), "bytes");
}

#[tokio::test]
async fn a_transaction_that_is_pending_may_be_pushed_as_it_is() {
    let (hub, state) = hub_with_three().await;
    let (same, other) = (TrnId(log(70).0), TrnId(log(71).0));
    for id in [same, other] {
        let body = json!({"parent": state.head, "chunks": [ChunkId::of(b"one")]}).to_string();
        assert_eq!(hub.put(&paths::v0_transaction(log(1), id), body).await.status, 201);
    }
    let differs = Pushing::onto(&state).transaction(other, vec![ChunkId::of(b"two")], vec![]);
    assert_eq!(hub.push(log(1), &differs).await.error(), "id-taken");
    let equal = Pushing::onto(&state).transaction(same, vec![ChunkId::of(b"one")], vec![]);
    assert_eq!(hub.push(log(1), &equal).await.status, 200);
    assert_eq!(hub.get(&paths::v0_transaction(log(1), same)).await.status, 200);
    assert_eq!(hub.put(&paths::v0_head(log(1)), json!({"head": other}).to_string()).await.status, 409);
}

#[tokio::test]
async fn chains_that_differ_under_the_same_head_are_told() {
    let (hub, state) = hub_with_three().await;
    let mut push = Pushing::onto(&state).text("four");
    push.last.2 = state.chain;
    let told = hub.push(log(1), &push).await;
    assert_eq!((told.status, told.error().as_str()), (422, "chain-mismatch"));
    assert_eq!(told.json()["state"], serde_json::to_value(state).unwrap());
    let miscounted = LogState { seq: state.seq.next(), ..state };
    let told = hub.push(log(1), &Pushing::onto(&miscounted).text("four")).await;
    assert_eq!(told.error(), "chain-mismatch");
    assert_eq!(hub.state(log(1)).await, state);
}

#[tokio::test]
async fn a_push_in_json_says_the_same() {
    let hub = TestHub::start().await;
    let push = Pushing::onto(&LogState::EMPTY).text("one").text("\"two\" [{}]\\");
    let request =
        hub.client.post(hub.url(&paths::push(log(1)))).header("content-type", "application/json; charset=utf-8");
    let answer = Answer::of(request.body(push.bytes(Form::Json)).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((answer.state().head, answer.state().chain), (push.last.0, push.last.2));
    let request = hub.client.get(hub.url(&paths::pull(log(1), &[]))).header("accept", "application/json");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.content_type, "application/json");
    assert_eq!(answer.frames(), hub.pull(log(1), &[]).await);
    assert!(answer.json().is_array());
}

#[tokio::test]
async fn an_unknown_media_type_is_refused() {
    let hub = TestHub::start().await;
    let push = Pushing::onto(&LogState::EMPTY).text("one").bytes(Form::MessagePack);
    let url = hub.url(&paths::push(log(1)));
    for (header, value) in [("content-type", "text/plain"), ("x", "no content type"), ("content-encoding", "br")] {
        let mut request = hub.client.post(&url).body(push.clone()).header(header, value);
        if header == "content-encoding" {
            request = request.header("content-type", media::MSGPACK);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.error().as_str()), (415, "unsupported-media-type"), "{header}");
    }
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
}

#[tokio::test]
async fn a_malformed_push_is_refused_and_leaves_nothing() {
    let hub = TestHub::start().await;
    let good = Pushing::onto(&LogState::EMPTY).text("one").chunks(&[b"a", b"b"]);
    let all = good.all();
    let [push, one, one_chunk, two, a, b, end] = all.as_slice() else { panic!() };
    let altered = |frame: &Frame, alter: &dyn Fn(&mut tolstoy_proto::Transaction)| {
        let Frame::Transaction(mut trn) = frame.clone() else { panic!() };
        alter(&mut trn);
        Frame::Transaction(trn)
    };
    let wrong_seq = altered(two, &|trn| trn.seq.0 += 1);
    let wrong_parent = altered(two, &|trn| trn.parent = TrnId(log(3).0));
    let root = altered(one, &|trn| trn.id = TrnId::ROOT);
    let zeroth = altered(one, &|trn| trn.seq.0 = 0);
    let twice = altered(one, &|trn| trn.seq.0 = 3);
    let Frame::Transaction(last) = two else { panic!() };
    let twice = altered(&twice, &|trn| trn.parent = last.id);
    let Frame::Chunk(mut wrong_bytes) = one_chunk.clone() else { panic!() };
    wrong_bytes.bytes = "two".into();
    let wrong_bytes = Frame::Chunk(wrong_bytes);
    let Frame::End(mut miscounted) = *end else { panic!() };
    miscounted.count += 1;
    let (miscounted, start) = (Frame::End(miscounted), hub.pull(log(1), &[]).await.remove(0));
    let cases: &[(&str, Vec<&Frame>)] = &[
        ("nothing at all", vec![]),
        ("no push frame", vec![one, one_chunk, end]),
        ("two push frames", vec![push, push, end]),
        ("a start frame", vec![push, &start, end]),
        ("no end", vec![push, one, one_chunk]),
        ("two ends", vec![push, one, one_chunk, end, end]),
        ("a wrong count", vec![push, one, one_chunk, two, a, b, &miscounted]),
        ("a wrong seq", vec![push, one, one_chunk, &wrong_seq, a, b, end]),
        ("a wrong parent", vec![push, one, one_chunk, &wrong_parent, a, b, end]),
        ("the root", vec![push, &root, one_chunk, end]),
        ("a seq of zero", vec![push, &zeroth, one_chunk, end]),
        ("a transaction twice", vec![push, one, one_chunk, two, a, b, &twice, &miscounted]),
        ("a chunk before its transaction", vec![push, one_chunk, one, two, a, b, end]),
        ("chunks out of order", vec![push, one, one_chunk, two, b, a, end]),
        ("a chunk twice", vec![push, one, one_chunk, two, a, a, b, end]),
        ("a chunk of an earlier transaction", vec![push, one, two, one_chunk, a, b, end]),
        ("a chunk that is not what its id says", vec![push, one, &wrong_bytes, two, a, b, end]),
    ];
    let Frame::Transaction(tolstoy_proto::Transaction { id: first, .. }) = one else { panic!("{one:?}") };
    for (what, frames) in cases {
        let frames: Vec<Frame> = frames.iter().map(|frame| (*frame).clone()).collect();
        let answer = hub.push_bytes(log(1), encode(Form::MessagePack, &frames)).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{what}: {}", answer.text());
        let says_twice = answer.text().contains(&format!("transaction {first} is in the push twice"));
        assert_eq!(says_twice, **what == *"a transaction twice", "{what}: {}", answer.text());
    }
    let bytes = good.bytes(Form::MessagePack);
    for cut in [1, 3, 10, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(hub.push_bytes(log(1), bytes[..cut].to_vec()).await.status, 400, "cut at {cut}");
    }
    for garbage in [vec![0xff; 100], b"[]".to_vec(), vec![0; 4]] {
        assert_eq!(hub.push_bytes(log(1), garbage).await.status, 400);
    }
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
    assert_eq!(hub.push(log(1), &good).await.status, 200);
}

#[tokio::test]
async fn a_transaction_without_chunks_and_an_expect_without_ids_are_fine() {
    let hub = TestHub::start().await;
    let mut push = Pushing::onto(&LogState::EMPTY).chunks(&[]);
    push.push.expect.clear();
    assert_eq!(hub.push(log(1), &push).await.state().seq.0, 1);
    let end = Frame::End(End { count: 0, chain: LogState::EMPTY.chain });
    let empty = [Frame::Push(push.push.clone()), end];
    assert_eq!(hub.push_bytes(log(1), encode(Form::MessagePack, &empty)).await.status, 409);
}

/// An id that begins as another does is another.
#[tokio::test]
async fn a_chunk_that_was_not_sent_is_missing_whatever_its_id_looks_like() {
    let hub = TestHub::start().await;
    let sent = ChunkId::of(b"sent");
    let alike: ChunkId = format!("{}{}", &sent.as_str()[..32], "0".repeat(32)).parse().unwrap();
    let push =
        Pushing::onto(&LogState::EMPTY).transaction(TrnId(log(5).0), vec![sent, alike], vec![(sent, b"sent".to_vec())]);
    let answer = hub.push(log(1), &push).await;
    assert_eq!((answer.status, answer.error().as_str()), (422, "missing-chunks"));
}

/// However its bytes are cut, a push is the same; and its pieces hold on to no more than their bytes.
#[tokio::test]
async fn a_push_may_come_byte_by_byte() {
    let hub = TestHub::start().await;
    let push = Pushing::onto(&LogState::EMPTY).text("one").text("two");
    let bytes = push.bytes(Form::MessagePack);
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        paths::push(log(1)),
        media::MSGPACK,
        bytes.len()
    );
    let mut stream = tokio::net::TcpStream::connect(hub.handle.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in bytes {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(hub.state(log(1)).await.seq.0, 2);
}
