//! Moving the tail of a log into a block, and its names into the block or a list.

use std::sync::Arc;

use tolstoy_proto::{Seq, Transaction, derive_trn};

use super::end::End;
use super::listing::Listing;
use super::lists::{Record, print_of, record};
use super::pack::{pack_runs, trn_key};
use super::txn::{Txn, sql_int};
use crate::storage::{Committed, Life, StorageError};

/// What was in a tail.
struct Cut {
    first: Seq,
    transactions: u64,
    runs: Vec<(i64, u64)>,
    names: Vec<Record>,
}

/// Takes what is in a tail out of it.
fn cut_tail(end: &mut End) -> Result<Cut, StorageError> {
    let (first, runs, mut names) = (end.first(), end.runs()?, Vec::new());
    for (seq, entry) in (first.0..).map(Seq).zip(end.entries()) {
        let entry = entry?;
        names.push(record(print_of(&trn_key(entry.id)), first, seq));
        for key in entry.keys() {
            names.push(record(print_of(key?), first, seq));
        }
    }
    end.clear();
    Ok(Cut { first, transactions: end.tip.seq.next().0.saturating_sub(first.0), runs, names })
}

impl Txn<'_> {
    /// Puts the tail into a block where it is long enough.
    pub(super) fn flush_tail(&mut self, job_ends: bool) -> Result<(), StorageError> {
        match self.end.get_mut() {
            Some(end) if end.changed && end.is_full(job_ends) => self.empty_tail(),
            _ => Ok(()),
        }
    }

    /// Puts the tail of the end that is at hand into a block, and its names too.
    fn empty_tail(&mut self) -> Result<(), StorageError> {
        let Some(life) = self.end.get_mut().as_ref().map(|end| end.life) else { return Ok(()) };
        let found = self.listing(life)?;
        let is_new = found.is_none();
        let mut listing = found.map_or_else(|| self.begin_listing(life), |found| Ok(Listing::clone(&found)))?;
        let Cut { first, transactions, runs, names } = self.at_end(life, cut_tail)?;
        let (names, is_changed) = self.take_names(life, &mut listing, (first, transactions), names)?;
        self.put_block(life, first, &runs, &names)?;
        if is_new || is_changed {
            self.put_listing(life, &listing)?;
            self.know_listing(life, Some(Arc::new(listing)))?;
        }
        Ok(())
    }

    /// A life ends: its tail goes into a block, where the sweeper finds it, and its lists are to be removed.
    pub(super) fn end_names(&mut self, life: Life) -> Result<(), StorageError> {
        let Cut { first, transactions, runs, .. } = self.with_end(life, cut_tail)?;
        if transactions > 0 {
            self.put_block(life, first, &runs, &[])?;
        }
        // One that cannot be read keeps nobody from deleting the log.
        if let Ok(Some(mut listing)) = self.read_listing(life) {
            listing.is_ended();
            self.put_listing(life, &listing)?;
        }
        Ok(())
    }

    fn put_block(&self, life: Life, first: Seq, runs: &[(i64, u64)], names: &[Record]) -> Result<(), StorageError> {
        let sql = "INSERT INTO block (log, first, runs, names) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, (life.0, sql_int(first), pack_runs(runs), names.as_flattened()))?;
        Ok(())
    }

    /// The listing of a life that has none: of what is in no block yet the names are the first that are not in `name`.
    fn begin_listing(&self, life: Life) -> Result<Listing, StorageError> {
        let (first, all_derive) = self.with_end(life, |end| Ok((end.first(), end.all_derive)))?;
        let all_derive = match all_derive {
            Some(all_derive) => all_derive,
            None => first == Seq::ROOT.next() && self.all_read_derive(life)?,
        };
        self.at_end(life, |end| {
            end.all_derive = Some(all_derive);
            Ok(())
        })?;
        Ok(Listing::new(first, !all_derive))
    }

    /// Whether the ids of all transactions derive, from what is read of each.
    fn all_read_derive(&self, life: Life) -> Result<bool, StorageError> {
        let mut all_derive = true;
        self.parts_after(life, Seq::ROOT, &mut |_, part| {
            let Transaction { id, parent, chunks, .. } = part.transaction()?;
            all_derive = id == derive_trn(parent, &chunks);
            Ok(all_derive)
        })?;
        Ok(all_derive)
    }

    /// A transaction is committed: notes whether its id derives.
    pub(super) fn note_derived(&self, life: Life, trn: &Committed) -> Result<(), StorageError> {
        let all_derive = self.at_end(life, |end| Ok(end.all_derive))?;
        if all_derive == Some(false) || trn.id == derive_trn(trn.parent, &trn.chunks) {
            return Ok(());
        }
        self.execute("UPDATE listing SET chosen = 1 WHERE log = ?1 AND NOT chosen", [life.0])?;
        self.at_end(life, |end| {
            end.all_derive = Some(false);
            end.listing = None;
            Ok(())
        })
    }

    /// Whether it is known that the ids of all transactions derive.
    pub(super) fn is_known_to_derive(&self, life: Life) -> Result<bool, StorageError> {
        let (all_derive, tail_is_all) = self.at_end(life, |end| Ok((end.all_derive, end.is_all_in_tail())))?;
        if let Some(all_derive) = all_derive {
            return Ok(all_derive);
        }
        if tail_is_all {
            return Ok(false);
        }
        let all_derive = self.listing(life)?.is_some_and(|listing| !listing.any_chosen);
        self.at_end(life, |end| {
            end.all_derive = Some(all_derive);
            Ok(())
        })?;
        Ok(all_derive)
    }
}
