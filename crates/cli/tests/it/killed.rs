//! A hub that is killed while many write has what it acknowledged, and nothing in part.
#![cfg(unix)]

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tolstoy_proto::{
    Chunk, ChunkId, End, Form, Frame, FrameDecoder, LogId, LogState, Push, Start, Transaction, TrnId, derive_trn,
    encode_frame,
};
use tolstoy_sync::{Answer, Body, HttpTransport, Remote, Transport};
use uuid::Uuid;

use crate::room::Room;

const LOGS: u128 = 8;
/// The hub is killed when it has acknowledged so many pushes since it started.
const ACKNOWLEDGED: usize = 100;

#[tokio::test]
async fn a_hub_that_is_killed_under_load_keeps_what_it_acknowledged() {
    let room = Room::new();
    let mut logs: Vec<Log> = (1..=LOGS).map(Log::new).collect();
    for _ in 0..4 {
        let mut hub = room.hub();
        let url: Arc<str> = hub.url.clone().into();
        let mut writers = JoinSet::new();
        let (acknowledged, mut heard) = mpsc::unbounded_channel();
        for mut log in logs.drain(..) {
            let (url, acknowledged) = (url.clone(), acknowledged.clone());
            writers.spawn(async move {
                let mut transport = log.transport(&url);
                log.check(&mut transport).await;
                log.write_until_it_breaks(&mut transport, &acknowledged).await;
                log
            });
        }
        for _ in 0..ACKNOWLEDGED {
            heard.recv().await.unwrap();
        }
        hub.signal("KILL");
        assert_eq!(hub.end().0, None);
        logs = writers.join_all().await;
    }
    let hub = room.hub();
    for mut log in logs {
        let mut transport = log.transport(&hub.url);
        log.check(&mut transport).await;
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

    fn transport(&self, url: &str) -> HttpTransport {
        HttpTransport::new(Remote { url: url.to_owned(), log: self.id }).unwrap()
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

    /// Pushes transactions; false where no answer came.
    async fn push(
        &mut self,
        transport: &mut HttpTransport,
        transactions: Vec<(Vec<ChunkId>, Option<Vec<u8>>)>,
    ) -> bool {
        let mut body = Vec::new();
        let mut after = self.known;
        let count = transactions.len() as u64;
        let push = Push { generation: self.known.generation, expect: vec![self.known.head] };
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
        self.sent = after;
        match transport.push(body.into()).await {
            Ok(Answer::Accepted(state)) => {
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
        let rest = pull(transport, &[self.known.head]).await;
        assert_eq!((rest.from, rest.from_seq, rest.from_chain), (self.known.head, self.known.seq, self.known.chain));
        assert!(rest.state.head == self.known.head || rest.state.head == self.sent.head, "{rest:?}");
        self.known = rest.state;
        assert_eq!(pull(transport, &[]).await.state, self.known);
        // Chunks that are left out must be there.
        let chunks = std::mem::take(&mut self.chunks);
        if !chunks.is_empty() {
            assert!(self.push(transport, vec![(chunks, None)]).await);
        }
    }
}

/// Pulls a stream and checks that it is whole; gives its beginning.
async fn pull(transport: &mut HttpTransport, from: &[TrnId]) -> Start {
    let Answer::Stream(mut body) = transport.pull(from).await.unwrap() else { panic!("no stream") };
    let mut decoder = FrameDecoder::new(Form::MessagePack);
    let mut start: Option<Start> = None;
    let mut chain = None;
    while let Some(piece) = body.next().await.unwrap() {
        decoder.feed(&piece);
        while let Some(frame) = decoder.next_frame().unwrap() {
            match frame {
                Frame::Start(first) => {
                    chain = Some(first.from_chain);
                    start = Some(first);
                }
                Frame::Transaction(trn) => chain = chain.map(|chain| chain.extend(trn.id, &trn.chunks)),
                Frame::Chunk(chunk) => assert!(chunk.id.matches(&chunk.bytes)),
                Frame::End(end) => assert_eq!(Some(end.chain), chain),
                Frame::Push(_) | Frame::Snapshot(_) | Frame::Piece(_) => panic!("not in a pull"),
            }
        }
    }
    decoder.finish().unwrap();
    let start = start.unwrap();
    assert_eq!(chain, Some(start.state.chain));
    start
}
