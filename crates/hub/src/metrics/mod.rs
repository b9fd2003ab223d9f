//! What a hub counts of its work, and tells in the text format of OpenMetrics.
//!
//! Counting is adding to an atomic number: no lock, and no allocation once a route was met. No label holds an id, an
//! address or anything else that an asker chooses. What can be looked up is not counted but looked up when somebody asks.

mod histogram;
mod http;

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use histogram::Histogram;
use http::HttpMetrics;
pub(crate) use http::NO_ROUTE;

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
    /// Steps of the garbage collection.
    pub gc_steps: Counter,
    /// Rows that it removed.
    pub gc_rows: Counter,
    /// Bytes of chunks and snapshots that it removed.
    pub gc_bytes: Counter,
    /// Snapshots that were taken.
    pub snapshots: Counter,
    /// Writes that were refused because of a log's quota.
    pub quota_refusals: Counter,
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
            gc_steps: Counter::default(),
            gc_rows: Counter::default(),
            gc_bytes: Counter::default(),
            snapshots: Counter::default(),
            quota_refusals: Counter::default(),
        }
    }
}

impl StorageMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("commits", "Commits that reached the disk", self.commits.clone());
        registry.register("commit_jobs", "Writes that share a commit, and so an fsync", self.commit_jobs.clone());
        let help = "A batch of writes: running them, and their commit";
        registry.register_with_unit("batch", help, Unit::Seconds, self.batch_seconds.clone());
        let help = "The commit of a batch alone: the fsync";
        registry.register_with_unit("commit", help, Unit::Seconds, self.commit_seconds.clone());
        let help = "Batches that failed and were run again one by one";
        registry.register("failed_batches", help, self.failed_batches.clone());
        registry.register("queue_jobs", "Writes that wait", self.queue.clone());
        registry.register("queue_refusals", "Writes that were refused because too many waited", self.refused.clone());
        registry.register("gc_steps", "Steps of the garbage collection", self.gc_steps.clone());
        registry.register("gc_rows", "Rows that the garbage collection removed", self.gc_rows.clone());
        let help = "Bytes that the garbage collection removed";
        registry.register_with_unit("gc", help, Unit::Bytes, self.gc_bytes.clone());
        registry.register("snapshots", "Snapshots that were taken", self.snapshots.clone());
        let help = "Writes that were refused because of a log's quota";
        registry.register("quota_refusals", help, self.quota_refusals.clone());
    }
}

/// What the doors count: who is not let in. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub struct DoorMetrics {
    /// Connections that were taken.
    pub connections: Counter,
    /// Connections that are open.
    pub open: Gauge,
    /// Requests without a token, or with one that opens nothing.
    pub unauthorized: Counter,
    /// Requests that were refused because their token or address sends too many.
    pub rate_refusals: Counter,
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
        let help = "Requests without a token, or with one that opens nothing";
        registry.register("unauthorized", help, self.unauthorized.clone());
        let help = "Requests that were refused because of a rate limit";
        registry.register("rate_refusals", help, self.rate_refusals.clone());
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
    pub(crate) logs: Option<u64>,
    pub(crate) database_bytes: Option<u64>,
    pub(crate) wal_bytes: Option<u64>,
    pub(crate) disk_free_bytes: Option<u64>,
    pub(crate) ready: bool,
}

/// All that a hub counts.
pub(crate) struct Metrics {
    registry: Registry,
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
    /// Of a hub that started at this time, in seconds since 1970, over a storage that counts in `storage`.
    pub(crate) fn new(started: f64, storage: StorageMetrics) -> Self {
        let mut registry = Registry::with_prefix("tolstoy_hub");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        let start: Gauge<f64, AtomicU64> = Gauge::default();
        start.set(started);
        registry.register_with_unit("start_time", "When the hub started, since 1970", Unit::Seconds, start);
        let http = HttpMetrics::new(&mut registry);
        storage.register(&mut registry);
        let door = DoorMetrics::default();
        door.register(&mut registry);
        Self { registry, http, storage, door }
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
    if let Some(logs) = now.logs {
        registry.register("logs", "Logs that live", Level::new(logs));
    }
    let mut bytes = |name, help: &str, bytes: Option<u64>| {
        if let Some(bytes) = bytes {
            registry.register_with_unit(name, help, Unit::Bytes, Level::new(bytes));
        }
    };
    bytes("database", "The database file", now.database_bytes);
    bytes("wal", "The write-ahead log beside the database file", now.wal_bytes);
    bytes("disk_free", "What is free on the disk of the data directory", now.disk_free_bytes);
    registry
}

#[cfg(test)]
mod tests;
