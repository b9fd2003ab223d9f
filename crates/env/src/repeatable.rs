//! A world that can be repeated: the same calls give the same values.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tolstoy_edn::Instant;

use crate::{Clock, Entropy, NoEntropy};

/// A clock that goes on by a step at every look, or stands still where the step is 0.
#[derive(Debug)]
pub struct Stepping {
    next: AtomicI64,
    step: i64,
}

impl Stepping {
    /// A clock that says `first`, and from look to look so many microseconds more.
    pub const fn new(first: Instant, step: i64) -> Self {
        Self { next: AtomicI64::new(first.as_micros()), step }
    }
}

impl Clock for Stepping {
    fn now(&self) -> Instant {
        Instant::from_micros(self.next.fetch_add(self.step, Ordering::Relaxed))
    }
}

/// Bytes that count upwards: each request gets the next number, at its end and in network order. Not good for secrets.
#[derive(Debug)]
pub struct Counting(AtomicU64);

impl Counting {
    /// Bytes that count from this number on.
    pub const fn from(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.fill(0);
        bytes.iter_mut().rev().zip(n.iter().rev()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Env;

    #[test]
    fn two_of_one_seed_give_the_same_and_of_two_seeds_never() {
        let [one, same, other] = [7, 7, 8].map(Env::repeatable);
        for _ in 0..3 {
            let (now, id) = (one.now(), one.uuid().unwrap());
            assert_eq!((same.now(), same.uuid().unwrap()), (now, id));
            assert_eq!(other.now(), now);
            assert_ne!(other.uuid().unwrap(), id);
        }
        assert_eq!(Env::repeatable(7).now().to_string(), "2026-03-01T00:00:00Z");
        assert_eq!(one.now().to_string(), "2026-03-01T00:00:03Z");
    }

    #[test]
    fn who_asks_for_no_bytes_or_for_many_gets_them() {
        let env = Env::repeatable(0);
        assert_eq!(env.bytes::<0>().unwrap(), []);
        assert_eq!(env.bytes::<20>().unwrap()[19], 1);
    }
}
