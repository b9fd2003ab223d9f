//! A hub that is killed while many write has what it acknowledged, and nothing in part.
#![cfg(unix)]

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;
use tolstoy_proto::{
    Chunk, ChunkId, End, Form, Frame, FrameDecoder, LogId, LogState, Push, Pushed, Seq, Start, Transaction, TrnId,
    derive_trn, encode_frame,
};
use tolstoy_sync::{Answer, Begin, Body, HttpTransport, Remote, Transport};
use uuid::Uuid;

use crate::room::Room;

/// Logs with one writer each.
const LOGS: u128 = 8;
/// Logs with several writers that race.
const SHARED: u128 = 2;
const WRITERS: usize = 3;

#[tokio::test]
async fn a_hub_that_is_killed_under_load_keeps_what_it_acknowledged() {
    let room = Room::new();
    let mut logs: Vec<Log> = (1..=LOGS).map(Log::new).collect();
    let mut racers: Vec<Racer> =
        (1..=SHARED).flat_map(|n| (0..WRITERS).map(move |writer| Racer::new(LOGS + n, writer))).collect();
    for round in 0..if long() { 50 } else { 5 } {
        let mut hub = room.hub();
        let url: Arc<str> = hub.url.clone().into();
        let (mut writers, mut racing) = (JoinSet::new(), JoinSet::new());
        let (acknowledged, mut heard) = mpsc::unbounded_channel();
        // All have seen that nothing is lost before any of them writes.
        let seen = Arc::new(Barrier::new(logs.len() + racers.len()));
        for mut log in logs.drain(..) {
            let (url, acknowledged, seen) = (url.clone(), acknowledged.clone(), seen.clone());
            writers.spawn(async move {
                let mut transport = transport(&url, log.id);
                log.check(&mut transport).await;
                if log.known.seq == Seq::ROOT {
                    log.lengthen(&mut transport).await;
                }
                seen.wait().await;
                log.write_until_it_breaks(&mut transport, &acknowledged).await;
                log
            });
        }
        for mut racer in racers.drain(..) {
            let (url, acknowledged, seen) = (url.clone(), acknowledged.clone(), seen.clone());
            racing.spawn(async move {
                let state = racer.check(&url).await;
                seen.wait().await;
                racer.write_until_it_breaks(&url, state, &acknowledged).await;
                racer
            });
        }
        // It is killed when it has acknowledged so many pushes since it started: soon, or late.
        for _ in 0..20 + round * 67 % 180 {
            heard.recv().await.unwrap();
        }
        hub.signal("KILL");
        assert_eq!(hub.end().0, None);
        assert!(room.ok(&["fsck", "hub"]).ends_with("all is well\n"));
        logs = writers.join_all().await;
        racers = racing.join_all().await;
    }
    let hub = room.hub();
    for log in &mut logs {
        let mut transport = transport(&hub.url, log.id);
        log.check(&mut transport).await;
    }
    for racer in &racers {
        racer.check(&hub.url).await;
        assert!(!racer.won.is_empty());
    }
}

/// Whether the long suites run, as `docs/testing.md` says.
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
fn long() -> bool {
    std::env::var("TOLSTOY_LONG").is_ok_and(|value| value == "1")
}

fn transport(url: &str, log: LogId) -> HttpTransport {
    HttpTransport::new(Remote { url: url.to_owned(), log }).unwrap()
}

/// One of several writers of a log.
struct Racer {
    log: LogId,
    writer: usize,
    /// Transactions that the hub acknowledged.
    won: Vec<TrnId>,
    pushes: usize,
}

impl Racer {
    fn new(log: u128, writer: usize) -> Self {
        Self { log: LogId(Uuid::from_u128(log)), writer, won: Vec::new(), pushes: 0 }
    }

    /// Pushes onto what it sees; others may have been faster.
    async fn write_until_it_breaks(&mut self, url: &str, mut known: LogState, told: &mpsc::UnboundedSender<()>) {
        let mut transport = transport(url, self.log);
        loop {
            self.pushes += 1;
            let content = format!("{} {} {}", self.log, self.writer, self.pushes).into_bytes();
            let (body, after) = push_body(&known, vec![(vec![ChunkId::of(&content)], Some(content))]);
            match transport.push(body).await {
                Ok(Answer::Accepted(pushed)) => {
                    known = pushed.state;
                    self.won.push(after.head);
                    told.send(()).unwrap();
                }
                Ok(Answer::Conflict(body)) => match read(body).await {
                    Some((start, _)) => known = start.state,
                    None => return,
                },
                // Another writer began the log.
                Ok(Answer::Generation(state)) => known = state,
                Ok(other) => panic!("{other:?}"),
                Err(_) => return,
            }
        }
    }

    /// Checks that everything that was acknowledged is in the chain; gives the log's state.
    async fn check(&self, url: &str) -> LogState {
        let (start, chain) = pull(&mut transport(url, self.log), &[]).await;
        for id in &self.won {
            assert!(chain.contains(id), "{id} of log {} was acknowledged and is lost", self.log);
        }
        start.state
    }
}

/// A log, as its only writer knows it.
struct Log {
    id: LogId,
    /// What the hub acknowledged.
    known: LogState,
    /// What the log is if the last push arrived.
    sent: LogState,
    /// Chunks that the hub acknowledged, and that no transaction names.
    chunks: Vec<ChunkId>,
    pushes: usize,
}

impl Log {
    fn new(n: u128) -> Self {
        let id = LogId(Uuid::from_u128(n));
        Self { id, known: LogState::EMPTY, sent: LogState::EMPTY, chunks: Vec::new(), pushes: 0 }
    }

    async fn write_until_it_breaks(&mut self, transport: &mut HttpTransport, told: &mpsc::UnboundedSender<()>) {
        loop {
            self.pushes += 1;
            let bytes = |n: usize| format!("{} {} {n}", self.id, self.pushes).into_bytes();
            let alone = bytes(9);
            let id = ChunkId::of(&alone);
            match transport.put_chunk(&id, alone.into()).await {
                Ok(Answer::Stored) => self.chunks.push(id),
                Ok(other) => panic!("{other:?}"),
                Err(_) => return,
            }
            // One to three transactions; now and then one that the hub puts aside in a file.
            let mut contents: Vec<Vec<u8>> = (0..1 + self.pushes % 3).map(bytes).collect();
            if self.pushes.is_multiple_of(8) {
                contents[0].resize(400 << 10, b'.');
            }
            let transactions = contents.into_iter().map(|bytes| (vec![ChunkId::of(&bytes)], Some(bytes))).collect();
            if !self.push(transport, transactions).await {
                return;
            }
            told.send(()).unwrap();
        }
    }

    /// Makes the log so long that its names are in lists, of which the next pushes make one more, and begin to merge them.
    async fn lengthen(&mut self, transport: &mut HttpTransport) {
        for push in 0..7 {
            let transaction = |n| {
                let bytes = format!("{} long {push} {n}", self.id).into_bytes();
                (vec![ChunkId::of(&bytes)], Some(bytes))
            };
            let transactions = (0..190).map(transaction).collect();
            assert!(self.push(transport, transactions).await);
        }
    }

    /// Pushes transactions; false where no answer came.
    async fn push(&mut self, transport: &mut HttpTransport, transactions: Vec<Named>) -> bool {
        let (body, after) = push_body(&self.known, transactions);
        self.sent = after;
        match transport.push(body).await {
            Ok(Answer::Accepted(Pushed { state, .. })) => {
                assert_eq!((state.head, state.seq, state.chain), (after.head, after.seq, after.chain));
                self.known = state;
                true
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => false,
        }
    }

    /// Checks that the hub has what it acknowledged, and of what it did not acknowledge all or nothing.
    async fn check(&mut self, transport: &mut HttpTransport) {
        let rest = pull(transport, &[self.known.head]).await.0;
        assert_eq!((rest.from, rest.from_seq, rest.from_chain), (self.known.head, self.known.seq, self.known.chain));
        assert!(rest.state.head == self.known.head || rest.state.head == self.sent.head, "{rest:?}");
        self.known = rest.state;
        assert_eq!(pull(transport, &[]).await.0.state, self.known);
        // Chunks that are left out must be there.
        let chunks = std::mem::take(&mut self.chunks);
        if !chunks.is_empty() {
            assert!(self.push(transport, vec![(chunks, None)]).await);
        }
    }
}

/// A transaction's chunks, and the bytes of the first where they are sent.
type Named = (Vec<ChunkId>, Option<Vec<u8>>);

/// A push onto this state, and the state after it.
fn push_body(known: &LogState, transactions: Vec<Named>) -> (Bytes, LogState) {
    let mut body = Vec::new();
    let mut after = *known;
    let count = transactions.len() as u64;
    let push = Push { generation: known.generation, expect: vec![known.head] };
    encode_frame(&Frame::Push(push), &mut body);
    for (chunks, bytes) in transactions {
        let (id, parent) = (derive_trn(after.head, &chunks), after.head);
        after = LogState { head: id, seq: after.seq.next(), chain: after.chain.extend(id, &chunks), ..after };
        let named = chunks[0];
        encode_frame(&Frame::Transaction(Transaction { id, seq: after.seq, parent, chunks }), &mut body);
        if let Some(bytes) = bytes {
            encode_frame(&Frame::Chunk(Chunk { id: named, bytes: bytes.into() }), &mut body);
        }
    }
    encode_frame(&Frame::End(End { count, chain: after.chain }), &mut body);
    (body.into(), after)
}

/// Pulls a stream and checks that it is whole; gives its beginning, and its transactions.
async fn pull(transport: &mut HttpTransport, from: &[TrnId]) -> (Start, HashSet<TrnId>) {
    let Answer::Stream(body) = transport.pull(from, Begin::Transactions).await.unwrap() else { panic!("no stream") };
    read(body).await.expect("the stream was cut")
}

/// Reads a stream and checks it; none where it was cut.
async fn read(mut body: impl Body) -> Option<(Start, HashSet<TrnId>)> {
    let mut decoder = FrameDecoder::new(Form::MessagePack);
    let mut start: Option<Start> = None;
    let mut chain = None;
    let mut ids = HashSet::new();
    while let Some(piece) = body.next().await.ok()? {
        decoder.feed(&piece);
        while let Some(frame) = decoder.next_frame().unwrap() {
            match frame {
                Frame::Start(first) => {
                    chain = Some(first.from_chain);
                    start = Some(first);
                }
                Frame::Transaction(trn) => {
                    chain = chain.map(|chain| chain.extend(trn.id, &trn.chunks));
                    ids.insert(trn.id);
                }
                Frame::Chunk(chunk) => assert!(chunk.id.matches(&chunk.bytes)),
                Frame::End(end) => assert_eq!(Some(end.chain), chain),
                Frame::Push(_) | Frame::Snapshot(_) | Frame::Piece(_) => panic!("not in a pull"),
            }
        }
    }
    decoder.finish().ok()?;
    let start = start?;
    assert_eq!(chain, Some(start.state.chain));
    Some((start, ids))
}
