//! Why a set of changes cannot become a transaction on the facts and the schema as they are.

use std::fmt;

use tolstoy_edn::Keyword;

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
    NoSuchEntity {
        e: Entid,
    },
    /// The value is not the one that `:db/cas` was to replace.
    Cas {
        e: Entid,
        a: Entid,
        expected: Option<Value>,
        found: Option<Value>,
    },
    Overflow {
        e: Entid,
        a: Entid,
    },
    /// Two operations, or one and a statement, that leave different values; `None` is no value.
    Disagree {
        e: Entid,
        a: Entid,
        first: Option<Value>,
        second: Option<Value>,
    },
    SeveralValues {
        a: Entid,
    },
    NotForType {
        a: Entid,
        operation: String,
        value_type: ValueType,
    },
    NotByOperation {
        a: Entid,
    },
    UnknownOperation {
        name: String,
    },
    /// A function refused, for a reason that it gave or that its call gives.
    Function {
        name: Keyword,
        why: String,
    },
    /// An entity that was made for operations, about which they state nothing.
    Idle {
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
            Self::NoSuchEntity { e } => format!("entity {e} does not exist"),
            Self::Cas { e, a, expected, found } => {
                let [expected, found] = [expected, found].map(|v| v.as_ref().map_or("nil".to_owned(), brief));
                format!("{} of {} is {found}, not {expected} as :db/cas expects", name(a), name(e))
            }
            Self::Overflow { e, a } => format!("{} of {} would be beyond what its type can hold", name(a), name(e)),
            Self::Disagree { e, a, first, second } => {
                let [first, second] = [first, second].map(|v| v.as_ref().map_or("nil".to_owned(), brief));
                format!("{} of {} would be both {first} and {second}", name(a), name(e))
            }
            Self::SeveralValues { a } => {
                format!("operations are for attributes of cardinality one, and {} can have several values", name(a))
            }
            Self::NotForType { a, operation, value_type } => {
                let types = if operation == ":db/inc" { "longs and doubles" } else { "longs, doubles and instants" };
                format!("{operation} is for {types}; {} takes values of type {value_type}", name(a))
            }
            Self::NotByOperation { a } => {
                format!("{} is part of the schema or of the log: it is stated, not left to an operation", name(a))
            }
            Self::UnknownOperation { name } => format!("this program knows no operation {name}"),
            Self::Function { name, why } => format!("{name} refused: {why}"),
            Self::Idle { e } => format!("nothing is stated about the new entity {e}"),
        }
    }
}

impl Refusal {
    /// Whether an operation is what cannot be, rather than what it came to.
    pub(crate) const fn is_of_operation(&self) -> bool {
        matches!(
            self,
            Self::NoSuchEntity { .. }
                | Self::Cas { .. }
                | Self::Overflow { .. }
                | Self::Disagree { .. }
                | Self::SeveralValues { .. }
                | Self::NotForType { .. }
                | Self::NotByOperation { .. }
                | Self::UnknownOperation { .. }
                | Self::Function { .. }
                | Self::Idle { .. }
        )
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
