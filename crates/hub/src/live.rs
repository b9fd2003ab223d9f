//! Who waits for a log to change, and how a write wakes them.
//!
//! > **No lost wake-up.** Who watches a log before reading it hears of every change that the reading did not see.
//!
//! A write makes its change durable and then looks for watchers; a watcher is known before it reads. So one of the two sees
//! the other. A watcher is told that something changed, never what: it reads again, and sees the newest state.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tolstoy_proto::LogId;

/// Parts of the registry, each with a lock of its own.
const SHARDS: usize = 16;

/// Who watches which log. It holds a few hundred bytes for each log that is watched, and nothing for others: who lets
/// strangers watch bounds how many.
#[derive(Debug)]
pub struct Live {
    shards: [Mutex<HashMap<LogId, Watched>>; SHARDS],
    /// How many watch, or are about to.
    watches: AtomicUsize,
    ended: watch::Sender<bool>,
}

#[derive(Debug)]
struct Watched {
    changes: watch::Sender<()>,
    watches: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            watches: AtomicUsize::new(0),
            ended: watch::Sender::new(false),
        }
    }
}

impl Live {
    /// Watches a log from now on, until the watch is dropped.
    pub fn watch(self: &Arc<Self>, log: LogId) -> Watch {
        self.watches.fetch_add(1, Ordering::SeqCst);
        let changes = {
            let mut shard = self.shard(log);
            let watched = shard.entry(log).or_insert_with(|| Watched { changes: watch::Sender::new(()), watches: 0 });
            watched.watches += 1;
            watched.changes.subscribe()
        };
        // Before what the watcher reads next; see `changed`.
        fence(Ordering::SeqCst);
        Watch { live: self.clone(), log, changes, ended: self.ended.subscribe() }
    }

    /// Wakes those who watch the log. What changed must be visible to readers by now. Where nobody watches anything this is
    /// one look at a number.
    pub fn changed(&self, log: LogId) {
        // After what was written: a watcher that this look misses has not read yet, and sees it.
        fence(Ordering::SeqCst);
        if self.watches.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(watched) = self.shard(log).get(&log) {
            watched.changes.send_replace(());
        }
    }

    /// Ends all watches, and those that begin later: the hub stops.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// How many watch at the moment.
    pub fn watches(&self) -> usize {
        self.watches.load(Ordering::SeqCst)
    }

    fn shard(&self, log: LogId) -> MutexGuard<'_, HashMap<LogId, Watched>> {
        // The last byte: ids that were not made at random differ there, if anywhere.
        let [.., last] = *log.as_bytes();
        let shards = &self.shards;
        shards[usize::from(last) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a watch was woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The log may have changed since the watch began, or since it was last woken: read it again.
    Changed,
    /// The hub stops.
    Ended,
}

/// A log that is watched.
#[derive(Debug)]
pub struct Watch {
    live: Arc<Live>,
    log: LogId,
    changes: watch::Receiver<()>,
    ended: watch::Receiver<bool>,
}

impl Watch {
    /// Waits until the log changes, or the hub stops. A change since the last time counts. May be dropped and called
    /// again; nothing is lost.
    pub async fn woken(&mut self) -> Woken {
        tokio::select! {
            biased;
            // The sender lives in `live`, as long as this watch.
            _ = self.ended.wait_for(|ended| *ended) => Woken::Ended,
            _ = self.changes.changed() => Woken::Changed,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Entry::Occupied(mut watched) = self.live.shard(self.log).entry(self.log) {
            watched.get_mut().watches -= 1;
            if watched.get().watches == 0 {
                watched.remove();
            }
        }
        self.live.watches.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn log(n: u64) -> LogId {
        LogId(uuid::Uuid::from_u64_pair(7, n))
    }

    /// What the watch was woken by already; none where it still waits.
    async fn woken(watch: &mut Watch) -> Option<Woken> {
        tokio::time::timeout(Duration::ZERO, watch.woken()).await.ok()
    }

    #[tokio::test]
    async fn a_change_wakes_all_who_watch_that_log_once() {
        let live = Arc::new(Live::default());
        let (mut one, mut two, mut other) = (live.watch(log(1)), live.watch(log(1)), live.watch(log(17)));
        live.changed(log(1));
        live.changed(log(1));
        for watch in [&mut one, &mut two] {
            assert_eq!(woken(watch).await, Some(Woken::Changed));
            assert_eq!(woken(watch).await, None);
        }
        assert_eq!(woken(&mut other).await, None);
        live.changed(log(17));
        assert_eq!(woken(&mut other).await, Some(Woken::Changed));
        // What changed before is not news.
        assert_eq!(woken(&mut live.watch(log(17))).await, None);
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_watch() {
        let live = Arc::new(Live::default());
        let watches: Vec<Watch> = (0..100).map(|n| live.watch(log(n % 10))).collect();
        assert_eq!(live.watches(), 100);
        drop(watches);
        assert_eq!(live.watches(), 0);
        assert!(live.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[tokio::test]
    async fn the_end_wakes_all_and_lasts() {
        let live = Arc::new(Live::default());
        let mut before = live.watch(log(1));
        live.end();
        assert_eq!(woken(&mut before).await, Some(Woken::Ended));
        assert_eq!(woken(&mut live.watch(log(2))).await, Some(Woken::Ended));
    }
}
