//! Moving tasks from one place to another: copy, verify, let go. `docs/tasks.md`, Moving.

use std::collections::{BTreeMap, BTreeSet};

use crate::driver::{Driver, Offer, Released};
use crate::reconcile::{BATCH, ReconcileError, Report, Side, exchange, hashes};
use crate::{Document, Hash, Refusal, TaskId, resolve};

/// What becomes of the tasks at the source once the target has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It lets go of them.
    LetsGo,
    /// It keeps them: this is a copy.
    Keeps,
}

/// What came of a move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// The tasks that changed at the target.
    pub copied: BTreeSet<TaskId>,
    /// The tasks that the target holds all of.
    pub safe: BTreeSet<TaskId>,
    /// The tasks that the source has let go of.
    pub released: BTreeSet<TaskId>,
    /// The tasks that stay at the source although they were to go, and why.
    pub stays: BTreeMap<TaskId, Refusal>,
    /// What either side told of beside; the source is `Here`, the target `There`.
    pub told: Report,
}

/// Moves all tasks of one place to another. No task leaves the source before the target has been read to hold all of it, so that
/// an interrupted move loses nothing, and the next goes on from there.
///
/// # Errors
/// Where a side fails as a whole; the source is `Here`, the target `There`.
pub fn relocate(from: &mut dyn Driver, to: &mut dyn Driver, source: Source) -> Result<Moved, ReconcileError> {
    let mut moved = Moved::default();
    let ours = hashes(Side::Here, from, &mut moved.told)?;
    copy(&ours, from, to, &mut moved)?;
    let safe = verify(&ours, from, to, &mut moved)?;
    moved.safe = safe.keys().copied().collect();
    if source == Source::LetsGo {
        let_go(&safe, from, to, &mut moved)?;
    }
    for (id, (_, refusal)) in &moved.told.refused {
        moved.stays.entry(*id).or_insert_with(|| refusal.clone());
    }
    Ok(moved)
}

/// Offers the target what it lacks or has otherwise.
fn copy(
    ours: &BTreeMap<TaskId, Hash>,
    from: &mut dyn Driver,
    to: &mut dyn Driver,
    moved: &mut Moved,
) -> Result<(), ReconcileError> {
    let theirs = hashes(Side::There, to, &mut moved.told)?;
    let differing: Vec<TaskId> =
        ours.iter().filter(|(id, hash)| theirs.get(id) != Some(hash)).map(|(id, _)| *id).collect();
    for batch in differing.chunks(BATCH) {
        let asked: Vec<Offer> = batch.iter().copied().map(Offer::nothing).collect();
        let documents = exchange(Side::Here, from, &asked, &mut moved.told)?;
        let offers: Vec<Offer> = documents.into_values().flatten().map(Offer::of).collect();
        for (id, stands) in exchange(Side::There, to, &offers, &mut moved.told)? {
            if stands.is_some_and(|stands| theirs.get(&id) != Some(&stands.hash())) {
                moved.copied.insert(id);
            }
        }
    }
    Ok(())
}

/// Reads the target anew. Gives the tasks that it holds all of, with the source's hashes.
fn verify(
    ours: &BTreeMap<TaskId, Hash>,
    from: &mut dyn Driver,
    to: &mut dyn Driver,
    moved: &mut Moved,
) -> Result<BTreeMap<TaskId, Hash>, ReconcileError> {
    let theirs = hashes(Side::There, to, &mut moved.told)?;
    let (mut safe, mut unequal) = (BTreeMap::new(), Vec::new());
    for (id, hash) in ours.iter().filter(|(id, _)| !moved.told.refused.contains_key(id)) {
        if theirs.get(id) == Some(hash) {
            safe.insert(*id, *hash);
        } else {
            unequal.push(Offer::nothing(*id));
        }
    }
    for batch in unequal.chunks(BATCH) {
        let mut theirs = exchange(Side::There, to, batch, &mut moved.told)?;
        for (id, source) in exchange(Side::Here, from, batch, &mut moved.told)? {
            // What is not at the source any more has nothing to lose there.
            let Some(source) = source else { continue };
            let target = theirs.remove(&id).flatten();
            if target.is_some_and(|target| holds(&target, &source)) {
                safe.insert(id, source.hash());
            } else {
                let why = "it was edited while the move went on: move again".to_owned();
                moved.stays.insert(id, Refusal(why));
            }
        }
    }
    Ok(safe)
}

/// Whether a document holds all of another.
fn holds(target: &Document, source: &Document) -> bool {
    resolve(target, source).as_ref() == Ok(target)
}

/// Has the source let go of these. The first goes alone, to see that it is still at the target: two names may be those of one place.
fn let_go(
    safe: &BTreeMap<TaskId, Hash>,
    from: &mut dyn Driver,
    to: &mut dyn Driver,
    moved: &mut Moved,
) -> Result<(), ReconcileError> {
    let Some((first, hash)) = safe.first_key_value() else { return Ok(()) };
    let before = exchange(Side::Here, from, &[Offer::nothing(*first)], &mut moved.told)?.remove(first).flatten();
    release(&BTreeMap::from([(*first, *hash)]), from, moved)?;
    if moved.released.contains(first) {
        let there = exchange(Side::There, to, &[Offer::nothing(*first)], &mut moved.told)?.remove(first).flatten();
        if there.is_none() {
            let back: Vec<Offer> = before.into_iter().map(Offer::of).collect();
            exchange(Side::Here, from, &back, &mut moved.told)?;
            moved.released.clear();
            let why = Refusal("both places are one".to_owned());
            moved.stays.extend(safe.keys().map(|id| (*id, why.clone())));
            return Ok(());
        }
    }
    let rest = safe.iter().skip(1).map(|(id, hash)| (*id, *hash)).collect();
    release(&rest, from, moved)
}

fn release(tasks: &BTreeMap<TaskId, Hash>, from: &mut dyn Driver, moved: &mut Moved) -> Result<(), ReconcileError> {
    let Released { released, kept, troubles } =
        from.release(tasks).map_err(|error| ReconcileError { side: Side::Here, error })?;
    moved.released.extend(released);
    moved.stays.extend(kept);
    moved.told.tell(Side::Here, troubles);
    Ok(())
}

/// Brings a local place in step with each of these, in turn; and, where a later one brought something, once more with those before
/// it. One that fails keeps none of the others from it.
pub fn reconcile_all(local: &mut dyn Driver, upstreams: &mut [Box<dyn Driver>]) -> Vec<Result<Report, ReconcileError>> {
    let mut reports: Vec<Result<Report, ReconcileError>> =
        upstreams.iter_mut().map(|upstream| crate::reconcile(local, &mut **upstream)).collect();
    let brought = |report: &Result<Report, ReconcileError>| report.as_ref().is_ok_and(|report| !report.came.is_empty());
    let last = reports.iter().rposition(brought).unwrap_or(0);
    for (upstream, report) in upstreams.iter_mut().zip(&mut reports).take(last) {
        if let Ok(first) = report {
            match crate::reconcile(local, &mut **upstream) {
                Ok(second) => first.absorb(second),
                Err(error) => *report = Err(error),
            }
        }
    }
    reports
}
