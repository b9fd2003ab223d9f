//! The file's format.
//!
//! `docs/hub.md` draws it. `application_id` says that the file is a hub's, `user_version` which version of the format.

use std::path::Path;

use rusqlite::Connection;

use super::OpenError;
use crate::storage::figures::LOOSE_WEIGHT;

/// `application_id`: "TolH".
pub(super) const APPLICATION_ID: i32 = 0x546f_6c48;

/// `user_version`: the format that this code writes, and the newest that it reads.
pub(super) const FORMAT: i32 = 4;

/// The tables of format 1, which are those of the later ones too, but for what these add. A push dirties as few pages as it can: its transaction and small chunks are one row of `run`, behind the last
/// push's of any log, and what else it changes is in its log's row.
///
/// - A row of `log` is one life of a log. Its number is never given again; an ended life leaves one row without a
///   generation, under a new number. `tail` lists the newest transactions, which are in no block yet, and their names neither.
/// - `run` are committed transactions, in the order they came: consecutive ones of a log, with the small chunks that came
///   with them, as the frames that a pull sends. `places` says where other chunks are.
/// - `block` says which runs hold the transactions from `first` on, in order, up to the next block's first.
/// - `name` says where the chunk of a name is that has a row of its own; up to format 3, where any chunk or transaction is.
/// - `chunk` are the other chunks, in the order they came; `loose` says which of them no committed transaction named when
///   it was written, so that the garbage rule looks at those alone.
/// - `ended` are lives whose rows are to be swept.
/// - `snapshot` and `piece` are snapshots and their bytes.
const FORMAT_1: &str = "
CREATE TABLE log (
  nr         INTEGER PRIMARY KEY AUTOINCREMENT,
  id         BLOB NOT NULL UNIQUE,
  generation BLOB,
  number     INTEGER NOT NULL,
  head       BLOB NOT NULL,
  seq        INTEGER NOT NULL,
  chain      BLOB NOT NULL,
  bytes      INTEGER NOT NULL DEFAULT 0,
  fresh      INTEGER NOT NULL DEFAULT 0,
  snapshot   INTEGER NOT NULL DEFAULT 0,
  written    INTEGER NOT NULL DEFAULT 0,
  minute     INTEGER NOT NULL DEFAULT 0,
  writer     TEXT NOT NULL DEFAULT '',
  tail       BLOB NOT NULL
) STRICT;
CREATE INDEX log_by_minute ON log (minute) WHERE generation IS NOT NULL;
CREATE TABLE run (
  nr     INTEGER PRIMARY KEY,
  log    INTEGER NOT NULL,
  first  INTEGER NOT NULL,
  base   BLOB NOT NULL,
  places BLOB NOT NULL,
  frames BLOB NOT NULL
) STRICT;
CREATE TABLE block (
  log   INTEGER NOT NULL,
  first INTEGER NOT NULL,
  runs  BLOB NOT NULL,
  PRIMARY KEY (log, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE name (
  log INTEGER NOT NULL,
  key BLOB NOT NULL,
  at  INTEGER NOT NULL,
  PRIMARY KEY (log, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunk (
  nr    INTEGER PRIMARY KEY,
  log   INTEGER NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE pending (
  log    INTEGER NOT NULL,
  id     BLOB NOT NULL,
  parent BLOB NOT NULL,
  seq    INTEGER NOT NULL,
  base   INTEGER NOT NULL,
  chunks BLOB NOT NULL,
  PRIMARY KEY (log, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_by_parent ON pending (log, parent, id);
CREATE TABLE loose (
  log   INTEGER NOT NULL,
  key   BLOB NOT NULL,
  chunk INTEGER NOT NULL,
  named INTEGER NOT NULL,
  PRIMARY KEY (log, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE ended (
  log INTEGER PRIMARY KEY
) STRICT;
CREATE TABLE snapshot (
  nr     INTEGER PRIMARY KEY AUTOINCREMENT,
  log    INTEGER NOT NULL,
  seq    INTEGER NOT NULL,
  trn    BLOB NOT NULL,
  chain  BLOB NOT NULL,
  digest BLOB NOT NULL,
  bytes  INTEGER NOT NULL,
  pieces INTEGER NOT NULL,
  fresh  INTEGER NOT NULL,
  state  INTEGER NOT NULL
) STRICT;
CREATE INDEX snapshot_of_log ON snapshot (log, seq);
CREATE INDEX snapshot_by_state ON snapshot (state) WHERE state <> 1;
CREATE TABLE piece (
  at    INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;
";

/// What format 2 adds: how far the removal of a dead pending transaction came, so that it can go in small steps.
const DYING: &str = "(
  log  INTEGER NOT NULL,
  id   BLOB NOT NULL,
  done INTEGER NOT NULL,
  PRIMARY KEY (log, id)
) STRICT, WITHOUT ROWID";

/// What format 3 adds: tasks, and the upper nodes of the tree of their hashes. `task_by_id` has all that comparing takes, without the
/// documents; `node_roots` counts tasks.
const TASK: &str = "(
  nr       INTEGER PRIMARY KEY,
  log      INTEGER NOT NULL,
  id       TEXT NOT NULL,
  hash     BLOB NOT NULL,
  document BLOB NOT NULL
) STRICT";
const NODE: &str = "(
  log    INTEGER NOT NULL,
  prefix TEXT NOT NULL,
  digest BLOB NOT NULL,
  tasks  INTEGER NOT NULL,
  PRIMARY KEY (log, prefix)
) STRICT, WITHOUT ROWID";
const TASK_INDEXES: &str = "
CREATE INDEX task_by_id ON task (log, id, hash);
CREATE INDEX node_roots ON node (tasks) WHERE prefix = '';
";

/// What format 4 adds: sorted lists of names, and for each life which ones are its. Names that are in no list yet are in the
/// row of their block.
const LISTING: &str = "(
  log    INTEGER PRIMARY KEY,
  first  INTEGER NOT NULL,
  chosen INTEGER NOT NULL,
  lists  BLOB NOT NULL,
  merges BLOB NOT NULL,
  dead   BLOB NOT NULL
) STRICT";
const LIST: &str = "(
  at    INTEGER PRIMARY KEY,
  names BLOB NOT NULL
) STRICT";

/// Checks that the file is a hub's and of a known format; fills a new one, and brings an older one up to date.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(path, error);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let marks = (pragma(connection, "application_id"), pragma(connection, "user_version"));
    match marks {
        (Ok(0), Ok(0)) if tables == 0 => create(connection).map_err(failed),
        _ => match check(connection, path)? {
            FORMAT => Ok(()),
            older => bring_up_to_date(connection, older).map_err(failed),
        },
    }
}

/// Checks that the file is a hub's and of a known format: which.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<i32, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(path, error);
    let application_id: i32 = pragma(connection, "application_id").map_err(failed)?;
    let version: i32 = pragma(connection, "user_version").map_err(failed)?;
    match (application_id, version) {
        (APPLICATION_ID, found @ 1..=FORMAT) => Ok(found),
        (APPLICATION_ID, found) => {
            Err(OpenError::Newer { path: path.to_owned(), found: found.into(), known: FORMAT.into() })
        }
        _ => Err(OpenError::NotAHub { path: path.to_owned() }),
    }
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let txn = connection.transaction()?;
    txn.execute_batch(FORMAT_1)?;
    to_format_2(&txn)?;
    to_format_3(&txn)?;
    to_format_4(&txn)?;
    txn.pragma_update(None, "application_id", APPLICATION_ID)?;
    txn.pragma_update(None, "user_version", FORMAT)?;
    txn.commit()
}

/// Makes a file of an older format one of the newest, in one transaction.
fn bring_up_to_date(connection: &mut Connection, format: i32) -> rusqlite::Result<()> {
    let txn = connection.transaction()?;
    if format < 2 {
        to_format_2(&txn)?;
    }
    if format < 3 {
        to_format_3(&txn)?;
    }
    to_format_4(&txn)?;
    txn.pragma_update(None, "user_version", FORMAT)?;
    txn.commit()
}

/// In format 1, a chunk that no committed transaction took weighed nothing but its bytes.
fn to_format_2(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("CREATE TABLE dying {DYING}"))?;
    connection.execute(
        "UPDATE log SET bytes = bytes + ?1 * (SELECT count(*) FROM loose WHERE loose.log = log.nr)
         WHERE generation IS NOT NULL AND nr IN (SELECT log FROM loose)",
        [LOOSE_WEIGHT.cast_signed()],
    )?;
    Ok(())
}

fn to_format_3(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("CREATE TABLE task {TASK}; CREATE TABLE node {NODE}; {TASK_INDEXES}"))
}

/// The names that are there stay in `name`; those of the next transactions go into lists.
fn to_format_4(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE listing {LISTING}; CREATE TABLE list {LIST}; ALTER TABLE block ADD names BLOB NOT NULL DEFAULT x''"
    ))
}

/// Lets a file of an older format be read as one of the newest: nothing is being removed from one of format 1, and there are no
/// tasks in one of format 2, and no lists of names in one of format 3.
/// Blocks of older formats have no column `names`: where there is no listing, no statement reads it.
pub(super) fn stand_in(connection: &Connection, format: i32) -> rusqlite::Result<()> {
    if format < 2 {
        connection.execute_batch(&format!("CREATE TEMP TABLE dying {DYING}"))?;
    }
    if format < 3 {
        connection.execute_batch(&format!("CREATE TEMP TABLE task {TASK}; CREATE TEMP TABLE node {NODE}"))?;
    }
    connection.execute_batch(&format!("CREATE TEMP TABLE listing {LISTING}; CREATE TEMP TABLE list {LIST}"))
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
