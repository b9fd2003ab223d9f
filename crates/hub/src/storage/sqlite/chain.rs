//! A life's committed transactions in order: where they are, and going through them.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::Row;
use tolstoy_proto::{ChainDigest, ChunkId, Seq, Transaction};

use super::failed;
use super::pack::{At, Unpack, blob, damaged};
use super::run::{Part, Parts};
use super::txn::{Txn, sql_int};
use crate::storage::{ChunkSource, Committed, Life, Run, StorageError, Visit, VisitRuns};

const RUNS: &str = "SELECT base, places, frames FROM run WHERE nr BETWEEN ?1 AND ?2 ORDER BY nr";

/// A block: the place of its first transaction, and its runs: the row of each and how many transactions it has.
type VisitBlocks<'a> = dyn FnMut(Seq, &[(i64, u64)]) -> Result<bool, StorageError> + 'a;

/// A run: the place of its first transaction, how many it has, and its row.
type VisitRows<'a> = dyn FnMut(Seq, u64, &Row<'_>) -> Result<bool, StorageError> + 'a;

fn base(row: &Row<'_>) -> Result<ChainDigest, StorageError> {
    row.get(0).map(ChainDigest).map_err(failed)
}

impl Txn<'_> {
    /// The runs that hold the transactions from the one after this place on, block by block, with the place of each block's
    /// first transaction, until `visit` returns false. The first ones may lie before.
    pub(super) fn blocks_after(&self, life: Life, after: Seq, visit: &mut VisitBlocks<'_>) -> Result<(), StorageError> {
        let (first, tail) = self.with_end(life, |end| Ok((end.first(), end.runs()?)))?;
        let mut blocks = self
            .connection
            .prepare_cached(
                "SELECT first, runs FROM block WHERE log = ?1 AND first >= coalesce(
                   (SELECT max(first) FROM block WHERE log = ?1 AND first <= ?2), 0) ORDER BY first",
            )
            .map_err(failed)?;
        // Where all that is asked for is in the tail, no block is looked at.
        if after.next() < first {
            let mut found = blocks.query((life.0, sql_int(after.next()))).map_err(failed)?;
            while let Some(row) = found.next().map_err(failed)? {
                let first = Seq(row.get::<_, i64>(0).map_err(failed)?.cast_unsigned());
                if !visit(first, &Unpack(blob(row, 1)?).runs()?)? {
                    return Ok(());
                }
            }
        }
        visit(first, &tail).map(|_| ())
    }

    /// The rows of the runs that hold the transactions after this place.
    fn rows_after(&self, life: Life, after: Seq, visit: &mut VisitRows<'_>) -> Result<(), StorageError> {
        let mut statement = self.connection.prepare_cached(RUNS).map_err(failed)?;
        self.blocks_after(life, after, &mut |first, runs| {
            let mut first = first;
            let mut runs = runs;
            while let Some(((_, count), later)) = runs.split_first()
                && first.0 + count <= after.0 + 1
            {
                (first, runs) = (Seq(first.0 + count), later);
            }
            // Rows that lie side by side are read with one query.
            for together in runs.chunk_by(|run, next| run.0 + 1 == next.0) {
                let (Some((one, _)), Some((last, _))) = (together.first(), together.last()) else { continue };
                let mut found = statement.query((*one, *last)).map_err(failed)?;
                for (nr, count) in together {
                    let lost = || StorageError::Failed(format!("the run in row {nr} is lost"));
                    let row = found.next().map_err(failed)?.ok_or_else(lost)?;
                    if !visit(first, *count, row)? {
                        return Ok(false);
                    }
                    first = Seq(first.0 + count);
                }
            }
            Ok(true)
        })
    }

    /// The transactions after this place, one by one, each with the row it is in.
    pub(super) fn parts_after(
        &self,
        life: Life,
        after: Seq,
        visit: &mut dyn FnMut(Seq, &Part<'_>) -> Result<bool, StorageError>,
    ) -> Result<(), StorageError> {
        self.rows_after(life, after, &mut |first, _, row| {
            let mut parts = Parts::new(blob(row, 2)?, blob(row, 1)?);
            let mut seq = first;
            while let Some(part) = parts.next()? {
                if seq > after && !visit(seq, &part)? {
                    return Ok(false);
                }
                seq = seq.next();
            }
            Ok(true)
        })
    }

    pub(super) fn walk_parts(&self, life: Life, after: Seq, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        self.rows_after(life, after, &mut |first, _, row| {
            let mut chain = base(row)?;
            let mut parts = Parts::new(blob(row, 2)?, blob(row, 1)?);
            let mut seq = first;
            while let Some(part) = parts.next()? {
                let Transaction { id, parent, chunks, .. } = part.transaction()?;
                chain = chain.extend(id, &chunks);
                let trn = Committed { id, seq, parent, chunks, chain };
                let source = Chunks { txn: self, life, ids: &trn.chunks, part: &part, came: part.came()? };
                if seq > after && !visit(&trn, &source)? {
                    return Ok(false);
                }
                seq = seq.next();
            }
            Ok(true)
        })
    }

    pub(super) fn visit_runs(&self, life: Life, after: Seq, visit: &mut VisitRuns<'_>) -> Result<(), StorageError> {
        self.rows_after(life, after, &mut |first, count, row| {
            let (places, frames) = (blob(row, 1)?, blob(row, 2)?);
            let mut parts = Parts::new(frames, places);
            let mut seq = first;
            if places.is_empty() {
                while seq <= after {
                    parts.next()?.ok_or_else(damaged)?;
                    seq = seq.next();
                }
                return visit(Run::Frames(count - (seq.0 - first.0), parts.rest()));
            }
            while let Some(part) = parts.next()? {
                let on = if seq <= after {
                    true
                } else if part.is_whole() {
                    visit(Run::Frames(1, part.bytes))?
                } else {
                    let trn = part.transaction()?;
                    let source = Chunks { txn: self, life, ids: &trn.chunks, part: &part, came: part.came()? };
                    visit(Run::Transaction(&trn, &source))?
                };
                if !on {
                    return Ok(false);
                }
                seq = seq.next();
            }
            Ok(true)
        })
    }

    /// The committed transaction at this place.
    pub(super) fn committed_at(&self, life: Life, seq: Seq) -> Result<Committed, StorageError> {
        let mut found = None;
        self.walk_parts(life, Seq(seq.0.saturating_sub(1)), &mut |trn, _| {
            found = Some(trn.clone());
            Ok(false)
        })?;
        found.ok_or_else(|| StorageError::Failed(format!("the transaction at {seq} is lost")))
    }

    /// The bytes of a chunk that came with the transaction at this place.
    pub(super) fn came_with(&self, life: Life, seq: Seq, id: &ChunkId) -> Result<Option<Bytes>, StorageError> {
        let mut found = None;
        self.parts_after(life, Seq(seq.0.saturating_sub(1)), &mut |_, part| {
            found = part.came()?.get(id).map(|bytes| Bytes::copy_from_slice(bytes));
            Ok(false)
        })?;
        Ok(found)
    }
}

/// The chunks of a transaction whose row is read.
struct Chunks<'a> {
    txn: &'a Txn<'a>,
    life: Life,
    ids: &'a [ChunkId],
    part: &'a Part<'a>,
    came: HashMap<ChunkId, &'a [u8]>,
}

impl ChunkSource for Chunks<'_> {
    fn came_with(&self, index: usize) -> Option<Seq> {
        match self.part.elsewhere(index)? {
            At::Trn(seq) => Some(seq),
            At::Chunk(_) => None,
        }
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, StorageError> {
        let id = self.ids.get(index).ok_or_else(damaged)?;
        match self.part.elsewhere(index) {
            Some(at) => Ok(Cow::Owned(self.txn.bytes_at(self.life, id, at)?.into())),
            None => self.came.get(id).copied().map(Cow::Borrowed).ok_or_else(damaged),
        }
    }

    fn length(&self, index: usize) -> Result<usize, StorageError> {
        let Some(At::Chunk(nr)) = self.part.elsewhere(index) else { return Ok(self.bytes(index)?.len()) };
        // It stands in the row's head: the pages of the bytes are not read.
        let length = self.txn.row("SELECT length(bytes) FROM chunk WHERE nr = ?1", [nr], |row| row.get::<_, i64>(0))?;
        usize::try_from(length.ok_or_else(damaged)?).map_err(|_| damaged())
    }
}
