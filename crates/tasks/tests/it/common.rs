//! A seeded world, and short ways to say documents.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZoneDatabase;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tolstoy_edn::Instant;
use tolstoy_env::{Clock, Entropy, Env, NoEntropy};
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Author, Calendar, Document, Task};

/// A clock that stands, until it is told.
#[derive(Clone)]
pub(crate) struct Standing(Arc<AtomicI64>);

impl Standing {
    pub(crate) fn at(text: &str) -> Self {
        Self(Arc::new(AtomicI64::new(instant(text).as_micros())))
    }

    pub(crate) fn set(&self, text: &str) {
        self.0.store(instant(text).as_micros(), Ordering::Relaxed);
    }
}

impl Clock for Standing {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::Relaxed))
    }
}

struct Seeded(Mutex<ChaCha8Rng>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.lock().unwrap().fill_bytes(bytes);
        Ok(())
    }
}

pub(crate) fn env_with(seed: u64, clock: &Standing) -> Env {
    Env::new(Arc::new(clock.clone()), Arc::new(Seeded(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))))
}

pub(crate) fn env(seed: u64) -> Env {
    env_with(seed, &Standing::at("2026-11-25T12:00:00Z"))
}

pub(crate) fn instant(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

pub(crate) fn doc(text: &str) -> Document {
    Document::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub(crate) fn author(device: &str, now: &str) -> Author {
    Author { device: device.parse().unwrap(), now: instant(now) }
}

pub(crate) fn text(value: &str) -> Option<Json> {
    Some(Json::from(value))
}

pub(crate) fn set(document: &mut Document, who: &Author, property: &str, value: &str) {
    document.set(who, property, text(value)).unwrap();
}

/// Why a document is refused.
pub(crate) fn refusal(text: &str) -> String {
    match Document::parse(text) {
        Ok(document) => panic!("it was taken: {}", document.canonical()),
        Err(refusal) => refusal.to_string(),
    }
}

/// The calendar of a moment in a zone.
pub(crate) fn calendar(now: &str, zone: &str) -> Calendar {
    let zones = TimeZoneDatabase::bundled();
    Calendar::new(instant(now), zones.get(zone).unwrap(), zones.clone()).unwrap()
}

pub(crate) fn task(text: &str) -> Task {
    doc(text).task()
}
