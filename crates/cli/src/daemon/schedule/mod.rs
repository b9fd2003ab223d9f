//! Which pair is synced when: a state machine without I/O, clocks or chance. It is told what happened and when, and says what to
//! begin and when to be asked again. `docs/daemon.md` has its states and what it promises.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tolstoy_edn::Instant;

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// After how long a pair with remarks is looked at again first: a folder gives a file that is cut off ten seconds to become whole.
const FIRST_RECHECK: Duration = Duration::from_secs(15);
/// How long a stuck pair is left alone at least, however often its places change.
const STUCK_REST: Duration = Duration::from_secs(5);
/// A place that never is quiet for `settle` is synced after so many times as long.
const PATIENCE: u32 = 10;

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since the daemon began, by a clock that never goes back and may stand still while the machine sleeps.
    pub(crate) elapsed: Duration,
    /// By the clock on the wall. Shown, and never reckoned with.
    pub(crate) wall: Instant,
}

/// What a pair is called among the others; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PairId(pub(crate) u64);

/// What a place is called that only one sync may work on at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PlaceKey(pub(crate) String);

/// How the syncs are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How many syncs are under way at once.
    pub(crate) concurrent: usize,
    /// How long a place is quiet before it is synced.
    pub(crate) settle: Duration,
    /// After how long a pair in step is synced although nothing was seen to change.
    pub(crate) recheck: Duration,
    /// The longest pause after failures.
    pub(crate) retry: Duration,
}

/// A number below 2^32, by chance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(pub(crate) u32);

/// Why a sync failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Whether it may pass with nobody doing anything.
    pub(crate) may_pass: bool,
    /// Its word for programs.
    pub(crate) word: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// How many tasks, or transactions, came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) came: u64,
    pub(crate) went: u64,
}

/// How a sync ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Both sides are equal, but for what the remarks say.
    InStep { moved: Moved, remarks: Vec<String> },
    /// It failed. What it had done until then stands.
    Failed(Problem),
}

/// The name of a pair's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateName {
    Changed,
    Syncing,
    InStep,
    Waiting,
    Stuck,
}

/// What is known of a pair.
#[derive(Debug)]
pub(crate) struct View<'s> {
    pub(crate) state: StateName,
    /// When that began; of who waits or is stuck, the first failure.
    pub(crate) since: Instant,
    /// When the last sync that succeeded ended.
    pub(crate) synced: Option<Instant>,
    /// When the first of an unbroken row of syncs ended that found nothing to move.
    pub(crate) in_step_since: Option<Instant>,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// The last failure, until a sync succeeds.
    pub(crate) problem: Option<&'s Problem>,
    /// When the next sync is planned.
    pub(crate) next: Option<Duration>,
    pub(crate) remarks: &'s [String],
    /// Since the pair was added.
    pub(crate) moved: Moved,
}

#[derive(Debug)]
enum State {
    /// To be synced, once it is quiet.
    Changed {
        /// When the first change was seen.
        first: Duration,
        due: Duration,
    },
    Syncing {
        /// Whether a change was seen since it began.
        changed: bool,
        /// Whether the network or the machine came back since it began.
        returned: bool,
    },
    InStep {
        recheck: Duration,
    },
    /// The last sync failed; its problem says whether somebody has to do something.
    Failed {
        at: Duration,
        again: Duration,
    },
}

#[derive(Debug)]
struct Pair {
    places: BTreeSet<PlaceKey>,
    state: State,
    since: Instant,
    synced: Option<Instant>,
    in_step_since: Option<Instant>,
    failures: u32,
    problem: Option<Problem>,
    /// When the first of these failures was.
    failing_since: Option<Instant>,
    remarks: Vec<String>,
    /// Syncs in a row that ended with remarks.
    remarked: u32,
    /// Failures in a row to be told of the other side's changes.
    unheard: u32,
    moved: Moved,
}

/// All pairs.
#[derive(Debug)]
pub(crate) struct Schedule {
    rules: Rules,
    pairs: BTreeMap<PairId, Pair>,
}

impl Schedule {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, pairs: BTreeMap::new() }
    }

    /// Takes other rules, for what is planned from now on.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Adds a pair, which nobody has looked at yet.
    pub(crate) fn add(&mut self, id: PairId, places: BTreeSet<PlaceKey>, now: Now) {
        let pair = Pair {
            places,
            state: State::Changed { first: now.elapsed, due: now.elapsed },
            since: now.wall,
            synced: None,
            in_step_since: None,
            failures: 0,
            problem: None,
            failing_since: None,
            remarks: Vec::new(),
            remarked: 0,
            unheard: 0,
            moved: Moved::default(),
        };
        self.pairs.insert(id, pair);
    }

    /// Forgets a pair. How its sync ends is of no interest any more, but it keeps its places until then: so it is called when
    /// no sync of the pair is under way.
    pub(crate) fn remove(&mut self, id: PairId) {
        self.pairs.remove(&id);
    }

    /// A place of the pair is not as it was before the last sync that succeeded began.
    pub(crate) fn changed(&mut self, id: PairId, now: Now) {
        let settle = self.rules.settle;
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        let quiet = now.elapsed + settle;
        match &mut pair.state {
            State::Syncing { changed, .. } => *changed = true,
            State::Changed { first, due } => *due = quiet.max(*due).min(*first + settle * PATIENCE),
            State::InStep { .. } => pair.enter(State::Changed { first: now.elapsed, due: quiet }, now),
            State::Failed { at, again } => {
                if pair.problem.as_ref().is_some_and(|problem| !problem.may_pass) {
                    *again = quiet.max(*at + STUCK_REST).min(*again);
                }
            }
        }
    }

    /// What the pair waited for is back.
    pub(crate) fn returned(&mut self, id: PairId, now: Now) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        match &mut pair.state {
            State::Failed { .. } => pair.enter(State::due(now), now),
            State::Syncing { returned, .. } => *returned = true,
            State::Changed { .. } | State::InStep { .. } => {}
        }
    }

    /// The network or the machine came back, or somebody asks: all pairs are looked at, and those that failed begin anew.
    pub(crate) fn all_returned(&mut self, now: Now) {
        for pair in self.pairs.values_mut() {
            pair.failures = 0;
            pair.unheard = 0;
            match &mut pair.state {
                State::Syncing { changed, returned } => (*changed, *returned) = (true, true),
                State::Changed { due, .. } => *due = now.elapsed.min(*due),
                State::InStep { .. } | State::Failed { .. } => pair.enter(State::due(now), now),
            }
        }
    }

    /// The other side tells of its changes.
    pub(crate) fn heard(&mut self, id: PairId) {
        if let Some(pair) = self.pairs.get_mut(&id) {
            pair.unheard = 0;
        }
    }

    /// The other side does not tell of its changes any more: so it has to be asked, sooner or later.
    pub(crate) fn unheard(&mut self, id: PairId, now: Now, chance: Chance) {
        let longest = self.rules.retry;
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        pair.unheard = pair.unheard.saturating_add(1);
        if let State::InStep { recheck } = &mut pair.state {
            *recheck = (now.elapsed + pause(pair.unheard, longest, chance)).min(*recheck);
        }
    }

    /// The syncs to begin now. Each has to be [ended](Self::ended).
    pub(crate) fn begin(&mut self, now: Now) -> Vec<PairId> {
        for pair in self.pairs.values_mut() {
            if let State::InStep { recheck: at } | State::Failed { again: at, .. } = pair.state
                && at <= now.elapsed
            {
                pair.enter(State::Changed { first: at, due: at }, now);
            }
        }
        let is_syncing = |pair: &&Pair| matches!(pair.state, State::Syncing { .. });
        let mut room = self.rules.concurrent.saturating_sub(self.pairs.values().filter(is_syncing).count());
        let mut taken: BTreeSet<PlaceKey> =
            self.pairs.values().filter(is_syncing).flat_map(|pair| pair.places.iter().cloned()).collect();
        let mut due: Vec<(Duration, PairId)> = self
            .pairs
            .iter()
            .filter_map(|(id, pair)| match pair.state {
                State::Changed { due, .. } if due <= now.elapsed => Some((due, *id)),
                _ => None,
            })
            .collect();
        due.sort_unstable();
        let mut begun = Vec::new();
        for (_, id) in due {
            let Some(pair) = self.pairs.get_mut(&id) else { continue };
            let is_free = pair.places.is_disjoint(&taken);
            // Also those of a pair that has to wait: else two others could keep it from ever having both at once.
            taken.extend(pair.places.iter().cloned());
            if is_free && room > 0 {
                room -= 1;
                pair.enter(State::Syncing { changed: false, returned: false }, now);
                begun.push(id);
            }
        }
        begun
    }

    /// A sync ended.
    pub(crate) fn ended(&mut self, id: PairId, outcome: Outcome, now: Now, chance: Chance) {
        let rules = self.rules;
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        let State::Syncing { changed, returned } = pair.state else { return };
        let state = match outcome {
            Outcome::InStep { moved, remarks } => {
                pair.succeeded(moved, remarks, now);
                let recheck = match pair.remarked {
                    0 => rules.recheck,
                    n => doubled(FIRST_RECHECK, n).min(rules.recheck),
                };
                if changed {
                    State::Changed { first: now.elapsed, due: now.elapsed + rules.settle }
                } else {
                    State::InStep { recheck: now.elapsed + recheck }
                }
            }
            Outcome::Failed(problem) => {
                pair.failures = if returned { 0 } else { pair.failures.saturating_add(1) };
                pair.in_step_since = None;
                let row = if problem.may_pass { pair.failures } else { u32::MAX };
                pair.problem = Some(problem);
                pair.failing_since.get_or_insert(now.wall);
                if returned {
                    State::due(now)
                } else {
                    State::Failed { at: now.elapsed, again: now.elapsed + pause(row, rules.retry, chance) }
                }
            }
        };
        pair.enter(state, now);
    }

    /// When to be asked for syncs to begin again, if nothing happens before.
    pub(crate) fn next(&self, now: Now) -> Option<Duration> {
        // What is due already waits for a sync that has to end.
        self.pairs.values().filter_map(|pair| pair.planned()).filter(|at| *at > now.elapsed).min()
    }

    /// What is known of a pair.
    pub(crate) fn view(&self, id: PairId) -> Option<View<'_>> {
        let pair = self.pairs.get(&id)?;
        // Who failed waits until a sync succeeds, also for the moment in which the next one is due.
        let failed =
            pair.problem.as_ref().map(|problem| if problem.may_pass { StateName::Waiting } else { StateName::Stuck });
        let (state, since) = match (&pair.state, failed) {
            (State::Syncing { .. }, _) => (StateName::Syncing, pair.since),
            (State::InStep { .. }, _) => (StateName::InStep, pair.since),
            (_, Some(failed)) => (failed, pair.failing_since.unwrap_or(pair.since)),
            (_, None) => (StateName::Changed, pair.since),
        };
        Some(View {
            state,
            since,
            synced: pair.synced,
            in_step_since: pair.in_step_since,
            failures: pair.failures,
            problem: pair.problem.as_ref(),
            next: pair.planned(),
            remarks: &pair.remarks,
            moved: pair.moved,
        })
    }
}

impl Pair {
    fn enter(&mut self, state: State, now: Now) {
        self.state = state;
        self.since = now.wall;
    }

    fn succeeded(&mut self, moved: Moved, remarks: Vec<String>, now: Now) {
        self.failures = 0;
        self.problem = None;
        self.failing_since = None;
        self.synced = Some(now.wall);
        if moved != Moved::default() || self.in_step_since.is_none() {
            self.in_step_since = Some(now.wall);
        }
        self.moved.came = self.moved.came.saturating_add(moved.came);
        self.moved.went = self.moved.went.saturating_add(moved.went);
        self.remarked = if remarks.is_empty() { 0 } else { self.remarked.saturating_add(1) };
        self.remarks = remarks;
    }

    fn planned(&self) -> Option<Duration> {
        match self.state {
            State::Changed { due: at, .. } | State::InStep { recheck: at } | State::Failed { again: at, .. } => {
                Some(at)
            }
            State::Syncing { .. } => None,
        }
    }
}

impl State {
    fn due(now: Now) -> Self {
        Self::Changed { first: now.elapsed, due: now.elapsed }
    }
}

/// The pause after so many failures in a row: between half and all of what it could be at most.
fn pause(row: u32, longest: Duration, chance: Chance) -> Duration {
    let most = doubled(FIRST_PAUSE, row).min(longest);
    most / 2 + (most / 2).mul_f64(f64::from(chance.0) / f64::from(u32::MAX))
}

/// The n-th of lengths that each are twice the one before.
fn doubled(first: Duration, n: u32) -> Duration {
    first.saturating_mul(1 << n.saturating_sub(1).min(24))
}
