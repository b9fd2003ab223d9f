//! Time and randomness that a seed owns.

use std::sync::{Arc, Mutex, PoisonError};

use tolstoy_edn::Instant;
use tolstoy_env::{Clock, Entropy, Env, NoEntropy};

use crate::dice::Dice;

/// 2026-03-01T00:00:00Z.
const BEGINNING: i64 = 1_772_323_200_000_000;
const SECOND: u64 = 1_000_000;
const DAY: i64 = 86_400_000_000;

/// A clock that moves on by a seeded amount at every look: seldom not at all, seldom by a jump of days either way.
struct VirtualClock(Mutex<(i64, Dice)>);

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, dice) = &mut *state;
        *now += match dice.below(40) {
            0 => 0,
            1 => -DAY * 3,
            2 => DAY * 2,
            _ => i64::try_from(dice.between(1, 100 * SECOND)).unwrap_or(1),
        };
        Instant::from_micros(*now)
    }
}

/// Random bytes, the same for the same seed.
struct SeededEntropy(Mutex<Dice>);

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
        Ok(())
    }
}

/// The environment of one party: all of its time, randomness and ids come from the seed. Each party's clock is off by up
/// to a day.
pub fn env(seed: u64, party: u64) -> Env {
    let mut dice = Dice::new(seed, 1_000 + 2 * party);
    let skew = i64::try_from(dice.below(DAY.unsigned_abs())).unwrap_or(0);
    let clock = VirtualClock(Mutex::new((BEGINNING + skew, dice)));
    Env::new(Arc::new(clock), Arc::new(SeededEntropy(Mutex::new(Dice::new(seed, 1_001 + 2 * party)))))
}
