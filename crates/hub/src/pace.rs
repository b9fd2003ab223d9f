//! How fast a client must be while others wait for what it holds.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::{Client, Gate, Wanted};

/// Bytes a second, measured over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeastRate {
    pub(crate) per_second: u64,
    pub(crate) over: Duration,
}

/// How fast a client sends or takes. Only the time that it takes itself counts, and only while others wait.
#[derive(Debug)]
pub(crate) struct Pace {
    least: LeastRate,
    bytes: u64,
    time: Duration,
    /// Whether others waited when it was last asked, and how many had so far.
    was: Wanted,
}

impl Pace {
    pub(crate) fn new(least: LeastRate) -> Self {
        Self { least, bytes: 0, time: Duration::ZERO, was: Wanted::default() }
    }

    /// The client moved so many bytes, and took so long for them.
    pub(crate) fn moved(&mut self, bytes: usize, took: Duration) {
        self.bytes += bytes as u64;
        self.time += took;
    }

    /// Whether the client was too slow for as long as its rate is measured, and others waited all the while. To be asked
    /// again and again, with how much others want of it now. Those who waited for a moment in between count too: what one
    /// slow client gives free is taken at once, by others who wait for the next.
    pub(crate) fn is_too_slow(&mut self, mut wanted: Wanted) -> bool {
        wanted.is_now |= wanted.so_far > self.was.so_far;
        let goes_on = std::mem::replace(&mut self.was, wanted).is_now && wanted.is_now;
        if goes_on && self.time < self.least.over {
            return false;
        }
        let (bytes, time) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.time));
        goes_on && u128::from(bytes) * 1000 < u128::from(self.least.per_second) * time.as_millis()
    }
}

/// Marks an answer for which its client holds something of these gates until it has taken all of it.
#[derive(Debug, Clone)]
pub(crate) struct Holds {
    pub(crate) gates: [Arc<Gate>; 2],
    pub(crate) client: Client,
}

impl Holds {
    /// How much others want of it.
    pub(crate) fn wanted(&self) -> Wanted {
        let [one, other] = &self.gates;
        one.wanted(&self.client).and(other.wanted(&self.client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Wanted = Wanted { is_now: false, so_far: 0 };
    const SOMEBODY: Wanted = Wanted { is_now: true, so_far: 0 };
    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        Pace::new(LeastRate { per_second: 100, over: 10 * SECOND })
    }

    #[test]
    fn a_client_may_be_as_slow_as_it_likes_while_nobody_waits() {
        let mut pace = pace();
        for _ in 0..100 {
            pace.moved(1, 5 * SECOND);
            assert!(!pace.is_too_slow(NOBODY));
        }
        // What was before somebody came does not count.
        assert!(!pace.is_too_slow(SOMEBODY));
        pace.moved(900, 9 * SECOND);
        assert!(!pace.is_too_slow(SOMEBODY));
        pace.moved(100, SECOND);
        assert!(!pace.is_too_slow(SOMEBODY));
    }

    #[test]
    fn one_that_is_too_slow_while_others_wait_is_found_in_time() {
        let mut pace = pace();
        assert!(!pace.is_too_slow(SOMEBODY));
        for _ in 0..9 {
            pace.moved(99, SECOND);
            assert!(!pace.is_too_slow(SOMEBODY));
        }
        pace.moved(99, SECOND);
        assert!(pace.is_too_slow(SOMEBODY));
    }

    #[test]
    fn those_who_wait_again_and_again_count() {
        let mut pace = pace();
        let wanted = |so_far| Wanted { is_now: false, so_far };
        let found = (1..12).find(|n| {
            pace.moved(99, SECOND);
            pace.is_too_slow(wanted(*n))
        });
        assert_eq!(found, Some(11));
    }

    #[test]
    fn those_who_wait_for_a_moment_do_not_add_up() {
        let mut pace = pace();
        for _ in 0..10 {
            assert!(!pace.is_too_slow(SOMEBODY));
            pace.moved(1, 6 * SECOND);
            assert!(!pace.is_too_slow(SOMEBODY));
            assert!(!pace.is_too_slow(NOBODY));
        }
    }
}
