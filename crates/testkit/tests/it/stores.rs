//! A store on a disk of ours: the power fails at every operation, space runs out at every write, syncs fail.

use std::path::Path;
use std::sync::Mutex;

use sha2::{Digest, Sha256};
use tolstoy_env::Env;
use tolstoy_proto::LogId;
use tolstoy_store::{Entid, ErrorKind, Store, StoreOptions, Timeline};
use tolstoy_sync::MemoryTransport;
use tolstoy_testkit::Dice;
use tolstoy_testkit::disk::{Disk, Image, Refusal};
use tolstoy_testkit::oracle::View;
use tolstoy_testkit::world::{self, block_on};

use crate::lab::Hub;
use crate::load::check_file;
use crate::long;

const PATH: &str = "/store.db";

/// Opens the store on the disk, or makes it. Its device keeps its clock and its dice when a store is opened again.
fn open(disk: &Disk, device: &Env) -> Result<Store, tolstoy_store::Error> {
    let options = StoreOptions { create: true, vfs: Some(disk.vfs().to_owned()) };
    Store::open_with(Path::new(PATH), device.clone(), &options)
}

/// The device of a store after its power failed: what it makes from then on it never made before.
fn later(seed: u64) -> Env {
    world::env(seed, 8)
}

/// What a store holds: its facts, and its log but for what a sync knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    transactions: usize,
    facts: [u8; 32],
    log: [u8; 32],
}

impl Held {
    fn of(store: &Store) -> Result<Self, String> {
        let failed = |error: tolstoy_store::Error| error.to_string();
        let log = store.transactions(Timeline::MAIN, Entid::TX0, usize::MAX).map_err(failed)?;
        let mut hash = Sha256::new();
        log.iter().for_each(|transaction| hash.update(format!("{transaction:?}")));
        let facts = store.facts_digest().map_err(failed)?;
        Ok(Self { transactions: log.len(), facts, log: hash.finalize().into() })
    }
}

/// Something that is done with the store.
#[derive(Debug, Clone)]
enum Step {
    /// Transactions of so many facts each, one after the other, as an import is.
    Transact(Vec<usize>),
    /// The other device transacts and syncs.
    Others(usize),
    Sync,
    /// It is closed, and what the write-ahead log holds moved into the file.
    Reopen,
}

fn script(seed: u64, steps: usize) -> Vec<Step> {
    let mut dice = Dice::new(seed, 91);
    let step = |dice: &mut Dice| match dice.below(9) {
        0 => Step::Transact(vec![3; 6]),
        1 => Step::Transact(vec![60]),
        2 | 3 => Step::Transact(vec![1 + dice.index(4)]),
        4 => Step::Others(2),
        5..=7 => Step::Sync,
        _ => Step::Reopen,
    };
    let begin =
        [Step::Transact(vec![2]), Step::Sync, Step::Others(3), Step::Transact(vec![4]), Step::Sync, Step::Reopen];
    begin.into_iter().chain((0..steps).map(|_| step(&mut dice))).collect()
}

/// What the users type: the first defines the attributes; the others write facts, of which both sides overwrite some.
fn text(who: &str, made: &mut usize, facts: usize) -> String {
    *made += 1;
    let mut text = String::from("[");
    if *made == 1 {
        text += "{:db/ident :note/id, :db/valueType :db.type/string, :db/cardinality :db.cardinality/one, \
                 :db/unique :db.unique/identity} ";
        text += "{:db/ident :note/text, :db/valueType :db.type/string, :db/cardinality :db.cardinality/one} ";
    }
    for n in 0..facts {
        let id = if n % 3 == 0 { format!("shared-{}", (*made + n) % 7) } else { format!("{who}-{made}-{n}") };
        let size = if n == 5 { 9_000 } else { 30 };
        text += &format!("{{:note/id \"{id}\", :note/text \"{who} {made} {}\"}} ", "x".repeat(size));
    }
    text + "]"
}

/// The hub, the other device, and how much both users wrote.
struct Around {
    hub: Hub,
    other: Store,
    seed: u64,
    made: usize,
    made_by_other: usize,
}

fn sync(store: &mut Store, hub: &mut Hub, seed: u64) -> Result<(), tolstoy_sync::Error> {
    let hub = Mutex::new(hub);
    let mut transport = MemoryTransport::new(|request| hub.lock().unwrap().serve(request));
    block_on(tolstoy_sync::sync(store, &mut transport, &world::options(world::env(seed, 3)))).map(|_| ())
}

impl Around {
    fn new(seed: u64) -> Self {
        let log = LogId::from_bytes([5; 16]);
        let other = Store::in_memory(world::env(seed, 2)).unwrap();
        Self { hub: Hub::new(world::env(seed, 0), log), other, seed, made: 0, made_by_other: 0 }
    }

    fn others(&mut self, facts: usize) {
        sync(&mut self.other, &mut self.hub, self.seed).unwrap();
        // It has the attributes from the log.
        self.made_by_other += 1;
        let mut made = self.made_by_other + 1;
        self.other.transact_str(&text("other", &mut made, facts)).unwrap();
        sync(&mut self.other, &mut self.hub, self.seed).unwrap();
    }

    /// Whoever syncs with the hub holds the same as the store.
    fn agrees(hub: &mut Hub, store: &Store, seed: u64) -> Result<(), String> {
        let mut fresh = Store::in_memory(world::env(seed, 7)).map_err(|error| error.to_string())?;
        sync(&mut fresh, hub, seed).map_err(|error| error.to_string())?;
        let (there, here) = (Held::of(&fresh)?, Held::of(store)?);
        if there == here { Ok(()) } else { Err(format!("the log leads to {there:?}, and the store holds {here:?}")) }
    }
}

/// A state of the store: when it was asked for and when it was told to be durable, in operations of the disk.
#[derive(Debug, Clone, Copy)]
struct Known {
    held: Held,
    asked: usize,
    told: usize,
}

/// A script that was played to its end.
struct Played {
    disk: Disk,
    around: Around,
    states: Vec<Known>,
    seed: u64,
    device: Env,
    opened: usize,
}

impl Played {
    fn note(&mut self, store: &Store, asked: usize) {
        let held = Held::of(store).unwrap();
        self.states.push(Known { held, asked, told: self.disk.operations() });
    }

    fn step(&mut self, store: Store, step: &Step) -> Store {
        let mut store = store;
        match step {
            Step::Transact(sizes) => {
                for facts in sizes {
                    let asked = self.disk.operations();
                    store.transact_str(&text("one", &mut self.around.made, *facts)).unwrap();
                    self.note(&store, asked);
                }
            }
            Step::Others(facts) => self.around.others(*facts),
            Step::Sync => {
                let asked = self.disk.operations();
                sync(&mut store, &mut self.around.hub, self.seed).unwrap();
                self.note(&store, asked);
            }
            Step::Reopen => {
                drop(store);
                store = open(&self.disk, &self.device).unwrap();
            }
        }
        store
    }
}

fn play(seed: u64, steps: usize) -> Played {
    let (disk, device) = (Disk::new(), world::env(seed, 1));
    let mut store = open(&disk, &device).unwrap();
    let empty = Known { held: Held::of(&store).unwrap(), asked: 0, told: 0 };
    let opened = disk.operations();
    let mut played = Played { disk, around: Around::new(seed), states: vec![empty], seed, device, opened };
    for step in script(seed, steps) {
        store = played.step(store, &step);
    }
    drop(store);
    played
}

/// What is there is whole, and adds up.
fn check(store: &Store, states: &[Known], at: usize) -> Result<(), String> {
    let held = Held::of(store)?;
    let told = states.iter().rposition(|known| known.told <= at).unwrap_or(0);
    let asked = states.iter().rposition(|known| known.asked <= at).unwrap_or(0);
    let may_be = &states[told..=asked.max(told)];
    if !may_be.iter().any(|known| known.held == held) {
        return Err(format!("the store holds {held:?}, which is none of {may_be:?}"));
    }
    // The facts are what the log adds up to, and their digest is that of a store that replayed it.
    View::of(store).map(|_| ())
}

/// Opens the store on what a cut left, checks it, and goes on: with a transaction, and a sync with a hub that has all that
/// was ever pushed.
fn survives(played: &Played, image: Image, at: usize) -> Result<(), String> {
    let (disk, seed) = (Disk::holding(image), played.seed ^ at as u64);
    let mut store = open(&disk, &later(seed)).map_err(|error| error.to_string())?;
    check(&store, &played.states, at)?;
    store.transact_str("[{:db/ident :life/goes-on}]").map_err(|error| error.to_string())?;
    let mut hub = played.around.hub.copy().map_err(|error| error.to_string())?;
    sync(&mut store, &mut hub, seed).map_err(|error| error.to_string())?;
    View::of(&store)?;
    Around::agrees(&mut hub, &store, seed)?;
    drop(store);
    check_file(&disk, Path::new(PATH))
}

/// Cuts at every so many operations; gives how many cuts there were, and what did not survive one.
fn cut_everywhere(played: &Played, every: usize, lies: bool) -> (usize, Vec<String>) {
    let mut replay = played.disk.replay(lies);
    let mut failures = Vec::new();
    let places: Vec<usize> = (0..=replay.operations()).step_by(every).collect();
    for at in &places {
        replay.forward(*at);
        let seed = played.seed.wrapping_mul(1_000_003) ^ *at as u64;
        if let Err(why) = survives(played, replay.cut(seed), *at) {
            failures.push(format!("seed {}, cut after {at} operations: {why}", played.seed));
        }
    }
    (places.len(), failures)
}

#[test]
fn what_a_store_committed_survives_a_power_loss_at_any_write() {
    for seed in if long() { 1..=8 } else { 1..=1 } {
        let played = play(seed, if long() { 40 } else { 12 });
        let (cuts, failures) = cut_everywhere(&played, 1, false);
        println!("seed {seed}: {cuts} cuts, {} states, opened after {}", played.states.len(), played.opened);
        assert!(cuts > 200, "the script does nothing: {cuts}");
        assert!(failures.is_empty(), "{} of {cuts} cuts: {}", failures.len(), failures[0]);
    }
}

/// The proof above is worth something only if it can fail.
#[test]
fn a_disk_that_lies_about_syncs_is_noticed_by_a_store() {
    let played = play(1, 12);
    let (cuts, failures) = cut_everywhere(&played, 11, true);
    let lost = failures.iter().filter(|why| why.contains("which is none of")).count();
    assert!(lost > cuts / 4, "{lost} of {cuts}, {} in all", failures.len());
}

fn open_on_bad_disk(disk: &Disk, device: &Env, relieve: &mut dyn FnMut(ErrorKind)) -> Store {
    open(disk, device).unwrap_or_else(|error| {
        relieve(error.kind());
        open(disk, device).unwrap()
    })
}

/// A sync that fails leaves the store as it was, or with all that came in.
fn sync_on_bad_disk(store: &mut Store, hub: &mut Hub, seed: u64, relieve: &mut dyn FnMut(ErrorKind)) {
    let Err(error) = sync(store, hub, seed) else { return };
    assert_eq!(error.kind(), tolstoy_sync::ErrorKind::Store, "{error}");
    View::of(store).unwrap();
    relieve(ErrorKind::Storage);
    sync(store, hub, seed).unwrap();
}

/// Plays the script on a disk that fails somewhere. What fails leaves the store as it was; once `relieve` has made it
/// possible, the same is done. Gives what the store holds in the end, and how often something failed.
fn play_on_bad_disk(disk: &Disk, seed: u64, steps: usize, relieve: &dyn Fn(ErrorKind)) -> (usize, usize) {
    let (mut around, device) = (Around::new(seed), world::env(seed, 1));
    let mut failed = 0;
    let mut relieve = |kind: ErrorKind| {
        failed += 1;
        relieve(kind);
    };
    let mut store = Some(open(disk, &device).unwrap());
    for step in script(seed, steps) {
        let mut one = store.take().unwrap_or_else(|| open_on_bad_disk(disk, &device, &mut relieve));
        match step {
            Step::Transact(sizes) => {
                for facts in sizes {
                    let (before, text) = (Held::of(&one).unwrap(), text("one", &mut around.made, facts));
                    if let Err(error) = one.transact_str(&text) {
                        assert_eq!(Held::of(&one), Ok(before), "{error}");
                        relieve(error.kind());
                        one.transact_str(&text).unwrap();
                    }
                    assert_eq!(Held::of(&one).unwrap().transactions, before.transactions + 1);
                }
                store = Some(one);
            }
            Step::Others(facts) => {
                around.others(facts);
                store = Some(one);
            }
            Step::Sync => {
                sync_on_bad_disk(&mut one, &mut around.hub, seed, &mut relieve);
                store = Some(one);
            }
            Step::Reopen => drop(one),
        }
    }
    let mut store = store.unwrap_or_else(|| open_on_bad_disk(disk, &device, &mut relieve));
    sync_on_bad_disk(&mut store, &mut around.hub, seed, &mut relieve);
    View::of(&store).unwrap();
    Around::agrees(&mut around.hub, &store, seed).unwrap();
    let held = Held::of(&store).unwrap();
    drop(store);
    // What could not be moved into the file when it was closed is still beside it.
    disk.free();
    check_file(disk, Path::new(PATH)).unwrap();
    assert_eq!(Held::of(&open(disk, &device).unwrap()), Ok(held));
    (held.transactions, failed)
}

/// How many transactions there are in the end, and how many writes and syncs that takes.
fn undisturbed(steps: usize) -> (usize, u64, u64) {
    let disk = Disk::new();
    let (transactions, failed) = play_on_bad_disk(&disk, 1, steps, &|_| ());
    assert_eq!(failed, 0);
    (transactions, disk.writes(), disk.syncs())
}

#[test]
fn a_store_on_a_disk_that_is_full_at_any_write_loses_nothing_and_goes_on() {
    let steps = if long() { 20 } else { 6 };
    let (expected, writes, _) = undisturbed(steps);
    let made = {
        let disk = Disk::new();
        drop(open(&disk, &world::env(1, 1)).unwrap());
        disk.writes()
    };
    let (mut refused, mut runs) = (0, 0);
    for refusal in [Refusal::Growth, Refusal::Writes] {
        for n in (made..writes).step_by(if long() { 1 } else { 7 }) {
            let disk = Disk::new();
            disk.fill(n, refusal);
            let (transactions, failed) = play_on_bad_disk(&disk, 1, steps, &|kind| {
                assert_eq!(kind, ErrorKind::Storage, "{refusal:?} at {n}");
                assert!(disk.free() > 0, "{refusal:?} at {n}: something else failed");
            });
            assert_eq!(transactions, expected, "{refusal:?} at {n}");
            refused += failed;
            runs += 1;
        }
    }
    println!("{runs} runs, {refused} refusals");
    assert!(refused > runs / 2, "{refused} of {runs}");
}

#[test]
fn a_sync_of_the_disk_that_fails_loses_nothing_that_a_store_committed() {
    let steps = if long() { 20 } else { 6 };
    let (expected, _, syncs) = undisturbed(steps);
    let made = {
        let disk = Disk::new();
        drop(open(&disk, &world::env(1, 1)).unwrap());
        disk.syncs()
    };
    let mut failed = 0;
    for n in made..syncs {
        let disk = Disk::new();
        disk.fail_sync(n);
        let (transactions, times) = play_on_bad_disk(&disk, 1, steps, &|kind| assert_eq!(kind, ErrorKind::Storage));
        assert_eq!(transactions, expected, "sync {n}");
        failed += times;
        let mut replay = disk.replay(false);
        replay.forward(replay.operations());
        let held = Held::of(&open(&disk, &later(1)).unwrap()).unwrap();
        for seed in 0..3 {
            let survivor = Disk::holding(replay.cut(n * 3 + seed));
            assert_eq!(Held::of(&open(&survivor, &later(1)).unwrap()), Ok(held), "sync {n}, cut {seed}");
            check_file(&survivor, Path::new(PATH)).unwrap();
        }
    }
    assert!(failed > 0);
}
