//! What must hold for any bytes that a stranger sends. The fuzz targets `requests`, `pushes` and `tasks` include this file as well.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Uri};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;
use tolstoy_hub::{Hub, Options};
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, End, ErrorBody, ErrorKind, Form, Frame, FrameDecoder, FrameEncoder, LogId, LogState,
    Push, Seq, Transaction, TrnId, coding, derive_trn, media, paths,
};
use tolstoy_tasks::Document;
use tolstoy_tasks::interchange::read_hashes;
use tower::ServiceExt;

use crate::still::env;

/// The log that is written.
const LOG: LogId = LogId(uuid::Uuid::from_u128(0x3a1f_0b52_6c1d_4a57_9f0e_5d1c_2b7a_9e10));

/// The task that is exchanged by itself.
const TASK: &str = "pb67wndxge8293xd";

/// A hub with a log of two transactions, and the runtime that drives it.
pub(crate) struct Fuzzed {
    runtime: Runtime,
}

/// An answer.
struct Told {
    status: u16,
    kind: String,
    body: Vec<u8>,
}

impl Fuzzed {
    pub(crate) fn new() -> Self {
        Self { runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap() }
    }

    fn hub(&self) -> Router {
        let router = Hub::in_memory(env(), Options::default()).router();
        let told = self.send(&router, push_request(media::MSGPACK, encode(Form::MessagePack, &first_push())));
        assert_eq!(told.status, 200);
        router
    }

    fn send(&self, router: &Router, request: Request<Body>) -> Told {
        self.runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
            Told { status, kind: kind.unwrap_or_default(), body }
        })
    }

    fn state(&self, router: &Router) -> LogState {
        let told = self.send(router, request(Method::GET, &paths::log(LOG)).unwrap());
        serde_json::from_slice(&told.body).unwrap()
    }

    /// Panics if a method, a path and a query make the hub fail, or refuse without saying why. The method is the first byte's.
    pub(crate) fn check_request(&self, bytes: &[u8]) {
        let Some((first, path)) = bytes.split_first() else { return };
        let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::HEAD, Method::PATCH];
        let method = methods[usize::from(*first) % methods.len()].clone();
        let Some(path) = std::str::from_utf8(path).ok().map(|path| path.replace("{log}", &LOG.to_string())) else {
            return;
        };
        let Some(request) = request(method.clone(), &path) else { return };
        let told = self.send(&self.hub(), request);
        judge(&told, method == Method::HEAD);
    }

    /// Panics if a body makes the hub fail where tasks are exchanged; if it leaves anything where it is refused; if it is answered
    /// otherwise when it is sent again; or if hashes are not those of what stands. The first byte says whether it is one task or many.
    pub(crate) fn check_tasks(&self, bytes: &[u8]) {
        let Some((first, body)) = bytes.split_first() else { return };
        let router = Hub::in_memory(env(), Options::default()).router();
        let path = if first & 1 == 0 { paths::task(LOG, TASK) } else { paths::tasks(LOG) };
        let post = |path: &str, body: &[u8]| {
            let mut request = request(Method::POST, path).unwrap();
            *request.body_mut() = Body::from(body.to_vec());
            self.send(&router, request)
        };
        let told = post(&path, body);
        judge(&told, false);
        let hashes = || self.send(&router, request(Method::GET, &paths::hashes(LOG)).unwrap()).body;
        if told.status != 200 {
            assert_eq!(hashes(), b"{}");
            return;
        }
        let (again, left) = (post(&path, body).body, hashes());
        assert!(post(&path, body).body == again && hashes() == left);
        for (id, hash) in read_hashes(std::str::from_utf8(&left).unwrap()).unwrap() {
            let told = post(&paths::task(LOG, id.as_str()), br#"{"client_state":null}"#).body;
            let state = std::str::from_utf8(&told).unwrap().strip_prefix(r#"{"server_state":"#).unwrap();
            let document = Document::parse(state.strip_suffix('}').unwrap()).unwrap();
            assert_eq!((document.id(), document.hash()), (id, hash));
        }
    }

    /// Panics if a body, pushed, makes the hub fail, or leaves a log that is not whole, or is answered otherwise when it is
    /// sent again. The first byte says the form and the coding.
    pub(crate) fn check_push(&self, bytes: &[u8]) {
        let Some((first, body)) = bytes.split_first() else { return };
        let router = self.hub();
        let before = self.state(&router);
        let send = || {
            let form = [media::MSGPACK, media::JSON][usize::from(first & 1)];
            let mut request = push_request(form, body.to_vec());
            if first & 2 != 0 {
                request.headers_mut().insert("content-encoding", coding::ZSTD.parse().unwrap());
            }
            let told = self.send(&router, request);
            judge(&told, false);
            told
        };
        let told = send();
        let after = self.state(&router);
        let stream = self.send(&router, request(Method::GET, &paths::pull(LOG, &[])).unwrap());
        assert_eq!(follow(&decode(&stream.body)), (after.head, after.seq, after.chain));
        match told.status {
            200 => assert_eq!(serde_json::from_slice::<LogState>(&told.body).unwrap(), after),
            _ => assert_eq!(after, before, "what was refused changed nothing"),
        }
        let again = send();
        assert_eq!(self.state(&router), after, "a repeat changes nothing");
        // Where the push moved HEAD, its repeat is known by its last transaction.
        assert_eq!((told.status, told.body), (again.status, again.body));
    }
}

/// An answer is never the hub's own failure, and a refusal says why.
fn judge(told: &Told, headless: bool) {
    let Told { status, kind, body } = told;
    assert!(*status < 500, "{status}: {}", String::from_utf8_lossy(body));
    if *status >= 400 && kind == media::JSON && !headless && !body.starts_with(b"[") {
        let body: ErrorBody = serde_json::from_slice(body).unwrap();
        assert!(body.error != ErrorKind::Other && body.error != ErrorKind::Internal && !body.message.is_empty());
    } else if *status >= 400 {
        assert!(headless || *status == 409, "{status} {kind}");
    }
}

/// A request; none where the path is no part of a URI.
fn request(method: Method, path: &str) -> Option<Request<Body>> {
    let uri: Uri = path.parse().ok()?;
    // A server's parser gives a path that begins with a slash, or a whole URI.
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    // So that equal requests have equal answers.
    request.headers_mut().insert("x-request-id", "fuzzed".parse().unwrap());
    Some(request)
}

fn push_request(form: &'static str, body: Vec<u8>) -> Request<Body> {
    let mut request = request(Method::POST, &paths::push(LOG)).unwrap();
    request.headers_mut().insert("content-type", form.parse().unwrap());
    *request.body_mut() = Body::from(body);
    request
}

/// Two transactions, the second with a chunk whose id is no content id.
fn first_push() -> Vec<Frame> {
    let ids = [ChunkId::of(b"one"), "b".parse().unwrap()];
    let first = derive_trn(TrnId::ROOT, &ids[..1]);
    let second = derive_trn(first, &ids[1..]);
    let chain = ChainDigest::ZERO.extend(first, &ids[..1]).extend(second, &ids[1..]);
    vec![
        Frame::Push(Push { generation: None, expect: vec![] }),
        Frame::Transaction(Transaction { id: first, seq: Seq(1), parent: TrnId::ROOT, chunks: ids[..1].to_vec() }),
        Frame::Chunk(Chunk { id: ids[0], bytes: "one".into() }),
        Frame::Transaction(Transaction { id: second, seq: Seq(2), parent: first, chunks: ids[1..].to_vec() }),
        Frame::Chunk(Chunk { id: ids[1], bytes: "two".into() }),
        Frame::End(End { count: 2, chain }),
    ]
}

fn encode(form: Form, frames: &[Frame]) -> Vec<u8> {
    let (mut encoder, mut bytes) = (FrameEncoder::new(form), Vec::new());
    frames.iter().for_each(|frame| encoder.encode(frame, &mut bytes));
    bytes
}

fn decode(bytes: &[u8]) -> Vec<Frame> {
    let (mut decoder, mut frames) = (FrameDecoder::new(Form::MessagePack), Vec::new());
    decoder.feed(bytes);
    while let Some(frame) = decoder.next_frame().unwrap() {
        frames.push(frame);
    }
    decoder.finish().unwrap();
    frames
}

/// Where a stream from the root leads. Panics if it is not one whole chain whose chunks are what their ids say.
fn follow(frames: &[Frame]) -> (TrnId, Seq, ChainDigest) {
    let mut tip = (TrnId::ROOT, Seq::ROOT, ChainDigest::ZERO);
    let (mut missing, mut sent) = (Vec::new(), Vec::new());
    for frame in frames {
        match frame {
            Frame::Transaction(trn) => {
                assert_eq!((trn.parent, trn.seq), (tip.0, tip.1.next()));
                tip = (trn.id, trn.seq, tip.2.extend(trn.id, &trn.chunks));
                missing.extend(trn.chunks.iter().copied().filter(|id| !sent.contains(id)));
            }
            Frame::Chunk(chunk) => {
                assert!(chunk.id.matches(&chunk.bytes));
                missing.retain(|id| *id != chunk.id);
                sent.push(chunk.id);
            }
            Frame::End(end) => assert_eq!((end.count, end.chain), (tip.1.0, tip.2)),
            _ => {}
        }
    }
    assert!(missing.is_empty() && matches!(frames.last(), Some(Frame::End(_))));
    tip
}

/// Inputs that reach far, for the corpus of `pushes`: each with its first byte.
pub(crate) fn good_pushes() -> Vec<(&'static str, Vec<u8>)> {
    let first = first_push();
    let Some(Frame::Transaction(last)) = first.get(3).cloned() else { return Vec::new() };
    let Some(Frame::End(end)) = first.last().cloned() else { return Vec::new() };
    let chunks = vec![ChunkId::of(b"three"), "b".parse().unwrap()];
    let id = derive_trn(last.id, &chunks);
    let next = vec![
        Frame::Push(Push { generation: None, expect: vec![last.id, TrnId::ROOT] }),
        Frame::Transaction(Transaction { id, seq: Seq(3), parent: last.id, chunks: chunks.clone() }),
        Frame::Chunk(Chunk { id: chunks[0], bytes: "three".into() }),
        Frame::End(End { count: 1, chain: end.chain.extend(id, &chunks) }),
    ];
    let question = vec![next[0].clone(), Frame::End(End { count: 0, chain: end.chain })];
    let stale = vec![Frame::Push(Push { generation: None, expect: vec![] }), next[1].clone(), next[3].clone()];
    let (pack, json) =
        (|frames: &[Frame]| encode(Form::MessagePack, frames), |frames: &[Frame]| encode(Form::Json, frames));
    let coded = |bytes: &[u8]| coding::compress(bytes, 1).unwrap();
    let all = [
        ("next", 0, pack(&next)),
        ("next_json", 1, json(&next)),
        ("next_zstd", 2, coded(&pack(&next))),
        ("next_json_zstd", 3, coded(&json(&next))),
        ("repeat", 0, pack(&first)),
        ("question", 0, pack(&question)),
        ("question_json", 1, json(&question)),
        ("stale_json", 1, json(&stale)),
        ("missing", 0, pack(&[next[0].clone(), next[1].clone(), next[3].clone()])),
        ("mismatch", 0, pack(&[next[0].clone(), next[1].clone(), next[2].clone(), question[1].clone()])),
        ("cut_zstd", 2, coded(&pack(&next))[..40].to_vec()),
    ];
    all.into_iter().map(|(name, first, body)| (name, [&[first][..], &body].concat())).collect()
}
