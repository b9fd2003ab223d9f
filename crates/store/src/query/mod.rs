//! Datalog queries: `docs/query.md`.
//!
//! A query goes one way. `parse` makes a [`Query`] of a form; `plan` looks up names, infers types, orders the joins, and
//! makes the algebra; `sql` writes that as one statement; `rows` runs it. A new kind of clause is a variant of
//! `ast::Clause`, its parser in `parse/clause.rs`, and a file in `plan/` with what it says about types and what sources and
//! conditions it becomes.

mod algebra;
mod ast;
mod parse;
mod plan;
mod result;
mod rows;
mod sql;
mod types;

use tolstoy_edn::{Form, Limits, Value as Edn, read_one};

use crate::core::Working;
use crate::error::Result;
use crate::schema::Schema;
use crate::store::Store;

pub use ast::Query;
pub use result::{QueryResult, Shape};

/// A query's text has at most as many bytes. Collections are given as inputs.
const MAX_TEXT: u32 = 1 << 20;

impl Store {
    /// Answers a query, from one snapshot of the facts and of the schema that they have. `inputs` are the values for its
    /// `:in`, `$` left out.
    ///
    /// # Errors
    /// `Input`, with a place in the text, where the text is no query, names what does not exist, or does not fit the
    /// schema or the inputs, or is more than one statement can be; `Refused` where a sum overflows; else where the file
    /// cannot be read.
    pub fn query(&self, text: &str, inputs: &[Edn]) -> Result<QueryResult> {
        self.query_form(&read(text)?, inputs)
    }

    /// Answers a query that has been read already.
    ///
    /// # Errors
    /// As for [`Store::query`].
    pub fn query_form(&self, form: &Form, inputs: &[Edn]) -> Result<QueryResult> {
        self.answer(&Query::parse(form)?, inputs)
    }

    /// Answers a query that has been parsed already.
    ///
    /// # Errors
    /// As for [`Store::query`].
    pub fn answer(&self, query: &Query, inputs: &[Edn]) -> Result<QueryResult> {
        self.read(|working| {
            let statement = statement(query, &working.schema, inputs)?;
            Ok(QueryResult::new(query, rows::run(working.sql, &statement)?))
        })
    }

    /// The SQL that answers a query and, a line for each step, how SQLite goes about it.
    ///
    /// # Errors
    /// As for [`Store::query`].
    pub fn explain(&self, text: &str, inputs: &[Edn]) -> Result<String> {
        let query = Query::parse(&read(text)?)?;
        self.read(|working| {
            let statement = statement(&query, &working.schema, inputs)?;
            let mut lines = vec![statement.text.clone()];
            lines.extend(rows::explain_plan(working.sql, &statement)?);
            Ok(lines.join("\n"))
        })
    }
}

/// Answers a query on the facts as they stand inside a SQLite transaction.
pub(crate) fn answer_in(working: &Working<'_>, text: &str, inputs: &[Edn]) -> Result<QueryResult> {
    let query = Query::parse(&read(text)?)?;
    let statement = statement(&query, &working.schema, inputs)?;
    Ok(QueryResult::new(&query, rows::run(working.sql, &statement)?))
}

fn statement(query: &Query, schema: &Schema, inputs: &[Edn]) -> Result<sql::Statement> {
    sql::render(&plan::plan(query, schema, inputs)?).map_err(|e| e.at(query.span))
}

fn read(text: &str) -> Result<Form> {
    let limits = Limits { max_bytes: MAX_TEXT, ..Limits::default() };
    Ok(read_one(text, &limits)?)
}
