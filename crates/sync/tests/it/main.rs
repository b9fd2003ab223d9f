//! Syncs that try to break what is promised, with the real rules of a hub in memory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod background;
mod corpus;
mod fuzzed;
mod fuzzed_snapshot;
mod http;
mod later;
mod recovery;
mod sealed;
mod snapshots;
mod snapshots_http;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tolstoy_env::Env;
use tolstoy_hub::service::{PullEnd, PushOutcome, PutOutcome, Service, SnapshotOutcome, SnapshotUpload, Upload};
use tolstoy_hub::storage::MemoryStorage;
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, ErrorBody, Form, Frame, FrameDecoder, FrameEncoder, Generation, LogId, LogState,
    Pushed, Seq, Start, Transaction, TrnId, encode_frame,
};
use tolstoy_store::{Entid, Store};
use tolstoy_sync::transport::{MemoryBody, Request};
use tolstoy_sync::{
    Answer, Begin, Blob, Error, ErrorKind, Keyring, MemoryTransport, Options, SyncReport, TransportError,
};
use uuid::Uuid;

/// Nothing here ever waits, so that one look is enough.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a sync in memory waits for something"),
    }
}

#[derive(Clone)]
struct Hub {
    storage: Arc<MemoryStorage>,
    service: Service,
    log: LogId,
}

type Answered = Result<Answer<MemoryBody>, TransportError>;

impl Hub {
    fn new() -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let service = Service::new(storage.clone(), Env::repeatable(1000));
        Self { storage, service, log: LogId(Uuid::from_u128(7)) }
    }

    fn stream(&self, from: &[TrnId], begin: Begin) -> MemoryBody {
        let begin = match begin {
            Begin::Transactions => tolstoy_hub::service::Begin::Transactions,
            Begin::Snapshot => tolstoy_hub::service::Begin::Snapshot,
        };
        let mut pull = self.service.pull_with(self.log, from, begin).unwrap();
        let mut encoder = FrameEncoder::new(Form::MessagePack);
        let mut pieces = Vec::new();
        loop {
            let mut piece = Vec::new();
            let end = pull.page(1 << 20, &mut encoder, &mut piece).unwrap();
            pieces.push(Ok(Bytes::from(piece)));
            if end == PullEnd::Whole {
                return MemoryBody::new(pieces);
            }
        }
    }

    fn answer(&self, request: Request) -> Answered {
        match request {
            Request::Pull { from, begin } => Ok(Answer::Stream(self.stream(&from, begin))),
            Request::PutSnapshot(id, snapshot) => Ok(self.keep(id, &snapshot)),
            Request::PutChunk(id, bytes) => match self.service.v0_put_chunk(self.log, id, bytes).wait().unwrap() {
                PutOutcome::Done => Ok(Answer::Stored),
                other => Err(TransportError::Protocol(format!("{other:?}"))),
            },
            Request::Push(body) => {
                let mut decoder = FrameDecoder::new(Form::MessagePack);
                decoder.feed(&body);
                let frames: Vec<Frame> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
                let upload = Upload::from_frames(frames).map_err(|bad| TransportError::Protocol(bad.to_string()))?;
                Ok(match self.service.push(self.log, upload).wait().unwrap() {
                    PushOutcome::Done(state, snapshot) => Answer::Accepted(Pushed { state, snapshot }),
                    PushOutcome::Conflict(from) => Answer::Conflict(self.stream(&from, Begin::Transactions)),
                    PushOutcome::Generation(state) => Answer::Generation(state),
                    PushOutcome::MissingChunks(chunks) => Answer::Missing(chunks),
                    other => return Err(TransportError::Protocol(format!("{other:?}"))),
                })
            }
        }
    }

    fn keep(&self, id: TrnId, snapshot: &Blob) -> Answer<MemoryBody> {
        let mut upload = SnapshotUpload::new(None).unwrap();
        upload.take(&all(snapshot)).unwrap();
        assert_eq!(upload.digest(), snapshot.digest());
        match self.service.keep_snapshot(self.log, id, upload).unwrap() {
            SnapshotOutcome::Done(_) => Answer::Stored,
            other => Answer::Refused(ErrorBody::new(tolstoy_proto::ErrorKind::NotFound, format!("{other:?}"))),
        }
    }

    fn state(&self) -> LogState {
        self.service.info(self.log).unwrap()
    }
}

/// The bytes of a snapshot.
fn all(snapshot: &Blob) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        match snapshot.piece(bytes.len() as u64).unwrap() {
            piece if piece.is_empty() => return bytes,
            piece => bytes.extend_from_slice(&piece),
        }
    }
}

fn options() -> Options {
    Options::new(Env::repeatable(2000), Arc::new(|_| Box::pin(async {})))
}

fn sync_over(store: &mut Store, serve: impl FnMut(Request) -> Answered + Send) -> Result<SyncReport, Error> {
    sync_with(store, None, serve)
}

fn sync_with(
    store: &mut Store,
    keys: Option<&Arc<Keyring>>,
    serve: impl FnMut(Request) -> Answered + Send,
) -> Result<SyncReport, Error> {
    let options = Options { keys: keys.cloned(), ..options() };
    now(tolstoy_sync::sync(store, &mut MemoryTransport::new(serve), &options))
}

fn try_sync(store: &mut Store, hub: &Hub) -> Result<SyncReport, Error> {
    sync_over(store, |request| hub.answer(request))
}

fn sync(store: &mut Store, hub: &Hub) -> SyncReport {
    try_sync(store, hub).unwrap_or_else(|e| panic!("{:?}: {e}", e.kind()))
}

fn device(n: u64) -> Store {
    Store::in_memory(Env::repeatable(n)).unwrap()
}

fn must(store: &mut Store, text: &str) {
    store.transact_str(text).unwrap_or_else(|e| panic!("{e}"));
}

const SCHEMA: &str = "[
  {:db/ident :name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :text :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]";

/// Two devices that share a schema.
fn two() -> (Hub, Store, Store) {
    let (hub, mut one, mut two) = (Hub::new(), device(1), device(2));
    must(&mut one, SCHEMA);
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    (hub, one, two)
}

fn same(one: &Store, two: &Store) {
    assert_eq!(one.facts_digest().unwrap(), two.facts_digest().unwrap());
}

// Long values

#[test]
fn one_long_text_in_two_transactions_of_one_push() {
    let (hub, mut one, mut two) = two();
    let text = "x".repeat(3 << 20);
    must(&mut one, &format!(r#"[{{:name "Anna" :text "{text}"}}]"#));
    must(&mut one, &format!(r#"[{{:name "Vera" :text "{text}"}}]"#));
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    same(&one, &two);
}

#[test]
fn one_long_text_in_two_transactions_of_two_pushes() {
    let (hub, mut one, mut two) = two();
    let text = "x".repeat(3 << 20);
    for name in ["Anna", "Vera"] {
        must(&mut one, &format!(r#"[{{:name "{name}" :text "{text}"}}]"#));
        sync(&mut one, &hub);
    }
    sync(&mut two, &hub);
    same(&one, &two);
}

#[test]
fn a_transaction_longer_than_a_push() {
    let (hub, mut one, mut two) = two();
    // No two pieces alike.
    let text: String =
        (0..9 << 20).map(|n: u64| char::from(b'a' + (n * n % 251 % 26) as u8)).collect::<String>().repeat(8);
    must(&mut one, &format!(r#"[{{:name "Anna" :text "{text}"}}]"#));
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    same(&one, &two);
}

#[test]
fn a_long_push_to_a_log_that_was_deleted_leaves_it_deleted() {
    let (hub, mut one, _) = two();
    hub.service.delete(hub.log).wait().unwrap();
    let text = "x".repeat(60 << 20);
    must(&mut one, &format!(r#"[{{:name "Anna" :text "{text}"}}]"#));
    assert_eq!(try_sync(&mut one, &hub).unwrap_err().kind(), ErrorKind::Generation);
    assert_eq!(hub.state().generation, None, "a sync that changes nothing began the log's next life");
}

// A hub that answers nonsense

/// A stream that begins after the root and then has these frames.
fn stream(frames: &[Frame]) -> MemoryBody {
    let generation = Some(Generation { id: Uuid::from_u128(1), number: 1 });
    let state = LogState { generation, head: TrnId(Uuid::from_u128(9)), seq: Seq(1), chain: ChainDigest::ZERO };
    let start = Start { state, from: TrnId::ROOT, from_seq: Seq::ROOT, from_chain: ChainDigest::ZERO };
    let mut bytes = Vec::new();
    encode_frame(&Frame::Start(start), &mut bytes);
    for frame in frames {
        encode_frame(frame, &mut bytes);
    }
    MemoryBody::new([Ok(bytes.into())])
}

fn transaction(chunks: Vec<ChunkId>) -> Frame {
    Frame::Transaction(Transaction { id: TrnId(Uuid::from_u128(9)), seq: Seq(1), parent: TrnId::ROOT, chunks })
}

#[test]
fn a_transaction_of_more_pieces_than_a_payload_has_is_refused_at_the_first() {
    let bytes = Bytes::from([&b"TLST\x01\0\0\0\xea\x60"[..], &[7; 16], b"x"].concat());
    let first = Chunk { id: ChunkId::of(&bytes), bytes };
    let rest = (0..59_999_u32).map(|n| ChunkId::of(&n.to_be_bytes()));
    let chunks: Vec<ChunkId> = [first.id].into_iter().chain(rest).collect();
    let mut one = device(1);
    let frames = [transaction(chunks), Frame::Chunk(first)];
    let error = sync_over(&mut one, |_| Ok(Answer::Stream(stream(&frames)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "the client would hold 60,000 chunks of up to 16 MiB: {error}");
}

#[test]
fn a_piece_longer_than_a_piece_is_refused_before_the_next_comes() {
    let mut bytes = b"TLST\x01\x00\x00\x00\x00\x02".to_vec();
    bytes.resize(16 << 20, 7);
    let bytes = Bytes::from(bytes);
    let id = ChunkId::of(&bytes);
    let frames = [transaction(vec![id, ChunkId::of(b"next")]), Frame::Chunk(Chunk { id, bytes })];
    let error = sync_over(&mut device(1), |_| Ok(Answer::Stream(stream(&frames)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "the client waits for the next 16 MiB: {error}");
}

#[test]
fn pieces_of_more_than_a_payload_are_refused_when_they_are_too_many() {
    // 20 pieces of 16 MiB; the client should have had enough long before the last.
    let piece = |n: u8| {
        let mut bytes = [b"TLST\x01\x00\x00".as_slice(), &[n], b"\x00\x14"].concat();
        bytes.resize(16 << 20, n);
        Bytes::from(bytes)
    };
    let ids: Vec<ChunkId> = (0..20).map(|n| ChunkId::of(&piece(n))).collect();
    let before = peak();
    let mut frames = vec![transaction(ids.clone())];
    frames.extend((0..20).zip(&ids).map(|(n, id)| Frame::Chunk(Chunk { id: *id, bytes: piece(n) })));
    let made = peak();
    let error = sync_over(&mut device(1), |_| Ok(Answer::Stream(stream(&frames)))).unwrap_err();
    let held = peak() - made;
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}, {before}");
    assert!(held < 1000 << 10, "it held {} MiB first", held >> 10);
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn an_accepted_push_in_another_generation_is_not_believed() {
    let (hub, mut one, _) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    let answered = sync_over(&mut one, |request| {
        Ok(match hub.answer(request)? {
            Answer::Accepted(Pushed { state, snapshot }) => {
                let generation = Some(Generation { id: Uuid::from_u128(66), number: 9 });
                Answer::Accepted(Pushed { state: LogState { generation, ..state }, snapshot })
            }
            other => other,
        })
    });
    assert_eq!(answered.map_err(|e| e.kind()).unwrap_err(), ErrorKind::Generation);
}

#[test]
fn an_accepted_push_with_another_head_changes_nothing_and_heals() {
    let (hub, mut one, mut two) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    let lied = sync_over(&mut one, |request| {
        Ok(match hub.answer(request)? {
            Answer::Accepted(Pushed { state, snapshot }) => {
                let head = TrnId(Uuid::from_u128(4));
                Answer::Accepted(Pushed { state: LogState { head, ..state }, snapshot })
            }
            other => other,
        })
    });
    assert_eq!(lied.unwrap_err().kind(), ErrorKind::Damaged);
    let report = sync(&mut one, &hub);
    assert_eq!(report.passes.len(), 1);
    sync(&mut two, &hub);
    same(&one, &two);
}

// Versions of chunks

/// A log of one transaction whose chunks say that they have this version.
fn log_of_version(version: u8) -> MemoryBody {
    let mut one = device(1);
    must(&mut one, SCHEMA);
    let only = one.transaction(Entid::TX0.plus(1)).unwrap().unwrap();
    let payload = tolstoy_store::log::codec::encode(&only);
    let header = [b"TLST".as_slice(), &[version, 0, 0, 0, 0, 1], only.origin.id.as_bytes()].concat();
    let bytes = Bytes::from([header, payload].concat());
    let ids = vec![ChunkId::of(&bytes)];
    let id = tolstoy_proto::derive_trn(TrnId::ROOT, &ids);
    let chain = ChainDigest::ZERO.extend(id, &ids);
    stream(&[
        Frame::Transaction(Transaction { id, seq: Seq(1), parent: TrnId::ROOT, chunks: ids.clone() }),
        Frame::Chunk(Chunk { id: ids[0], bytes }),
        Frame::End(tolstoy_proto::End { count: 1, chain }),
    ])
}

#[test]
fn chunks_have_the_version_that_their_transaction_needs() {
    let sync = |version| sync_over(&mut device(2), move |_| Ok(Answer::Stream(log_of_version(version))));
    assert_eq!(sync(1).unwrap().passes.len(), 1);
    let error = sync(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    let error = sync(3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert_eq!(
        error.to_string(),
        "the log holds chunks of format 3 (flags 0), this version knows formats up to 2; update Tolstoy"
    );
}

#[test]
fn a_log_without_new_things_has_chunks_of_version_1() {
    let (hub, mut one, mut two) = two();
    let chunks = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = chunks.clone();
    let push = |one: &mut Store| {
        let sent = sync_over(one, |request| {
            if let Request::Push(body) = &request {
                let mut decoder = FrameDecoder::new(Form::MessagePack);
                decoder.feed(body);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    if let Frame::Chunk(chunk) = frame {
                        noted.lock().unwrap().push(chunk.bytes[4]);
                    }
                }
            }
            hub.answer(request)
        });
        sent.unwrap();
    };
    must(&mut one, r#"[{:name "Anna" :text "t"}]"#);
    push(&mut one);
    must(&mut one, r#"[[:db/add :text :db/doc "text"]]"#);
    must(&mut one, "[[:db/add (transaction-tx) :db.journal/settles #uuid \"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"]]");
    push(&mut one);
    assert_eq!(*chunks.lock().unwrap(), [1, 1, 2]);
    sync(&mut two, &hub);
    same(&one, &two);
}

// Others at the same file, and cut streams

#[test]
fn another_process_syncs_the_same_file_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (hub, mut other, _) = two();
    let mut one = Store::open_or_create(&path, Env::repeatable(5)).unwrap();
    must(&mut one, r#"[{:db/ident :mine :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]"#);
    for at in 0..4 {
        must(&mut other, &format!(r#"[{{:name "other {at}"}}]"#));
        sync(&mut other, &hub);
        must(&mut one, &format!("[{{:mine {at}}}]"));
        let mut twin = Store::open(&path, Env::repeatable(6 + at)).unwrap();
        let mut requests = 0;
        let result = sync_over(&mut one, |request| {
            // Before or after the hub answers the first or the second request the twin transacts and syncs.
            let meddle = |twin: &mut Store| {
                must(twin, &format!("[{{:mine {}}}]", 100 + at));
                sync(twin, &hub);
            };
            if at < 2 && requests == at {
                meddle(&mut twin);
            }
            let answer = hub.answer(request);
            if at >= 2 && requests == at - 2 {
                meddle(&mut twin);
            }
            requests += 1;
            answer
        });
        if let Err(e) = result {
            assert_eq!(e.kind(), ErrorKind::Store, "{e}");
        }
        sync(&mut one, &hub);
        sync(&mut other, &hub);
        same(&one, &other);
        let found = one.query("[:find (count ?e) . :where [?e :mine]]", &[]).unwrap().to_edn();
        assert_eq!(found, tolstoy_edn::Value::Integer(2 * (at as i64 + 1)));
    }
}

#[test]
fn a_stream_is_cut_and_the_log_moves_on() {
    let (hub, mut one, mut two) = two();
    for n in 0..20 {
        must(&mut one, &format!(r#"[{{:name "{n}"}}]"#));
    }
    sync(&mut one, &hub);
    must(&mut two, r#"[{:name "3" :text "mine"}]"#);
    let mut cut = 0;
    let report = sync_over(&mut two, |request| {
        let answer = hub.answer(request)?;
        let (Answer::Stream(mut body) | Answer::Conflict(mut body)) = answer else { return Ok(answer) };
        if cut == 6 {
            return Ok(if cut == 0 { Answer::Conflict(body) } else { Answer::Stream(body) });
        }
        cut += 1;
        must(&mut one, &format!(r#"[{{:name "later {cut}"}}]"#));
        sync(&mut one, &hub);
        let first = now(tolstoy_sync::Body::next(&mut body)).unwrap().unwrap();
        let body = MemoryBody::new([Ok(first.slice(..first.len() * 2 / 3)), Err(TransportError::Broken("cut".into()))]);
        Ok(if cut == 1 { Answer::Conflict(body) } else { Answer::Stream(body) })
    });
    report.unwrap();
    sync(&mut one, &hub);
    same(&one, &two);
}

#[test]
fn a_copied_file_is_the_same_device_and_says_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let hub = Hub::new();
    let mut one = Store::open_or_create(&a, Env::repeatable(1)).unwrap();
    must(&mut one, SCHEMA);
    sync(&mut one, &hub);
    must(&mut one, r#"[{:name "Anna"}]"#);
    must(&mut one, r#"[{:name "Vera"}]"#);
    drop(one);
    std::fs::copy(&a, &b).unwrap();
    let (mut one, mut two) =
        (Store::open(&a, Env::repeatable(2)).unwrap(), Store::open(&b, Env::repeatable(3)).unwrap());
    must(&mut one, r#"[{:name "Oleg" :text "of one"}]"#);
    must(&mut two, r#"[{:name "Petr" :text "of two"}]"#);
    sync(&mut one, &hub);
    assert_eq!(sync(&mut two, &hub).acknowledged, 2);
    sync(&mut one, &hub);
    same(&one, &two);
    assert_eq!(hub.state().seq, Seq(5));
}

#[test]
fn what_was_received_before_the_connection_broke_for_good_is_not_lost() {
    let (hub, mut one, mut two) = two();
    for n in 0..50 {
        must(&mut one, &format!(r#"[{{:name "{n}"}}]"#));
    }
    sync(&mut one, &hub);
    // A link that carries half of what is left, then nothing more; each sync ends with an error.
    for _ in 0..8 {
        let mut asked = 0;
        let result = sync_over(&mut two, |request| {
            asked += 1;
            if asked > 1 {
                return Err(TransportError::Unreachable("no network".into()));
            }
            let Answer::Stream(mut body) = hub.answer(request)? else { panic!("a pull") };
            let first = now(tolstoy_sync::Body::next(&mut body)).unwrap().unwrap();
            let half = first.slice(..first.len() / 2);
            Ok(Answer::Stream(MemoryBody::new([Ok(half), Err(TransportError::Broken("cut".into()))])))
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Offline);
    }
    let left = one.basis().get() - two.basis().get();
    assert!(left < 10, "after eight syncs that each received half of it, {left} of 50 transactions are still missing");
    let _ = Entid::TX0;
}
