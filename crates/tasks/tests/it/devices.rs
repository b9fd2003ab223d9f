//! Several devices with edits apart and syncs between them: all come to the same, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;
use tolstoy_store::{Entid, Error, Position, Store, Timeline, Transaction};
use tolstoy_tasks::driver::{
    Answer, Differences, Driver, DriverError, DriverErrorKind, Exchanged, Folder, FolderOptions, Hashes, Memory, Offer,
    StoreDriver,
};
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Document, Hash, Side, TaskId, reconcile};

use uuid::Uuid;

use crate::common::{Standing, author, doc, env_with, set};
use crate::hub::{RunningHub, SHARED};

const IDS: [&str; 6] = [
    "pb67wndxge8293xd",
    "px6zrs3z46b8e5pg",
    "wbyzkrrrp7xb2rps",
    "c6yx4mdzxm9cz7nm",
    "dmnrx9gmdxhneq2x",
    "tzthweareg9r6y5p",
];
/// Of how many tasks short runs are, so that edits meet.
const FEW: usize = 2;
const NAMES: [&str; 2] = ["description", "due"];
const TAGS: [&str; 2] = ["home", "shop"];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Memory,
    Folder,
    Store,
    Hub,
}

#[derive(Debug, Clone)]
enum Step {
    Set {
        device: usize,
        task: usize,
        name: usize,
    },
    Remove {
        device: usize,
        task: usize,
        name: usize,
    },
    Tag {
        device: usize,
        task: usize,
        tag: usize,
        on: bool,
    },
    /// An edit by a program that knows no clocks, in the driver's own form.
    Foreign {
        device: usize,
        task: usize,
    },
    Sync {
        one: usize,
        other: usize,
    },
    /// A sync whose other side fails at one of its calls, before or after it did what it was asked for, and from then on.
    Cut {
        one: usize,
        other: usize,
        calls: usize,
        done: bool,
    },
    /// A device's clock jumps by so many hours.
    Jump {
        device: usize,
        hours: i64,
    },
    /// A device that has a store syncs it with the log that all stores share.
    Log {
        device: usize,
    },
}

/// A log that stores sync with: what the newest synced store has as main.
#[derive(Default)]
struct Log(Vec<Transaction>);

impl Log {
    fn sync(&mut self, store: &mut Store) {
        let main = |store: &Store| store.transactions(Timeline::MAIN, Entid::TX0, usize::MAX).unwrap();
        let same = main(store).iter().zip(&self.0).take_while(|(ours, theirs)| ours == theirs).count();
        let root = Entid::TX0.plus(same as i64);
        // Any position does: the store does not interpret it.
        let position = Position { id: Uuid::nil(), digest: [0; 32] };
        let incoming: Vec<Result<_, Error>> = self.0[same..].iter().map(|t| Ok((t.clone(), position))).collect();
        if !incoming.is_empty() {
            let rebased = store.pass(|pass| pass.rebase(root, &[], incoming)).unwrap();
            assert!(rebased.displaced.is_empty(), "{rebased:?}");
        }
        self.0 = main(store);
    }
}

/// A place that can be reached for so many calls only. Of the one that fails, nobody hears whether it was done.
struct Failing<'d> {
    driver: &'d mut dyn Driver,
    calls: usize,
    done: bool,
}

impl Failing<'_> {
    fn call<T>(&mut self, call: impl FnOnce(&mut dyn Driver) -> Result<T, DriverError>) -> Result<T, DriverError> {
        if let Some(left) = self.calls.checked_sub(1) {
            self.calls = left;
            return call(self.driver);
        }
        if std::mem::take(&mut self.done) {
            call(self.driver)?;
        }
        Err(DriverError::new(DriverErrorKind::Unavailable, "the connection broke"))
    }
}

impl Driver for Failing<'_> {
    fn hashes(&mut self) -> Result<Hashes, DriverError> {
        self.call(|driver| driver.hashes())
    }

    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        self.call(|driver| driver.exchange(offers))
    }

    fn differences(&mut self, theirs: &BTreeMap<TaskId, Hash>) -> Result<Differences, DriverError> {
        self.call(|driver| driver.differences(theirs))
    }
}

/// A device's place.
enum Place {
    Store(StoreDriver),
    Other(Box<dyn Driver>),
}

impl Place {
    fn driver(&mut self) -> &mut dyn Driver {
        match self {
            Self::Store(driver) => driver,
            Self::Other(driver) => &mut **driver,
        }
    }

    fn store(&mut self) -> Option<&mut Store> {
        match self {
            Self::Store(driver) => Some(driver.store_mut()),
            Self::Other(_) => None,
        }
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Memory), Just(Kind::Folder), Just(Kind::Store), Just(Kind::Hub)]
}

fn any_step(tasks: usize) -> impl Strategy<Value = Step> {
    let (device, task, name) = (0..3_usize, 0..tasks, 0..2_usize);
    prop_oneof![
        4 => (device.clone(), task.clone(), name.clone()).prop_map(|(device, task, name)| Step::Set { device, task, name }),
        1 => (device.clone(), task.clone(), name.clone()).prop_map(|(device, task, name)| Step::Remove { device, task, name }),
        2 => (device.clone(), task.clone(), name, any::<bool>()).prop_map(|(device, task, tag, on)| Step::Tag { device, task, tag, on }),
        1 => (device.clone(), task).prop_map(|(device, task)| Step::Foreign { device, task }),
        3 => (device.clone(), device.clone()).prop_map(|(one, other)| Step::Sync { one, other }),
        2 => (device.clone(), device.clone(), 0..5_usize, any::<bool>())
            .prop_map(|(one, other, calls, done)| Step::Cut { one, other, calls, done }),
        1 => (device.clone(), -72..72_i64).prop_map(|(device, hours)| Step::Jump { device, hours }),
        3 => device.prop_map(|device| Step::Log { device }),
    ]
}

struct World {
    places: Vec<Place>,
    log: Log,
    /// The values that an edit replaced, knowing them.
    replaced: BTreeSet<(usize, &'static str, String)>,
    written: BTreeMap<(usize, &'static str, String), usize>,
    clocks: [i64; 3],
    next: usize,
    _directory: TempDir,
}

impl World {
    fn new(kinds: [Kind; 3], hub: &RunningHub) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Standing::at("2026-11-25T12:00:00Z");
        let open = |(n, kind): (usize, Kind)| -> Place {
            let env = env_with(n as u64, &clock);
            match kind {
                Kind::Memory => Place::Other(Box::new(Memory::default())),
                Kind::Folder => {
                    let options = FolderOptions { create: true, commit: false };
                    let root = directory.path().join(n.to_string());
                    Place::Other(Box::new(Folder::open(&root, env, options).unwrap()))
                }
                Kind::Hub => Place::Other(Box::new(hub.driver(hub.log()))),
                Kind::Store => Place::Store(StoreDriver::new(Store::in_memory(env).unwrap())),
            }
        };
        let places = kinds.into_iter().enumerate().map(open).collect();
        // One device's clock is a day ahead, another's an hour behind.
        let clocks = [0, 86_400, -3600];
        Self {
            places,
            log: Log::default(),
            replaced: BTreeSet::new(),
            written: BTreeMap::new(),
            clocks,
            next: 0,
            _directory: directory,
        }
    }

    fn read(&mut self, device: usize, task: usize) -> Document {
        let id: TaskId = IDS[task].parse().unwrap();
        match self.places[device].driver().exchange(&[Offer::nothing(id)]).unwrap().answers.remove(0) {
            Answer::Stands(document) => document.unwrap_or_else(|| Document::new(id)),
            refused @ Answer::Refused(_) => panic!("{refused:?}"),
        }
    }

    fn write(&mut self, device: usize, document: Document) {
        let answers = self.places[device].driver().exchange(&[Offer::of(document.clone())]).unwrap().answers;
        assert_eq!(answers, [Answer::Stands(Some(document))]);
    }

    /// Notes that what stands is about to be replaced by a new value, which it gives.
    fn new_value(&mut self, document: &Document, task: usize, name: &'static str) -> String {
        if let Some(Json::String(before)) = document.get(name) {
            self.replaced.insert((task, name, before.clone()));
        }
        self.next += 1;
        format!("value {}", self.next)
    }

    fn step(&mut self, step: &Step) {
        let who = |world: &Self, device: usize| {
            let second = world.clocks[device] + 1_795_608_000 + world.next as i64;
            let now = tolstoy_edn::Instant::from_micros(second * 1_000_000).to_string();
            author(["laptop", "phone", "tablet"][device], &now)
        };
        match *step {
            Step::Sync { one, other } if one == other => {}
            Step::Sync { one, other } => {
                let [a, b] = self.places.get_disjoint_mut([one, other]).unwrap();
                let (a, b) = (a.driver(), b.driver());
                let report = reconcile(a, b).unwrap();
                assert!(report.in_step && report.refused.is_empty(), "{report:?}");
                assert!(report.troubles.values().all(Vec::is_empty), "{report:?}");
                assert_eq!(a.hashes().unwrap(), b.hashes().unwrap());
            }
            Step::Cut { one, other, .. } if one == other => {}
            Step::Cut { one, other, calls, done } => {
                let [a, b] = self.places.get_disjoint_mut([one, other]).unwrap();
                let mut failing = Failing { driver: b.driver(), calls, done };
                match reconcile(a.driver(), &mut failing) {
                    Ok(report) => assert!(report.in_step, "{report:?}"),
                    Err(error) => assert_eq!(error.side, Side::There),
                }
            }
            Step::Jump { device, hours } => self.clocks[device] += hours * 3600,
            Step::Log { device } => {
                if let Some(store) = self.places[device].store() {
                    self.log.sync(store);
                }
            }
            Step::Set { device, task, name } => {
                let mut document = self.read(device, task);
                let value = self.new_value(&document, task, NAMES[name]);
                set(&mut document, &who(self, device), NAMES[name], &value);
                *self.written.entry((task, NAMES[name], value)).or_default() += 1;
                self.write(device, document);
            }
            Step::Remove { device, task, name } => {
                let mut document = self.read(device, task);
                self.new_value(&document, task, NAMES[name]);
                document.set(&who(self, device), NAMES[name], None).unwrap();
                self.write(device, document);
            }
            Step::Tag { device, task, tag, on } => {
                let mut document = self.read(device, task);
                document.tag(&who(self, device), TAGS[tag], on).unwrap();
                self.write(device, document);
            }
            Step::Foreign { device, task } => {
                let before = self.read(device, task);
                let Some(Json::String(old)) = before.get("description") else { return };
                let old = old.clone();
                let value = self.new_value(&before, task, "description");
                let document = doc(&before
                    .canonical()
                    .replace(&format!("\"description\":\"{old}\""), &format!("\"description\":\"{value}\"")));
                *self.written.entry((task, "description", value)).or_default() += 1;
                self.write(device, document);
            }
        }
    }

    /// Syncs all with each other.
    fn come_together(&mut self) {
        for _ in 0..2 {
            for (one, other) in [(0, 1), (1, 2), (2, 0)] {
                self.step(&Step::Sync { one, other });
            }
        }
    }

    /// Syncs all stores through the log alone, until none has anything to write.
    fn come_together_through_the_log(&mut self) {
        for _ in 0..3 {
            for device in 0..3 {
                self.step(&Step::Log { device });
                self.places[device].driver().hashes().unwrap();
                self.step(&Step::Log { device });
            }
        }
        let digests = self.places.iter_mut().map(|place| place.store().unwrap().facts_digest().unwrap());
        assert_eq!(digests.collect::<BTreeSet<_>>().len(), 1);
    }

    fn check(mut self) {
        for task in 0..IDS.len() {
            let documents: Vec<Document> = (0..3).map(|device| self.read(device, task)).collect();
            assert!(documents.iter().all(|document| *document == documents[0]), "{documents:#?}");
            for (of_task, name, value) in self.written.keys().filter(|(of_task, ..)| *of_task == task) {
                let is = |there: Option<&Json>| there == Some(&Json::from(value.as_str()));
                let stands = is(documents[0].get(name));
                let lost = documents[0].journal().iter().any(|lost| lost.property == *name && is(lost.value.as_ref()));
                let replaced = self.replaced.contains(&(*of_task, *name, value.clone()));
                assert!(stands || lost || replaced, "{value} of {name} is gone: {}", documents[0].canonical());
                assert!(!(replaced && lost), "{value} of {name} was replaced knowingly: {}", documents[0].canonical());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn three_devices_come_to_the_same_and_nothing_is_lost(
        kinds in [any_kind(), any_kind(), any_kind()],
        steps in vec(any_step(FEW), 1..40),
    ) {
        let mut world = World::new(kinds, &SHARED);
        steps.iter().for_each(|step| world.step(step));
        world.come_together();
        world.check();
    }

    #[test]
    fn three_stores_come_to_the_same_through_a_log_and_nothing_is_lost(steps in vec(any_step(FEW), 1..40)) {
        let mut world = World::new([Kind::Store; 3], &SHARED);
        let steps = steps.iter().filter(|step| !matches!(step, Step::Sync { .. } | Step::Cut { .. }));
        steps.for_each(|step| world.step(step));
        world.come_together_through_the_log();
        world.check();
    }
}

/// Plays the steps on a hub and two other places; the hub is killed after some of them.
fn with_a_hub(kinds: [Kind; 2], steps: &[(Step, bool)]) {
    let mut hub = RunningHub::start();
    let mut world = World::new([Kind::Hub, kinds[0], kinds[1]], &hub);
    for (step, is_killed) in steps {
        world.step(step);
        if *is_killed {
            hub.kill();
        }
    }
    world.come_together();
    world.check();
}

/// Long runs, each all of a seed: what places the devices have, what they do, which syncs are cut and when the hub is killed. One that fails
/// says its seed.
#[test]
fn of_no_seed_anything_is_lost() {
    for seed in 0..40_u8 {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let run = ([any_kind(), any_kind()], vec((any_step(IDS.len()), prop::bool::weighted(0.03)), 60..100));
        let (kinds, steps) = run.new_tree(&mut runner).unwrap().current();
        // What panics tells its thread's name.
        let named = thread::Builder::new().name(format!("seed {seed}"));
        thread::scope(|scope| named.spawn_scoped(scope, || with_a_hub(kinds, &steps)).unwrap().join().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_hub_that_is_killed_now_and_then_loses_nothing(
        kinds in [any_kind(), any_kind()],
        steps in vec((any_step(FEW), prop::bool::weighted(0.1)), 1..30),
    ) {
        with_a_hub(kinds, &steps);
    }
}

#[test]
fn a_reconciliation_tells_what_it_did() {
    let (mut here, mut there) = (Memory::default(), Memory::default());
    let base = doc(r#"{"id":"pb67wndxge8293xd","description":"milk"}"#);
    let (mut ours, mut theirs) = (base.clone(), base);
    set(&mut ours, &author("laptop", "2026-11-25T10:00:00Z"), "description", "soy milk");
    set(&mut theirs, &author("phone", "2026-11-25T10:00:01Z"), "description", "oat milk");
    let (only_here, only_there) = (doc(r#"{"id":"px6zrs3z46b8e5pg"}"#), doc(r#"{"id":"wbyzkrrrp7xb2rps"}"#));
    here.exchange(&[Offer::of(ours), Offer::of(only_here.clone())]).unwrap();
    there.exchange(&[Offer::of(theirs), Offer::of(only_there.clone())]).unwrap();
    let report = reconcile(&mut here, &mut there).unwrap();
    assert!(report.in_step);
    let both: TaskId = "pb67wndxge8293xd".parse().unwrap();
    assert_eq!(report.came, BTreeSet::from([both, only_there.id()]));
    assert_eq!(report.went, BTreeSet::from([both, only_here.id()]));
    assert_eq!(report.lost.len(), 1);
    assert_eq!(report.lost[0].1.value, Some(Json::from("soy milk")));
    let again = reconcile(&mut here, &mut there).unwrap();
    assert!(again.in_step && again.came.is_empty() && again.went.is_empty() && again.lost.is_empty(), "{again:?}");
    // Who had nothing has lost nothing, whatever others lost before.
    let first = reconcile(&mut Memory::default(), &mut there).unwrap();
    assert!(first.came.len() == 3 && first.lost.is_empty(), "{first:?}");
}

#[test]
fn what_one_side_refuses_keeps_nothing_else_back() {
    let (mut here, mut there) = (Memory::default(), Memory::default());
    let base = doc(r#"{"id":"pb67wndxge8293xd"}"#);
    let (mut ours, mut theirs) = (base.clone(), base);
    set(&mut ours, &author("laptop", "2026-11-25T10:00:00Z"), "description", &"a".repeat(600_000));
    set(&mut theirs, &author("phone", "2026-11-25T10:00:01Z"), "description", &"b".repeat(600_000));
    here.exchange(&[Offer::of(ours.clone()), Offer::of(doc(r#"{"id":"px6zrs3z46b8e5pg"}"#))]).unwrap();
    there.exchange(&[Offer::of(theirs)]).unwrap();
    let report = reconcile(&mut here, &mut there).unwrap();
    assert!(report.in_step);
    assert_eq!(report.refused.len(), 1);
    let (side, refusal) = &report.refused[&ours.id()];
    assert_eq!(*side, Side::There);
    assert!(refusal.to_string().contains("both sides together are too large"), "{refusal}");
    assert_eq!(there.hashes().unwrap().tasks.len(), 2);
    // Shortened, it goes on.
    set(&mut ours, &author("laptop", "2026-11-25T11:00:00Z"), "description", "short");
    here.exchange(&[Offer::of(ours)]).unwrap();
    let report = reconcile(&mut here, &mut there).unwrap();
    assert!(report.in_step && report.refused.is_empty());
    assert_eq!(here.hashes().unwrap(), there.hashes().unwrap());
}
