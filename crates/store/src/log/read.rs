//! Reading transactions back.

use rusqlite::{Connection, OptionalExtension, Row};
use tolstoy_edn::Instant;
use uuid::Uuid;

use crate::core::sqlite::{MAY_BE_ENTRY, read_uuid, read_value};
use crate::error::{Error, Result};
use crate::log::{Transaction, codec};
use crate::types::{Change, Entid, Origin};

/// The number of a timeline; main is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeline(pub i64);

impl Timeline {
    /// The timeline that the facts are the sum of.
    pub const MAIN: Self = Self(0);
}

const COLUMNS: &str = "tx, instant, origin, device, authored, extra";

/// A transaction of a timeline.
pub(crate) fn transaction(sql: &Connection, timeline: Timeline, tx: Entid) -> Result<Option<Transaction>> {
    head_in(sql, timeline, tx)?.map(|h| with_changes(sql, timeline, h)).transpose()
}

/// A transaction of main, without its datoms.
pub(crate) fn head_of(sql: &Connection, tx: Entid) -> Result<Option<Transaction>> {
    head_in(sql, Timeline::MAIN, tx)
}

fn head_in(sql: &Connection, timeline: Timeline, tx: Entid) -> Result<Option<Transaction>> {
    let mut statement =
        sql.prepare_cached(&format!("SELECT {COLUMNS} FROM transactions WHERE timeline = ?1 AND tx = ?2"))?;
    statement.query_row((timeline.0, tx), |row| Ok(head(row))).optional()?.transpose()
}

/// The first `limit` transactions of a timeline after `after`, in order.
pub(crate) fn transactions(
    sql: &Connection,
    timeline: Timeline,
    after: Entid,
    limit: usize,
) -> Result<Vec<Transaction>> {
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM transactions WHERE timeline = ?1 AND tx > ?2 ORDER BY tx LIMIT ?3"
    ))?;
    let mut rows = statement.query((timeline.0, after, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut transactions = Vec::new();
    while let Some(row) = rows.next()? {
        transactions.push(with_changes(sql, timeline, head(row)?)?);
    }
    Ok(transactions)
}

/// The first `limit` main transactions after `after` that may be entries of the journal, in order and without their datoms. In a file
/// without the index that finds them all of main is looked at.
pub(crate) fn perhaps_entries(sql: &Connection, after: Entid, limit: usize) -> Result<Vec<Transaction>> {
    let mut index = sql.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = 'journal'")?;
    // SQLite takes the table itself to be cheaper, not knowing how few there are.
    let by = if index.exists([])? { "INDEXED BY journal" } else { "" };
    let mut statement = sql.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM transactions {by}
         WHERE timeline = 0 AND {MAY_BE_ENTRY} AND tx > ?1 ORDER BY tx LIMIT ?2"
    ))?;
    let mut rows = statement.query((after, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut transactions = Vec::new();
    while let Some(row) = rows.next()? {
        transactions.push(head(row)?);
    }
    Ok(transactions)
}

/// The main transactions whose origins lie between two, both included.
pub(crate) fn by_origins(sql: &Connection, first: Uuid, last: Uuid) -> Result<Vec<Entid>> {
    let mut statement =
        sql.prepare_cached("SELECT tx FROM transactions WHERE origin BETWEEN ?1 AND ?2 AND timeline = 0")?;
    let found = statement.query_map((first.as_bytes(), last.as_bytes()), |r| r.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The main transaction that a change became.
pub(crate) fn by_origin(sql: &Connection, origin: Uuid) -> Result<Option<Entid>> {
    let mut statement = sql.prepare_cached("SELECT tx FROM transactions WHERE origin = ?1 AND timeline = 0")?;
    Ok(statement.query_row([origin.as_bytes()], |r| r.get(0)).optional()?)
}

/// The high-water mark of the user partition right after a main transaction: entities below it existed then.
pub(crate) fn next_entid_at(sql: &Connection, tx: Entid) -> Result<Entid> {
    let mut statement = sql.prepare_cached("SELECT next_entid FROM transactions WHERE timeline = 0 AND tx = ?1")?;
    let next = statement.query_row([tx], |r| r.get(0)).optional()?;
    next.ok_or_else(|| Error::damaged(format!("main has no transaction {tx}")))
}

fn head(row: &Row<'_>) -> Result<Transaction> {
    let origin = Origin {
        id: read_uuid(row.get_ref(2)?)?,
        device: read_uuid(row.get_ref(3)?)?,
        authored: Instant::from_micros(row.get(4)?),
    };
    let extra = codec::decode_extra(row.get_ref(5)?.as_blob_or_null().map_err(rusqlite::Error::from)?)?;
    Ok(Transaction {
        tx: row.get(0)?,
        instant: Instant::from_micros(row.get(1)?),
        origin,
        entids: extra.entids,
        operations: extra.operations,
        overwritten: extra.overwritten,
        displaced: extra.displaced,
        said: extra.said,
        changes: Vec::new(),
    })
}

/// The transaction with its datoms.
pub(crate) fn with_changes(sql: &Connection, timeline: Timeline, mut transaction: Transaction) -> Result<Transaction> {
    let mut statement =
        sql.prepare_cached("SELECT e, a, v, vt, added FROM log WHERE timeline = ?1 AND tx = ?2 ORDER BY n")?;
    let mut rows = statement.query((timeline.0, transaction.tx))?;
    while let Some(row) = rows.next()? {
        let v = read_value(row.get(3)?, row.get_ref(2)?)?;
        transaction.changes.push(Change { e: row.get(0)?, a: row.get(1)?, v, added: row.get(4)? });
    }
    Ok(transaction)
}
