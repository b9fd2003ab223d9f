//! The rules of `/1`'s pull.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use tolstoy_proto::{
    ChunkId, End, Form, Frame, FrameDecoder, FrameEncoder, LogId, LogState, RawFrame, Seq, Snapshot, Start,
    Transaction, TrnId,
};

use super::id_key::{IdKey, id_key};
use super::snapshots::newest;
use super::{Service, View};
use crate::storage::{ChunkSource, LogRow, PIECE, ReadTxn, Run, SnapshotId, StorageError, Tip};

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
    /// More follows, and begins with so many bytes, at most, for which this page had no room. Only where it was given a
    /// bound.
    Longer(usize),
    /// The end frame was given.
    Whole,
}

/// What a stream begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The first transaction.
    Transactions,
    /// The newest snapshot, where there is one and the stream begins at the root; the transactions after it follow.
    Snapshot,
}

/// Why a stream stopped before its end frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    /// The log was deleted meanwhile, or the snapshot replaced twice. What was given is good; the stream must be cut.
    #[error("the log was deleted while it was read, or its snapshot replaced")]
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
    /// The snapshot that is still to be given, and how many of its pieces were.
    snapshot: Option<(SnapshotId, Snapshot, u64)>,
    /// The place after which transactions are given.
    after: Seq,
    /// The place of the last transaction given whole.
    at: Seq,
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
        self.pull_with(log, from, Begin::Transactions)
    }

    /// Begins a stream as [`Service::pull`] does, with what is asked for.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn pull_with(&self, log: LogId, from: &[TrnId], begin: Begin) -> Result<Pull, StorageError> {
        let (state, from, snapshot) = self.read(|txn| {
            let view = View::of(txn, log)?;
            let from = common(txn, &view, from)?;
            let snapshot = match view.life() {
                Some(life) if begin == Begin::Snapshot && from == Tip::ROOT => newest(txn, life)?,
                _ => None,
            };
            Ok((view.state(), from, snapshot.map(|(id, snapshot)| (id, snapshot, 0))))
        })?;
        let service = self.clone();
        let after = snapshot.map_or(from.seq, |(_, snapshot, _)| snapshot.seq);
        let (within, begun, sent) = (None, false, HashSet::default());
        Ok(Pull { service, log, state, from, snapshot, after, at: after, within, begun, sent })
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

/// The frames of the first so many transactions.
fn first_transactions(frames: &[u8], count: u64) -> Result<&[u8], StorageError> {
    let (mut rest, mut seen) = (frames, 0);
    while let Some((frame, after)) = RawFrame::split(rest).map_err(damaged)? {
        seen += u64::from(frame.is_transaction());
        if seen > count {
            break;
        }
        rest = after;
    }
    Ok(frames.get(..frames.len() - rest.len()).unwrap_or_default())
}

fn damaged(reason: String) -> StorageError {
    StorageError::Failed(format!("the log's frames are damaged: {reason}"))
}

impl Pull {
    /// The state that the stream leads to.
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// Appends the next frames to `out`, about so many bytes or one chunk more.
    ///
    /// # Errors
    /// Where the log was deleted meanwhile, or the storage failed. What was appended then is to be thrown away.
    pub fn page(&mut self, bytes: usize, encoder: &mut FrameEncoder, out: &mut Vec<u8>) -> Result<PullEnd, PullError> {
        self.page_within(bytes, usize::MAX, encoder, out)
    }

    /// As [`Pull::page`]; a chunk, or other frame, longer than a piece of a snapshot is left for another page where `out`
    /// would pass `most` bytes with it.
    ///
    /// # Errors
    /// As for [`Pull::page`].
    pub fn page_within(
        &mut self,
        bytes: usize,
        most: usize,
        encoder: &mut FrameEncoder,
        out: &mut Vec<u8>,
    ) -> Result<PullEnd, PullError> {
        if !self.begun {
            self.begun = true;
            let Tip { id: from, seq: from_seq, chain: from_chain } = self.from;
            encoder.encode(&Frame::Start(Start { state: self.state, from, from_seq, from_chain }), out);
        }
        let until = out.len().saturating_add(bytes);
        let mut room = Room { until, most, form: encoder.form(), lacked: None };
        if !self.give_snapshot(until, encoder, out)? {
            return Ok(PullEnd::More);
        }
        if self.at < self.state.seq {
            self.read(&mut room, encoder, out)?;
        }
        if self.at < self.state.seq {
            return Ok(room.lacked.map_or(PullEnd::More, PullEnd::Longer));
        }
        let count = self.state.seq.0 - self.after.0;
        encoder.encode(&Frame::End(End { count, chain: self.state.chain }), out);
        Ok(PullEnd::Whole)
    }

    /// All frames of the stream.
    ///
    /// # Errors
    /// As for [`Pull::page`].
    pub fn frames(mut self) -> Result<Vec<Frame>, PullError> {
        let mut bytes = Vec::new();
        while self.page(usize::MAX, &mut FrameEncoder::new(Form::MessagePack), &mut bytes)? == PullEnd::More {}
        let mut decoder = FrameDecoder::new(Form::MessagePack);
        decoder.feed(&bytes);
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame().map_err(|error| damaged(error.to_string()))? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Appends the snapshot, where the stream has one, until `out` has this length; false where more of it follows.
    fn give_snapshot(
        &mut self,
        until: usize,
        encoder: &mut FrameEncoder,
        out: &mut Vec<u8>,
    ) -> Result<bool, PullError> {
        let Some((id, snapshot, given)) = &mut self.snapshot else { return Ok(true) };
        if *given == 0 {
            encoder.encode(&Frame::Snapshot(*snapshot), out);
        }
        let pieces = snapshot.bytes.div_ceil(PIECE as u64);
        while *given < pieces {
            if *given > 0 && out.len() >= until {
                return Ok(false);
            }
            let piece = self.service.piece(*id, *given)?.ok_or(PullError::Gone)?;
            encoder.encode_piece(&piece, out);
            *given += 1;
        }
        self.snapshot = None;
        Ok(true)
    }

    /// Appends transactions as far as there is room.
    fn read(&mut self, room: &mut Room, encoder: &mut FrameEncoder, out: &mut Vec<u8>) -> Result<(), PullError> {
        let service = self.service.clone();
        let (before, within) = (self.at, self.within);
        let alive = service.read(|txn| {
            let life = match txn.log(self.log)? {
                LogRow::Living(life, generation) if Some(generation) == self.state.generation => life,
                _ => return Ok(false),
            };
            txn.runs(life, before, &mut |run| {
                let whole = match run {
                    Run::Frames(count, frames) => {
                        // Of a log that has grown meanwhile, only what the first page saw is given.
                        let left = self.state.seq.0 - self.at.0;
                        let frames = if count <= left { frames } else { first_transactions(frames, left)? };
                        let fits = room.has(frames.len(), out);
                        if fits {
                            encoder.encode_raw(frames, out).map_err(damaged)?;
                            self.at.0 += count.min(left);
                        }
                        fits
                    }
                    Run::Transaction(trn, chunks) => self.give(trn, chunks, room, encoder, out)?,
                };
                Ok(whole && out.len() < room.until && self.at < self.state.seq)
            })?;
            Ok(true)
        })?;
        let moved = (self.at, self.within) != (before, within) || room.lacked.is_some();
        match (alive, moved) {
            (false, _) => Err(PullError::Gone),
            (true, false) => Err(damaged(format!("the chain ends at {before}, before HEAD")).into()),
            (true, true) => Ok(()),
        }
    }

    /// Appends a transaction and its chunks, from where the last page stopped; false where this page is full before its
    /// last.
    fn give(
        &mut self,
        trn: &Transaction,
        chunks: &dyn ChunkSource,
        room: &mut Room,
        encoder: &mut FrameEncoder,
        out: &mut Vec<u8>,
    ) -> Result<bool, StorageError> {
        if self.within.is_none() {
            if !room.has(trn.chunks.len() * size_of::<ChunkId>(), out) {
                return Ok(false);
            }
            encoder.encode_transaction(trn.id, trn.seq, trn.parent, &trn.chunks, out);
        }
        for (index, id) in trn.chunks.iter().enumerate().skip(self.within.unwrap_or(0)) {
            // What came with an earlier transaction of this stream is in it already.
            let came_earlier = chunks.came_with(index).is_some_and(|seq| seq > self.after);
            let key = (!came_earlier).then(|| id_key(id));
            if let Some(key) = key.filter(|key| !self.sent.contains(key)) {
                // Before it is read.
                if room.most < usize::MAX && !room.has(chunks.length(index)?, out) {
                    self.within = Some(index);
                    return Ok(false);
                }
                self.remember(key);
                encoder.encode_chunk(id, &chunks.bytes(index)?, out);
            }
            self.within = Some(index + 1);
            if out.len() >= room.until && index + 1 < trn.chunks.len() {
                return Ok(false);
            }
        }
        self.within = None;
        self.at = trn.seq;
        Ok(true)
    }

    /// Notes that a chunk is sent.
    fn remember(&mut self, key: IdKey) {
        if self.sent.len() >= REMEMBERED {
            self.sent.clear();
        }
        self.sent.insert(key);
    }
}

/// The room that a page has.
struct Room {
    /// Nothing more is appended to what has this length.
    until: usize,
    /// What is longer than a piece of a snapshot is not appended where it would make this length.
    most: usize,
    form: Form,
    /// What there was no room for.
    lacked: Option<usize>,
}

impl Room {
    /// Whether there is room for a frame of so many bytes in MessagePack; where not, that is noted.
    fn has(&mut self, bytes: usize, out: &[u8]) -> bool {
        let bytes = match self.form {
            Form::MessagePack => bytes,
            // Ids in text are more than twice as long, and bytes a third longer.
            Form::Json => bytes.saturating_mul(3),
        };
        let has = bytes <= PIECE || out.len().saturating_add(bytes) <= self.most;
        if !has {
            self.lacked = Some(bytes);
        }
        has
    }
}
