//! The garbage rule, as `docs/model.md` has it: what is dead, and its removal in steps that hold nobody up.
//!
//! A living pending transaction is one from which parents lead to HEAD. HEAD never moves back, so that what is dead stays
//! dead. A chunk is dead where neither a committed nor a living pending transaction names it. Both are removed once the
//! log's last upload is long enough ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tolstoy_proto::{ChunkId, LogId, TrnId};

use super::Service;
use crate::storage::{Life, PendingTrn, ReadTxn, StorageError, Swept, WriteTxn, loose_weight, weight};

/// How long a step holds the writer, in microseconds, but for the row that it is at.
const STEP: i64 = 3_000;

/// Rows that a step looks at, at most.
const STEP_ROWS: u64 = 256;

/// Chunks of one dead transaction that a step takes its name off: a transaction may name a hundred thousand.
const STEP_CHUNKS: usize = 256;

/// Free pages that a step gives back at most.
const STEP_PAGES: u32 = 64;

/// Half-received snapshots that a step drops at most: that is a mark on each, and what it marks is swept.
const HALVES: usize = 64;

/// Lives that are looked at together.
const LIVES: usize = 64;

/// What a collector has done since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcFigures {
    /// Times that it went through all logs.
    pub passes: u64,
    /// Write jobs.
    pub steps: u64,
    /// How long the longest of them took, in microseconds.
    pub longest_step: u64,
    /// Dead pending transactions removed.
    pub transactions: u64,
    /// Dead chunks removed.
    pub chunks: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Rows of deleted logs, and of snapshots that newer ones replaced, removed.
    pub swept_rows: u64,
    /// Bytes of those.
    pub swept_bytes: u64,
    /// Pages given back to the file system.
    pub pages: u64,
}

/// What garbage there is in a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Dead pending transactions.
    pub transactions: u64,
    /// Dead chunks.
    pub chunks: u64,
    /// Bytes of both.
    pub bytes: u64,
}

/// What a collector would remove now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Logs with garbage that is old enough.
    pub logs: Vec<(LogId, Garbage)>,
    /// What deleted logs and replaced snapshots left.
    pub swept: Swept,
}

/// What a step of a collector came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcStep {
    /// There may be more to do: go on, after a pause that lets others write.
    More,
    /// A pass is over.
    Idle,
}

/// Removes garbage, step by step. Each step is one short write job, or one short read.
#[derive(Debug)]
pub struct Collector {
    service: Service,
    at: At,
    figures: Arc<Mutex<GcFigures>>,
}

/// Where a pass is.
#[derive(Debug)]
enum At {
    /// What ended is swept.
    Sweeping,
    /// Logs after this life are looked for.
    Searching(Option<Life>),
    /// A life is gone through.
    Within(Life, Walk),
}

impl Collector {
    /// A collector of what the service keeps, which notes what it does in `figures`.
    pub fn new(service: Service, figures: Arc<Mutex<GcFigures>>) -> Self {
        Self { service, at: At::Sweeping, figures }
    }

    /// Does the next step, and waits until it is durable. Blocks.
    ///
    /// # Errors
    /// Where the storage failed. The next step goes on behind what it failed at, so that one damaged row does not keep all
    /// garbage; where the storage is only busy or full, at the same place.
    pub fn step(&mut self) -> Result<GcStep, StorageError> {
        let step = self.try_step();
        if matches!(step, Err(StorageError::Failed(_))) {
            self.at = match &self.at {
                At::Sweeping => At::Searching(None),
                At::Searching(_) => At::Sweeping,
                At::Within(life, _) => At::Searching(Some(*life)),
            };
        }
        step
    }

    fn try_step(&mut self) -> Result<GcStep, StorageError> {
        match &self.at {
            At::Sweeping => {
                let halves = self.service.shared.halves.some(HALVES);
                let dropped = halves.clone();
                let done = self.write(move |txn, clock| {
                    dropped.iter().try_for_each(|(life, id)| txn.drop_snapshot(*life, *id))?;
                    sweep(txn, clock)
                })?;
                self.service.shared.halves.remove(&halves);
                self.note(|figures| {
                    figures.swept_rows += done.swept.rows;
                    figures.swept_bytes += done.swept.bytes;
                    figures.pages += done.pages;
                });
                if !done.more {
                    self.at = At::Searching(None);
                }
            }
            At::Searching(after) => match self.search(*after)? {
                Found::Life(life) => self.at = At::Within(life, Walk::begin()),
                Found::After(life) => self.at = At::Searching(Some(life)),
                Found::Nothing => {
                    self.at = At::Sweeping;
                    self.note(|figures| figures.passes += 1);
                    return Ok(GcStep::Idle);
                }
            },
            At::Within(life, walk) => {
                let (life, walk, service) = (*life, walk.clone(), self.service.clone());
                let (walk, garbage) = self.write(move |txn, clock| service.collect(txn, clock, life, walk.clone()))?;
                self.note(|figures| {
                    figures.transactions += garbage.transactions;
                    figures.chunks += garbage.chunks;
                    figures.bytes += garbage.bytes;
                });
                self.at = match walk {
                    Walk::End => At::Searching(Some(life)),
                    walk => At::Within(life, walk),
                };
            }
        }
        Ok(GcStep::More)
    }

    fn note(&self, note: impl FnOnce(&mut GcFigures)) {
        note(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs a write job with a clock that says how long it has run.
    fn write<R: Send + 'static>(
        &self,
        rules: impl Fn(&mut dyn WriteTxn, &StepClock) -> Result<R, StorageError> + Send + 'static,
    ) -> Result<R, StorageError> {
        let service = self.service.clone();
        let answer = self.service.write(move |txn| {
            let clock = StepClock { begun: service.now().as_micros(), service: service.clone() };
            Ok((rules(txn, &clock)?, clock.elapsed()))
        });
        let (outcome, took) = answer.wait()?;
        self.note(|figures| {
            figures.steps += 1;
            figures.longest_step = figures.longest_step.max(took.max(0).cast_unsigned());
        });
        Ok(outcome)
    }

    /// The next life after this one whose garbage is old enough to be looked at.
    fn search(&self, after: Option<Life>) -> Result<Found, StorageError> {
        self.service.read(|txn| {
            let lives = txn.lives_with_uploads(after, LIVES)?;
            for life in &lives {
                if self.service.is_still(txn, *life)? {
                    return Ok(Found::Life(*life));
                }
            }
            Ok(lives.last().filter(|_| lives.len() == LIVES).map_or(Found::Nothing, |last| Found::After(*last)))
        })
    }
}

enum Found {
    Life(Life),
    /// None up to this one.
    After(Life),
    Nothing,
}

/// How long a step has run.
struct StepClock {
    begun: i64,
    service: Service,
}

impl StepClock {
    fn elapsed(&self) -> i64 {
        self.service.now().as_micros().saturating_sub(self.begun)
    }

    /// A clock that was set back ends the step too.
    fn is_up(&self) -> bool {
        !(0..STEP).contains(&self.elapsed())
    }
}

/// What a step of sweeping did.
struct Cleared {
    swept: Swept,
    pages: u64,
    /// Whether there may be more to do.
    more: bool,
}

fn sweep(txn: &mut dyn WriteTxn, clock: &StepClock) -> Result<Cleared, StorageError> {
    let mut all = Swept::default();
    loop {
        let swept = txn.sweep(32)?;
        all = Swept { rows: all.rows + swept.rows, bytes: all.bytes + swept.bytes, more: swept.more };
        if !swept.more || all.rows >= STEP_ROWS || clock.is_up() {
            break;
        }
    }
    // Pages are given back when nothing is left to sweep, and in a step that has the time.
    let more = all.more || clock.is_up();
    let pages = if more { 0 } else { txn.give_back(STEP_PAGES)? };
    Ok(Cleared { swept: all, pages, more: more || pages > 0 })
}

/// Where the walk through a life's uploads is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Walk {
    Pending(PendingWalk),
    /// Among the loose chunks after this one.
    Chunks(Option<ChunkId>),
    End,
}

/// Among the pending transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct PendingWalk {
    /// Those up to this one were seen.
    after: Option<TrnId>,
    /// The dead ones that lead here, each with the last of its children that was seen.
    dead: Vec<(TrnId, Option<TrnId>)>,
    /// The dead one that is being removed: the walk goes on when it is gone.
    removing: Option<TrnId>,
}

/// What a walk came to.
enum Seen {
    /// A dead pending transaction, again and again until it is [gone](Walk::gone).
    Dead(TrnId),
    /// A chunk that no committed transaction took: its bytes, and how often it is named.
    Loose(ChunkId, u64, u64),
    /// Nothing dead.
    Passed,
}

impl Walk {
    fn begin() -> Self {
        Self::Pending(PendingWalk::default())
    }

    /// The dead transaction that was seen last is removed.
    fn gone(&mut self) {
        if let Self::Pending(walk) = self {
            walk.removing = None;
        }
    }

    /// Goes on by one row.
    fn next(&mut self, txn: &dyn ReadTxn, life: Life) -> Result<Seen, StorageError> {
        match self {
            Self::Pending(walk) => {
                if let Some(id) = walk.removing {
                    return Ok(Seen::Dead(id));
                }
                // What grows from the dead is dead.
                if let Some((parent, last)) = walk.dead.last_mut() {
                    match txn.pending_child(life, *parent, *last)? {
                        Some(child) => {
                            *last = Some(child);
                            return Ok(walk.found(child));
                        }
                        None => walk.dead.pop(),
                    };
                    return Ok(Seen::Passed);
                }
                let Some(PendingTrn { id, parent }) = txn.pending_after(life, walk.after, 1)?.pop() else {
                    *self = Self::Chunks(None);
                    return Ok(Seen::Passed);
                };
                walk.after = Some(id);
                // It is decided where the branch begins.
                let begins = parent != txn.tip(life)?.id && !txn.is_pending(life, parent)?;
                Ok(if begins { walk.found(id) } else { Seen::Passed })
            }
            Self::Chunks(after) => match txn.loose_after(life, after.as_ref(), 1)?.pop() {
                Some(loose) => {
                    *after = Some(loose.id);
                    Ok(Seen::Loose(loose.id, loose.bytes, loose.named))
                }
                None => {
                    *self = Self::End;
                    Ok(Seen::Passed)
                }
            },
            Self::End => Ok(Seen::Passed),
        }
    }
}

impl PendingWalk {
    /// A dead one.
    fn found(&mut self, id: TrnId) -> Seen {
        self.dead.push((id, None));
        self.removing = Some(id);
        Seen::Dead(id)
    }
}

impl Service {
    /// Whether the last upload is long enough ago. A clock that was set back says no.
    fn is_still<T: ReadTxn + ?Sized>(&self, txn: &T, life: Life) -> Result<bool, StorageError> {
        let period = i64::try_from(self.policy().garbage_after.as_micros()).unwrap_or(i64::MAX);
        Ok(self.now().as_micros().saturating_sub(txn.usage(life)?.written) >= period)
    }

    /// Goes on with a life, as far as a step goes.
    fn collect(
        &self,
        txn: &mut dyn WriteTxn,
        clock: &StepClock,
        life: Life,
        mut walk: Walk,
    ) -> Result<(Walk, Garbage), StorageError> {
        let mut garbage = Garbage::default();
        // It may have been deleted meanwhile, or written again.
        if txn.log_of(life)?.is_none() || !self.is_still(txn, life)? {
            return Ok((Walk::End, garbage));
        }
        for _ in 0..STEP_ROWS {
            match walk.next(txn, life)? {
                Seen::Dead(id) => {
                    let removed = txn.remove_pending(life, id, STEP_CHUNKS)?;
                    garbage.bytes += removed.bytes;
                    if !removed.is_gone {
                        // Each part reads the whole list: one is enough for a step.
                        break;
                    }
                    garbage.transactions += 1;
                    walk.gone();
                }
                Seen::Loose(id, bytes, 0) => {
                    txn.remove_loose(life, &id)?;
                    garbage.chunks += 1;
                    garbage.bytes += loose_weight(bytes);
                }
                Seen::Loose(..) | Seen::Passed => {}
            }
            if walk == Walk::End || clock.is_up() {
                break;
            }
        }
        Ok((walk, garbage))
    }

    /// What a collector would remove now. It reads, and changes nothing; each log is looked at in a snapshot of its own.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn survey(&self) -> Result<Survey, StorageError> {
        let mut survey = Survey { logs: Vec::new(), swept: self.read(|txn| txn.to_sweep())? };
        let mut after = None;
        loop {
            let page = self.read(|txn| txn.lives_with_uploads(after, LIVES))?;
            let Some(last) = page.last() else { return Ok(survey) };
            after = Some(*last);
            for life in &page {
                survey.logs.extend(self.read(|txn| self.survey_life(txn, *life))?);
            }
        }
    }

    fn survey_life(&self, txn: &dyn ReadTxn, life: Life) -> Result<Option<(LogId, Garbage)>, StorageError> {
        let Some(log) = txn.log_of(life)? else { return Ok(None) };
        if !self.is_still(txn, life)? {
            return Ok(None);
        }
        let mut garbage = Garbage::default();
        // How often the dead name a chunk: where nobody else does, it goes with them.
        let mut named = HashMap::<ChunkId, u64>::new();
        let mut walk = Walk::begin();
        while walk != Walk::End {
            match walk.next(txn, life)? {
                Seen::Dead(id) => {
                    let chunks = txn.named_by(life, id)?;
                    garbage.transactions += 1;
                    garbage.bytes += weight(&chunks);
                    chunks.iter().for_each(|id| *named.entry(*id).or_default() += 1);
                    walk.gone();
                }
                Seen::Loose(id, bytes, by) if by <= named.get(&id).copied().unwrap_or_default() => {
                    garbage.chunks += 1;
                    garbage.bytes += loose_weight(bytes);
                }
                Seen::Loose(..) | Seen::Passed => {}
            }
        }
        Ok((garbage != Garbage::default()).then_some((log, garbage)))
    }
}

#[cfg(test)]
mod tests;
