//! A hub in memory: the real rules over the storage in memory, and what a backup can do to it.

use std::sync::Arc;

use bytes::Bytes;
use tolstoy_env::Env;
use tolstoy_hub::service::{PushOutcome, Service, Upload};
use tolstoy_hub::storage::{Committed, LogRow, MemoryStorage, Storage, StorageError, WriteJob, WriteTxn};
use tolstoy_proto::{
    ChunkId, ErrorBody, ErrorKind, Form, Frame, FrameDecoder, FrameEncoder, Generation, LogId, LogState, Seq, TrnId,
};
use tolstoy_sync::transport::{MemoryBody, Request};
use tolstoy_sync::{Answer, TransportError};

/// A hub that serves one log, and answers at once.
pub struct Hub {
    storage: Arc<MemoryStorage>,
    service: Service,
    env: Env,
    log: LogId,
}

/// Chunk bytes in one piece of an answer.
const PAGE: usize = 2_000;

impl Hub {
    /// A hub without logs.
    pub fn new(env: Env, log: LogId) -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let service = Service::new(storage.clone(), env.clone());
        Self { storage, service, env, log }
    }

    /// The log's state.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn state(&self) -> Result<LogState, StorageError> {
        self.service.info(self.log)
    }

    /// The rules themselves, for what the original clients ask.
    pub fn service(&self) -> &Service {
        &self.service
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
            Request::Pull(from) => Ok(Answer::Stream(self.stream(&from)?)),
            Request::Push(body) => self.push(&body),
            Request::PutChunk(id, bytes) => self.put_chunk(id, bytes),
        }
    }

    fn stream(&self, from: &[TrnId]) -> Result<MemoryBody, TransportError> {
        let mut pull = self.service.pull(self.log, from).map_err(failed)?;
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
            PushOutcome::Done(state, _) => Ok(Answer::Accepted(state)),
            PushOutcome::Conflict => Ok(Answer::Conflict(self.stream(&expect)?)),
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

    /// Restores the hub to what it was when its log had `seq` transactions, as from a backup: the same generation, and
    /// nothing above.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn restore(&mut self, seq: u64) -> Result<(), StorageError> {
        *self = self.as_of(seq)?;
        Ok(())
    }

    /// Another hub that holds what this one does, and goes its own way from here.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn copy(&self) -> Result<Self, StorageError> {
        self.as_of(u64::MAX)
    }

    fn as_of(&self, seq: u64) -> Result<Self, StorageError> {
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
        let copy = Self::new(self.env.clone(), self.log);
        if let Some((generation, rows)) = kept {
            copy.storage.write(Box::new(Refill { log: self.log, generation, rows }));
        }
        Ok(copy)
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
