//! The check of a hub's file: everything is read, hashed and compared, in one snapshot, and nothing is changed.

mod bits;
mod life;
mod names;
mod tasks;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use rusqlite::{Connection, Row};
use tolstoy_proto::{ChunkId, LogId, Seq, TrnId};
use tolstoy_tasks::TaskId;

use super::listing::{Listing, PLACE_BITS};
use super::lists::row_of;
use super::pack::{At, Unpack};
use super::snapshots::piece_row;
use super::txn::Txn;
use super::{DATABASE, OpenError, failed, open_existing};
use crate::storage::figures::LOOSE_WEIGHT;
use crate::storage::{Life, StorageError};
use bits::Bits;

/// Something that is wrong, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// In which log.
    pub log: Option<LogId>,
    /// The place of the transaction.
    pub seq: Option<Seq>,
    /// The transaction.
    pub transaction: Option<TrnId>,
    /// The chunk.
    pub chunk: Option<ChunkId>,
    /// The task.
    pub task: Option<TaskId>,
    /// The row: its table and number.
    pub row: Option<(&'static str, i64)>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = Vec::new();
        at.extend(self.log.map(|log| format!("log {log}")));
        match (self.seq, self.transaction) {
            (Some(seq), Some(id)) => at.push(format!("transaction {seq} ({id})")),
            (Some(seq), None) => at.push(format!("transaction {seq}")),
            (None, Some(id)) => at.push(format!("pending transaction {id}")),
            (None, None) => {}
        }
        at.extend(self.chunk.map(|id| format!("chunk {id}")));
        at.extend(self.task.map(|id| format!("task {id}")));
        at.extend(self.row.map(|(table, nr)| format!("row {nr} of {table}")));
        if at.is_empty() {
            at.push("the file".to_owned());
        }
        write!(f, "{}: {}", at.join(", "), self.what)
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Living logs.
    pub logs: u64,
    /// Committed transactions.
    pub transactions: u64,
    /// Pending transactions.
    pub pending: u64,
    /// Chunks, as often as they are stored.
    pub chunks: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Tasks.
    pub tasks: u64,
    /// Bytes of chunks, snapshots and tasks that were hashed.
    pub bytes: u64,
    /// Things that are wrong.
    pub findings: u64,
}

/// Hears what a check finds, and how far it is.
pub trait Listener {
    /// Something is wrong.
    fn found(&mut self, finding: Finding);

    /// So many logs are done, of so many.
    fn done(&mut self, logs: u64, of: u64);
}

/// Checks the data directory of a hub, which may be running, or a backup.
///
/// # Errors
/// Where there is no hub's file, or it cannot be read at all. What is wrong within it is told to `listener`.
pub fn fsck(path: &Path, listener: &mut dyn Listener) -> Result<Checked, OpenError> {
    if !path.try_exists().map_err(OpenError::io(path))? {
        return Err(OpenError::NoHub { path: path.to_owned() });
    }
    let file = if path.is_dir() { path.join(DATABASE) } else { path.to_owned() };
    let (connection, format) = open_existing(&file)?;
    let begun = connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema");
    begun.map_err(|error| OpenError::of(&file, error))?;
    let mut check = Check {
        connection: &connection,
        txn: Txn::reading(&connection),
        listener,
        checked: Checked::default(),
        runs: Bits::default(),
        chunks: Bits::default(),
        lists: Bits::default(),
        unread: BTreeSet::new(),
        loose_weight: if format == 1 { 0 } else { LOOSE_WEIGHT },
    };
    let ended = check.all();
    if let Err(error) = ended {
        check.found(Finding { what: format!("the check could not go on: {error}"), ..Finding::default() });
    }
    Ok(check.checked)
}

struct Check<'a> {
    connection: &'a Connection,
    txn: Txn<'a>,
    listener: &'a mut dyn Listener,
    checked: Checked,
    /// Rows that a life leads to.
    runs: Bits,
    chunks: Bits,
    /// Lists that a life tells of.
    lists: Bits,
    /// Lives that could not be gone through: what leads to nothing of theirs was told already.
    unread: BTreeSet<i64>,
    /// What a chunk that no committed transaction took weighs beside its bytes.
    loose_weight: u64,
}

impl Check<'_> {
    fn found(&mut self, finding: Finding) {
        self.checked.findings += 1;
        self.listener.found(finding);
    }

    fn all(&mut self) -> Result<(), StorageError> {
        self.sqlite()?;
        let of = self.txn.number("SELECT count(*) FROM log WHERE generation IS NOT NULL")?;
        let mut last = i64::MIN;
        // One at a time: what a log needs is let go before the next.
        let next = "SELECT nr FROM log WHERE nr > ?1 AND generation IS NOT NULL ORDER BY nr LIMIT 1";
        while let Some(nr) = self.txn.row(next, [last], |row| row.get::<_, i64>(0))? {
            last = nr;
            self.log(nr)?;
            self.checked.logs += 1;
            self.listener.done(self.checked.logs, of);
        }
        for life in self.txn.rows("SELECT log FROM ended ORDER BY log", [], |row| row.get::<_, i64>(0))? {
            self.ended(life)?;
        }
        self.orphans()
    }

    /// What SQLite says of its own structures.
    fn sqlite(&mut self) -> Result<(), StorageError> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check").map_err(failed)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        for line in lines {
            // What stops the pragma stops nothing else: the logs say where it hurts.
            let line = line.unwrap_or_else(|error| error.to_string());
            if line != "ok" {
                self.found(Finding { what: format!("SQLite: {line}"), ..Finding::default() });
            }
        }
        Ok(())
    }

    /// A life that ended leads to its rows, until they are swept.
    fn ended(&mut self, life: i64) -> Result<(), StorageError> {
        let blocks = "SELECT runs FROM block WHERE log = ?1 ORDER BY first";
        for block in self.txn.rows(blocks, [life], |row| row.get::<_, Vec<u8>>(0))? {
            match Unpack(&block).runs() {
                Ok(runs) => runs.iter().for_each(|(row, _)| {
                    self.runs.insert(*row);
                }),
                Err(error) => self.found(Finding {
                    row: Some(("ended", life)),
                    what: format!("a block of this deleted log cannot be read: {error}"),
                    ..Finding::default()
                }),
            }
        }
        match self.txn.read_listing(Life(life)) {
            Ok(listing) => listing.iter().flat_map(Listing::numbers).for_each(|nr| {
                self.lists.insert(nr);
            }),
            Err(error) => {
                self.unread.insert(life);
                self.found(Finding {
                    row: Some(("ended", life)),
                    what: format!("what tells of this deleted log's names cannot be read: {error}"),
                    ..Finding::default()
                });
            }
        }
        let mut statement = self.connection.prepare("SELECT key, at FROM name WHERE log = ?1").map_err(failed)?;
        let mut rows = statement.query([life]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let (key, at): (Vec<u8>, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            if let (Some(0 | 2..), At::Chunk(nr)) = (key.first(), At::of(at)) {
                self.chunks.insert(nr);
            }
        }
        Ok(())
    }

    /// Rows that no life leads to.
    fn orphans(&mut self) -> Result<(), StorageError> {
        for (table, sql) in
            [("run", "SELECT nr, log FROM run ORDER BY nr"), ("chunk", "SELECT nr, log FROM chunk ORDER BY nr")]
        {
            let mut statement = self.connection.prepare(sql).map_err(failed)?;
            let mut rows = statement.query([]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let (nr, life): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
                let seen = if table == "run" { self.runs.contains(nr) } else { self.chunks.contains(nr) };
                if !seen && !self.unread.contains(&life) {
                    let log = self.log_of(life)?;
                    self.found(Finding {
                        log,
                        row: Some((table, nr)),
                        what: "nothing leads to it".to_owned(),
                        ..Finding::default()
                    });
                }
            }
        }
        for (table, sql) in [
            ("block", "SELECT log FROM block WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("name", "SELECT log FROM name WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("listing", "SELECT log FROM listing WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("pending", "SELECT log FROM pending WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("dying", "SELECT log FROM dying WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("loose", "SELECT log FROM loose WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("task", "SELECT log FROM task WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("node", "SELECT log FROM node WHERE log > ?1 ORDER BY log LIMIT 1"),
            ("snapshot", "SELECT log FROM snapshot WHERE log > ?1 AND state <> 2 ORDER BY log LIMIT 1"),
        ] {
            let mut last = i64::MIN;
            while let Some(life) = self.txn.row(sql, [last], |row| row.get::<_, i64>(0))? {
                last = life;
                let ended = self.txn.row("SELECT 1 FROM ended WHERE log = ?1", [life], |_| Ok(()))?.is_some();
                if !ended && self.log_of(life)?.is_none() {
                    let what =
                        format!("rows of {table} belong to it, and it is neither a living log nor one that is swept");
                    self.found(Finding { row: Some(("log", life)), what, ..Finding::default() });
                }
            }
        }
        let mut next = Some(i64::MIN);
        while let Some(from) = next {
            let sql = "SELECT at FROM list WHERE at >= ?1 ORDER BY at LIMIT 1";
            let Some(at) = self.txn.row(sql, [from], |row| row.get::<_, i64>(0))? else { break };
            let nr = at >> PLACE_BITS;
            next = row_of(nr, (1 << PLACE_BITS) - 1).checked_add(1);
            if !self.lists.contains(nr) && self.unread.is_empty() {
                let what = "nothing tells of its list".to_owned();
                self.found(Finding { row: Some(("list", at)), what, ..Finding::default() });
            }
        }
        let sql = "SELECT at >> 24 FROM piece WHERE at >= ?1 ORDER BY at LIMIT 1";
        let mut last = 0;
        while let Some(nr) = self.txn.row(sql, [piece_row(last, 0)], |row| row.get::<_, i64>(0))? {
            last = nr + 1;
            if self.txn.row("SELECT 1 FROM snapshot WHERE nr = ?1", [nr], |_| Ok(()))?.is_none() {
                let what = "pieces belong to it, and it is not there".to_owned();
                self.found(Finding { row: Some(("snapshot", nr)), what, ..Finding::default() });
            }
        }
        Ok(())
    }

    fn log_of(&self, life: i64) -> Result<Option<LogId>, StorageError> {
        crate::storage::ReadFigures::log_of(&self.txn, Life(life))
    }
}

/// A column of bytes.
fn blob(row: &Row<'_>, column: usize) -> Result<Vec<u8>, StorageError> {
    row.get(column).map_err(failed)
}

#[cfg(test)]
pub(super) mod tests;
