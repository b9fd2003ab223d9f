//! A histogram that is counted into without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds in microseconds: from what a read of a cached page takes to what nobody waits for.
const SECONDS: [u64; 14] =
    [250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// Upper bounds of how many things go together.
const COUNTS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// How often values fell into which range. Cheap to clone; the clones are one.
#[derive(Debug, Clone)]
pub struct Histogram {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bounds: &'static [u64],
    /// Values per unit that is told: a million where microseconds are counted and seconds told.
    scale: f64,
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Of durations, told in seconds.
    pub fn of_seconds() -> Self {
        Self::new(&SECONDS, 1e6)
    }

    /// Of how many things go together.
    pub fn of_counts() -> Self {
        Self::new(&COUNTS, 1.0)
    }

    fn new(bounds: &'static [u64], scale: f64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { inner: Arc::new(Inner { bounds, scale, buckets, sum: AtomicU64::new(0) }) }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let Inner { bounds, buckets, sum, .. } = &*self.inner;
        let at = bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// The value that so much of all values is at most, between the bounds as if they were spread evenly there; none where
    /// there is no value. `part` is between 0 and 1.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let Inner { bounds, buckets, scale, .. } = &*self.inner;
        let counts: Vec<u64> = buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = part * total as f64;
        let mut below = 0;
        let mut low = 0;
        for (count, high) in counts.iter().zip(bounds.iter()) {
            if *count > 0 && (below + count) as f64 >= wanted {
                let inside = (wanted - below as f64).max(0.0) / *count as f64;
                return Some((low as f64 + inside * (high - low) as f64) / scale);
            }
            below += count;
            low = *high;
        }
        // Above the highest bound only that much is known.
        (total > 0).then(|| low as f64 / scale)
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Inner { bounds, buckets, scale, sum } = &*self.inner;
        let highs = bounds.iter().map(|bound| *bound as f64 / scale).chain([f64::INFINITY]);
        let told: Vec<(f64, u64)> = highs.zip(buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect();
        // Taken from the buckets, so that both agree while others count.
        let count = told.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum.load(Ordering::Relaxed) as f64 / scale, count, &told, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_first_bucket_that_holds_them() {
        let histogram = Histogram::of_counts();
        for value in [0, 1, 2, 3, 4, 1024, 1025, u64::from(u32::MAX)] {
            histogram.observe(value);
        }
        let counts: Vec<u64> = histogram.inner.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn quantiles_lie_between_the_bounds() {
        let histogram = Histogram::of_seconds();
        assert_eq!(histogram.quantile(0.5), None);
        for _ in 0..100 {
            histogram.observe_duration(Duration::from_micros(800));
        }
        let median = histogram.quantile(0.5).unwrap();
        assert!((0.0005..=0.001).contains(&median), "{median}");
        histogram.observe_duration(Duration::from_secs(3600));
        assert!(histogram.quantile(0.5).unwrap() <= 0.001);
        assert_eq!(histogram.quantile(1.0), Some(30.0));
    }
}
