//! Whether the hub can do its work now.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::service::Service;
use crate::storage::{SqliteStorage, StorageError};

/// How long the writer may take for a commit.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer is given again: who asks often makes the hub write no more often.
const FRESH: Duration = Duration::from_secs(1);

/// Finds out whether the hub can do its work.
#[derive(Debug)]
pub(crate) struct Readiness {
    draining: AtomicBool,
    /// Fewer free bytes on the disk are too few.
    floor: u64,
    /// How long an answer is given again.
    fresh: Duration,
    last: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Readiness {
    /// Of a hub that wants so many free bytes on its disk.
    pub(crate) fn new(floor: u64) -> Self {
        Self { draining: AtomicBool::new(false), floor, fresh: FRESH, last: Mutex::new(None) }
    }

    /// From now on the hub is about to end.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What is wrong, in words for people; nothing where the hub can do its work. A commit says so, one a second at most,
    /// however many ask.
    pub(crate) async fn problems(&self, service: &Service, database: Option<&SqliteStorage>) -> Vec<String> {
        let mut last = self.last.lock().await;
        let mut problems = match &*last {
            Some((at, problems)) if at.elapsed() < self.fresh => problems.clone(),
            _ => {
                let mut problems = Vec::new();
                problems.extend(writer(service).await);
                problems.extend(self.disk(database));
                *last = Some((Instant::now(), problems.clone()));
                problems
            }
        };
        drop(last);
        if self.draining.load(Ordering::Relaxed) {
            problems.push("the hub is stopping".to_owned());
        }
        problems
    }

    fn disk(&self, database: Option<&SqliteStorage>) -> Option<String> {
        let free = database?.disk_free()?;
        let mib = |bytes: u64| bytes >> 20;
        (free < self.floor)
            .then(|| format!("the disk has {} MiB left, and min-disk-free asks for {} MiB", mib(free), mib(self.floor)))
    }
}

/// Why no commit can be made.
async fn writer(service: &Service) -> Option<String> {
    match timeout(PATIENCE, service.prove()).await {
        Ok(Ok(())) => None,
        Ok(Err(StorageError::Full(_))) => Some("the disk is full".to_owned()),
        Ok(Err(StorageError::Busy)) => Some("too many writes are waiting".to_owned()),
        Ok(Err(StorageError::Closed)) => Some("the database is closed".to_owned()),
        Ok(Err(error @ StorageError::Failed(_))) => {
            tracing::error!(%error, "the hub is not ready");
            Some("a commit failed; the hub's log says why".to_owned())
        }
        Err(_) => Some(format!("no commit was made within {} seconds", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;
    use tolstoy_env::Env;

    use super::*;
    use crate::storage::SqliteOptions;

    async fn problems(floor: u64, spoil: impl FnOnce(&SqliteStorage)) -> Vec<String> {
        let directory = TempDir::new().unwrap();
        let database = Arc::new(SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap());
        let service = Service::new(database.clone(), Env::system());
        spoil(&database);
        Readiness::new(floor).problems(&service, Some(&database)).await
    }

    #[tokio::test]
    async fn a_hub_that_commits_and_has_room_is_ready() {
        assert_eq!(problems(1, |_| {}).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_is_wrong_is_told() {
        let told = problems(u64::MAX, |database| database.close()).await;
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0], "the database is closed");
        assert!(told[1].starts_with("the disk has ") && told[1].ends_with(" asks for 17592186044415 MiB"), "{told:?}");
    }

    #[tokio::test]
    async fn who_asks_often_makes_no_more_commits() {
        let directory = TempDir::new().unwrap();
        let database = Arc::new(SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap());
        let service = Service::new(database.clone(), Env::system());
        let mut readiness = Readiness::new(0);
        readiness.fresh = Duration::MAX;
        for _ in 0..5 {
            assert!(readiness.problems(&service, Some(&database)).await.is_empty());
        }
        assert_eq!(database.metrics().commits.get(), 1);
        readiness.drain();
        assert_eq!(readiness.problems(&service, Some(&database)).await, ["the hub is stopping"]);
        readiness.fresh = Duration::ZERO;
        readiness.problems(&service, Some(&database)).await;
        assert_eq!(database.metrics().commits.get(), 2);
    }
}
