//! The one thread that writes.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::checkpoint::Checkpoints;
use super::recent::Recent;
use super::txn::Txn;
use super::{SqliteOptions, failed};
use crate::metrics::StorageMetrics;
use crate::storage::{StorageError, WriteJob};

/// How long the writer waits for the next job of a batch that it expects to grow.
const GAP: Duration = Duration::from_micros(40);

/// How long it waits for all of them.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);

/// The writer as others see it: a queue, and a thread behind it.
#[derive(Debug)]
pub(super) struct Writer {
    running: Mutex<Option<Running>>,
    metrics: StorageMetrics,
}

#[derive(Debug)]
struct Running {
    queue: SyncSender<Box<dyn WriteJob>>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        options: &SqliteOptions,
        metrics: StorageMetrics,
        checkpoints: Checkpoints,
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(options.queue.max(1));
        let batch = options.batch.max(1);
        let counted = metrics.clone();
        let thread = thread::Builder::new()
            .name("hub-writer".to_owned())
            .spawn(move || Hand::new(connection, counted, checkpoints).write(&jobs, batch))?;
        Ok(Self { running: Mutex::new(Some(Running { queue, thread })), metrics })
    }

    pub(super) fn submit(&self, job: Box<dyn WriteJob>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the writer can take it, so that the number is never negative.
        self.metrics.queue.inc();
        let refused = match running.as_ref().map(|running| running.queue.try_send(job)) {
            Some(Ok(())) => None,
            Some(Err(TrySendError::Full(job))) => Some((job, StorageError::Busy)),
            Some(Err(TrySendError::Disconnected(job))) => Some((job, StorageError::Closed)),
            None => {
                self.metrics.queue.dec();
                None
            }
        };
        drop(running);
        // A job that meets a closed writer is dropped, and its waiter sees that nobody will answer.
        if let Some((job, error)) = refused {
            self.metrics.queue.dec();
            if error == StorageError::Busy {
                self.metrics.refused.inc();
            }
            job.done(Err(error));
        }
    }

    /// How long it has worked on what it does now; for ever, where its thread has ended on its own.
    pub(super) fn working_for(&self) -> Duration {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.as_ref() {
            Some(running) if running.thread.is_finished() => Duration::MAX,
            Some(_) => self.metrics.pulse.working_for(),
            None => Duration::ZERO,
        }
    }

    pub(super) fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { queue, thread }) = running {
            drop(queue);
            // A job that nobody waits for may be the last to hold the storage: then this is the thread itself, which ends
            // when it has done the jobs that wait.
            if thread.thread().id() == thread::current().id() {
                return;
            }
            // The thread catches what its jobs do wrong; should it fail all the same, its jobs' waiters were told.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the thread works with.
struct Hand {
    connection: Connection,
    recent: RefCell<Recent>,
    metrics: StorageMetrics,
    checkpoints: RefCell<Checkpoints>,
}

impl Hand {
    fn new(connection: Connection, metrics: StorageMetrics, checkpoints: Checkpoints) -> Self {
        Self { connection, recent: RefCell::default(), metrics, checkpoints: RefCell::new(checkpoints) }
    }

    /// Runs jobs until nobody can send any more.
    fn write(&self, jobs: &Receiver<Box<dyn WriteJob>>, max: usize) {
        let mut batch = Vec::with_capacity(max.min(1024));
        let mut last = 1;
        while let Ok(job) = jobs.recv() {
            batch.push(job);
            batch.extend(jobs.try_iter().take(max - 1));
            gather(jobs, &mut batch, last.min(max));
            last = batch.len();
            self.metrics.queue.dec_by(i64::try_from(batch.len()).unwrap_or(i64::MAX));
            self.run(&mut batch);
            self.checkpoints.borrow_mut().keep_short(&self.connection);
            self.metrics.pulse.rests();
        }
        // What is not moved now is moved when the file is next opened.
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log stays beside the database");
        }
    }

    /// Runs the jobs in one transaction, and tells them. Where that fails, each is run in its own, so that one that cannot
    /// succeed fails alone.
    fn run(&self, batch: &mut Vec<Box<dyn WriteJob>>) {
        let result = self.commit(batch);
        match &result {
            Err(error) if batch.len() > 1 => {
                tracing::warn!(%error, jobs = batch.len(), "a batch failed: its jobs are run one by one");
                self.metrics.failed_batches.inc();
                for mut job in batch.drain(..) {
                    let result = self.commit(std::slice::from_mut(&mut job));
                    job.done(result);
                }
            }
            _ => batch.drain(..).for_each(|job| job.done(result.clone())),
        }
    }

    /// Runs the jobs in one transaction. An error leaves nothing of any of them.
    fn commit(&self, jobs: &mut [Box<dyn WriteJob>]) -> Result<(), StorageError> {
        self.metrics.pulse.works();
        let begun = Instant::now();
        let execute = |sql| self.connection.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(failed);
        execute("BEGIN IMMEDIATE")?;
        let result = jobs.iter_mut().try_for_each(|job| self.run_one(job.as_mut())).and_then(|()| {
            let ran = Instant::now();
            execute("COMMIT")?;
            self.metrics.commit_seconds.observe_duration(ran.elapsed());
            Ok(())
        });
        if result.is_ok() {
            self.metrics.commits.inc();
            self.metrics.commit_jobs.observe(jobs.len() as u64);
            self.metrics.batch_seconds.observe_duration(begun.elapsed());
            return Ok(());
        }
        self.recent.borrow_mut().forget();
        if !self.connection.is_autocommit() {
            execute("ROLLBACK")?;
        }
        result
    }

    fn run_one(&self, job: &mut dyn WriteJob) -> Result<(), StorageError> {
        let run = || {
            let mut txn = Txn::writing(&self.connection, &self.recent);
            job.run(&mut txn)?;
            txn.finish()
        };
        catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(StorageError::Failed("a write job panicked".to_owned())))
    }
}

/// Waits for as many jobs as the last batch had: those who were answered just now are likely to ask again, and one commit
/// for all of them costs little more than one for the first. A writer alone never waits, and no job for long.
fn gather(jobs: &Receiver<Box<dyn WriteJob>>, batch: &mut Vec<Box<dyn WriteJob>>, expected: usize) {
    let begun = Instant::now();
    while batch.len() < expected && begun.elapsed() < LONGEST_GATHERING {
        match jobs.recv_timeout(GAP) {
            Ok(job) => batch.push(job),
            Err(_) => return,
        }
        // What else has come costs no waking.
        batch.extend(jobs.try_iter().take(expected.saturating_sub(batch.len())));
    }
}
