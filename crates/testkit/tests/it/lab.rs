//! A few stores and a hub, for stories told step by step.

use std::path::Path;
use std::sync::Mutex;

use tolstoy_edn::Keyword;
use tolstoy_env::Env;
use tolstoy_hub::service::Service;
use tolstoy_hub::storage::StorageError;
use tolstoy_proto::{LogId, LogState};
use tolstoy_store::{Entid, Store, StoreOptions, Timeline, Transaction, TxReport, Value};
use tolstoy_sync::transport::{MemoryBody, Request};
use tolstoy_sync::{Answer, Error, MemoryTransport, NewLog, Options, OtherLife, Outcome, SyncReport, TransportError};
use tolstoy_testkit::disk::{Disk, Image};
use tolstoy_testkit::oracle::{History, View, judge};
use tolstoy_testkit::plan::Medium;
use tolstoy_testkit::world::{self, block_on, in_memory};

/// A hub in memory, and one log of it.
pub(crate) struct Hub {
    hub: world::Hub,
    log: LogId,
}

impl Hub {
    pub(crate) fn new(env: Env, log: LogId) -> Self {
        Self { hub: world::Hub::new(Medium::Memory, env).unwrap(), log }
    }

    pub(crate) fn serve(&self, request: Request) -> Result<Answer<MemoryBody>, TransportError> {
        in_memory(self.hub.serve(self.log, request)?)
    }

    pub(crate) fn restore(&mut self, seq: u64) -> Result<(), String> {
        self.hub.restore(&[(self.log, seq)])
    }

    pub(crate) fn state(&self) -> Result<LogState, StorageError> {
        self.hub.state(self.log)
    }

    /// Another hub that holds what this one does, and goes its own way from here.
    pub(crate) fn copy(&self) -> Result<Self, String> {
        Ok(Self { hub: self.hub.copy(Medium::Memory, &[(self.log, u64::MAX)])?, log: self.log })
    }

    /// The rules themselves, for what the original clients ask.
    pub(crate) fn service(&self) -> &Service {
        self.hub.service()
    }

    /// From now on it wants a snapshot after each transaction.
    pub(crate) fn want_snapshots(&mut self) {
        self.hub.want_snapshots(1);
    }

    pub(crate) fn delete(&self) -> Result<(), StorageError> {
        self.hub.delete(self.log)
    }
}

pub(crate) const LOG: &str = "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10";

pub(crate) struct Lab {
    /// What a device begins the log in.
    pub(crate) new_log: NewLog,
    /// Whether the oracle looks on; it knows nothing of what others than the devices write.
    pub(crate) judged: bool,
    pub(crate) hub: Hub,
    pub(crate) stores: Vec<Store>,
    /// Attributes whose definition in the log stands where a device has another.
    pub(crate) theirs: Vec<Keyword>,
    /// What a device does with another life of the log.
    pub(crate) other_life: OtherLife,
    /// Where the stores are, of a lab on disks.
    disks: Vec<Disk>,
    views: Vec<View>,
    history: History,
}

fn store_on(disk: &Disk, device: u64) -> Store {
    let options = StoreOptions { create: true, vfs: Some(disk.vfs().to_owned()) };
    Store::open_with(Path::new("/store.db"), world::env(7, device), &options).unwrap()
}

impl Lab {
    /// So many empty stores, numbered from 1, and a hub.
    pub(crate) fn new(devices: u64) -> Self {
        let stores: Vec<Store> = (1..=devices).map(|n| Store::in_memory(world::env(7, n)).unwrap()).collect();
        let views = stores.iter().map(|s| View::of(s).unwrap()).collect();
        let log: LogId = LOG.parse().unwrap();
        let hub = Hub::new(world::env(7, 0), log);
        let (history, theirs, disks) = (History::default(), Vec::new(), Vec::new());
        let other_life = OtherLife::Stop;
        Self { new_log: NewLog::Native, judged: true, hub, stores, theirs, other_life, disks, views, history }
    }

    /// The same, with stores in files that can be copied.
    pub(crate) fn on_disks(devices: u64) -> Self {
        let mut lab = Self::new(0);
        for n in 1..=devices {
            lab.on_disk(n, Disk::new());
        }
        lab
    }

    fn on_disk(&mut self, device: u64, disk: Disk) {
        self.stores.push(store_on(&disk, device));
        self.views.push(View::of(self.stores.last().unwrap()).unwrap());
        self.disks.push(disk);
    }

    /// Another device, which has a copy of this one's file.
    pub(crate) fn copy(&mut self, device: usize) -> usize {
        let image = self.disks[device - 1].image();
        self.on_disk(self.stores.len() as u64 + 1, Disk::holding(image));
        self.stores.len()
    }

    /// What a device's file holds now.
    pub(crate) fn image(&self, device: usize) -> Image {
        self.disks[device - 1].image()
    }

    /// A device's file is put back to what it was.
    pub(crate) fn put_back(&mut self, device: usize, image: Image) {
        let disk = Disk::holding(image);
        self.stores[device - 1] = store_on(&disk, device as u64);
        self.views[device - 1] = View::of(&self.stores[device - 1]).unwrap();
        self.disks[device - 1] = disk;
    }

    /// A new device.
    pub(crate) fn join(&mut self) -> usize {
        let device = self.stores.len() + 1;
        self.stores.push(Store::in_memory(world::env(7, device as u64)).unwrap());
        self.views.push(View::of(&self.stores[device - 1]).unwrap());
        device
    }

    pub(crate) fn store(&self, device: usize) -> &Store {
        &self.stores[device - 1]
    }

    /// Transacts on a device.
    pub(crate) fn transact(&mut self, device: usize, text: &str) -> TxReport {
        self.write(device, text, |store| store.transact_str(text))
            .unwrap_or_else(|e| panic!("device {device}: {text}: {e}"))
    }

    /// Has a device commit a transaction, if it can.
    pub(crate) fn write(
        &mut self,
        device: usize,
        text: &str,
        write: impl FnOnce(&mut Store) -> tolstoy_store::Result<TxReport>,
    ) -> tolstoy_store::Result<TxReport> {
        let at = device - 1;
        let report = write(&mut self.stores[at])?;
        if self.judged {
            self.history.note(device, &mut self.views[at], &self.stores[at], &report, text, None).unwrap();
        }
        Ok(report)
    }

    /// Syncs a device; `requests` is after how many of them the link dies.
    pub(crate) fn try_sync(&mut self, device: usize, requests: u32) -> Result<SyncReport, Error> {
        self.sync_over(device, requests, false)
    }

    /// Syncs a device; the hub gets the first request, and its answer is lost.
    pub(crate) fn sync_unanswered(&mut self, device: usize) {
        assert!(self.sync_over(device, 1, true).is_err());
    }

    fn sync_over(&mut self, device: usize, requests: u32, loses_the_last: bool) -> Result<SyncReport, Error> {
        let at = device - 1;
        let hub = Mutex::new(&mut self.hub);
        let mut left = requests;
        let mut transport = MemoryTransport::new(|request| {
            left = left.checked_sub(1).ok_or_else(|| TransportError::Unreachable("the link is dead".to_owned()))?;
            let answer = hub.lock().unwrap().serve(request);
            let lost = || TransportError::Broken("the answer was lost".to_owned());
            if left == 0 && loses_the_last { answer.and(Err(lost())) } else { answer }
        });
        let mut options = Options { new_log: self.new_log, ..world::options(world::env(7, device as u64 + 100)) };
        options.theirs.clone_from(&self.theirs);
        options.other_life = self.other_life;
        let result = block_on(tolstoy_sync::sync(&mut self.stores[at], &mut transport, &options));
        if self.judged {
            self.views[at] = View::of(&self.stores[at]).unwrap();
        }
        result
    }

    pub(crate) fn sync(&mut self, device: usize) -> SyncReport {
        self.try_sync(device, u32::MAX).unwrap_or_else(|e| panic!("device {device}: {e}"))
    }

    /// What the passes of a sync were.
    pub(crate) fn outcomes(&mut self, device: usize) -> Vec<Outcome> {
        self.sync(device).passes.iter().map(|p| p.outcome).collect()
    }

    /// Syncs all devices until nothing happens any more, and lets the oracle judge what came of it.
    pub(crate) fn rest(&mut self) {
        assert!(self.judged, "the oracle was told nothing");
        self.quiesce();
        judge(&self.views[0].log, &self.history).unwrap();
    }

    /// Syncs all devices until nothing happens any more; they have the same facts then.
    pub(crate) fn quiesce(&mut self) {
        let mut quiet = false;
        for _ in 0..8 {
            let outcomes: Vec<_> = (1..=self.stores.len()).map(|n| self.outcomes(n)).collect();
            quiet = outcomes.iter().all(|passes| *passes == [Outcome::NoChanges]);
            if quiet {
                break;
            }
        }
        assert!(quiet, "the devices do not come to rest");
        let (digest, log) = (self.stores[0].facts_digest().unwrap(), self.log(1));
        for device in 1..=self.stores.len() {
            assert_eq!(self.store(device).facts_digest().unwrap(), digest);
            assert_eq!(self.log(device), log);
        }
    }

    /// The log of a device, without the bootstrap.
    pub(crate) fn log(&self, device: usize) -> Vec<Transaction> {
        self.store(device).transactions(Timeline::MAIN, Entid::TX0, usize::MAX).unwrap()
    }

    /// The main transaction that a change became.
    pub(crate) fn became(&self, device: usize, report: &TxReport) -> Transaction {
        let store = self.store(device);
        let tx = store.by_origin(report.origin.id).unwrap().expect("the change is in the log");
        store.transaction(tx).unwrap().unwrap()
    }

    /// The entity with this ident.
    pub(crate) fn entid(&self, device: usize, ident: &str) -> Entid {
        self.store(device).schema().entid(&Keyword::parse(ident).unwrap()).unwrap()
    }

    /// The facts of a device above the bootstrap, a line each in order, with idents where there are; instants of
    /// transactions are left out.
    pub(crate) fn facts(&self, device: usize) -> Vec<String> {
        let store = self.store(device);
        let schema = store.schema();
        let name = |e: Entid| schema.name(e);
        let datoms = store.datoms().unwrap();
        let shown = datoms.iter().filter(|d| d.tx > Entid::TX0 && name(d.a) != ":db/txInstant").map(|d| {
            let v = match &d.v {
                Value::Ref(to) => name(*to),
                other => other.to_string(),
            };
            format!("[{} {} {v}]", name(d.e), name(d.a))
        });
        shown.collect()
    }

    /// The facts of a device that are no schema.
    pub(crate) fn data(&self, device: usize) -> Vec<String> {
        self.facts(device).into_iter().filter(|fact| !fact.contains(" :db/")).collect()
    }
}
