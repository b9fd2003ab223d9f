//! Pushing to a hub and pulling from it, over HTTP.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
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
pub(crate) const WRITERS: usize = 64;
/// Pushes of each in a round.
pub(crate) const PUSHES: usize = 150;
/// Bytes of a transaction.
pub(crate) const BYTES: usize = 1024;

/// A chain of transactions of 1 KB each, one push for every `each` of them.
pub(crate) fn pushes(seed: u64, count: usize, each: usize) -> Vec<Vec<u8>> {
    let mut chain = Chain::new(seed);
    (0..count).step_by(each).map(|first| chain.push(each.min(count - first))).collect()
}

/// A chain of transactions of 1 KB each, as far as it has been pushed.
pub(crate) struct Chain {
    parent: TrnId,
    seq: Seq,
    digest: ChainDigest,
    random: u64,
}

impl Chain {
    pub(crate) fn new(seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { parent: TrnId::ROOT, seq: Seq::ROOT, digest: ChainDigest::ZERO, random }
    }

    /// The next push, of so many transactions.
    pub(crate) fn push(&mut self, count: usize) -> Vec<u8> {
        let mut body = Vec::new();
        encode_frame(&Frame::Push(Push { generation: None, expect: vec![self.parent] }), &mut body);
        for _ in 0..count {
            let (parent, bytes) = (self.parent, self.bytes());
            let chunk = ChunkId::of(&bytes);
            let id = derive_trn(parent, std::slice::from_ref(&chunk));
            let chunks = vec![chunk];
            self.digest = self.digest.extend(id, &chunks);
            (self.parent, self.seq) = (id, self.seq.next());
            encode_frame(&Frame::Transaction(Transaction { id, seq: self.seq, parent, chunks }), &mut body);
            encode_frame(&Frame::Chunk(Chunk { id: chunk, bytes: bytes.into() }), &mut body);
        }
        encode_frame(&Frame::End(End { count: count as u64, chain: self.digest }), &mut body);
        body
    }

    fn bytes(&mut self) -> Vec<u8> {
        let random = std::iter::repeat_with(|| {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            self.random.to_le_bytes()
        });
        random.take(BYTES / 8).flatten().collect()
    }
}

pub(crate) fn push_to(log: LogId, body: Vec<u8>) -> Request {
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

/// Each list of requests on a connection of its own, all at the same time. `latencies` gets how long each was under way, and
/// `work` what the processors did for them.
pub(crate) fn run(
    runtime: &Runtime,
    address: SocketAddr,
    requests: &[Vec<Request>],
    latencies: &mut Vec<Duration>,
    work: &mut Work,
) -> Duration {
    let connections = runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in requests {
            connections.push(Connection::open(address).await);
        }
        connections
    });
    let jobs: Vec<_> = connections.into_iter().zip(requests.to_vec()).collect();
    let run = || {
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for (connection, requests) in jobs {
                tasks.push(tokio::spawn(async move {
                    let mut latencies = Vec::with_capacity(requests.len());
                    for request in requests {
                        let begun = Instant::now();
                        assert_eq!(connection.ask(&request).await.0, 200);
                        latencies.push(begun.elapsed());
                    }
                    latencies
                }));
            }
            for task in tasks {
                latencies.extend(task.await.unwrap());
            }
        });
    };
    work.of(requests.iter().map(Vec::len).sum(), || time(run))
}

type Queue = mpsc::SyncSender<(LogId, Bytes, oneshot::Sender<()>)>;

/// What the bare handler writes for each request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// One row.
    One,
    /// The rows that a hub writes: the frames, the log's own row, and every sixteenth time a block with the names.
    Same,
}

/// Bytes of a version's frames, what it holds left out.
const VERSION_FRAMES: usize = 250;

const SAME_ROWS: &str = "
CREATE TABLE log (nr INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, head BLOB, seq INTEGER, chain BLOB, tail BLOB);
CREATE TABLE run (nr INTEGER PRIMARY KEY, log INTEGER, first INTEGER, base BLOB, places BLOB, frames BLOB);
CREATE TABLE block (log INTEGER, first INTEGER, runs BLOB, names BLOB, PRIMARY KEY (log, first)) WITHOUT ROWID;
CREATE TABLE rows (n INTEGER PRIMARY KEY, body BLOB)";

/// Writes what a hub writes for one push, without any rule.
fn write_same(sql: &rusqlite::Connection, log: LogId, n: usize, body: &[u8]) {
    let exec = |text: &str, params: &[&dyn rusqlite::ToSql]| {
        sql.prepare_cached(text).unwrap().execute(params).unwrap();
    };
    let (log, seq) = (log.0.as_u128() as i64, n as i64);
    let digest = |n: i64| [(n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes(); 4].concat();
    exec(
        "INSERT INTO run (log, first, base, places, frames) VALUES (?1, ?2, ?3, x'', ?4)",
        &[&log, &seq, &digest(seq), &body],
    );
    if n % 16 == 15 {
        let names: Vec<u8> = (0..16 * 2).flat_map(|name| digest(seq << 5 | name)[..20].to_vec()).collect();
        exec(
            "INSERT INTO block (log, first, runs, names) VALUES (?1, ?2, ?3, ?4)",
            &[&log, &(seq - 15), &vec![1_u8; 40], &names],
        );
    }
    let tail = vec![7_u8; 55 * (n % 16)];
    let sql = "INSERT INTO log (nr, id, head, seq, chain, tail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (nr) DO UPDATE SET head = ?3, seq = ?4, chain = ?5, tail = ?6";
    exec(sql, &[&log, &digest(log)[..16].to_vec(), &digest(seq)[..16].to_vec(), &seq, &digest(seq), &tail]);
}

/// The least that a durable handler can do with a push: its inserts, committed in groups by one thread.
pub(crate) fn start_bare(runtime: &Runtime, dir: &TempDir, rows: Rows) -> SocketAddr {
    let sql = rusqlite::Connection::open(dir.path().join("bare.db")).unwrap();
    sql.pragma_update(None, "page_size", 8192).unwrap();
    sql.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    sql.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096").unwrap();
    sql.execute_batch(SAME_ROWS).unwrap();
    sql.set_prepared_statement_cache_capacity(16);
    let (queue, jobs) = mpsc::sync_channel::<(LogId, Bytes, oneshot::Sender<()>)>(1024);
    std::thread::spawn(move || {
        let mut counts: HashMap<LogId, usize> = HashMap::new();
        while let Ok(first) = jobs.recv() {
            sql.execute_batch("BEGIN IMMEDIATE").unwrap();
            let mut done = Vec::new();
            let mut next = Some(first);
            while let Some((log, body, answer)) = next {
                if rows == Rows::One {
                    sql.prepare_cached("INSERT INTO rows (body) VALUES (?1)").unwrap().execute([&body[..]]).unwrap();
                } else {
                    let n = counts.entry(log).or_default();
                    write_same(&sql, log, *n, &body);
                    *n += 1;
                }
                done.push(answer);
                next = (done.len() < 256).then(|| jobs.try_recv().ok()).flatten();
            }
            sql.execute_batch("COMMIT").unwrap();
            done.into_iter().for_each(|answer| answer.send(()).unwrap());
        }
    });
    let handler = |State(queue): State<Queue>, Path(log): Path<LogId>, body: Bytes| async move {
        let (answer, done) = oneshot::channel();
        queue.send((log, body, answer)).unwrap();
        done.await.unwrap();
    };
    let version = |State(queue): State<Queue>, headers: HeaderMap, body: Bytes| async move {
        let log = headers["x-client-id"].to_str().unwrap().parse().unwrap();
        let (answer, done) = oneshot::channel();
        // As long as the frames of a version.
        queue.send((log, [&[0; VERSION_FRAMES][..], &body].concat().into(), answer)).unwrap();
        done.await.unwrap();
        [("x-version-id", "785fd86c-c11f-48b6-9557-27ec78bb568c")]
    };
    let router = Router::new()
        .route("/", get(|| async {}))
        .route("/1/logs/{log}/push", post(handler))
        .route("/v1/client/add-version/{parent}", post(version));
    serve(runtime, router.with_state(queue))
}

fn serve(runtime: &Runtime, router: Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    address
}

pub(crate) fn push(table: &mut Table) {
    compare_pushes(
        table,
        "hub push, 64 writers",
        0.5,
        "a bare HTTP handler that does one durable, group-committed SQLite insert per request",
        Rows::One,
    );
    compare_pushes(
        table,
        "hub push, 64 writers, same rows",
        0.8,
        "a bare HTTP handler that group-commits the same rows, and checks nothing",
        Rows::Same,
    );
}

fn compare_pushes(table: &mut Table, name: &'static str, goal: f64, against: &'static str, rows: Rows) {
    if !table.wants(name) {
        return;
    }
    let bodies: Vec<Vec<Vec<u8>>> = (0..WRITERS).map(|w| pushes(w as u64 + 1, PUSHES, 1)).collect();
    let requests: Vec<Vec<Request>> =
        (0_u64..).zip(bodies).map(|(w, own)| own.into_iter().map(|body| push_to(log(w), body)).collect()).collect();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let (mut our_work, mut floor_work) = (Work::default(), Work::default());
    table.compare(Comparison {
        name,
        unit: "transactions/s",
        units: (WRITERS * PUSHES) as f64,
        goal,
        against,
        // Two sides that are so close are told apart by many.
        rounds: 45,
        ours: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let address = start_hub(&runtime, &dir);
            run(&runtime, address, &requests, &mut ours, &mut our_work)
        }),
        floor: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let address = start_bare(&runtime, &dir, rows);
            run(&runtime, address, &requests, &mut floor, &mut floor_work)
        }),
    });
    let (ours, floor) = (percentiles(&mut ours), percentiles(&mut floor));
    table.note(format!("{name}: {ours}, {our_work}; the floor's {floor}, {floor_work}"));
}

/// What the processors did for requests, client and server together. It says more than the time that passed where others use
/// the machine too.
#[derive(Default)]
pub(crate) struct Work {
    requests: usize,
    time: Duration,
}

impl Work {
    pub(crate) fn of<R>(&mut self, requests: usize, work: impl FnOnce() -> R) -> R {
        let before = processor_time();
        let done = work();
        self.time += processor_time().saturating_sub(before);
        self.requests += requests;
        done
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} µs of processor time each", self.time.as_secs_f64() * 1e6 / self.requests.max(1) as f64)
    }
}

/// What this process has used of the processors; nothing where the system does not say.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the program's name, which may hold anything: its 12th and 13th field, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

pub(crate) fn percentiles(latencies: &mut [Duration]) -> String {
    latencies.sort_unstable();
    let at = |share: usize| latencies[latencies.len() * share / 100].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p99 {:.1} ms", at(50), at(99))
}

/// One writer against what it cannot avoid: a request, and an fsync. The hub has run for a while: its write-ahead log has
/// been begun anew, and is written over from then on.
pub(crate) fn push_alone(table: &mut Table) {
    const ALONE: usize = 500;
    let name = "hub push, 1 writer";
    if !table.wants(name) {
        return;
    }
    let before: Vec<Request> = pushes(2, 40_000, 1000).into_iter().map(|body| push_to(log(1), body)).collect();
    let requests: Vec<Request> = pushes(1, ALONE, 1).into_iter().map(|body| push_to(log(0), body)).collect();
    let body = Bytes::from(vec![7; BYTES + 240]);
    let bare = vec![Request::Post { path: "/".to_owned(), media_type: media::OCTETS, body: body.clone() }; ALONE];
    table.compare(Comparison {
        name,
        unit: "transactions/s",
        units: ALONE as f64,
        goal: 0.5,
        against: "a request to a handler that does nothing, then 8 KiB appended to a file and fdatasync",
        rounds: 15,
        ours: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let address = start_hub(&runtime, &dir);
            run(&runtime, address, std::slice::from_ref(&before), &mut Vec::new(), &mut Work::default());
            run(&runtime, address, std::slice::from_ref(&requests), &mut Vec::new(), &mut Work::default())
        }),
        floor: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let nothing = Router::new().route("/", post(|_: Bytes| async {}).get(|| async {}));
            let address = serve(&runtime, nothing);
            let requests = run(&runtime, address, std::slice::from_ref(&bare), &mut Vec::new(), &mut Work::default());
            let mut file = tempfile::tempfile().unwrap();
            requests
                + time(|| {
                    for _ in 0..ALONE {
                        file.write_all(&[7; 8192]).unwrap();
                        file.sync_data().unwrap();
                    }
                })
        }),
    });
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
    run(&runtime, address, &[requests], &mut Vec::new(), &mut Work::default());
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
        rounds: 30,
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
