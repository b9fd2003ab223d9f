//! The rules of `/1`'s pull.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;
use tolstoy_proto::{Chunk, ChunkId, End, Frame, LogId, LogState, Start, Transaction, TrnId};

use super::id_key::{IdKey, id_key};
use super::{Service, View};
use crate::storage::{ChunkSource, Committed, LogRow, ReadTxn, StorageError, Tip};

/// Repeated chunk ids that a stream remembers to send once. Beyond it a repeat is sent again, so that a stream's memory
/// is bounded whatever the log.
const REMEMBERED: usize = 32_768;

/// A key's hash is its first bytes: keys are digests. Who makes some that collide slows down one stream of his own log, and
/// at most [`REMEMBERED`] of them count.
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Where a page of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullEnd {
    /// More follows.
    More,
    /// The end frame was given.
    Whole,
}

/// What a stream consists of.
#[derive(Debug)]
pub enum Given<'a> {
    /// The first frame, or the last.
    Frame(Frame),
    /// A transaction.
    Transaction(&'a Committed),
    /// A chunk, its bytes where they were read.
    Chunk(&'a ChunkId, &'a [u8]),
}

impl Given<'_> {
    /// It as a frame of its own.
    pub fn into_frame(self) -> Frame {
        match self {
            Given::Frame(frame) => frame,
            Given::Transaction(Committed { id, seq, parent, chunks, .. }) => {
                Frame::Transaction(Transaction { id: *id, seq: *seq, parent: *parent, chunks: chunks.clone() })
            }
            Given::Chunk(id, bytes) => Frame::Chunk(Chunk { id: *id, bytes: Bytes::copy_from_slice(bytes) }),
        }
    }
}

/// Why a stream stopped before its end frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    /// The log was deleted meanwhile. What was given is good; the stream must be cut.
    #[error("the log was deleted while it was read")]
    Gone,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A stream of committed transactions, read page by page.
///
/// No snapshot is held between pages: what is committed never changes, so that all pages show the state that the
/// first one saw, however long the reader takes.
#[derive(Debug)]
pub struct Pull {
    service: Service,
    log: LogId,
    state: LogState,
    from: Tip,
    /// The last transaction given whole.
    at: Tip,
    /// How many chunks of the transaction after it were given; none where the transaction itself was not.
    within: Option<usize>,
    begun: bool,
    sent: HashSet<IdKey, BuildHasherDefault<FirstBytes>>,
}

impl Service {
    /// Begins a stream after the first of `from` that is committed, or after the root.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn pull(&self, log: LogId, from: &[TrnId]) -> Result<Pull, StorageError> {
        let (state, from) = self.read(|txn| {
            let view = View::of(txn, log)?;
            Ok((view.state(), common(txn, &view, from)?))
        })?;
        let service = self.clone();
        Ok(Pull { service, log, state, from, at: from, within: None, begun: false, sent: HashSet::default() })
    }
}

/// The first candidate that is in the chain; the root is the last resort.
fn common(txn: &dyn ReadTxn, view: &View, candidates: &[TrnId]) -> Result<Tip, StorageError> {
    let Some(life) = view.life() else { return Ok(Tip::ROOT) };
    for id in candidates {
        if *id == view.tip.id {
            return Ok(view.tip);
        }
        if *id == TrnId::ROOT {
            break;
        }
        if let Some(committed) = txn.committed(life, *id)? {
            return Ok(committed.tip());
        }
    }
    Ok(Tip::ROOT)
}

impl Pull {
    /// The state that the stream leads to.
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// Gives the next frames, about `bytes` bytes of chunks or one chunk more.
    ///
    /// # Errors
    /// Where the log was deleted meanwhile, or the storage failed.
    pub fn page(&mut self, bytes: usize, give: &mut dyn FnMut(Given<'_>)) -> Result<PullEnd, PullError> {
        if !self.begun {
            self.begun = true;
            let Tip { id: from, seq: from_seq, chain: from_chain } = self.from;
            give(Given::Frame(Frame::Start(Start { state: self.state, from, from_seq, from_chain })));
        }
        if self.at.seq < self.state.seq {
            self.read(bytes, give)?;
        }
        if self.at.seq < self.state.seq {
            return Ok(PullEnd::More);
        }
        let count = self.state.seq.0 - self.from.seq.0;
        give(Given::Frame(Frame::End(End { count, chain: self.at.chain })));
        Ok(PullEnd::Whole)
    }

    /// All frames of the stream.
    ///
    /// # Errors
    /// As for [`Pull::page`].
    pub fn frames(mut self) -> Result<Vec<Frame>, PullError> {
        let mut frames = Vec::new();
        while self.page(usize::MAX, &mut |given| frames.push(given.into_frame()))? == PullEnd::More {}
        Ok(frames)
    }

    fn read(&mut self, bytes: usize, give: &mut dyn FnMut(Given<'_>)) -> Result<(), PullError> {
        let service = self.service.clone();
        let (before, within) = (self.at.seq, self.within);
        let alive = service.read(|txn| {
            let life = match txn.log(self.log)? {
                LogRow::Living(life, generation) if Some(generation) == self.state.generation => life,
                _ => return Ok(false),
            };
            let mut left = bytes;
            txn.walk(life, before, &mut |trn, chunks| {
                let whole = self.give(trn, chunks, &mut left, give)?;
                Ok(whole && left > 0 && trn.seq < self.state.seq)
            })?;
            Ok(true)
        })?;
        let moved = (self.at.seq, self.within) != (before, within);
        match (alive, moved) {
            (false, _) => Err(PullError::Gone),
            (true, false) => Err(StorageError::Failed(format!("the chain ends at {before}, before HEAD")).into()),
            (true, true) => Ok(()),
        }
    }

    /// Gives a transaction and its chunks, from where the last page stopped; false where this page is full before its last.
    fn give(
        &mut self,
        trn: &Committed,
        chunks: &dyn ChunkSource,
        left: &mut usize,
        give: &mut dyn FnMut(Given<'_>),
    ) -> Result<bool, StorageError> {
        if self.within.is_none() {
            give(Given::Transaction(trn));
            *left = left.saturating_sub(100 + 65 * trn.chunks.len());
        }
        for (index, id) in trn.chunks.iter().enumerate().skip(self.within.unwrap_or(0)) {
            if self.remember(id) {
                let bytes = chunks.bytes(index)?;
                *left = left.saturating_sub(bytes.len() + 100);
                give(Given::Chunk(id, &bytes));
            }
            self.within = Some(index + 1);
            if *left == 0 && index + 1 < trn.chunks.len() {
                return Ok(false);
            }
        }
        self.within = None;
        self.at = trn.tip();
        Ok(true)
    }

    /// Notes that a chunk is sent; false where it was.
    fn remember(&mut self, id: &ChunkId) -> bool {
        if self.sent.len() >= REMEMBERED {
            self.sent.clear();
        }
        self.sent.insert(id_key(id))
    }
}
