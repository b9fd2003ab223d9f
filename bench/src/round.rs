//! Interleaved rounds, and the table of what came out.

use std::time::{Duration, Instant};

struct Row {
    name: &'static str,
    unit: &'static str,
    ours: f64,
    floor: f64,
    goal: f64,
    against: &'static str,
}

/// What was measured.
pub(crate) struct Table {
    filter: String,
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// One comparison: so many `units` of work are done by `ours` and by `floor`.
pub(crate) struct Comparison<'c> {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) units: f64,
    /// The ratio of rates to reach.
    pub(crate) goal: f64,
    /// What the floor is.
    pub(crate) against: &'static str,
    pub(crate) rounds: usize,
    pub(crate) ours: Box<dyn FnMut() -> Duration + 'c>,
    pub(crate) floor: Box<dyn FnMut() -> Duration + 'c>,
}

impl Table {
    pub(crate) fn new(filter: String) -> Self {
        Self { filter, rows: Vec::new(), notes: Vec::new() }
    }

    /// Whether a measurement of this name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// Runs both sides in turn and keeps the best round of each.
    pub(crate) fn compare(&mut self, mut comparison: Comparison<'_>) {
        let (mut ours, mut floor) = (Duration::MAX, Duration::MAX);
        for _ in 0..comparison.rounds {
            floor = floor.min((comparison.floor)());
            ours = ours.min((comparison.ours)());
        }
        let Comparison { name, unit, units, goal, against, .. } = comparison;
        let rate = |time: Duration| units / time.as_secs_f64();
        self.rows.push(Row { name, unit, ours: rate(ours), floor: rate(floor), goal, against });
        eprintln!("{name}: {:.0} {unit}, ratio {:.2}", rate(ours), rate(ours) / rate(floor));
    }

    /// Says something more below the table.
    pub(crate) fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    pub(crate) fn print(&self) {
        println!("| what | here | floor | ratio | goal | the floor is |");
        println!("|---|---|---|---|---|---|");
        for row in &self.rows {
            println!(
                "| {} | {:.0} {} | {:.0} {} | **{:.2}** | {} | {} |",
                row.name,
                row.ours,
                row.unit,
                row.floor,
                row.unit,
                row.ours / row.floor,
                row.goal,
                row.against
            );
        }
        println!();
        self.notes.iter().for_each(|note| println!("- {note}"));
    }
}

/// How long `work` takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}
