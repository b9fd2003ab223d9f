//! Whether somebody who works gets anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Since when a worker has been at what it does now. Cheap to clone; the clones are one.
#[derive(Debug, Clone)]
pub struct Pulse {
    began: Instant,
    /// In microseconds after it began, and one; 0: it rests.
    since: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { began: Instant::now(), since: Arc::default() }
    }
}

impl Pulse {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// The worker begins something.
    pub fn works(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
    }

    /// It has done all that there is.
    pub fn rests(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// For how long it has been at what it does; zero where it rests.
    pub fn working_for(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(self.now().saturating_sub(since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_tells_for_how_long_nothing_was_done() {
        let pulse = Pulse::default();
        let minute = Duration::from_secs(60);
        tokio::time::advance(minute).await;
        assert_eq!(pulse.working_for(), Duration::ZERO);
        pulse.works();
        tokio::time::advance(minute).await;
        assert_eq!(pulse.working_for(), minute);
        pulse.works();
        assert_eq!(pulse.working_for(), Duration::ZERO);
        pulse.rests();
        tokio::time::advance(minute).await;
        assert_eq!(pulse.working_for(), Duration::ZERO);
    }
}
