//! Syncing a store: what it costs must not grow with the log.

use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tolstoy_env::Env;
use tolstoy_store::Store;
use tolstoy_sync::{HttpTransport, Options, Outcome, Remote, SyncReport, sync};

use crate::hub::{log, start_hub};
use crate::people;
use crate::round::{Comparison, Table, time};

const SHORT: usize = 1_000;
const LONG: usize = 100_000;
/// Syncs of a round.
const SYNCS: usize = 50;

struct Pair {
    runtime: Runtime,
    _dir: TempDir,
    remote: Remote,
    store: Store,
    other: Store,
}

impl Pair {
    /// A hub and two stores that have the same log of so many transactions.
    fn with(transactions: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let address = start_hub(&runtime, &dir);
        let remote = Remote { url: format!("http://{address}"), log: log(0) };
        let mut store = Store::in_memory(Env::system()).unwrap();
        store.transact_str(people::SCHEMA).unwrap();
        for person in people::people().cycle_to(transactions - 1) {
            let mut text = String::from("[");
            people::edn(&person, &mut text);
            text.push(']');
            store.transact_str(&text).unwrap();
        }
        let other = Store::in_memory(Env::system()).unwrap();
        let mut pair = Self { runtime, _dir: dir, remote, store, other };
        pair.sync(false);
        pair.sync(true);
        pair
    }

    fn sync(&mut self, other: bool) -> SyncReport {
        let Self { runtime, remote, store, other: second, .. } = self;
        let store = if other { second } else { store };
        let options = Options::new(Env::system(), std::sync::Arc::new(|pause| Box::pin(tokio::time::sleep(pause))));
        runtime.block_on(async {
            let mut transport = HttpTransport::new(remote.clone()).unwrap();
            sync(store, &mut transport, &options).await.unwrap()
        })
    }

    fn no_ops(&mut self) -> Duration {
        time(|| (0..SYNCS).for_each(|_| assert_eq!(self.sync(false).passes[0].outcome, Outcome::NoChanges)))
    }

    fn fast_forwards(&mut self) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..SYNCS {
            self.store.transact_str(r#"[{:person/name "Ivan" :person/age 30}]"#).unwrap();
            total += time(|| {
                assert_eq!(self.sync(false).passes[0].outcome, Outcome::RemoteFastForward);
                assert_eq!(self.sync(true).passes[0].outcome, Outcome::LocalFastForward);
            });
        }
        total
    }
}

pub(crate) trait CycleTo: Iterator + Sized {
    /// As many items as asked for, beginning again where they run out.
    fn cycle_to(self, count: usize) -> impl Iterator<Item = Self::Item>;
}

impl<I: Iterator<Item = people::Person>> CycleTo for I {
    fn cycle_to(self, count: usize) -> impl Iterator<Item = people::Person> {
        let rounds = count.div_ceil(people::COUNT);
        (1..rounds).flat_map(|_| people::people()).chain(self).take(count)
    }
}

fn compare(table: &mut Table, name: &'static str, mut work: impl FnMut(&mut Pair) -> Duration) {
    if !table.wants(name) {
        return;
    }
    let (mut long, mut short) = (Pair::with(LONG), Pair::with(SHORT));
    let work = std::cell::RefCell::new(&mut work);
    table.compare(Comparison {
        name,
        unit: "syncs/s",
        units: SYNCS as f64,
        goal: 1.0,
        against: "the same with 1,000 transactions in the log; here 100,000",
        rounds: 5,
        ours: Box::new(|| work.borrow_mut()(&mut long)),
        floor: Box::new(|| work.borrow_mut()(&mut short)),
    });
}

pub(crate) fn no_op(table: &mut Table) {
    compare(table, "sync no-op", Pair::no_ops);
}

pub(crate) fn fast_forward(table: &mut Table) {
    compare(table, "sync fast-forward, both ways", Pair::fast_forwards);
}
