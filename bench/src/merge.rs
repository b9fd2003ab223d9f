//! Merging: what it costs is linear in what both sides have.

use std::time::Duration;

use tempfile::TempDir;
use tolstoy_env::Env;
use tolstoy_store::{Entid, Error, Position, Store, Timeline, Transaction};
use uuid::Uuid;

use crate::round::{Comparison, Table, time};

const LOCAL: usize = 1_000;
const INCOMING: usize = 10_000;

const SCHEMA: &str = "[
  {:db/ident :name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}]";

/// A store in a file, what comes in, and how much both sides have.
struct Fork {
    _dir: TempDir,
    store: Store,
    incoming: Vec<Transaction>,
    root: Entid,
}

impl Fork {
    /// Both sides make people, a tenth of them under names that the other makes too, befriend and edit them, and edit whom both know.
    fn new(local: usize, incoming: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut store = Store::open_or_create(&path("one.db"), Env::system()).unwrap();
        store.transact_str(SCHEMA).unwrap();
        let known: String = (0..100).map(|n| format!("{{:name \"known {n}\" :age 0}}")).collect();
        let root = store.transact_str(&format!("[{known}]")).unwrap().tx;
        store.transact_str("[]").unwrap();
        let mut other = Store::open_or_create(&path("two.db"), Env::system()).unwrap();
        rebase(&mut other, Entid::TX0, store.transactions(Timeline::MAIN, Entid::TX0, 2).unwrap());
        write(&mut store, "local", local - 1);
        write(&mut other, "incoming", incoming);
        let incoming = other.transactions(Timeline::MAIN, root, usize::MAX).unwrap();
        Self { _dir: dir, store, incoming, root }
    }

    fn merge(mut self) -> Duration {
        let (root, incoming) = (self.root, std::mem::take(&mut self.incoming));
        time(|| rebase(&mut self.store, root, incoming))
    }
}

fn write(store: &mut Store, whose: &str, count: usize) {
    for n in 0..count {
        let name = if n % 10 == 0 { format!("both {n}") } else { format!("{whose} {n}") };
        let known = n % 100;
        let text = format!(
            "[{{:name \"{name}\" :age {n} :friend [:name \"known {known}\"]}} [:db/add [:name \"known {known}\"] :age {n}]]"
        );
        store.transact_str(&text).unwrap();
    }
}

fn rebase(store: &mut Store, root: Entid, incoming: Vec<Transaction>) {
    let position = Position { id: Uuid::nil(), digest: [0; 32] };
    let incoming = incoming.into_iter().map(|t| Ok::<_, Error>((t, position)));
    let rebased = store.pass(|pass| pass.rebase(root, &[], incoming)).unwrap();
    assert_eq!(rebased.displaced, []);
}

pub(crate) fn rebase_is_linear(table: &mut Table) {
    if !table.wants("rebase") {
        return;
    }
    table.compare(Comparison {
        name: "rebase, 1,000 onto 10,000",
        unit: "transactions/s",
        units: (LOCAL + INCOMING) as f64,
        goal: 0.7,
        against: "two merges of half as much on each side",
        rounds: 5,
        ours: Box::new(|| Fork::new(LOCAL, INCOMING).merge()),
        floor: Box::new(|| (0..2).map(|_| Fork::new(LOCAL / 2, INCOMING / 2).merge()).sum()),
    });
}
