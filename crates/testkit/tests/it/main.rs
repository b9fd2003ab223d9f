//! The whole system: simulations from seeds, and stories told by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod documents;
mod lab;
mod merge_cases;
mod readme_example;
mod simulation;
mod transcript_story;
