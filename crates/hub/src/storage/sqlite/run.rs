//! Runs: consecutive transactions of a log in one row, as the frames that a pull sends.

use std::collections::HashMap;

use tolstoy_proto::{ChainDigest, ChunkId, RawFrame, Seq, Transaction, TrnId, encode_chunk, encode_transaction};

use super::pack::{At, Key, Place, Unpack, damaged, put_number, put_place};
use crate::storage::{Committed, Life, StorageError, weight};

/// Bytes that a frame of small content takes, about.
const FRAME: usize = 192;

/// Bytes of frames after which a run is written.
const RUN: usize = 64 << 10;

/// A run that grows while a job appends to it. It is written before anything is looked up.
pub(super) struct OpenRun {
    pub(super) life: Life,
    pub(super) first: Seq,
    /// The chain digest before its first transaction.
    pub(super) base: ChainDigest,
    pub(super) frames: Vec<u8>,
    pub(super) places: Vec<u8>,
    /// Transactions since the last that `places` tells of.
    whole: u64,
    /// What the log weighs more with it, and what of it is fresh.
    pub(super) bytes: u64,
    pub(super) fresh: u64,
    /// Its transactions, and the keys of the chunks that came with each.
    pub(super) entries: Vec<(TrnId, ChainDigest, Vec<Key>)>,
}

impl OpenRun {
    pub(super) fn new(life: Life, first: Seq, base: ChainDigest) -> Self {
        let (frames, places, entries) = (Vec::new(), Vec::new(), Vec::new());
        Self { life, first, base, frames, places, whole: 0, bytes: 0, fresh: 0, entries }
    }

    /// Appends a transaction whose chunks are at these places; `came` are those that came with it, in order, with their
    /// keys. One that was pending is weighed already.
    pub(super) fn append(
        &mut self,
        trn: &Committed,
        places: &[Place],
        came: &[(ChunkId, Key, bytes::Bytes)],
        was_pending: bool,
    ) {
        if self.entries.is_empty() {
            // As much as one transaction takes, which is the most that most runs hold.
            self.frames.reserve(came.iter().map(|(_, _, bytes)| bytes.len() + FRAME).sum::<usize>() + FRAME);
        }
        let (weight, new) = (weight(&trn.chunks), came.iter().map(|(_, _, bytes)| bytes.len() as u64).sum::<u64>());
        self.bytes += new + if was_pending { 0 } else { weight };
        self.fresh += new + weight;
        encode_transaction(trn.id, trn.seq, trn.parent, &trn.chunks, &mut self.frames);
        for (id, _, bytes) in came {
            encode_chunk(id, bytes, &mut self.frames);
        }
        if places.iter().all(|place| *place == Place::Here) {
            self.whole += 1;
        } else {
            put_number(&mut self.places, self.whole);
            put_number(&mut self.places, places.len() as u64);
            places.iter().for_each(|place| put_place(&mut self.places, place));
            self.whole = 0;
        }
        self.entries.push((trn.id, trn.chain, came.iter().map(|(_, key, _)| key.clone()).collect()));
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= RUN
    }
}

/// A transaction within a run.
pub(super) struct Part<'a> {
    frame: RawFrame<'a>,
    /// The frames of the chunks that came with it.
    chunks: &'a [u8],
    /// Where its chunks are; none: all came with it, in order.
    places: Option<Vec<Place>>,
    /// Its frames.
    pub(super) bytes: &'a [u8],
}

/// Goes through the transactions of a run.
pub(super) struct Parts<'a> {
    frames: &'a [u8],
    places: Unpack<'a>,
    /// Whole transactions before the next that `places` tells of.
    whole: Option<u64>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(frames: &'a [u8], places: &'a [u8]) -> Self {
        Self { frames, places: Unpack(places), whole: None }
    }

    /// What is left of the frames.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.frames
    }

    pub(super) fn next(&mut self) -> Result<Option<Part<'a>>, StorageError> {
        let Some((frame, mut rest)) = RawFrame::split(self.frames).map_err(|_| damaged())? else {
            return Ok(None);
        };
        let chunks = rest;
        while let Some((next, after)) = RawFrame::split(rest).map_err(|_| damaged())?
            && !next.is_transaction()
        {
            rest = after;
        }
        let length = self.frames.len() - rest.len();
        let part = Part {
            frame,
            chunks: chunks.get(..chunks.len() - rest.len()).unwrap_or_default(),
            places: self.next_places()?,
            bytes: self.frames.get(..length).unwrap_or_default(),
        };
        self.frames = rest;
        Ok(Some(part))
    }

    fn next_places(&mut self) -> Result<Option<Vec<Place>>, StorageError> {
        if self.whole.is_none() && !self.places.is_empty() {
            self.whole = Some(self.places.number()?);
        }
        match self.whole {
            None => Ok(None),
            Some(0) => {
                self.whole = None;
                let count = self.places.size()?;
                // A place has at least one byte.
                let mut places = Vec::with_capacity(count.min(self.places.left()));
                for _ in 0..count {
                    places.push(self.places.place()?);
                }
                Ok(Some(places))
            }
            Some(n) => {
                self.whole = Some(n - 1);
                Ok(None)
            }
        }
    }
}

impl<'a> Part<'a> {
    pub(super) fn transaction(&self) -> Result<Transaction, StorageError> {
        self.frame.transaction().map_err(|_| damaged())
    }

    /// Whether all of its chunks came with it, so that its frames are all that a pull sends of it.
    pub(super) fn is_whole(&self) -> bool {
        self.places.is_none()
    }

    /// The chunks that came with it, by id.
    pub(super) fn came(&self) -> Result<HashMap<ChunkId, &'a [u8]>, StorageError> {
        let mut came = HashMap::new();
        let mut rest = self.chunks;
        while let Some((frame, after)) = RawFrame::split(rest).map_err(|_| damaged())? {
            let (id, bytes) = frame.chunk().map_err(|_| damaged())?;
            came.insert(id, bytes);
            rest = after;
        }
        Ok(came)
    }

    /// Where the chunk at this place of its list is, if that is another row.
    pub(super) fn elsewhere(&self, index: usize) -> Option<At> {
        let places = self.places.as_ref()?;
        match places.get(index)? {
            Place::There(at) => Some(*at),
            Place::Here => None,
        }
    }
}
