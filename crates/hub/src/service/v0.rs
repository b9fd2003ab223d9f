//! The rules of the 0.1 API.

use bytes::Bytes;
use tolstoy_proto::v0::{CommittedTransaction, NewTransaction};
use tolstoy_proto::{ChunkId, LogId, Quota, Seq, TrnId};

use super::{Answer, Service, View};
use crate::storage::{Committed, Life, Pending, StorageError, WriteTxn, loose_weight, weight};

/// How a `PUT` of a chunk or transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is here, now or since an earlier time.
    Done,
    /// The transaction names a chunk that is not here.
    UnknownChunk(ChunkId),
    /// The chunk's id is a SHA-256, and not that of the bytes.
    WrongDigest,
    /// Its id is that of something else, or it can never be committed: why.
    Conflict(String),
    /// The log would hold more than it may.
    Quota(Quota),
}

/// How a `PUT head` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadOutcome {
    /// HEAD is where it was to be.
    Done,
    /// HEAD stays: why.
    Conflict(String),
}

/// What a listing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListOutcome {
    /// Committed transactions, ascending.
    Listed(Vec<TrnId>),
    /// No committed transaction has the id to start from.
    UnknownFrom,
}

impl Service {
    /// Puts a chunk.
    pub fn v0_put_chunk(&self, log: LogId, id: ChunkId, bytes: Bytes) -> Answer<PutOutcome> {
        if !id.matches(&bytes) {
            return Answer::ready(PutOutcome::WrongDigest);
        }
        let service = self.clone();
        self.change(log, move |txn, moved| {
            let view = View::of(txn, log)?;
            let here = view.life().map_or(Ok(None), |life| txn.chunk(life, &id))?;
            match here {
                // The garbage period runs from here on: what is to name the chunk follows.
                Some(here) if here == bytes => service.done(txn, &view),
                Some(_) => Ok(PutOutcome::Conflict(format!("chunk {id} is here with other bytes"))),
                None => {
                    if let Some(quota) = service.over_quota(txn, &view, loose_weight(bytes.len() as u64), 0)? {
                        return Ok(PutOutcome::Quota(quota));
                    }
                    // The first write begins the generation.
                    *moved = view.life().is_none();
                    let (life, _) = view.living(txn, &service.shared.env)?;
                    txn.put_chunk(life, &id, &bytes)?;
                    service.stamp(txn, life)?;
                    Ok(PutOutcome::Done)
                }
            }
        })
    }

    /// Puts a transaction, which is pending until HEAD moves to it or to one that grows from it.
    pub fn v0_put_transaction(&self, log: LogId, id: TrnId, new: NewTransaction) -> Answer<PutOutcome> {
        let service = self.clone();
        self.change(log, move |txn, moved| {
            let view = View::of(txn, log)?;
            match known(txn, &view, id, &new)? {
                Some(PutOutcome::Done) => return service.done(txn, &view),
                Some(outcome) => return Ok(outcome),
                None => {}
            }
            if let Some(chunk) = first_unknown(txn, view.life(), &new.chunks)? {
                return Ok(PutOutcome::UnknownChunk(chunk));
            }
            let (seq, base) = match place(txn, &view, new.parent)? {
                Ok(place) => place,
                Err(why) => return Ok(PutOutcome::Conflict(why)),
            };
            // Its place is what HEAD's would be.
            let more = seq.0.saturating_sub(view.tip.seq.0);
            if let Some(quota) = service.over_quota(txn, &view, weight(&new.chunks), more)? {
                return Ok(PutOutcome::Quota(quota));
            }
            *moved = view.life().is_none();
            let (life, _) = view.living(txn, &service.shared.env)?;
            txn.put_pending(life, &Pending { id, parent: new.parent, seq, base, chunks: new.chunks.clone() })?;
            service.stamp(txn, life)?;
            Ok(PutOutcome::Done)
        })
    }

    /// What is here already is uploaded again.
    fn done(&self, txn: &mut dyn WriteTxn, view: &View) -> Result<PutOutcome, StorageError> {
        if let Some(life) = view.life() {
            self.stamp(txn, life)?;
        }
        Ok(PutOutcome::Done)
    }

    /// Moves HEAD to a pending transaction that grows from it.
    pub fn v0_put_head(&self, log: LogId, head: TrnId) -> Answer<HeadOutcome> {
        let service = self.clone();
        self.change(log, move |txn, moved| {
            let view = View::of(txn, log)?;
            if view.tip.id == head {
                return Ok(HeadOutcome::Done);
            }
            let Some(life) = view.life() else {
                return Ok(HeadOutcome::Conflict(format!("{head} is not here")));
            };
            match branch(txn, life, &view, head)? {
                Ok(branch) => {
                    commit(txn, life, &view, branch)?;
                    *moved = true;
                    service.stamp(txn, life)?;
                    Ok(HeadOutcome::Done)
                }
                Err(why) => Ok(HeadOutcome::Conflict(why)),
            }
        })
    }

    /// Committed transactions after `from`, at most `limit`.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn v0_list(&self, log: LogId, from: TrnId, limit: usize) -> Result<ListOutcome, StorageError> {
        self.read(|txn| {
            let life = View::of(txn, log)?.life();
            let after = match life {
                _ if from == TrnId::ROOT => Some(Seq::ROOT),
                Some(life) => txn.committed(life, from)?.map(|trn| trn.seq),
                None => None,
            };
            Ok(match (after, life) {
                (None, _) => ListOutcome::UnknownFrom,
                (Some(_), None) => ListOutcome::Listed(Vec::new()),
                (Some(after), Some(life)) => ListOutcome::Listed(txn.ids_after(life, after, limit)?),
            })
        })
    }

    /// A committed transaction.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn v0_transaction(&self, log: LogId, id: TrnId) -> Result<Option<CommittedTransaction>, StorageError> {
        self.read(|txn| {
            let Some(life) = View::of(txn, log)?.life() else { return Ok(None) };
            let found = txn.committed(life, id)?;
            Ok(found.map(|Committed { id, seq, parent, chunks, .. }| CommittedTransaction { id, seq, parent, chunks }))
        })
    }

    /// A chunk's bytes.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn v0_chunk(&self, log: LogId, id: &ChunkId) -> Result<Option<Bytes>, StorageError> {
        self.read(|txn| match View::of(txn, log)?.life() {
            Some(life) => txn.chunk(life, id),
            None => Ok(None),
        })
    }
}

/// The outcome where the id is known already: the same again is done, anything else a conflict.
fn known(txn: &dyn WriteTxn, view: &View, id: TrnId, new: &NewTransaction) -> Result<Option<PutOutcome>, StorageError> {
    let conflict = || Some(PutOutcome::Conflict(format!("transaction {id} is here with other content")));
    if id == TrnId::ROOT {
        return Ok(conflict());
    }
    let Some(life) = view.life() else { return Ok(None) };
    let here = match txn.committed(life, id)? {
        Some(committed) => Some((committed.parent, committed.chunks)),
        None => txn.pending(life, id)?.map(|pending| (pending.parent, pending.chunks)),
    };
    Ok(match here {
        Some((parent, chunks)) if parent == new.parent && chunks == new.chunks => Some(PutOutcome::Done),
        Some(_) => conflict(),
        None => None,
    })
}

fn first_unknown(txn: &dyn WriteTxn, life: Option<Life>, chunks: &[ChunkId]) -> Result<Option<ChunkId>, StorageError> {
    for id in chunks {
        if !life.map_or(Ok(false), |life| txn.has_chunk(life, id))? {
            return Ok(Some(*id));
        }
    }
    Ok(None)
}

/// The place of a new child of `parent`, and that of the HEAD its branch grows from; or why it can never be committed.
fn place(txn: &dyn WriteTxn, view: &View, parent: TrnId) -> Result<Result<(Seq, Seq), String>, StorageError> {
    if parent == view.tip.id {
        return Ok(Ok((view.tip.seq.next(), view.tip.seq)));
    }
    let Some(life) = view.life() else { return Ok(Err(format!("the parent {parent} is not here"))) };
    if let Some(pending) = txn.pending(life, parent)? {
        // A branch that grew from HEAD where it is now is alive. Another may have had its first part committed since.
        return Ok(if pending.base == view.tip.seq || branch_to(txn, life, view, parent)?.is_some() {
            Ok((pending.seq.next(), view.tip.seq))
        } else {
            Err(format!("the parent {parent} grows from what is no longer HEAD"))
        });
    }
    let committed = parent == TrnId::ROOT || txn.is_committed(life, parent)?;
    Ok(Err(if committed {
        format!("the parent {parent} is no longer HEAD")
    } else {
        format!("the parent {parent} is not here")
    }))
}

/// The pending transactions from HEAD to `head`, ascending; or why HEAD cannot move there.
fn branch(
    txn: &dyn WriteTxn,
    life: Life,
    view: &View,
    head: TrnId,
) -> Result<Result<Vec<TrnId>, String>, StorageError> {
    if txn.pending(life, head)?.is_none() {
        let committed = head == TrnId::ROOT || txn.is_committed(life, head)?;
        return Ok(Err(if committed { format!("HEAD is past {head}") } else { format!("{head} is not here") }));
    }
    if txn.has_pending_child(life, head)? {
        return Ok(Err(format!("{head} has descendants")));
    }
    Ok(branch_to(txn, life, view, head)?.ok_or_else(|| format!("{head} does not grow from HEAD, {}", view.tip.id)))
}

/// The pending transactions from HEAD to this one, ascending; none where its branch grows from elsewhere.
fn branch_to(txn: &dyn WriteTxn, life: Life, view: &View, last: TrnId) -> Result<Option<Vec<TrnId>>, StorageError> {
    let mut branch = Vec::new();
    let mut id = last;
    while id != view.tip.id {
        let Some(pending) = txn.pending(life, id)? else { return Ok(None) };
        branch.push(id);
        id = pending.parent;
    }
    branch.reverse();
    Ok(Some(branch))
}

/// One after the other: each may name very many chunks, and a branch may be long.
fn commit(txn: &mut dyn WriteTxn, life: Life, view: &View, branch: Vec<TrnId>) -> Result<(), StorageError> {
    let mut tip = view.tip;
    for id in branch {
        let lost = || StorageError::Failed(format!("the pending transaction {id} is lost"));
        let Pending { parent, chunks, .. } = txn.pending(life, id)?.ok_or_else(lost)?;
        let committed = Committed { id, seq: tip.seq.next(), parent, chain: tip.chain.extend(id, &chunks), chunks };
        txn.append(life, &committed)?;
        tip = committed.tip();
    }
    Ok(())
}
