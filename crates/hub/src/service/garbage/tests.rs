use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use tolstoy_env::{Clock, Counting, Env};
use tolstoy_proto::Seq;
use tolstoy_proto::v0::NewTransaction;

use super::*;
use crate::service::{HeadOutcome, Policy, PutOutcome};
use crate::storage::{LogRow, MemoryStorage, SqliteOptions, SqliteStorage, Storage};

/// A clock that tests set, in microseconds.
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> tolstoy_edn::Instant {
        tolstoy_edn::Instant::from_micros(self.0.load(Ordering::Relaxed))
    }
}

const PERIOD: i64 = 1_000_000_000;

struct Hub {
    service: Service,
    clock: Arc<Set>,
    figures: Arc<Mutex<GcFigures>>,
    _directory: Option<TempDir>,
}

impl Hub {
    fn over(storage: Arc<dyn Storage>, directory: Option<TempDir>) -> Self {
        let clock = Arc::new(Set(AtomicI64::new(1)));
        let env = Env::new(clock.clone(), Arc::new(Counting::from(1)));
        let policy = Policy { garbage_after: Duration::from_micros(PERIOD as u64), ..Policy::default() };
        Self {
            service: Service::new(storage, env).with_policy(policy),
            clock,
            figures: Arc::default(),
            _directory: directory,
        }
    }

    fn both() -> [Self; 2] {
        let directory = TempDir::new().unwrap();
        let sqlite = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
        [Self::over(Arc::new(MemoryStorage::new()), None), Self::over(Arc::new(sqlite), Some(directory))]
    }

    fn pass(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::Relaxed);
    }

    /// Goes through all logs; gives what was collected.
    fn collect(&self) -> GcFigures {
        let before = *self.figures.lock().unwrap();
        let mut collector = Collector::new(self.service.clone(), self.figures.clone());
        let mut steps = 0;
        while collector.step().unwrap() == GcStep::More {
            steps += 1;
            assert!(steps < 100_000, "collecting does not end");
        }
        let after = *self.figures.lock().unwrap();
        GcFigures {
            transactions: after.transactions - before.transactions,
            chunks: after.chunks - before.chunks,
            bytes: after.bytes - before.bytes,
            swept_rows: after.swept_rows - before.swept_rows,
            ..GcFigures::default()
        }
    }

    fn put_chunk(&self, n: u8) -> PutOutcome {
        let (id, bytes) = chunk(n);
        self.service.v0_put_chunk(LOG, id, bytes).wait().unwrap()
    }

    fn put(&self, n: u8, parent: TrnId, chunks: &[u8]) -> PutOutcome {
        let new = NewTransaction { parent, chunks: chunks.iter().map(|n| chunk(*n).0).collect() };
        self.service.v0_put_transaction(LOG, trn(n), new).wait().unwrap()
    }

    fn head(&self, n: u8) -> bool {
        self.service.v0_put_head(LOG, trn(n)).wait().unwrap() == HeadOutcome::Done
    }

    /// What is uploaded and committed nowhere: pending transactions and chunks.
    fn uploads(&self) -> (BTreeSet<TrnId>, BTreeSet<ChunkId>) {
        self.service
            .read(|txn| {
                let LogRow::Living(life, _) = txn.log(LOG)? else { return Ok(Default::default()) };
                let pending = txn.pending_after(life, None, 1000)?.into_iter().map(|pending| pending.id).collect();
                let loose = txn.loose_after(life, None, 1000)?.into_iter().map(|loose| loose.id).collect();
                Ok((pending, loose))
            })
            .unwrap()
    }
}

const LOG: LogId = LogId::from_bytes([1; 16]);

fn trn(n: u8) -> TrnId {
    TrnId::from_bytes([n; 16])
}

fn chunk(n: u8) -> (ChunkId, Bytes) {
    let bytes = Bytes::from(vec![n; 50]);
    (ChunkId::of(&bytes), bytes)
}

#[test]
fn what_lost_is_collected_after_the_period_and_what_may_still_win_is_not() {
    for hub in Hub::both() {
        for n in 1..=6 {
            assert_eq!(hub.put_chunk(n), PutOutcome::Done);
        }
        // Two branches from the root; the first wins.
        assert_eq!(hub.put(11, TrnId::ROOT, &[1]), PutOutcome::Done);
        assert_eq!(hub.put(21, TrnId::ROOT, &[2, 3]), PutOutcome::Done);
        assert_eq!(hub.put(22, trn(21), &[3, 4]), PutOutcome::Done);
        assert_eq!(hub.put(23, trn(22), &[1]), PutOutcome::Done);
        assert!(hub.head(11));
        // One that may still win.
        assert_eq!(hub.put(12, trn(11), &[3, 5]), PutOutcome::Done);
        assert_eq!(hub.put(13, trn(12), &[]), PutOutcome::Done);
        let before = hub.service.usage(LOG).unwrap().unwrap().bytes;
        hub.pass(PERIOD - 1);
        assert_eq!(hub.service.survey().unwrap(), Survey::default());
        assert_eq!(hub.collect(), GcFigures::default());
        hub.pass(1);
        let survey = hub.service.survey().unwrap();
        let collected = hub.collect();
        // Chunks 2, 4 and 6: 3 is named by what may win, 1 is committed, 5 is pending.
        assert_eq!((collected.transactions, collected.chunks), (3, 3));
        let garbage = Garbage { transactions: 3, chunks: 3, bytes: collected.bytes };
        assert_eq!(survey.logs, [(LOG, garbage)]);
        assert_eq!(hub.service.usage(LOG).unwrap().unwrap().bytes, before - collected.bytes);
        let (pending, loose) = hub.uploads();
        assert_eq!(pending, BTreeSet::from([trn(12), trn(13)]));
        assert_eq!(loose, BTreeSet::from([chunk(3).0, chunk(5).0]));
        assert_eq!(hub.collect(), GcFigures::default());
        assert!(hub.head(13));
        assert_eq!(hub.service.info(LOG).unwrap().seq, Seq(3));
    }
}

#[test]
fn an_upload_of_anything_gives_the_whole_log_another_period() {
    for hub in Hub::both() {
        assert_eq!(hub.put_chunk(1), PutOutcome::Done);
        for again in 0..3 {
            hub.pass(PERIOD - 1);
            // The same again is an upload too: what is to name the chunk comes next.
            assert_eq!(if again == 1 { hub.put_chunk(2) } else { hub.put_chunk(1) }, PutOutcome::Done);
            hub.pass(PERIOD - 1);
            assert_eq!(hub.collect(), GcFigures::default());
        }
        hub.pass(1);
        assert_eq!(hub.collect().chunks, 2);
        // A clock that is set back collects nothing.
        assert_eq!(hub.put_chunk(1), PutOutcome::Done);
        hub.pass(-3 * PERIOD);
        assert_eq!(hub.collect(), GcFigures::default());
    }
}

#[test]
fn a_deleted_log_is_swept_and_its_next_life_is_whole() {
    for hub in Hub::both() {
        for n in 1..=40 {
            assert_eq!(hub.put_chunk(n), PutOutcome::Done);
            assert_eq!(hub.put(n, if n == 1 { TrnId::ROOT } else { trn(n - 1) }, &[n]), PutOutcome::Done);
            assert!(hub.head(n));
        }
        hub.service.delete(LOG).wait().unwrap();
        assert_eq!(hub.put_chunk(1), PutOutcome::Done);
        assert_eq!(hub.put(1, TrnId::ROOT, &[1]), PutOutcome::Done);
        assert!(hub.head(1));
        let survey = hub.service.survey().unwrap();
        assert_eq!(survey.logs, []);
        let swept = hub.collect().swept_rows;
        // Storage in memory has no rows to sweep.
        assert_eq!(swept > 0, survey.swept.rows > 0);
        assert_eq!(hub.service.survey().unwrap(), Survey::default());
        assert_eq!(hub.service.info(LOG).unwrap().seq, Seq(1));
        hub.service.delete(LOG).wait().unwrap();
        hub.collect();
        assert_eq!(hub.put_chunk(9), PutOutcome::Done);
        assert_eq!(hub.service.info(LOG).unwrap().generation.unwrap().number, 3, "tombstones are no garbage");
    }
}

#[test]
fn a_step_takes_few_of_the_chunks_that_a_dead_transaction_names() {
    const MANY: u64 = 2_000;
    let [_, hub] = Hub::both();
    let many = |n: u64| {
        let bytes = Bytes::copy_from_slice(&n.to_be_bytes());
        (ChunkId::of(&bytes), bytes)
    };
    assert_eq!(hub.put_chunk(1), PutOutcome::Done);
    hub.service
        .write(move |txn| {
            let LogRow::Living(life, _) = txn.log(LOG)? else { panic!("the log is there") };
            (0..MANY).try_for_each(|n| txn.put_chunk(life, &many(n).0, &many(n).1))
        })
        .wait()
        .unwrap();
    let put = |id, parent, chunks: Vec<ChunkId>| {
        let new = NewTransaction { parent, chunks };
        assert_eq!(hub.service.v0_put_transaction(LOG, trn(id), new).wait(), Ok(PutOutcome::Done));
    };
    put(11, TrnId::ROOT, vec![]);
    put(21, TrnId::ROOT, (0..MANY).map(|n| many(n).0).collect());
    put(22, trn(21), vec![many(1).0]);
    assert!(hub.head(11));
    // One that may still win names one of them.
    put(12, trn(11), vec![many(0).0]);
    let named = || {
        let sum = |txn: &dyn ReadTxn| {
            let LogRow::Living(life, _) = txn.log(LOG)? else { panic!("the log is there") };
            Ok(txn.loose_after(life, None, 10_000)?.iter().map(|loose| loose.named).sum::<u64>())
        };
        hub.service.read(sum).unwrap()
    };
    assert_eq!(named(), MANY + 2);
    let before = hub.service.usage(LOG).unwrap().unwrap().bytes;
    hub.pass(PERIOD);
    let survey = hub.service.survey().unwrap();
    let (mut steps, mut left) = (0, named());
    let mut collector = Collector::new(hub.service.clone(), hub.figures.clone());
    while collector.step().unwrap() == GcStep::More {
        let now = named();
        assert!(left - now <= STEP_CHUNKS as u64 + 1, "a step took {} names back", left - now);
        steps += 1;
        left = now;
        // What a step got to is kept: the hub may stop, and go on.
        if steps % 5 == 4 {
            collector = Collector::new(hub.service.clone(), hub.figures.clone());
            let part = hub.service.survey().unwrap();
            assert!(part.logs.is_empty() || part.logs[0].1.bytes <= survey.logs[0].1.bytes);
        }
        assert!(steps < 10_000, "collecting does not end");
    }
    let collected = *hub.figures.lock().unwrap();
    assert_eq!((collected.transactions, collected.chunks), (2, MANY));
    assert_eq!(survey.logs, [(LOG, Garbage { transactions: 2, chunks: MANY, bytes: collected.bytes })]);
    assert_eq!(hub.service.usage(LOG).unwrap().unwrap().bytes, before - collected.bytes);
    assert_eq!(hub.uploads(), (BTreeSet::from([trn(12)]), BTreeSet::from([many(0).0])));
    assert!(hub.head(12));
}

/// What the rule says, from all that was ever put.
fn living(
    put: &BTreeMap<u8, (u8, Vec<u8>)>,
    head: u8,
    committed: &BTreeSet<u8>,
) -> (BTreeSet<TrnId>, BTreeSet<ChunkId>) {
    let leads_to_head = |n: u8| {
        let mut at = n;
        while at != head {
            match put.get(&at) {
                Some((parent, _)) if !committed.contains(&at) => at = *parent,
                _ => return false,
            }
        }
        true
    };
    let pending: Vec<u8> = put.keys().copied().filter(|n| !committed.contains(n) && leads_to_head(*n)).collect();
    let taken: BTreeSet<u8> = committed.iter().flat_map(|n| put[n].1.clone()).collect();
    let named = pending.iter().flat_map(|n| put[n].1.clone()).filter(|n| !taken.contains(n));
    (pending.iter().map(|n| trn(*n)).collect(), named.map(|n| chunk(n).0).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_stays_is_what_the_rule_says(
        ops in proptest::collection::vec((0..10u8, 1..40u8, 0..40u8, proptest::collection::vec(0..12u8, 0..4)), 1..60)
    ) {
        for hub in Hub::both() {
            let mut put = BTreeMap::<u8, (u8, Vec<u8>)>::new();
            let (mut committed, mut head) = (BTreeSet::new(), 0);
            (0..12).for_each(|n| assert_eq!(hub.put_chunk(n), PutOutcome::Done));
            for (kind, id, parent, chunks) in &ops {
                // Mostly onto what is there, so that there are branches.
                let parent = if kind % 2 == 0 { head } else { put.keys().copied().nth(usize::from(*parent) % put.len().max(1)).unwrap_or(0) };
                if *kind < 7 {
                    if hub.put(*id, TrnId::from_bytes([parent; 16]), chunks) == PutOutcome::Done {
                        put.entry(*id).or_insert((parent, chunks.clone()));
                    }
                } else if hub.head(*id) {
                    let mut at = *id;
                    while at != head {
                        committed.insert(at);
                        at = put[&at].0;
                    }
                    head = *id;
                }
            }
            let (before, bytes) = (hub.uploads(), hub.service.usage(LOG).unwrap().unwrap().bytes);
            hub.pass(PERIOD);
            let survey = hub.service.survey().unwrap();
            let collected = hub.collect();
            let after = hub.uploads();
            let (pending, named) = living(&put, head, &committed);
            prop_assert_eq!(&after.0, &pending);
            prop_assert_eq!(&after.1, &named);
            prop_assert_eq!(collected.transactions, (before.0.len() - after.0.len()) as u64);
            prop_assert_eq!(collected.chunks, (before.1.len() - after.1.len()) as u64);
            prop_assert_eq!(hub.service.usage(LOG).unwrap().unwrap().bytes, bytes - collected.bytes);
            let surveyed = survey.logs.first().map(|(_, garbage)| *garbage).unwrap_or_default();
            prop_assert_eq!((surveyed.transactions, surveyed.chunks, surveyed.bytes), (collected.transactions, collected.chunks, collected.bytes));
        }
    }
}
