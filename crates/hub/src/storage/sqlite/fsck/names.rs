//! The names of a log's transactions and chunks.

use tolstoy_proto::ChunkId;

use super::super::failed;
use super::super::listing::{FAN_IN, Inputs, Merge, PLACE_BITS, ROW_RECORDS};
use super::super::lists::{Record, has_print, leads_to, record, row_of};
use super::super::pack::{At, chunk_key, trn_key};
use super::super::txn::sql_int;
use super::life::{Log, why};
use super::{Check, Finding, blob};
use crate::storage::{Life, StorageError};

impl Check<'_> {
    /// Checks that the names of a transaction, and of the chunks that came with it, lead to them.
    pub(super) fn named(&mut self, log: &mut Log, here: &Finding, came: &[ChunkId]) -> Result<(), StorageError> {
        let (Some(seq), Some(id)) = (here.seq, here.transaction) else { return Ok(()) };
        if log.listing.as_ref().is_some_and(|listing| seq >= listing.first) {
            return self.listed(log, here, came);
        }
        match self.name(log.nr, &trn_key(id))? {
            Some(at) if at == sql_int(seq) => log.names += 1,
            Some(at) => self.found(Finding { what: format!("its name leads to transaction {at}"), ..here.clone() }),
            None => self.found(Finding { what: "it has no name".to_owned(), ..here.clone() }),
        }
        for chunk in came {
            let wrong = |what: String| Finding { chunk: Some(*chunk), what, ..here.clone() };
            match self.name(log.nr, &chunk_key(chunk))?.map(At::of) {
                Some(At::Trn(at)) if at == seq => log.names += 1,
                // It came before too, and its name leads there.
                Some(At::Trn(at)) => {
                    if self.txn.came_with(Life(log.nr), at, chunk)?.is_none() {
                        self.found(wrong(format!("its name leads to transaction {at}, where it is not")));
                    }
                }
                Some(At::Chunk(_)) => {}
                None => self.found(wrong("it has no name".to_owned())),
            }
        }
        Ok(())
    }

    /// The same, where names are in blocks and lists.
    fn listed(&mut self, log: &mut Log, here: &Finding, came: &[ChunkId]) -> Result<(), StorageError> {
        let (Some(seq), Some(id), Some(listing)) = (here.seq, here.transaction, log.listing.clone()) else {
            return Ok(());
        };
        let names = std::iter::once((None, trn_key(id).to_vec()));
        let names = names.chain(came.iter().map(|chunk| (Some(*chunk), chunk_key(chunk))));
        let (mut found, mut lost) = (0, Vec::new());
        for (chunk, key) in names {
            match self.txn.is_listed(Life(log.nr), &listing, &key, seq) {
                Ok(true) => found += 1,
                Ok(false) => lost.push(Finding { chunk, what: "it has no name".to_owned(), ..here.clone() }),
                Err(_) if log.unread_names => {}
                Err(error) => {
                    log.unread_names = true;
                    let what = format!("its name cannot be read, nor others perhaps: {}", why(&error));
                    lost.push(Finding { chunk, what, ..here.clone() });
                }
            }
        }
        log.listed += found;
        lost.into_iter().for_each(|finding| self.found(finding));
        Ok(())
    }

    /// Goes through the names: those of chunks in rows of their own, which are hashed; and whether there are more than
    /// lead somewhere.
    pub(super) fn names(&mut self, log: &mut Log) -> Result<(), StorageError> {
        let mut others = 0u64;
        let mut statement =
            self.connection.prepare("SELECT key, at FROM name WHERE log = ?1 ORDER BY key").map_err(failed)?;
        let mut rows = statement.query([log.nr]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let (key, at) = (blob(row, 0)?, row.get::<_, i64>(1).map_err(failed)?);
            match (key.first(), At::of(at)) {
                (Some(0 | 2..), At::Chunk(nr)) => self.chunk(log, &key, nr)?,
                _ => others += 1,
            }
        }
        if others > log.names {
            let more = others - log.names;
            self.found(log.finding(format!("of its names, {more} lead to nothing")));
        }
        Ok(())
    }

    /// Checks the lists: that they are in order, and whether there are more names than lead somewhere.
    pub(super) fn lists(&mut self, log: &Log) -> Result<(), StorageError> {
        let Some(listing) = &log.listing else { return Ok(()) };
        let row = Some(("listing", log.nr));
        for nr in listing.numbers() {
            if !self.lists.insert(nr) {
                self.found(Finding { row, ..log.finding(format!("it tells of list {nr}, and that is told of twice")) });
            }
        }
        let blocks = self.txn.with_end(Life(log.nr), |end| Ok(end.first()))?;
        if listing.end() > blocks {
            let what =
                format!("its lists tell of transactions up to {}, and its blocks end before {blocks}", listing.end());
            self.found(Finding { row, ..log.finding(what) });
        }
        let sql = "SELECT coalesce(sum(length(names) / 20), 0) FROM block WHERE log = ?1";
        let mut names = self.txn.row(sql, [log.nr], |row| row.get::<_, i64>(0))?.unwrap_or_default().cast_unsigned();
        for list in &listing.lists {
            names = names.saturating_add(list.records);
            let mut last = None;
            for place in 0..list.rows() {
                let Some(records) = self.records(log, list.nr, list.records, place)? else { break };
                if !records.iter().all(|record| last.replace(*record) < Some(*record)) {
                    self.found(Finding {
                        row: Some(("list", row_of(list.nr, place))),
                        ..log.finding("its names are not in order")
                    });
                }
            }
        }
        if names > log.listed && !log.unread_names {
            self.found(log.finding(format!("of its names, {} lead to nothing", names - log.listed)));
        }
        for merge in &listing.merges {
            // No listing is read without them.
            let Some(inputs) = listing.inputs(merge.level) else { continue };
            self.merging(log, &inputs, *merge)?;
        }
        Ok(())
    }

    /// The records of a list's row, which must be there; none: what follows is not looked at.
    fn records(&mut self, log: &Log, nr: i64, of: u64, place: u64) -> Result<Option<Vec<Record>>, StorageError> {
        let wrong = |what: String| Finding { row: Some(("list", row_of(nr, place))), ..log.finding(what) };
        let (rows, count) =
            (of.div_ceil(ROW_RECORDS), ROW_RECORDS.min(of.saturating_sub(place.saturating_mul(ROW_RECORDS))));
        let records = match self.txn.with_records(nr, place, |records| Ok(records.to_vec())) {
            Ok(records) => records,
            Err(error) => {
                self.found(wrong(format!("it cannot be read: {}", why(&error))));
                return Ok(None);
            }
        };
        if records.len() as u64 != count {
            self.found(wrong(format!("it has {} names, and must have {count}", records.len())));
        }
        if place + 1 == rows {
            let sql = "SELECT at FROM list WHERE at > ?1 AND at <= ?2 ORDER BY at LIMIT 1";
            let range = [row_of(nr, place), row_of(nr, (1 << PLACE_BITS) - 1)];
            if let Some(at) = self.txn.row(sql, range, |row| row.get(0))? {
                self.found(Finding { row: Some(("list", at)), ..log.finding("its list has no row so far back") });
            }
        }
        Ok(Some(records))
    }

    /// Checks what is written of a merge: records of its inputs, in order, so many of each.
    fn merging(&mut self, log: &Log, inputs: &Inputs, merge: Merge) -> Result<(), StorageError> {
        let (begin, written) = (inputs[0].0, merge.written());
        let (mut from, mut last) = ([0; FAN_IN], None);
        for place in 0..written.div_ceil(ROW_RECORDS) {
            let Some(records) = self.records(log, merge.nr, written, place)? else { return Ok(()) };
            if !records.iter().all(|record| last.replace(*record) < Some(*record)) {
                let row = Some(("list", row_of(merge.nr, place)));
                self.found(Finding { row, ..log.finding("its names are not in order") });
            }
            for record in records {
                let (print, at) = (has_print(&record), leads_to(&record, begin));
                // Which transaction it leads to says which input had it.
                let origin = inputs.iter().rposition(|(first, _)| *first <= at).unwrap_or_default();
                if let (Some((first, list)), Some(from)) = (inputs.get(origin), from.get_mut(origin))
                    && self.txn.has_record(list, &self::record(print, *first, at)).unwrap_or(false)
                {
                    *from += 1;
                }
            }
        }
        if from != merge.taken {
            let what = format!(
                "of the names of what is merged, list {} is said to have {:?}, and has {from:?}",
                merge.nr, merge.taken
            );
            self.found(Finding { row: Some(("listing", log.nr)), ..log.finding(what) });
        }
        Ok(())
    }
}
