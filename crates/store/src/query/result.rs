//! What a query answers.

use tolstoy_edn::Value as Edn;

use crate::query::ast::{FindSpec, Query};
use crate::types::Value;

/// A query's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryResult {
    /// The names of the columns as `:find` has them: `?name`, `(count ?x)`.
    pub columns: Vec<String>,
    /// The values, in the shape that `:find` asks for.
    pub shape: Shape,
}

/// The values of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `:find ?x ?y`: rows, each with a value for each column.
    Relation(Vec<Vec<Value>>),
    /// `:find [?x ...]`: the values of the one column.
    Collection(Vec<Value>),
    /// `:find [?x ?y]`: one row, if there is any.
    Tuple(Option<Vec<Value>>),
    /// `:find ?x .`: one value, if there is any.
    Scalar(Option<Value>),
}

impl QueryResult {
    pub(crate) fn new(query: &Query, rows: Vec<Vec<Value>>) -> Self {
        let columns = query.find.elements.iter().map(ToString::to_string).collect();
        let first = |rows: Vec<Vec<Value>>| rows.into_iter().next();
        let shape = match query.find.spec {
            FindSpec::Relation => Shape::Relation(rows),
            FindSpec::Collection => Shape::Collection(rows.into_iter().flatten().collect()),
            FindSpec::Tuple => Shape::Tuple(first(rows)),
            FindSpec::Scalar => Shape::Scalar(first(rows).and_then(|row| row.into_iter().next())),
        };
        Self { columns, shape }
    }

    /// The answer as EDN: a relation is a vector of vectors, a collection a vector, a tuple a vector or `nil`, a scalar
    /// bare or `nil`.
    pub fn to_edn(&self) -> Edn {
        let vector = |values: &[Value]| Edn::Vector(values.iter().map(Value::to_edn).collect());
        match &self.shape {
            Shape::Relation(rows) => Edn::Vector(rows.iter().map(|row| vector(row)).collect()),
            Shape::Collection(values) => vector(values),
            Shape::Tuple(row) => row.as_deref().map_or(Edn::Nil, vector),
            Shape::Scalar(value) => value.as_ref().map_or(Edn::Nil, Value::to_edn),
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.shape {
            Shape::Relation(rows) => rows.len(),
            Shape::Collection(values) => values.len(),
            Shape::Tuple(row) => usize::from(row.is_some()),
            Shape::Scalar(value) => usize::from(value.is_some()),
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
