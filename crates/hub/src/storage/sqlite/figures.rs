//! The figures of logs.

use rusqlite::{Params, Row};
use tolstoy_proto::{Generation, LogId};
use uuid::Uuid;

use super::failed;
use super::txn::{Txn, tip, usage};
use crate::storage::{Life, LogCursor, LogFigures, ReadFigures, StorageError, Totals, Usage, WriteFigures};

/// What a list shows of a log, in the order that [`figures`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT nr, id, generation, number, head, seq, chain, bytes, fresh, snapshot, written, writer, \
             (SELECT tasks FROM node WHERE node.log = log.nr AND prefix = '') FROM log ",
            $rest
        )
    };
}

fn figures(row: &Row<'_>) -> rusqlite::Result<LogFigures> {
    Ok(LogFigures {
        life: Life(row.get(0)?),
        log: LogId::from_bytes(row.get(1)?),
        generation: Generation { id: Uuid::from_bytes(row.get(2)?), number: row.get::<_, i64>(3)?.cast_unsigned() },
        tip: tip(row, 4)?,
        usage: usage(row, 7)?,
        writer: row.get(11)?,
        tasks: row.get::<_, Option<i64>>(12)?.unwrap_or_default().cast_unsigned(),
    })
}

impl Txn<'_> {
    fn logs(&self, sql: &'static str, params: impl Params) -> Result<Vec<LogFigures>, StorageError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map(params, figures).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// A number that one row gives.
    pub(super) fn number(&self, sql: &'static str) -> Result<u64, StorageError> {
        let number = self.row(sql, [], |row| row.get::<_, i64>(0))?;
        Ok(number.unwrap_or_default().cast_unsigned())
    }
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl ReadFigures for Txn<'_> {
    fn usage(&self, life: Life) -> Result<Usage, StorageError> {
        self.with_end(life, |end| Ok(end.usage))
    }

    fn log_of(&self, life: Life) -> Result<Option<LogId>, StorageError> {
        let sql = "SELECT id FROM log WHERE nr = ?1 AND generation IS NOT NULL";
        self.row(sql, [life.0], |row| row.get(0).map(LogId::from_bytes))
    }

    fn logs_by_age(&self, after: Option<LogCursor>, limit: usize) -> Result<Vec<LogFigures>, StorageError> {
        let LogCursor { minute, life } = after.unwrap_or(LogCursor { minute: i64::MAX, life: Life(i64::MAX) });
        let sql =
            select!("WHERE generation IS NOT NULL AND (minute, nr) < (?1, ?2) ORDER BY minute DESC, nr DESC LIMIT ?3");
        self.logs(sql, (minute, life.0, sql_limit(limit)))
    }

    fn logs_by_id(&self, from: LogId, to: LogId, limit: usize) -> Result<Vec<LogFigures>, StorageError> {
        let sql = select!("WHERE id BETWEEN ?1 AND ?2 AND generation IS NOT NULL ORDER BY id LIMIT ?3");
        self.logs(sql, (from.as_bytes(), to.as_bytes(), sql_limit(limit)))
    }

    fn totals(&self) -> Result<Totals, StorageError> {
        let page = self.number("PRAGMA page_size")?;
        Ok(Totals {
            logs: self.number("SELECT count(*) FROM log INDEXED BY log_by_minute WHERE generation IS NOT NULL")?,
            tasks: self.number("SELECT coalesce(sum(tasks), 0) FROM node WHERE prefix = ''")?,
            ended: self.number("SELECT count(*) FROM ended")?,
            file: page * self.number("PRAGMA page_count")?,
            free: page * self.number("PRAGMA freelist_count")?,
        })
    }
}

impl WriteFigures for Txn<'_> {
    fn stamp(&mut self, life: Life, written: i64, writer: &str) -> Result<(), StorageError> {
        self.with_end(life, |end| {
            end.usage.written = written;
            end.writer = Some(writer.into());
            end.changed = true;
            Ok(())
        })
    }
}
