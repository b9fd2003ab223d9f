//! A hub in memory: the real rules over the storage in memory, and what a backup can do to it.

use std::sync::Arc;

use bytes::Bytes;
use tolstoy_env::Env;
use tolstoy_hub::service::{self, Policy, PushOutcome, Service, SnapshotOutcome, SnapshotUpload, Threshold, Upload};
use tolstoy_hub::storage::{Committed, LogRow, MemoryStorage, Storage, StorageError, WriteJob, WriteTxn};
use tolstoy_proto::{
    ChunkId, ErrorBody, ErrorKind, Form, Frame, FrameDecoder, FrameEncoder, Generation, LogId, LogState, Pushed, Seq,
    TrnId,
};
use tolstoy_sync::transport::{MemoryBody, Request};
use tolstoy_sync::{Answer, Begin, Blob, TransportError};

/// A hub that serves one log, and answers at once.
pub struct Hub {
    storage: Arc<MemoryStorage>,
    service: Service,
    env: Env,
    log: LogId,
}

/// Chunk bytes in one piece of an answer.
const PAGE: usize = 2_000;

/// A hub that wants a snapshot after some transactions, and badly after some more: short logs have snapshots too.
fn policy() -> Policy {
    let after = |transactions| Threshold { bytes: u64::MAX, transactions };
    Policy { snapshot_low: after(10), snapshot_high: after(20), ..Policy::default() }
}

impl Hub {
    /// A hub without logs.
    pub fn new(env: Env, log: LogId) -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let service = Service::new(storage.clone(), env.clone()).with_policy(policy());
        Self { storage, service, env, log }
    }

    /// The log's state.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn state(&self) -> Result<LogState, StorageError> {
        self.service.info(self.log)
    }

    /// Deletes the log, so that its next write begins another generation.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn delete(&self) -> Result<(), StorageError> {
        self.service.delete(self.log).wait()
    }

    /// Answers a request.
    ///
    /// # Errors
    /// `Broken` where the storage failed.
    pub fn serve(&self, request: Request) -> Result<Answer<MemoryBody>, TransportError> {
        match request {
            Request::Pull { from, begin } => Ok(Answer::Stream(self.stream(&from, begin)?)),
            Request::PutSnapshot(id, snapshot) => self.put_snapshot(id, &snapshot),
            Request::Push(body) => self.push(&body),
            Request::PutChunk(id, bytes) => self.put_chunk(id, bytes),
        }
    }

    fn stream(&self, from: &[TrnId], begin: Begin) -> Result<MemoryBody, TransportError> {
        let begin = match begin {
            Begin::Transactions => service::Begin::Transactions,
            Begin::Snapshot => service::Begin::Snapshot,
        };
        let mut pull = self.service.pull_with(self.log, from, begin).map_err(failed)?;
        let mut encoder = FrameEncoder::new(Form::MessagePack);
        let mut pieces = Vec::new();
        loop {
            let mut piece = Vec::new();
            let end = pull.page(PAGE, &mut encoder, &mut piece).map_err(failed)?;
            pieces.push(Ok(Bytes::from(piece)));
            if end == tolstoy_hub::service::PullEnd::Whole {
                return Ok(MemoryBody::new(pieces));
            }
        }
    }

    fn push(&self, body: &Bytes) -> Result<Answer<MemoryBody>, TransportError> {
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
        let expect = match frames.first() {
            Some(Frame::Push(push)) => push.expect.clone(),
            _ => Vec::new(),
        };
        let upload = match Upload::from_frames(frames) {
            Ok(upload) => upload,
            Err(e) => return refuse(ErrorKind::BadRequest, e.to_string()),
        };
        match self.service.push(self.log, upload).wait().map_err(failed)? {
            PushOutcome::Done(state, snapshot) => Ok(Answer::Accepted(Pushed { state, snapshot })),
            PushOutcome::Conflict => Ok(Answer::Conflict(self.stream(&expect, Begin::Transactions)?)),
            PushOutcome::Generation(state) => Ok(Answer::Generation(state)),
            PushOutcome::MissingChunks(chunks) => Ok(Answer::Missing(chunks)),
            PushOutcome::IdTaken(what) => refuse(ErrorKind::IdTaken, what),
            PushOutcome::ChainMismatch(_) => refuse(ErrorKind::ChainMismatch, "the chain differs".to_owned()),
            PushOutcome::Quota(..) => refuse(ErrorKind::Quota, "the log is full".to_owned()),
        }
    }

    fn put_chunk(&self, id: ChunkId, bytes: Bytes) -> Result<Answer<MemoryBody>, TransportError> {
        match self.service.v0_put_chunk(self.log, id, bytes).wait().map_err(failed)? {
            tolstoy_hub::service::PutOutcome::Done => Ok(Answer::Stored),
            other => Ok(Answer::Refused(ErrorBody::new(ErrorKind::IdTaken, format!("{other:?}")))),
        }
    }

    fn put_snapshot(&self, id: TrnId, snapshot: &Blob) -> Result<Answer<MemoryBody>, TransportError> {
        let mut upload = SnapshotUpload::new(None).map_err(failed)?;
        let mut at = 0;
        loop {
            let piece = snapshot.piece(at).map_err(failed)?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            upload.take(&piece).map_err(failed)?;
        }
        match self.service.keep_snapshot(self.log, id, upload).map_err(failed)? {
            SnapshotOutcome::Done(_) => Ok(Answer::Stored),
            other => Ok(Answer::Refused(ErrorBody::new(ErrorKind::NotFound, format!("{other:?}")))),
        }
    }

    /// Restores the hub to what it was when its log had `seq` transactions, as from a backup: the same generation, and
    /// nothing above.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn restore(&mut self, seq: u64) -> Result<(), StorageError> {
        let mut kept: Option<(Generation, Vec<Row>)> = None;
        self.storage.read(&mut |txn| {
            let LogRow::Living(life, generation) = txn.log(self.log)? else { return Ok(()) };
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
            kept = Some((generation, rows));
            Ok(())
        })?;
        let Some((generation, rows)) = kept else { return Ok(()) };
        let storage = Arc::new(MemoryStorage::new());
        storage.write(Box::new(Refill { log: self.log, generation, rows }));
        self.service = Service::new(storage.clone(), self.env.clone()).with_policy(policy());
        self.storage = storage;
        Ok(())
    }
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
