//! Running a statement, and its rows as values.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use crate::core::sqlite::read_value;
use crate::error::{Error, ErrorKind, Result};
use crate::query::sql::{Column, Statement};
use crate::types::Value;

/// Longer texts come from long collections and hardly come again.
const MAX_CACHED_TEXT: usize = 8 << 10;

/// The statement's rows.
///
/// # Errors
/// `Refused` where a sum is beyond 64 bits or no number; else where the file cannot be read.
pub(crate) fn run(sql: &Connection, statement: &Statement) -> Result<Vec<Vec<Value>>> {
    let text = &statement.text;
    if text.len() <= MAX_CACHED_TEXT {
        read(&mut *sql.prepare_cached(text)?, statement)
    } else {
        read(&mut sql.prepare(text)?, statement)
    }
}

fn read(prepared: &mut rusqlite::Statement<'_>, statement: &Statement) -> Result<Vec<Vec<Value>>> {
    let mut rows = prepared.query(params_from_iter(&statement.parameters))?;
    let mut read = Vec::new();
    while let Some(row) = rows.next().map_err(explain)? {
        let mut values = Vec::with_capacity(statement.columns.len());
        let mut at = 0;
        for column in &statement.columns {
            let value = row.get_ref(at)?;
            let value_type = match column {
                Column::Known(value_type) => value_type.entid().get(),
                Column::TypeBeside => {
                    at += 1;
                    row.get(at)?
                }
            };
            if value == ValueRef::Null {
                return Err(Error::new(ErrorKind::Refused, "an aggregate of these values is no number"));
            }
            values.push(read_value(value_type, value)?);
            at += 1;
        }
        read.push(values);
    }
    Ok(read)
}

fn explain(error: rusqlite::Error) -> Error {
    match &error {
        rusqlite::Error::SqliteFailure(_, Some(message)) if message == "integer overflow" => {
            Error::new(ErrorKind::Refused, "the sum is beyond what a long can hold (64 bits): add up doubles, or less")
        }
        _ => error.into(),
    }
}

/// How SQLite goes about a statement, a line for each step.
pub(crate) fn explain_plan(sql: &Connection, statement: &Statement) -> Result<Vec<String>> {
    let mut prepared = sql.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text))?;
    let mut rows = prepared.query(params_from_iter(&statement.parameters))?;
    let mut depths: Vec<(i64, usize)> = Vec::new();
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, parent): (i64, i64) = (row.get(0)?, row.get(1)?);
        let depth = depths.iter().find(|(id, _)| *id == parent).map_or(0, |(_, depth)| depth + 1);
        depths.push((id, depth));
        lines.push(format!("{}{}", "  ".repeat(depth), row.get::<_, String>(3)?));
    }
    Ok(lines)
}
