//! Chunks that no committed transaction took: what the garbage rule looks at.
//!
//! A chunk that comes in a push is taken by a transaction of the same job, and costs nothing here. One that is put by itself is
//! noted when its job ends, and taken off when a committed transaction names it.

use std::collections::HashMap;

use super::pack::Key;
use super::txn::Txn;
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
        }
        Ok(())
    }

    /// A committed transaction names the chunk, in this row where that is known: it stays as long as the log.
    pub(super) fn take_loose(&mut self, life: Life, key: &[u8], row: Option<i64>) -> Result<(), StorageError> {
        let new = row.and_then(|row| self.loose.new.remove(&row)).is_some();
        if !new && self.any_loose(life)? {
            self.execute("DELETE FROM loose WHERE log = ?1 AND key = ?2", (life.0, key))?;
        }
        Ok(())
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
