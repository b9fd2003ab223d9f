//! A hub: the real rules over the real storages, and what can happen to the machine that it runs on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tolstoy_env::Env;
use tolstoy_hub::SqliteOptions;
use tolstoy_hub::service::{
    self, Policy, Pull, PullEnd, PushOutcome, PutOutcome, Service, SnapshotOutcome, SnapshotUpload, Threshold, Upload,
};
use tolstoy_hub::storage::{
    Committed, LogRow, MemoryStorage, SqliteStorage, Storage, StorageError, WriteJob, WriteTxn, backup, restore,
};
use tolstoy_proto::{
    ChainDigest, ChunkId, ErrorBody, ErrorKind, Form, FrameDecoder, FrameEncoder, Generation, LogId, LogState, Pushed,
    Seq, TrnId,
};
use tolstoy_sync::transport::{MemoryBody, Request};
use tolstoy_sync::{Answer, Begin, Blob, TransportError};

use crate::disk::{Disk, Image};
use crate::plan::Medium;

/// A hub that answers at once.
pub struct Hub {
    kept: Kept,
    service: Service,
    policy: Policy,
    env: Env,
    /// Where its backup is, if one was made.
    backup: Option<TempDir>,
    /// How often it was started.
    starts: u64,
}

/// Where its logs are.
enum Kept {
    Memory(Arc<MemoryStorage>),
    Sqlite {
        storage: Arc<SqliteStorage>,
        /// Where its lock is, and without a disk of ours its database.
        directory: Arc<TempDir>,
        disk: Option<Disk>,
    },
}

/// The name of a backup's file.
const BACKUP: &str = "backup.db";

/// Chunk bytes in one piece of an answer.
const PAGE: usize = 2_000;

impl Hub {
    /// A hub without logs.
    ///
    /// # Errors
    /// Where its database cannot be made.
    pub fn new(medium: Medium, env: Env) -> Result<Self, String> {
        let kept = match medium {
            Medium::Memory => Kept::Memory(Arc::new(MemoryStorage::new())),
            Medium::Disk => Kept::sqlite(new_directory()?, Some(Disk::new()))?,
            Medium::Files => Kept::sqlite(new_directory()?, None)?,
        };
        let (service, policy) = (Service::new(kept.storage(), env.clone()), Policy::default());
        Ok(Self { service, kept, policy, env, backup: None, starts: 1 })
    }

    /// How often it was started: streams of an earlier time are cut.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// The disk that its database is on, where that is one that can fail.
    pub fn disk(&self) -> Option<&Disk> {
        match &self.kept {
            Kept::Sqlite { disk, .. } => disk.as_ref(),
            Kept::Memory(_) => None,
        }
    }

    /// Whether it lost its power.
    pub fn is_off(&self) -> bool {
        self.disk().is_some_and(Disk::is_off)
    }

    /// The log's state.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn state(&self, log: LogId) -> Result<LogState, StorageError> {
        self.service.info(log)
    }

    /// The log's committed transactions, in order, with the chain digest at each.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn chain(&self, log: LogId) -> Result<Vec<(TrnId, ChainDigest)>, StorageError> {
        let mut chain = Vec::new();
        self.kept.storage().read(&mut |txn| {
            let LogRow::Living(life, _) = txn.log(log)? else { return Ok(()) };
            txn.walk(life, Seq::ROOT, &mut |committed, _| {
                chain.push((committed.id, committed.chain));
                Ok(true)
            })
        })?;
        Ok(chain)
    }

    /// The rules themselves, for what the original clients ask.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Deletes the log, so that its next write begins another generation.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn delete(&self, log: LogId) -> Result<(), StorageError> {
        self.service.delete(log).wait()
    }

    /// Answers a request.
    ///
    /// # Errors
    /// `Broken` where the storage failed.
    pub fn serve(&self, log: LogId, request: Request) -> Result<Answer<Pull>, TransportError> {
        let answer = self.answer(log, request);
        self.rest();
        answer
    }

    /// Waits until what its writer does after an answer is done: it writes to the disk, and whoever comes next would race with
    /// it for the write at which the power goes.
    fn rest(&self) {
        let storage = self.kept.storage();
        while (Duration::from_nanos(1)..service::STUCK).contains(&storage.working_for()) {
            std::thread::yield_now();
        }
    }

    fn answer(&self, log: LogId, request: Request) -> Result<Answer<Pull>, TransportError> {
        match request {
            Request::Pull { from, begin } => {
                let begin = match begin {
                    Begin::Transactions => service::Begin::Transactions,
                    Begin::Snapshot => service::Begin::Snapshot,
                };
                self.service.pull_with(log, &from, begin).map(Answer::Stream).map_err(failed)
            }
            Request::PutSnapshot(id, snapshot) => self.put_snapshot(log, id, &all_of(&snapshot)?),
            Request::Push(body) => self.push(log, &body),
            Request::PutChunk(id, bytes) => self.put_chunk(log, id, bytes),
        }
    }

    fn push(&self, log: LogId, body: &Bytes) -> Result<Answer<Pull>, TransportError> {
        let refuse = |kind, why: String| Ok(Answer::Refused(ErrorBody::new(kind, why)));
        let mut decoder = FrameDecoder::new(Form::MessagePack);
        decoder.feed(body);
        let mut frames = Vec::new();
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(e) => return refuse(ErrorKind::BadRequest, e.to_string()),
            }
        }
        let upload = match Upload::from_frames(frames) {
            Ok(upload) => upload,
            Err(e) => return refuse(ErrorKind::BadRequest, e.to_string()),
        };
        match self.service.push(log, upload).wait().map_err(failed)? {
            PushOutcome::Done(state, snapshot) => Ok(Answer::Accepted(Pushed { state, snapshot })),
            PushOutcome::Conflict(from) => self.service.pull(log, &from).map(Answer::Conflict).map_err(failed),
            PushOutcome::Generation(state) => Ok(Answer::Generation(state)),
            PushOutcome::MissingChunks(chunks) => Ok(Answer::Missing(chunks)),
            PushOutcome::IdTaken(what) => refuse(ErrorKind::IdTaken, what),
            PushOutcome::ChainMismatch(_) => refuse(ErrorKind::ChainMismatch, "the chain differs".to_owned()),
            PushOutcome::Quota(..) => refuse(ErrorKind::Quota, "the log is full".to_owned()),
        }
    }

    fn put_chunk(&self, log: LogId, id: ChunkId, bytes: Bytes) -> Result<Answer<Pull>, TransportError> {
        match self.service.v0_put_chunk(log, id, bytes).wait().map_err(failed)? {
            PutOutcome::Done => Ok(Answer::Stored),
            other => Ok(Answer::Refused(ErrorBody::new(ErrorKind::IdTaken, format!("{other:?}")))),
        }
    }

    /// Keeps a snapshot.
    ///
    /// # Errors
    /// `Broken` where the storage failed.
    pub fn put_snapshot(&self, log: LogId, id: TrnId, snapshot: &[u8]) -> Result<Answer<Pull>, TransportError> {
        let mut upload = SnapshotUpload::new(None).map_err(failed)?;
        upload.take(snapshot).map_err(failed)?;
        match self.service.keep_snapshot(log, id, upload).map_err(failed)? {
            SnapshotOutcome::Done(_) => Ok(Answer::Stored),
            other => Ok(Answer::Refused(ErrorBody::new(ErrorKind::NotFound, format!("{other:?}")))),
        }
    }

    /// From now on it wants a snapshot after so many transactions.
    pub fn want_snapshots(&mut self, after: u64) {
        let wanted = Threshold { bytes: u64::MAX, transactions: after };
        self.policy = Policy { snapshot_low: wanted, snapshot_high: wanted, ..self.policy };
        self.service = self.service.clone().with_policy(self.policy);
    }

    /// Starts it again after its power went off, on what is left of its disk, as the seed decides.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn restart(&mut self, seed: u64) -> Result<(), String> {
        let Some(disk) = self.disk() else { return Ok(()) };
        let image = disk.survivor(seed);
        self.begin_on(Some(image))
    }

    /// Restores it to what it was when its logs had so many transactions, as from a backup: the same generations, and
    /// nothing above.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn restore(&mut self, logs: &[(LogId, u64)]) -> Result<(), String> {
        let mut kept = Vec::new();
        for (log, seq) in logs {
            kept.extend(self.beginning(*log, *seq).map_err(|e| e.to_string())?);
        }
        self.begin_on(None)?;
        for refill in kept {
            self.kept.storage().write(Box::new(refill));
        }
        self.service.prove().wait().map_err(|e| e.to_string())
    }

    /// Whether its database is in real files, of which backups are made as its owner would make them.
    pub fn is_in_files(&self) -> bool {
        matches!(&self.kept, Kept::Sqlite { disk: None, .. })
    }

    /// Makes a backup while it runs.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn back_up(&mut self) -> Result<(), String> {
        let Kept::Sqlite { directory, .. } = &self.kept else { return Ok(()) };
        let place = tempfile::tempdir().map_err(|e| e.to_string())?;
        backup(directory.path(), &place.path().join(BACKUP), &mut |_, _| {}).map_err(|e| e.to_string())?;
        self.backup = Some(place);
        Ok(())
    }

    /// Goes on with what its backup holds; false where there is none.
    ///
    /// # Errors
    /// Where it cannot be restored.
    pub fn restore_backup(&mut self) -> Result<bool, String> {
        let (Some(place), Kept::Sqlite { storage, .. }) = (self.backup.take(), &self.kept) else { return Ok(false) };
        storage.close();
        let directory = new_directory()?;
        restore(&place.path().join(BACKUP), directory.path(), &mut |_, _| {}).map_err(|e| e.to_string())?;
        self.go_on_with(Kept::sqlite(directory, None)?);
        Ok(true)
    }

    /// Another hub that holds the beginnings of these logs, and goes its own way from here.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn copy(&self, medium: Medium, logs: &[(LogId, u64)]) -> Result<Self, String> {
        let copy = Self::new(medium, self.env.clone())?;
        for (log, seq) in logs {
            if let Some(refill) = self.beginning(*log, *seq).map_err(|e| e.to_string())? {
                copy.kept.storage().write(Box::new(refill));
            }
        }
        copy.service.prove().wait().map_err(|e| e.to_string())?;
        Ok(copy)
    }

    /// Goes on with another storage: an empty one, or one on what is left of a disk.
    fn begin_on(&mut self, image: Option<Image>) -> Result<(), String> {
        let kept = match &self.kept {
            Kept::Memory(_) => Kept::Memory(Arc::new(MemoryStorage::new())),
            Kept::Sqlite { storage, directory, disk } => {
                storage.close();
                match disk {
                    // The files on the disk have the directory's name.
                    Some(_) => Kept::sqlite(directory.clone(), Some(Disk::holding(image.unwrap_or_default())))?,
                    None => Kept::sqlite(new_directory()?, None)?,
                }
            }
        };
        self.go_on_with(kept);
        Ok(())
    }

    fn go_on_with(&mut self, kept: Kept) {
        self.service = Service::new(kept.storage(), self.env.clone()).with_policy(self.policy);
        self.kept = kept;
        self.starts += 1;
    }

    /// The first transactions of a log, with the bytes of their chunks.
    fn beginning(&self, log: LogId, seq: u64) -> Result<Option<Refill>, StorageError> {
        let mut kept = None;
        self.kept.storage().read(&mut |txn| {
            let LogRow::Living(life, generation) = txn.log(log)? else { return Ok(()) };
            let mut rows = Vec::new();
            txn.walk(life, Seq::ROOT, &mut |committed, chunks| {
                if committed.seq.0 <= seq {
                    let bytes = (0..committed.chunks.len())
                        .map(|n| chunks.bytes(n).map(|b| Bytes::copy_from_slice(&b)))
                        .collect::<Result<_, _>>()?;
                    rows.push((committed.clone(), bytes));
                }
                Ok(committed.seq.0 < seq)
            })?;
            kept = Some(Refill { log, generation, rows });
            Ok(())
        })?;
        Ok(kept)
    }
}

impl Kept {
    fn sqlite(directory: Arc<TempDir>, disk: Option<Disk>) -> Result<Self, String> {
        let vfs = disk.as_ref().map(|disk| disk.vfs().to_owned());
        let options = SqliteOptions { readers: 1, checkpoint_pages: 24, vfs, ..SqliteOptions::default() };
        let storage = Arc::new(SqliteStorage::open(directory.path(), &options).map_err(|e| e.to_string())?);
        Ok(Self::Sqlite { storage, directory, disk })
    }

    fn storage(&self) -> Arc<dyn Storage> {
        match self {
            Self::Memory(storage) => storage.clone(),
            Self::Sqlite { storage, .. } => storage.clone(),
        }
    }
}

fn new_directory() -> Result<Arc<TempDir>, String> {
    tempfile::tempdir().map(Arc::new).map_err(|e| e.to_string())
}

/// All bytes of a snapshot.
pub(super) fn all_of(snapshot: &Blob) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    loop {
        let piece = snapshot.piece(bytes.len() as u64).map_err(failed)?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&piece);
    }
}

/// The next piece of an answer's body; none after its end.
///
/// # Errors
/// Where the stream breaks.
pub(super) fn next_piece(pull: &mut Pull, ended: &mut bool) -> Result<Option<Bytes>, TransportError> {
    if *ended {
        return Ok(None);
    }
    let mut piece = Vec::new();
    // Each piece is whole frames, so an encoder of its own does.
    let end = pull.page(PAGE, &mut FrameEncoder::new(Form::MessagePack), &mut piece).map_err(failed)?;
    *ended = end == PullEnd::Whole;
    Ok(Some(piece.into()))
}

/// An answer with all of its body.
///
/// # Errors
/// Where the stream breaks.
pub fn in_memory(answer: Answer<Pull>) -> Result<Answer<MemoryBody>, TransportError> {
    let body = |mut pull: Pull| {
        let (mut pieces, mut ended) = (Vec::new(), false);
        while let Some(piece) = next_piece(&mut pull, &mut ended)? {
            pieces.push(Ok(piece));
        }
        Ok::<_, TransportError>(MemoryBody::new(pieces))
    };
    with_body(answer, body)
}

/// The same answer with another kind of body.
pub(super) fn with_body<A, B, E>(answer: Answer<A>, mut body: impl FnMut(A) -> Result<B, E>) -> Result<Answer<B>, E> {
    Ok(match answer {
        Answer::Stream(of) => Answer::Stream(body(of)?),
        Answer::Conflict(of) => Answer::Conflict(body(of)?),
        Answer::Accepted(pushed) => Answer::Accepted(pushed),
        Answer::Stored => Answer::Stored,
        Answer::Generation(state) => Answer::Generation(state),
        Answer::Missing(chunks) => Answer::Missing(chunks),
        Answer::Later { after, body } => Answer::Later { after, body },
        Answer::Refused(body) => Answer::Refused(body),
    })
}

/// A transaction, with the bytes of its chunks.
type Row = (Committed, Vec<Bytes>);

/// Puts a log's beginning into an empty storage.
struct Refill {
    log: LogId,
    generation: Generation,
    rows: Vec<Row>,
}

impl WriteJob for Refill {
    fn run(&mut self, txn: &mut dyn WriteTxn) -> Result<(), StorageError> {
        let life = txn.begin_life(self.log, self.generation)?;
        for (committed, chunks) in &self.rows {
            for (id, bytes) in committed.chunks.iter().zip(chunks) {
                txn.put_chunk(life, id, bytes)?;
            }
            txn.append(life, committed)?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, _: Result<(), StorageError>) {}
}

fn failed(e: impl std::fmt::Display) -> TransportError {
    TransportError::Broken(e.to_string())
}
