//! A world that stands still. The fuzz targets that include `fuzzed` include this file too.

use std::sync::Arc;

use tolstoy_edn::Instant;
use tolstoy_env::{Counting, Env, Stepping};

/// An environment that gives the same values each time, at one time.
pub(crate) fn env() -> Env {
    Env::new(Arc::new(Stepping::new(Instant::from_micros(0), 0)), Arc::new(Counting::from(1)))
}
