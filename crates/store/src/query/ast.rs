//! A query as it was written: nothing is looked up yet, everything knows its place in the text.

use std::fmt;

use tolstoy_edn::{Span, Symbol, Value as Edn};

/// A parsed query. It belongs to no store: idents and types are looked up when it runs.
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) find: Find,
    pub(crate) inputs: Vec<Input>,
    pub(crate) with: Vec<Variable>,
    pub(crate) clauses: Vec<Clause>,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<Limit>,
    pub(crate) span: Span,
}

/// `?x`, at one of the places where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: Symbol,
    pub(crate) span: Span,
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// A value in the query, or given to it; what it means depends on where it is used.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) value: Edn,
    pub(crate) span: Span,
}

/// What stands in a position of a pattern or among the arguments of a predicate.
#[derive(Debug, Clone)]
pub(crate) enum Term {
    /// `_`, or nothing: anything at all.
    Any,
    Variable(Variable),
    Constant(Constant),
}

impl Term {
    pub(crate) fn as_variable(&self) -> Option<&Variable> {
        match self {
            Self::Variable(variable) => Some(variable),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Find {
    pub(crate) spec: FindSpec,
    pub(crate) elements: Vec<Element>,
}

/// The shape that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FindSpec {
    /// `:find ?x ?y`
    Relation,
    /// `:find [?x ...]`
    Collection,
    /// `:find [?x ?y]`
    Tuple,
    /// `:find ?x .`
    Scalar,
}

/// One column of the result.
#[derive(Debug, Clone)]
pub(crate) enum Element {
    Variable(Variable),
    /// `(the ?x)`: the value in the row where the query's one `min` or `max` was found.
    The(Variable),
    Aggregate(Function, Variable),
}

impl Element {
    pub(crate) fn variable(&self) -> &Variable {
        match self {
            Self::Variable(v) | Self::The(v) | Self::Aggregate(_, v) => v,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(v) => v.fmt(f),
            Self::The(v) => write!(f, "(the {v})"),
            Self::Aggregate(function, v) => write!(f, "({} {v})", function.name()),
        }
    }
}

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
}

impl Function {
    pub(crate) const ALL: [Self; 6] = [Self::Count, Self::CountDistinct, Self::Sum, Self::Avg, Self::Min, Self::Max];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountDistinct => "count-distinct",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// What one of the values given to the query is bound to.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// `?x`
    Scalar(Variable),
    /// `[?x ...]`
    Collection(Variable),
    /// `[?x _ ?y]`
    Tuple(Vec<Option<Variable>>, Span),
    /// `[[?x _ ?y]]`
    Relation(Vec<Option<Variable>>, Span),
}

#[derive(Debug, Clone)]
pub(crate) enum Clause {
    Pattern(Pattern),
    Predicate(Predicate),
}

/// `[e a v tx]`. A reversed attribute has been turned round already.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) e: Term,
    pub(crate) a: Term,
    pub(crate) v: Term,
    pub(crate) tx: Term,
    pub(crate) span: Span,
}

/// `[(< ?x ?y)]`
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    pub(crate) operator: Operator,
    pub(crate) arguments: Vec<Term>,
    pub(crate) span: Span,
}

/// A predicate's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    /// `differ`: two entities that are not the same.
    Differ,
    /// `unpermute`: two entities in one of their two orders, so that each pair is found once.
    Unpermute,
    TxAfter,
    TxBefore,
}

impl Operator {
    pub(crate) const ALL: [Self; 10] = [
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Equal,
        Self::NotEqual,
        Self::Differ,
        Self::Unpermute,
        Self::TxAfter,
        Self::TxBefore,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Differ => "differ",
            Self::Unpermute => "unpermute",
            Self::TxAfter => "tx-after",
            Self::TxBefore => "tx-before",
        }
    }

    /// Whether more than two arguments mean that each pair of neighbours holds. Of those that are not equal, neighbours
    /// say nothing about the others, so these take two.
    pub(crate) const fn chains(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual | Self::Equal)
    }
}

/// One of the things that the result is ordered by.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// A variable, or an aggregate that is among the elements.
    pub(crate) by: Element,
    pub(crate) descending: bool,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Limit {
    Fixed(i64),
    Variable(Variable),
}
