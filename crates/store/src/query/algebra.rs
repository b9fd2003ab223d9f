//! What a query becomes before it is SQL: joined sources, conditions on them, and what is made of the rows.
//!
//! A clause of any kind ends up as sources, conditions, or both. A clause that needs more than these two (a disjunction, a
//! negation) is a new kind of source or condition that holds a [`Block`] of its own.

use crate::query::ast::Function;
use crate::query::types::TypeSet;
use crate::types::{Entid, Value, ValueType};

/// A source, by its place among those of the whole query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceId(pub(crate) usize);

/// A column of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    E,
    A,
    V,
    Vt,
    Tx,
    /// The n-th value of a row of [`Source::Rows`].
    Given(usize),
    /// The type of the n-th value of a row of [`Source::Rows`].
    GivenType(usize),
}

/// Something that has a value in each row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Column(SourceId, Field),
    /// A value, which reaches SQLite as a bound parameter.
    Value(Value),
    /// A number of the schema's, which stands in the text so that SQLite sees which partial index applies.
    Entid(Entid),
    /// The entity that has this value of a unique attribute; null where none has.
    Lookup(Entid, Box<Expr>),
}

/// How the type of an expression's value is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Typing {
    Known(ValueType),
    /// It stands beside the value, and is one of these.
    Beside(Expr, TypeSet),
}

/// An expression and its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Typed {
    pub(crate) value: Expr,
    pub(crate) typing: Typing,
}

impl Typed {
    pub(crate) fn types(&self) -> TypeSet {
        match &self.typing {
            Typing::Known(value_type) => (*value_type).into(),
            Typing::Beside(_, types) => *types,
        }
    }
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// The current facts.
    Datoms,
    /// Rows that were given to the query. All have `width` values; each value has its type beside it.
    Rows { width: usize, rows: Vec<Vec<Value>> },
}

/// A comparison of two values, as SQLite does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A partial index of the datoms, by the term that makes SQLite consider it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// `aevt`: by attribute, of attributes that are not indexed.
    Aevt,
    /// `avet`: by attribute and value, of indexed attributes.
    Avet,
    /// `uniq`: by attribute and value, of unique attributes.
    Unique,
    /// `vaet`: by value, of refs.
    Vaet,
}

/// What holds in each row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Compare(Comparison, Expr, Expr),
    /// The type in this column is one of these.
    HasType(Expr, TypeSet),
    /// The row is in this index. True of all rows that the other conditions leave.
    Through(SourceId, Index),
    All(Vec<Condition>),
    Either(Vec<Condition>),
    Not(Box<Condition>),
}

/// Sources joined in the order in which they stand, and what holds of their rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) sources: Vec<(SourceId, Source)>,
    pub(crate) conditions: Vec<Condition>,
}

/// One column of the result. Numbers are places among the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// A cell; rows are grouped by it where there are aggregates.
    Cell(usize),
    /// A cell of the row where the one minimum or maximum is.
    The(usize),
    Aggregate(Function, usize),
}

/// What the result is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderBy {
    /// The n-th output.
    Output(usize),
    /// The n-th cell.
    Cell(usize),
}

/// A whole query: the set of `cells` over the rows of `block`, and what is made of that set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Select {
    pub(crate) block: Block,
    pub(crate) cells: Vec<Typed>,
    /// Whether two rows can have the same cells, so that SQLite has to look for them.
    pub(crate) repeats: bool,
    pub(crate) outputs: Vec<Output>,
    /// With whether it descends.
    pub(crate) order: Vec<(OrderBy, bool)>,
    pub(crate) limit: Option<i64>,
}

impl Select {
    /// Whether rows are grouped.
    pub(crate) fn aggregates(&self) -> bool {
        self.outputs.iter().any(|o| matches!(o, Output::Aggregate(..)))
    }
}
