//! Garbage: rows that may be, and their removal.

use rusqlite::{Params, Row};
use tolstoy_proto::{ChunkId, Seq, TrnId};

use super::failed;
use super::listing::Listing;
use super::pack::{At, Unpack, chunk_key, chunk_of, damaged, pack_runs};
use super::snapshots::{DROPPED, piece_row};
use super::txn::{Txn, trn_id};
use crate::storage::figures::TRN_WEIGHT;
use crate::storage::{Life, Loose, PendingTrn, ReadGarbage, Removed, StorageError, Swept, WriteGarbage, loose_weight};

/// Bytes that count as one row of a step: removing a row costs by the pages it takes.
const ROW: u64 = 32 << 10;

/// Free pages are given back where they are more than one in so many of the file's, and more than [`SPARE`].
const SPARE_PART: u64 = 8;

/// Free pages that are never given back: the next pushes take them.
const SPARE: u64 = 1024;

/// A pending transaction's chunks, and how many bytes of that list its removal is done with.
pub(super) const LEFT: &str = "SELECT chunks, coalesce(done, 0) FROM pending LEFT JOIN dying USING (log, id)
    WHERE pending.log = ?1 AND pending.id = ?2";

pub(super) fn left(row: &Row<'_>) -> rusqlite::Result<(Vec<u8>, usize)> {
    Ok((row.get(0)?, usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX)))
}

impl ReadGarbage for Txn<'_> {
    fn lives_with_uploads(&self, after: Option<Life>, limit: usize) -> Result<Vec<Life>, StorageError> {
        let mut lives = Vec::new();
        let mut at = after.map_or(i64::MIN, |life| life.0);
        while lives.len() < limit {
            // Each goes from one life to the next, not over a life's rows.
            let pending = "SELECT log FROM pending WHERE log > ?1 ORDER BY log LIMIT 1";
            let loose = "SELECT log FROM loose WHERE log > ?1 ORDER BY log LIMIT 1";
            let next = |sql| self.row(sql, [at], |row| row.get::<_, i64>(0));
            let (pending, loose) = (next(pending)?, next(loose)?);
            let Some(next) = pending.into_iter().chain(loose).min() else { break };
            at = next;
            if self.row("SELECT 1 FROM log WHERE nr = ?1", [at], |_| Ok(()))?.is_some() {
                lives.push(Life(at));
            }
        }
        Ok(lives)
    }

    fn pending_after(&self, life: Life, after: Option<TrnId>, limit: usize) -> Result<Vec<PendingTrn>, StorageError> {
        let sql = "SELECT id, parent FROM pending WHERE log = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        // No id is the root's, the least.
        let after = after.unwrap_or(TrnId::ROOT);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| Ok(PendingTrn { id: trn_id(row, 0)?, parent: trn_id(row, 1)? });
        self.rows(sql, (life.0, after.as_bytes(), limit), read)
    }

    fn is_pending(&self, life: Life, id: TrnId) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM pending WHERE log = ?1 AND id = ?2";
        Ok(self.row(sql, (life.0, id.as_bytes()), |_| Ok(()))?.is_some())
    }

    fn named_by(&self, life: Life, id: TrnId) -> Result<Vec<ChunkId>, StorageError> {
        let Some((chunks, done)) = self.row(LEFT, (life.0, id.as_bytes()), left)? else { return Ok(Vec::new()) };
        Unpack(chunks.get(done..).ok_or_else(damaged)?).chunk_ids()
    }

    fn pending_child(&self, life: Life, parent: TrnId, after: Option<TrnId>) -> Result<Option<TrnId>, StorageError> {
        let sql = "SELECT id FROM pending WHERE log = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT 1";
        let after = after.unwrap_or(TrnId::ROOT);
        self.row(sql, (life.0, parent.as_bytes(), after.as_bytes()), |row| trn_id(row, 0))
    }

    fn loose_after(&self, life: Life, after: Option<&ChunkId>, limit: usize) -> Result<Vec<Loose>, StorageError> {
        let sql = "SELECT key, length(bytes), named FROM loose JOIN chunk ON chunk.nr = loose.chunk
                   WHERE loose.log = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
        let after = after.map(chunk_key).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let loose = |(key, bytes, named): (Vec<u8>, i64, i64)| {
            let id = chunk_of(&key).ok_or_else(damaged)?;
            Ok(Loose { id, bytes: bytes.cast_unsigned(), named: named.cast_unsigned() })
        };
        self.rows(sql, (life.0, after, limit), read)?.into_iter().map(loose).collect()
    }

    fn to_sweep(&self) -> Result<Swept, StorageError> {
        let count = |sql, params: [i64; 1]| {
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?.unwrap_or_default()));
            self.row(sql, params, read).map(Option::unwrap_or_default)
        };
        let mut found = Swept::default();
        let mut add = |(rows, bytes): (i64, i64)| {
            found.rows += rows.cast_unsigned();
            found.bytes += bytes.cast_unsigned();
        };
        for life in self.rows("SELECT log FROM ended ORDER BY log", [], |row| row.get::<_, i64>(0))? {
            let blocks = self.rows("SELECT runs FROM block WHERE log = ?1", [life], |row| row.get::<_, Vec<u8>>(0))?;
            for block in blocks {
                for (row, _) in Unpack(&block).runs()? {
                    add((1, self.row_bytes("SELECT length(frames) FROM run WHERE nr = ?1", row)?.cast_signed()));
                }
            }
            let chunks = "SELECT count(*), sum(length(bytes)) FROM name JOIN chunk ON chunk.nr = at >> 1
                          WHERE name.log = ?1 AND at & 1 AND substr(key, 1, 1) <> x'01'";
            add(count(chunks, [life])?);
            let lists = self.read_listing(Life(life)).unwrap_or_default();
            let rows = lists.iter().flat_map(|listing| &listing.dead).map(|dead| dead.to.saturating_sub(dead.from));
            add((rows.sum::<u64>().cast_signed(), 0));
            add(count("SELECT count(*), 0 FROM pending WHERE log = ?1", [life])?);
            add(count("SELECT count(*), sum(length(document)) FROM task WHERE log = ?1", [life])?);
            add(count(
                "SELECT coalesce(sum(pieces), 0), sum(bytes) FROM snapshot WHERE log = ?1 AND state <> 2",
                [life],
            )?);
        }
        add(count(
            "SELECT coalesce(sum(pieces), 0), sum(bytes) FROM snapshot WHERE state = ?1 AND state <> 1",
            [DROPPED],
        )?);
        found.more = found.rows > 0;
        Ok(found)
    }
}

impl WriteGarbage for Txn<'_> {
    fn remove_pending(&mut self, life: Life, id: TrnId, chunks: usize) -> Result<Removed, StorageError> {
        let Some((list, done)) = self.row(LEFT, (life.0, id.as_bytes()), left)? else {
            return Ok(Removed { bytes: 0, is_gone: true });
        };
        let mut rest = Unpack(list.get(done..).ok_or_else(damaged)?);
        let (mut bytes, mut taken) = (0, 0);
        while !rest.is_empty() && taken < chunks.max(1) {
            let (key, at) = (rest.key()?, At::of(rest.row()?));
            if let At::Chunk(row) = at {
                self.name_loose(life, key, row, -1)?;
            }
            bytes += chunk_of(key).ok_or_else(damaged)?.as_bytes().len() as u64;
            taken += 1;
        }
        let is_gone = rest.is_empty();
        if is_gone {
            self.execute("DELETE FROM pending WHERE log = ?1 AND id = ?2", (life.0, id.as_bytes()))?;
            self.execute("DELETE FROM dying WHERE log = ?1 AND id = ?2", (life.0, id.as_bytes()))?;
            bytes += TRN_WEIGHT;
        } else {
            // Beside the list, which is long: written again with each step, it would be what takes the time.
            let done = i64::try_from(list.len() - rest.left()).unwrap_or(i64::MAX);
            let sql = "INSERT INTO dying (log, id, done) VALUES (?1, ?2, ?3)
                       ON CONFLICT DO UPDATE SET done = excluded.done";
            self.execute(sql, (life.0, id.as_bytes(), done))?;
        }
        self.with_end(life, |end| {
            end.any_pending = None;
            end.lighten(bytes);
            Ok(())
        })?;
        Ok(Removed { bytes, is_gone })
    }

    fn remove_loose(&mut self, life: Life, id: &ChunkId) -> Result<(), StorageError> {
        let key = chunk_key(id);
        let sql = "SELECT chunk FROM loose WHERE log = ?1 AND key = ?2 AND named = 0";
        let Some(row) = self.row(sql, (life.0, &key), |row| row.get::<_, i64>(0))? else { return Ok(()) };
        let bytes = self.row_bytes("SELECT length(bytes) FROM chunk WHERE nr = ?1", row)?;
        self.execute("DELETE FROM chunk WHERE nr = ?1", [row])?;
        self.execute("DELETE FROM loose WHERE log = ?1 AND key = ?2", (life.0, &key))?;
        let at = At::Chunk(row).code();
        self.execute("DELETE FROM name WHERE log = ?1 AND key = ?2 AND at = ?3", (life.0, &key, at))?;
        self.with_end(life, |end| {
            end.any_loose = None;
            end.lighten(loose_weight(bytes));
            Ok(())
        })
    }

    fn sweep(&mut self, rows: u64) -> Result<Swept, StorageError> {
        let mut sweeper = Sweeper { txn: self, left: rows.max(1), swept: Swept::default() };
        sweeper.swept.more = !sweeper.all()?;
        Ok(sweeper.swept)
    }

    fn give_back(&mut self, pages: u32) -> Result<u64, StorageError> {
        let free = self.number("PRAGMA freelist_count")?;
        let spare = SPARE.max(self.number("PRAGMA page_count")? / SPARE_PART);
        let wanted = u64::from(pages).min(free.saturating_sub(spare));
        if wanted == 0 || self.number("PRAGMA auto_vacuum")? != 2 {
            return Ok(0);
        }
        // Each step of the statement gives one page.
        let sql = format!("PRAGMA incremental_vacuum({wanted})");
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut given = statement.query([]).map_err(failed)?;
        while given.next().map_err(failed)?.is_some() {}
        drop(given);
        drop(statement);
        Ok(free.saturating_sub(self.number("PRAGMA freelist_count")?))
    }
}

impl Txn<'_> {
    pub(super) fn rows<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StorageError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map(params, read).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// What `sql` says that the row holds; 0 where there is none.
    fn row_bytes(&self, sql: &'static str, row: i64) -> Result<u64, StorageError> {
        Ok(self.row(sql, [row], |row| row.get::<_, i64>(0))?.unwrap_or_default().cast_unsigned())
    }
}

/// One step of sweeping.
struct Sweeper<'s, 'a> {
    txn: &'s mut Txn<'a>,
    /// Rows that the step may still remove.
    left: u64,
    swept: Swept,
}

impl Sweeper<'_, '_> {
    /// A row went.
    fn went(&mut self, bytes: u64) {
        self.swept.rows += 1;
        self.swept.bytes += bytes;
        self.left = self.left.saturating_sub(1 + bytes / ROW);
    }

    /// How many rows may be looked at together.
    fn page(&self) -> i64 {
        i64::try_from(self.left).unwrap_or(i64::MAX).min(64)
    }

    /// Sweeps what there is; false where the step ended before.
    fn all(&mut self) -> Result<bool, StorageError> {
        let dropped = "SELECT nr FROM snapshot WHERE state = ?1 AND state <> 1 LIMIT 1";
        while let Some(snapshot) = self.txn.row(dropped, [DROPPED], |row| row.get::<_, i64>(0))? {
            if !self.snapshot(snapshot)? {
                return Ok(false);
            }
        }
        let ended = "SELECT log FROM ended ORDER BY log LIMIT 1";
        while let Some(life) = self.txn.row(ended, [], |row| row.get::<_, i64>(0))? {
            if !self.life(life)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn life(&mut self, life: i64) -> Result<bool, StorageError> {
        let done =
            self.blocks(life)? && self.names(life)? && self.lists(life)? && self.uploads(life)? && self.tasks(life)?;
        if !done {
            return Ok(false);
        }
        let snapshots = "SELECT nr FROM snapshot WHERE log = ?1 LIMIT 1";
        while let Some(snapshot) = self.txn.row(snapshots, [life], |row| row.get::<_, i64>(0))? {
            if !self.snapshot(snapshot)? {
                return Ok(false);
            }
        }
        self.txn.execute("DELETE FROM ended WHERE log = ?1", [life])?;
        Ok(true)
    }

    /// The committed transactions.
    fn blocks(&mut self, life: i64) -> Result<bool, StorageError> {
        let sql = "SELECT first, runs FROM block WHERE log = ?1 ORDER BY first LIMIT 1";
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
        while self.left > 0 {
            let Some((first, block)) = self.txn.row(sql, [life], read)? else { return Ok(true) };
            let runs = Unpack(&block).runs()?;
            let mut gone = 0;
            for (row, _) in &runs {
                if self.left == 0 {
                    break;
                }
                let bytes = self.txn.row_bytes("SELECT length(frames) FROM run WHERE nr = ?1", *row)?;
                self.txn.execute("DELETE FROM run WHERE nr = ?1", [row])?;
                self.went(bytes);
                gone += 1;
            }
            match runs.get(gone..) {
                Some(rest) if !rest.is_empty() => {
                    let sql = "UPDATE block SET runs = ?3 WHERE log = ?1 AND first = ?2";
                    self.txn.execute(sql, (life, first, pack_runs(rest)))?;
                }
                _ => {
                    self.txn.execute("DELETE FROM block WHERE log = ?1 AND first = ?2", (life, first))?;
                }
            }
        }
        Ok(false)
    }

    /// The names, and the chunks that they lead to.
    fn names(&mut self, life: i64) -> Result<bool, StorageError> {
        let sql = "SELECT key, at FROM name WHERE log = ?1 ORDER BY key LIMIT ?2";
        while self.left > 0 {
            let page = self.page();
            let names =
                self.txn.rows(sql, (life, page), |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
            if names.is_empty() {
                return Ok(true);
            }
            for (key, at) in names {
                if self.left == 0 {
                    break;
                }
                let mut bytes = 0;
                if let At::Chunk(row) = At::of(at)
                    && key.first() != Some(&1)
                {
                    bytes = self.txn.row_bytes("SELECT length(bytes) FROM chunk WHERE nr = ?1", row)?;
                    self.txn.execute("DELETE FROM chunk WHERE nr = ?1", [row])?;
                }
                self.txn.execute("DELETE FROM name WHERE log = ?1 AND key = ?2", (life, key))?;
                self.went(bytes);
            }
        }
        Ok(false)
    }

    /// The lists of names, whose rows are all said to be dead since the log was deleted.
    fn lists(&mut self, life: i64) -> Result<bool, StorageError> {
        // Of one that cannot be read, the rows stay: a check tells of them. It keeps no other log from being swept.
        let listing = self.txn.read_listing(Life(life)).unwrap_or_default();
        let mut listing = listing.unwrap_or_else(|| Listing::new(Seq::ROOT.next(), true));
        while self.left > 0 && !listing.dead.is_empty() {
            let most = usize::try_from(self.page()).unwrap_or(1);
            let removed = self.txn.remove_dead(&mut listing, most)?;
            (0..removed).for_each(|_| self.went(0));
        }
        if !listing.dead.is_empty() {
            self.txn.put_listing(Life(life), &listing)?;
            return Ok(false);
        }
        self.txn.execute("DELETE FROM listing WHERE log = ?1", [life])?;
        Ok(true)
    }

    /// The pending transactions, which may be long, and the notes about them and about loose chunks.
    fn uploads(&mut self, life: i64) -> Result<bool, StorageError> {
        let sql = "SELECT id, length(chunks) FROM pending WHERE log = ?1 ORDER BY id LIMIT 1";
        let read = |row: &Row<'_>| Ok((trn_id(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned()));
        while let Some((id, bytes)) = self.txn.row(sql, [life], read)? {
            if self.left == 0 {
                return Ok(false);
            }
            self.txn.execute("DELETE FROM pending WHERE log = ?1 AND id = ?2", (life, id.as_bytes()))?;
            self.went(bytes);
        }
        self.notes(life, &[
            "DELETE FROM dying WHERE log = ?1 AND id IN (SELECT id FROM dying WHERE log = ?1 ORDER BY id LIMIT ?2)",
            "DELETE FROM loose WHERE log = ?1 AND key IN (SELECT key FROM loose WHERE log = ?1 ORDER BY key LIMIT ?2)",
        ])
    }

    /// Short rows, of which each statement removes a page.
    fn notes(&mut self, life: i64, statements: &[&'static str]) -> Result<bool, StorageError> {
        for sql in statements {
            loop {
                if self.left == 0 {
                    return Ok(false);
                }
                let gone = self.txn.execute(sql, (life, self.page()))?;
                if gone == 0 {
                    break;
                }
                (0..gone).for_each(|_| self.went(0));
            }
        }
        Ok(true)
    }

    /// The tasks, and the tree of their hashes.
    fn tasks(&mut self, life: i64) -> Result<bool, StorageError> {
        let sql = "SELECT nr, length(document) FROM task WHERE log = ?1 ORDER BY id LIMIT ?2";
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
        loop {
            if self.left == 0 {
                return Ok(false);
            }
            let page = self.txn.rows(sql, (life, self.page()), read)?;
            if page.is_empty() {
                break;
            }
            for (nr, bytes) in page {
                if self.left == 0 {
                    return Ok(false);
                }
                self.txn.execute("DELETE FROM task WHERE nr = ?1", [nr])?;
                self.went(bytes);
            }
        }
        self.notes(life, &[
            "DELETE FROM node WHERE log = ?1 AND prefix IN (SELECT prefix FROM node WHERE log = ?1 ORDER BY prefix LIMIT ?2)",
        ])
    }

    /// A snapshot, its last pieces first.
    fn snapshot(&mut self, nr: i64) -> Result<bool, StorageError> {
        let sql = "SELECT at, length(bytes) FROM piece WHERE at BETWEEN ?1 AND ?2 ORDER BY at DESC LIMIT 1";
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
        while self.left > 0 {
            let range = (piece_row(nr, 0), piece_row(nr + 1, 0) - 1);
            let Some((at, bytes)) = self.txn.row(sql, range, read)? else {
                self.txn.execute("DELETE FROM snapshot WHERE nr = ?1", [nr])?;
                return Ok(true);
            };
            self.txn.execute("DELETE FROM piece WHERE at = ?1", [at])?;
            self.went(bytes);
        }
        Ok(false)
    }
}
