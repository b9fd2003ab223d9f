//! Moving tasks between places: whatever happens on the way, nothing is lost.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use tempfile::TempDir;
use tolstoy_store::Store;
use tolstoy_tasks::driver::{
    Answer, Driver, DriverError, DriverErrorKind, Exchanged, Folder, FolderOptions, Hashes, Memory, Offer, Released,
    StoreDriver,
};
use tolstoy_tasks::{Document, Hash, Source, TaskId, reconcile_all, relocate, resolve};

use crate::common::{author, doc, env, set};

const IDS: [&str; 3] = ["pb67wndxge8293xd", "px6zrs3z46b8e5pg", "wbyzkrrrp7xb2rps"];
const KINDS: usize = 3;

fn task(n: usize, what: &str) -> Document {
    let mut document = doc(&format!(r#"{{"id":"{}","note":1.50}}"#, IDS[n]));
    set(&mut document, &author("laptop", "2026-11-25T09:00:00Z"), "description", what);
    document
}

fn place(kind: usize, directory: &TempDir, name: &str) -> Box<dyn Driver> {
    match kind {
        0 => Box::new(Memory::default()),
        1 => {
            let options = FolderOptions { create: true, commit: false };
            Box::new(Folder::open(&directory.path().join(name), env(1), options).unwrap())
        }
        _ => Box::new(StoreDriver::new(Store::in_memory(env(2)).unwrap())),
    }
}

fn offer(driver: &mut dyn Driver, document: &Document) {
    let answers = driver.exchange(&[Offer::of(document.clone())]).unwrap().answers;
    assert!(matches!(answers[..], [Answer::Stands(Some(_))]), "{answers:?}");
}

fn all(driver: &mut dyn Driver) -> BTreeMap<TaskId, Document> {
    let offers: Vec<Offer> = driver.hashes().unwrap().tasks.into_keys().map(Offer::nothing).collect();
    let answers = driver.exchange(&offers).unwrap().answers.into_iter();
    answers
        .map(|answer| match answer {
            Answer::Stands(Some(document)) => (document.id(), document),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A place that fails at its n-th call, or has somebody else edit a task before it.
struct Troubled {
    inner: Box<dyn Driver>,
    calls: Rc<Cell<usize>>,
    fails_at: usize,
    edit: Option<(usize, Document)>,
}

impl Troubled {
    fn call(&mut self) -> Result<(), DriverError> {
        let call = self.calls.get();
        self.calls.set(call + 1);
        if let Some((_, edited)) = self.edit.take_if(|(at, _)| *at == call) {
            offer(&mut *self.inner, &edited);
        }
        if call == self.fails_at {
            return Err(DriverError::new(DriverErrorKind::Failed, "the disk is gone"));
        }
        Ok(())
    }
}

impl Driver for Troubled {
    fn hashes(&mut self) -> Result<Hashes, DriverError> {
        self.call()?;
        self.inner.hashes()
    }

    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        self.call()?;
        self.inner.exchange(offers)
    }

    fn release(&mut self, tasks: &BTreeMap<TaskId, Hash>) -> Result<Released, DriverError> {
        self.call()?;
        self.inner.release(tasks)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_move_that_is_interrupted_loses_nothing(
        (from, to) in (0..KINDS, 0..KINDS),
        (source_fails, target_fails) in (0..8_usize, 0..8_usize),
        edited in prop::option::of((0..6_usize, any::<bool>())),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let wrap = |inner, fails_at| Troubled { inner, calls: Rc::default(), fails_at, edit: None };
        let mut source = wrap(place(from, &directory, "from"), source_fails);
        let mut target = wrap(place(to, &directory, "to"), target_fails);
        // One task is at both, and newer at the target; one is at the target alone.
        for (n, what) in ["milk", "fence"].into_iter().enumerate() {
            offer(&mut *source.inner, &task(n, what));
        }
        let mut newer = task(1, "fence");
        set(&mut newer, &author("phone", "2026-11-25T10:00:00Z"), "due", "2026-12-01");
        offer(&mut *target.inner, &newer);
        offer(&mut *target.inner, &task(2, "its own"));
        let mut meanwhile = task(0, "milk");
        set(&mut meanwhile, &author("tablet", "2026-11-25T11:00:00Z"), "size", "3");
        let mut everything = vec![task(0, "milk"), newer, task(2, "its own")];
        if let Some((at, at_source)) = edited {
            let side = if at_source { &mut source } else { &mut target };
            side.edit = Some((at, meanwhile.clone()));
        }

        let first = relocate(&mut source, &mut target, Source::LetsGo);
        let happened = |side: &Troubled| edited.is_some() && side.edit.is_none();
        if happened(&source) && edited.is_some_and(|(_, at_source)| at_source)
            || happened(&target) && edited.is_some_and(|(_, at_source)| !at_source)
        {
            everything[0] = meanwhile;
        }
        // Each task, and each edit, is whole in one of both.
        let (ours, theirs) = (all(&mut *source.inner), all(&mut *target.inner));
        for expected in &everything {
            let held = |side: &BTreeMap<TaskId, Document>| side.get(&expected.id()).cloned();
            let both = [held(&ours), held(&theirs)].into_iter().flatten().reduce(|a, b| resolve(&a, &b).unwrap());
            prop_assert_eq!(both.as_ref().map(|both| resolve(both, expected).unwrap()), both.clone(), "{:?}", first);
            prop_assert!(both.is_some());
        }

        // Said again without trouble, it ends.
        source.edit = None;
        target.edit = None;
        let second = relocate(&mut *source.inner, &mut *target.inner, Source::LetsGo).unwrap();
        prop_assert_eq!(second.stays, BTreeMap::new());
        prop_assert!(all(&mut *source.inner).is_empty());
        let theirs = all(&mut *target.inner);
        prop_assert_eq!(theirs.len(), 3);
        for expected in &everything {
            prop_assert_eq!(resolve(&theirs[&expected.id()], expected).unwrap(), theirs[&expected.id()].clone());
        }
    }
}

#[test]
fn a_copy_leaves_the_source_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for (from, to) in [(1, 2), (2, 1), (0, 1)] {
        let (mut from, mut to) = (place(from, &directory, "from"), place(to, &directory, "to"));
        offer(&mut *from, &task(0, "milk"));
        let before = all(&mut *from);
        let moved = relocate(&mut *from, &mut *to, Source::Keeps).unwrap();
        assert_eq!((moved.safe.len(), moved.released.len()), (before.len(), 0));
        assert_eq!(all(&mut *from), before);
        assert!(before.iter().all(|(id, document)| all(&mut *to).get(id) == Some(document)));
    }
}

#[test]
fn one_place_by_two_names_keeps_all() {
    let mut from = Memory::default();
    let mut to = from.clone();
    for (n, what) in ["milk", "fence"].into_iter().enumerate() {
        offer(&mut from, &task(n, what));
    }
    let before = all(&mut from);
    let moved = relocate(&mut from, &mut to, Source::LetsGo).unwrap();
    assert!(moved.released.is_empty() && moved.stays.len() == 2, "{moved:?}");
    assert!(moved.stays.values().all(|why| why.0.contains("are one")));
    assert_eq!(all(&mut to), before);
}

#[test]
fn what_the_target_refuses_stays() {
    let mut from = Memory::default();
    let mut to = Memory::default();
    // Together both are larger than a task may be.
    let long = |clock: &str, c: &str| {
        let mut document = task(0, "milk");
        set(&mut document, &author("laptop", clock), c, &c.repeat(600_000));
        document
    };
    offer(&mut from, &long("2026-11-25T10:00:00Z", "a"));
    offer(&mut from, &task(1, "fence"));
    offer(&mut to, &long("2026-11-25T10:00:00Z", "b"));
    let moved = relocate(&mut from, &mut to, Source::LetsGo).unwrap();
    assert_eq!(moved.stays.keys().map(TaskId::as_str).collect::<Vec<_>>(), [IDS[0]]);
    assert_eq!(all(&mut from).keys().map(TaskId::as_str).collect::<Vec<_>>(), [IDS[0]]);
    assert_eq!(all(&mut to).len(), 2);
}

#[test]
fn released_files_lie_beside_and_come_back_by_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let mut from = place(1, &directory, "from");
    for _ in 0..2 {
        offer(&mut *from, &task(0, "milk"));
        relocate(&mut *from, &mut Memory::default(), Source::LetsGo).unwrap();
        assert!(all(&mut *from).is_empty());
    }
    let moved = directory.path().join("from/moved");
    let (first, second) = (moved.join(format!("{}.json", IDS[0])), moved.join(format!("{}.2.json", IDS[0])));
    assert!(second.is_file());
    std::fs::rename(first, directory.path().join(format!("from/{}.json", IDS[0]))).unwrap();
    assert_eq!(all(&mut *from).into_values().collect::<Vec<_>>(), [task(0, "milk")]);
}

#[test]
fn all_upstreams_end_with_the_same_and_one_that_fails_keeps_none_back() {
    let mut local = Memory::default();
    let others: Vec<Memory> = (0..3).map(|_| Memory::default()).collect();
    for (n, driver) in others.iter().enumerate() {
        offer(&mut driver.clone(), &task(n, "theirs"));
    }
    let failing = Troubled { inner: Box::new(Memory::default()), calls: Rc::default(), fails_at: 0, edit: None };
    let mut upstreams: Vec<Box<dyn Driver>> =
        others.iter().map(|driver| Box::new(driver.clone()) as Box<dyn Driver>).collect();
    upstreams.insert(1, Box::new(failing));
    let reports = reconcile_all(&mut local, &mut upstreams);
    assert_eq!(reports.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    let everything = all(&mut local);
    assert_eq!(everything.len(), 3);
    for driver in others {
        assert_eq!(all(&mut driver.clone()), everything);
    }
}
