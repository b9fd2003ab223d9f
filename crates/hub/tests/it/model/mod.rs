//! Random operations of several clients on several logs, against the service over both storages, and against a model that
//! shares no code with either.

mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;
use tolstoy_hub::SqliteOptions;
use tolstoy_hub::service::{
    HeadOutcome, ListOutcome, Policy, PushOutcome, PutOutcome, Service, SnapshotOutcome, SnapshotUpload, Upload,
};
use tolstoy_hub::storage::{MemoryStorage, SqliteStorage, Storage};
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{
    BlobDigest, ChainDigest, Chunk as ChunkFrame, ChunkId, End, Frame, Generation, LogState, Seq, Start, Transaction,
    TrnId,
};

use crate::common::{Pushing, env, hold, log as log_id, long};
use log::{Blob, Chunk, Entry, Limits, Log, Push, Trn};

const LOGS: usize = 3;
const CLIENTS: usize = 4;
/// What a log may hold, in the stories that are told with limits.
const LIMITS: Limits = Limits { bytes: 1_600, transactions: 5 };
/// A number that no life reaches.
const NO_LIFE: u64 = 1_000_000;

/// A transaction that is pushed: its chunks, and their bytes where they are sent.
type Pushed = (Trn, Vec<(Chunk, Option<u8>)>);

#[derive(Debug, Clone)]
enum Op {
    /// A client pushes onto what it last saw of the log.
    Push {
        client: usize,
        log: usize,
        added: Vec<Pushed>,
        says: Says,
        learns: bool,
    },
    /// A client repeats its last push.
    Repeat {
        client: usize,
    },
    /// A client pulls from what it last saw, or from these.
    Pull {
        client: usize,
        log: usize,
        from: Option<Vec<Trn>>,
    },
    PutChunk(usize, Chunk, u8),
    PutTransaction(usize, Trn, Which, Vec<Chunk>),
    PutHead(usize, Which),
    Delete(usize),
    PutSnapshot(usize, Which, Blob),
}

/// A transaction, by its id or by what it is when it is asked for.
#[derive(Debug, Clone, Copy)]
enum Which {
    Head,
    /// One of those that are pending.
    Pending(usize),
    /// One of those that are committed.
    Committed(usize),
    Any(Trn),
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        3 => Just(Which::Head),
        5 => (0..9usize).prop_map(Which::Pending),
        3 => (0..9u8).prop_map(Which::Any),
    ]
}

/// The generation that a push says.
#[derive(Debug, Clone, Copy)]
enum Says {
    Known,
    Nothing,
    Another,
    /// None, and the client's chain is damaged below the HEAD that it knows.
    NothingAndDamaged,
}

fn op() -> impl Strategy<Value = Op> {
    let (trn, chunk) = (0..9u8, 0..4u8);
    let log = prop_oneof![5 => Just(0), 2 => Just(1), 1 => Just(2)];
    let pushed = (1..9u8, proptest::collection::vec((chunk.clone(), proptest::option::weighted(0.8, 0..2u8)), 0..3));
    let added = proptest::collection::vec(pushed, 0..3);
    let says = prop_oneof![12 => Just(Says::Known), 5 => Just(Says::Nothing), 1 => Just(Says::Another), 1 => Just(Says::NothingAndDamaged)];
    let push = (0..CLIENTS, log.clone(), added, says, any::<bool>());
    prop_oneof![
        8 => push.prop_map(|(client, log, added, says, learns)| Op::Push { client, log, added, says, learns }),
        2 => (0..CLIENTS).prop_map(|client| Op::Repeat { client }),
        4 => (0..CLIENTS, log.clone(), proptest::option::weighted(0.6, proptest::collection::vec(trn.clone(), 0..4)))
            .prop_map(|(client, log, from)| Op::Pull { client, log, from }),
        3 => (log.clone(), chunk.clone(), 0..2u8).prop_map(|(log, id, byte)| Op::PutChunk(log, id, byte)),
        6 => (log.clone(), trn, which(), proptest::collection::vec(chunk, 0..2))
            .prop_map(|(log, id, parent, chunks)| Op::PutTransaction(log, id, parent, chunks)),
        4 => (log.clone(), which()).prop_map(|(log, id)| Op::PutHead(log, id)),
        1 => log.prop_map(Op::Delete),
    ]
}

fn snapshot() -> impl Strategy<Value = Op> {
    let which =
        prop_oneof![1 => Just(Which::Head), 6 => (0..9usize).prop_map(Which::Committed), 1 => Just(Which::Any(8))];
    let log = prop_oneof![5 => Just(0), 2 => Just(1), 1 => Just(2usize)];
    let blob = (0..2u8, prop_oneof![Just(1u64), Just(300), Just(1_200)]);
    (log, which, blob).prop_map(|(log, which, blob)| Op::PutSnapshot(log, which, blob))
}

/// Whether logs have limits; and what is asked for at the same time, again and again. A snapshot takes several jobs, and is
/// asked for by itself; mostly others follow.
fn story() -> impl Strategy<Value = (bool, Vec<Vec<Op>>)> {
    let steps = prop_oneof![
        4 => proptest::collection::vec(op(), 1..5).prop_map(|ops| vec![ops]),
        1 => proptest::collection::vec(snapshot(), 1..6).prop_map(|ops| ops.into_iter().map(|op| vec![op]).collect()),
    ];
    (any::<bool>(), proptest::collection::vec(steps, 1..30).prop_map(|steps| steps.concat()))
}

fn trn_id(n: Trn) -> TrnId {
    TrnId(uuid::Uuid::from_u128(n.into()))
}

/// Plain ids, so that the same id can come with other bytes.
fn chunk_id(n: Chunk) -> ChunkId {
    format!("chunk-{n}").parse().unwrap()
}

fn chunk_ids(chunks: &[Chunk]) -> Vec<ChunkId> {
    chunks.iter().map(|n| chunk_id(*n)).collect()
}

fn digest(chain: &[Entry]) -> ChainDigest {
    chain.iter().fold(ChainDigest::ZERO, |digest, (id, chunks)| digest.extend(trn_id(*id), &chunk_ids(chunks)))
}

/// What a client last saw of a log.
#[derive(Debug, Clone, Default)]
struct Seen {
    life: Option<u64>,
    chain: Vec<Entry>,
}

/// The model, the services that must do as it does, and what the clients know.
struct Bench {
    logs: Vec<Log>,
    services: Vec<(Service, Arc<dyn Storage>)>,
    /// The ids of lives, by log and number.
    lives: BTreeMap<(usize, u64), Generation>,
    seen: Vec<Vec<Seen>>,
    pushed: Vec<Option<(usize, Push)>>,
    _directory: TempDir,
}

/// What was asked of a service: gives what it said.
type Asked = Box<dyn FnOnce() -> &'static str>;

impl Bench {
    fn new(limited: bool) -> Self {
        let limits = limited.then_some(LIMITS);
        let policy = Policy {
            quota_bytes: limits.map(|limits| limits.bytes),
            quota_transactions: limits.map(|limits| limits.transactions),
            ..Policy::default()
        };
        let directory = TempDir::new().unwrap();
        let options = SqliteOptions { readers: 1, ..SqliteOptions::default() };
        let sqlite: Arc<dyn Storage> = Arc::new(SqliteStorage::open(directory.path(), &options).unwrap());
        let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        Self {
            logs: vec![Log { limits, ..Log::default() }; LOGS],
            services: [memory, sqlite]
                .map(|storage| (Service::new(storage.clone(), env()).with_policy(policy), storage))
                .to_vec(),
            lives: BTreeMap::new(),
            seen: vec![vec![Seen::default(); LOGS]; CLIENTS],
            pushed: vec![None; CLIENTS],
            _directory: directory,
        }
    }

    /// Asks for all of it at once, as one batch of the writer; notes what happened.
    fn step(&mut self, ops: &[Op], counts: &mut BTreeMap<&'static str, BTreeMap<&'static str, u64>>) {
        let asks: Vec<_> = ops.iter().map(|op| self.plan(op)).collect();
        let submit = |service: &Service| -> Vec<Asked> { asks.iter().map(|plan| plan.ask(service)).collect() };
        let asked: Vec<Vec<Asked>> = self
            .services
            .iter()
            .map(|(service, storage)| {
                let held = hold(storage.as_ref());
                let asked = submit(service);
                drop(held);
                asked
            })
            .collect();
        let mut said: Vec<Vec<&'static str>> =
            asked.into_iter().map(|answers| answers.into_iter().map(|answer| answer()).collect()).collect();
        for (n, (op, plan)) in ops.iter().zip(&asks).enumerate() {
            let expected = plan.model(&mut self.logs);
            for said in &mut said {
                assert_eq!(said[n], plain(expected), "{plan:?}");
            }
            *counts.entry(plan.name()).or_default().entry(expected).or_default() += 1;
            self.learn(op, plan, expected);
        }
        self.check(counts);
    }

    /// What an operation is, by what its client knows.
    fn plan(&mut self, op: &Op) -> Plan {
        match op {
            Op::Push { client, log, added, says, .. } => {
                let seen = &self.seen[*client][*log];
                let generation = match says {
                    Says::Known => seen.life,
                    Says::Nothing | Says::NothingAndDamaged => None,
                    Says::Another => Some(NO_LIFE),
                };
                let mut ids = BTreeSet::new();
                let added: Vec<&Pushed> = added.iter().filter(|(id, _)| ids.insert(*id)).collect();
                let (mut named, mut sent) = (BTreeSet::new(), BTreeMap::new());
                // The first naming of each chunk decides whether it is sent.
                for (chunk, byte) in added.iter().flat_map(|(_, chunks)| chunks) {
                    if named.insert(*chunk)
                        && let Some(byte) = byte
                    {
                        sent.insert(*chunk, *byte);
                    }
                }
                let added =
                    added.iter().map(|(id, chunks)| (*id, chunks.iter().map(|(chunk, _)| *chunk).collect())).collect();
                let mut base = seen.chain.clone();
                if let (Says::NothingAndDamaged, Some((_, chunks))) = (says, base.last_mut()) {
                    chunks.push(0);
                }
                let push = Push { generation, base, added, sent };
                self.pushed[*client] = Some((*log, push.clone()));
                self.plan_push(*log, push)
            }
            Op::Repeat { client } => match self.pushed[*client].clone() {
                Some((log, push)) => self.plan_push(log, push),
                None => Plan::Nothing,
            },
            Op::Pull { .. } => Plan::Nothing,
            Op::PutChunk(log, id, byte) => Plan::PutChunk(*log, *id, *byte),
            Op::PutTransaction(log, id, parent, chunks) => {
                Plan::PutTransaction(*log, *id, self.find(*log, *parent), chunks.clone())
            }
            Op::PutHead(log, id) => Plan::PutHead(*log, self.find(*log, *id)),
            Op::Delete(log) => Plan::Delete(*log),
            Op::PutSnapshot(log, id, blob) => Plan::PutSnapshot(*log, self.find(*log, *id), *blob),
        }
    }

    fn find(&self, log: usize, which: Which) -> Trn {
        let log = &self.logs[log];
        match which {
            Which::Head => log.head(),
            Which::Pending(n) => log.pending.keys().copied().nth(n % log.pending.len().max(1)).unwrap_or(1),
            Which::Committed(n) => log.chain.get(n % log.chain.len().max(1)).map_or(1, |(id, _)| *id),
            Which::Any(id) => id,
        }
    }

    fn plan_push(&self, log: usize, push: Push) -> Plan {
        let unknown = |number| Generation { id: uuid::Uuid::nil(), number };
        let known = |number| self.lives.get(&(log, number)).copied().unwrap_or_else(|| unknown(number));
        let generation = push.generation.map(known);
        Plan::Push(log, push, generation)
    }

    /// What a client knows after the answer.
    fn learn(&mut self, op: &Op, plan: &Plan, said: &'static str) {
        let now = |log: &Log| Seen { life: log.life(), chain: log.chain.clone() };
        match (op, plan) {
            (Op::Push { client, log, learns, .. }, Plan::Push(_, push, _)) => {
                let seen = &mut self.seen[*client][*log];
                match said {
                    "done" | "repeated" => {
                        let chain = [push.base.clone(), push.added.clone()].concat();
                        *seen = Seen { life: self.logs[*log].life(), chain };
                    }
                    _ if *learns => *seen = now(&self.logs[*log]),
                    _ => {}
                }
            }
            (Op::Pull { client, log, from: None }, _) => self.seen[*client][*log] = now(&self.logs[*log]),
            _ => {}
        }
    }

    /// Everything that can be read is what the model says.
    fn check(&mut self, counts: &mut BTreeMap<&'static str, BTreeMap<&'static str, u64>>) {
        for n in 0..LOGS {
            let model = self.logs[n].clone();
            if let Some(life) = model.life() {
                let known = self.services[0].0.info(log_id(n as u64)).unwrap().generation.unwrap();
                self.lives.entry((n, life)).or_insert(known);
            }
            let state = self.state(n);
            let ids: Vec<TrnId> = model.chain.iter().map(|(id, _)| trn_id(*id)).collect();
            let log = log_id(n as u64);
            for (service, _) in &self.services {
                assert_eq!(service.info(log), Ok(state));
                assert_eq!(service.v0_list(log, TrnId::ROOT, 1000), Ok(ListOutcome::Listed(ids.clone())));
                for id in 1..9 {
                    let at = ids.iter().position(|here| *here == trn_id(id));
                    let found = service.v0_transaction(log, trn_id(id)).unwrap();
                    assert_eq!(found.map(|trn| trn.seq), at.map(|at| Seq(at as u64 + 1)));
                    let tail = at.map(|at| ids[at + 1..].to_vec());
                    let listed = tail.map_or(ListOutcome::UnknownFrom, ListOutcome::Listed);
                    assert_eq!(service.v0_list(log, trn_id(id), 1000), Ok(listed));
                }
                for id in 0..4 {
                    let bytes = service.v0_chunk(log, &chunk_id(id)).unwrap();
                    assert_eq!(bytes.map(|bytes| bytes[0]), model.chunks.get(&id).copied());
                }
            }
            self.check_keeping(n);
            self.pull(n, &[], counts);
        }
    }

    /// What a log weighs, and its snapshots.
    fn check_keeping(&self, n: usize) {
        let (model, log) = (&self.logs[n], log_id(n as u64));
        for (service, _) in &self.services {
            let usage = service.usage(log).unwrap();
            assert_eq!(usage.map(|usage| usage.bytes), model.alive.then(|| model.bytes()));
            let told = service.snapshots(log).unwrap();
            assert_eq!(told.state, self.state(n));
            let told: Vec<_> = told.snapshots.iter().map(|kept| (kept.seq.0, kept.id, kept.digest)).collect();
            let kept = model.snapshots.iter().rev();
            let kept =
                kept.map(|(at, blob)| (*at as u64, trn_id(model.chain[at - 1].0), BlobDigest::of(&bytes(*blob))));
            assert_eq!(told, kept.collect::<Vec<_>>());
            for (at, blob) in &model.snapshots {
                let (_, found) = service.snapshot(log, trn_id(model.chain[at - 1].0)).unwrap();
                assert_eq!(service.piece(found.unwrap().0, 0).unwrap().unwrap(), bytes(*blob));
            }
        }
    }

    fn state(&self, log: usize) -> LogState {
        let model = &self.logs[log];
        let generation = model.life().map(|life| self.lives[&(log, life)]);
        let seq = Seq(model.chain.len() as u64);
        LogState { generation, head: trn_id(model.head()), seq, chain: digest(&model.chain) }
    }

    /// Pulls, and demands exactly the frames that the model makes.
    fn pull(&self, log: usize, from: &[Trn], counts: &mut BTreeMap<&'static str, BTreeMap<&'static str, u64>>) {
        let model = &self.logs[log];
        let root = model.root(from);
        let (below, above) = model.chain.split_at(root);
        let from_trn = trn_id(below.last().map_or(0, |(id, _)| *id));
        let (from_seq, from_chain) = (Seq(root as u64), digest(below));
        let mut frames = vec![Frame::Start(Start { state: self.state(log), from: from_trn, from_seq, from_chain })];
        let mut parent = from_trn;
        let mut named = BTreeSet::new();
        for (seq, (id, chunks)) in (root as u64 + 1..).map(Seq).zip(above) {
            let id = trn_id(*id);
            frames.push(Frame::Transaction(Transaction { id, seq, parent, chunks: chunk_ids(chunks) }));
            for chunk in chunks.iter().filter(|chunk| named.insert(**chunk)) {
                let bytes = vec![model.chunks[chunk]].into();
                frames.push(Frame::Chunk(ChunkFrame { id: chunk_id(*chunk), bytes }));
            }
            parent = id;
        }
        frames.push(Frame::End(End { count: above.len() as u64, chain: digest(&model.chain) }));
        let from: Vec<TrnId> = from.iter().map(|id| trn_id(*id)).collect();
        for (service, _) in &self.services {
            assert_eq!(service.pull(log_id(log as u64), &from).unwrap().frames().unwrap(), frames);
        }
        let kind = match (below.is_empty(), above.is_empty()) {
            (true, _) => "all",
            (false, false) => "a part",
            (false, true) => "nothing",
        };
        *counts.entry("pull").or_default().entry(kind).or_default() += 1;
    }
}

/// An operation with all that it needs.
#[derive(Debug)]
enum Plan {
    Push(usize, Push, Option<Generation>),
    PutChunk(usize, Chunk, u8),
    PutTransaction(usize, Trn, Trn, Vec<Chunk>),
    PutHead(usize, Trn),
    Delete(usize),
    PutSnapshot(usize, Trn, Blob),
    Nothing,
}

fn bytes((byte, len): Blob) -> Vec<u8> {
    vec![byte; usize::try_from(len).unwrap()]
}

/// What the services say where the model knows more.
fn plain(said: &'static str) -> &'static str {
    match said {
        "again" | "repeated" | "nothing" | "late" => "done",
        other => other,
    }
}

impl Plan {
    fn name(&self) -> &'static str {
        match self {
            Self::Push(..) => "push",
            Self::PutChunk(..) => "chunk",
            Self::PutTransaction(..) => "transaction",
            Self::PutHead(..) => "head",
            Self::Delete(_) => "delete",
            Self::PutSnapshot(..) => "snapshot",
            Self::Nothing => "none",
        }
    }

    fn model(&self, logs: &mut [Log]) -> &'static str {
        match self {
            Self::Push(log, push, _) => logs[*log].push(push),
            Self::PutChunk(log, id, byte) => logs[*log].put_chunk(*id, *byte),
            Self::PutTransaction(log, id, parent, chunks) => logs[*log].put_transaction(*id, *parent, chunks),
            Self::PutHead(log, id) => logs[*log].put_head(*id),
            Self::Delete(log) => logs[*log].delete(),
            Self::PutSnapshot(log, id, blob) => logs[*log].put_snapshot(*id, *blob),
            Self::Nothing => "done",
        }
    }

    fn ask(&self, service: &Service) -> Asked {
        let id = |log: &usize| log_id(*log as u64);
        match self {
            Self::Push(log, push, generation) => {
                let answer = service.push(id(log), Upload::from_frames(frames(push, *generation)).unwrap());
                Box::new(move || push_said(&answer.wait().unwrap()))
            }
            Self::PutChunk(log, chunk, byte) => {
                let answer = service.v0_put_chunk(id(log), chunk_id(*chunk), vec![*byte].into());
                Box::new(move || put_said(&answer.wait().unwrap()))
            }
            Self::PutTransaction(log, trn, parent, chunks) => {
                let new = NewTransaction { parent: trn_id(*parent), chunks: chunk_ids(chunks) };
                let answer = service.v0_put_transaction(id(log), trn_id(*trn), new);
                Box::new(move || put_said(&answer.wait().unwrap()))
            }
            Self::PutHead(log, trn) => {
                let answer = service.v0_put_head(id(log), trn_id(*trn));
                Box::new(move || head_said(&answer.wait().unwrap()))
            }
            Self::Delete(log) => {
                let answer = service.delete(id(log));
                Box::new(move || {
                    answer.wait().unwrap();
                    "done"
                })
            }
            Self::PutSnapshot(log, trn, blob) => {
                let (service, id, trn, bytes) = (service.clone(), id(log), trn_id(*trn), bytes(*blob));
                Box::new(move || {
                    let mut upload = SnapshotUpload::new(None).unwrap();
                    upload.take(&bytes).unwrap();
                    match service.keep_snapshot(id, trn, upload).unwrap() {
                        SnapshotOutcome::Done(_) => "done",
                        SnapshotOutcome::UnknownTransaction(_) => "unknown transaction",
                        SnapshotOutcome::Quota(..) => "quota",
                    }
                })
            }
            Self::Nothing => Box::new(|| "done"),
        }
    }
}

fn frames(push: &Push, generation: Option<Generation>) -> Vec<Frame> {
    let head = trn_id(push.base.last().map_or(0, |(id, _)| *id));
    let state = LogState { generation, head, seq: Seq(push.base.len() as u64), chain: digest(&push.base) };
    let mut pushing = Pushing::onto(&state);
    let mut named = BTreeSet::new();
    for (id, chunks) in &push.added {
        let fresh = chunks.iter().filter(|chunk| named.insert(**chunk));
        let sent = fresh.filter_map(|chunk| Some((chunk_id(*chunk), vec![*push.sent.get(chunk)?]))).collect();
        pushing = pushing.transaction(trn_id(*id), chunk_ids(chunks), sent);
    }
    pushing.all()
}

fn push_said(outcome: &PushOutcome) -> &'static str {
    match outcome {
        PushOutcome::Done(..) => "done",
        PushOutcome::Conflict(_) => "conflict",
        PushOutcome::Generation(_) => "generation",
        PushOutcome::MissingChunks(_) => "missing chunks",
        PushOutcome::IdTaken(_) => "id taken",
        PushOutcome::ChainMismatch(_) => "chain mismatch",
        PushOutcome::Quota(..) => "quota",
    }
}

fn put_said(outcome: &PutOutcome) -> &'static str {
    match outcome {
        PutOutcome::Done => "done",
        PutOutcome::Conflict(_) => "conflict",
        PutOutcome::UnknownChunk(_) => "unknown chunk",
        PutOutcome::Quota(_) => "quota",
        PutOutcome::WrongDigest => "wrong digest",
    }
}

fn head_said(outcome: &HeadOutcome) -> &'static str {
    match outcome {
        HeadOutcome::Done => "done",
        HeadOutcome::Conflict(_) => "conflict",
    }
}

#[test]
fn the_service_does_what_the_model_says() {
    let cases = if long() { 5000 } else { 300 };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) },
        rng,
    );
    let counts = std::cell::RefCell::new(BTreeMap::new());
    let ran = runner.run(&story(), |(limited, steps)| {
        let mut bench = Bench::new(limited);
        for ops in steps {
            for op in &ops {
                if let Op::Pull { client, log, from } = op {
                    let seen = bench.seen[*client][*log].chain.iter().rev().map(|(id, _)| *id).collect();
                    bench.pull(*log, from.as_ref().unwrap_or(&seen), &mut counts.borrow_mut());
                }
            }
            bench.step(&ops, &mut counts.borrow_mut());
        }
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    // Whatever can happen did.
    let counts = counts.into_inner();
    println!("{counts:#?}");
    for (what, outcomes) in [
        (
            "push",
            &[
                "done",
                "repeated",
                "nothing",
                "conflict",
                "generation",
                "missing chunks",
                "id taken",
                "chain mismatch",
                "quota",
            ] as &[_],
        ),
        ("chunk", &["done", "again", "conflict", "quota"]),
        ("transaction", &["done", "again", "conflict", "unknown chunk", "quota"]),
        ("snapshot", &["done", "again", "late", "unknown transaction", "quota"]),
        ("head", &["done", "again", "conflict"]),
        ("delete", &["done", "nothing"]),
        ("pull", &["all", "a part", "nothing"]),
    ] {
        for outcome in outcomes {
            assert!(counts[what].get(outcome).is_some_and(|n| *n > 2), "{what}: {outcome} never happened");
        }
    }
}
