//! A world that stands still. The fuzz targets that include `fuzzed` include this file too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tolstoy_env::{Clock, Entropy, Env, NoEntropy};

/// An environment that gives the same values each time.
pub(crate) fn env() -> Env {
    struct Still;
    impl Clock for Still {
        fn now(&self) -> tolstoy_edn::Instant {
            tolstoy_edn::Instant::from_micros(0)
        }
    }
    struct Counting(AtomicU64);
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            let n = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            bytes.iter_mut().rev().zip(n.iter().rev().chain(std::iter::repeat(&0))).for_each(|(byte, n)| *byte = *n);
            Ok(())
        }
    }
    Env::new(Arc::new(Still), Arc::new(Counting(AtomicU64::new(1))))
}
