//! Interleaved rounds, and the table of what came out.

use std::time::{Duration, Instant};

struct Row {
    name: &'static str,
    unit: &'static str,
    /// The best round of each side, in units a second.
    ours: f64,
    floor: f64,
    /// The median of the ratios of the rounds.
    ratio: f64,
    goal: f64,
    against: &'static str,
}

impl Row {
    /// The ratio of the best rounds.
    fn of_best(&self) -> f64 {
        self.ours / self.floor
    }
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

    /// Runs both sides in turn. What counts is the median of the ratios of two rounds that followed each other, which had about
    /// the same machine, whatever others did on it meanwhile; the best round of each side is told too.
    pub(crate) fn compare(&mut self, mut comparison: Comparison<'_>) {
        let times: Vec<(Duration, Duration)> =
            (0..comparison.rounds).map(|_| ((comparison.floor)(), (comparison.ours)())).collect();
        let Comparison { name, unit, units, goal, against, .. } = comparison;
        let best = |of: fn(&(Duration, Duration)) -> Duration| {
            units / times.iter().map(of).min().unwrap_or_default().as_secs_f64()
        };
        let (floor, ours) = (best(|times| times.0), best(|times| times.1));
        let ratio = median(times.iter().map(|(floor, ours)| floor.as_secs_f64() / ours.as_secs_f64()).collect());
        let row = Row { name, unit, ours, floor, ratio, goal, against };
        eprintln!("{name}: {ours:.0} {unit}, ratio {ratio:.2}, of the best {:.2}", row.of_best());
        self.rows.push(row);
    }

    /// Says something more below the table.
    pub(crate) fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    pub(crate) fn print(&self) {
        println!("| what | here | floor | ratio | of the best | goal | the floor is |");
        println!("|---|---|---|---|---|---|---|");
        for row in &self.rows {
            println!(
                "| {} | {:.0} {} | {:.0} {} | **{:.2}** | {:.2} | {} | {} |",
                row.name,
                row.ours,
                row.unit,
                row.floor,
                row.unit,
                row.ratio,
                row.of_best(),
                row.goal,
                row.against
            );
        }
        println!();
        self.notes.iter().for_each(|note| println!("- {note}"));
    }
}

/// The middle one; the mean of two where they are an even number.
fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.len() / 2;
    let around = &ratios[middle - usize::from(ratios.len().is_multiple_of(2))..=middle];
    around.iter().sum::<f64>() / around.len() as f64
}

/// How long `work` takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}
