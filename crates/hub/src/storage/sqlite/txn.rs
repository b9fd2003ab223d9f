//! Rows of one SQLite transaction.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use tolstoy_proto::{ChainDigest, ChunkId, Generation, LogId, Seq, TrnId};
use uuid::Uuid;

use super::{failed, pack};
use crate::storage::{ChunkSource, Committed, Life, LogRow, Pending, ReadTxn, StorageError, Tip, Visit, WriteTxn};

/// A read transaction that the connection is in.
pub(super) struct Reading<'a>(pub(super) &'a Connection);

/// The write transaction that the connection is in.
pub(super) struct Writing<'a> {
    rows: Reading<'a>,
    /// Rows of the chunks that this job put since its last transaction, which finds them here without the index.
    put: HashMap<ChunkId, i64>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { rows: Reading(connection), put: HashMap::new() }
    }
}

impl Reading<'_> {
    fn row<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StorageError> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        statement.query_row(params, read).optional().map_err(failed)
    }

    fn execute(&self, sql: &'static str, params: impl Params) -> Result<usize, StorageError> {
        self.0.prepare_cached(sql).map_err(failed)?.execute(params).map_err(failed)
    }

    /// The id of the transaction at this place.
    fn id_at(&self, life: Life, seq: Seq) -> Result<TrnId, StorageError> {
        if seq == Seq::ROOT {
            return Ok(TrnId::ROOT);
        }
        self.row("SELECT id FROM committed WHERE log = ?1 AND seq = ?2", (life.0, sql_int(seq)), |row| trn_id(row, 0))?
            .ok_or_else(|| StorageError::Failed(format!("the chain of life {} has no transaction {seq}", life.0)))
    }

    fn chunk_row(&self, life: Life, key: &[u8]) -> Result<Option<i64>, StorageError> {
        self.row("SELECT nr FROM chunk WHERE log = ?1 AND id = ?2", (life.0, key), |row| row.get(0))
    }
}

/// Seqs grow by one from zero: they stay far below what SQLite's integers hold.
fn sql_int(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn trn_id(row: &Row<'_>, column: usize) -> rusqlite::Result<TrnId> {
    Ok(TrnId::from_bytes(row.get(column)?))
}

fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    row.get::<_, i64>(column).map(|n| Seq(n.cast_unsigned()))
}

fn chain(row: &Row<'_>, column: usize) -> rusqlite::Result<ChainDigest> {
    Ok(ChainDigest(row.get(column)?))
}

/// Chunks by their rows.
struct Chunks<'a> {
    reading: &'a Reading<'a>,
    rows: &'a [i64],
}

impl ChunkSource for Chunks<'_> {
    fn bytes(&self, index: usize) -> Result<Bytes, StorageError> {
        let missing = || StorageError::Failed(format!("the bytes of chunk {index} of a transaction are missing"));
        let row = self.rows.get(index).ok_or_else(missing)?;
        let read = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
        let bytes = self.reading.row("SELECT bytes FROM chunk WHERE nr = ?1", [row], read)?;
        bytes.map(Bytes::from).ok_or_else(missing)
    }
}

impl ReadTxn for Reading<'_> {
    fn log(&self, log: LogId) -> Result<LogRow, StorageError> {
        let read = |row: &Row<'_>| {
            let number = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(match row.get::<_, Option<[u8; 16]>>(1)? {
                Some(id) => LogRow::Living(Life(row.get(0)?), Generation { id: Uuid::from_bytes(id), number }),
                None => LogRow::Ended(number),
            })
        };
        let found = self.row("SELECT nr, generation, number FROM log WHERE id = ?1", [log.as_bytes()], read)?;
        Ok(found.unwrap_or(LogRow::Never))
    }

    fn tip(&self, life: Life) -> Result<Tip, StorageError> {
        let sql = "SELECT id, seq, chain FROM committed WHERE log = ?1 ORDER BY seq DESC LIMIT 1";
        let read = |row: &Row<'_>| Ok(Tip { id: trn_id(row, 0)?, seq: seq(row, 1)?, chain: chain(row, 2)? });
        Ok(self.row(sql, [life.0], read)?.unwrap_or(Tip::ROOT))
    }

    fn committed(&self, life: Life, id: TrnId) -> Result<Option<Committed>, StorageError> {
        let sql = "SELECT seq, chain, chunks FROM committed WHERE log = ?1 AND id = ?2";
        let read = |row: &Row<'_>| Ok((seq(row, 0)?, chain(row, 1)?, row.get::<_, Vec<u8>>(2)?));
        let Some((seq, chain, chunks)) = self.row(sql, (life.0, id.as_bytes()), read)? else { return Ok(None) };
        let parent = self.id_at(life, Seq(seq.0.saturating_sub(1)))?;
        Ok(Some(Committed { id, seq, parent, chunks: pack::read(&chunks)?.0, chain }))
    }

    fn ids_after(&self, life: Life, after: Seq, limit: usize) -> Result<Vec<TrnId>, StorageError> {
        let sql = "SELECT id FROM committed WHERE log = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ids = statement.query_map((life.0, sql_int(after), limit), |row| trn_id(row, 0)).map_err(failed)?;
        ids.collect::<Result<_, _>>().map_err(failed)
    }

    fn walk(&self, life: Life, after: Seq, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        let sql = "SELECT id, seq, chain, chunks FROM committed WHERE log = ?1 AND seq > ?2 ORDER BY seq";
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query((life.0, sql_int(after))).map_err(failed)?;
        let mut parent = self.id_at(life, after)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let list = row.get_ref(3).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
            let (chunks, chunk_rows) = pack::read(list)?;
            let (id, seq) = (trn_id(row, 0).map_err(failed)?, seq(row, 1).map_err(failed)?);
            let trn = Committed { id, seq, parent, chunks, chain: chain(row, 2).map_err(failed)? };
            if !visit(&trn, &Chunks { reading: self, rows: &chunk_rows })? {
                break;
            }
            parent = id;
        }
        Ok(())
    }

    fn pending(&self, life: Life, id: TrnId) -> Result<Option<Pending>, StorageError> {
        let sql = "SELECT parent, seq, base, chunks FROM pending WHERE log = ?1 AND id = ?2";
        let read = |row: &Row<'_>| Ok((trn_id(row, 0)?, seq(row, 1)?, seq(row, 2)?, row.get::<_, Vec<u8>>(3)?));
        let Some((parent, seq, base, chunks)) = self.row(sql, (life.0, id.as_bytes()), read)? else {
            return Ok(None);
        };
        Ok(Some(Pending { id, parent, seq, base, chunks: pack::read(&chunks)?.0 }))
    }

    fn has_pending_child(&self, life: Life, parent: TrnId) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM pending WHERE log = ?1 AND parent = ?2 LIMIT 1";
        Ok(self.row(sql, (life.0, parent.as_bytes()), |_| Ok(()))?.is_some())
    }

    fn has_chunk(&self, life: Life, id: &ChunkId) -> Result<bool, StorageError> {
        Ok(self.chunk_row(life, &pack::key(id))?.is_some())
    }

    fn chunk(&self, life: Life, id: &ChunkId) -> Result<Option<Bytes>, StorageError> {
        let sql = "SELECT bytes FROM chunk WHERE log = ?1 AND id = ?2";
        let bytes = self.row(sql, (life.0, pack::key(id)), |row| row.get::<_, Vec<u8>>(0))?;
        Ok(bytes.map(Bytes::from))
    }
}

impl Writing<'_> {
    /// A transaction's chunk list, as it lies in its row.
    fn chunk_list(&self, life: Life, chunks: &[ChunkId]) -> Result<Vec<u8>, StorageError> {
        let mut list = Vec::with_capacity(chunks.len() * 40);
        for id in chunks {
            let key = pack::key(id);
            let row = match self.put.get(id) {
                Some(row) => Some(*row),
                None => self.rows.chunk_row(life, &key)?,
            };
            let row = row.ok_or_else(|| StorageError::Failed(format!("chunk {id} is not here")))?;
            pack::push(&mut list, &key, row);
        }
        Ok(list)
    }
}

impl ReadTxn for Writing<'_> {
    fn log(&self, log: LogId) -> Result<LogRow, StorageError> {
        self.rows.log(log)
    }

    fn tip(&self, life: Life) -> Result<Tip, StorageError> {
        self.rows.tip(life)
    }

    fn committed(&self, life: Life, id: TrnId) -> Result<Option<Committed>, StorageError> {
        self.rows.committed(life, id)
    }

    fn ids_after(&self, life: Life, seq: Seq, limit: usize) -> Result<Vec<TrnId>, StorageError> {
        self.rows.ids_after(life, seq, limit)
    }

    fn walk(&self, life: Life, after: Seq, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        self.rows.walk(life, after, visit)
    }

    fn pending(&self, life: Life, id: TrnId) -> Result<Option<Pending>, StorageError> {
        self.rows.pending(life, id)
    }

    fn has_pending_child(&self, life: Life, parent: TrnId) -> Result<bool, StorageError> {
        self.rows.has_pending_child(life, parent)
    }

    fn has_chunk(&self, life: Life, id: &ChunkId) -> Result<bool, StorageError> {
        self.rows.has_chunk(life, id)
    }

    fn chunk(&self, life: Life, id: &ChunkId) -> Result<Option<Bytes>, StorageError> {
        self.rows.chunk(life, id)
    }
}

impl WriteTxn for Writing<'_> {
    fn begin_life(&mut self, log: LogId, generation: Generation) -> Result<Life, StorageError> {
        self.rows.execute("DELETE FROM log WHERE id = ?1", [log.as_bytes()])?;
        self.rows.execute(
            "INSERT INTO log (id, generation, number) VALUES (?1, ?2, ?3)",
            (log.as_bytes(), generation.id.as_bytes(), generation.number.cast_signed()),
        )?;
        Ok(Life(self.rows.0.last_insert_rowid()))
    }

    fn end_life(&mut self, log: LogId) -> Result<(), StorageError> {
        let LogRow::Living(life, generation) = self.log(log)? else { return Ok(()) };
        self.rows.execute("DELETE FROM committed WHERE log = ?1", [life.0])?;
        self.rows.execute("DELETE FROM pending WHERE log = ?1", [life.0])?;
        self.rows.execute("DELETE FROM chunk WHERE log = ?1", [life.0])?;
        self.rows.execute("DELETE FROM log WHERE nr = ?1", [life.0])?;
        self.rows.execute(
            "INSERT INTO log (id, generation, number) VALUES (?1, NULL, ?2)",
            (log.as_bytes(), generation.number.cast_signed()),
        )?;
        self.put.clear();
        Ok(())
    }

    fn put_chunk(&mut self, life: Life, id: &ChunkId, bytes: &Bytes) -> Result<(), StorageError> {
        let sql = "INSERT INTO chunk (log, id, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (log, id) DO NOTHING";
        if self.rows.execute(sql, (life.0, pack::key(id), bytes.as_ref()))? == 1 {
            self.put.insert(*id, self.rows.0.last_insert_rowid());
        }
        Ok(())
    }

    fn put_pending(&mut self, life: Life, pending: &Pending) -> Result<(), StorageError> {
        let chunks = self.chunk_list(life, &pending.chunks)?;
        self.rows.execute(
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
        Ok(())
    }

    fn append(&mut self, life: Life, trn: &Committed) -> Result<(), StorageError> {
        let chunks = self.chunk_list(life, &trn.chunks)?;
        self.rows.execute("DELETE FROM pending WHERE log = ?1 AND id = ?2", (life.0, trn.id.as_bytes()))?;
        self.rows.execute(
            "INSERT INTO committed (log, seq, id, chain, chunks) VALUES (?1, ?2, ?3, ?4, ?5)",
            (life.0, sql_int(trn.seq), trn.id.as_bytes(), trn.chain.0, chunks),
        )?;
        self.put.clear();
        Ok(())
    }
}
