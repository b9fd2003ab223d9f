//! Sixteen writers that race: whatever the interleaving, one chain, and every success in it.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tolstoy_hub::SqliteOptions;
use tolstoy_hub::service::{Answer, HeadOutcome, PushOutcome, PutOutcome, Service, Upload};
use tolstoy_hub::storage::{MemoryStorage, SqliteStorage, Storage};
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{Form, Frame, LogState, TrnId, paths};

use crate::common::{Held, Pushing, TestHub, check_stream, env, hold, log, long};

const WRITERS: usize = 16;

fn id(writer: usize, n: usize) -> TrnId {
    TrnId(uuid::Uuid::from_u64_pair(100 + writer as u64, n as u64))
}

fn push(state: &LogState, writer: usize, n: usize) -> Pushing {
    Pushing::onto(state).text(&format!("{writer} {n}")).text(&format!("{writer} {n} more"))
}

/// Demands one whole chain with every success in it, and nothing that no writer was told of at its end.
fn check(frames: &[Frame], won: &[TrnId]) {
    check_stream(frames);
    let transactions = frames.iter().filter_map(|frame| match frame {
        Frame::Transaction(trn) => Some(trn.id),
        _ => None,
    });
    let chain: Vec<TrnId> = transactions.collect();
    let ids: HashSet<TrnId> = chain.iter().copied().collect();
    assert_eq!(ids.len(), chain.len());
    assert!(won.iter().all(|id| ids.contains(id)), "a success is not in the chain");
    assert_eq!(chain.last().is_some_and(|head| won.contains(head)), !won.is_empty());
}

/// A writer, and what it waits for.
enum Writer {
    Idle,
    /// It has read the state.
    Read(LogState),
    Pushes(Answer<PushOutcome>, TrnId),
    Puts(Answer<PutOutcome>, TrnId),
    MovesHead(Answer<HeadOutcome>, TrnId),
}

/// Sixteen writers of one log, the even ones of `/1` and the odd ones of 0.1, who take a step when they are told to.
struct Race {
    service: Service,
    storage: Arc<dyn Storage>,
    writers: Vec<(Writer, usize)>,
    won: Vec<TrnId>,
    lost: usize,
    /// While it is there, the storage does nothing: what is asked for becomes one batch.
    held: Option<Held>,
}

impl Race {
    fn new(storage: Arc<dyn Storage>) -> Self {
        let writers = (0..WRITERS).map(|_| (Writer::Idle, 0)).collect();
        let service = Service::new(storage.clone(), env());
        Self { service, storage, writers, won: Vec::new(), lost: 0, held: None }
    }

    fn hold(&mut self) {
        if self.held.is_none() {
            self.held = Some(hold(self.storage.as_ref()));
        }
    }

    /// The writer goes on by one step: it reads, asks, or waits for its answer.
    fn step(&mut self, writer: usize) {
        let (state, n) = std::mem::replace(&mut self.writers[writer], (Writer::Idle, 0));
        if matches!(state, Writer::Pushes(..) | Writer::Puts(..) | Writer::MovesHead(..)) {
            self.held = None;
        }
        let next = match state {
            Writer::Idle => Writer::Read(self.service.info(log(1)).unwrap()),
            Writer::Read(state) if writer.is_multiple_of(2) => {
                let push = push(&state, writer, n);
                let answer = self.service.push(log(1), Upload::from_frames(push.all()).unwrap());
                Writer::Pushes(answer, push.last.0)
            }
            Writer::Read(state) => {
                let new = NewTransaction { parent: state.head, chunks: Vec::new() };
                Writer::Puts(self.service.v0_put_transaction(log(1), id(writer, n), new), id(writer, n))
            }
            Writer::Pushes(answer, id) => match answer.wait().unwrap() {
                PushOutcome::Done(..) => self.wins(id),
                // Between reading the state and pushing, the first writer may have begun the log.
                PushOutcome::Conflict(_) | PushOutcome::Generation(_) => self.loses(),
                other => panic!("{other:?}"),
            },
            Writer::Puts(answer, id) => match answer.wait().unwrap() {
                PutOutcome::Done => Writer::MovesHead(self.service.v0_put_head(log(1), id), id),
                PutOutcome::Conflict(_) => self.loses(),
                other => panic!("{other:?}"),
            },
            Writer::MovesHead(answer, id) => match answer.wait().unwrap() {
                HeadOutcome::Done => self.wins(id),
                HeadOutcome::Conflict(_) => self.loses(),
            },
        };
        let n = n + usize::from(matches!(next, Writer::Idle));
        self.writers[writer] = (next, n);
    }

    fn wins(&mut self, id: TrnId) -> Writer {
        self.won.push(id);
        Writer::Idle
    }

    fn loses(&mut self) -> Writer {
        self.lost += 1;
        Writer::Idle
    }

    /// Everybody hears their last answer, and all is counted.
    fn end(mut self) -> (usize, usize) {
        for writer in 0..WRITERS {
            while !matches!(self.writers[writer].0, Writer::Idle) {
                self.step(writer);
            }
        }
        check(&self.service.pull(log(1), &[]).unwrap().frames().unwrap(), &self.won);
        (self.won.len(), self.lost)
    }
}

/// Whose turn it is, again and again. Above the writers' numbers: the storage is held up.
fn schedule() -> impl Strategy<Value = Vec<usize>> {
    let anyone = 0..WRITERS + 2;
    // Some schedules let a few writers run ahead.
    let few = proptest::sample::subsequence((0..WRITERS + 2).collect::<Vec<_>>(), 2..5)
        .prop_flat_map(|few| proptest::collection::vec(proptest::sample::select(few), 20..200));
    let all = proptest::collection::vec(anyone, 50..500);
    (few, all).prop_map(|(few, all)| [few, all].concat())
}

#[test]
fn any_interleaving_of_racing_writers_makes_one_chain() {
    let cases = if long() { 1000 } else { 24 };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) },
        rng,
    );
    let counted = std::cell::Cell::new((0, 0));
    let ran = runner.run(&schedule(), |schedule| {
        let directory = tempfile::TempDir::new().unwrap();
        let sqlite = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
        for storage in [Arc::new(MemoryStorage::new()) as Arc<dyn Storage>, Arc::new(sqlite)] {
            let mut race = Race::new(storage);
            for turn in &schedule {
                if *turn < WRITERS { race.step(*turn) } else { race.hold() }
            }
            let ((won, lost), (more_won, more_lost)) = (counted.get(), race.end());
            counted.set((won + more_won, lost + more_lost));
        }
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    let (won, lost) = counted.get();
    assert!(won > 100 && lost > 100, "{won} won, {lost} lost");
}

#[test]
fn racing_writers_make_one_chain() {
    let directory = tempfile::TempDir::new().unwrap();
    let storage = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
    let service = Service::new(Arc::new(storage), env());
    let race = |writer: usize| {
        let mut won = Vec::new();
        for n in 0..20 {
            let state = service.info(log(1)).unwrap();
            if writer.is_multiple_of(2) {
                let push = push(&state, writer, n);
                if let PushOutcome::Done(..) =
                    service.push(log(1), Upload::from_frames(push.all()).unwrap()).wait().unwrap()
                {
                    won.push(push.last.0);
                }
                continue;
            }
            let new = NewTransaction { parent: state.head, chunks: Vec::new() };
            let put = service.v0_put_transaction(log(1), id(writer, n), new).wait().unwrap();
            if put == PutOutcome::Done
                && service.v0_put_head(log(1), id(writer, n)).wait().unwrap() == HeadOutcome::Done
            {
                won.push(id(writer, n));
            }
        }
        won
    };
    let won: Vec<TrnId> = thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || race(writer))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(!won.is_empty());
    check(&service.pull(log(1), &[]).unwrap().frames().unwrap(), &won);
}

#[tokio::test]
async fn racing_writers_make_one_chain_over_http() {
    let hub = Arc::new(TestHub::start().await);
    let mut racing = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let hub = hub.clone();
        racing.spawn(async move {
            let base = paths::v0_base(log(1));
            let (mut won, mut statuses) = (Vec::new(), HashSet::new());
            // The 0.1 way takes longer: those writers win when the others are done, at the latest.
            for n in 0..if writer.is_multiple_of(2) { 5 } else { 15 } {
                let state = hub.state(log(1)).await;
                if writer.is_multiple_of(2) {
                    let push = push(&state, writer, n);
                    let answer = hub.push_bytes(log(1), push.bytes(Form::MessagePack)).await;
                    won.extend((answer.status == 200).then_some(push.last.0));
                    statuses.insert(answer.status);
                    continue;
                }
                let id = id(writer, n);
                let body = serde_json::json!({"parent": state.head, "chunks": []}).to_string();
                let put = hub.put(&format!("{base}/transactions/{id}"), body).await;
                statuses.insert(put.status);
                if put.status == 201 {
                    let head = hub.put(&paths::v0_head(log(1)), serde_json::json!({"head": id}).to_string()).await;
                    won.extend((head.status == 204).then_some(id));
                    statuses.insert(head.status);
                }
            }
            (won, statuses)
        });
    }
    let ends = racing.join_all().await;
    let won: Vec<TrnId> = ends.iter().flat_map(|(won, _)| won.clone()).collect();
    let statuses: HashSet<u16> = ends.iter().flat_map(|(_, statuses)| statuses.clone()).collect();
    assert!(statuses.is_subset(&HashSet::from([200, 201, 204, 409, 412])), "{statuses:?}");
    assert!(statuses.is_superset(&HashSet::from([200, 204, 409])), "{statuses:?}");
    check(&hub.pull(log(1), &[]).await, &won);
}
