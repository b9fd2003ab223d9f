//! The rules of a hub, of both surfaces, over a [`Storage`]. They know nothing of HTTP.
//!
//! A method that reads blocks the calling thread for as long as the storage does. One that writes gives an [`Answer`]: a
//! future for those who have a runtime, with [`Answer::wait`] for those who have none. Over a storage in memory every
//! answer is there at once.

mod aside;
mod figures;
mod garbage;
mod id_key;
mod policy;
mod pull;
mod push;
mod quota;
mod segment;
mod snapshots;
mod taskchampion;
mod tasks;
mod upload;
mod v0;

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tolstoy_edn::Instant;
use tolstoy_env::Env;
use tolstoy_proto::{Generation, LogId, LogState};

pub use figures::{LogList, LogPage};
pub use garbage::{Collector, Garbage, GcFigures, GcStep, Survey};
pub use policy::{Policy, Threshold, VersionThreshold};
pub use pull::{Begin, Pull, PullEnd, PullError};
pub use push::PushOutcome;
pub use segment::{Segment, SegmentUpload};
pub use snapshots::{SnapshotOutcome, SnapshotRoom, SnapshotUpload};
pub use taskchampion::{AddVersion, ChildVersion, SnapshotPlace, Version, VersionBytes};
pub use tasks::{TaskAnswer, TaskOffer, TasksOutcome};
pub use upload::{BadUpload, Upload, UploadError, Uploader};
pub use v0::{HeadOutcome, ListOutcome, PutOutcome};

use crate::live::{Live, Watch};
use crate::storage::{Life, LogRow, ReadTxn, Storage, StorageError, Tip, WriteJob, WriteTxn};

/// How long a commit may take before the hub is given up: far longer than the slowest disk takes.
pub const STUCK: Duration = Duration::from_secs(60);

/// A hub's rules over a storage. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    /// One, since each write takes a clone along: counting them costs the more the more threads do.
    shared: Arc<Shared>,
    /// Who writes, where that is known.
    writer: Option<Arc<str>>,
    /// What a job holds until it is done.
    held: Option<Held>,
}

/// Something that is held, whatever it is.
pub type Held = Arc<dyn Any + Send + Sync>;

#[derive(Clone)]
struct Shared {
    storage: Arc<dyn Storage>,
    env: Env,
    live: Arc<Live>,
    policy: Policy,
    halves: snapshots::Halves,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    /// The rules over this storage. New generations take their ids from `env`.
    pub fn new(storage: Arc<dyn Storage>, env: Env) -> Self {
        let (live, policy, halves) = (Arc::default(), Policy::default(), snapshots::Halves::default());
        let shared = Shared { storage, env, live, policy, halves };
        Self { shared: Arc::new(shared), writer: None, held: None }
    }

    /// The same, under this policy.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { shared: Arc::new(Shared { policy, ..Shared::clone(&self.shared) }), ..self }
    }

    /// The same; what is written through it is noted as this writer's, whose name is short and may be shown to anyone
    /// who may see the log.
    #[must_use]
    pub fn by(&self, writer: Arc<str>) -> Self {
        Self { shared: self.shared.clone(), writer: Some(writer), held: self.held.clone() }
    }

    /// The same; each job of it holds this until it is done, whether or not somebody waits for its answer. It stands for
    /// the memory that the job takes.
    #[must_use]
    pub fn holding(self, held: Option<Held>) -> Self {
        Self { held, ..self }
    }

    /// What its owner decided.
    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// The log's state.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn info(&self, log: LogId) -> Result<LogState, StorageError> {
        self.read(|txn| Ok(View::of(txn, log)?.state()))
    }

    /// Ends the log's generation: it is as if it never was, but that its next generation has the next number. A log
    /// without a generation stays as it is.
    pub fn delete(&self, log: LogId) -> Answer<()> {
        self.change(log, move |txn, moved| {
            *moved = View::of(txn, log)?.life().is_some();
            txn.end_life(log)
        })
    }

    /// Watches the log's state from now on: read it after this, and what the reading does not see wakes the watch.
    pub fn watch(&self, log: LogId) -> Watch {
        self.shared.live.watch(log)
    }

    /// Ends all watches: the hub stops.
    pub fn end_watches(&self) {
        self.shared.live.end();
    }

    /// Whether writes get anywhere: none has been under way for as long as [`STUCK`]. Many that wait are no sign of
    /// trouble, nor is a full disk. It costs nothing.
    pub fn is_alive(&self) -> bool {
        self.shared.storage.working_for() < STUCK
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.shared.env.now()
    }

    /// Commits something to the disk that changes nothing: its answer says that writes are durable.
    pub fn prove(&self) -> Answer<()> {
        self.write(|txn| txn.touch())
    }

    /// Notes an upload into this life.
    fn stamp(&self, txn: &mut dyn WriteTxn, life: Life) -> Result<(), StorageError> {
        txn.stamp(life, self.now().as_micros(), self.writer.as_deref().unwrap_or_default())
    }

    /// Reads in one snapshot.
    fn read<R>(&self, mut rules: impl FnMut(&dyn ReadTxn) -> Result<R, StorageError>) -> Result<R, StorageError> {
        let mut found = None;
        self.shared.storage.read(&mut |txn| {
            found = Some(rules(txn)?);
            Ok(())
        })?;
        found.ok_or(StorageError::Closed)
    }

    /// Checks and writes what leaves the state of every log as it is. The rules may run more than once; the last run
    /// counts.
    fn write<R: Send + 'static>(
        &self,
        mut rules: impl FnMut(&mut dyn WriteTxn) -> Result<R, StorageError> + Send + 'static,
    ) -> Answer<R> {
        self.submit(None, move |txn, _| rules(txn))
    }

    /// As [`Service::write`], for rules that may change what is watched of this log: its generation, HEAD or tasks. They say so through
    /// their second argument, and those who watch the log are woken once that is durable.
    fn change<R: Send + 'static>(
        &self,
        log: LogId,
        rules: impl FnMut(&mut dyn WriteTxn, &mut bool) -> Result<R, StorageError> + Send + 'static,
    ) -> Answer<R> {
        self.submit(Some((log, self.shared.live.clone())), rules)
    }

    fn submit<R: Send + 'static>(
        &self,
        wakes: Option<(LogId, Arc<Live>)>,
        rules: impl FnMut(&mut dyn WriteTxn, &mut bool) -> Result<R, StorageError> + Send + 'static,
    ) -> Answer<R> {
        let (reply, answer) = oneshot::channel();
        self.shared.storage.write(Box::new(Task {
            rules,
            outcome: None,
            moved: false,
            wakes,
            reply: Some(reply),
            _held: self.held.clone(),
        }));
        Answer(answer)
    }
}

/// A write's outcome, once it is durable.
pub struct Answer<R>(oneshot::Receiver<Reply<R>>);

impl<R> std::fmt::Debug for Answer<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}

/// A job's result, and the job itself: what it holds was allocated where its answer is awaited, and is freed there, without
/// a lock that the writer would wait for.
type Reply<R> = (Result<R, StorageError>, Option<Box<dyn Send>>);

impl<R> Answer<R> {
    /// An answer that needs no write.
    fn ready(outcome: R) -> Self {
        let (reply, answer) = oneshot::channel();
        // The receiver is in our hand.
        let _ = reply.send((Ok(outcome), None));
        Self(answer)
    }

    /// Waits on this thread. Not from within async code, unless the storage is in memory: there nothing has to be
    /// waited for.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn wait(mut self) -> Result<R, StorageError> {
        let reply = match self.0.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => self.0.blocking_recv().ok(),
            reply => reply.ok(),
        };
        reply.map_or(Err(StorageError::Closed), |(result, _)| result)
    }
}

impl<R> Future for Answer<R> {
    type Output = Result<R, StorageError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A job that was dropped unanswered met a closed storage.
        Pin::new(&mut self.0).poll(cx).map(|reply| reply.map_or(Err(StorageError::Closed), |(result, _)| result))
    }
}

/// Rules, as a job of the storage.
struct Task<R, F> {
    rules: F,
    outcome: Option<R>,
    /// Whether the last run changed the state of the log that `wakes` names.
    moved: bool,
    /// Not the storage: this outlives the answer, and who was answered may close that.
    wakes: Option<(LogId, Arc<Live>)>,
    reply: Option<oneshot::Sender<Reply<R>>>,
    /// Dropped after the rules, and the memory that they hold.
    _held: Option<Held>,
}

impl<R, F> WriteJob for Task<R, F>
where
    R: Send + 'static,
    F: FnMut(&mut dyn WriteTxn, &mut bool) -> Result<R, StorageError> + Send + 'static,
{
    fn run(&mut self, txn: &mut dyn WriteTxn) -> Result<(), StorageError> {
        self.moved = false;
        self.outcome = Some((self.rules)(txn, &mut self.moved)?);
        Ok(())
    }

    fn done(mut self: Box<Self>, result: Result<(), StorageError>) {
        let wakes = self.wakes.take().filter(|_| result.is_ok() && self.moved);
        let outcome = result.and_then(|()| self.outcome.take().ok_or(StorageError::Closed));
        if let Some(reply) = self.reply.take() {
            // Who asked may have gone; what was written stays written.
            let _ = reply.send((outcome, Some(self)));
        }
        if let Some((log, live)) = wakes {
            live.changed(log);
        }
    }
}

/// A log as the rules see it.
#[derive(Debug, Clone, Copy)]
struct View {
    log: LogId,
    row: LogRow,
    tip: Tip,
}

impl View {
    fn of<T: ReadTxn + ?Sized>(txn: &T, log: LogId) -> Result<Self, StorageError> {
        let row = txn.log(log)?;
        let tip = match row {
            LogRow::Living(life, _) => txn.tip(life)?,
            LogRow::Never | LogRow::Ended(_) => Tip::ROOT,
        };
        Ok(Self { log, row, tip })
    }

    fn life(&self) -> Option<Life> {
        match self.row {
            LogRow::Living(life, _) => Some(life),
            LogRow::Never | LogRow::Ended(_) => None,
        }
    }

    fn generation(&self) -> Option<Generation> {
        match self.row {
            LogRow::Living(_, generation) => Some(generation),
            LogRow::Never | LogRow::Ended(_) => None,
        }
    }

    fn state(&self) -> LogState {
        LogState { generation: self.generation(), head: self.tip.id, seq: self.tip.seq, chain: self.tip.chain }
    }

    /// The log's life and generation; begins the next one where it has none, since it is about to be written.
    fn living(&self, txn: &mut dyn WriteTxn, env: &Env) -> Result<(Life, Generation), StorageError> {
        let last = match self.row {
            LogRow::Living(life, generation) => return Ok((life, generation)),
            LogRow::Ended(last) => last,
            LogRow::Never => 0,
        };
        let id = if self.log.is_taskchampion() { taskchampion::stamped(env) } else { env.uuid() };
        let id = id.map_err(|error| StorageError::Failed(error.to_string()))?;
        let generation = Generation { id, number: last + 1 };
        Ok((txn.begin_life(self.log, generation)?, generation))
    }
}
