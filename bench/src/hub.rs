//! Pushing to a hub and pulling from it, over HTTP.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use axum::{Router, extract::State};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tolstoy_env::Env;
use tolstoy_hub::{Hub, Options};
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, End, Frame, LogId, Push, Seq, Transaction, TrnId, derive_trn, encode_frame, media,
    paths,
};
use uuid::Uuid;

use crate::load::{Connection, Request};
use crate::round::{Comparison, Table, time};

/// Connections that push at the same time.
const WRITERS: usize = 64;
/// Pushes of each in a round.
const PUSHES: usize = 150;
/// Bytes of a transaction.
const BYTES: usize = 1024;

/// A chain of transactions of 1 KB each, one push for every `each` of them.
pub(crate) fn pushes(seed: u64, count: usize, each: usize) -> Vec<Vec<u8>> {
    let (mut parent, mut chain) = (TrnId::ROOT, ChainDigest::ZERO);
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bodies = Vec::new();
    for first in (0..count).step_by(each) {
        let mut body = Vec::new();
        encode_frame(&Frame::Push(Push { generation: None, expect: vec![parent] }), &mut body);
        let group = first..(first + each).min(count);
        for n in group.clone() {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .take(BYTES / 8)
            .flatten()
            .collect();
            let chunk = ChunkId::of(&bytes);
            let id = derive_trn(parent, std::slice::from_ref(&chunk));
            let chunks = vec![chunk];
            chain = chain.extend(id, &chunks);
            encode_frame(&Frame::Transaction(Transaction { id, seq: Seq(n as u64 + 1), parent, chunks }), &mut body);
            encode_frame(&Frame::Chunk(Chunk { id: chunk, bytes: bytes.into() }), &mut body);
            parent = id;
        }
        encode_frame(&Frame::End(End { count: group.len() as u64, chain }), &mut body);
        bodies.push(body);
    }
    bodies
}

fn push_to(log: LogId, body: Vec<u8>) -> Request {
    Request::Post { path: paths::push(log), media_type: media::MSGPACK, body: body.into() }
}

pub(crate) fn log(n: u64) -> LogId {
    LogId(Uuid::from_u128(0x1000 + u128::from(n)))
}

/// A hub on a free port; it stops when the runtime does.
pub(crate) fn start_hub(runtime: &Runtime, dir: &TempDir) -> SocketAddr {
    let hub = Hub::open(dir.path(), Env::system(), Options::default()).unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { tolstoy_hub::serve(listener, hub, std::future::pending()).await });
    address
}

/// Each list of requests on a connection of its own, all at the same time.
fn run(runtime: &Runtime, address: SocketAddr, requests: &[Vec<Request>]) -> Duration {
    let connections = runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in requests {
            connections.push(Connection::open(address).await);
        }
        connections
    });
    let jobs: Vec<_> = connections.into_iter().zip(requests.to_vec()).collect();
    time(|| {
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for (connection, requests) in jobs {
                tasks.push(tokio::spawn(async move {
                    for request in requests {
                        assert_eq!(connection.ask(&request).await.0, 200);
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    })
}

type Queue = mpsc::SyncSender<(Bytes, oneshot::Sender<()>)>;

/// The least that a durable handler can do: one insert each, committed in groups by one thread.
fn start_bare(runtime: &Runtime, dir: &TempDir) -> SocketAddr {
    let sql = rusqlite::Connection::open(dir.path().join("bare.db")).unwrap();
    sql.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    sql.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE rows (n INTEGER PRIMARY KEY, body BLOB)").unwrap();
    let (queue, jobs) = mpsc::sync_channel::<(Bytes, oneshot::Sender<()>)>(1024);
    std::thread::spawn(move || {
        while let Ok(first) = jobs.recv() {
            sql.execute_batch("BEGIN IMMEDIATE").unwrap();
            let mut done = Vec::new();
            let mut next = Some(first);
            while let Some((body, answer)) = next {
                sql.prepare_cached("INSERT INTO rows (body) VALUES (?1)").unwrap().execute([&body[..]]).unwrap();
                done.push(answer);
                next = (done.len() < 256).then(|| jobs.try_recv().ok()).flatten();
            }
            sql.execute_batch("COMMIT").unwrap();
            done.into_iter().for_each(|answer| answer.send(()).unwrap());
        }
    });
    let handler = |State(queue): State<Queue>, body: Bytes| async move {
        let (answer, done) = oneshot::channel();
        queue.send((body, answer)).unwrap();
        done.await.unwrap();
    };
    serve(runtime, Router::new().route("/", post(handler).get(|| async {})).with_state(queue))
}

fn serve(runtime: &Runtime, router: Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    address
}

fn compare_pushes(table: &mut Table, name: &'static str, goal: f64, writers: usize, pushes_each: usize) {
    if !table.wants(name) {
        return;
    }
    let bodies: Vec<Vec<Vec<u8>>> = (0..writers).map(|w| pushes(w as u64 + 1, pushes_each, 1)).collect();
    let to_hub: Vec<Vec<Request>> =
        (0_u64..).zip(bodies).map(|(w, own)| own.into_iter().map(|body| push_to(log(w), body)).collect()).collect();
    let body = Bytes::from_static(&[7; BYTES]);
    let bare_request = Request::Post { path: "/".to_owned(), media_type: media::OCTETS, body };
    let to_bare = vec![vec![bare_request; pushes_each]; writers];
    table.compare(Comparison {
        name,
        unit: "transactions/s",
        units: (writers * pushes_each) as f64,
        goal,
        against: "a bare HTTP handler that does one durable, group-committed SQLite insert per request",
        rounds: 5,
        ours: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let address = start_hub(&runtime, &dir);
            run(&runtime, address, &to_hub)
        }),
        floor: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let address = start_bare(&runtime, &dir);
            run(&runtime, address, &to_bare)
        }),
    });
}

pub(crate) fn push(table: &mut Table) {
    compare_pushes(table, "hub push, 64 writers", 0.5, WRITERS, PUSHES);
}

pub(crate) fn push_alone(table: &mut Table) {
    compare_pushes(table, "hub push, 1 writer", 0.5, 1, 1_000);
}

pub(crate) fn pull(table: &mut Table) {
    compare_pulls(table, "hub pull of 10,000", 0.5, 10_000);
}

pub(crate) fn pull_long(table: &mut Table) {
    compare_pulls(table, "hub pull of 100,000", 0.6, 100_000);
}

fn compare_pulls(table: &mut Table, name: &'static str, goal: f64, transactions: usize) {
    if !table.wants(name) {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = start_hub(&runtime, &dir);
    let requests = pushes(1, transactions, 1000).into_iter().map(|body| push_to(log(0), body)).collect();
    run(&runtime, address, &[requests]);
    let pull = Request::Get(paths::pull(log(0), &[]));
    let length = runtime.block_on(async { Connection::open(address).await.ask(&pull).await.1 });
    assert!(length > transactions * BYTES);
    let all = Bytes::from(vec![7; length]);
    let pieces: Vec<Bytes> =
        (0..length).step_by(64 << 10).map(|at| all.slice(at..(at + (64 << 10)).min(length))).collect();
    let bare = serve(
        &runtime,
        Router::new().route("/", get(|| async {})).route(
            "/bytes",
            get(|State(pieces): State<Vec<Bytes>>| async move { Body::from_stream(Pieces(pieces.into_iter())) })
                .with_state(pieces),
        ),
    );
    let fetch = |address: SocketAddr, request: &Request| {
        let connection = runtime.block_on(Connection::open(address));
        time(|| assert_eq!(runtime.block_on(connection.ask(request)), (200, length)))
    };
    let bare_request = Request::Get("/bytes".to_owned());
    table.compare(Comparison {
        name,
        unit: "transactions/s",
        units: transactions as f64,
        goal,
        against: "the same number of bytes streamed from memory",
        rounds: 10,
        ours: Box::new(|| fetch(address, &pull)),
        floor: Box::new(|| fetch(bare, &bare_request)),
    });
}

/// A stream of pieces that are there already.
struct Pieces(std::vec::IntoIter<Bytes>);

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next().map(Ok))
    }
}
