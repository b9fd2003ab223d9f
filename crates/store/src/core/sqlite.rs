//! The file: its tables, opening it, and values on their way in and out of SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql};
use tolstoy_edn::{Instant, Keyword};
use uuid::Uuid;

use crate::bootstrap;
use crate::error::{Error, ErrorKind, Result};
use crate::store::StoreOptions;
use crate::types::{Double, Entid, Value, ValueType};

/// "TOLS".
const APPLICATION_ID: i64 = 0x544F_4C53;
/// The newest `user_version` that this code knows, and the one it writes.
pub(crate) const FORMAT: i64 = bootstrap::VERSION as i64;

const TABLES: &str = "
CREATE TABLE datoms (
  e INTEGER NOT NULL, a INTEGER NOT NULL, v NOT NULL, vt INTEGER NOT NULL,
  tx INTEGER NOT NULL, avet INTEGER, uniq INTEGER,
  PRIMARY KEY (e, a, v)) WITHOUT ROWID;
CREATE INDEX aevt ON datoms (a, e, v, vt, tx, avet) WHERE avet IS NULL;
CREATE INDEX avet ON datoms (a, v, e, vt, tx, avet) WHERE avet = 1;
CREATE INDEX vaet ON datoms (v, a, e, vt, tx) WHERE vt = 23;
CREATE UNIQUE INDEX uniq ON datoms (a, v) WHERE uniq = 1;
CREATE TABLE transactions (
  timeline INTEGER NOT NULL, tx INTEGER NOT NULL, instant INTEGER NOT NULL,
  origin BLOB NOT NULL, device BLOB NOT NULL, authored INTEGER NOT NULL,
  next_entid INTEGER NOT NULL, extra BLOB,
  PRIMARY KEY (timeline, tx)) WITHOUT ROWID;
CREATE UNIQUE INDEX origins ON transactions (origin) WHERE timeline = 0;
CREATE TABLE log (
  timeline INTEGER NOT NULL, tx INTEGER NOT NULL, n INTEGER NOT NULL,
  e INTEGER NOT NULL, a INTEGER NOT NULL, v NOT NULL, vt INTEGER NOT NULL, added INTEGER NOT NULL, was INTEGER,
  PRIMARY KEY (timeline, tx, n)) WITHOUT ROWID;
CREATE TABLE chain (tx INTEGER PRIMARY KEY, id BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
";

/// That a transaction may be an entry of the journal: what it has beside its datoms does not end with nothing overwritten, displaced
/// and said. Only these very words let SQLite use the index.
pub(crate) const MAY_BE_ENTRY: &str = "substr(extra, -3) <> x'90c0c0'";

/// Makes the index that finds entries of the journal, inside the caller's transaction.
pub(crate) fn index_journal(sql: &Connection) -> Result<()> {
    let index = format!("CREATE INDEX IF NOT EXISTS journal ON transactions (timeline, tx) WHERE {MAY_BE_ENTRY}");
    Ok(sql.execute_batch(&index)?)
}

/// The term that leads SQLite to the one index that lists an attribute's facts.
pub(crate) const fn listed_in(indexed: bool) -> &'static str {
    if indexed { "avet = 1" } else { "avet IS NULL" }
}

/// What a file turned out to be.
pub(crate) enum Found {
    /// A store of this format, or of an older one.
    Store,
    /// An empty database, to be filled.
    Empty,
}

/// Opens a connection to a file that nobody writes meanwhile, and beside which SQLite makes no files of its own.
pub(crate) fn connect_unchanging(path: &Path) -> Result<Connection> {
    let named = |message: String| Error::new(ErrorKind::Storage, format!("{}: {message}", path.display()));
    let absolute = std::path::absolute(path).map_err(|e| named(e.to_string()))?;
    let mut uri = "file://".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags).map_err(|e| named(Error::from(e).to_string()))
}

/// Whether the file stands for the whole store: what is in a write-ahead log beside it is not in it yet.
pub(crate) fn is_whole(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::metadata(log) {
        Ok(log) => log.len() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Opens a connection to the file.
pub(crate) fn connect(path: &Path, options: &StoreOptions) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if options.create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let opened = match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str()),
        None => Connection::open_with_flags(path, flags),
    };
    opened.map_err(|e| {
        let error = Error::from(e);
        Error::new(error.kind(), format!("{}: {error}", path.display()))
    })
}

/// The format of the file, its `user_version`.
pub(crate) fn format(sql: &Connection) -> rusqlite::Result<i64> {
    sql.query_row("PRAGMA user_version", [], |r| r.get(0))
}

/// Sets a connection up and checks what it is connected to. `name` is for messages.
pub(crate) fn inspect(sql: &Connection, name: &str) -> Result<Found> {
    sql.busy_timeout(Duration::from_secs(10))?;
    let named = |e: rusqlite::Error| {
        let error = Error::from(e);
        Error::new(error.kind(), format!("{name}: {error}"))
    };
    let application: i64 = sql.query_row("PRAGMA application_id", [], |r| r.get(0)).map_err(named)?;
    let format = format(sql).map_err(named)?;
    let tables: i64 = sql.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(named)?;
    let found = match (application, format) {
        (0, 0) if tables == 0 => Found::Empty,
        (APPLICATION_ID, 1..=FORMAT) => Found::Store,
        (APPLICATION_ID, newer) if newer > FORMAT => {
            return Err(Error::new(
                ErrorKind::NewerFormat,
                format!(
                    "{name}: the store has format {newer}, this version knows formats up to {FORMAT}; update Tolstoy"
                ),
            ));
        }
        _ => return Err(Error::new(ErrorKind::NotAStore, format!("{name}: the file is not a Tolstoy store"))),
    };
    sql.set_prepared_statement_cache_capacity(128);
    // Else SQLite prepares a cached statement anew whenever a bound value might suggest another plan.
    sql.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(found)
}

/// Pragmas of a connection that is going to write.
pub(crate) fn prepare_for_writing(sql: &Connection) -> Result<()> {
    sql.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    sql.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;",
    )?;
    Ok(())
}

/// Makes the tables, inside the caller's transaction.
pub(crate) fn create_tables(sql: &Connection) -> Result<()> {
    sql.execute_batch(TABLES)?;
    index_journal(sql)?;
    sql.pragma_update(None, "application_id", APPLICATION_ID)?;
    mark_format(sql)
}

/// Says that the file has the newest format, inside the caller's transaction.
pub(crate) fn mark_format(sql: &Connection) -> Result<()> {
    sql.pragma_update(None, "user_version", FORMAT)?;
    Ok(())
}

impl ToSql for Entid {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.get().into())
    }
}

impl rusqlite::types::FromSql for Entid {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_i64().map(Self::new)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let borrowed = match self {
            Self::Ref(e) => ValueRef::Integer(e.get()),
            Self::Long(n) => ValueRef::Integer(*n),
            Self::Boolean(b) => ValueRef::Integer(i64::from(*b)),
            Self::Instant(t) => ValueRef::Integer(t.as_micros()),
            Self::Double(x) => ValueRef::Real(x.get()),
            Self::Keyword(k) => ValueRef::Text(k.as_str().as_bytes()),
            Self::String(s) | Self::Uri(s) => ValueRef::Text(s.as_bytes()),
            Self::Uuid(u) => ValueRef::Blob(u.as_bytes()),
            Self::Bytes(b) => ValueRef::Blob(b),
        };
        Ok(ToSqlOutput::Borrowed(borrowed))
    }
}

/// Reads a value from its column and the entid of its type.
///
/// # Errors
/// `Damaged` where the column does not hold a value of that type.
pub(crate) fn read_value(vt: i64, v: ValueRef<'_>) -> Result<Value> {
    let text = |v: ValueRef<'_>| -> Option<Arc<str>> { v.as_str().ok().map(Arc::from) };
    let value = match (ValueType::from_entid(Entid::new(vt)), v) {
        (Some(ValueType::Ref), ValueRef::Integer(n)) => Some(Value::Ref(Entid::new(n))),
        (Some(ValueType::Long), ValueRef::Integer(n)) => Some(Value::Long(n)),
        (Some(ValueType::Boolean), ValueRef::Integer(n)) => Some(Value::Boolean(n != 0)),
        (Some(ValueType::Instant), ValueRef::Integer(n)) => Some(Value::Instant(Instant::from_micros(n))),
        (Some(ValueType::Double), ValueRef::Real(x)) => Double::new(x).map(Value::Double),
        (Some(ValueType::Keyword), v) => v.as_str().ok().and_then(Keyword::parse).map(Value::Keyword),
        (Some(ValueType::String), v) => text(v).map(Value::String),
        (Some(ValueType::Uri), v) => text(v).map(Value::Uri),
        (Some(ValueType::Uuid), ValueRef::Blob(b)) => Uuid::from_slice(b).ok().map(Value::Uuid),
        (Some(ValueType::Bytes), ValueRef::Blob(b)) => Some(Value::Bytes(b.into())),
        _ => None,
    };
    value.ok_or_else(|| Error::damaged(format!("a fact's value is not of its type ({vt})")))
}

/// Reads a UUID column.
pub(crate) fn read_uuid(v: ValueRef<'_>) -> Result<Uuid> {
    v.as_blob()
        .ok()
        .and_then(|b| Uuid::from_slice(b).ok())
        .ok_or_else(|| Error::damaged("an id in the store is not a UUID"))
}
