//! The rules of `/1`'s push.

use std::io;

use tolstoy_proto::limits::MAX_MISSING;
use tolstoy_proto::{ChunkId, Frame, LogId, LogState, Quota, SnapshotWanted, Transaction, TrnId};

use super::upload::Upload;
use super::{Answer, Service, View};
use crate::storage::{Committed, Life, StorageError, Tip, WriteTxn};

/// How a push ended. Only [`PushOutcome::Done`] means that it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// It is committed, now or since an earlier time: the state, and whether a snapshot is wanted.
    Done(LogState, Option<SnapshotWanted>),
    /// HEAD is neither what the client expects nor what it pushes. It has these, newest first: pull from there.
    Conflict(Vec<TrnId>),
    /// The log is in another generation: its state.
    Generation(LogState),
    /// These chunks are neither in the push nor here; the first thousand of them.
    MissingChunks(Vec<ChunkId>),
    /// A transaction or chunk with this id is here with other content.
    IdTaken(String),
    /// HEAD is what the client expects, but the chain that leads to it is not: the state.
    ChainMismatch(LogState),
    /// The log would hold more than it may: the state, and which limit that is.
    Quota(LogState, Quota),
}

impl Service {
    /// Commits the push whole, or says why not and changes nothing.
    pub fn push(&self, log: LogId, mut upload: Upload) -> Answer<PushOutcome> {
        let service = self.clone();
        self.change(log, move |txn, moved| push(txn, moved, log, &mut upload, &service))
    }
}

fn push(
    txn: &mut dyn WriteTxn,
    moved: &mut bool,
    log: LogId,
    upload: &mut Upload,
    service: &Service,
) -> Result<PushOutcome, StorageError> {
    let view = View::of(txn, log)?;
    let state = view.state();
    if let Some(refused) = check_head(&state, upload) {
        return Ok(refused);
    }
    if let Some(refused) = check_chunks(txn, view.life(), upload)? {
        return Ok(refused);
    }
    if let Some(life) = view.life()
        && let Some(refused) = check_ids(txn, life, upload)?
    {
        return Ok(refused);
    }
    if !upload.follows(state.seq) || upload.chain_on(state.chain).map_err(aside)? != upload.end.chain {
        return Ok(PushOutcome::ChainMismatch(state));
    }
    if upload.ids.is_empty() {
        return Ok(PushOutcome::Done(state, None));
    }
    if let Some(quota) = service.over_quota(txn, &view, upload.weight, upload.ids.len() as u64)? {
        return Ok(PushOutcome::Quota(state, quota));
    }
    let (life, generation) = view.living(txn, &service.shared.env)?;
    let tip = commit(txn, life, view.tip, upload)?;
    *moved = true;
    service.stamp(txn, life)?;
    let wanted = service.wanted_snapshot(&txn.usage(life)?, tip.seq);
    let state = LogState { generation: Some(generation), head: tip.id, seq: tip.seq, chain: tip.chain };
    Ok(PushOutcome::Done(state, wanted))
}

/// Whether the push may go onto HEAD; where not, its outcome.
fn check_head(state: &LogState, upload: &Upload) -> Option<PushOutcome> {
    if upload.push.generation.is_some() && upload.push.generation != state.generation {
        return Some(PushOutcome::Generation(*state));
    }
    if state.head == upload.push.expected_head() {
        return None;
    }
    let repeated = upload.last.is_some_and(|(id, _)| id == state.head) && upload.end.chain == state.chain;
    Some(if repeated { PushOutcome::Done(*state, None) } else { PushOutcome::Conflict(upload.push.expect.clone()) })
}

/// Whether all chunks are in the push or here, and none is here with other bytes.
fn check_chunks(
    txn: &dyn WriteTxn,
    life: Option<Life>,
    upload: &mut Upload,
) -> Result<Option<PushOutcome>, StorageError> {
    let mut missing = Vec::new();
    for id in &upload.absent {
        let here = life.map_or(Ok(false), |life| txn.has_chunk(life, id))?;
        if !here {
            missing.push(*id);
            if missing.len() == MAX_MISSING {
                break;
            }
        }
    }
    if !missing.is_empty() {
        return Ok(Some(PushOutcome::MissingChunks(missing)));
    }
    let Some(life) = life.filter(|_| upload.plain) else { return Ok(None) };
    let mut taken = None;
    let compared = upload.replay(|frame| {
        if let Frame::Chunk(chunk) = frame
            && taken.is_none()
            && !chunk.id.is_digest()
            && txn.chunk(life, &chunk.id)?.is_some_and(|here| here != chunk.bytes)
        {
            taken = Some(chunk.id);
        }
        Ok::<_, Aside>(())
    });
    compared.map_err(|Aside(error)| error)?;
    Ok(taken.map(|id| PushOutcome::IdTaken(format!("chunk {id} is here with other bytes"))))
}

/// Whether the transactions' ids are free, or pending with the same content.
fn check_ids(txn: &dyn WriteTxn, life: Life, upload: &mut Upload) -> Result<Option<PushOutcome>, StorageError> {
    let taken = |id: TrnId| Ok(Some(PushOutcome::IdTaken(format!("transaction {id} is here with other content"))));
    // Else an id that derives would have come from two parents, or HEAD would have a child.
    let new_is_free = upload.all_derive && txn.all_derive(life)?;
    let mut any_pending = false;
    for id in &upload.ids {
        if !new_is_free && txn.is_committed(life, *id)? {
            return taken(*id);
        }
        any_pending = any_pending || txn.pending(life, *id)?.is_some();
    }
    if !any_pending {
        return Ok(None);
    }
    // One after the other: each may name very many chunks.
    let mut differs = None;
    let compared = upload.replay(|frame| {
        if let Frame::Transaction(Transaction { id, parent, chunks, .. }) = frame
            && txn.pending(life, *id)?.is_some_and(|here| here.parent != *parent || here.chunks != *chunks)
        {
            differs = Some(*id);
        }
        Ok::<_, Aside>(())
    });
    compared.map_err(|Aside(error)| error)?;
    differs.map_or(Ok(None), taken)
}

/// Writes the push onto the tip.
fn commit(txn: &mut dyn WriteTxn, life: Life, tip: Tip, upload: &mut Upload) -> Result<Tip, StorageError> {
    let mut tip = tip;
    // The chain digest after it has been compared with what it is.
    let (last, end) = (upload.last.map(|(id, _)| id), upload.end.chain);
    // A transaction is written after its chunks.
    let mut waiting: Option<Committed> = None;
    let written = upload.replay(|frame| {
        match frame {
            Frame::Transaction(trn) => {
                if let Some(whole) = waiting.take() {
                    txn.append(life, &whole)?;
                }
                let chain = if last == Some(trn.id) { end } else { tip.chain.extend(trn.id, &trn.chunks) };
                let (id, seq, parent) = (trn.id, tip.seq.next(), tip.id);
                tip = Tip { id, seq, chain };
                waiting = Some(Committed { id, seq, parent, chunks: trn.chunks.clone(), chain });
            }
            Frame::Chunk(chunk) => txn.put_chunk(life, &chunk.id, &chunk.bytes)?,
            Frame::Start(_) | Frame::Push(_) | Frame::Snapshot(_) | Frame::Piece(_) | Frame::End(_) => {}
        }
        Ok::<_, Aside>(())
    });
    written.map_err(|Aside(error)| error)?;
    if let Some(whole) = waiting {
        txn.append(life, &whole)?;
    }
    Ok(tip)
}

/// An error of the storage, or of the file that holds a long push.
struct Aside(StorageError);

impl From<io::Error> for Aside {
    fn from(error: io::Error) -> Self {
        Self(aside(error))
    }
}

impl From<StorageError> for Aside {
    fn from(error: StorageError) -> Self {
        Self(error)
    }
}

fn aside(error: io::Error) -> StorageError {
    StorageError::Failed(format!("the push that was put aside cannot be read: {error}"))
}
