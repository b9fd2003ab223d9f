//! A hub on a free port, and the requests that tests send.

use std::path::Path;
use std::sync::mpsc;

use serde_json::Value;
use tempfile::TempDir;
use tolstoy_hub::storage::{Storage, StorageError, WriteJob, WriteTxn};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, End, Form, Frame, FrameDecoder, FrameEncoder, LogId, LogState, Push, Seq, Transaction,
    TrnId, derive_trn, media, paths,
};

pub(crate) use crate::still::env;

/// A running hub on SQLite.
pub(crate) struct TestHub {
    pub(crate) handle: HubHandle,
    pub(crate) client: reqwest::Client,
    pub(crate) directory: TempDir,
}

/// An answer: status, content type, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let content_type =
            response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        Self { status, content_type, body: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn state(&self) -> LogState {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The kind of an error, which every error says.
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.content_type, "application/json", "{}", self.text());
        let body = self.json();
        assert!(!body["message"].as_str().unwrap().is_empty());
        body["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        let form = if self.content_type == media::JSON { Form::Json } else { Form::MessagePack };
        frames(form, &self.body).unwrap()
    }
}

impl TestHub {
    pub(crate) async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let directory = TempDir::new().unwrap();
        let hub = Hub::open(directory.path(), env(), options).unwrap();
        let handle = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        Self { handle, client: reqwest::Client::new(), directory }
    }

    pub(crate) async fn start_in(directory: TempDir) -> Self {
        let handle = serve(directory.path()).await;
        Self { handle, client: reqwest::Client::new(), directory }
    }

    /// Stops the hub, and starts another on the same data.
    pub(crate) async fn restart(self) -> Self {
        self.handle.stop().await.unwrap();
        Self::start_in(self.directory).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.handle.url())
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        Answer::of(self.client.request(method, self.url(path)).body(body).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(self.url(path)).send().await.unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send("PUT", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "").await
    }

    pub(crate) async fn state(&self, log: LogId) -> LogState {
        self.get(&paths::log(log)).await.state()
    }

    pub(crate) async fn push(&self, log: LogId, push: &Pushing) -> Answer {
        self.push_bytes(log, push.bytes(Form::MessagePack)).await
    }

    pub(crate) async fn push_bytes(&self, log: LogId, bytes: Vec<u8>) -> Answer {
        let request = self.client.post(self.url(&paths::push(log))).header("content-type", media::MSGPACK).body(bytes);
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn pull(&self, log: LogId, from: &[TrnId]) -> Vec<Frame> {
        let answer = self.get(&paths::pull(log, from)).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (200, media::MSGPACK));
        answer.frames()
    }
}

pub(crate) async fn serve(directory: &Path) -> HubHandle {
    let hub = Hub::open(directory, env(), Options::default()).unwrap();
    HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

pub(crate) fn frames(form: Form, bytes: &[u8]) -> Result<Vec<Frame>, tolstoy_proto::FrameError> {
    let mut decoder = FrameDecoder::new(form);
    decoder.feed(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        frames.push(frame);
    }
    decoder.finish()?;
    Ok(frames)
}

pub(crate) fn log(n: u64) -> LogId {
    LogId(uuid::Uuid::from_u64_pair(7, n))
}

/// A push that is put together.
#[derive(Debug, Clone)]
pub(crate) struct Pushing {
    pub(crate) push: Push,
    pub(crate) frames: Vec<Frame>,
    pub(crate) last: (TrnId, Seq, ChainDigest),
    count: u64,
}

impl Pushing {
    /// A push onto this state.
    pub(crate) fn onto(state: &LogState) -> Self {
        Self {
            push: Push { generation: state.generation, expect: vec![state.head] },
            frames: Vec::new(),
            last: (state.head, state.seq, state.chain),
            count: 0,
        }
    }

    /// Adds a transaction of one chunk.
    pub(crate) fn text(self, text: &str) -> Self {
        self.chunks(&[text.as_bytes()])
    }

    /// Adds a transaction of these chunks, under content ids, and a derived id.
    pub(crate) fn chunks(self, chunks: &[&[u8]]) -> Self {
        let ids: Vec<ChunkId> = chunks.iter().map(|bytes| ChunkId::of(bytes)).collect();
        let id = derive_trn(self.last.0, &ids);
        let sent = ids.iter().zip(chunks).map(|(id, bytes)| (*id, bytes.to_vec())).collect();
        self.transaction(id, ids, sent)
    }

    /// Adds a transaction, with the chunks that are sent.
    pub(crate) fn transaction(mut self, id: TrnId, ids: Vec<ChunkId>, sent: Vec<(ChunkId, Vec<u8>)>) -> Self {
        let (parent, seq, chain) = self.last;
        let seq = seq.next();
        self.last = (id, seq, chain.extend(id, &ids));
        self.count += 1;
        self.frames.push(Frame::Transaction(Transaction { id, seq, parent, chunks: ids }));
        self.frames.extend(sent.into_iter().map(|(id, bytes)| Frame::Chunk(Chunk { id, bytes: bytes.into() })));
        self
    }

    /// All frames, the first and the last too.
    pub(crate) fn all(&self) -> Vec<Frame> {
        let mut all = vec![Frame::Push(self.push.clone())];
        all.extend(self.frames.clone());
        all.push(Frame::End(End { count: self.count, chain: self.last.2 }));
        all
    }

    pub(crate) fn bytes(&self, form: Form) -> Vec<u8> {
        encode(form, &self.all())
    }
}

pub(crate) fn encode(form: Form, frames: &[Frame]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new(form);
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| encoder.encode(frame, &mut bytes));
    bytes
}

/// What a stream gives: the texts of each transaction's chunks that came with it.
pub(crate) fn texts(frames: &[Frame]) -> Vec<Vec<String>> {
    let mut texts: Vec<Vec<String>> = Vec::new();
    for frame in frames {
        match frame {
            Frame::Transaction(_) => texts.push(Vec::new()),
            Frame::Chunk(chunk) => {
                texts.last_mut().unwrap().push(String::from_utf8_lossy(&chunk.bytes).into_owned());
            }
            _ => {}
        }
    }
    texts
}

/// Checks a stream as a client should: it starts and ends, its transactions are one chain with that digest, and each
/// chunk is there once, under its id.
pub(crate) fn check_stream(frames: &[Frame]) {
    let Some((Frame::Start(start), rest)) = frames.split_first() else { panic!("no start") };
    let Some((Frame::End(end), rest)) = rest.split_last() else { panic!("no end") };
    let (mut tip, mut count) = ((start.from, start.from_seq, start.from_chain), 0);
    let mut named: Vec<ChunkId> = Vec::new();
    let mut sent = std::collections::HashSet::new();
    for frame in rest {
        match frame {
            Frame::Transaction(trn) => {
                assert_eq!((trn.parent, trn.seq), (tip.0, tip.1.next()));
                tip = (trn.id, trn.seq, tip.2.extend(trn.id, &trn.chunks));
                count += 1;
                assert!(named.iter().all(|id| sent.contains(id)), "a chunk is missing");
                named.clone_from(&trn.chunks);
            }
            Frame::Chunk(chunk) => {
                assert!(named.contains(&chunk.id) && chunk.id.matches(&chunk.bytes));
                assert!(sent.insert(chunk.id), "a chunk is there twice");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(named.iter().all(|id| sent.contains(id)), "a chunk is missing");
    assert_eq!((end.count, end.chain), (count, tip.2));
    assert_eq!(tip, (start.state.head, start.state.seq, start.state.chain));
}

/// Whether the long suites run, as `docs/testing.md` says.
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
pub(crate) fn long() -> bool {
    std::env::var("TOLSTOY_LONG").is_ok_and(|value| value == "1")
}

/// A storage whose writer does nothing until this is dropped: what is asked for meanwhile becomes one batch. One in memory,
/// which has no writer, goes on.
pub(crate) struct Held(#[expect(dead_code, reason = "it is let go when it is dropped")] mpsc::Sender<()>);

/// Holds a storage's writer.
pub(crate) fn hold(storage: &dyn Storage) -> Held {
    struct Hold {
        caller: std::thread::ThreadId,
        entered: mpsc::Sender<()>,
        released: Option<mpsc::Receiver<()>>,
    }
    impl WriteJob for Hold {
        fn run(&mut self, _: &mut dyn WriteTxn) -> Result<(), StorageError> {
            let _ = self.entered.send(());
            // A second run has nothing to wait for; nor has one on the caller's own thread.
            if let Some(released) = self.released.take()
                && std::thread::current().id() != self.caller
            {
                let _ = released.recv();
            }
            Ok(())
        }
        fn done(self: Box<Self>, _: Result<(), StorageError>) {}
    }
    let (entered, inside) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let caller = std::thread::current().id();
    storage.write(Box::new(Hold { caller, entered, released: Some(released) }));
    inside.recv().unwrap();
    Held(release)
}
