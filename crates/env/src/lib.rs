//! Clock and randomness as values.
//!
//! Every library of the house takes its time, its random bytes and its new ids from an [`Env`], so that a test or a
//! simulation owns all three. [`Env::system`] is the real one and the only place that asks the operating system.

mod repeatable;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tolstoy_edn::Instant;
use uuid::Uuid;

pub use repeatable::{Counting, Stepping};

/// Tells the wall-clock time.
pub trait Clock: Send + Sync {
    /// The time now, as far as this clock knows. It may jump either way; callers that need order keep their own.
    fn now(&self) -> Instant;
}

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bytes.
    ///
    /// # Errors
    /// Where the operating system has none to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The source of randomness failed. Nothing can be named without it, so the caller stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoEntropy(pub String);

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system gives no random bytes: {}", self.0)
    }
}

impl std::error::Error for NoEntropy {}

/// What a part of the house needs of the world outside: the time and random bytes. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

impl Env {
    /// An environment of these two sources.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// The real clock and the operating system's randomness.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemEntropy))
    }

    /// One that can be repeated, for tests: 2026-03-01T00:00:00Z and a second later at every look, and ids that count upwards; a
    /// `seed` below 2^32 keeps those of two environments apart.
    ///
    /// ```
    /// # use tolstoy_env::Env;
    /// assert_eq!(Env::repeatable(1).uuid(), Env::repeatable(1).uuid());
    /// ```
    pub fn repeatable(seed: u64) -> Self {
        let clock = Stepping::new(Instant::from_micros(1_772_323_200_000_000), 1_000_000);
        Self::new(Arc::new(clock), Arc::new(Counting::from(seed << 32)))
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A new random UUID (version 4).
    ///
    /// # Errors
    /// Where the source of randomness fails.
    pub fn uuid(&self) -> Result<Uuid, NoEntropy> {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes)?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// So many random bytes, good for secrets.
    ///
    /// # Errors
    /// Where the source of randomness fails.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoEntropy> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A random number below `bound`, for jitter; 0 where `bound` is 0. Not for secrets: the distribution is very
    /// slightly uneven.
    ///
    /// # Errors
    /// Where the source of randomness fails.
    pub fn below(&self, bound: u64) -> Result<u64, NoEntropy> {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0))
    }
}

struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the system's clock")]
    fn now(&self) -> Instant {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        };
        Instant::from_micros(micros)
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the system's randomness")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|e| NoEntropy(e.to_string()))
    }
}
