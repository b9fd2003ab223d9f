//! What must not grow: the cost of a push, and of starting, with what the hub holds.

use std::time::Duration;

use axum::body::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tolstoy_env::Env;
use tolstoy_hub::service::{PushOutcome, Service, Upload};
use tolstoy_hub::{Hub, Options};
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{Chunk, ChunkId, End, Frame, LogId, LogState, Push, Seq, Transaction, TrnId, derive_trn, paths};
use uuid::Uuid;

use crate::hub::{Chain, WRITERS, Work, log, push_to, run, start_hub};
use crate::load::{Connection, Request};
use crate::round::{Comparison, Table, time};

/// Logs of a full hub.
const LOGS: u64 = 100_000;
/// Pending transactions that are never committed, each with a chunk of its own.
const GARBAGE: u64 = 20_000;
/// Transactions of each log that is pushed to, before the first round, and how many of them a push brings.
const LENGTH: usize = 10_000;
const LONG_PUSH: usize = 1000;
/// Rounds of pushes.
const ROUNDS: usize = 30;
/// Pushes of each writer in a round.
const PUSHES: usize = 100;

fn other(n: u64) -> LogId {
    LogId(Uuid::from_u64_pair(77, n))
}

fn one_transaction(n: u64) -> Upload {
    let bytes = Bytes::copy_from_slice(&n.to_be_bytes());
    let chunk = ChunkId::of(&bytes);
    let id = derive_trn(TrnId::ROOT, std::slice::from_ref(&chunk));
    let chain = LogState::EMPTY.chain.extend(id, std::slice::from_ref(&chunk));
    Upload::from_frames([
        Frame::Push(Push { generation: None, expect: Vec::new() }),
        Frame::Transaction(Transaction { id, seq: Seq(1), parent: TrnId::ROOT, chunks: vec![chunk] }),
        Frame::Chunk(Chunk { id: chunk, bytes }),
        Frame::End(End { count: 1, chain }),
    ])
    .unwrap()
}

/// Logs, each with a transaction.
fn fill_logs(service: &Service) {
    for first in (0..LOGS).step_by(1000) {
        let answers: Vec<_> = (first..first + 1000).map(|n| service.push(other(n), one_transaction(n))).collect();
        for answer in answers {
            assert!(matches!(answer.wait().unwrap(), PushOutcome::Done(..)));
        }
    }
}

/// What nobody will commit, in the logs that are pushed to.
fn fill_garbage(service: &Service) {
    for first in (0..GARBAGE).step_by(1000) {
        let mut answers = Vec::new();
        for n in first..first + 1000 {
            let to = log(n % WRITERS as u64);
            let bytes = Bytes::copy_from_slice(&n.to_be_bytes());
            let chunk = ChunkId::of(&bytes);
            answers.push(service.v0_put_chunk(to, chunk, bytes));
            let trn = TrnId(Uuid::from_u64_pair(88, n));
            answers.push(service.v0_put_transaction(
                to,
                trn,
                NewTransaction { parent: TrnId::ROOT, chunks: vec![chunk] },
            ));
        }
        answers.into_iter().for_each(|answer| drop(answer.wait().unwrap()));
    }
}

/// Starting with many logs.
pub(crate) fn start(table: &mut Table) {
    let name = "hub start, 100,000 logs";
    if !table.wants(name) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::open(dir.path(), Env::system(), Options::default()).unwrap();
    fill_logs(hub.service());
    hub.close();
    drop(hub);
    table.compare(Comparison {
        name,
        unit: "starts/s",
        units: 1.0,
        goal: 1.0,
        against: "a tenth of a second",
        rounds: 5,
        ours: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let taken = time(|| {
                let hub = Hub::open(dir.path(), Env::system(), Options::default()).unwrap();
                runtime.block_on(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = listener.local_addr().unwrap();
                    tokio::spawn(tolstoy_hub::serve(listener, hub, std::future::pending()));
                    let answer = Connection::open(address).await.ask(&Request::Get(paths::HEALTHZ.to_owned())).await;
                    assert_eq!(answer.0, 200);
                });
            });
            drop(runtime);
            taken
        }),
        floor: Box::new(|| Duration::from_millis(100)),
    });
}

/// The next pushes of each writer: so many, each of so many transactions.
fn requests(chains: &mut [Chain], count: usize, each: usize) -> Vec<Vec<Request>> {
    let of = |(w, chain): (u64, &mut Chain)| (0..count).map(|_| push_to(log(w), chain.push(each))).collect();
    (0..).zip(chains).map(of).collect()
}

/// Pushing to a hub that holds much. It is filled once, and each round goes on where the last one ended: so nothing is written
/// just before a round but what a round wrote, and the logs grow. Both sides open their hub, so both begin with an empty
/// write-ahead log and with nothing read yet.
pub(crate) fn push(table: &mut Table) {
    let name = "hub push, full hub";
    if !table.wants(name) {
        return;
    }
    let mut chains: Vec<Chain> = (1..=WRITERS as u64).map(Chain::new).collect();
    let full = tempfile::tempdir().unwrap();
    let hub = Hub::open(full.path(), Env::system(), Options::default()).unwrap();
    fill_logs(hub.service());
    fill_garbage(hub.service());
    hub.close();
    drop(hub);
    let round = |dir: &TempDir, requests: &[Vec<Request>], work: &mut Work| {
        let runtime = Runtime::new().unwrap();
        let address = start_hub(&runtime, dir);
        run(&runtime, address, requests, &mut Vec::new(), work)
    };
    for _ in 0..LENGTH / LONG_PUSH {
        round(&full, &requests(&mut chains, 1, LONG_PUSH), &mut Work::default());
    }
    let first = requests(&mut (1..=WRITERS as u64).map(Chain::new).collect::<Vec<_>>(), PUSHES, 1);
    let (mut our_work, mut floor_work) = (Work::default(), Work::default());
    table.compare(Comparison {
        name,
        unit: "transactions/s",
        units: (WRITERS * PUSHES) as f64,
        goal: 1.0,
        against: "the same into an empty hub; here 100,000 logs, and in those pushed to 20,000 pending transactions, and 10,000 committed ones in each",
        rounds: ROUNDS,
        ours: Box::new(|| round(&full, &requests(&mut chains, PUSHES, 1), &mut our_work)),
        floor: Box::new(|| round(&tempfile::tempdir().unwrap(), &first, &mut floor_work)),
    });
    table.note(format!("{name}: {our_work}; the floor's {floor_work}"));
}
