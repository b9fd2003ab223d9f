//! What to do next: a state machine without I/O. Events go in, actions come out; `carry_out` is its only driver in this
//! crate, and any other runtime can be one.
//!
//! It begins with one request: a push where the store has changes that the log lacks, else a pull. Each answer either
//! settles the matter or leads to a step on the store and, where changes are left, to the next push. So a sync without
//! changes, and a fast-forward either way, is one round trip; a merge is two.

use std::time::Duration;

use tolstoy_proto::{Generation, LogState, Seq, SnapshotWanted, Urgency};
use tolstoy_store::{Entid, Rebased};

use crate::report::{Outcome, PassReport, SyncReport};
use crate::transport::Begin;

/// Where the store stands, relative to what it knows of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The newest transaction of main.
    pub basis: Entid,
    /// The newest that is known to be in the log; where none is, the one that the log's first follows: the bootstrap or,
    /// where that is the log's first, the number before it.
    pub synced: Entid,
    /// The log's generation, as known.
    pub generation: Option<Generation>,
}

impl Local {
    /// How many transactions the log is not known to have. The bootstrap is in every store, and by itself nothing to push.
    fn ahead(&self) -> u64 {
        between(self.synced, self.basis)
    }
}

/// How many transactions there are after `from` up to `to`, the bootstrap left out.
fn between(from: Entid, to: Entid) -> u64 {
    u64::try_from(to.get().saturating_sub(from.max(Entid::TX0).get())).unwrap_or(0)
}

/// What arrived, after it was compared with what the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// The log's state.
    pub state: LogState,
    /// The newest transaction that store and log have in common.
    pub root: Entid,
    /// How many transactions the log has above the root.
    pub incoming: u64,
    /// Whether it came instead of an acknowledgement.
    pub conflict: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The beginning.
    Begin(Local),
    /// The log has the transactions pushed; the store has noted it.
    Pushed {
        /// How many they were.
        sent: u64,
        /// The store now.
        local: Local,
        /// Whether the hub wants a snapshot.
        wanted: Option<SnapshotWanted>,
    },
    /// A stream arrived whole.
    Arrived(Arrived),
    /// Instead of an acknowledgement it came that the log is in another generation than the store knows.
    OtherGeneration(LogState),
    /// The store has forgotten what it knew of the log, as [`Action::Forget`] demanded.
    Forgotten(Local),
    /// The store was brought in line with the root, as [`Action::Settle`] demanded.
    Settled(Local),
    /// The store took in what arrived, as [`Action::Apply`] demanded.
    Applied {
        /// What happened to it.
        rebased: Rebased,
        /// How many of the transactions applied came in a snapshot.
        from_snapshot: u64,
        /// The store now.
        local: Local,
    },
    /// What arrived began with a snapshot that is of no use. The store is as it was.
    Unusable,
    /// The snapshot was made, or not.
    Offered,
    /// The pause is over.
    Waited,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask for what the log has above what the store has of it. Answer with [`Event::Arrived`].
    Pull(Begin),
    /// Push what the store has above `after`. Answer with [`Event::Pushed`] or [`Event::Arrived`].
    Push {
        /// The newest transaction that the log has.
        after: Entid,
    },
    /// Note that the log has exactly the store's transactions up to `root`. Answer with [`Event::Settled`].
    Settle {
        /// The newest common transaction.
        root: Entid,
    },
    /// Rebase the store onto what arrived. Answer with [`Event::Applied`] or [`Event::Unusable`].
    Apply {
        /// The newest common transaction.
        root: Entid,
    },
    /// Forget what the log was in the generation that the store knew: nothing of main is known to be in it any more. Answer
    /// with [`Event::Forgotten`].
    Forget,
    /// Pause for a random time of at most this. Answer with [`Event::Waited`].
    Wait(Duration),
    /// Make a snapshot of the log up to `at`, and give it to the hub. Whether that succeeds does not matter to the sync.
    /// Answer with [`Event::Offered`].
    Offer {
        /// The newest transaction that the log has.
        at: Entid,
    },
    /// Done; [`Engine::into_report`] has the report.
    Finish,
    /// Stop unfinished.
    Stop(Stop),
}

/// Why a sync stops unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The log was wiped or begun anew, and nobody said what to do then.
    Generation(LogState),
    /// The log's new life was to be joined, and it is empty.
    NothingToAdopt(LogState),
    /// The log was to be filled again, and it is not empty.
    NotEmpty(LogState),
    /// The race for HEAD was lost this often.
    Contended(u32),
}

/// What to do where the log is in another generation than the store knows: it was wiped, or begun anew. Nothing of it is done
/// unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OtherLife {
    /// Change nothing, and say so.
    #[default]
    Stop,
    /// Join the log's new life: what it has comes first, and what this store has and it lacks is re-applied on top. Only
    /// where it has something.
    Adopt,
    /// Fill the log again with this store's whole history. Only where it is empty, so that nothing is destroyed.
    Reseed,
}

/// The state machine of one sync.
#[derive(Debug)]
pub struct Engine {
    report: SyncReport,
    local: Local,
    conflicts: u32,
    max_conflicts: u32,
    other_life: OtherLife,
    /// The snapshot that the hub wants and that is still to be made.
    wanted: Option<SnapshotWanted>,
    makes_snapshots: bool,
}

/// The first pause after a lost race is at most this; each further one at most twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(40);

/// A snapshot that would only be good to have is made where so many times what came since the last one is all of the log:
/// then all snapshots together hold a few times what the log does, however long it grows.
const CHEAP: u64 = 4;

impl Engine {
    /// An engine that gives up after so many lost races, does this with another life of the log, and makes snapshots or not.
    pub fn new(max_conflicts: u32, other_life: OtherLife, makes_snapshots: bool) -> Self {
        let local = Local { basis: Entid::TX0, synced: Entid::TX0, generation: None };
        let report = SyncReport::default();
        Self { report, local, conflicts: 0, max_conflicts, other_life, wanted: None, makes_snapshots }
    }

    /// What was done, for the driver to add its counts to.
    pub fn report_mut(&mut self) -> &mut SyncReport {
        &mut self.report
    }

    /// What was done.
    pub fn into_report(self) -> SyncReport {
        self.report
    }

    /// Takes an event and says what to do next.
    pub fn step(&mut self, event: Event) -> Action {
        match event {
            Event::Begin(local) => {
                self.local = local;
                match (local.ahead(), local.basis) {
                    (0, Entid::TX0) => Action::Pull(Begin::Snapshot),
                    (0, _) => Action::Pull(Begin::Transactions),
                    _ => Action::Push { after: local.synced },
                }
            }
            Event::Pushed { sent, local, wanted } => {
                self.local = local;
                self.wanted = wanted;
                self.conflicts = 0;
                self.pass(Outcome::RemoteFastForward, sent);
                self.push_or_finish()
            }
            Event::Arrived(arrived) => self.arrived(arrived),
            Event::OtherGeneration(state) => self.another_life(state),
            Event::Forgotten(local) => {
                self.local = local;
                match self.other_life {
                    OtherLife::Adopt => Action::Pull(Begin::Transactions),
                    _ => self.push_or_finish(),
                }
            }
            Event::Settled(local) => {
                self.local = local;
                self.push_or_finish()
            }
            Event::Applied { rebased, from_snapshot, local } => self.applied(rebased, from_snapshot, local),
            Event::Unusable => Action::Pull(Begin::Transactions),
            Event::Offered => Action::Finish,
            Event::Waited => self.push_or_finish(),
        }
    }

    fn arrived(&mut self, arrived: Arrived) -> Action {
        if self.local.generation.is_some() && self.local.generation != arrived.state.generation {
            return self.another_life(arrived.state);
        }
        if arrived.conflict {
            self.conflicts += 1;
            if self.conflicts > self.max_conflicts {
                return Action::Stop(Stop::Contended(self.conflicts));
            }
        }
        let (root, known) = (arrived.root, self.local.synced);
        self.report.acknowledged += between(known, root);
        self.report.resupplied += between(root, known);
        if arrived.incoming > 0 {
            Action::Apply { root }
        } else if root == known && !arrived.conflict {
            self.push_or_finish()
        } else {
            Action::Settle { root }
        }
    }

    fn another_life(&mut self, state: LogState) -> Action {
        match (self.other_life, state.seq == Seq::ROOT) {
            (OtherLife::Stop, _) => Action::Stop(Stop::Generation(state)),
            (OtherLife::Adopt, true) => Action::Stop(Stop::NothingToAdopt(state)),
            (OtherLife::Reseed, false) => Action::Stop(Stop::NotEmpty(state)),
            (OtherLife::Adopt, false) | (OtherLife::Reseed, true) => {
                self.report.other_life = Some(self.other_life);
                Action::Forget
            }
        }
    }

    fn applied(&mut self, rebased: Rebased, from_snapshot: u64, local: Local) -> Action {
        self.local = local;
        let follow_up = local.ahead() > 0;
        let outcome = match rebased.side {
            None => Outcome::LocalFastForward,
            Some(_) => Outcome::Merge { follow_up },
        };
        let received = rebased.applied;
        self.report.push(PassReport { outcome, received, from_snapshot, sent: 0, rebased: Some(rebased) });
        match self.conflicts {
            0 | 1 => self.push_or_finish(),
            more if follow_up => Action::Wait(FIRST_PAUSE * (1 << (more - 2).min(6))),
            _ => self.push_or_finish(),
        }
    }

    fn push_or_finish(&mut self) -> Action {
        if self.local.ahead() > 0 {
            return Action::Push { after: self.local.synced };
        }
        if self.report.passes.is_empty() {
            self.pass(Outcome::NoChanges, 0);
        }
        match self.wanted.take() {
            Some(wanted) if self.makes_snapshots && self.is_worth_it(wanted) => Action::Offer { at: self.local.synced },
            _ => Action::Finish,
        }
    }

    fn is_worth_it(&self, wanted: SnapshotWanted) -> bool {
        let all = between(Entid::TX0, self.local.synced);
        wanted.urgency == Urgency::High || wanted.transactions.saturating_mul(CHEAP) >= all
    }

    fn pass(&mut self, outcome: Outcome, sent: u64) {
        self.report.push(PassReport { outcome, received: 0, from_snapshot: 0, sent, rebased: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(basis: i64, synced: i64) -> Local {
        Local { basis: Entid::TX0.plus(basis), synced: Entid::TX0.plus(synced), generation: None }
    }

    fn arrived(root: i64, incoming: u64, conflict: bool) -> Event {
        Event::Arrived(Arrived { state: LogState::EMPTY, root: Entid::TX0.plus(root), incoming, conflict })
    }

    fn outcomes(engine: Engine) -> Vec<Outcome> {
        engine.into_report().passes.iter().map(|p| p.outcome).collect()
    }

    #[test]
    fn nothing_to_do_is_one_pull() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        assert_eq!(engine.step(Event::Begin(local(5, 5))), Action::Pull(Begin::Transactions));
        assert_eq!(engine.step(arrived(5, 0, false)), Action::Finish);
        assert_eq!(outcomes(engine), [Outcome::NoChanges]);
    }

    #[test]
    fn only_local_changes_are_one_push() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        assert_eq!(engine.step(Event::Begin(local(7, 5))), Action::Push { after: Entid::TX0.plus(5) });
        assert_eq!(engine.step(Event::Pushed { sent: 2, local: local(7, 7), wanted: None }), Action::Finish);
        assert_eq!(outcomes(engine), [Outcome::RemoteFastForward]);
    }

    #[test]
    fn only_incoming_changes_are_one_pull() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        engine.step(Event::Begin(local(5, 5)));
        assert_eq!(engine.step(arrived(5, 2, false)), Action::Apply { root: Entid::TX0.plus(5) });
        let rebased = Rebased { applied: 2, ..Rebased::default() };
        assert_eq!(engine.step(Event::Applied { rebased, from_snapshot: 0, local: local(7, 7) }), Action::Finish);
        assert_eq!(outcomes(engine), [Outcome::LocalFastForward]);
    }

    #[test]
    fn both_are_a_push_a_merge_and_a_push() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        engine.step(Event::Begin(local(6, 5)));
        assert_eq!(engine.step(arrived(5, 2, true)), Action::Apply { root: Entid::TX0.plus(5) });
        let rebased = Rebased { applied: 2, side: Some(tolstoy_store::Timeline(1)), ..Rebased::default() };
        let push = engine.step(Event::Applied { rebased, from_snapshot: 0, local: local(8, 7) });
        assert_eq!(push, Action::Push { after: Entid::TX0.plus(7) });
        assert_eq!(engine.step(Event::Pushed { sent: 1, local: local(8, 8), wanted: None }), Action::Finish);
        assert_eq!(outcomes(engine), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    }

    #[test]
    fn a_lost_answer_is_noticed() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        engine.step(Event::Begin(local(7, 5)));
        assert_eq!(engine.step(arrived(7, 0, true)), Action::Settle { root: Entid::TX0.plus(7) });
        assert_eq!(engine.step(Event::Settled(local(7, 7))), Action::Finish);
        assert_eq!(engine.into_report().acknowledged, 2);
    }

    #[test]
    fn a_restored_hub_is_supplied_again() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        engine.step(Event::Begin(local(7, 7)));
        assert_eq!(engine.step(arrived(4, 0, false)), Action::Settle { root: Entid::TX0.plus(4) });
        assert_eq!(engine.step(Event::Settled(local(7, 4))), Action::Push { after: Entid::TX0.plus(4) });
        assert_eq!(engine.step(Event::Pushed { sent: 3, local: local(7, 7), wanted: None }), Action::Finish);
        assert_eq!(engine.into_report().resupplied, 3);
    }

    #[test]
    fn another_generation_stops_everything() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        let generation = Some(Generation { id: uuid::Uuid::from_u128(1), number: 1 });
        engine.step(Event::Begin(Local { generation, ..local(5, 5) }));
        assert_eq!(engine.step(arrived(0, 0, false)), Action::Stop(Stop::Generation(LogState::EMPTY)));
    }

    #[test]
    fn another_life_is_joined_or_filled_only_where_somebody_said_so() {
        let generation = |n: u128| Some(Generation { id: uuid::Uuid::from_u128(n), number: 1 });
        let filled = LogState { generation: generation(2), seq: Seq(3), ..LogState::EMPTY };
        let began = |other_life| {
            let mut engine = Engine::new(3, other_life, true);
            engine.step(Event::Begin(Local { generation: generation(1), ..local(7, 5) }));
            engine
        };
        for (other_life, state, action) in [
            (OtherLife::Stop, filled, Action::Stop(Stop::Generation(filled))),
            (OtherLife::Adopt, LogState::EMPTY, Action::Stop(Stop::NothingToAdopt(LogState::EMPTY))),
            (OtherLife::Reseed, filled, Action::Stop(Stop::NotEmpty(filled))),
            (OtherLife::Adopt, filled, Action::Forget),
            (OtherLife::Reseed, LogState::EMPTY, Action::Forget),
        ] {
            assert_eq!(began(other_life).step(Event::OtherGeneration(state)), action);
            let arrived = Arrived { state, root: Entid::TX0, incoming: state.seq.0, conflict: false };
            assert_eq!(began(other_life).step(Event::Arrived(arrived)), action);
        }
        let mut adopting = began(OtherLife::Adopt);
        adopting.step(Event::OtherGeneration(filled));
        assert_eq!(adopting.step(Event::Forgotten(local(7, 0))), Action::Pull(Begin::Transactions));
        let mut reseeding = began(OtherLife::Reseed);
        reseeding.step(Event::OtherGeneration(LogState::EMPTY));
        assert_eq!(reseeding.step(Event::Forgotten(local(7, 0))), Action::Push { after: Entid::TX0 });
    }

    #[test]
    fn lost_races_are_bounded_and_pauses_grow() {
        let mut engine = Engine::new(4, OtherLife::Stop, true);
        engine.step(Event::Begin(local(1, 0)));
        let mut pauses = Vec::new();
        for round in 1.. {
            match engine.step(arrived(round - 1, 1, true)) {
                Action::Apply { .. } => {}
                Action::Stop(stop) => {
                    assert_eq!(stop, Stop::Contended(5));
                    break;
                }
                other => panic!("{other:?}"),
            }
            let rebased = Rebased { applied: 1, side: Some(tolstoy_store::Timeline(round)), ..Rebased::default() };
            if let Action::Wait(pause) =
                engine.step(Event::Applied { rebased, from_snapshot: 0, local: local(round + 1, round) })
            {
                pauses.push(pause.as_millis());
                engine.step(Event::Waited);
            }
        }
        assert_eq!(pauses, [40, 80, 160]);
    }
    #[test]
    fn an_empty_store_asks_for_a_snapshot_once() {
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        assert_eq!(engine.step(Event::Begin(local(0, 0))), Action::Pull(Begin::Snapshot));
        assert_eq!(engine.step(arrived(0, 9, false)), Action::Apply { root: Entid::TX0 });
        assert_eq!(engine.step(Event::Unusable), Action::Pull(Begin::Transactions));
        assert_eq!(engine.step(arrived(0, 9, false)), Action::Apply { root: Entid::TX0 });
        // What was made here before the first sync has to be merged.
        let mut engine = Engine::new(3, OtherLife::Stop, true);
        assert_eq!(engine.step(Event::Begin(local(1, 0))), Action::Push { after: Entid::TX0 });
    }

    #[test]
    fn a_snapshot_is_made_last_where_it_is_needed_or_cheap() {
        let offered = |urgency, transactions, all, makes| {
            let mut engine = Engine::new(3, OtherLife::Stop, makes);
            engine.step(Event::Begin(local(all, all - 2)));
            let wanted = |urgency, transactions| Some(SnapshotWanted { urgency, bytes: 1, transactions });
            let first = Event::Pushed { sent: 1, local: local(all, all - 1), wanted: wanted(Urgency::High, 1_000) };
            // Not before everything is pushed, and as the last answer says.
            assert_eq!(engine.step(first), Action::Push { after: Entid::TX0.plus(all - 1) });
            let last = Event::Pushed { sent: 1, local: local(all, all), wanted: wanted(urgency, transactions) };
            match engine.step(last) {
                Action::Finish => false,
                action => {
                    assert_eq!(action, Action::Offer { at: Entid::TX0.plus(all) });
                    assert_eq!(engine.step(Event::Offered), Action::Finish);
                    true
                }
            }
        };
        assert!(offered(Urgency::Low, 25, 100, true));
        assert!(!offered(Urgency::Low, 24, 100, true));
        assert!(offered(Urgency::High, 1, 100, true));
        assert!(!offered(Urgency::High, 100, 100, false));
    }
}
