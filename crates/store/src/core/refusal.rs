//! Why a set of changes cannot become a transaction on the facts and the schema as they are.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::schema::Schema;
use crate::types::{Entid, Value, ValueType};

/// An expected outcome, not a failure of the store: the transactor reports it, a rebase displaces the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownAttribute {
        a: Entid,
    },
    WrongType {
        a: Entid,
        wants: ValueType,
        value: Value,
    },
    TwoValues {
        e: Entid,
        a: Entid,
        first: Value,
        second: Value,
    },
    AddAndRetract {
        e: Entid,
        a: Entid,
        v: Value,
    },
    Unique {
        e: Entid,
        a: Entid,
        v: Value,
        holder: Entid,
    },
    Core {
        e: Entid,
    },
    /// `why` is a whole sentence: it names the attribute as the changes would have it named.
    Definition {
        e: Entid,
        why: String,
    },
    Instant {
        why: String,
    },
    NoSuchTransaction {
        e: Entid,
    },
}

impl Refusal {
    /// The sentence for people, with idents where the schema knows them.
    pub(crate) fn explain(&self, schema: &Schema) -> String {
        let name = |e: &Entid| schema.name(*e);
        let brief = |v: &Value| brief(&v.to_string());
        match self {
            Self::UnknownAttribute { a } => format!("{} is not an attribute", name(a)),
            Self::WrongType { a, wants, value } => {
                format!("{} takes values of type {wants}, not {} ({})", name(a), brief(value), value.value_type())
            }
            Self::TwoValues { e, a, first, second } => {
                format!(
                    "{} holds one value, but {} is given two: {} and {}",
                    name(a),
                    name(e),
                    brief(first),
                    brief(second)
                )
            }
            Self::AddAndRetract { e, a, v } => {
                format!("[{} {} {}] is both asserted and retracted in one transaction", name(e), name(a), brief(v))
            }
            Self::Unique { e, a, v, holder } => {
                format!(
                    "{} {} is unique and belongs to entity {}, so entity {} cannot take it",
                    name(a),
                    brief(v),
                    name(holder),
                    name(e)
                )
            }
            Self::Core { e } => format!("{} belongs to the core schema, which cannot be changed", name(e)),
            Self::Definition { why, .. } | Self::Instant { why } => why.clone(),
            Self::NoSuchTransaction { e } => format!("there is no transaction {e}"),
        }
    }
}

/// The beginning of a long text: a value may have megabytes, and a carrier keeps what is said about it for ever.
fn brief(text: &str) -> String {
    const LONG: usize = 200;
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Either an expected refusal or a failure of the store.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Refusal),
    Error(Error),
}

impl Failure {
    /// The failure as an error for a caller to whom a refusal is one.
    pub(crate) fn into_error(self, schema: &Schema) -> Error {
        match self {
            Self::Refused(refusal) => Error::new(ErrorKind::Refused, refusal.explain(schema)),
            Self::Error(error) => error,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Error(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "{refusal:?}"),
            Self::Error(error) => error.fmt(f),
        }
    }
}
