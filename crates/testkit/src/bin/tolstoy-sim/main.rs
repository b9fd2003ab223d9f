//! Plays seeds of the simulation for as long as one likes, replays one that failed, and makes it small.
#![allow(clippy::print_stdout, reason = "this is a program for people")]

use std::process::ExitCode;
use std::time::Duration;

use tolstoy_env::Env;
use tolstoy_testkit::{Coverage, Failure, Plan, replay, shrink, simulate};

const HELP: &str = "\
Plays the whole system from seeds: devices, a hub, and all that can go wrong between them. docs/testing.md tells what is checked.

usage: tolstoy-sim [--seeds A..B] [--minutes N] [--large] [--keep-going] [--as-it-is]
       tolstoy-sim --replay PLAN
       tolstoy-sim --shrink PLAN

  --seeds A..B    the seeds from A to before B; 0..2000 where nothing is said
  --minutes N     seeds from A on, for so many minutes; where no seeds are given, from one that the time decides
  --large         with large states
  --keep-going    goes on after a seed that failed
  --as-it-is      does not shrink a seed that failed
  --replay PLAN   plays one plan and tells all that happens in it; PLAN is \"seed=17\", or a file with one
  --shrink PLAN   looks for the smallest plan that still fails

A seed that fails is shrunk, and the command that replays it is printed. Exits with 1 where one failed, with 2 where it was
asked for something that it does not know.
";

fn main() -> ExitCode {
    match Asked::parse(std::env::args().skip(1)) {
        Ok(Asked::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Replay(plan)) => tell(&plan),
        Ok(Asked::Shrink(plan)) => make_small(&plan),
        Ok(Asked::Play(play)) => play.run(),
        Err(why) => {
            println!("{why}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

enum Asked {
    Help,
    Replay(Plan),
    Shrink(Plan),
    Play(Play),
}

#[derive(Default)]
struct Play {
    seeds: Option<(u64, u64)>,
    minutes: Option<u64>,
    large: bool,
    keep_going: bool,
    as_it_is: bool,
}

impl Asked {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut play = Play::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--replay" => return plan(&value()?).map(Self::Replay),
                "--shrink" => return plan(&value()?).map(Self::Shrink),
                "--seeds" => play.seeds = Some(range(&value()?)?),
                "--minutes" => play.minutes = Some(number(&value()?)?),
                "--large" => play.large = true,
                "--as-it-is" => play.as_it_is = true,
                "--keep-going" => play.keep_going = true,
                _ => return Err(format!("{word:?} is not known")),
            }
        }
        Ok(Self::Play(play))
    }
}

/// A plan as it is written, or in a file.
fn plan(word: &str) -> Result<Plan, String> {
    let text = if word.contains('=') {
        word.to_owned()
    } else {
        std::fs::read_to_string(word).map_err(|e| format!("{word}: {e}"))?
    };
    text.parse().map_err(|e| format!("{word}: {e}"))
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number"))
}

fn range(word: &str) -> Result<(u64, u64), String> {
    let (from, to) = word.split_once("..").ok_or_else(|| format!("{word:?} is not A..B"))?;
    Ok((number(from)?, number(to)?))
}

impl Play {
    fn run(&self) -> ExitCode {
        let clock = Env::system();
        let begun = clock.now();
        let now = || Duration::from_micros(clock.now().as_micros().abs_diff(begun.as_micros()));
        let limit = self.minutes.map(|n| Duration::from_secs(60 * n));
        let (from, to) = match (self.seeds, limit) {
            (Some((from, _)), Some(_)) => (from, u64::MAX),
            (Some(seeds), None) => seeds,
            (None, Some(_)) => (begun.as_micros().unsigned_abs() / 1_000_000, u64::MAX),
            (None, None) => (0, 2_000),
        };
        let (mut coverage, mut played, mut failed) = (Coverage::default(), 0_u64, 0_u64);
        for seed in from..to {
            if limit.is_some_and(|limit| now() >= limit) {
                break;
            }
            let plan = if self.large { Plan::large(seed) } else { Plan::of(seed) };
            played += 1;
            match simulate(&plan) {
                Ok(simulation) => coverage.add(&simulation.coverage),
                Err(failure) => {
                    failed += 1;
                    println!("{failure}");
                    if !self.as_it_is {
                        report_small(&failure);
                    }
                    if !self.keep_going {
                        break;
                    }
                }
            }
        }
        println!("{coverage}{failed} of {played} seeds failed, from {from} on, in {} s", now().as_secs());
        code(failed == 0)
    }
}

fn tell(plan: &Plan) -> ExitCode {
    match simulate(plan) {
        Ok(simulation) => {
            println!("{}\n{}", simulation.trace.join("\n"), simulation.coverage);
            code(true)
        }
        Err(failure) => {
            println!("{}\n\n{failure}", failure.trace.join("\n"));
            code(false)
        }
    }
}

fn make_small(plan: &Plan) -> ExitCode {
    match simulate(plan) {
        Ok(_) => {
            println!("{plan}: nothing fails");
            code(true)
        }
        Err(failure) => {
            report_small(&failure);
            code(false)
        }
    }
}

fn report_small(failure: &Failure) {
    println!("shrinking it ...");
    let small = shrink(failure);
    println!(
        "the smallest that still fails, after {} others:\n  {}\n  {}",
        small.tried,
        small.failure.what,
        replay(&small.failure.plan)
    );
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
