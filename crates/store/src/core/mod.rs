//! The heart of the store: what a set of changes does to the facts, and doing it.
//!
//! Everything that alters facts goes through [`Working`]: the transactor, what comes in from a log, a rebase. So the
//! rules of uniqueness, cardinality, types and schema are written once.

pub(crate) mod migrate;
pub(crate) mod operate;
pub(crate) mod plan;
pub(crate) mod refusal;
pub(crate) mod sqlite;
pub(crate) mod write;

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use tolstoy_edn::Instant;
use uuid::Uuid;

use crate::bootstrap;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Schema;
use crate::types::{Change, Entid, Value};

pub(crate) use plan::{Effect, Plan};
pub(crate) use refusal::{Failure, Refusal};
pub(crate) use write::Header;

/// The last instant that a change can be authored at, 9999-12-31T23:59:59.999999Z. Far enough from the end of the numbers
/// that re-applied changes can always follow it.
pub(crate) const LAST_INSTANT: Instant = Instant::from_micros(253_402_300_799_999_999);

/// Where main stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Basis {
    /// The newest transaction on main.
    pub(crate) tx: Entid,
    /// Its instant.
    pub(crate) instant: Instant,
    /// The next free entid of the user partition.
    pub(crate) next: Entid,
}

/// The store inside one SQLite transaction: what is read and written here becomes the store's state when that commits,
/// and leaves no trace when it does not.
pub(crate) struct Working<'c> {
    pub(crate) sql: &'c Connection,
    pub(crate) schema: Arc<Schema>,
    pub(crate) basis: Basis,
    /// The file's id as a device.
    pub(crate) device: Uuid,
}

impl<'c> Working<'c> {
    /// The state that the file holds.
    pub(crate) fn load(sql: &'c Connection) -> Result<Self> {
        let basis = read_basis(sql)?.ok_or_else(|| Error::damaged("the store has no transactions"))?;
        Ok(Self { sql, schema: Arc::new(read_schema(sql)?), basis, device: read_device(sql)? })
    }

    /// Makes a new store's tables and its bootstrap transaction.
    pub(crate) fn create(sql: &'c Connection, device: Uuid) -> Result<Self> {
        sqlite::create_tables(sql)?;
        sql.execute("INSERT INTO meta (key, value) VALUES ('device', ?1)", [device.as_bytes()])?;
        let mut schema = Schema::default();
        let changes = bootstrap::changes();
        for change in &changes {
            schema.apply(change);
        }
        let before = Basis { tx: Entid::TX0.plus(-1), instant: Instant::from_micros(i64::MIN), next: Entid::USER0 };
        let mut working = Self { sql, schema: Arc::new(schema), basis: before, device };
        let effects = changes.into_iter().map(|change| Effect { change, was: None }).collect();
        let header = Header::new(bootstrap::INSTANT, bootstrap::ORIGIN);
        working.write(&header, Plan { effects, schema: None })?;
        Ok(working)
    }

    /// The entid that the next transaction gets.
    pub(crate) fn next_tx(&self) -> Entid {
        self.basis.tx.plus(1)
    }

    /// The instant of the next transaction, if its change was authored then: later than the transaction before.
    pub(crate) fn instant_for(&self, authored: Instant) -> Instant {
        authored.max(Instant::from_micros(self.basis.instant.as_micros().saturating_add(1)))
    }

    /// A fresh entid of the user partition.
    ///
    /// # Errors
    /// `Full` when the partition has none left.
    pub(crate) fn allocate(&mut self) -> Result<Entid> {
        let fresh = self.basis.next;
        if !fresh.is_user() {
            return Err(Error::new(ErrorKind::Full, "the store has no entity numbers left (268 million are in use)"));
        }
        self.basis.next = fresh.plus(1);
        Ok(fresh)
    }

    /// The entity that has this value of a unique attribute.
    pub(crate) fn holder(&self, a: Entid, v: &Value) -> Result<Option<Entid>> {
        let mut statement = self.sql.prepare_cached("SELECT e FROM datoms WHERE a = ?1 AND v = ?2 AND uniq = 1")?;
        Ok(statement.query_row((a, v), |r| r.get(0)).optional()?)
    }

    /// The transaction that asserted a current fact.
    pub(crate) fn asserted(&self, e: Entid, a: Entid, v: &Value) -> Result<Option<Entid>> {
        let mut statement = self.sql.prepare_cached("SELECT tx FROM datoms WHERE e = ?1 AND a = ?2 AND v = ?3")?;
        Ok(statement.query_row((e, a, v), |r| r.get(0)).optional()?)
    }

    /// The current values of an attribute on an entity, each with the transaction that asserted it.
    pub(crate) fn values(&self, e: Entid, a: Entid) -> Result<Vec<(Value, Entid)>> {
        let mut statement = self.sql.prepare_cached("SELECT v, vt, tx FROM datoms WHERE e = ?1 AND a = ?2")?;
        let mut rows = statement.query((e, a))?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            values.push((sqlite::read_value(row.get(1)?, row.get_ref(0)?)?, row.get(2)?));
        }
        Ok(values)
    }

    /// All facts about an entity.
    pub(crate) fn facts_about(&self, e: Entid) -> Result<Vec<(Entid, Value)>> {
        let mut statement = self.sql.prepare_cached("SELECT a, v, vt FROM datoms WHERE e = ?1")?;
        let mut rows = statement.query([e])?;
        let mut facts = Vec::new();
        while let Some(row) = rows.next()? {
            facts.push((row.get(0)?, sqlite::read_value(row.get(2)?, row.get_ref(1)?)?));
        }
        Ok(facts)
    }

    /// All facts that refer to an entity, as their entity and attribute.
    pub(crate) fn refs_to(&self, e: Entid) -> Result<Vec<(Entid, Entid)>> {
        let mut statement = self.sql.prepare_cached("SELECT e, a FROM datoms WHERE v = ?1 AND vt = 23")?;
        let refs = statement.query_map([e], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        Ok(refs)
    }

    /// Whether any fact is stated about the entity.
    pub(crate) fn exists(&self, e: Entid) -> Result<bool> {
        let mut statement = self.sql.prepare_cached("SELECT 1 FROM datoms WHERE e = ?1 LIMIT 1")?;
        Ok(statement.exists([e])?)
    }
}

/// The newest main transaction's row, or `None` in an empty file.
pub(crate) fn read_basis(sql: &Connection) -> Result<Option<Basis>> {
    let mut statement = sql.prepare_cached(
        "SELECT tx, instant, next_entid FROM transactions WHERE timeline = 0 ORDER BY tx DESC LIMIT 1",
    )?;
    let row = statement
        .query_row([], |r| Ok(Basis { tx: r.get(0)?, instant: Instant::from_micros(r.get(1)?), next: r.get(2)? }));
    Ok(row.optional()?)
}

fn read_device(sql: &Connection) -> Result<Uuid> {
    let mut statement = sql.prepare_cached("SELECT value FROM meta WHERE key = 'device'")?;
    let bytes: Option<Vec<u8>> = statement.query_row([], |r| r.get(0)).optional()?;
    let device = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
    device.ok_or_else(|| Error::damaged("the store does not know its device id"))
}

fn read_schema(sql: &Connection) -> Result<Schema> {
    let mut schema = Schema::default();
    // Each half is the condition of an index: without that, all facts would be read.
    let mut statement = sql.prepare(
        "SELECT e, a, v, vt FROM datoms WHERE a IN (1, 7, 8, 9, 10, 11, 12, 13, 2000) AND avet IS NULL
         UNION ALL SELECT e, a, v, vt FROM datoms WHERE a IN (1, 7, 8, 9, 10, 11, 12, 13, 2000) AND avet = 1
         ORDER BY e, a",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let value = sqlite::read_value(row.get(3)?, row.get_ref(2)?)?;
        schema.apply(&Change::add(row.get(0)?, row.get(1)?, value));
    }
    Ok(schema)
}
