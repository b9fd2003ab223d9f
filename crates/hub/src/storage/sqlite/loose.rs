//! Chunks that no committed transaction took: what the garbage rule looks at.
//!
//! A chunk that comes in a push is taken by a transaction of the same job, and costs nothing here. One that is put by itself is
//! noted when its job ends, and taken off when a committed transaction names it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tolstoy_proto::{ChunkId, TrnId};

use super::pack::{At, Key, Unpack};
use super::txn::Txn;
use crate::storage::figures::LOOSE_WEIGHT;
use crate::storage::{Life, StorageError};

/// What a job knows of them.
#[derive(Debug, Default)]
pub(super) struct LooseChunks {
    /// Rows that this job put and no transaction of it took.
    new: HashMap<i64, (Life, Key)>,
}

impl LooseChunks {
    /// A chunk came into this row.
    pub(super) fn came(&mut self, life: Life, key: &[u8], row: i64) {
        self.new.insert(row, (life, key.to_vec()));
    }
}

impl Txn<'_> {
    /// Whether the life has loose chunks in the table.
    fn any_loose(&self, life: Life) -> Result<bool, StorageError> {
        if let Some(any) = self.at_end(life, |end| Ok(end.any_loose))? {
            return Ok(any);
        }
        let any = self.row("SELECT 1 FROM loose WHERE log = ?1 LIMIT 1", [life.0], |_| Ok(()))?.is_some();
        self.know_loose(life, Some(any))?;
        Ok(any)
    }

    /// Says whether there are any; none where that is not known any more.
    pub(super) fn know_loose(&self, life: Life, any: Option<bool>) -> Result<(), StorageError> {
        self.at_end(life, |end| {
            end.any_loose = any;
            Ok(())
        })
    }

    /// Notes the chunks that came in this job and that none of its transactions took.
    pub(super) fn note_loose(&mut self) -> Result<(), StorageError> {
        if self.loose.new.is_empty() {
            return Ok(());
        }
        let mut new: Vec<_> = std::mem::take(&mut self.loose.new).into_iter().collect();
        new.sort_unstable();
        for (row, (life, key)) in new {
            self.execute("INSERT INTO loose (log, key, chunk, named) VALUES (?1, ?2, ?3, 0)", (life.0, key, row))?;
            self.know_loose(life, Some(true))?;
            self.with_end(life, |end| {
                end.weigh(LOOSE_WEIGHT, 0);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// A committed transaction names the chunk in this row: it stays as long as the log.
    pub(super) fn take_loose(&mut self, life: Life, key: &[u8], row: i64) -> Result<(), StorageError> {
        if self.loose.new.remove(&row).is_none() && self.any_loose(life)? {
            let taken = self.execute("DELETE FROM loose WHERE log = ?1 AND key = ?2", (life.0, key))?;
            if taken > 0 {
                self.with_end(life, |end| {
                    end.lighten(LOOSE_WEIGHT);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// A pending transaction is committed, and so pending no more. It named loose chunks; those that came with it now, once
    /// more, it did not take from there, and names no longer. Whether it was pending.
    pub(super) fn unpend(&self, life: Life, id: TrnId, came: &[(ChunkId, Key, Bytes)]) -> Result<bool, StorageError> {
        if !came.is_empty() && self.any_loose(life)? {
            let sql = "SELECT chunks FROM pending WHERE log = ?1 AND id = ?2";
            let named = self.row(sql, (life.0, id.as_bytes()), |row| row.get::<_, Vec<u8>>(0))?.unwrap_or_default();
            let came: HashSet<&[u8]> = came.iter().map(|(_, key, _)| key.as_slice()).collect();
            let mut named = Unpack(&named);
            while !named.is_empty() {
                let (key, at) = (named.key()?, At::of(named.row()?));
                if let At::Chunk(row) = at
                    && came.contains(key)
                {
                    self.name_loose(life, key, row, -1)?;
                }
            }
        }
        Ok(self.execute("DELETE FROM pending WHERE log = ?1 AND id = ?2", (life.0, id.as_bytes()))? > 0)
    }

    /// Pending transactions name the chunk so many times more, or fewer.
    pub(super) fn name_loose(&self, life: Life, key: &[u8], row: i64, more: i64) -> Result<(), StorageError> {
        if self.any_loose(life)? {
            let sql = "UPDATE loose SET named = named + ?4 WHERE log = ?1 AND key = ?2 AND chunk = ?3";
            self.execute(sql, (life.0, key, row, more))?;
        }
        Ok(())
    }
}
