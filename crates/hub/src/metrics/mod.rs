//! What a hub counts of its work, and tells in the text format of OpenMetrics.
//!
//! Counting is adding to an atomic number: no lock, and no allocation once a route was met. No label holds an id, an
//! address or anything else that an asker chooses. What can be looked up is not counted but looked up when somebody asks.

mod histogram;
mod http;
mod pulse;

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tolstoy_edn::Instant;

use crate::service::GcFigures;
use crate::storage::Totals;
pub use histogram::Histogram;
use http::HttpMetrics;
pub(crate) use http::NO_ROUTE;
pub use pulse::Pulse;

/// What a storage counts. Cheap to clone; the clones are one.
#[derive(Debug, Clone)]
pub struct StorageMetrics {
    /// Commits that reached the disk.
    pub commits: Counter,
    /// Batches that failed and were run again job by job.
    pub failed_batches: Counter,
    /// Jobs that share a commit.
    pub commit_jobs: Histogram,
    /// From the first job of a batch to the end of its commit.
    pub batch_seconds: Histogram,
    /// The commit alone, which waits for the disk.
    pub commit_seconds: Histogram,
    /// Jobs that wait for the writer.
    pub queue: Gauge,
    /// Jobs that were refused because too many waited.
    pub refused: Counter,
    /// Whether the writer gets anywhere.
    pub pulse: Pulse,
}

impl Default for StorageMetrics {
    fn default() -> Self {
        Self {
            commits: Counter::default(),
            failed_batches: Counter::default(),
            commit_jobs: Histogram::of_counts(),
            batch_seconds: Histogram::of_seconds(),
            commit_seconds: Histogram::of_seconds(),
            queue: Gauge::default(),
            refused: Counter::default(),
            pulse: Pulse::default(),
        }
    }
}

impl StorageMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("commits", "Commits that reached the disk", self.commits.clone());
        registry.register("commit_jobs", "Writes that share a commit, and so an fsync", self.commit_jobs.clone());
        let help = "A batch of writes: running them, waiting for more, and their commit";
        registry.register_with_unit("batch", help, Unit::Seconds, self.batch_seconds.clone());
        let help = "The commit of a batch alone: the fsync";
        registry.register_with_unit("commit", help, Unit::Seconds, self.commit_seconds.clone());
        let help = "Batches that failed and were run again one by one";
        registry.register("failed_batches", help, self.failed_batches.clone());
        registry.register("queue_jobs", "Writes that wait", self.queue.clone());
        registry.register("queue_refusals", "Writes that were refused because too many waited", self.refused.clone());
    }
}

/// What is counted at the door. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub struct DoorMetrics {
    /// Connections that were taken.
    pub connections: Counter,
    /// Connections that are open.
    pub open: Gauge,
}

impl DoorMetrics {
    /// Counts a connection, as open until the value is dropped.
    pub fn connected(&self) -> Connected {
        self.connections.inc();
        self.open.inc();
        Connected(self.open.clone())
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("connections_taken", "Connections that were taken", self.connections.clone());
        registry.register("connections", "Connections that are open", self.open.clone());
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
pub struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is looked up when somebody asks. What cannot be known is left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    pub(crate) streams: usize,
    pub(crate) answer_bytes: u64,
    pub(crate) totals: Totals,
    pub(crate) gc: GcFigures,
    pub(crate) database_bytes: Option<u64>,
    pub(crate) wal_bytes: Option<u64>,
    pub(crate) disk_free_bytes: Option<u64>,
    pub(crate) ready: bool,
}

/// All that a hub counts.
pub(crate) struct Metrics {
    registry: Registry,
    started: Instant,
    pub(crate) http: HttpMetrics,
    pub(crate) storage: StorageMetrics,
    pub(crate) door: DoorMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// A gauge of a number that is never negative.
type Level = ConstGauge<u64>;

impl Metrics {
    /// Of a hub that started then, over a storage that counts in `storage`.
    pub(crate) fn new(started: Instant, storage: StorageMetrics) -> Self {
        let mut registry = Registry::with_prefix("tolstoy_hub");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        let start: Gauge<f64, AtomicU64> = Gauge::default();
        start.set(started.as_micros() as f64 / 1e6);
        registry.register_with_unit("start_time", "When the hub started, since 1970", Unit::Seconds, start);
        let http = HttpMetrics::new(&mut registry);
        storage.register(&mut registry);
        let door = DoorMetrics::default();
        door.register(&mut registry);
        Self { registry, started, http, storage, door }
    }

    /// When the hub started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The exposition.
    ///
    /// # Errors
    /// Never, since a text takes whatever is written to it; the encoder cannot know.
    pub(crate) fn exposition(&self, now: &Now) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        text::encode_registry(&mut text, &looked_up(now))?;
        text::encode_eof(&mut text)?;
        Ok(text)
    }
}

/// A registry of what was looked up.
fn looked_up(now: &Now) -> Registry {
    let mut registry = Registry::with_prefix("tolstoy_hub");
    registry.register("ready", "1 where /readyz answers 200", Level::new(u64::from(now.ready)));
    registry.register("streams", "Long answers under way", Level::new(now.streams as u64));
    registry.register("logs", "Logs that live", Level::new(now.totals.logs));
    registry.register("tasks", "Tasks of logs that live", Level::new(now.totals.tasks));
    registry.register("ended_logs", "Deleted logs whose rows are still to be swept", Level::new(now.totals.ended));
    let gc = &now.gc;
    let mut collected = |name, help: &str, count| registry.register(name, help, ConstCounter::new(count));
    collected("gc_passes", "Times that the collector went through all logs", gc.passes);
    collected("gc_steps", "Steps of the collector", gc.steps);
    collected("gc_rows", "Rows that the collector removed", gc.transactions + gc.chunks + gc.swept_rows);
    collected("gc_bytes", "Bytes that the collector removed", gc.bytes + gc.swept_bytes);
    collected("gc_pages", "Pages that the collector gave back to the file system", gc.pages);
    let longest = ConstGauge::new(gc.longest_step as f64 / 1e6);
    registry.register_with_unit("gc_longest_step", "The longest step of the collector", Unit::Seconds, longest);
    let mut bytes = |name, help: &str, bytes: Option<u64>| {
        if let Some(bytes) = bytes {
            registry.register_with_unit(name, help, Unit::Bytes, Level::new(bytes));
        }
    };
    bytes("answer", "What answers that are sent hold in memory", Some(now.answer_bytes));
    bytes("database", "The database file", now.database_bytes);
    bytes("reclaimable", "What is free within the database file", Some(now.totals.free));
    bytes("wal", "The write-ahead log beside the database file", now.wal_bytes);
    bytes("disk_free", "What is free on the disk of the data directory", now.disk_free_bytes);
    registry
}

#[cfg(test)]
mod tests;
