//! Two thousand short seeds and some with large states; that a seed decides everything; that a failure becomes small.

use tolstoy_testkit::{Coverage, Plan, simulate};

use crate::long;

/// Plays plans and demands that all of what matters happened in them.
fn play(plans: impl Iterator<Item = Plan>) -> Coverage {
    let mut coverage = Coverage::default();
    for plan in plans {
        match simulate(&plan) {
            Ok(simulation) => coverage.add(&simulation.coverage),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{coverage}");
    coverage
}

fn short(seeds: std::ops::Range<u64>) {
    let more = if long() { 10 } else { 1 };
    let coverage = play((seeds.start * more..seeds.end * more).map(Plan::of));
    assert!(coverage.missing().is_empty(), "these seeds never had: {:?}\n{coverage}", coverage.missing());
}

#[test]
fn seeds_0_to_499() {
    short(0..500);
}

#[test]
fn seeds_500_to_999() {
    short(500..1_000);
}

#[test]
fn seeds_1000_to_1499() {
    short(1_000..1_500);
}

#[test]
fn seeds_1500_to_1999() {
    short(1_500..2_000);
}

#[test]
fn large_states() {
    play((0..if long() { 60 } else { 6 }).map(Plan::large));
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in 0..24 {
        let run = || simulate(&Plan::of(seed)).unwrap_or_else(|failure| panic!("{failure}"));
        let (first, second) = (run(), run());
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.digest(), second.digest());
    }
    let other = simulate(&Plan::of(4)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_ne!(other.digest(), simulate(&Plan::of(5)).unwrap_or_else(|failure| panic!("{failure}")).digest());
}
