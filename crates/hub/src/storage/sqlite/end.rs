//! The end of a log's chain: HEAD, and the newest transactions, which only the log's own row knows.
//!
//! A push adds to this list. Only when it is long enough do its transactions go into a block, many at a time, so that most pushes
//! change no page of those.

use std::collections::HashMap;
use std::sync::Arc;

use tolstoy_proto::{Generation, LogId, Seq, TrnId};

use super::listing::Listing;
use super::pack::{At, Unpack, put_key, put_number};
use crate::storage::figures::minute;
use crate::storage::{Life, StorageError, Tip, Usage};

/// Transactions that a tail holds at most when a job ends.
const LONGEST_TAIL: usize = 16;

/// Bytes of a tail when a job ends: a few log rows still share a page.
const LARGEST_TAIL: usize = 1024;

/// The same within a job, which may add many.
const LONGEST_IN_JOB: usize = 256;
const LARGEST_IN_JOB: usize = 64 << 10;

/// A living log's row, and what else is known of the life.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) life: Life,
    pub(super) log: LogId,
    pub(super) generation: Generation,
    pub(super) tip: Tip,
    pub(super) usage: Usage,
    /// The minute that the row stands under, and who wrote since it was read or written.
    pub(super) minute: i64,
    pub(super) writer: Option<Box<str>>,
    /// Whether the life has pending transactions, and loose chunks in the table. Most have none, and need not be asked for each.
    /// None: look; true: there may be some.
    pub(super) any_pending: Option<bool>,
    pub(super) any_loose: Option<bool>,
    /// Whether the ids of all transactions derive from their parents and chunks. None: look; false: there may be some that do not.
    pub(super) all_derive: Option<bool>,
    /// Where the names are, and how many are in blocks and no list yet. None: look.
    pub(super) listing: Option<Arc<Listing>>,
    pub(super) unlisted: Option<u64>,
    tail: Vec<u8>,
    /// Transactions of the tail.
    count: usize,
    /// Where the tail's chunks are, once it is so long that looking through it costs more than this.
    index: Option<HashMap<Vec<u8>, Seq>>,
    pub(super) changed: bool,
}

/// A transaction of a tail.
pub(super) struct Entry<'a> {
    pub(super) id: TrnId,
    pub(super) row: i64,
    /// The keys of the chunks that came with it and are in its row.
    keys: Unpack<'a>,
    count: u64,
}

impl End {
    pub(super) fn new(life: Life, log: LogId, generation: Generation, tip: Tip, usage: Usage, tail: Vec<u8>) -> Self {
        Self {
            life,
            log,
            generation,
            tip,
            usage,
            minute: minute(usage.written),
            writer: None,
            any_pending: None,
            any_loose: None,
            all_derive: None,
            listing: None,
            unlisted: None,
            count: Entries(Unpack(&tail)).count(),
            tail,
            index: None,
            changed: false,
        }
    }

    /// Its row says the same now.
    pub(super) fn is_written(&mut self) {
        self.minute = minute(self.usage.written);
        self.writer = None;
        self.changed = false;
    }

    /// So many bytes came.
    pub(super) fn weigh(&mut self, bytes: u64, fresh: u64) {
        self.usage.bytes = self.usage.bytes.saturating_add(bytes);
        self.usage.fresh = self.usage.fresh.saturating_add(fresh);
        self.changed = true;
    }

    /// So many bytes went.
    pub(super) fn lighten(&mut self, bytes: u64) {
        self.usage.bytes = self.usage.bytes.saturating_sub(bytes);
        self.changed = true;
    }

    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// The tail's transactions, in order.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries(Unpack(&self.tail))
    }

    /// The place of the tail's first transaction.
    pub(super) fn first(&self) -> Seq {
        Seq((self.tip.seq.0 + 1).saturating_sub(self.count as u64))
    }

    /// Whether all of the log is in the tail.
    pub(super) fn is_all_in_tail(&self) -> bool {
        self.first() <= Seq::ROOT.next()
    }

    /// The tail's runs: the row of each and how many transactions it has.
    pub(super) fn runs(&self) -> Result<Vec<(i64, u64)>, StorageError> {
        let mut runs: Vec<(i64, u64)> = Vec::new();
        for entry in self.entries() {
            let row = entry?.row;
            match runs.last_mut() {
                Some((last, count)) if *last == row => *count += 1,
                _ => runs.push((row, 1)),
            }
        }
        Ok(runs)
    }

    /// The place of a transaction of the tail.
    pub(super) fn find_trn(&self, id: TrnId) -> Result<Option<Seq>, StorageError> {
        for (seq, entry) in (self.first().0..).zip(self.entries()) {
            if entry?.id == id {
                return Ok(Some(Seq(seq)));
            }
        }
        Ok(None)
    }

    /// Where a chunk is that came with a transaction of the tail.
    pub(super) fn find_chunk(&mut self, key: &[u8]) -> Result<Option<At>, StorageError> {
        if self.index.is_none() && self.tail.len() > LARGEST_TAIL {
            self.index = Some(self.indexed()?);
        }
        if let Some(index) = &self.index {
            return Ok(index.get(key).copied().map(At::Trn));
        }
        for (seq, entry) in (self.first().0..).zip(self.entries()) {
            for known in entry?.keys() {
                if known? == key {
                    return Ok(Some(At::Trn(Seq(seq))));
                }
            }
        }
        Ok(None)
    }

    fn indexed(&self) -> Result<HashMap<Vec<u8>, Seq>, StorageError> {
        let mut index = HashMap::new();
        for (seq, entry) in (self.first().0..).zip(self.entries()) {
            for key in entry?.keys() {
                index.entry(key?.to_vec()).or_insert(Seq(seq));
            }
        }
        Ok(index)
    }

    /// Moves HEAD to a new transaction.
    pub(super) fn append(&mut self, tip: Tip, row: i64, keys: &[Vec<u8>]) {
        self.tail.extend(tip.id.as_bytes());
        put_number(&mut self.tail, row.cast_unsigned());
        put_number(&mut self.tail, keys.len() as u64);
        keys.iter().for_each(|key| put_key(&mut self.tail, key));
        if let Some(index) = &mut self.index {
            for key in keys {
                index.entry(key.clone()).or_insert(tip.seq);
            }
        }
        self.count += 1;
        self.tip = tip;
        self.changed = true;
    }

    /// Whether the tail must go into a block.
    pub(super) fn is_full(&self, job_ends: bool) -> bool {
        let (longest, largest) = if job_ends { (LONGEST_TAIL, LARGEST_TAIL) } else { (LONGEST_IN_JOB, LARGEST_IN_JOB) };
        self.tail.len() > largest || self.count >= longest
    }

    /// The tail has gone.
    pub(super) fn clear(&mut self) {
        self.tail = Vec::new();
        self.index = None;
        self.count = 0;
        self.changed = true;
    }
}

/// Goes through a tail.
pub(super) struct Entries<'a>(Unpack<'a>);

impl<'a> Entries<'a> {
    fn entry(&mut self) -> Result<Entry<'a>, StorageError> {
        let mut id = [0; 16];
        id.copy_from_slice(self.0.take(16)?);
        let row = self.0.row()?;
        let count = self.0.number()?;
        let keys = Unpack(self.0.0);
        for _ in 0..count {
            self.0.key()?;
        }
        Ok(Entry { id: TrnId::from_bytes(id), row, keys, count })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            // What follows a damaged entry means nothing.
            self.0 = Unpack(&[]);
        }
        Some(entry)
    }
}

impl<'a> Entry<'a> {
    pub(super) fn keys(mut self) -> impl Iterator<Item = Result<&'a [u8], StorageError>> {
        (0..self.count).map(move |_| self.keys.key())
    }
}

#[cfg(test)]
mod tests {
    use tolstoy_proto::ChainDigest;
    use uuid::Uuid;

    use super::*;

    fn end(tip: Tip, tail: Vec<u8>) -> End {
        let generation = Generation { id: Uuid::nil(), number: 1 };
        End::new(Life(1), LogId(Uuid::nil()), generation, tip, Usage::default(), tail)
    }

    #[test]
    fn a_tail_tells_what_was_appended() {
        let mut end = end(Tip::ROOT, Vec::new());
        let id = |n: u8| TrnId::from_bytes([n; 16]);
        for n in 1..=3 {
            let keys = [vec![n; 33], b"plain".to_vec()];
            let tip = Tip { id: id(n), seq: Seq(n.into()), chain: ChainDigest::ZERO };
            end.append(tip, i64::from(n) * 1000, &keys[..usize::from(n) - 1]);
        }
        assert_eq!(end.tip.id, id(3));
        let rows: Vec<i64> = end.entries().map(|entry| entry.unwrap().row).collect();
        assert_eq!(rows, [1000, 2000, 3000]);
        assert_eq!(end.runs(), Ok(vec![(1000, 1), (2000, 1), (3000, 1)]));
        assert_eq!((end.first(), end.find_trn(id(2))), (Seq(1), Ok(Some(Seq(2)))));
        assert_eq!(end.find_trn(id(4)), Ok(None));
        assert_eq!(end.find_chunk(&[2; 33]), Ok(Some(At::Trn(Seq(2)))));
        assert_eq!(end.find_chunk(b"plain"), Ok(Some(At::Trn(Seq(3)))));
        assert_eq!(end.find_chunk(&[1; 33]), Ok(None));
        end.clear();
        assert_eq!(end.entries().count(), 0);
    }

    #[test]
    fn a_long_tail_tells_the_same() {
        let mut end = end(Tip::ROOT, Vec::new());
        let key = |n: u64| [&[0; 25][..], &n.to_be_bytes()].concat();
        for n in 1..=200 {
            let tip = Tip { id: TrnId::from_bytes([1; 16]), seq: Seq(n), chain: ChainDigest::ZERO };
            end.append(tip, 1, &[key(n), key(1000)]);
            for known in 1..=n {
                assert_eq!(end.find_chunk(&key(known)), Ok(Some(At::Trn(Seq(known)))));
            }
            assert_eq!(end.find_chunk(&key(1000)), Ok(Some(At::Trn(Seq(1)))));
            assert_eq!(end.find_chunk(&key(n + 1)), Ok(None));
        }
        let mut again = super::tests::end(end.tip, end.tail().to_vec());
        assert_eq!(again.find_chunk(&key(77)), Ok(Some(At::Trn(Seq(77)))));
        end.clear();
        assert_eq!(end.find_chunk(&key(77)), Ok(None));
    }

    #[test]
    fn a_damaged_tail_is_refused() {
        for tail in [vec![1], vec![0; 16], [vec![0; 17], vec![5, 200]].concat()] {
            let end = super::tests::end(Tip::ROOT, tail);
            assert!(end.find_trn(TrnId::from_bytes([9; 16])).is_err());
        }
    }
}
