//! `/1`'s pull, over HTTP.

use tolstoy_hub::service::{PullEnd, PullError, Service, Upload};
use tolstoy_hub::storage::MemoryStorage;
use tolstoy_proto::{ChunkId, Form, Frame, FrameDecoder, FrameEncoder, LogState, TrnId, paths};

use crate::common::{Pushing, TestHub, check_stream, encode, env, frames, log, texts};

fn ids(frames: &[Frame]) -> Vec<TrnId> {
    frames.iter().filter_map(|frame| if let Frame::Transaction(trn) = frame { Some(trn.id) } else { None }).collect()
}

#[tokio::test]
async fn a_log_that_was_never_written_is_an_empty_stream() {
    let hub = TestHub::start().await;
    let stream = hub.pull(log(1), &[TrnId(log(5).0)]).await;
    check_stream(&stream);
    assert_eq!(stream.len(), 2);
    let Frame::Start(start) = stream[0] else { panic!() };
    assert_eq!(start.state, LogState::EMPTY);
}

#[tokio::test]
async fn a_stream_starts_after_the_first_candidate_that_is_committed() {
    let hub = TestHub::start().await;
    let push = Pushing::onto(&LogState::EMPTY).text("one").text("two").text("three");
    let state = hub.push(log(1), &push).await.state();
    let all = ids(&hub.pull(log(1), &[]).await);
    let unknown = TrnId(log(77).0);
    for (from, expected) in [
        (vec![], 3),
        (vec![TrnId::ROOT], 3),
        (vec![unknown], 3),
        (vec![all[0]], 2),
        (vec![unknown, all[1], all[0]], 1),
        (vec![all[0], all[2]], 2),
        (vec![TrnId::ROOT, all[2]], 3),
        (vec![state.head], 0),
        ([vec![unknown; 63], vec![all[1]]].concat(), 1),
    ] {
        let stream = hub.pull(log(1), &from).await;
        check_stream(&stream);
        assert_eq!(ids(&stream).len(), expected, "{from:?}");
    }
    let path = paths::pull(log(1), &[unknown; 65]);
    assert_eq!(hub.get(&path).await.error(), "bad-request");
    for query in ["?from=x", "?from=,x", "?from=00000000-0000-0000-0000-00000000000G", "?from=a&from=b"] {
        let answer = hub.get(&format!("{}{query}", paths::pull(log(1), &[]))).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-request"), "{query}");
    }
}

#[tokio::test]
async fn a_chunk_that_several_name_is_sent_once() {
    let hub = TestHub::start().await;
    let push = Pushing::onto(&LogState::EMPTY).chunks(&[b"a", b"b"]);
    let again = vec![ChunkId::of(b"b"), ChunkId::of(b"a"), ChunkId::of(b"b")];
    let push = push.transaction(TrnId(log(5).0), again, vec![]).chunks(&[b"c"]);
    assert_eq!(hub.push(log(1), &push).await.status, 200);
    let stream = hub.pull(log(1), &[]).await;
    check_stream(&stream);
    assert_eq!(texts(&stream), [vec!["a", "b"], vec![], vec!["c"]]);
    let tail = hub.pull(log(1), &[ids(&stream)[0]]).await;
    check_stream(&tail);
    assert_eq!(texts(&tail), [vec!["b", "a"], vec!["c"]]);
}

/// Pushes transactions of 40 KB until they are several pages; gives their number.
async fn push_much(hub: &TestHub) -> usize {
    let mut push = Pushing::onto(&LogState::EMPTY);
    for n in 0..30u8 {
        push = push.chunks(&[&[n; 20_000], &[n + 100; 20_000]]);
    }
    assert_eq!(hub.push(log(1), &push).await.status, 200);
    30
}

#[tokio::test]
async fn a_long_stream_is_whole() {
    let hub = TestHub::start().await;
    let count = push_much(&hub).await;
    let stream = hub.pull(log(1), &[]).await;
    check_stream(&stream);
    assert_eq!(ids(&stream).len(), count);
    let json = hub.client.get(hub.url(&paths::pull(log(1), &[]))).header("accept", "application/json");
    let json = crate::common::Answer::of(json.send().await.unwrap()).await;
    assert_eq!(json.frames(), stream);
}

#[tokio::test]
async fn a_stream_that_was_cut_is_resumed_where_it_was_cut() {
    let hub = TestHub::start().await;
    let count = push_much(&hub).await;
    let whole = encode(Form::MessagePack, &hub.pull(log(1), &[]).await);
    for part in [0, 7, 33, 99] {
        // What a client keeps of a stream that was cut: whole transactions.
        let mut decoder = FrameDecoder::new(Form::MessagePack);
        decoder.feed(&whole[..whole.len() * part / 100]);
        let mut kept: Vec<(TrnId, usize)> = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            match frame {
                Frame::Transaction(trn) => kept.push((trn.id, trn.chunks.len())),
                Frame::Chunk(_) => kept.last_mut().unwrap().1 -= 1,
                _ => {}
            }
        }
        kept.retain(|(_, missing)| *missing == 0);
        let from: Vec<TrnId> = kept.last().map(|(id, _)| *id).into_iter().collect();
        let rest = hub.pull(log(1), &from).await;
        check_stream(&rest);
        assert_eq!(kept.len() + ids(&rest).len(), count, "cut at {part} %");
    }
}

#[test]
fn a_page_is_bounded_and_pages_make_the_stream() {
    let service = Service::new(std::sync::Arc::new(MemoryStorage::new()), env());
    let mut push = Pushing::onto(&LogState::EMPTY).chunks(&[]);
    for n in 0..10u8 {
        push = push.chunks(&[&[n; 1000], &[n + 10; 1000], &[n + 20; 1000]]);
    }
    service.push(log(1), Upload::from_frames(push.all()).unwrap()).wait().unwrap();
    let whole = service.pull(log(1), &[]).unwrap().frames().unwrap();
    check_stream(&whole);
    for size in [0, 1, 500, 2500, 100_000] {
        let mut pull = service.pull(log(1), &[]).unwrap();
        let mut encoder = FrameEncoder::new(Form::MessagePack);
        let mut all = Vec::new();
        loop {
            let mut page = Vec::new();
            let end = pull.page(size, &mut encoder, &mut page).unwrap();
            assert!(page.len() <= size + 1500, "{} bytes in a page of {size}", page.len());
            all.extend(page);
            if end == PullEnd::Whole {
                break;
            }
        }
        assert_eq!(frames(Form::MessagePack, &all).unwrap(), whole, "pages of {size}");
    }
}

#[test]
fn a_page_leaves_what_is_longer_than_its_bound_for_one_that_has_room() {
    let room = tempfile::TempDir::new().unwrap();
    let sqlite = tolstoy_hub::storage::SqliteStorage::open(room.path(), &tolstoy_hub::SqliteOptions::default());
    let storages: [std::sync::Arc<dyn tolstoy_hub::storage::Storage>; 2] =
        [std::sync::Arc::new(MemoryStorage::new()), std::sync::Arc::new(sqlite.unwrap())];
    const MOST: usize = 600 << 10;
    for (storage, form) in
        storages.into_iter().flat_map(|storage| [Form::MessagePack, Form::Json].map(|form| (storage.clone(), form)))
    {
        let service = Service::new(storage, env());
        let (long, longer) = (vec![1; 900 << 10], vec![2; 3 << 20]);
        let push = Pushing::onto(&LogState::EMPTY).text("one").chunks(&[&long, b"two", &longer]).text("three");
        service.push(log(1), Upload::from_frames(push.all()).unwrap()).wait().unwrap();
        let whole = service.pull(log(1), &[]).unwrap().frames().unwrap();
        let mut pull = service.pull(log(1), &[]).unwrap();
        let (mut encoder, mut all, mut most, mut longer) = (FrameEncoder::new(form), Vec::new(), MOST, 0);
        loop {
            let mut page = Vec::new();
            let end = pull.page_within(256 << 10, most, &mut encoder, &mut page).unwrap();
            assert!(page.len() <= most, "{} bytes, of at most {most}", page.len());
            all.extend(page);
            most = MOST;
            match end {
                PullEnd::Whole => break,
                PullEnd::More => {}
                PullEnd::Longer(bytes) => {
                    longer += 1;
                    most = bytes + MOST;
                }
            }
        }
        assert_eq!((frames(form, &all).unwrap(), longer), (whole, 2), "{form:?}");
    }
}

#[test]
fn a_stream_shows_the_state_it_began_at_and_ends_early_when_the_log_goes() {
    let service = Service::new(std::sync::Arc::new(MemoryStorage::new()), env());
    let push = |state: &LogState, text: &str| {
        let upload = Upload::from_frames(Pushing::onto(state).text(text).text(&format!("{text}!")).all()).unwrap();
        service.push(log(1), upload).wait().unwrap();
        service.info(log(1)).unwrap()
    };
    let state = push(&LogState::EMPTY, "one");
    let mut pull = service.pull(log(1), &[]).unwrap();
    let mut encoder = FrameEncoder::new(Form::MessagePack);
    let mut bytes = Vec::new();
    assert_eq!(pull.page(1, &mut encoder, &mut bytes), Ok(PullEnd::More));
    push(&state, "two");
    while pull.page(1, &mut encoder, &mut bytes).unwrap() == PullEnd::More {}
    let frames = frames(Form::MessagePack, &bytes).unwrap();
    check_stream(&frames);
    assert_eq!(texts(&frames), [["one"], ["one!"]]);

    let mut pull = service.pull(log(1), &[]).unwrap();
    assert_eq!(pull.page(1, &mut encoder, &mut bytes), Ok(PullEnd::More));
    service.delete(log(1)).wait().unwrap();
    push(&LogState::EMPTY, "another life");
    assert_eq!(pull.page(1, &mut encoder, &mut bytes), Err(PullError::Gone));
}
