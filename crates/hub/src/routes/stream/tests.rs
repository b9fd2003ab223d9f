//! What a stream holds, and what it does where its turn is over.

use super::*;

fn app(answer_memory: usize) -> Arc<App> {
    let options = crate::Options { answer_memory, ..crate::Options::default() };
    crate::Hub::in_memory(tolstoy_env::Env::system(), options).app().clone()
}

#[tokio::test]
async fn an_answer_has_its_place_until_its_bytes_are_gone() {
    let app = app(4 * PAGE);
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = reads.clone();
    let long = move |_: &Service| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok((Bytes::from(vec![1; 3 * PAGE]), Weight { kib: kib(3 * PAGE), is_long: false }))
    };
    let (bytes, places) = weighed(&app, &Client::Anyone, long.clone()).await.unwrap();
    assert_eq!((reads.load(Ordering::Relaxed), app.gates.answers.held()), (1, kib(3 * PAGE)));
    let bytes = held(bytes, places.page);
    let tail = bytes.slice(PAGE..);
    drop(bytes);
    assert_eq!(app.gates.answers.held(), kib(3 * PAGE));

    // Who comes later does not hold what it read while it waits.
    let (waiting, ()) = tokio::join!(weighed(&app, &Client::Anyone, long), async {
        while !app.gates.answers.wanted(&Client::Anyone).is_now {
            tokio::task::yield_now().await;
        }
        assert_eq!((reads.load(Ordering::Relaxed), app.gates.answers.held()), (2, kib(3 * PAGE)));
        drop(tail);
    });
    assert_eq!((reads.load(Ordering::Relaxed), app.gates.answers.held()), (3, kib(3 * PAGE)));
    drop(waiting);
    assert_eq!(app.gates.answers.held(), 0);
}

#[tokio::test]
async fn a_stream_has_a_place_and_waits_for_it_without_bytes() {
    let app = app(4 * PAGE);
    let stream = |_: &Service| Ok(((), Weight { kib: 1, is_long: true }));
    let all: Vec<_> = (0..64).map(|_| app.gates.streams.try_take(&Client::Anyone, 1).unwrap()).collect();
    let (found, ()) = tokio::join!(weighed(&app, &Client::Anyone, stream), async {
        while !app.gates.streams.wanted(&Client::Anyone).is_now {
            tokio::task::yield_now().await;
        }
        assert_eq!(app.gates.answers.held(), 0);
        drop(all);
    });
    let ((), places) = found.unwrap();
    assert!(places.stream.is_some());
    assert_eq!((app.gates.streams.held(), app.gates.answers.held()), (1, 1));
}

#[tokio::test]
async fn an_answer_that_nobody_weighed_has_a_place_or_is_refused() {
    let app = app(16 << 10);
    let answers = &app.gates.answers;
    let one = |bytes: usize| weigh(&app, &Client::Anyone, Body::from(vec![1; bytes]).into_response());
    let short = one(SHORT);
    assert_eq!((short.status(), answers.held()), (StatusCode::OK, 0));
    assert!(short.extensions().get::<Holds>().is_none());
    let long = one(10 << 10);
    assert!(long.extensions().get::<Holds>().is_some(), "who takes it must keep to the least rate");
    assert_eq!((long.body().size_hint().exact(), answers.held()), (Some(10 << 10), 10));
    assert_eq!(one(10 << 10).status(), StatusCode::SERVICE_UNAVAILABLE);
    let bytes = axum::body::to_bytes(long.into_body(), usize::MAX).await.unwrap();
    assert_eq!((bytes.len(), answers.held()), (10 << 10, 10));
    drop(bytes);
    assert_eq!(answers.held(), 0);
}

/// What is to be read of a log.
fn reading(app: &App) -> Box<Reading> {
    let log = LogId::from_bytes([1; 16]);
    let pull = app.service.pull(log, &[]).unwrap();
    let asked = Asked { log, from: Vec::new(), begin: Begin::Transactions, form: Form::Json, coding: Coding::Identity };
    Box::new(Reading::new(pull, &asked, Buffers::default()))
}

/// A stream with two pages in its queue, and its reader.
fn pages(reader: impl FnOnce(Box<Reading>) -> Reader) -> Pages {
    let app = app(4 * PAGE);
    let rest = reading(&app);
    let page = Bytes::from(vec![1; AHEAD / 2]);
    let mut pages = Pages::new(app, Client::Anyone, page.clone(), rest, None);
    pages.ahead.queued.fetch_add(page.len(), Ordering::Relaxed);
    pages.ahead.room.try_send(page).unwrap();
    pages.reader = match std::mem::replace(&mut pages.reader, Reader::Done) {
        Reader::Parked(reading) => reader(reading),
        _ => unreachable!("nothing was read yet"),
    };
    pages
}

#[tokio::test]
async fn a_turn_that_is_over_is_not_the_end_of_the_pages() {
    for reader in [|rest| Reader::Parked(rest), |_| Reader::Done, |_| Reader::Failed] {
        let mut pages = pages(reader);
        let (give, mut take) = mpsc::channel(1000);
        (0..1000).for_each(|n| give.try_send(n).unwrap());
        std::future::poll_fn(|cx| {
            while take.poll_recv(cx).is_ready() {}
            assert!(!take.is_empty(), "the turn ended first");
            assert!(Pin::new(&mut pages).poll_frame(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
        let page = std::future::poll_fn(|cx| Pin::new(&mut pages).poll_frame(cx)).await.unwrap().unwrap();
        assert_eq!(page.into_data().unwrap().len(), AHEAD / 2);
    }
}

#[tokio::test]
async fn a_stream_does_not_wait_for_what_its_own_pages_hold() {
    let (app, client) = (app(USUAL + PAGE / 2), Client::Anyone);
    let place = app.gates.answers.try_take(&client, kib(PAGE)).unwrap();
    let first = held(Bytes::from(vec![1; PAGE]), place);
    let mut pages = Pages::new(app.clone(), client.clone(), first, reading(&app), None);
    let mut next = async || std::future::poll_fn(|cx| Pin::new(&mut pages).poll_frame(cx)).await;
    let first = next().await.unwrap().unwrap();
    tokio::task::yield_now().await;
    assert!(!app.gates.answers.wanted(&client).is_now, "it would be too slow for others, and there are none");
    drop(first);
    let second = next().await.unwrap().unwrap().into_data().unwrap();
    assert!(!second.is_empty());
    assert!(next().await.is_none());
}

#[test]
fn json_is_given_where_it_is_preferred() {
    let form =
        |accept: &'static str| accepted(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]));
    assert_eq!(accepted(&HeaderMap::new()), Form::MessagePack);
    for json in ["application/json", "text/html, Application/JSON;q=0.5", "application/json; q=1, */*"] {
        assert_eq!(form(json), Form::Json, "{json}");
    }
    for other in [
        "*/*",
        "text/html",
        "application/json;q=0",
        "application/json;q=x",
        "application/vnd.tolstoy+msgpack, application/json",
        "application/json;q=0.4, application/vnd.tolstoy+msgpack;q=0.5",
    ] {
        assert_eq!(form(other), Form::MessagePack, "{other}");
    }
}
