//! Bringing the file of an older format to this one.

use rusqlite::Connection;

use crate::bootstrap;
use crate::core::{Effect, Failure, Working, sqlite};
use crate::types::Entid;

/// Brings the file to the newest format, inside the caller's transaction, where it still has an older one.
pub(crate) fn migrate(sql: &Connection) -> Result<(), Failure> {
    if sqlite::format(sql)? >= sqlite::FORMAT {
        return Ok(());
    }
    add_built_ins(sql)?;
    sqlite::index_journal(sql)?;
    Ok(sqlite::mark_format(sql)?)
}

/// To format 2: the bootstrap transaction has more to say. Its own instant is the last of its datoms, and moves on.
fn add_built_ins(sql: &Connection) -> Result<(), Failure> {
    let working = Working::load(sql)?;
    let effects: Vec<Effect> = bootstrap::additions().into_iter().map(|change| Effect { change, was: None }).collect();
    let own = (Entid::TX0, bootstrap::entids::TX_INSTANT);
    let place = "timeline = 0 AND tx = ?1 AND e = ?1 AND a = ?2";
    let n: i64 = sql.query_row(&format!("SELECT n FROM log WHERE {place}"), own, |r| r.get(0))?;
    let after = n.saturating_add(i64::try_from(effects.len()).unwrap_or(i64::MAX));
    sql.execute(&format!("UPDATE log SET n = ?3 WHERE {place}"), (own.0, own.1, after))?;
    working.log_effects(Entid::TX0, n, &effects)?;
    working.insert_asserted(Entid::TX0, &effects)
}
