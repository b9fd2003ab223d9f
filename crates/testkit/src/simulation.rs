//! The whole system, played from one seed: users on several devices, a hub, bad links, crashes, and the oracle's judgement.

mod coverage;
mod device;
mod events;
mod functions;
mod judge;
mod sync;

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tolstoy_proto::LogId;
use tolstoy_store::Entid;
use uuid::Uuid;

use crate::dice::Dice;
use crate::oracle::History;
use crate::plan::{Format, Medium, Plan};
use crate::world::{Hub, Net, env, lock};

pub use coverage::Coverage;
use device::Device;

/// A simulation that found something wrong.
#[derive(Debug)]
pub struct Failure {
    /// What was played.
    pub plan: Plan,
    /// What is wrong.
    pub what: String,
    /// What happened until then, a line each.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nreplay it with: {}", self.plan, self.what, replay(&self.plan))
    }
}

/// The command that replays a plan.
pub fn replay(plan: &Plan) -> String {
    format!("cargo run -p tolstoy-testkit --bin tolstoy-sim -- --replay \"{plan}\"")
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
    let failure = |what, trace| Box::new(Failure { plan: plan.clone(), what, trace });
    let mut world = match World::new(plan.clone()) {
        Ok(world) => world,
        Err(what) => return Err(failure(what, Vec::new())),
    };
    // Nothing may panic, whatever goes wrong: where something does, that is what the seed found.
    let played = catch_unwind(AssertUnwindSafe(|| world.play())).unwrap_or_else(|panic| Err(cause(panic.as_ref())));
    match played {
        Ok(()) => Ok(Simulation { trace: world.book.trace, coverage: world.book.coverage }),
        Err(what) => Err(failure(what, world.book.trace)),
    }
}

fn cause(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a word"))
}

/// A log, and what the oracle knows of it.
struct Account {
    log: LogId,
    history: History,
    /// How many keys an encrypted one has.
    keys: u64,
    /// The attributes that all devices have from the log.
    settled: BTreeSet<Entid>,
}

/// What is written down.
struct Book {
    plan: Plan,
    accounts: Vec<Account>,
    trace: Vec<String>,
    coverage: Coverage,
}

impl Book {
    fn say(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }
}

struct World {
    net: Arc<Mutex<Net>>,
    devices: Vec<Device>,
    book: Book,
    /// Where the files are; goes when the world ends.
    folder: tempfile::TempDir,
}

/// What the streams of dice are for. Party 0's environment begins at 1,000.
mod purpose {
    pub(super) const NET: u64 = 1;
    pub(super) const END: u64 = 2;
    pub(super) const STEPS: u64 = 1_000_000;
}

impl World {
    fn new(plan: Plan) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(told)?;
        let mut hub = Hub::new(plan.hub, env(plan.seed, 0))?;
        if plan.snapshots > 0 {
            hub.want_snapshots(plan.snapshots);
        }
        let mut devices = Vec::new();
        let mut accounts = Vec::new();
        for n in 0..plan.accounts {
            let log = LogId(Uuid::from_u64_pair(n, plan.seed));
            for _ in 0..plan.devices {
                let (number, account) = (devices.len() + 1, accounts.len());
                devices.push(Device::new(&plan, number, account, folder.path())?);
            }
            accounts.push(Account { log, history: History::default(), keys: 1, settled: BTreeSet::new() });
        }
        let net = Arc::new(Mutex::new(Net::new(hub, Dice::new(plan.seed, purpose::NET))));
        let mut book = Book { plan, accounts, trace: Vec::new(), coverage: Coverage::default() };
        let [hub, stores] = [book.plan.hub, book.plan.stores];
        let (hub, stores) = (
            match hub {
                Medium::Memory => "logs on a hub in memory",
                Medium::Disk => "logs on a hub on a disk",
                Medium::Files => "logs on a hub in files",
            },
            match stores {
                Medium::Memory => "stores in memory",
                Medium::Disk | Medium::Files => "stores on a disk",
            },
        );
        let format = match book.plan.format {
            Format::Native => "logs in the native format",
            Format::Sealed => "encrypted logs",
            Format::Original => "logs in the original's format",
        };
        book.coverage.count(format, book.plan.accounts);
        book.coverage.count(hub, book.plan.accounts);
        book.coverage.count(stores, devices.len() as u64);
        book.coverage.count("several logs on a hub", u64::from(book.plan.accounts > 1));
        Ok(Self { net, devices, book, folder })
    }

    fn play(&mut self) -> Result<(), String> {
        for n in (0..self.book.plan.steps).filter(|n| !self.book.plan.without.contains(n)).collect::<Vec<_>>() {
            let mut dice = Dice::new(self.book.plan.seed, purpose::STEPS + n);
            self.book.say(format!("step {n}"));
            self.step(&mut dice)?;
            if let Some(broken) = lock(&self.net).broken() {
                return Err(broken);
            }
        }
        let mut dice = Dice::new(self.book.plan.seed, purpose::END);
        self.rest(&mut dice)?;
        self.join(&mut dice)?;
        if self.book.plan.faults.copy > 0 {
            self.all_speak(&mut dice)?;
        }
        self.rest(&mut dice)?;
        self.agree()
    }

    fn step(&mut self, dice: &mut Dice) -> Result<(), String> {
        let faults = self.book.plan.faults;
        let [restore, copy, rewind, join, wipe, rotate] =
            [faults.restore, faults.copy, faults.rewind, faults.join, faults.wipe, faults.rotate]
                .map(|rate| dice.chance(rate));
        let (at, transacts) = (dice.index(self.devices.len()), dice.chance(560));
        if self.is_absent(at) {
            return Ok(());
        }
        if restore {
            self.restore(dice)
        } else if copy {
            self.copy(at)
        } else if rewind {
            self.rewind(at)
        } else if join {
            self.join_later(at, dice)
        } else if wipe {
            self.wipe(at)
        } else if rotate && self.book.plan.format == Format::Sealed {
            self.rotate(at);
            Ok(())
        } else if transacts {
            self.transact(at, dice)
        } else {
            if dice.chance(160) {
                // The application is started anew, perhaps in another version.
                self.devices[at].reopen()?;
            }
            self.sync(at, dice)
        }
    }

    fn is_absent(&self, at: usize) -> bool {
        self.book.plan.absent.contains(&(at as u64 + 1))
    }

    fn transact(&mut self, at: usize, dice: &mut Dice) -> Result<(), String> {
        self.settle()?;
        let Self { devices, book, .. } = self;
        let device = &mut devices[at];
        device.arm(&book.plan.faults, dice);
        let (times, bulk) = (dice.between(1, 4), dice.chance(350));
        for _ in 0..times {
            device.transact(book, dice)?;
            if device.own.is_off() {
                break;
            }
        }
        device.disarm(book, dice)?;
        if bulk && book.plan.bulk > 0 {
            let n = dice.between(book.plan.bulk / 3, book.plan.bulk);
            device.transact_bulk(book, dice, n)?;
        }
        Ok(())
    }

    /// Notes which attributes all devices have from the log, and so may be altered. Where backups are restored none may:
    /// a definition that the log lost, altered since, is a different one to a device that made it too and still has it so.
    fn settle(&mut self) -> Result<(), String> {
        if !self.book.plan.steady() {
            return Ok(());
        }
        for (n, account) in self.book.accounts.iter_mut().enumerate() {
            let mut settled: Option<BTreeSet<Entid>> = None;
            for device in self.devices.iter().filter(|d| d.own.account == n) {
                let own = device.synced_attributes()?;
                settled = Some(settled.map_or_else(|| own.clone(), |all| all.intersection(&own).copied().collect()));
            }
            account.settled = settled.unwrap_or_default();
        }
        Ok(())
    }
}

/// What an error says.
fn told(e: impl fmt::Display) -> String {
    e.to_string()
}
