//! Bodies in zstd, both ways.

use tolstoy_proto::coding::{compress, decompress};
use tolstoy_proto::limits::{MAX_CHUNK, MAX_PUSH};
use tolstoy_proto::{ChunkId, Form, LogId, LogState, TrnId, media, paths};

use crate::common::{Answer, Pushing, TestHub, check_stream, frames, log};

/// A request with these headers; its answer, and headers of it: content encoding, vary, accept encoding.
async fn send(
    hub: &TestHub,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (Answer, [String; 3]) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = hub.client.request(method, hub.url(path)).body(body);
    let response = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await;
    let response = response.unwrap();
    let header = |name| response.headers().get(name).map_or("", |v: &reqwest::header::HeaderValue| v.to_str().unwrap());
    let told = ["content-encoding", "vary", "accept-encoding"].map(|name| header(name).to_owned());
    (Answer::of(response).await, told)
}

async fn push(hub: &TestHub, log: LogId, coding: &str, body: Vec<u8>) -> Answer {
    let headers = [("content-type", media::MSGPACK), ("content-encoding", coding)];
    send(hub, ("POST", &paths::push(log)), &headers, body).await.0
}

#[tokio::test]
async fn a_stream_is_coded_where_that_is_asked_for_and_is_the_same() {
    let hub = TestHub::start().await;
    let mut long = Pushing::onto(&LogState::EMPTY).text("small");
    for n in 0..40u8 {
        long = long.chunks(&[&[n; 20_000], &[n + 100; 20_000]]);
    }
    for (log, push) in [
        (log(1), long),
        (log(2), Pushing::onto(&LogState::EMPTY).chunks(&[&[7; 5000]])),
        (log(3), Pushing::onto(&LogState::EMPTY)),
    ] {
        assert_eq!(hub.push(log, &push).await.status, 200);
        let path = paths::pull(log, &[]);
        for accept in [media::MSGPACK, media::JSON] {
            let (plain, told) = send(&hub, ("GET", &path), &[("accept", accept)], vec![]).await;
            assert_eq!(told, ["", "Accept, Accept-Encoding", "zstd"]);
            check_stream(&plain.frames());
            let asked = [("accept", accept), ("accept-encoding", "gzip, zstd;q=0.8")];
            let (coded, told) = send(&hub, ("GET", &path), &asked, vec![]).await;
            assert_eq!(coded.content_type, plain.content_type);
            if plain.body.len() < 1024 {
                assert_eq!((told[0].as_str(), &coded.body), ("", &plain.body));
            } else {
                assert_eq!(told, ["zstd", "Accept, Accept-Encoding", "zstd"]);
                assert!(coded.body.len() < plain.body.len() / 10, "{} of {}", coded.body.len(), plain.body.len());
                assert!(decompress(&coded.body, plain.body.len()).unwrap() == plain.body);
            }
            let only = [("accept", accept), ("accept-encoding", "zstd, identity;q=0")];
            let (coded, told) = send(&hub, ("GET", &path), &only, vec![]).await;
            assert_eq!(told[0], "zstd");
            assert!(decompress(&coded.body, plain.body.len()).unwrap() == plain.body);
            for identity in ["identity", "zstd;q=0, *", "zstd;q=0.1, identity;q=0.2"] {
                let asked = [("accept", accept), ("accept-encoding", identity)];
                let (same, told) = send(&hub, ("GET", &path), &asked, vec![]).await;
                assert_eq!((told[0].as_str(), same.body == plain.body), ("", true), "{identity}");
            }
        }
        let (none, _) = send(&hub, ("GET", &path), &[("accept-encoding", "*;q=0")], vec![]).await;
        assert_eq!((none.status, none.error().as_str()), (406, "not-acceptable"));
    }
    // A conflict's stream too.
    let stale = Pushing::onto(&LogState::EMPTY).text("stale").bytes(Form::MessagePack);
    let headers = [("content-type", media::MSGPACK), ("accept-encoding", "zstd")];
    let (conflict, told) = send(&hub, ("POST", &paths::push(log(1))), &headers, stale).await;
    assert_eq!((conflict.status, told[0].as_str()), (409, "zstd"));
    check_stream(&frames(Form::MessagePack, &decompress(&conflict.body, MAX_PUSH).unwrap()).unwrap());
}

#[tokio::test]
async fn a_coded_push_is_a_push() {
    let hub = TestHub::start().await;
    let mut state = LogState::EMPTY;
    // Short; short when coded; put aside; long when coded too.
    let noise: Vec<u8> = (0..100_000_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
    for chunk in [&b"short"[..], &[1; 400_000], &vec![2; 9 << 20], &noise] {
        let push = Pushing::onto(&state).chunks(&[chunk]);
        let headers = |form| {
            let media = if form == Form::Json { media::JSON } else { media::MSGPACK };
            [("content-type", media), ("content-encoding", "zstd")]
        };
        let mut answers = Vec::new();
        // The second is a repeat.
        for form in [Form::MessagePack, Form::Json] {
            let body = compress(&push.bytes(form), 3).unwrap();
            let (answer, told) = send(&hub, ("POST", &paths::push(log(1))), &headers(form), body).await;
            assert_eq!((answer.status, told[2].as_str()), (200, "zstd"), "{}", answer.text());
            answers.push(answer.state());
        }
        assert_eq!((answers[0], answers[0].head), (answers[1], push.last.0));
        state = answers[0];
    }
    check_stream(&hub.pull(log(1), &[]).await);
    assert_eq!(
        push(&hub, log(2), "identity", Pushing::onto(&LogState::EMPTY).text("x").bytes(Form::MessagePack)).await.status,
        200
    );
}

#[tokio::test]
async fn a_body_that_is_not_one_whole_frame_is_refused() {
    let hub = TestHub::start().await;
    let good = Pushing::onto(&LogState::EMPTY).text("x").bytes(Form::MessagePack);
    let coded = compress(&good, 1).unwrap();
    let long = compress(&Pushing::onto(&LogState::EMPTY).chunks(&[&[1; 1 << 20]]).bytes(Form::MessagePack), 1).unwrap();
    let with_dictionary = [&0xfd2f_b528_u32.to_le_bytes()[..], &[1, 0, 7, 1, 0, 0]].concat();
    let wide = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0, 17 << 3, 1, 0, 0]].concat();
    for (what, body, message) in [
        ("nothing", vec![], "ends within"),
        ("no frame", good.clone(), "not a zstd frame"),
        ("a cut frame", coded[..coded.len() - 1].to_vec(), "ends within"),
        ("a long cut frame", long[..long.len() - 1].to_vec(), "ends within"),
        ("two frames", [coded.clone(), coded.clone()].concat(), "one frame"),
        ("two long frames", [long.clone(), long.clone()].concat(), "one frame"),
        ("a byte more", [coded.clone(), vec![0]].concat(), "one frame"),
        ("a dictionary", with_dictionary, "ictionary"),
        ("a wide window", wide, "memory"),
    ] {
        let answer = push(&hub, log(1), "zstd", body.clone()).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{what}");
        assert!(answer.text().contains(message), "{what}: {}", answer.text());
        let put = format!("{}/chunks/a", paths::v0_base(log(1)));
        let (answer, _) = send(&hub, ("PUT", &put), &[("content-encoding", "zstd")], body).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    for unknown in ["gzip", "zstd, gzip", "zstd, zstd", "br"] {
        let headers = [("content-type", media::MSGPACK), ("content-encoding", unknown)];
        let (answer, told) = send(&hub, ("POST", &paths::push(log(1))), &headers, good.clone()).await;
        assert_eq!((answer.status, answer.error().as_str(), told[2].as_str()), (415, "unsupported-media-type", "zstd"));
    }
    // Of what is wrong about the media type, the coding is not told.
    let (answer, told) = send(&hub, ("POST", &paths::push(log(1))), &[("content-type", "text/plain")], good).await;
    assert_eq!((answer.status, told[2].as_str()), (415, ""));
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
}

#[tokio::test]
async fn a_bomb_is_refused_at_the_limit() {
    let hub = TestHub::start().await;
    // A few KB that say a gigabyte.
    let mut bomb = Vec::new();
    let mut compressor = tolstoy_proto::coding::Compressor::new(1).unwrap();
    for _ in 0..1024 {
        compressor.add(&vec![0; 1 << 20], &mut bomb).unwrap();
    }
    compressor.end(&[], &mut bomb).unwrap();
    assert!(bomb.len() < 1 << 20);
    // As frames its beginning is none.
    assert_eq!(push(&hub, log(1), "zstd", bomb.clone()).await.status, 400);
    let mut much = Pushing::onto(&LogState::EMPTY);
    for n in 0..5u8 {
        much = much.chunks(&[&vec![n; 14 << 20]]);
    }
    let over = compress(&much.bytes(Form::MessagePack), 1).unwrap();
    let answer = push(&hub, log(1), "zstd", over).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, "too-large"));
    for path in [format!("{}/chunks/a", paths::v0_base(log(1))), paths::v0_head(log(1))] {
        let (answer, _) = send(&hub, ("PUT", &path), &[("content-encoding", "zstd")], bomb.clone()).await;
        assert_eq!((answer.status, answer.error().as_str()), (413, "too-large"), "{path}");
    }
    assert_eq!(hub.state(log(1)).await, LogState::EMPTY);
}

#[tokio::test]
async fn chunks_of_the_old_api_are_coded_both_ways() {
    let hub = TestHub::start().await;
    let base = paths::v0_base(log(1));
    let coded = [("content-encoding", "zstd")];
    for (bytes, shrinks) in [(&b"short"[..], false), (&[3; 200_000], true), (&vec![4; MAX_CHUNK], true)] {
        let id = ChunkId::of(bytes);
        let path = paths::v0_chunk(log(1), &id);
        let (put, _) = send(&hub, ("PUT", &path), &coded, compress(bytes, 1).unwrap()).await;
        assert_eq!(put.status, 201, "{}", put.text());
        let (plain, told) = send(&hub, ("GET", &path), &[], vec![]).await;
        assert!(told == ["", "Accept-Encoding", "zstd"] && plain.body == bytes);
        let (got, told) = send(&hub, ("GET", &path), &[("accept-encoding", "zstd")], vec![]).await;
        assert_eq!((told[0].as_str(), got.body.len() < bytes.len()), (if shrinks { "zstd" } else { "" }, shrinks));
        if shrinks {
            assert!(decompress(&got.body, bytes.len()).unwrap() == bytes);
        }
    }
    let trn = TrnId(log(9).0);
    let new = serde_json::json!({"parent": TrnId::ROOT, "chunks": [ChunkId::of(b"short")]}).to_string();
    let path = paths::v0_transaction(log(1), trn);
    assert_eq!(send(&hub, ("PUT", &path), &coded, compress(new.as_bytes(), 1).unwrap()).await.0.status, 201);
    let (gzip, told) = send(&hub, ("PUT", &format!("{base}/head")), &[("content-encoding", "gzip")], vec![]).await;
    assert_eq!((gzip.status, told[2].as_str()), (415, "zstd"));
}
