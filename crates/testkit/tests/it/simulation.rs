//! Five hundred seeds, and that a seed decides everything.

use tolstoy_testkit::{Coverage, Plan, simulate};

/// Plays seeds and demands that all of what matters happened in them.
fn play(seeds: std::ops::Range<u64>) {
    let mut coverage = Coverage::default();
    for seed in seeds {
        match simulate(&Plan::of(seed)) {
            Ok(simulation) => coverage.add(&simulation.coverage),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{coverage}");
    assert!(coverage.missing().is_empty(), "these seeds never had: {:?}\n{coverage}", coverage.missing());
}

#[test]
fn seeds_0_to_124() {
    play(0..125);
}

#[test]
fn seeds_125_to_249() {
    play(125..250);
}

#[test]
fn seeds_250_to_374() {
    play(250..375);
}

#[test]
fn seeds_375_to_499() {
    play(375..500);
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in [3, 24, 101, 230] {
        let run = || simulate(&Plan::of(seed)).unwrap_or_else(|failure| panic!("{failure}"));
        let (first, second) = (run(), run());
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.digest(), second.digest());
    }
    let other = simulate(&Plan::of(4)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_ne!(other.digest(), simulate(&Plan::of(5)).unwrap_or_else(|failure| panic!("{failure}")).digest());
}
