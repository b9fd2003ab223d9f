//! Settling an entry: one transaction that says so, and does what is to be done about it.

use rusqlite::OptionalExtension;
use tolstoy_edn::{Form, FormKind, Keyword, Limits, Symbol};
use uuid::Uuid;

use crate::bootstrap::entids::JOURNAL_SETTLES;
use crate::core::Working;
use crate::core::sqlite::listed_in;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::propose::propose;
use crate::journal::{Entry, State};
use crate::store::Store;
use crate::transact::{self, TxReport};
use crate::types::{Entid, Value};

/// How an entry is settled.
#[derive(Debug, Clone, Copy)]
pub enum Settling<'f> {
    /// It is let go.
    Drop,
    /// What it proposes becomes fact.
    Apply,
    /// These forms become fact in its place.
    ApplyAs(&'f Form),
}

impl Store {
    /// Settles an entry of the journal, in one transaction that states the settlement and what is to become of the matter.
    /// One that is settled already is settled once more only where `again` says so.
    ///
    /// # Errors
    /// `Input` where the journal has no such entry; `Refused` where it is settled already, where what it proposes cannot be
    /// transacted as it is, and as for [`Store::transact`]. Nothing changes then. Only an error about [`Settling::ApplyAs`] has a
    /// place in a text.
    pub fn settle(&mut self, id: Uuid, how: Settling<'_>, again: bool) -> Result<TxReport> {
        let functions = self.functions.clone();
        self.write(|working, env, device| {
            let missing = || Error::new(ErrorKind::Input, format!("the journal has no entry {id}"));
            let entry = working.entry_of(id)?.ok_or_else(missing)?;
            if let Some(by) = entry.settled_by.last().filter(|_| !again && entry.state() == State::Settled) {
                return Err(Error::new(ErrorKind::Refused, format!("{id} is settled already, by transaction {by}")));
            }
            match how {
                Settling::Drop => transact::run(working, env, device, &functions, &settling(nothing(), id)),
                Settling::ApplyAs(forms) => {
                    check_blanks(forms, &propose(working, &entry)?.blanks)?;
                    transact::run(working, env, device, &functions, &settling(forms.clone(), id))
                }
                Settling::Apply => {
                    let text = proposed(working, &entry)?;
                    let forms = tolstoy_edn::read_one(&text, &Limits::default())?;
                    let result = transact::run(working, env, device, &functions, &settling(forms, id));
                    result.map_err(|error| in_form(error, &text))
                }
            }
        })
    }
}

/// The text of what an entry proposes, where nothing is known against it.
fn proposed(working: &Working<'_>, entry: &Entry) -> Result<String> {
    let proposal = propose(working, entry)?;
    if proposal.obstacles.is_empty() {
        return Ok(proposal.to_text());
    }
    let why = proposal.obstacles.join("; ");
    Err(Error::new(ErrorKind::Refused, format!("{} cannot be applied as it is: {why}", entry.id())))
}

/// An error about a text that nobody wrote: it shows the form.
fn in_form(error: Error, text: &str) -> Error {
    match error.span().and_then(|span| span.of(text)) {
        Some(form) => Error::new(error.kind(), format!("{error}, in {form}")),
        None => error,
    }
}

fn nothing() -> Form {
    Form { span: tolstoy_edn::Span::default(), kind: FormKind::Vector(Vec::new()) }
}

/// The transaction that settles an entry beside what it states. What is no vector of forms is refused as it is.
fn settling(mut forms: Form, id: Uuid) -> Form {
    let at = |kind| Form { span: forms.span, kind };
    let keyword = |text| Keyword::parse(text).map(|k| at(FormKind::Keyword(k)));
    let this = Symbol::parse("transaction-tx").map(|s| at(FormKind::Symbol(s))).into_iter().collect();
    let parts = [
        keyword("db/add"),
        Some(at(FormKind::List(this))),
        keyword("db.journal/settles"),
        Some(at(FormKind::Uuid(id))),
    ];
    let statement = at(FormKind::Vector(parts.into_iter().flatten().collect()));
    if let FormKind::Vector(stated) | FormKind::List(stated) = &mut forms.kind {
        stated.push(statement);
    }
    forms
}

/// Texts that stand for entities to be named must not become new entities.
fn check_blanks(forms: &Form, blanks: &[String]) -> Result<()> {
    match &forms.kind {
        FormKind::String(text) if blanks.iter().any(|blank| **blank == **text) => {
            Err(Error::new(ErrorKind::Refused, "put the entity that is meant in the place of this text").at(forms.span))
        }
        FormKind::List(all) | FormKind::Vector(all) | FormKind::Set(all) => {
            all.iter().try_for_each(|form| check_blanks(form, blanks))
        }
        FormKind::Map(pairs) => pairs.iter().try_for_each(|(key, value)| {
            check_blanks(key, blanks)?;
            check_blanks(value, blanks)
        }),
        _ => Ok(()),
    }
}

/// The transaction among those after `after` and up to `upto` that settled an entry, if one did.
pub(crate) fn settled_between(working: &Working<'_>, id: Uuid, after: Entid, upto: Entid) -> Result<Option<Entid>> {
    let indexed = working.schema.attribute(JOURNAL_SETTLES).is_some_and(|d| d.indexed());
    let find = format!(
        "SELECT e FROM datoms WHERE a = ?1 AND e > ?2 AND e <= ?3 AND v = ?4 AND {} LIMIT 1",
        listed_in(indexed)
    );
    let mut statement = working.sql.prepare_cached(&find)?;
    Ok(statement.query_row((JOURNAL_SETTLES, after, upto, Value::Uuid(id)), |r| r.get(0)).optional()?)
}
