use std::convert::Infallible;

use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;
use tokio::time::advance;

use super::*;
use crate::gate::{Client, Gate, Place};
use crate::stalled::Stalled;

const KIB: usize = 1 << 10;
const SECOND: Duration = Duration::from_secs(1);
const LEAST: LeastRate = LeastRate { per_second: 32 << 10, over: Duration::from_secs(30) };

/// A connection and an answer on it whose place somebody waits for.
struct Scene {
    watched: Arc<Watched>,
    wire: Stalled<tokio::io::Sink>,
    body: WatchedBody,
    _held: Place,
}

impl Scene {
    async fn new(version: Version, bytes: usize) -> Self {
        let gate = Gate::new(1);
        let held = gate.take(&Client::Anyone, 1).await;
        let waits = gate.clone();
        tokio::spawn(async move { waits.take(&Client::Anyone, 1).await });
        tokio::task::yield_now().await;
        let watched = Arc::new(Watched::new());
        let mut under_way = UnderWay::new(&watched, version);
        under_way.answers(Some(Holds { gates: [gate.clone(), gate], client: Client::Anyone }), LEAST);
        let body = Body::new(Full::new(Bytes::from(vec![7; bytes])).map_err(|never: Infallible| never));
        let wire = Stalled::new(tokio::io::sink(), Duration::MAX, watched.wire.clone());
        Self { watched, wire, body: WatchedBody::new(body, under_way), _held: held }
    }

    async fn next(&mut self) -> Option<Bytes> {
        self.body.frame().await.map(|frame| frame.unwrap().into_data().unwrap())
    }

    /// The client takes so many bytes, from time to time, and is looked at every second; whether it is cut.
    async fn takes(&mut self, bytes: usize, every: u32, times: u32) -> bool {
        for second in 1..=every * times {
            advance(SECOND).await;
            if second.is_multiple_of(every) {
                self.wire.write_all(&vec![7; bytes]).await.unwrap();
            }
            if self.watched.lingers(Duration::MAX).is_some() {
                return true;
            }
        }
        false
    }
}

#[tokio::test(start_paused = true)]
async fn over_http1_the_last_piece_is_watched_until_it_is_written() {
    let mut scene = Scene::new(Version::HTTP_11, 300 * KIB).await;
    assert_eq!(scene.next().await.unwrap().len(), 300 * KIB);
    assert!(!scene.body.is_end_stream(), "the connection would drop it before a byte of it is written");
    assert!(scene.watched.is_busy());
    assert!(scene.takes(KIB, 1, 60).await, "1 KiB a second is too slow");
    assert!(scene.next().await.is_none());
    assert!(scene.body.is_end_stream());
    drop(scene.body);
    assert!(!scene.watched.is_busy());
}

#[tokio::test(start_paused = true)]
async fn over_http1_a_clients_rate_is_that_of_what_is_written() {
    let mut scene = Scene::new(Version::HTTP_11, 16 << 20).await;
    scene.next().await.unwrap();
    // 44 KiB a second, in bursts; 32 are asked for.
    assert!(!scene.takes(440 * KIB, 10, 12).await);
    assert!(!scene.takes(33 * KIB, 1, 90).await);
    assert!(scene.takes(31 * KIB, 1, 90).await);
}

#[tokio::test(start_paused = true)]
async fn time_in_which_a_client_has_nothing_to_take_is_not_its_own() {
    let mut scene = Scene::new(Version::HTTP_11, 16 << 20).await;
    assert!(!scene.takes(0, 1, 120).await);
}

#[tokio::test(start_paused = true)]
async fn over_http2_a_client_is_given_short_pieces_and_takes_each_in_time() {
    let mut scene = Scene::new(Version::HTTP_2, 100 * KIB).await;
    for _ in 0..6 {
        assert_eq!(scene.next().await.unwrap().len(), PIECE);
        advance(SECOND).await;
        assert!(scene.watched.lingers(2 * SECOND).is_none());
    }
    assert_eq!(scene.next().await.unwrap().len(), 4 * KIB);
    assert!(scene.body.is_end_stream());
    advance(2 * SECOND).await;
    assert_eq!(scene.watched.lingers(2 * SECOND), Some("the other side does not read an answer"));
}
