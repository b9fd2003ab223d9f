//! Replays seeds of the simulation: `cargo run -p tolstoy-testkit --example replay -- SEED [LAST]`. One seed is told step by
//! step, several in one table.
#![allow(clippy::print_stdout, reason = "this is a program for people")]

use std::process::ExitCode;

use tolstoy_testkit::{Coverage, Plan, simulate};

fn main() -> ExitCode {
    let seeds: Result<Vec<u64>, _> = std::env::args().skip(1).map(|word| word.parse()).collect();
    match seeds.as_deref() {
        Ok([seed]) => tell(*seed),
        Ok([first, last]) => count(*first, *last),
        _ => {
            println!("usage: replay SEED [LAST]");
            ExitCode::from(2)
        }
    }
}

fn tell(seed: u64) -> ExitCode {
    match simulate(&Plan::of(seed)) {
        Ok(simulation) => {
            println!("{}\n{}", simulation.trace.join("\n"), simulation.coverage);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}\n\n{failure}", failure.trace.join("\n"));
            ExitCode::FAILURE
        }
    }
}

fn count(first: u64, last: u64) -> ExitCode {
    let mut coverage = Coverage::default();
    let mut failed = 0;
    for seed in first..=last {
        match simulate(&Plan::of(seed)) {
            Ok(simulation) => coverage.add(&simulation.coverage),
            Err(failure) => {
                failed += 1;
                println!("{failure}");
            }
        }
    }
    println!("{coverage}{failed} of {} seeds failed", last - first + 1);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
