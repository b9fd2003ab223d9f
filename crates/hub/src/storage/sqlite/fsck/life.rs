//! One log: its chain, uploads, snapshots and figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tolstoy_proto::{ChainDigest, ChunkId, LogId, Seq, TrnId, derive_trn};

use super::super::end::End;
use super::super::garbage::left;
use super::super::listing::Listing;
use super::super::pack::{At, Unpack, chunk_key, chunk_of, damaged};
use super::super::run::Parts;
use super::super::txn::{sql_int, tip};
use super::{Check, Finding};
use crate::storage::{Life, PIECE, ReadTxn, StorageError, Tip, weight};

/// What is said of bytes that are not where they must be.
const LOST: &str = "its bytes are lost";

/// What is known of the log that is checked.
pub(super) struct Log {
    id: LogId,
    pub(super) nr: i64,
    /// The last transaction that was seen.
    at: Tip,
    /// Bytes of what was seen.
    pub(super) bytes: u64,
    /// Names of transactions, and of chunks that came with them, that must be in `name`.
    pub(super) names: u64,
    /// Where the others are, and how many must be there.
    pub(super) listing: Option<Arc<Listing>>,
    pub(super) listed: u64,
    /// Some could not be read; told once.
    pub(super) unread_names: bool,
}

impl Log {
    pub(super) fn finding(&self, what: impl Into<String>) -> Finding {
        Finding { log: Some(self.id), what: what.into(), ..Finding::default() }
    }
}

/// Why something cannot be read.
pub(super) fn why(error: &StorageError) -> String {
    match error {
        StorageError::Failed(reason) => reason.clone(),
        other => other.to_string(),
    }
}

/// A run as a block or a tail tells of it: its row, and how many transactions it has.
type Told = (i64, u64);

impl Check<'_> {
    /// Checks a living log. What stops it is told, and the next log is gone on with.
    pub(super) fn log(&mut self, nr: i64) -> Result<(), StorageError> {
        let sql = "SELECT id, head, seq, chain, bytes FROM log WHERE nr = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            Ok((LogId::from_bytes(row.get(0)?), tip(row, 1)?, row.get::<_, i64>(4)?.cast_unsigned()))
        };
        let (id, head, bytes) = match self.txn.row(sql, [nr], read) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(error) => {
                let what = format!("it cannot be read: {}", why(&error));
                self.found(Finding { row: Some(("log", nr)), what, ..Finding::default() });
                return Ok(());
            }
        };
        let mut log = Log { id, nr, at: Tip::ROOT, bytes: 0, names: 0, listing: None, listed: 0, unread_names: false };
        // Whatever is looked up is looked for in the tail first.
        if let Err(error) = self.txn.with_end(Life(nr), |end| end.runs()) {
            self.found(log.finding(format!("its tail cannot be read: {}; nothing else of it is checked", why(&error))));
            self.unread.insert(nr);
            return Ok(());
        }
        match self.txn.read_listing(Life(nr)) {
            Ok(listing) => log.listing = listing.map(Arc::new),
            Err(error) => {
                let what =
                    format!("what tells of its names cannot be read: {}; nothing else of it is checked", why(&error));
                self.found(Finding { row: Some(("listing", nr)), ..log.finding(what) });
                self.unread.insert(nr);
                return Ok(());
            }
        }
        let whole = self.chain(&mut log, head).and_then(|()| self.names(&mut log)).and_then(|()| self.lists(&log));
        let whole = whole.and_then(|()| self.uploads(&mut log)).and_then(|()| self.snapshots(&mut log, head));
        let whole = whole.and_then(|()| self.tasks(&mut log));
        match whole {
            Ok(()) if log.bytes != bytes => {
                self.found(
                    log.finding(format!("its row says that it holds {bytes} bytes, and it holds {}", log.bytes)),
                );
            }
            Ok(()) => {}
            Err(error) => {
                self.found(log.finding(format!("what follows cannot be read: {}", why(&error))));
                self.unread.insert(nr);
            }
        }
        Ok(())
    }

    /// Walks the chain: blocks, then the tail.
    fn chain(&mut self, log: &mut Log, head: Tip) -> Result<(), StorageError> {
        let life = Life(log.nr);
        let mut last = i64::MIN;
        let next = "SELECT first, runs FROM block WHERE log = ?1 AND first > ?2 ORDER BY first LIMIT 1";
        while let Some((first, runs)) =
            self.txn.row(next, (log.nr, last), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?
        {
            last = first;
            if first != sql_int(log.at.seq.next()) {
                self.found(
                    log.finding(format!(
                        "a block begins with transaction {first}, and must with {}",
                        log.at.seq.next()
                    )),
                );
            }
            for run in Unpack(&runs).runs()? {
                self.run(log, run, true)?;
            }
        }
        let end: End = self.txn.with_end(life, |end| Ok(end.clone()))?;
        let entries: Vec<(TrnId, Vec<Vec<u8>>)> = end
            .entries()
            .map(|entry| {
                let entry = entry?;
                Ok((entry.id, entry.keys().map(|key| key.map(<[u8]>::to_vec)).collect::<Result<_, StorageError>>()?))
            })
            .collect::<Result<_, StorageError>>()?;
        let first = log.at.seq;
        for run in end.runs()? {
            self.run(log, run, false)?;
        }
        self.tail(log, first, &entries)?;
        if (log.at.id, log.at.seq, log.at.chain) != (head.id, head.seq, head.chain) {
            self.found(log.finding(format!(
                "HEAD is said to be {} at {} with chain digest {}, and the chain ends with {} at {} with {}",
                head.id, head.seq, head.chain, log.at.id, log.at.seq, log.at.chain
            )));
        }
        Ok(())
    }

    /// Checks that the tail lists the transactions after this place, and the chunks that came with each.
    fn tail(&mut self, log: &Log, after: Seq, entries: &[(TrnId, Vec<Vec<u8>>)]) -> Result<(), StorageError> {
        let mut at = 0;
        let mut wrong = Vec::new();
        let walked = self.txn.parts_after(Life(log.nr), after, &mut |seq, part| {
            let Some((id, keys)) = entries.get(at) else { return Ok(false) };
            at += 1;
            let came = part.came()?;
            let known = keys.iter().all(|key| chunk_of(key).is_some_and(|chunk| came.contains_key(&chunk)));
            if part.transaction()?.id != *id || !known || keys.len() != came.len() {
                wrong.push((seq, *id));
            }
            Ok(true)
        });
        for (seq, id) in wrong {
            let what = "the log's tail tells something else of it";
            self.found(Finding { seq: Some(seq), transaction: Some(id), ..log.finding(what) });
        }
        walked
    }

    /// Checks a run, its transactions and the chunks in it.
    fn run(&mut self, log: &mut Log, (nr, count): Told, named: bool) -> Result<(), StorageError> {
        let row = Some(("run", nr));
        if !self.runs.insert(nr) {
            self.found(Finding { row, ..log.finding("two blocks lead to it") });
        }
        let sql = "SELECT log, first, base, places, frames FROM run WHERE nr = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let base = ChainDigest(row.get(2)?);
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                base,
                row.get::<_, Vec<u8>>(3)?,
                row.get::<_, Vec<u8>>(4)?,
            ))
        };
        let expected = log.at.seq.next();
        let Some((life, first, base, places, frames)) = self.txn.row(sql, [nr], read)? else {
            self.found(Finding { seq: Some(expected), row, ..log.finding("the row is lost") });
            log.at.seq = Seq(log.at.seq.0 + count);
            return Ok(());
        };
        if life != log.nr {
            self.found(Finding { row, ..log.finding(format!("it says that it belongs to row {life} of log")) });
        }
        if first != sql_int(expected) {
            self.found(Finding {
                row,
                ..log.finding(format!("it says that it begins with transaction {first}, and must with {expected}"))
            });
        }
        if base != log.at.chain {
            let what = format!("the chain digest before it is {}, and it says {base}", log.at.chain);
            self.found(Finding { seq: Some(expected), row, ..log.finding(what) });
            // Once is enough: what follows is compared with what the row says.
            log.at.chain = base;
        }
        let before = log.at.seq;
        if let Err(error) = self.parts(log, nr, &places, &frames, named) {
            self.found(Finding {
                seq: Some(log.at.seq.next()),
                row,
                ..log.finding(format!("it cannot be read: {}", why(&error)))
            });
        }
        let held = log.at.seq.0 - before.0;
        if held != count {
            self.found(Finding { row, ..log.finding(format!("it holds {held} transactions, and must hold {count}")) });
            log.at.seq = Seq(before.0 + count);
        }
        Ok(())
    }

    fn parts(&mut self, log: &mut Log, nr: i64, places: &[u8], frames: &[u8], named: bool) -> Result<(), StorageError> {
        let mut parts = Parts::new(frames, places);
        while let Some(part) = parts.next()? {
            let trn = part.transaction()?;
            let seq = log.at.seq.next();
            let here = Finding { seq: Some(seq), transaction: Some(trn.id), row: Some(("run", nr)), ..log.finding("") };
            let wrong = |what: String| Finding { what, ..here.clone() };
            if trn.seq != seq {
                self.found(wrong(format!("it says that its place is {}", trn.seq)));
            }
            if trn.parent != log.at.id {
                self.found(wrong(format!("its parent is {}, and the transaction before it {}", trn.parent, log.at.id)));
            }
            let came = part.came()?;
            let mut sorted: Vec<ChunkId> = came.keys().copied().collect();
            sorted.sort_unstable();
            for id in &sorted {
                let Some(bytes) = came.get(id) else { continue };
                self.hashed(bytes.len());
                if !id.matches(bytes) {
                    self.found(Finding { chunk: Some(*id), ..wrong("its bytes have another SHA-256".to_owned()) });
                }
                log.bytes += bytes.len() as u64;
            }
            for (index, id) in trn.chunks.iter().enumerate() {
                let lost = |is_lost: bool| is_lost.then(|| LOST.to_owned());
                let what = match part.elsewhere(index) {
                    None => lost(!came.contains_key(id)),
                    Some(At::Trn(with)) => lost(self.txn.came_with(Life(log.nr), with, id)?.is_none()),
                    Some(At::Chunk(row)) => self.misleads(log.nr, id, row)?,
                };
                if let Some(what) = what {
                    self.found(Finding { chunk: Some(*id), ..wrong(what) });
                }
            }
            if log.listing.as_ref().is_some_and(|listing| !listing.any_chosen)
                && trn.id != derive_trn(trn.parent, &trn.chunks)
            {
                self.found(wrong("it is said that all ids derive, and its id does not".to_owned()));
            }
            if named {
                self.named(log, &here, &sorted)?;
            }
            log.bytes += weight(&trn.chunks);
            log.at = Tip { id: trn.id, seq, chain: log.at.chain.extend(trn.id, &trn.chunks) };
            self.checked.transactions += 1;
        }
        Ok(())
    }

    fn hashed(&mut self, bytes: usize) {
        self.checked.chunks += 1;
        self.checked.bytes += bytes as u64;
    }

    /// What is wrong with a place that leads to a row of `chunk`, where something is. The chunk's name leads there as
    /// well, which is what says whose row it is; whether its bytes are the right ones is seen when names are gone through.
    fn misleads(&self, life: i64, id: &ChunkId, row: i64) -> Result<Option<String>, StorageError> {
        let here = self.txn.row("SELECT 1 FROM chunk WHERE nr = ?1 AND log = ?2", (row, life), |_| Ok(()))?;
        if here.is_none() {
            return Ok(Some(LOST.to_owned()));
        }
        let named = self.name(life, &chunk_key(id))?;
        let leads = named == Some(At::Chunk(row).code());
        Ok((!leads).then(|| format!("it is said to be in row {row} of chunk, and its name does not lead there")))
    }

    pub(super) fn name(&self, life: i64, key: &[u8]) -> Result<Option<i64>, StorageError> {
        self.txn.row("SELECT at FROM name WHERE log = ?1 AND key = ?2", (life, key), |row| row.get(0))
    }

    /// Checks a chunk in a row of its own.
    pub(super) fn chunk(&mut self, log: &mut Log, key: &[u8], nr: i64) -> Result<(), StorageError> {
        let Some(id) = chunk_of(key) else {
            self.found(Finding { row: Some(("chunk", nr)), ..log.finding("its name is no chunk id") });
            return Ok(());
        };
        let here = Finding { chunk: Some(id), row: Some(("chunk", nr)), ..log.finding("") };
        let wrong = |what: String| Finding { what, ..here.clone() };
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
        let Some((life, bytes)) = self.txn.row("SELECT log, bytes FROM chunk WHERE nr = ?1", [nr], read)? else {
            self.found(wrong("the row is lost".to_owned()));
            return Ok(());
        };
        if !self.chunks.insert(nr) {
            self.found(wrong("two names lead to it".to_owned()));
        }
        if life != log.nr {
            self.found(wrong(format!("it says that it belongs to row {life} of log")));
        }
        self.hashed(bytes.len());
        if !id.matches(&bytes) {
            self.found(wrong("its bytes have another SHA-256".to_owned()));
        }
        log.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Pending transactions, and the chunks that no committed one took.
    fn uploads(&mut self, log: &mut Log) -> Result<(), StorageError> {
        let mut loose = BTreeMap::new();
        let sql = "SELECT key, chunk, named FROM loose WHERE log = ?1";
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        for (key, nr, named) in self.txn.rows(sql, [log.nr], read)? {
            if self.name(log.nr, &key)? != Some(At::Chunk(nr).code()) {
                let what = "it is noted as uploaded, and its name leads elsewhere";
                self.found(Finding { chunk: chunk_of(&key), row: Some(("chunk", nr)), ..log.finding(what) });
            }
            loose.insert(nr, (key, named, 0));
            log.bytes += self.loose_weight;
        }
        let mut last = TrnId::ROOT;
        loop {
            let sql = "SELECT chunks, coalesce(done, 0), id, base FROM pending LEFT JOIN dying USING (log, id)
                       WHERE log = ?1 AND id > ?2 ORDER BY id LIMIT 1";
            let read =
                |row: &rusqlite::Row<'_>| Ok((TrnId::from_bytes(row.get(2)?), row.get::<_, i64>(3)?, left(row)?));
            let Some((id, base, (chunks, done))) = self.txn.row(sql, (log.nr, last.as_bytes()), read)? else { break };
            last = id;
            self.checked.pending += 1;
            let here = Finding { transaction: Some(id), ..log.finding("") };
            if base > sql_int(log.at.seq) {
                self.found(Finding {
                    what: format!("it says that it grows from transaction {base}, which is not there"),
                    ..here.clone()
                });
            }
            if self.txn.is_committed(Life(log.nr), id)? {
                self.found(Finding { what: "it is committed too".to_owned(), ..here.clone() });
            }
            // Of one that is being removed, what is left.
            let chunks = match chunks.get(done..).ok_or_else(damaged).and_then(|chunks| Unpack(chunks).chunks()) {
                Ok(chunks) => chunks,
                Err(error) => {
                    self.found(Finding { what: format!("its chunks cannot be read: {}", why(&error)), ..here });
                    continue;
                }
            };
            for (chunk, at) in &chunks {
                let wrong = match at {
                    At::Trn(with) => self.txn.came_with(Life(log.nr), *with, chunk)?.is_none().then(|| LOST.to_owned()),
                    At::Chunk(nr) => {
                        if let Some((_, _, counted)) = loose.get_mut(nr) {
                            *counted += 1;
                        }
                        self.misleads(log.nr, chunk, *nr)?
                    }
                };
                if let Some(what) = wrong {
                    self.found(Finding { chunk: Some(*chunk), what, ..here.clone() });
                }
            }
            let ids: Vec<ChunkId> = chunks.into_iter().map(|(id, _)| id).collect();
            log.bytes += weight(&ids);
        }
        let strays = "SELECT id FROM dying WHERE log = ?1 AND id NOT IN (SELECT id FROM pending WHERE log = ?1)";
        for id in self.txn.rows(strays, [log.nr], |row| Ok(TrnId::from_bytes(row.get(0)?)))? {
            let what = "it is said to be removed step by step, and is not there";
            self.found(Finding { transaction: Some(id), ..log.finding(what) });
        }
        for (nr, (key, noted, counted)) in loose {
            if noted != counted {
                let what =
                    format!("it is noted that pending transactions name it {noted} times, and they do {counted} times");
                self.found(Finding { chunk: chunk_of(&key), row: Some(("chunk", nr)), ..log.finding(what) });
            }
        }
        Ok(())
    }

    /// The whole snapshots.
    fn snapshots(&mut self, log: &mut Log, head: Tip) -> Result<(), StorageError> {
        for (id, snapshot) in crate::storage::ReadSnapshots::snapshots(&self.txn, Life(log.nr))? {
            let here = Finding { row: Some(("snapshot", id.0)), ..log.finding("") };
            let wrong = |what: String| Finding { what, ..here.clone() };
            self.checked.snapshots += 1;
            let at =
                if snapshot.seq() > head.seq { None } else { self.txn.committed(Life(log.nr), snapshot.tip.id)? };
            if at.is_none_or(|at| at.tip() != snapshot.tip) {
                self.found(wrong(format!(
                    "no transaction {} with its chain digest is at {}",
                    snapshot.tip.id,
                    snapshot.seq()
                )));
            }
            let (mut hash, mut bytes) = (Sha256::new(), 0);
            for place in 0..snapshot.pieces() {
                let Some(piece) = crate::storage::ReadSnapshots::piece(&self.txn, id, place)? else {
                    self.found(wrong(format!("piece {place} is lost")));
                    continue;
                };
                if piece.len() > PIECE {
                    self.found(wrong(format!("piece {place} has {} bytes", piece.len())));
                }
                hash.update(&piece);
                bytes += piece.len() as u64;
            }
            self.checked.bytes += bytes;
            if bytes != snapshot.bytes {
                self.found(wrong(format!("it has {bytes} bytes, and must have {}", snapshot.bytes)));
            } else if hash.finalize().as_slice() != snapshot.digest {
                self.found(wrong("its bytes have another SHA-256".to_owned()));
            }
            log.bytes += snapshot.bytes;
        }
        Ok(())
    }
}
