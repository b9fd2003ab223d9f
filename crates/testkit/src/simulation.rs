//! The whole system, played from one seed: users on several devices, a hub, bad links, crashes, and the oracle's judgement.

mod coverage;
mod device;

use std::collections::BTreeSet;
use std::sync::Mutex;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tolstoy_proto::LogId;
use tolstoy_store::{Entid, ErrorKind as StoreError, Store, Transaction};
use tolstoy_sync::{ErrorKind, MemoryTransport, Outcome, SyncReport};
use uuid::Uuid;

use crate::dice::Dice;
use crate::oracle::facts::show;
use crate::oracle::{Facts, History, View, judge, justified, recognised};
use crate::users::User;
use crate::world::{Faults, Hub, Link, LinkCounts, block_on, env, options};

pub use coverage::Coverage;
use device::Device;

/// What is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Decides everything that the plan leaves open.
    pub seed: u64,
    /// How many devices there are.
    pub devices: usize,
    /// How many steps are taken before the end.
    pub steps: u64,
    /// The links.
    pub faults: Faults,
    /// Whether the stores are files, which are closed and opened again.
    pub files: bool,
    /// How often a backup of the hub is restored, in a thousand steps.
    pub restores: u64,
    /// How often others get in between a device's pull and its push, in a thousand pushes.
    pub races: u64,
}

impl Plan {
    /// The plan of a seed, as the tests play it: three devices, most of them on bad links.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let faults = if dice.chance(250) { Faults::NONE } else { Faults::BAD };
        Self {
            seed,
            devices: 3,
            steps: dice.between(12, 36),
            faults,
            files: seed % 25 == 24,
            restores: if dice.chance(300) { 60 } else { 0 },
            races: if dice.chance(500) { 150 } else { 0 },
        }
    }
}

/// A simulation that found something wrong.
#[derive(Debug)]
pub struct Failure {
    /// The seed it was played from.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// What happened until then, a line each.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "seed {}: {}\nreplay it with: cargo run -p tolstoy-testkit --example replay -- {}",
            self.seed, self.what, self.seed
        )
    }
}

/// What a simulation did.
#[derive(Debug)]
pub struct Simulation {
    /// What happened, a line each.
    pub trace: Vec<String>,
    /// How much of what matters happened.
    pub coverage: Coverage,
}

impl Simulation {
    /// SHA-256 over the trace: equal for equal runs.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for line in &self.trace {
            hash.update(line);
            hash.update("\n");
        }
        hash.finalize().into()
    }
}

/// Plays the plan to its end and judges what came of it.
///
/// # Errors
/// What is wrong, with the trace.
pub fn simulate(plan: &Plan) -> Result<Simulation, Box<Failure>> {
    let failure = |what, trace| Box::new(Failure { seed: plan.seed, what, trace });
    let mut world = match World::new(plan.clone()) {
        Ok(world) => world,
        Err(what) => return Err(failure(what, Vec::new())),
    };
    match world.play() {
        Ok(()) => Ok(Simulation { trace: world.book.trace, coverage: world.book.coverage }),
        Err(what) => Err(failure(what, world.book.trace)),
    }
}

/// The hub, and what is on the way to it.
struct Net {
    hub: Mutex<Hub>,
    old: Mutex<Vec<Bytes>>,
}

/// What is written down.
struct Book {
    plan: Plan,
    history: History,
    trace: Vec<String>,
    coverage: Coverage,
    dice: Dice,
    /// Syncs so far: each one has dice of its own.
    syncs: u64,
    /// The attributes that all devices have from the log.
    settled: BTreeSet<Entid>,
}

struct World {
    net: Net,
    devices: Vec<Device>,
    book: Book,
    // Where the files are; goes when the world ends.
    _folder: Option<tempfile::TempDir>,
}

/// Rounds of syncs in which all devices must come to rest.
const REST: u32 = 24;

impl World {
    fn new(plan: Plan) -> Result<Self, String> {
        let folder = if plan.files { Some(tempfile::tempdir().map_err(|e| e.to_string())?) } else { None };
        let log = LogId::from_bytes(*Uuid::from_u128(plan.seed.into()).as_bytes());
        let hub = Hub::new(env(plan.seed, 0), log);
        let devices = (1..=plan.devices).map(|n| Device::new(&plan, n, folder.as_ref().map(|f| f.path())));
        let devices = devices.collect::<Result<_, _>>()?;
        let dice = Dice::new(plan.seed, 1);
        let book = Book {
            plan,
            history: History::default(),
            trace: Vec::new(),
            coverage: Coverage::default(),
            dice,
            syncs: 0,
            settled: BTreeSet::new(),
        };
        Ok(Self { net: Net { hub: Mutex::new(hub), old: Mutex::new(Vec::new()) }, devices, book, _folder: folder })
    }

    fn play(&mut self) -> Result<(), String> {
        for _ in 0..self.book.plan.steps {
            let at = self.book.dice.index(self.devices.len());
            let restores = self.book.plan.restores;
            match self.book.dice.weighted(&[50, 34, 10, restores / 10]) {
                0 => {
                    self.settle()?;
                    for _ in 0..self.book.dice.between(1, 4) {
                        self.devices[at].transact(&mut self.book)?;
                    }
                }
                1 => self.sync(at, self.book.plan.faults)?,
                2 => self.crash(at)?,
                _ => self.restore()?,
            }
        }
        self.rest()?;
        self.join()?;
        self.agree()
    }

    /// A new device joins, over a link as bad as the others' first, and begins with a snapshot where the hub has one.
    fn join(&mut self) -> Result<(), String> {
        let mut device = Device::new(&self.book.plan, self.devices.len() + 1, None)?;
        self.book.say(format!("device {} joins", device.number));
        let faults = self.book.plan.faults;
        device.sync(&self.net, &mut self.book, faults, &mut |_| {})?;
        let report = device.sync(&self.net, &mut self.book, Faults::NONE, &mut |_| {})?;
        report.ok_or("a sync over a good link failed")?;
        self.devices.push(device);
        Ok(())
    }

    /// Notes which attributes all devices have from the log, and so may be altered. Where backups are restored none may:
    /// a definition that the log lost, altered since, is a different one to a device that made it too and still has it so.
    fn settle(&mut self) -> Result<(), String> {
        if self.book.plan.restores > 0 {
            return Ok(());
        }
        let mut settled: Option<BTreeSet<Entid>> = None;
        for device in &self.devices {
            let own = device.synced_attributes()?;
            settled = Some(settled.map_or_else(|| own.clone(), |all| all.intersection(&own).copied().collect()));
        }
        self.book.settled = settled.unwrap_or_default();
        Ok(())
    }

    /// Syncs until the link dies after some requests; then the device is closed and opened again.
    fn crash(&mut self, at: usize) -> Result<(), String> {
        let dead_after = Some(self.book.dice.below(4));
        self.sync(at, Faults { dead_after, ..self.book.plan.faults })?;
        self.book.coverage.crashes += 1;
        self.devices[at].reopen()
    }

    fn restore(&mut self) -> Result<(), String> {
        let hub = self.net.hub.get_mut().map_err(|e| e.to_string())?;
        let seq = hub.state().map_err(|e| e.to_string())?.seq.0;
        let back = self.book.dice.between(0, 8).min(seq);
        self.book.say(format!("the hub is restored to {} of {seq}", seq - back));
        self.book.coverage.restores += 1;
        hub.restore(seq - back).map_err(|e| e.to_string())
    }

    fn sync(&mut self, at: usize, faults: Faults) -> Result<(), String> {
        let mut device = self.devices.remove(at);
        let result = self.sync_against_others(&mut device, faults);
        self.devices.insert(at, device);
        result
    }

    /// Syncs the device; others may transact and sync whenever it is about to push.
    fn sync_against_others(&mut self, device: &mut Device, faults: Faults) -> Result<(), String> {
        let Self { net, devices, book, .. } = self;
        let mut wrong = Ok(());
        let mut race = |book: &mut Book| {
            if !book.dice.chance(book.plan.races) || wrong.is_err() {
                return;
            }
            let at = book.dice.index(devices.len());
            let Some(other) = devices.get_mut(at) else { return };
            book.say(format!("meanwhile, device {}:", other.number));
            book.coverage.races += 1;
            let both = other.transact(book).and_then(|()| other.sync(net, book, Faults::NONE, &mut |_| {}).map(|_| ()));
            wrong = both;
        };
        let report = device.sync(net, book, faults, &mut race)?;
        drop(report);
        wrong
    }

    /// With good links, all devices come to rest: two rounds of syncs in which nothing happens.
    fn rest(&mut self) -> Result<(), String> {
        self.book.say("from here on all links are good");
        let mut quiet = 0;
        for _ in 0..REST {
            let mut nothing = true;
            for device in &mut self.devices {
                let report = device.sync(&self.net, &mut self.book, Faults::NONE, &mut |_| {})?;
                let report = report.ok_or("a sync over a good link failed")?;
                nothing &= report.passes.iter().all(|p| p.outcome == Outcome::NoChanges);
            }
            quiet = if nothing { quiet + 1 } else { 0 };
            if quiet == 2 {
                return Ok(());
            }
        }
        Err(format!("the devices did not come to rest within {REST} rounds"))
    }

    /// All stores and the log are the same, and nothing was lost on the way there.
    fn agree(&mut self) -> Result<(), String> {
        let Some((first, others)) = self.devices.split_first() else { return Ok(()) };
        let digest = first.digest()?;
        for other in others {
            if let Some((a, b)) = first.view.log.iter().zip(&other.view.log).find(|(a, b)| a != b) {
                return Err(format!("devices 1 and {} differ at {}: {a:?} against {b:?}", other.number, a.tx));
            }
            if first.view.log.len() != other.view.log.len() || digest != other.digest()? {
                return Err(format!("devices 1 and {} hold different facts", other.number));
            }
        }
        let state = self.net.hub.get_mut().map_err(|e| e.to_string())?.state().map_err(|e| e.to_string())?;
        for device in &self.devices {
            for transaction in first.view.log.iter().skip(1) {
                let place = |d: &Device| d.store.position(transaction.tx).map_err(|e| e.to_string());
                if place(device)?.is_none() || place(device)? != place(first)? {
                    return Err(format!("device {} has {} elsewhere in the log", device.number, transaction.tx));
                }
            }
            let head = device.store.position(device.store.basis()).map_err(|e| e.to_string())?;
            let at = head.map(|p| (p.id, p.digest));
            if device.view.log.len() > 1 && at != Some((state.head.0, state.chain.0)) {
                return Err(format!("device {} is not at the log's HEAD", device.number));
            }
        }
        if state.seq.0 + 1 != first.view.log.len() as u64 {
            return Err(format!("the log has {} transactions, the stores {}", state.seq.0, first.view.log.len() - 1));
        }
        self.book.say("the log:");
        for transaction in first.view.log.iter().skip(1) {
            self.book.tell(transaction);
        }
        let verdict = judge(&first.view.log, &self.book.history)?;
        self.book.say(format!("{verdict:?}"));
        self.book.coverage.judged(&verdict);
        Ok(())
    }
}

impl Book {
    fn say(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }
}

impl Book {
    /// Tells a transaction of the log.
    fn tell(&mut self, transaction: &Transaction) {
        let what = match &transaction.displaced {
            Some(displaced) => format!("carrier, {}: {}", displaced.reason.word(), displaced.detail),
            None => String::new(),
        };
        let Transaction { tx, origin, entids, overwritten, changes, .. } = transaction;
        self.say(format!("  {tx} {} {what}", origin.id));
        for run in entids {
            self.say(format!("      {} of {} is {}", run.count, run.authored, run.current));
        }
        for o in overwritten {
            self.say(format!("      overwrites [{} {}] {:?} {:?} {}", o.e, o.a, o.base, o.incoming, o.local));
        }
        let held = transaction.displaced.iter().flat_map(|d| &d.changes);
        for change in changes.iter().chain(held) {
            self.say(format!("      {}", show(change)));
        }
    }
}

/// How a step on a store must fail, if it fails.
fn expected(error: &tolstoy_store::Error) -> bool {
    matches!(error.kind(), StoreError::Input | StoreError::Refused)
}

impl Device {
    /// The user transacts something. A refusal leaves no trace.
    fn transact(&mut self, book: &mut Book) -> Result<(), String> {
        let text = User::transaction(&mut self.dice, &self.view, &book.settled);
        let before = self.digest()?;
        match self.store.transact_str(&text) {
            Ok(report) => {
                book.say(format!("device {} transacts {text} as {}", self.number, report.origin.id));
                for datom in &report.datoms {
                    book.say(format!(
                        "    {} {} {} {} {}",
                        if datom.added { '+' } else { '-' },
                        datom.e,
                        datom.a,
                        datom.v,
                        datom.tx
                    ));
                }
                book.coverage.transactions += 1;
                book.history.note(&mut self.view, &self.store, &report, &text)
            }
            Err(e) if expected(&e) => {
                book.say(format!("device {} is refused {text}: {e}", self.number));
                book.coverage.refused += 1;
                if self.digest()? != before || self.store.basis() != self.basis() {
                    return Err(format!("a refused transaction left a trace: {text}"));
                }
                Ok(())
            }
            Err(e) => Err(format!("device {}: {text}: {:?}: {e}", self.number, e.kind())),
        }
    }

    /// Syncs over a link with these faults and checks the store afterwards. `None` where the link failed for good.
    fn sync(
        &mut self,
        net: &Net,
        book: &mut Book,
        faults: Faults,
        race: &mut (dyn FnMut(&mut Book) + Send),
    ) -> Result<Option<SyncReport>, String> {
        book.syncs += 1;
        book.say(format!("device {} syncs", self.number));
        let mut link = Link::new(&net.hub, &net.old, Dice::new(book.plan.seed, 1_000_000 + book.syncs), faults);
        let mut pushes = 0;
        let options = options(self.env.clone());
        let result = {
            let mut transport = MemoryTransport::new(|request| {
                if matches!(request, tolstoy_sync::transport::Request::Push(_)) {
                    pushes += 1;
                    race(book);
                }
                link.carry(request)
            });
            block_on(tolstoy_sync::sync(&mut self.store, &mut transport, &options))
        };
        let LinkCounts { .. } = link.counts;
        book.coverage.link(&link.counts);
        let before = std::mem::replace(&mut self.view, View::of(&self.store)?);
        book.history.note_moved(&before, &self.view, self.store.device());
        if book.plan.restores == 0 && !book.history.worn().is_empty() {
            return Err(format!("device {} moved what others committed, though the log lost nothing", self.number));
        }
        for origin in before.origins() {
            if !self.view.origins().any(|o| o == origin) {
                return Err(format!("device {} lost the change {origin} in a sync", self.number));
            }
        }
        match result {
            Ok(report) => {
                book.say(format!("    {}", summary(&report)));
                book.coverage.synced(&report);
                self.check_displaced(&report, book)?;
                Ok(Some(report))
            }
            Err(e) if [ErrorKind::Offline, ErrorKind::Contended].contains(&e.kind()) => {
                book.say(format!("    fails after {pushes} pushes: {e}"));
                book.coverage.failed_syncs += 1;
                Ok(None)
            }
            Err(e) => Err(format!("device {}: the sync fails: {:?}: {e}", self.number, e.kind())),
        }
    }

    /// A change that this sync displaced could not be applied, on the facts it was to be applied to, and is about whom it
    /// should be.
    fn check_displaced(&self, report: &SyncReport, book: &Book) -> Result<(), String> {
        let mut merges = report.passes.iter().filter_map(|p| p.rebased.as_ref());
        let (Some(only), None) = (merges.next(), merges.next()) else { return Ok(()) };
        for displaced in &only.displaced {
            let mut before = Facts::default();
            for transaction in self.view.log.iter().take_while(|t| t.tx < displaced.tx) {
                before.apply(transaction)?;
            }
            let carrier = self.view.log.iter().find(|t| t.tx == displaced.tx).ok_or("a carrier is not in the log")?;
            justified(carrier, &before)?;
            if book.plan.restores == 0 {
                recognised(carrier, &self.view.log, &book.history)?;
            }
        }
        Ok(())
    }
}

fn summary(report: &SyncReport) -> String {
    let passes: Vec<String> = report
        .passes
        .iter()
        .map(|p| {
            let rebased = p.rebased.as_ref().map(|r| {
                format!(
                    " (reapplied {}, empty {}, known {}, displaced {:?}, carried {}, renamed {:?})",
                    r.reapplied,
                    r.empty,
                    r.known,
                    r.displaced.iter().map(|d| (d.tx.get(), d.reason.word(), &d.detail)).collect::<Vec<_>>(),
                    r.carried,
                    r.renamed.iter().map(|(from, to)| (from.get(), to.get())).collect::<Vec<_>>()
                )
            });
            format!(
                "{:?} received {} ({} in a snapshot) sent {}{}",
                p.outcome,
                p.received,
                p.from_snapshot,
                p.sent,
                rebased.unwrap_or_default()
            )
        })
        .collect();
    format!("{}; acknowledged {}, resupplied {}", passes.join("; "), report.acknowledged, report.resupplied)
}

/// The digest of a store's facts.
fn digest(store: &Store) -> Result<[u8; 32], String> {
    store.facts_digest().map_err(|e| e.to_string())
}
