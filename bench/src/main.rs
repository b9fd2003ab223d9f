//! Measures the store, the hub, sync and tasks, each against a floor taken in the same run, and prints the ratios.
//!
//! The machines that this runs on are shared and noisy, so absolute figures say little. A ratio is the median of
//! several interleaved rounds: what was measured against the least that any program would have to do for it.
//!
//! ```sh
//! cargo run --release -p tolstoy-bench            # everything
//! cargo run --release -p tolstoy-bench -- query   # what has "query" in its name
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program, not a library"
)]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

mod clone;
mod growth;
mod hub;
mod load;
mod merge;
mod people;
mod query;
mod round;
mod store;
mod sync;
mod taskchampion;
mod tasks;

use round::Table;

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut table = Table::new(filter);
    store::bulk(&mut table);
    store::small(&mut table);
    query::joins(&mut table);
    query::range(&mut table);
    hub::push(&mut table);
    hub::push_alone(&mut table);
    taskchampion::versions(&mut table);
    growth::push(&mut table);
    growth::start(&mut table);
    hub::pull(&mut table);
    hub::pull_long(&mut table);
    sync::no_op(&mut table);
    sync::fast_forward(&mut table);
    merge::rebase_is_linear(&mut table);
    clone::down(&mut table);
    clone::up(&mut table);
    clone::cold_start(&mut table);
    clone::slow_link(&mut table);
    tasks::list(&mut table);
    tasks::first_sync(&mut table);
    table.print();
}
