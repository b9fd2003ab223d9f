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

/// For how long it does so.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);

type Job = Box<dyn WriteJob>;

/// The writer as others see it: a queue, and a thread behind it.
#[derive(Debug)]
pub(super) struct Writer {
    running: Mutex<Option<Running>>,
    metrics: StorageMetrics,
}

#[derive(Debug)]
struct Running {
    queue: SyncSender<Job>,
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

    pub(super) fn submit(&self, job: Job) {
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
    fn write(&self, jobs: &Receiver<Job>, max: usize) {
        let mut batch = Vec::with_capacity(max.min(1024));
        let mut last = 1;
        while let Ok(job) = jobs.recv() {
            self.metrics.queue.dec();
            batch.push(job);
            let intake = Intake { jobs, max, expected: last, began: Instant::now(), metrics: &self.metrics };
            intake.take_waiting(&mut batch);
            last = self.run(&mut batch, &intake);
            self.checkpoints.borrow_mut().keep_short(&self.connection);
            self.metrics.pulse.rests();
        }
        // What is not moved now is moved when the file is next opened.
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log stays beside the database");
        }
    }

    /// Runs the jobs in one transaction, with those that come meanwhile, and tells them. Where that fails, each is run in its own,
    /// so that one that cannot succeed fails alone. Gives how many there were, and leaves none.
    fn run(&self, batch: &mut Vec<Job>, intake: &Intake<'_>) -> usize {
        let result = self.commit(batch, |batch| intake.take(batch));
        let count = batch.len();
        match &result {
            Err(error) if count > 1 => {
                tracing::warn!(%error, jobs = count, "a batch failed: its jobs are run one by one");
                self.metrics.failed_batches.inc();
                for job in batch.drain(..) {
                    let mut alone = vec![job];
                    let result = self.commit(&mut alone, |_| {});
                    alone.into_iter().for_each(|job| job.done(result.clone()));
                    self.checkpoints.borrow_mut().keep_short(&self.connection);
                }
            }
            _ => batch.drain(..).for_each(|job| job.done(result.clone())),
        }
        count
    }

    /// Runs the jobs in one transaction, and those that `more` adds to them. An error leaves nothing of any of them.
    fn commit(&self, jobs: &mut Vec<Job>, more: impl FnMut(&mut Vec<Job>)) -> Result<(), StorageError> {
        self.metrics.pulse.works();
        let begun = Instant::now();
        let execute = |sql| self.connection.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(failed);
        execute("BEGIN IMMEDIATE")?;
        let result = self.run_all(jobs, more).and_then(|()| {
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

    /// Runs one job after the other, and asks for more of them when it has run all that there are.
    fn run_all(&self, jobs: &mut Vec<Job>, mut more: impl FnMut(&mut Vec<Job>)) -> Result<(), StorageError> {
        let mut ran = 0;
        while let Some(job) = jobs.get_mut(ran) {
            self.run_one(job.as_mut())?;
            ran += 1;
            if ran == jobs.len() {
                more(jobs);
            }
        }
        Ok(())
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

/// What comes while a batch runs, and is still taken into it.
struct Intake<'a> {
    jobs: &'a Receiver<Job>,
    /// Jobs of a batch, at most.
    max: usize,
    /// Jobs of the last batch. As many are waited for: those who were answered just now are likely to ask again, and one commit
    /// for all of them costs little more than one for the first. A writer alone never waits, and no job for long.
    expected: usize,
    began: Instant,
    metrics: &'a StorageMetrics,
}

impl Intake<'_> {
    /// Adds those that wait.
    fn take_waiting(&self, batch: &mut Vec<Job>) {
        let before = batch.len();
        batch.extend(self.jobs.try_iter().take(self.max.saturating_sub(before)));
        self.metrics.queue.dec_by(i64::try_from(batch.len() - before).unwrap_or(i64::MAX));
    }

    /// Adds those that wait; where none does and one is waited for, the next.
    fn take(&self, batch: &mut Vec<Job>) {
        let before = batch.len();
        self.take_waiting(batch);
        let is_waited_for = before < self.expected.min(self.max) && self.began.elapsed() < LONGEST_GATHERING;
        if batch.len() == before
            && is_waited_for
            && let Ok(job) = self.jobs.recv_timeout(GAP)
        {
            self.metrics.queue.dec();
            batch.push(job);
        }
    }
}
