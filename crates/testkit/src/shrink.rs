//! A failing plan becomes small: what it fails without is left out.

use crate::plan::{Format, Medium, Plan, RATES};
use crate::simulation::{Failure, simulate};

/// A plan that fails, and from which nothing can be left out.
#[derive(Debug)]
pub struct Small {
    /// How it fails.
    pub failure: Failure,
    /// How many plans were played for it.
    pub tried: u64,
}

/// Plays at most so many.
const MOST: u64 = 400;

/// Leaves out whatever the plan fails without: the last steps, runs of steps, devices, kinds of trouble. A smaller plan may
/// fail in another way: it is a failure all the same.
pub fn shrink(failure: &Failure) -> Small {
    let begin = Failure { plan: failure.plan.clone(), what: failure.what.clone(), trace: failure.trace.clone() };
    let mut small = Small { failure: begin, tried: 0 };
    loop {
        let before = small.failure.plan.clone();
        small.end_early();
        small.leave_out_steps();
        small.leave_out_devices();
        small.leave_out_trouble();
        if small.failure.plan == before || small.tried >= MOST {
            return small;
        }
    }
}

impl Small {
    /// Takes the plan if it fails.
    fn fails(&mut self, plan: Plan) -> bool {
        if plan == self.failure.plan || self.tried >= MOST {
            return false;
        }
        self.tried += 1;
        match simulate(&plan) {
            Ok(_) => false,
            Err(failure) => {
                self.failure = *failure;
                true
            }
        }
    }

    /// The fewest steps that still fail, as far as halving finds them.
    fn end_early(&mut self) {
        let (mut enough, mut few) = (self.failure.plan.steps, 0);
        while few < enough {
            let middle = few.midpoint(enough);
            if self.fails(Plan { steps: middle, ..self.failure.plan.clone() }) {
                enough = middle;
            } else {
                few = middle + 1;
            }
        }
        let steps = self.failure.plan.steps;
        self.failure.plan.without.retain(|n| *n < steps);
    }

    /// Long runs of steps first, then shorter ones.
    fn leave_out_steps(&mut self) {
        let mut run = self.failure.plan.steps.div_ceil(2);
        while run > 0 {
            let mut from = 0;
            while from < self.failure.plan.steps {
                let mut plan = self.failure.plan.clone();
                plan.without.extend(from..(from + run).min(plan.steps));
                self.fails(plan);
                from += run;
            }
            run /= 2;
        }
    }

    fn leave_out_devices(&mut self) {
        for device in 1..=self.failure.plan.accounts * self.failure.plan.devices {
            let mut plan = self.failure.plan.clone();
            plan.absent.insert(device);
            self.fails(plan);
        }
    }

    fn leave_out_trouble(&mut self) {
        for (_, rate) in RATES {
            let mut plan = self.failure.plan.clone();
            *rate(&mut plan) = 0;
            self.fails(plan);
        }
        self.fails(Plan { format: Format::Native, ..self.failure.plan.clone() });
        self.fails(Plan { snapshots: 0, ..self.failure.plan.clone() });
        self.fails(Plan { bulk: 0, ..self.failure.plan.clone() });
        self.fails(Plan { hub: Medium::Memory, ..self.failure.plan.clone() });
        self.fails(Plan { stores: Medium::Memory, ..self.failure.plan.clone() });
    }
}
