//! The file's format.
//!
//! `docs/hub.md` draws it. `application_id` says that the file is a hub's, `user_version` which version of the format.

use std::path::Path;

use rusqlite::Connection;

use super::OpenError;

/// `application_id`: "TolH".
pub(super) const APPLICATION_ID: i32 = 0x546f_6c48;

/// `user_version`: the newest format that this code writes, and the newest that it reads.
pub(super) const FORMAT: i32 = 1;

/// Format 1.
///
/// - A row of `log` is one life of a log. Its number is never given again; an ended life leaves one row without a
///   generation, under a new number.
/// - `committed` is the chain, in order. HEAD is its last row: it stands nowhere else.
/// - `chunks` are packed ids, each with the number of the chunk's row, so that a pull needs no index to find the bytes.
/// - `chunk` is in order of arrival, so that chunks of many logs share the page that is written next.
const FORMAT_1: &str = "
CREATE TABLE log (
  nr         INTEGER PRIMARY KEY AUTOINCREMENT,
  id         BLOB NOT NULL UNIQUE,
  generation BLOB,
  number     INTEGER NOT NULL
) STRICT;
CREATE TABLE committed (
  log    INTEGER NOT NULL,
  seq    INTEGER NOT NULL,
  id     BLOB NOT NULL,
  chain  BLOB NOT NULL,
  chunks BLOB NOT NULL,
  PRIMARY KEY (log, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX committed_by_id ON committed (log, id);
CREATE TABLE pending (
  log    INTEGER NOT NULL,
  id     BLOB NOT NULL,
  parent BLOB NOT NULL,
  seq    INTEGER NOT NULL,
  base   INTEGER NOT NULL,
  chunks BLOB NOT NULL,
  PRIMARY KEY (log, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_by_parent ON pending (log, parent);
CREATE TABLE chunk (
  nr    INTEGER PRIMARY KEY,
  log   INTEGER NOT NULL,
  id    BLOB NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunk_by_id ON chunk (log, id);
";

/// Checks that the file is a hub's and of a known format; fills a new one.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(path, error);
    let application_id: i32 = pragma(connection, "application_id").map_err(failed)?;
    let version: i32 = pragma(connection, "user_version").map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (application_id, version, tables) {
        (0, 0, 0) => create(connection).map_err(failed),
        (APPLICATION_ID, FORMAT, _) => Ok(()),
        (APPLICATION_ID, found, _) => {
            Err(OpenError::Newer { path: path.to_owned(), found: found.into(), known: FORMAT.into() })
        }
        _ => Err(OpenError::NotAHub { path: path.to_owned() }),
    }
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let txn = connection.transaction()?;
    txn.execute_batch(FORMAT_1)?;
    txn.pragma_update(None, "application_id", APPLICATION_ID)?;
    txn.pragma_update(None, "user_version", FORMAT)?;
    txn.commit()
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
