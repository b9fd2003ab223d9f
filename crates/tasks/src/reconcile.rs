//! Bringing two places in step.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::driver::{Answer, Differences, Driver, DriverError, Exchanged, Hashes, Offer, Trouble};
use crate::{Digest, Document, Hash, Lost, Refusal, TaskId};

/// How many tasks go into one exchange.
pub(crate) const BATCH: usize = 1000;
/// How often the maps are compared before whoever keeps writing is left to the next time.
const ROUNDS: usize = 16;

/// One of the two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The first.
    Here,
    /// The second.
    There,
}

/// What came of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The tasks that changed here.
    pub came: BTreeSet<TaskId>,
    /// The tasks that changed there.
    pub went: BTreeSet<TaskId>,
    /// The tasks that a side refused, and why: each side keeps what it has.
    pub refused: BTreeMap<TaskId, (Side, Refusal)>,
    /// What was lost in a conflict, as the journals of the tasks now have it. What came with a task that was not here is an old story.
    pub lost: Vec<(TaskId, Lost)>,
    /// What a side told of beside.
    pub troubles: BTreeMap<Side, Vec<Trouble>>,
    /// The digest of what was there when both were compared last: from then on a change there is news.
    pub there: Option<Digest>,
    /// Whether both sides have the same now, the refused tasks aside. They may not where others keep writing.
    pub in_step: bool,
}

/// A side failed as a whole. What was exchanged until then stands; the next reconciliation goes on from there.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct ReconcileError {
    /// Which.
    pub side: Side,
    /// How.
    #[source]
    pub error: DriverError,
}

/// Brings two places in step: compares hashes, exchanges what differs both ways, and goes round until they are equal.
///
/// # Errors
/// Where a side fails as a whole.
pub fn reconcile(here: &mut dyn Driver, there: &mut dyn Driver) -> Result<Report, ReconcileError> {
    let mut report = Report::default();
    for _ in 0..ROUNDS {
        let ours = hashes(Side::Here, here, &mut report)?;
        let mut theirs = differences(&ours, there, &mut report)?;
        theirs.retain(|id, _| !report.refused.contains_key(id));
        let differing: Vec<TaskId> = theirs.keys().copied().collect();
        if differing.is_empty() {
            report.in_step = true;
            break;
        }
        for batch in differing.chunks(BATCH) {
            carry_out(batch, &theirs, here, there, &mut report)?;
        }
    }
    Ok(report)
}

pub(crate) fn hashes(
    side: Side,
    driver: &mut dyn Driver,
    report: &mut Report,
) -> Result<BTreeMap<TaskId, Hash>, ReconcileError> {
    let Hashes { tasks, troubles } = driver.hashes().map_err(|error| ReconcileError { side, error })?;
    report.tell(side, troubles);
    Ok(tasks)
}

/// What the tasks that differ are there.
fn differences(
    ours: &BTreeMap<TaskId, Hash>,
    there: &mut dyn Driver,
    report: &mut Report,
) -> Result<BTreeMap<TaskId, Option<Hash>>, ReconcileError> {
    let side = Side::There;
    let found = there.differences(ours).map_err(|error| ReconcileError { side, error })?;
    let Differences { tasks, digest, troubles } = found;
    report.there = Some(digest);
    report.tell(side, troubles);
    Ok(tasks)
}

/// Exchanges these tasks, of which there were these hashes there `before`: what is here goes there, and what stands there then
/// comes here.
fn carry_out(
    ids: &[TaskId],
    before: &BTreeMap<TaskId, Option<Hash>>,
    here: &mut dyn Driver,
    there: &mut dyn Driver,
    report: &mut Report,
) -> Result<(), ReconcileError> {
    let asked: Vec<Offer> = ids.iter().copied().map(Offer::nothing).collect();
    let ours = exchange(Side::Here, here, &asked, report)?;
    let offers: Vec<Offer> =
        ours.iter().map(|(id, ours)| ours.clone().map_or_else(|| Offer::nothing(*id), Offer::of)).collect();
    let theirs = exchange(Side::There, there, &offers, report)?;
    let back: Vec<Offer> = theirs
        .iter()
        .filter(|(id, theirs)| ours.get(id) != Some(*theirs))
        .filter_map(|(_, theirs)| theirs.clone().map(Offer::of))
        .collect();
    let came = exchange(Side::Here, here, &back, report)?;
    report.came.extend(came.keys());
    let changed = |id: &TaskId, now: &Document| before.get(id) != Some(&Some(now.hash()));
    report
        .went
        .extend(theirs.iter().filter(|(id, now)| now.as_ref().is_some_and(|now| changed(id, now))).map(|(id, _)| id));
    for (id, now) in &theirs {
        if let (Some(Some(before)), Some(now)) = (ours.get(id), now) {
            report.lost.extend(lost(before, now).map(|lost| (*id, lost)));
        }
    }
    Ok(())
}

/// What a document has lost that it had not lost before.
fn lost(before: &Document, now: &Document) -> impl Iterator<Item = Lost> + use<> {
    let known: BTreeSet<(String, String)> =
        before.journal().into_iter().map(|lost| (lost.property, lost.clock)).collect();
    now.journal().into_iter().filter(move |lost| !known.contains(&(lost.property.clone(), lost.clock.clone())))
}

/// Exchanges, and gives what stands of the tasks that are not refused.
pub(crate) fn exchange(
    side: Side,
    driver: &mut dyn Driver,
    offers: &[Offer],
    report: &mut Report,
) -> Result<BTreeMap<TaskId, Option<Document>>, ReconcileError> {
    if offers.is_empty() {
        return Ok(BTreeMap::new());
    }
    let Exchanged { answers, troubles } = driver.exchange(offers).map_err(|error| ReconcileError { side, error })?;
    report.tell(side, troubles);
    let mut stands = BTreeMap::new();
    for (offer, answer) in offers.iter().zip(answers) {
        match answer {
            Answer::Stands(document) => drop(stands.insert(offer.id(), document)),
            Answer::Refused(refusal) => drop(report.refused.insert(offer.id(), (side, refusal))),
        }
    }
    Ok(stands)
}

impl Report {
    /// Takes in what came of a later reconciliation of the same places.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.came.extend(later.came);
        self.went.extend(later.went);
        self.refused = later.refused;
        self.lost.extend(later.lost);
        self.there = later.there;
        later.troubles.into_iter().for_each(|(side, troubles)| self.tell(side, troubles));
        self.in_step = later.in_step;
    }

    pub(crate) fn tell(&mut self, side: Side, troubles: Vec<Trouble>) {
        let told = self.troubles.entry(side).or_default();
        let new: Vec<Trouble> = troubles.into_iter().filter(|trouble| !told.contains(trouble)).collect();
        told.extend(new);
    }
}
