//! The whole system: simulations from seeds, and stories told by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]
#![allow(clippy::duplicate_mod, reason = "the stories are told on logs of both formats")]

mod cut_stream;
mod documents;
mod full_disk;
mod intent;
mod journal;
mod lab;
mod load;
mod merge_cases;
mod mutants;
mod nastiest;
mod on_an_original_log;
mod original;
mod power_loss;
mod readme_example;
mod simulation;
mod stores;
mod transcript_story;

/// Whether the long suites run: `TOLSTOY_LONG=1`, as `docs/testing.md` says.
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
fn long() -> bool {
    std::env::var("TOLSTOY_LONG").is_ok_and(|value| value == "1")
}
