//! Random operations against the service, over both storages, and against a model that shares no code with either.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use tolstoy_hub::SqliteOptions;
use tolstoy_hub::service::{HeadOutcome, ListOutcome, PushOutcome, PutOutcome, Service, Upload};
use tolstoy_hub::storage::{MemoryStorage, SqliteStorage};
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{ChainDigest, ChunkId, Frame, Generation, LogState, Seq, TrnId};

use crate::common::{Pushing, check_stream, env, log};

/// 0 is the root.
type Trn = u8;
type Chunk = u8;
/// A transaction that is pushed: its chunks, and their bytes where they are sent.
type Pushed = (Trn, Vec<(Chunk, Option<u8>)>);

#[derive(Debug, Clone)]
enum Op {
    PutChunk(Chunk, u8),
    PutTransaction(Trn, Trn, Vec<Chunk>),
    PutHead(Trn),
    /// Onto HEAD, or onto any; with the chunks of these contents sent, or left out.
    Push {
        onto_head: bool,
        onto: Trn,
        trns: Vec<Pushed>,
        stale_generation: bool,
    },
    RepeatPush,
    Delete,
}

fn op() -> impl Strategy<Value = Op> {
    let trn = 0..9u8;
    let chunk = 0..4u8;
    let pushed = (1..9u8, proptest::collection::vec((chunk.clone(), proptest::option::weighted(0.7, 0..2u8)), 0..3));
    prop_oneof![
        3 => (chunk.clone(), 0..2u8).prop_map(|(id, bytes)| Op::PutChunk(id, bytes)),
        6 => (trn.clone(), trn.clone(), proptest::collection::vec(chunk, 0..2))
            .prop_map(|(id, parent, chunks)| Op::PutTransaction(id, parent, chunks)),
        4 => trn.clone().prop_map(Op::PutHead),
        4 => (any::<bool>(), trn, proptest::collection::vec(pushed, 0..3), proptest::bool::weighted(0.1)).prop_map(
            |(onto_head, onto, trns, stale_generation)| Op::Push { onto_head, onto, trns, stale_generation }
        ),
        1 => Just(Op::RepeatPush),
        1 => Just(Op::Delete),
    ]
}

fn trn_id(n: Trn) -> TrnId {
    TrnId(uuid::Uuid::from_u128(n.into()))
}

/// Plain ids, so that the same id can come with other bytes.
fn chunk_id(n: Chunk) -> ChunkId {
    format!("chunk-{n}").parse().unwrap()
}

/// What a log is, said as simply as it can be.
#[derive(Debug, Clone, Default)]
struct Model {
    lives: u64,
    alive: bool,
    chain: Vec<(Trn, Vec<Chunk>)>,
    pending: BTreeMap<Trn, (Trn, Vec<Chunk>)>,
    chunks: BTreeMap<Chunk, u8>,
}

impl Model {
    fn head(&self) -> Trn {
        self.chain.last().map_or(0, |(id, _)| *id)
    }

    fn digest(chain: &[(Trn, Vec<Chunk>)]) -> ChainDigest {
        chain.iter().fold(ChainDigest::ZERO, |chain, (id, chunks)| {
            chain.extend(trn_id(*id), &chunks.iter().map(|n| chunk_id(*n)).collect::<Vec<_>>())
        })
    }

    fn written(&mut self) {
        if !self.alive {
            (self.alive, self.lives) = (true, self.lives + 1);
        }
    }

    /// From HEAD to this one, where it grows from HEAD.
    fn branch(&self, last: Trn) -> Option<Vec<(Trn, Vec<Chunk>)>> {
        let mut branch = Vec::new();
        let mut id = last;
        while id != self.head() {
            let (parent, chunks) = self.pending.get(&id)?;
            branch.insert(0, (id, chunks.clone()));
            id = *parent;
        }
        Some(branch)
    }

    fn put_chunk(&mut self, id: Chunk, bytes: u8) -> &'static str {
        if *self.chunks.get(&id).unwrap_or(&bytes) != bytes {
            return "conflict";
        }
        self.written();
        self.chunks.insert(id, bytes);
        "done"
    }

    fn put_transaction(&mut self, id: Trn, parent: Trn, chunks: &[Chunk]) -> &'static str {
        let at = self.chain.iter().position(|(known, _)| *known == id);
        let committed = at.map(|at| (if at == 0 { 0 } else { self.chain[at - 1].0 }, self.chain[at].1.clone()));
        if let Some(known) = committed.or_else(|| self.pending.get(&id).cloned()) {
            return if known == (parent, chunks.to_vec()) { "done" } else { "conflict" };
        }
        if id == 0 {
            return "conflict";
        }
        if chunks.iter().any(|chunk| !self.chunks.contains_key(chunk)) {
            return "unknown chunk";
        }
        if self.branch(parent).is_none() {
            return "conflict";
        }
        self.written();
        self.pending.insert(id, (parent, chunks.to_vec()));
        "done"
    }

    fn put_head(&mut self, id: Trn) -> &'static str {
        if id == self.head() {
            return "done";
        }
        let has_children = self.pending.values().any(|(parent, _)| *parent == id);
        match self.branch(id) {
            Some(branch) if !has_children => {
                self.pending.retain(|id, _| !branch.iter().any(|(committed, _)| committed == id));
                self.chain.extend(branch);
                "done"
            }
            _ => "conflict",
        }
    }

    fn push(&mut self, push: &ModelPush) -> &'static str {
        let ids: Vec<Trn> = push.trns.iter().map(|(id, _)| *id).collect();
        let named: Vec<(Trn, Vec<Chunk>)> =
            push.trns.iter().map(|(id, chunks)| (*id, chunks.iter().map(|(id, _)| *id).collect())).collect();
        if push.generation.is_some_and(|life| !self.alive || life != self.lives) {
            return "generation";
        }
        if push.onto != self.head() {
            let same = push.base.iter().cloned().chain(named).collect::<Vec<_>>();
            let repeated = ids.last() == Some(&self.head()) && same == self.chain;
            return if repeated { "done" } else { "conflict" };
        }
        let mut with = self.chunks.clone();
        let sent = push.sent();
        sent.iter().for_each(|(id, bytes)| {
            with.entry(*id).or_insert(*bytes);
        });
        if named.iter().flat_map(|(_, chunks)| chunks).any(|chunk| !with.contains_key(chunk)) {
            return "missing";
        }
        if sent.iter().any(|(id, bytes)| with[id] != *bytes) {
            return "taken";
        }
        let mut parent = push.onto;
        for (id, chunks) in &named {
            let pending = self.pending.get(id);
            if self.chain.iter().any(|(known, _)| known == id)
                || pending.is_some_and(|known| *known != (parent, chunks.clone()))
            {
                return "taken";
            }
            parent = *id;
        }
        if push.base != self.chain {
            return "chain mismatch";
        }
        if !named.is_empty() {
            self.written();
            self.chunks = with;
            self.pending.retain(|id, _| !ids.contains(id));
            self.chain.extend(named);
        }
        "done"
    }

    fn delete(&mut self) {
        *self = Self { lives: self.lives, ..Self::default() };
    }
}

/// A push, with the chain that the client believes is below it.
#[derive(Debug, Clone)]
struct ModelPush {
    generation: Option<u64>,
    onto: Trn,
    base: Vec<(Trn, Vec<Chunk>)>,
    trns: Vec<Pushed>,
}

impl ModelPush {
    /// The chunks that are sent: the first naming of each decides.
    fn sent(&self) -> BTreeMap<Chunk, u8> {
        let mut first = BTreeMap::new();
        for (id, bytes) in self.trns.iter().flat_map(|(_, chunks)| chunks) {
            first.entry(*id).or_insert(*bytes);
        }
        first.into_iter().filter_map(|(id, bytes)| Some((id, bytes?))).collect()
    }

    fn frames(&self, generation: Option<Generation>) -> Vec<Frame> {
        let state = LogState {
            generation,
            head: trn_id(self.onto),
            seq: Seq(self.base.len() as u64),
            chain: Model::digest(&self.base),
        };
        let mut push = Pushing::onto(&state);
        let mut seen = std::collections::BTreeSet::new();
        for (id, chunks) in &self.trns {
            let ids = chunks.iter().map(|(id, _)| chunk_id(*id)).collect();
            let fresh: Vec<_> = chunks.iter().filter(|(id, _)| seen.insert(*id)).collect();
            let sent = fresh.iter().filter_map(|(id, bytes)| Some((chunk_id(*id), vec![(*bytes)?]))).collect();
            push = push.transaction(trn_id(*id), ids, sent);
        }
        push.all()
    }
}

fn said(outcome: &PushOutcome) -> &'static str {
    match outcome {
        PushOutcome::Done(..) => "done",
        PushOutcome::Conflict => "conflict",
        PushOutcome::Generation(_) => "generation",
        PushOutcome::MissingChunks(_) => "missing",
        PushOutcome::IdTaken(_) => "taken",
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

/// The model, and the two services that must do as it does.
struct Bench {
    model: Model,
    services: Vec<Service>,
    last_push: Option<ModelPush>,
    _directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let sqlite = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
        let services = vec![Service::new(Arc::new(MemoryStorage::new()), env()), Service::new(Arc::new(sqlite), env())];
        Self { model: Model::default(), services, last_push: None, _directory: directory }
    }

    fn all(&self, expected: &str, ask: impl Fn(&Service) -> &'static str) {
        for service in &self.services {
            assert_eq!(ask(service), expected);
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::PutChunk(id, bytes) => {
                let expected = self.model.put_chunk(id, bytes);
                self.all(expected, |service| {
                    put_said(&service.v0_put_chunk(log(1), chunk_id(id), vec![bytes].into()).wait().unwrap())
                });
            }
            Op::PutTransaction(id, parent, chunks) => {
                let expected = self.model.put_transaction(id, parent, &chunks);
                let chunks = chunks.iter().map(|n| chunk_id(*n)).collect();
                let new = NewTransaction { parent: trn_id(parent), chunks };
                self.all(expected, |service| {
                    put_said(&service.v0_put_transaction(log(1), trn_id(id), new.clone()).wait().unwrap())
                });
            }
            Op::PutHead(id) => {
                let expected = self.model.put_head(id);
                self.all(expected, |service| head_said(&service.v0_put_head(log(1), trn_id(id)).wait().unwrap()));
            }
            Op::Push { onto_head, onto, mut trns, stale_generation } => {
                let mut seen = Vec::new();
                trns.retain(|(id, _)| {
                    !seen.contains(id) && {
                        seen.push(*id);
                        true
                    }
                });
                let onto = if onto_head { self.model.head() } else { onto };
                let generation = match (self.model.lives, stale_generation) {
                    (0, _) => None,
                    (lives, true) => Some(lives + 1),
                    (lives, false) => self.model.alive.then_some(lives),
                };
                let push = ModelPush { generation, onto, base: self.model.chain.clone(), trns };
                self.push(push);
            }
            Op::RepeatPush => {
                if let Some(push) = self.last_push.clone() {
                    self.push(push);
                }
            }
            Op::Delete => {
                self.model.delete();
                self.services.iter().for_each(|service| service.delete(log(1)).wait().unwrap());
            }
        }
    }

    fn push(&mut self, push: ModelPush) {
        // The services number generations as they begin: the number says the id.
        let generation = push.generation.map(|number| {
            let known = self.services[0].info(log(1)).unwrap().generation;
            known.filter(|known| known.number == number).unwrap_or(Generation { id: uuid::Uuid::nil(), number })
        });
        let expected = self.model.push(&push);
        self.all(expected, |service| {
            let upload = Upload::from_frames(push.frames(generation)).unwrap();
            said(&service.push(log(1), upload).wait().unwrap())
        });
        self.last_push = Some(push);
    }

    /// Everything that can be read is what the model says.
    fn check(&self) {
        let model = &self.model;
        let ids: Vec<TrnId> = model.chain.iter().map(|(id, _)| trn_id(*id)).collect();
        let mut streams = Vec::new();
        for service in &self.services {
            let state = service.info(log(1)).unwrap();
            assert_eq!(state.generation.map(|g| g.number), model.alive.then_some(model.lives));
            assert_eq!((state.head, state.seq), (trn_id(model.head()), Seq(ids.len() as u64)));
            assert_eq!(state.chain, Model::digest(&model.chain));
            assert_eq!(service.v0_list(log(1), TrnId::ROOT, 1000), Ok(ListOutcome::Listed(ids.clone())));
            for n in 1..9 {
                let at = ids.iter().position(|id| *id == trn_id(n));
                let found = service.v0_transaction(log(1), trn_id(n)).unwrap();
                assert_eq!(found.map(|trn| trn.seq), at.map(|at| Seq(at as u64 + 1)));
                let tail = at.map(|at| ids[at + 1..].to_vec());
                let listed = tail.map_or(ListOutcome::UnknownFrom, ListOutcome::Listed);
                assert_eq!(service.v0_list(log(1), trn_id(n), 1000), Ok(listed));
            }
            for n in 0..4 {
                let bytes = service.v0_chunk(log(1), &chunk_id(n)).unwrap();
                assert_eq!(bytes.map(|bytes| bytes[0]), model.chunks.get(&n).copied());
            }
            let stream = service.pull(log(1), &[]).unwrap().frames().unwrap();
            check_stream(&stream);
            streams.push(stream);
        }
        assert!(streams.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_service_does_what_the_model_says(ops in proptest::collection::vec(op(), 1..60)) {
        let mut bench = Bench::new();
        for op in ops {
            bench.apply(op);
            bench.check();
        }
    }
}
