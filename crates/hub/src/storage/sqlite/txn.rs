//! Rows of one SQLite transaction.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use tolstoy_proto::{ChainDigest, ChunkId, Generation, LogId, Seq, TrnId};
use uuid::Uuid;

use super::end::End;
use super::failed;
use super::loose::LooseChunks;
use super::pack::{At, Key, Place, Unpack, chunk_key, put_chunk, trn_key};
use super::recent::Recent;
use super::run::OpenRun;
use super::tasks::Nodes;
use crate::storage::figures::minute;
use crate::storage::{
    Committed, Life, LogRow, Pending, ReadTxn, StorageError, Tip, Usage, Visit, VisitRuns, WriteTxn, weight,
};

/// A chunk of at most so many bytes goes into the row of the transaction it came with.
const SMALL_CHUNK: usize = 8 << 10;

/// Bytes of all chunks that go into a transaction's row.
const SMALL_CHUNKS: usize = 64 << 10;

/// How many they are at most.
const MOST_SMALL_CHUNKS: usize = 1024;

/// All of a living log's row but its minute and writer, in the order that [`living`] reads.
macro_rules! select_end {
    ($rest:literal) => {
        concat!(
            "SELECT nr, id, generation, number, head, seq, chain, bytes, fresh, snapshot, written, tail FROM log ",
            $rest
        )
    };
}

/// The SQLite transaction that a connection is in: one snapshot, or the one hand that writes.
pub(super) struct Txn<'a> {
    pub(super) connection: &'a Connection,
    /// The end of the chain that was last asked for. A writer changes it here, and writes it when its job ends.
    pub(super) end: RefCell<Option<End>>,
    /// The ends of others, as the writer knows them; who only reads has none.
    recent: Option<&'a RefCell<Recent>>,
    /// The transaction that was last looked for among the pending ones, and is not there.
    not_pending: Cell<Option<(Life, TrnId)>>,
    /// Chunks that no committed transaction took.
    pub(super) loose: LooseChunks,
    /// Of the tree of tasks' hashes, what the job changed.
    pub(super) nodes: Nodes,
    staged: Staged,
    /// What a job appended and is not written yet.
    open: RefCell<Option<OpenRun>>,
}

/// Small chunks that a job put, until a transaction takes them into its row.
#[derive(Default)]
struct Staged {
    life: Option<Life>,
    chunks: HashMap<ChunkId, Bytes>,
    bytes: usize,
}

impl<'a> Txn<'a> {
    /// A snapshot.
    pub(super) fn reading(connection: &'a Connection) -> Self {
        Self::new(connection, None)
    }

    /// A job of the writer, who remembers what it is told here. Where the job fails, that must be forgotten.
    pub(super) fn writing(connection: &'a Connection, recent: &'a RefCell<Recent>) -> Self {
        Self::new(connection, Some(recent))
    }

    fn new(connection: &'a Connection, recent: Option<&'a RefCell<Recent>>) -> Self {
        Self {
            connection,
            end: RefCell::new(None),
            recent,
            not_pending: Cell::new(None),
            loose: LooseChunks::default(),
            nodes: Nodes::default(),
            staged: Staged::default(),
            open: RefCell::new(None),
        }
    }

    /// Writes what the job changed and did not write yet.
    pub(super) fn finish(mut self) -> Result<(), StorageError> {
        self.unstage()?;
        self.note_loose()?;
        self.write_nodes()?;
        self.settle()?;
        self.flush_tail(true)?;
        self.lay_by()
    }

    pub(super) fn row<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StorageError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        statement.query_row(params, read).optional().map_err(failed)
    }

    pub(super) fn execute(&self, sql: &'static str, params: impl Params) -> Result<usize, StorageError> {
        self.connection.prepare_cached(sql).map_err(failed)?.execute(params).map_err(failed)
    }

    /// Does this with the end of a life's chain, of which all is written.
    pub(super) fn with_end<R>(
        &self,
        life: Life,
        with: impl FnOnce(&mut End) -> Result<R, StorageError>,
    ) -> Result<R, StorageError> {
        self.settle()?;
        self.at_end(life, with)
    }

    /// The same, where it does not matter whether the run that the job appends to is written.
    pub(super) fn at_end<R>(
        &self,
        life: Life,
        with: impl FnOnce(&mut End) -> Result<R, StorageError>,
    ) -> Result<R, StorageError> {
        if let Some(end) = self.end.borrow_mut().as_mut().filter(|end| end.life == life) {
            return with(end);
        }
        let remembered = self.recent.and_then(|recent| recent.borrow_mut().take(life));
        let end = match remembered {
            Some(end) => end,
            None => {
                let found = self.row(select_end!("WHERE nr = ?1"), [life.0], living)?;
                found
                    .and_then(Result::ok)
                    .ok_or_else(|| StorageError::Failed(format!("there is no life {}", life.0)))?
            }
        };
        self.lay_by()?;
        with(self.end.borrow_mut().insert(end))
    }

    /// Writes the end that is at hand, where the job changed it, and gives it back to those that are remembered.
    fn lay_by(&self) -> Result<(), StorageError> {
        let Some(mut end) = self.end.borrow_mut().take() else { return Ok(()) };
        if end.changed {
            write_end(self.connection, &mut end)?;
        }
        if let Some(recent) = self.recent {
            recent.borrow_mut().put(end);
        }
        Ok(())
    }

    /// The log's life and generation, where its end is at hand or remembered.
    fn remembered(&self, log: LogId) -> Option<(Life, Generation)> {
        let at_hand = self.end.borrow().as_ref().filter(|end| end.log == log).map(|end| (end.life, end.generation));
        at_hand.or_else(|| self.recent.and_then(|recent| recent.borrow().find(log)))
    }

    /// Where a name of this life leads, where `name` has it.
    fn named(&self, life: Life, key: &[u8]) -> Result<Option<i64>, StorageError> {
        self.row("SELECT at FROM name WHERE log = ?1 AND key = ?2", (life.0, key), |row| row.get(0))
    }

    fn chunk_at(&self, life: Life, key: &[u8]) -> Result<Option<At>, StorageError> {
        let (in_tail, tail_is_all) = self.with_end(life, |end| Ok((end.find_chunk(key)?, end.is_all_in_tail())))?;
        if in_tail.is_some() {
            return Ok(in_tail);
        }
        if let Some(at) = self.named(life, key)? {
            return Ok(Some(At::of(at)));
        }
        let listing = if tail_is_all { None } else { self.listing(life)? };
        let listed = listing.map(|listing| self.find_listed(life, &listing, key)).transpose()?;
        Ok(listed.flatten().map(At::Trn))
    }

    fn staged(&self, life: Life, id: &ChunkId) -> Option<&Bytes> {
        if self.staged.life == Some(life) { self.staged.chunks.get(id) } else { None }
    }

    fn take_staged(&mut self, life: Life, id: &ChunkId) -> Option<Bytes> {
        if self.staged.life == Some(life) { self.staged.chunks.remove(id) } else { None }
    }

    /// Whether the life has pending transactions.
    fn any_pending(&self, life: Life) -> Result<bool, StorageError> {
        if let Some(any) = self.at_end(life, |end| Ok(end.any_pending))? {
            return Ok(any);
        }
        let any = self.row("SELECT 1 FROM pending WHERE log = ?1 LIMIT 1", [life.0], |_| Ok(()))?.is_some();
        self.know_pending(life, Some(any))?;
        Ok(any)
    }

    /// Says whether there are any; none where that is not known any more.
    fn know_pending(&self, life: Life, any: Option<bool>) -> Result<(), StorageError> {
        self.at_end(life, |end| {
            end.any_pending = any;
            Ok(())
        })
    }

    /// A chunk's bytes from where they are.
    pub(super) fn bytes_at(&self, life: Life, id: &ChunkId, at: At) -> Result<Bytes, StorageError> {
        let lost = || StorageError::Failed(format!("the bytes of chunk {id} are lost"));
        match at {
            At::Chunk(nr) => {
                let read = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
                let bytes = self.row("SELECT bytes FROM chunk WHERE nr = ?1", [nr], read)?;
                bytes.map(Bytes::from).ok_or_else(lost)
            }
            At::Trn(seq) => self.came_with(life, seq, id)?.ok_or_else(lost),
        }
    }

    /// The place of a committed transaction.
    pub(super) fn trn_seq(&self, life: Life, id: TrnId) -> Result<Option<Seq>, StorageError> {
        let (in_tail, tail_is_all) = self.with_end(life, |end| Ok((end.find_trn(id)?, end.is_all_in_tail())))?;
        if in_tail.is_some() || tail_is_all {
            return Ok(in_tail);
        }
        let (key, listing) = (trn_key(id), self.listing(life)?);
        if let Some(listing) = &listing
            && let Some(seq) = self.find_listed(life, listing, &key)?
        {
            return Ok(Some(seq));
        }
        if listing.is_some_and(|listing| listing.first == Seq::ROOT.next()) {
            return Ok(None);
        }
        Ok(self.named(life, &key)?.map(|seq| Seq(seq.cast_unsigned())))
    }

    /// Writes the run that the job appends to, so that it can be found.
    fn settle(&self) -> Result<(), StorageError> {
        let Some(run) = self.open.borrow_mut().take() else { return Ok(()) };
        self.execute(
            "INSERT INTO run (log, first, base, places, frames) VALUES (?1, ?2, ?3, ?4, ?5)",
            (run.life.0, sql_int(run.first), run.base.0, &run.places, &run.frames),
        )?;
        let row = self.connection.last_insert_rowid();
        self.with_end(run.life, |end| {
            for ((id, chain, keys), seq) in run.entries.iter().zip(run.first.0..) {
                end.append(Tip { id: *id, seq: Seq(seq), chain: *chain }, row, keys);
            }
            end.weigh(run.bytes, run.fresh);
            Ok(())
        })
    }

    /// Gives the staged chunks that no transaction took rows of their own.
    fn unstage(&mut self) -> Result<(), StorageError> {
        let Staged { life: Some(life), chunks, .. } = std::mem::take(&mut self.staged) else { return Ok(()) };
        let mut chunks: Vec<_> = chunks.into_iter().collect();
        chunks.sort_unstable_by_key(|(id, _)| *id);
        for (id, bytes) in chunks {
            let key = chunk_key(&id);
            if self.chunk_at(life, &key)?.is_none() {
                self.put_chunk_row(life, &key, &bytes)?;
            }
        }
        Ok(())
    }

    fn put_chunk_row(&mut self, life: Life, key: &[u8], bytes: &Bytes) -> Result<(), StorageError> {
        self.execute("INSERT INTO chunk (log, bytes) VALUES (?1, ?2)", (life.0, bytes.as_ref()))?;
        let row = self.connection.last_insert_rowid();
        self.execute("INSERT INTO name (log, key, at) VALUES (?1, ?2, ?3)", (life.0, key, At::Chunk(row).code()))?;
        self.loose.came(life, key, row);
        self.with_end(life, |end| {
            end.weigh(bytes.len() as u64, bytes.len() as u64);
            Ok(())
        })
    }

    /// Where a chunk is that must be here.
    fn chunk_here(&self, life: Life, id: &ChunkId, key: &[u8]) -> Result<At, StorageError> {
        self.chunk_at(life, key)?.ok_or_else(|| StorageError::Failed(format!("chunk {id} is not here")))
    }
}

/// Writes the end of a chain into its log's row. The index by minute is touched once a minute only.
fn write_end(connection: &Connection, end: &mut End) -> Result<(), StorageError> {
    const WITHIN_MINUTE: &str = "UPDATE log SET head = ?2, seq = ?3, chain = ?4, tail = ?5, bytes = ?6, fresh = ?7,
        snapshot = ?8, written = ?9, writer = coalesce(?10, writer) WHERE nr = ?1";
    const NEW_MINUTE: &str = "UPDATE log SET head = ?2, seq = ?3, chain = ?4, tail = ?5, bytes = ?6, fresh = ?7,
        snapshot = ?8, written = ?9, writer = coalesce(?10, writer), minute = ?9 / 60000000 WHERE nr = ?1";
    let Tip { id, seq, chain } = end.tip;
    let Usage { bytes, fresh, snapshot, written } = end.usage;
    let sql = if minute(written) == end.minute { WITHIN_MINUTE } else { NEW_MINUTE };
    let mut update = connection.prepare_cached(sql).map_err(failed)?;
    update
        .execute((
            end.life.0,
            id.as_bytes(),
            sql_int(seq),
            chain.0,
            end.tail(),
            bytes.cast_signed(),
            fresh.cast_signed(),
            sql_int(snapshot),
            written,
            end.writer.as_deref(),
        ))
        .map_err(failed)?;
    end.is_written();
    Ok(())
}

/// Seqs grow by one from zero: they stay far below what SQLite's integers hold.
pub(super) fn sql_int(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

pub(super) fn trn_id(row: &Row<'_>, column: usize) -> rusqlite::Result<TrnId> {
    Ok(TrnId::from_bytes(row.get(column)?))
}

pub(super) fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    row.get::<_, i64>(column).map(|n| Seq(n.cast_unsigned()))
}

fn chain(row: &Row<'_>, column: usize) -> rusqlite::Result<ChainDigest> {
    Ok(ChainDigest(row.get(column)?))
}

/// HEAD, its place and the chain digest at it, from the columns from this one on.
pub(super) fn tip(row: &Row<'_>, column: usize) -> rusqlite::Result<Tip> {
    Ok(Tip { id: trn_id(row, column)?, seq: seq(row, column + 1)?, chain: chain(row, column + 2)? })
}

/// `bytes`, `fresh`, `snapshot` and `written`, from the columns from this one on.
pub(super) fn usage(row: &Row<'_>, column: usize) -> rusqlite::Result<Usage> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Usage {
        bytes: number(column)?,
        fresh: number(column + 1)?,
        snapshot: seq(row, column + 2)?,
        written: row.get(column + 3)?,
    })
}

/// A log's row, with the columns of [`select_end`]: the end of its chain; where it was deleted, the number of its last
/// generation.
fn living(row: &Row<'_>) -> rusqlite::Result<Result<End, u64>> {
    let number = row.get::<_, i64>(3)?.cast_unsigned();
    let Some(generation) = row.get::<_, Option<[u8; 16]>>(2)? else { return Ok(Err(number)) };
    let generation = Generation { id: Uuid::from_bytes(generation), number };
    let log = LogId::from_bytes(row.get(1)?);
    Ok(Ok(End::new(Life(row.get(0)?), log, generation, tip(row, 4)?, usage(row, 7)?, row.get(11)?)))
}

impl ReadTxn for Txn<'_> {
    fn log(&self, log: LogId) -> Result<LogRow, StorageError> {
        if let Some((life, generation)) = self.remembered(log) {
            return Ok(LogRow::Living(life, generation));
        }
        let end = match self.row(select_end!("WHERE id = ?1"), [log.as_bytes()], living)? {
            None => return Ok(LogRow::Never),
            Some(Err(number)) => return Ok(LogRow::Ended(number)),
            Some(Ok(end)) => end,
        };
        let row = LogRow::Living(end.life, end.generation);
        self.lay_by()?;
        self.end.replace(Some(end));
        Ok(row)
    }

    fn tip(&self, life: Life) -> Result<Tip, StorageError> {
        self.with_end(life, |end| Ok(end.tip))
    }

    fn committed(&self, life: Life, id: TrnId) -> Result<Option<Committed>, StorageError> {
        self.trn_seq(life, id)?.map(|seq| self.committed_at(life, seq)).transpose()
    }

    fn is_committed(&self, life: Life, id: TrnId) -> Result<bool, StorageError> {
        Ok(self.trn_seq(life, id)?.is_some())
    }

    fn all_derive(&self, life: Life) -> Result<bool, StorageError> {
        self.is_known_to_derive(life)
    }

    fn ids_after(&self, life: Life, after: Seq, limit: usize) -> Result<Vec<TrnId>, StorageError> {
        let mut ids = Vec::new();
        if limit > 0 {
            self.parts_after(life, after, &mut |_, part| {
                ids.push(part.transaction()?.id);
                Ok(ids.len() < limit)
            })?;
        }
        Ok(ids)
    }

    fn walk(&self, life: Life, after: Seq, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        self.walk_parts(life, after, visit)
    }

    fn runs(&self, life: Life, after: Seq, visit: &mut VisitRuns<'_>) -> Result<(), StorageError> {
        self.visit_runs(life, after, visit)
    }

    fn pending(&self, life: Life, id: TrnId) -> Result<Option<Pending>, StorageError> {
        if !self.any_pending(life)? {
            return Ok(None);
        }
        let sql = "SELECT parent, seq, base, chunks FROM pending WHERE log = ?1 AND id = ?2";
        let read = |row: &Row<'_>| Ok((trn_id(row, 0)?, seq(row, 1)?, seq(row, 2)?, row.get::<_, Vec<u8>>(3)?));
        let Some((parent, seq, base, chunks)) = self.row(sql, (life.0, id.as_bytes()), read)? else {
            self.not_pending.set(Some((life, id)));
            return Ok(None);
        };
        Ok(Some(Pending { id, parent, seq, base, chunks: Unpack(&chunks).chunk_ids()? }))
    }

    fn has_pending_child(&self, life: Life, parent: TrnId) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM pending WHERE log = ?1 AND parent = ?2 LIMIT 1";
        Ok(self.row(sql, (life.0, parent.as_bytes()), |_| Ok(()))?.is_some())
    }

    fn has_chunk(&self, life: Life, id: &ChunkId) -> Result<bool, StorageError> {
        Ok(self.staged(life, id).is_some() || self.chunk_at(life, &chunk_key(id))?.is_some())
    }

    fn chunk(&self, life: Life, id: &ChunkId) -> Result<Option<Bytes>, StorageError> {
        if let Some(bytes) = self.staged(life, id) {
            return Ok(Some(bytes.clone()));
        }
        let at = self.chunk_at(life, &chunk_key(id))?;
        at.map(|at| self.bytes_at(life, id, at)).transpose()
    }
}

impl WriteTxn for Txn<'_> {
    fn touch(&mut self) -> Result<(), StorageError> {
        // The same number again makes a page dirty all the same.
        self.connection.pragma_update(None, "user_version", super::schema::FORMAT).map_err(failed)
    }

    fn begin_life(&mut self, log: LogId, generation: Generation) -> Result<Life, StorageError> {
        self.execute("DELETE FROM log WHERE id = ?1", [log.as_bytes()])?;
        let root = Tip::ROOT;
        self.execute(
            "INSERT INTO log (id, generation, number, head, seq, chain, tail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, x'')",
            (
                log.as_bytes(),
                generation.id.as_bytes(),
                generation.number.cast_signed(),
                root.id.as_bytes(),
                sql_int(root.seq),
                root.chain.0,
            ),
        )?;
        let life = Life(self.connection.last_insert_rowid());
        let mut end = End::new(life, log, generation, root, Usage::default(), Vec::new());
        // No life had this number before.
        (end.any_pending, end.any_loose, end.all_derive) = (Some(false), Some(false), Some(true));
        self.lay_by()?;
        self.end.replace(Some(end));
        Ok(life)
    }

    fn end_life(&mut self, log: LogId) -> Result<(), StorageError> {
        let LogRow::Living(life, generation) = self.log(log)? else { return Ok(()) };
        if self.staged.life == Some(life) {
            self.staged = Staged::default();
        }
        // What the tail lists must be in `block`, where the sweeper finds it.
        self.note_loose()?;
        self.end_names(life)?;
        self.nodes.forget(life);
        // What is left of the tree is swept; without this it is no living log's.
        self.execute("DELETE FROM node WHERE log = ?1 AND prefix = ''", [life.0])?;
        // It is at hand, so that it is not among those that are remembered, and does not get there.
        *self.end.get_mut() = None;
        self.execute("DELETE FROM log WHERE nr = ?1", [life.0])?;
        self.execute(
            "INSERT INTO log (id, generation, number, head, seq, chain, tail) VALUES (?1, NULL, ?2, x'', 0, x'', x'')",
            (log.as_bytes(), generation.number.cast_signed()),
        )?;
        self.execute("INSERT INTO ended (log) VALUES (?1)", [life.0])?;
        Ok(())
    }

    fn put_chunk(&mut self, life: Life, id: &ChunkId, bytes: &Bytes) -> Result<(), StorageError> {
        if self.staged.life.is_some_and(|staged| staged != life) {
            self.unstage()?;
        }
        let staged = &self.staged;
        let small = bytes.len() <= SMALL_CHUNK
            && staged.bytes + bytes.len() <= SMALL_CHUNKS
            && staged.chunks.len() < MOST_SMALL_CHUNKS;
        // A small chunk under a content id may be stored twice: that costs less than looking for it each time.
        if self.staged(life, id).is_some() || !(small && id.is_digest()) && self.has_chunk(life, id)? {
            return Ok(());
        }
        if small {
            self.staged.chunks.insert(*id, bytes.clone());
            self.staged.life = Some(life);
            self.staged.bytes += bytes.len();
            return Ok(());
        }
        self.put_chunk_row(life, &chunk_key(id), bytes)
    }

    fn put_pending(&mut self, life: Life, pending: &Pending) -> Result<(), StorageError> {
        self.unstage()?;
        self.note_loose()?;
        self.know_pending(life, Some(true))?;
        self.not_pending.set(None);
        let mut chunks = Vec::new();
        for id in &pending.chunks {
            let key = chunk_key(id);
            let at = self.chunk_here(life, id, &key)?;
            put_chunk(&mut chunks, &key, at);
            if let At::Chunk(row) = at {
                self.name_loose(life, &key, row, 1)?;
            }
        }
        self.execute(
            "INSERT INTO pending (log, id, parent, seq, base, chunks) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                life.0,
                pending.id.as_bytes(),
                pending.parent.as_bytes(),
                sql_int(pending.seq),
                sql_int(pending.base),
                chunks,
            ),
        )?;
        self.with_end(life, |end| {
            end.weigh(weight(&pending.chunks), 0);
            Ok(())
        })
    }

    fn append(&mut self, life: Life, trn: &Committed) -> Result<(), StorageError> {
        self.note_derived(life, trn)?;
        let (mut places, mut came) = (Vec::with_capacity(trn.chunks.len()), Vec::<(ChunkId, Key, Bytes)>::new());
        let mut named = HashMap::new();
        for id in &trn.chunks {
            let key = chunk_key(id);
            // The list may name a chunk again.
            let place = if let Some(place) = named.get(id) {
                *place
            } else if let Some(bytes) = self.take_staged(life, id) {
                came.push((*id, key, bytes));
                Place::Here
            } else {
                let at = self.chunk_here(life, id, &key)?;
                if let At::Chunk(row) = at {
                    self.take_loose(life, &key, row)?;
                }
                Place::There(at)
            };
            if trn.chunks.len() > 1 {
                named.insert(id, place);
            }
            places.push(place);
        }
        self.unstage()?;
        let was_pending = self.not_pending.get() != Some((life, trn.id))
            && self.any_pending(life)?
            && self.unpend(life, trn.id, &came)?;
        if was_pending {
            self.know_pending(life, None)?;
        }
        if self.open.get_mut().as_ref().is_none_or(|run| run.life != life) {
            let base = self.with_end(life, |end| Ok(end.tip.chain))?;
            self.flush_tail(false)?;
            *self.open.get_mut() = Some(OpenRun::new(life, trn.seq, base));
        }
        if let Some(run) = self.open.get_mut() {
            run.append(trn, &places, &came, was_pending);
            if run.is_full() {
                self.settle()?;
            }
        }
        Ok(())
    }
}
