//! Names of committed transactions and of the chunks that came with them: in the rows of blocks at first, then in lists, which are
//! sorted, written once, and merged into longer ones little by little.
//!
//! A record is the first 16 bytes of the SHA-256 of a name's key, of which nobody finds two that are alike in less than 2^64
//! tries, and how far after its block's or list's first transaction the one is that it leads to, in 4 bytes, the most significant first.
//! Merging sorted records costs the same whatever the names are, where putting each into one large tree would change a page of
//! it for each: so a push costs the same however long the log is. The method is that of log-structured merge-trees (O'Neil et
//! al., 1996), with a part of the work done each time a list is added.

use std::sync::Arc;

use rusqlite::Row;
use sha2::{Digest, Sha256};
use tolstoy_proto::Seq;

use super::failed;
use super::listing::{Dead, FAN_IN, Inputs, List, Listing, MOST_LISTS, Merge, PLACE_BITS, ROW_RECORDS};
use super::pack::{blob, damaged};
use super::txn::{Txn, seq, sql_int};
use crate::storage::{Life, StorageError};

/// What of a name's key a list has.
pub(super) type Print = [u8; 16];

/// A name in a list.
pub(super) type Record = [u8; RECORD];

const RECORD: usize = 20;

/// Transactions whose names become a list: those of as many as fill a row, where each has one chunk.
const LISTED: u64 = 192;

/// Dead rows that are removed in one unit of work.
const REMOVED: usize = 4;

/// Rows that are looked at side by side, when a name is looked for, before what is left is halved.
const NEIGHBOURS: u32 = 3;

pub(super) fn print_of(key: &[u8]) -> Print {
    let digest: [u8; 32] = Sha256::digest(key).into();
    let mut print = [0; 16];
    print.copy_from_slice(&digest[..16]);
    print
}

/// The row of a list's records from this one times [`ROW_RECORDS`] on. What a [`Listing`] says keeps within its bounds.
pub(super) fn row_of(nr: i64, place: u64) -> i64 {
    nr << PLACE_BITS | place.cast_signed()
}

/// A record of a list that begins with transaction `first`.
pub(super) fn record(print: Print, first: Seq, at: Seq) -> Record {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(&print);
    // No list has more transactions than this can tell of.
    record[16..].copy_from_slice(&u32::try_from(at.0.saturating_sub(first.0)).unwrap_or(u32::MAX).to_be_bytes());
    record
}

/// The transaction that a record of a list leads to.
pub(super) fn leads_to(record: &Record, first: Seq) -> Seq {
    let [.., a, b, c, d] = *record;
    Seq(first.0.saturating_add(u32::from_be_bytes([a, b, c, d]).into()))
}

pub(super) fn has_print(record: &Record) -> Print {
    let mut print = [0; 16];
    print.copy_from_slice(&record[..16]);
    print
}

/// The records of a row.
fn records(row: &[u8]) -> Result<&[Record], StorageError> {
    let (records, rest) = row.as_chunks();
    if rest.is_empty() { Ok(records) } else { Err(damaged()) }
}

/// The row, of so many, at which a record is to be expected if they lie evenly; they do, but for those that somebody chose.
fn expected(rows: u64, record: &Record) -> u64 {
    let [a, b, c, d, ..] = *record;
    (u64::from(u32::from_be_bytes([a, b, c, d])).saturating_mul(rows)) >> 32
}

impl Txn<'_> {
    /// What is known of where a living log's names are; none: they are in no list.
    pub(super) fn listing(&self, life: Life) -> Result<Option<Arc<Listing>>, StorageError> {
        if let Some(listing) = self.at_end(life, |end| Ok(end.listing.clone()))? {
            return Ok(Some(listing));
        }
        let listing = self.read_listing(life)?.map(Arc::new);
        // Lists of transactions that are in no block would hide the names of those to come.
        let first = self.with_end(life, |end| Ok(end.first()))?;
        if listing.as_ref().is_some_and(|listing| listing.end() > first) {
            return Err(damaged());
        }
        self.know_listing(life, listing.clone())?;
        Ok(listing)
    }

    /// Says what it is; none: look.
    pub(super) fn know_listing(&self, life: Life, listing: Option<Arc<Listing>>) -> Result<(), StorageError> {
        self.at_end(life, |end| {
            end.listing = listing;
            Ok(())
        })
    }

    /// The same of any life, as it is in the file.
    pub(super) fn read_listing(&self, life: Life) -> Result<Option<Listing>, StorageError> {
        let sql = "SELECT first, chosen, lists, merges, dead FROM listing WHERE log = ?1";
        let read = |row: &Row<'_>| {
            let blob = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_blob()?);
            Ok(Listing::unpack(seq(row, 0)?, row.get(1)?, blob(2)?, blob(3)?, blob(4)?))
        };
        self.row(sql, [life.0], read)?.transpose()
    }

    pub(super) fn put_listing(&self, life: Life, listing: &Listing) -> Result<(), StorageError> {
        let sql = "INSERT INTO listing (log, first, chosen, lists, merges, dead) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (log) DO UPDATE SET chosen = ?3, lists = ?4, merges = ?5, dead = ?6";
        let (lists, merges, dead) = (listing.pack_lists(), listing.pack_merges(), listing.pack_dead());
        self.execute(sql, (life.0, sql_int(listing.first), listing.any_chosen, lists, merges, dead))?;
        Ok(())
    }

    /// Does this with the records of a list's row.
    pub(super) fn with_records<R>(
        &self,
        nr: i64,
        place: u64,
        with: impl FnOnce(&[Record]) -> Result<R, StorageError>,
    ) -> Result<R, StorageError> {
        let sql = "SELECT names FROM list WHERE at = ?1";
        let read = |row: &Row<'_>| Ok(records(row.get_ref(0)?.as_blob()?).and_then(with));
        let lost = || StorageError::Failed(format!("row {place} of list {nr} is lost"));
        self.row(sql, [row_of(nr, place)], read)?.ok_or_else(lost)?
    }

    /// The transaction that a name leads to, where it is in a list or a block. A chunk may have come with several: with one of
    /// them.
    pub(super) fn find_listed(&self, life: Life, listing: &Listing, key: &[u8]) -> Result<Option<Seq>, StorageError> {
        let print = print_of(key);
        // Who asks for a transaction asks for a new one as a rule.
        let mut found = None;
        self.unlisted(life, listing, &mut |first, records| {
            let at = records.partition_point(|record| record[..16] < print[..]);
            let record = records.get(at).filter(|record| record[..16] == print[..]);
            found = record.map(|record| leads_to(record, first));
            found.is_none()
        })?;
        if found.is_some() {
            return Ok(found);
        }
        for (first, list) in listing.placed().into_iter().rev() {
            let record = self.find_record(&list, &record(print, first, first))?;
            if let Some(record) = record.filter(|record| has_print(record) == print) {
                return Ok(Some(leads_to(&record, first)));
            }
        }
        Ok(None)
    }

    /// The records that are in blocks, the newest block first, with the place of its first transaction, until `visit` returns false.
    fn unlisted(
        &self,
        life: Life,
        listing: &Listing,
        visit: &mut dyn FnMut(Seq, &[Record]) -> bool,
    ) -> Result<(), StorageError> {
        let sql = "SELECT first, names FROM block WHERE log = ?1 AND first >= ?2 ORDER BY first DESC";
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query((life.0, sql_int(listing.end()))).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if !visit(seq(row, 0).map_err(failed)?, records(blob(row, 1)?)?) {
                break;
            }
        }
        Ok(())
    }

    /// How many records are in blocks.
    fn count_unlisted(&self, life: Life, listing: &Listing) -> Result<u64, StorageError> {
        if let Some(count) = self.at_end(life, |end| Ok(end.unlisted))? {
            return Ok(count);
        }
        let mut count = 0;
        self.unlisted(life, listing, &mut |_, records| {
            count += records.len() as u64;
            true
        })?;
        Ok(count)
    }

    fn know_unlisted(&self, life: Life, count: u64) -> Result<(), StorageError> {
        self.at_end(life, |end| {
            end.unlisted = Some(count);
            Ok(())
        })
    }

    /// Whether the name of something leads to this transaction, from where that is said.
    pub(super) fn is_listed(&self, life: Life, listing: &Listing, key: &[u8], at: Seq) -> Result<bool, StorageError> {
        let print = print_of(key);
        if let Some((first, list)) = listing.placed().into_iter().rfind(|(first, _)| *first <= at)
            && at < listing.end()
        {
            return self.has_record(&list, &record(print, first, at));
        }
        let sql = "SELECT first, names FROM block WHERE log = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1";
        let read = |row: &Row<'_>| {
            let (first, names) = (seq(row, 0)?, row.get_ref(1)?.as_blob()?);
            Ok(records(names).map(|records| records.binary_search(&record(print, first, at)).is_ok()))
        };
        self.row(sql, (life.0, sql_int(at)), read)?.unwrap_or(Ok(false))
    }

    /// Whether a list has this record.
    pub(super) fn has_record(&self, list: &List, record: &Record) -> Result<bool, StorageError> {
        Ok(self.find_record(list, record)? == Some(*record))
    }

    /// The first record of a list that is not less.
    fn find_record(&self, list: &List, least: &Record) -> Result<Option<Record>, StorageError> {
        // Rows below `low` have lesser records only; those from `high` on none, and the first of them is `found`.
        let (mut low, mut high, mut found) = (0, list.rows(), None);
        let (mut next, mut looks) = (expected(high, least), 0);
        while low < high {
            let place = next.clamp(low, high - 1);
            let (lesser, here) = self.with_records(list.nr, place, |records| {
                let at = records.partition_point(|record| record < least);
                Ok((at > 0, records.get(at).copied()))
            })?;
            match here {
                Some(record) if lesser || record == *least => return Ok(Some(record)),
                Some(record) => (found, high, next) = (Some(record), place, place.saturating_sub(1)),
                None => (low, next) = (place + 1, place + 1),
            }
            looks += 1;
            if looks > NEIGHBOURS {
                next = low.midpoint(high);
            }
        }
        Ok(found)
    }

    /// Takes the names of a new block. Where there are enough, they become a list with those of the blocks before it, and a part
    /// of the work is done that keeps lists few. Gives what the block's row is to have, and whether the listing changed.
    pub(super) fn take_names(
        &self,
        life: Life,
        listing: &mut Listing,
        block: (Seq, u64),
        mut names: Vec<Record>,
    ) -> Result<(Vec<Record>, bool), StorageError> {
        let (first, begin) = (block.0, listing.end());
        let transactions = first.0.saturating_sub(begin.0).saturating_add(block.1);
        let unlisted = self.count_unlisted(life, listing)?.saturating_add(names.len() as u64);
        if transactions < LISTED && unlisted < ROW_RECORDS {
            names.sort_unstable();
            self.know_unlisted(life, unlisted)?;
            return Ok((names, false));
        }
        let rebase = |record: &Record, first: Seq| self::record(has_print(record), begin, leads_to(record, first));
        names.iter_mut().for_each(|record| *record = rebase(record, first));
        self.unlisted(life, listing, &mut |first, records| {
            names.extend(records.iter().map(|record| rebase(record, first)));
            true
        })?;
        names.sort_unstable();
        let sql = "UPDATE block SET names = x'' WHERE log = ?1 AND first >= ?2";
        self.execute(sql, (life.0, sql_int(begin)))?;
        self.know_unlisted(life, 0)?;
        let list = List { level: 0, nr: self.next_list()?, transactions, records: names.len() as u64 };
        for (place, records) in (0..).zip(names.chunks(row_length())) {
            self.put_records(list.nr, place, records)?;
        }
        listing.lists.push(list);
        self.keep_few(listing, list.rows())?;
        Ok((Vec::new(), true))
    }

    /// Does a part of the work that keeps lists few, where one of so many rows was added.
    ///
    /// A row moves once a level, and then what it was moved from is removed, four rows a unit: that is less than two units for
    /// each level. Where lists of very unlike sizes have come, so that there are more lists than that keeps up with, each list
    /// too many has one unit more done.
    fn keep_few(&self, listing: &mut Listing, rows: u64) -> Result<(), StorageError> {
        let levels = listing.lists.first().map_or(0, |list| list.level) + 1;
        let too_many = (listing.lists.len() as u64).saturating_sub(levels * FAN_IN as u64);
        for _ in 0..2 * rows * levels + too_many {
            if !self.tidy(listing)? {
                break;
            }
        }
        Ok(())
    }

    /// A number that no list has.
    fn next_list(&self) -> Result<i64, StorageError> {
        let last = self.row("SELECT max(at) FROM list", [], |row| row.get::<_, Option<i64>>(0))?.flatten();
        let next = last.map_or(1, |at| (at >> PLACE_BITS) + 1);
        if (1..MOST_LISTS).contains(&next) { Ok(next) } else { Err(damaged()) }
    }

    fn put_records(&self, nr: i64, place: u64, records: &[Record]) -> Result<(), StorageError> {
        self.execute("INSERT INTO list (at, names) VALUES (?1, ?2)", (row_of(nr, place), records.as_flattened()))?;
        Ok(())
    }

    /// One unit of work: removes a few dead rows, or writes a row of a merge. False where there is nothing to do.
    fn tidy(&self, listing: &mut Listing) -> Result<bool, StorageError> {
        if !listing.dead.is_empty() {
            self.remove_dead(listing, REMOVED)?;
            return Ok(true);
        }
        let Some((level, inputs)) = listing.to_merge() else { return Ok(false) };
        let begun = listing.merges.iter().position(|merge| merge.level == level);
        let mut merge = match begun {
            Some(at) => listing.merges.remove(at),
            None => Merge { level, nr: self.next_list()?, taken: [0; FAN_IN] },
        };
        self.merge_row(&mut merge, &inputs)?;
        if merge.written() >= inputs.iter().fold(0, |sum: u64, (_, list)| sum.saturating_add(list.records)) {
            listing.is_merged(merge, &inputs);
        } else {
            listing.merges.push(merge);
        }
        Ok(true)
    }

    /// Removes at most so many dead rows; gives how many.
    ///
    /// The last row of a list and what tells of it go in one job: until then its number is not given again.
    pub(super) fn remove_dead(&self, listing: &mut Listing, most: usize) -> Result<usize, StorageError> {
        let mut removed = 0;
        while removed < most
            && let Some(Dead { nr, from, to }) = listing.dead.first_mut()
        {
            if from < to {
                self.execute("DELETE FROM list WHERE at = ?1", [row_of(*nr, *from)])?;
                *from += 1;
                removed += 1;
            }
            if from >= to {
                listing.dead.remove(0);
            }
        }
        Ok(removed)
    }

    /// Writes the next row of a merge.
    fn merge_row(&self, merge: &mut Merge, inputs: &Inputs) -> Result<(), StorageError> {
        let begin = inputs[0].0;
        let mut sources = Vec::with_capacity(FAN_IN);
        for ((first, list), taken) in inputs.iter().zip(merge.taken) {
            sources.push(Source { list: *list, later: first.0 - begin.0, taken, row: Vec::new() });
        }
        let place = merge.written() / ROW_RECORDS;
        let mut out = Vec::with_capacity(row_length());
        while out.len() < row_length() {
            for source in &mut sources {
                source.fill(self)?;
            }
            let Some(least) = sources.iter_mut().filter(|source| source.next().is_some()).min_by_key(|s| s.next())
            else {
                break;
            };
            out.extend(least.take());
        }
        self.put_records(merge.nr, place, &out)?;
        for (taken, source) in merge.taken.iter_mut().zip(&sources) {
            *taken = source.taken;
        }
        Ok(())
    }
}

fn row_length() -> usize {
    usize::try_from(ROW_RECORDS).unwrap_or(usize::MAX)
}

/// An input of a merge.
struct Source {
    list: List,
    /// How many transactions its first is after the first input's.
    later: u64,
    taken: u64,
    /// What is left of the row that it is at, the last record first.
    row: Vec<Record>,
}

impl Source {
    /// Reads the next row where the last one is taken.
    fn fill(&mut self, txn: &Txn<'_>) -> Result<(), StorageError> {
        if !self.row.is_empty() || self.taken >= self.list.records {
            return Ok(());
        }
        let (place, skip) = (self.taken / ROW_RECORDS, usize::try_from(self.taken % ROW_RECORDS).unwrap_or(usize::MAX));
        self.row = txn.with_records(self.list.nr, place, |records| {
            Ok(records.get(skip..).ok_or_else(damaged)?.iter().rev().copied().collect())
        })?;
        if self.row.is_empty() { Err(damaged()) } else { Ok(()) }
    }

    fn next(&self) -> Option<Print> {
        self.row.last().map(has_print)
    }

    /// Takes the next record, as one of the merged list's.
    fn take(&mut self) -> Option<Record> {
        let taken = self.row.pop()?;
        self.taken += 1;
        Some(record(has_print(&taken), Seq(0), leads_to(&taken, Seq(self.later))))
    }
}

#[cfg(test)]
mod tests;
