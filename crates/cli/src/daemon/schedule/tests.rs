#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tolstoy_edn::Instant;

use super::*;

const RULES: Rules = Rules {
    concurrent: 2,
    settle: Duration::from_millis(200),
    recheck: Duration::from_mins(10),
    retry: Duration::from_mins(2),
};

fn at(millis: u64) -> Now {
    Now { elapsed: Duration::from_millis(millis), wall: Instant::from_micros(i64::try_from(millis).unwrap() * 1000) }
}

fn places(names: &[&str]) -> BTreeSet<PlaceKey> {
    names.iter().map(|name| PlaceKey((*name).to_owned())).collect()
}

fn nothing() -> Outcome {
    Outcome::InStep { moved: Moved::default(), remarks: Vec::new() }
}

fn failed(may_pass: bool) -> Outcome {
    Outcome::Failed(Problem { may_pass, word: "offline", message: "away".to_owned(), hint: None })
}

const ONE: PairId = PairId(1);

/// A schedule with one pair that has just been synced, at 0.
fn in_step() -> Schedule {
    let mut schedule = Schedule::new(RULES);
    schedule.add(ONE, places(&["a", "b"]), at(0));
    assert_eq!(schedule.begin(at(0)), [ONE]);
    schedule.ended(ONE, nothing(), at(0), Chance(0));
    schedule
}

fn state(schedule: &Schedule) -> StateName {
    schedule.view(ONE).unwrap().state
}

#[test]
fn what_changes_is_synced_once_it_is_quiet() {
    let mut schedule = in_step();
    schedule.changed(ONE, at(1000));
    schedule.changed(ONE, at(1100));
    assert_eq!(state(&schedule), StateName::Changed);
    assert_eq!(schedule.begin(at(1200)), []);
    assert_eq!(schedule.next(at(1200)), Some(Duration::from_millis(1300)));
    assert_eq!(schedule.begin(at(1300)), [ONE]);
    assert_eq!((state(&schedule), schedule.next(at(1300))), (StateName::Syncing, None));
}

#[test]
fn what_never_is_quiet_is_synced_all_the_same() {
    let mut schedule = in_step();
    for tenth in 10..29 {
        schedule.changed(ONE, at(tenth * 100));
        assert_eq!(schedule.begin(at(tenth * 100 + 99)), [], "{tenth}");
    }
    schedule.changed(ONE, at(2950));
    assert_eq!(schedule.begin(at(3000)), [ONE]);
}

#[test]
fn a_change_during_a_sync_makes_another() {
    let mut schedule = in_step();
    schedule.changed(ONE, at(0));
    assert_eq!(schedule.begin(at(200)), [ONE]);
    schedule.changed(ONE, at(300));
    schedule.ended(ONE, nothing(), at(400), Chance(0));
    assert_eq!(state(&schedule), StateName::Changed);
    assert_eq!(schedule.begin(at(600)), [ONE]);
    schedule.ended(ONE, nothing(), at(700), Chance(0));
    assert_eq!(state(&schedule), StateName::InStep);
}

#[test]
fn pauses_grow_by_chance_and_only_so_far() {
    let mut schedule = in_step();
    schedule.changed(ONE, at(0));
    let mut now = 200;
    let mut pauses = Vec::new();
    for n in 0..10 {
        assert_eq!(schedule.begin(at(now)), [ONE]);
        schedule.ended(ONE, failed(true), at(now), Chance(if n % 2 == 0 { 0 } else { u32::MAX }));
        let next = u64::try_from(schedule.next(at(now)).unwrap().as_millis()).unwrap();
        pauses.push(next - now);
        // A change is no reason to hurry: what is away is away.
        schedule.changed(ONE, at(now));
        assert_eq!(schedule.begin(at(next - 1)), []);
        now = next;
    }
    assert_eq!(pauses, [500, 2000, 2000, 8000, 8000, 32_000, 32_000, 120_000, 60_000, 120_000]);
    assert_eq!(schedule.view(ONE).unwrap().failures, 10);
}

#[test]
fn what_comes_back_is_synced_at_once() {
    for return_of in [Schedule::all_returned, |schedule: &mut Schedule, now| schedule.returned(ONE, now)] {
        let mut schedule = in_step();
        schedule.changed(ONE, at(0));
        schedule.begin(at(200));
        schedule.ended(ONE, failed(true), at(200), Chance(u32::MAX));
        assert_eq!(state(&schedule), StateName::Waiting);
        return_of(&mut schedule, at(300));
        assert_eq!(schedule.begin(at(300)), [ONE]);
        // Also where the sync that fails began before.
        return_of(&mut schedule, at(400));
        schedule.ended(ONE, failed(true), at(500), Chance(u32::MAX));
        assert_eq!(schedule.begin(at(500)), [ONE]);
        schedule.ended(ONE, failed(true), at(600), Chance(u32::MAX));
        assert_eq!((state(&schedule), schedule.begin(at(600))), (StateName::Waiting, vec![]));
    }
}

#[test]
fn a_stuck_pair_is_tried_again_when_its_place_changes_and_seldom_otherwise() {
    let mut schedule = in_step();
    schedule.changed(ONE, at(0));
    schedule.begin(at(200));
    schedule.ended(ONE, failed(false), at(1000), Chance(u32::MAX));
    assert_eq!((state(&schedule), schedule.next(at(1000))), (StateName::Stuck, Some(Duration::from_secs(121))));
    schedule.changed(ONE, at(1500));
    assert_eq!(schedule.next(at(1500)), Some(Duration::from_secs(6)));
    assert_eq!(schedule.begin(at(6000)), [ONE]);
    schedule.ended(ONE, nothing(), at(6000), Chance(0));
    assert_eq!((state(&schedule), schedule.view(ONE).unwrap().problem), (StateName::InStep, None));
}

#[test]
fn remarks_are_looked_at_sooner_and_in_step_has_a_beginning() {
    let mut schedule = in_step();
    assert_eq!(schedule.next(at(0)), Some(RULES.recheck));
    schedule.begin(at(600_000));
    let remarks = vec!["a file is cut off".to_owned()];
    schedule.ended(ONE, Outcome::InStep { moved: Moved::default(), remarks }, at(600_000), Chance(0));
    assert_eq!(schedule.next(at(600_000)), Some(Duration::from_secs(615)));
    let in_step_since = |schedule: &Schedule| schedule.view(ONE).unwrap().in_step_since;
    assert_eq!(in_step_since(&schedule), Some(at(0).wall));
    schedule.begin(at(615_000));
    let moved = Moved { came: 1, went: 2 };
    schedule.ended(ONE, Outcome::InStep { moved, remarks: Vec::new() }, at(615_000), Chance(0));
    assert_eq!(in_step_since(&schedule), Some(at(615_000).wall));
    assert_eq!(
        (schedule.view(ONE).unwrap().moved, schedule.next(at(615_000))),
        (moved, Some(Duration::from_secs(1215)))
    );
}

#[test]
fn a_hub_that_does_not_tell_is_asked_and_less_and_less_often() {
    let mut schedule = in_step();
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..9 {
        schedule.unheard(ONE, at(now), Chance(u32::MAX));
        let next = u64::try_from(schedule.next(at(now)).unwrap().as_millis()).unwrap();
        pauses.push((next - now) / 1000);
        now = next;
        assert_eq!(schedule.begin(at(now)), [ONE]);
        schedule.ended(ONE, nothing(), at(now), Chance(0));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
    schedule.heard(ONE);
    schedule.unheard(ONE, at(now), Chance(u32::MAX));
    assert_eq!(schedule.next(at(now)), Some(at(now + 1000).elapsed));
}

#[test]
fn a_place_is_in_one_sync_and_who_waits_for_two_gets_them() {
    let mut schedule = Schedule::new(Rules { concurrent: 3, ..RULES });
    let [first, both, second] = [PairId(1), PairId(2), PairId(3)];
    schedule.add(first, places(&["a"]), at(0));
    assert_eq!(schedule.begin(at(0)), [first]);
    schedule.add(both, places(&["a", "b"]), at(1));
    schedule.add(second, places(&["b"]), at(2));
    // The first has a, so the second may not take b before the one that needs it longer.
    assert_eq!(schedule.begin(at(2)), []);
    schedule.ended(first, nothing(), at(3), Chance(0));
    assert_eq!(schedule.begin(at(3)), [both]);
    schedule.ended(both, nothing(), at(4), Chance(0));
    assert_eq!(schedule.begin(at(4)), [second]);
}

/// What happens in a random schedule.
#[derive(Debug, Clone)]
enum Step {
    /// A place is written.
    Write(usize),
    /// A sync that is under way ends, well or not, in an order of its own.
    End(usize, End),
    Return,
    Unheard(usize),
    /// Time passes.
    Pass(u64),
}

#[derive(Debug, Clone, Copy)]
enum End {
    Well,
    WithRemarks,
    Away,
    Stuck,
}

const PLACES: [&str; 4] = ["a", "b", "c", "d"];
const PAIRS: [&[usize]; 6] = [&[0, 1], &[0, 2], &[1, 3], &[2], &[0, 3], &[0]];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end =
        prop_oneof![4 => Just(End::Well), 1 => Just(End::WithRemarks), 2 => Just(End::Away), 1 => Just(End::Stuck)];
    let step = prop_oneof![
        4 => (0..PLACES.len()).prop_map(Step::Write),
        5 => (0..PAIRS.len(), end).prop_map(|(n, end)| Step::End(n, end)),
        1 => Just(Step::Return),
        1 => (0..PAIRS.len()).prop_map(Step::Unheard),
        4 => prop_oneof![0..500u64, 500..200_000u64].prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..150)
}

/// The world that a schedule is for: places with versions, and what each sync saw when it began.
struct World {
    schedule: Schedule,
    now: u64,
    versions: [u64; PLACES.len()],
    /// By pair: the versions when the last sync that succeeded began; those when the one under way began.
    seen: BTreeMap<PairId, Vec<u64>>,
    under_way: BTreeMap<PairId, Vec<u64>>,
    chance: u32,
}

impl World {
    fn new() -> Self {
        let mut schedule = Schedule::new(RULES);
        for (n, pair) in PAIRS.iter().enumerate() {
            let names: Vec<&str> = pair.iter().map(|place| PLACES[*place]).collect();
            schedule.add(PairId(n as u64), places(&names), at(0));
        }
        Self { schedule, now: 0, versions: [1; 4], seen: BTreeMap::new(), under_way: BTreeMap::new(), chance: 1 }
    }

    fn versions_of(&self, id: PairId) -> Vec<u64> {
        PAIRS[usize::try_from(id.0).unwrap()].iter().map(|place| self.versions[*place]).collect()
    }

    fn chance(&mut self) -> Chance {
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Chance(self.chance)
    }

    /// As the daemon does: a look after each write, and after each sync.
    fn look(&mut self, id: PairId) {
        if self.seen.get(&id) != Some(&self.versions_of(id)) {
            self.schedule.changed(id, at(self.now));
        }
    }

    fn begin(&mut self) {
        for id in self.schedule.begin(at(self.now)) {
            assert!(self.under_way.insert(id, self.versions_of(id)).is_none(), "{id:?} is synced twice at once");
        }
        assert!(self.under_way.len() <= RULES.concurrent);
        let mut taken = BTreeSet::new();
        for id in self.under_way.keys() {
            for place in PAIRS[usize::try_from(id.0).unwrap()] {
                assert!(taken.insert(place), "the place {place} is in two syncs");
            }
        }
    }

    fn end(&mut self, id: PairId, end: End) {
        let Some(begun) = self.under_way.remove(&id) else { return };
        let outcome = match end {
            End::Well => nothing(),
            End::WithRemarks => Outcome::InStep { moved: Moved::default(), remarks: vec!["look".to_owned()] },
            End::Away => failed(true),
            End::Stuck => failed(false),
        };
        if matches!(end, End::Well | End::WithRemarks) {
            self.seen.insert(id, begun);
        }
        let chance = self.chance();
        self.schedule.ended(id, outcome, at(self.now), chance);
        self.look(id);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(place) => {
                self.versions[*place] += 1;
                for (n, _) in PAIRS.iter().enumerate().filter(|(_, pair)| pair.contains(place)) {
                    self.look(PairId(n as u64));
                }
            }
            Step::End(n, end) => self.end(PairId(*n as u64), *end),
            Step::Return => self.schedule.all_returned(at(self.now)),
            Step::Unheard(n) => {
                let chance = self.chance();
                self.schedule.unheard(PairId(*n as u64), at(self.now), chance);
            }
            Step::Pass(millis) => self.now += millis,
        }
        self.begin();
    }

    /// From here on all goes well; how long it takes until all pairs are in step with what is there, in milliseconds.
    fn settle(&mut self) -> u64 {
        let start = self.now;
        loop {
            for n in 0..PAIRS.len() {
                self.end(PairId(n as u64), End::Well);
            }
            self.begin();
            if self.under_way.is_empty() {
                let all: Vec<PairId> = (0..PAIRS.len()).map(|n| PairId(n as u64)).collect();
                let views: Vec<StateName> = all.iter().map(|id| self.schedule.view(*id).unwrap().state).collect();
                if views.iter().all(|state| *state == StateName::InStep) {
                    let seen = all.iter().all(|id| self.seen.get(id) == Some(&self.versions_of(*id)));
                    assert!(seen, "a change was lost");
                    return self.now - start;
                }
                // A daemon that is asked when it said, and not before, misses nothing.
                let next = self.schedule.next(at(self.now)).expect("pairs are not in step, and nothing is planned");
                self.now = u64::try_from(next.as_millis()).unwrap() + 1;
            }
        }
    }
}

proptest! {
    #[test]
    fn no_change_is_lost_and_no_pair_starves(steps in steps()) {
        let mut world = World::new();
        world.begin();
        for step in &steps {
            world.step(step);
        }
        let took = world.settle();
        // The longest pause, and what it takes to be quiet.
        prop_assert!(took <= 120_000 + 2 * 2000 + 1000, "{took}");
    }
}
