//! Many transactions at once: a device that gets a whole log, and one that gives it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tolstoy_env::Env;
use tolstoy_proto::{ChunkId, TrnId};
use tolstoy_store::{Entid, Store, Timeline};
use tolstoy_sync::{
    Answer, Begin, Blob, HttpTransport, Offered, Options, Remote, SyncReport, Transport, TransportError, sync,
};

use crate::hub::{log, push_to, start_hub};
use crate::load::Connection;
use crate::people;
use crate::round::{Comparison, Table, time};
use crate::store::by_hand_at;
use crate::sync::CycleTo;

/// One way through a slow link.
const LATENCY: Duration = Duration::from_millis(50);

/// A hub, and a store that made its log.
struct Source {
    runtime: Runtime,
    _dir: TempDir,
    address: SocketAddr,
    store: Store,
}

/// So many transactions: the schema, then people.
fn fill(store: &mut Store, transactions: usize) {
    store.transact_str(people::SCHEMA).unwrap();
    for person in people::people().cycle_to(transactions - 1) {
        let mut text = String::from("[");
        people::edn(&person, &mut text);
        text.push(']');
        store.transact_str(&text).unwrap();
    }
}

impl Source {
    /// A hub and a store that have a log of so many transactions, and no snapshot.
    fn pushed(transactions: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let address = start_hub(&runtime, &dir);
        let mut store = Store::in_memory(Env::system()).unwrap();
        fill(&mut store, transactions);
        let mut source = Self { runtime, _dir: dir, address, store };
        source.sync(&Options { makes_snapshots: false, ..options() });
        source
    }

    fn sync(&mut self, options: &Options) -> SyncReport {
        let transport = HttpTransport::new(self.remote(self.address)).unwrap();
        self.runtime.block_on(run(&mut self.store, transport, options))
    }

    fn remote(&self, address: SocketAddr) -> Remote {
        Remote { url: format!("http://{address}"), log: log(0) }
    }

    /// Gets the log into a new file. How long that took, and the report.
    fn get(&self, address: SocketAddr, options: &Options) -> (Duration, SyncReport) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open_or_create(&dir.path().join("clone.db"), Env::system()).unwrap();
        let options = Options { spool_dir: Some(dir.path().to_owned()), ..options.clone() };
        let mut report = SyncReport::default();
        let taken = time(|| {
            let transport = HttpTransport::new(self.remote(address)).unwrap();
            report = self.runtime.block_on(run(&mut store, transport, &options));
        });
        assert_eq!(store.basis(), self.store.basis());
        (taken, report)
    }
}

fn options() -> Options {
    Options::new(Env::system(), Arc::new(|pause| Box::pin(tokio::time::sleep(pause))))
}

async fn run<T: Transport>(store: &mut Store, mut transport: T, options: &Options) -> SyncReport {
    sync(store, &mut transport, options).await.unwrap()
}

/// Down: the apply path, against the same rows put by hand into the same tables.
pub(crate) fn down(table: &mut Table) {
    const COUNT: usize = 10_000;
    let name = "sync down, 10,000 transactions";
    if !table.wants(name) {
        return;
    }
    let source = Source::pushed(COUNT);
    let all = source.store.transactions(Timeline::MAIN, Entid::TX0, usize::MAX).unwrap();
    let datoms: usize = all.iter().map(|t| t.changes.len()).sum();
    let mut best = Duration::MAX;
    table.compare(Comparison {
        name,
        unit: "datoms/s",
        units: datoms as f64,
        goal: 0.5,
        against: "the same rows put by hand into the same tables and indexes, one transaction",
        rounds: 5,
        ours: Box::new(|| {
            let (taken, report) = source.get(source.address, &options());
            assert!(report.round_trips <= 3);
            best = best.min(taken);
            taken
        }),
        floor: Box::new(|| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("people.db");
            drop(Store::open_or_create(&path, Env::system()).unwrap());
            let mut sql = by_hand_at(&path);
            time(|| insert_by_hand(&mut sql, &all))
        }),
    });
    let rate = datoms as f64 / best.as_secs_f64();
    table.note(format!("{name}: {:.2} s, {rate:.0} datoms/s (goal: 50,000), one round trip", best.as_secs_f64()));
}

fn insert_by_hand(sql: &mut rusqlite::Connection, all: &[tolstoy_store::Transaction]) {
    let transaction = sql.transaction().unwrap();
    {
        let mut datom = transaction
            .prepare("INSERT INTO datoms (e, a, v, vt, tx, avet, uniq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL)")
            .unwrap();
        let mut log = transaction
            .prepare("INSERT INTO log (timeline, tx, n, e, a, v, vt, added, was) VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, 1, NULL)")
            .unwrap();
        let mut head =
            transaction.prepare("INSERT INTO transactions VALUES (0, ?1, ?2, ?3, ?4, ?5, 90000, NULL)").unwrap();
        let mut chain = transaction.prepare("INSERT INTO chain VALUES (?1, ?2, ?3)").unwrap();
        for t in all {
            let (tx, id) = (t.tx.get(), t.origin.id);
            for (n, change) in (0_i64..).zip(&t.changes) {
                let (e, a, vt) = (change.e.get(), change.a.get(), change.v.value_type().entid().get());
                // The attributes of people, and :db/ident and :db/txInstant, are indexed.
                let avet = (a == 1 || a == 3 || a >= 65536).then_some(1);
                let v = value(&change.v);
                datom.execute((e, a, &v, vt, tx, avet)).unwrap();
                log.execute((tx, n, e, a, &v, vt)).unwrap();
            }
            let origin = id.as_bytes();
            head.execute((tx, t.instant.as_micros(), origin, t.origin.device.as_bytes(), t.instant.as_micros()))
                .unwrap();
            chain.execute((tx, origin, [7_u8; 32])).unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn value(v: &tolstoy_store::Value) -> rusqlite::types::Value {
    use rusqlite::types::Value as Sql;
    use tolstoy_store::Value as V;
    match v {
        V::Ref(e) => Sql::Integer(e.get()),
        V::Long(n) => Sql::Integer(*n),
        V::Instant(t) => Sql::Integer(t.as_micros()),
        V::Boolean(b) => Sql::Integer(i64::from(*b)),
        V::Double(x) => Sql::Real(x.get()),
        V::Keyword(k) => Sql::Text(k.as_str().to_owned()),
        V::String(s) | V::Uri(s) => Sql::Text(s.to_string()),
        V::Uuid(u) => Sql::Blob(u.as_bytes().to_vec()),
        V::Bytes(b) => Sql::Blob(b.to_vec()),
    }
}

/// A transport that notes what is pushed.
struct Noting {
    to: HttpTransport,
    pushes: Arc<Mutex<Vec<Bytes>>>,
}

impl Transport for Noting {
    type Body = <HttpTransport as Transport>::Body;

    async fn pull(&mut self, from: &[TrnId], begin: Begin) -> Result<Answer<Self::Body>, TransportError> {
        self.to.pull(from, begin).await
    }

    async fn push(&mut self, body: Bytes) -> Result<Answer<Self::Body>, TransportError> {
        self.pushes.lock().unwrap().push(body.clone());
        self.to.push(body).await
    }

    async fn put_chunk(&mut self, id: &ChunkId, bytes: Bytes) -> Result<Answer<Self::Body>, TransportError> {
        self.to.put_chunk(id, bytes).await
    }

    async fn put_snapshot(&mut self, id: TrnId, snapshot: Blob) -> Result<Answer<Self::Body>, TransportError> {
        self.to.put_snapshot(id, snapshot).await
    }
}

/// A store that was never synced, copied for each round.
struct Unsynced {
    dir: TempDir,
}

impl Unsynced {
    fn with(transactions: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open_or_create(&dir.path().join("source.db"), Env::system()).unwrap();
        fill(&mut store, transactions);
        Self { dir }
    }

    fn copy(&self) -> Store {
        let path = self.dir.path().join("copy.db");
        std::fs::copy(self.dir.path().join("source.db"), &path).unwrap();
        Store::open(&path, Env::system()).unwrap()
    }
}

/// Up: limited by the hub, so against the same bytes pushed to it by hand.
pub(crate) fn up(table: &mut Table) {
    const COUNT: usize = 10_000;
    let name = "sync up, 10,000 transactions";
    if !table.wants(name) {
        return;
    }
    let (unsynced, pushes) = (Unsynced::with(COUNT), Arc::<Mutex<Vec<Bytes>>>::default());
    let options = Options { makes_snapshots: false, ..options() };
    let round = |work: &dyn Fn(&Runtime, SocketAddr) -> Duration| {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let address = start_hub(&runtime, &dir);
        work(&runtime, address)
    };
    let sync_up = |runtime: &Runtime, address: SocketAddr| {
        let mut store = unsynced.copy();
        let remote = Remote { url: format!("http://{address}"), log: log(0) };
        pushes.lock().unwrap().clear();
        let to = Noting { to: HttpTransport::new(remote).unwrap(), pushes: Arc::clone(&pushes) };
        let mut trips = 0;
        let taken = time(|| trips = runtime.block_on(run(&mut store, to, &options)).round_trips);
        assert!(trips <= 3, "{trips} round trips");
        taken
    };
    // So that the floor, whose turn is first, knows what to push.
    round(&sync_up);
    table.compare(Comparison {
        name,
        unit: "transactions/s",
        units: COUNT as f64,
        goal: 0.3,
        against: "the same pushes, encoded already, to the same hub",
        rounds: 5,
        ours: Box::new(|| round(&sync_up)),
        floor: Box::new(|| {
            round(&|runtime, address| {
                let bodies = pushes.lock().unwrap().clone();
                assert_eq!(bodies.len(), 1, "a further push names the generation of another hub's log");
                let connection = runtime.block_on(Connection::open(address));
                let requests: Vec<_> = bodies.iter().map(|body| push_to(log(0), body.to_vec())).collect();
                time(|| requests.iter().for_each(|r| assert_eq!(runtime.block_on(connection.ask(r)).0, 200)))
            })
        }),
    });
}

/// A new device of a long log: from a snapshot, against all of the log.
pub(crate) fn cold_start(table: &mut Table) {
    const COUNT: usize = 100_000;
    let name = "cold start, 100,000 transactions";
    if !table.wants(name) {
        return;
    }
    let mut source = Source::pushed(COUNT);
    // One more, so that the hub asks for a snapshot, and there is a tail.
    source.store.transact_str(r#"[{:person/name "Ivan" :person/age 30}]"#).unwrap();
    let made = source.sync(&options());
    let Some(Offered::Kept { transactions, bytes }) = made.snapshot_offered else { panic!("{made:?}") };
    source.store.transact_str(r#"[{:person/name "Petr" :person/age 31}]"#).unwrap();
    source.sync(&options());
    let replay = Options { takes_snapshots: false, ..options() };
    let (mut fast, mut slow) = ((Duration::MAX, 0), (Duration::MAX, 0));
    let note = |best: &mut (Duration, u64), (taken, report): (Duration, SyncReport)| {
        *best = (best.0.min(taken), report.bytes_received);
        taken
    };
    table.compare(Comparison {
        name,
        unit: "transactions/s",
        units: (COUNT + 2) as f64,
        goal: 1.0,
        against: "all of the log, transaction by transaction, from the same hub",
        rounds: 5,
        ours: Box::new(|| {
            let got = source.get(source.address, &options());
            assert_eq!(got.1.passes[0].from_snapshot, transactions);
            note(&mut fast, got)
        }),
        floor: Box::new(|| note(&mut slow, source.get(source.address, &replay))),
    });
    table.note(format!(
        "{name}: {:.1} s from a snapshot of {:.1} MB; {:.1} s and {:.1} MB (decoded) without one",
        fast.0.as_secs_f64(),
        bytes as f64 / 1e6,
        slow.0.as_secs_f64(),
        slow.1 as f64 / 1e6,
    ));
}

/// Through a slow link: a clone, and a push.
pub(crate) fn slow_link(table: &mut Table) {
    let name = "clone of 10,000, 50 ms away";
    if table.wants(name) {
        let source = Source::pushed(10_000);
        let proxy = start_delaying(&source.runtime, source.address);
        table.compare(Comparison {
            name,
            unit: "clones/s",
            units: 1.0,
            goal: 1.0,
            against: "two seconds",
            rounds: 5,
            ours: Box::new(|| source.get(proxy, &options()).0),
            floor: Box::new(|| Duration::from_secs(2)),
        });
    }
    let name = "push of 1,000, 50 ms away";
    if table.wants(name) {
        let unsynced = Unsynced::with(1_000);
        table.compare(Comparison {
            name,
            unit: "pushes/s",
            units: 1.0,
            goal: 1.0,
            against: "half a second",
            rounds: 5,
            ours: Box::new(|| {
                let runtime = Runtime::new().unwrap();
                let dir = tempfile::tempdir().unwrap();
                let proxy = start_delaying(&runtime, start_hub(&runtime, &dir));
                let mut store = unsynced.copy();
                let remote = Remote { url: format!("http://{proxy}"), log: log(0) };
                time(|| drop(runtime.block_on(run(&mut store, HttpTransport::new(remote).unwrap(), &options()))))
            }),
            floor: Box::new(|| Duration::from_millis(500)),
        });
    }
}

/// A proxy that hands on each byte, either way, as late as a link of that latency would.
fn start_delaying(runtime: &Runtime, to: SocketAddr) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(delay(from_near, to_far));
            tokio::spawn(delay(from_far, to_near));
        }
    });
    address
}

async fn delay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (sender, mut under_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if sender.send((Instant::now() + LATENCY, bytes[..read].to_vec())).is_err() {
            return;
        }
    }
}
