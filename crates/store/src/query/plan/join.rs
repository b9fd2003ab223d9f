//! Joins: the order of the sources, and where each variable's value is found.
//!
//! SQLite knows nothing about an attribute's cardinality or uniqueness and keeps no statistics here, so it takes an
//! attribute's whole column for as small as one entity's value of it. The order is therefore put together here, and SQLite
//! keeps to it; which index serves each source is then plain.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::{Span, Symbol};

use crate::error::{Error, Result};
use crate::query::algebra::{Block, Comparison, Condition, Expr, Field, Source, SourceId, Typed, Typing};
use crate::query::ast::Clause;
use crate::query::plan::given::Rows;
use crate::query::plan::pattern::{Pattern, Slot};
use crate::query::plan::{Bindings, Context, predicate};
use crate::query::types::TypeSet;

/// SQLite joins as many.
const MAX_SOURCES: usize = 64;

/// With more sources than this, not every one is tried as the first.
const MAX_TRIED: usize = 8;

/// What is known about variables at one point of the join order.
#[derive(Clone)]
pub(crate) struct Known {
    /// Variables that the sources so far give a value to.
    pub(crate) variables: BTreeSet<Symbol>,
    /// Variables that a predicate sets equal to a known value.
    pub(crate) equated: BTreeSet<Symbol>,
    /// Variables that a predicate bounds by a known value.
    pub(crate) ranged: BTreeSet<Symbol>,
}

/// A way to a pattern's facts that has to be pointed out to SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the index of this name.
    Aevt,
    /// Through the index of this name.
    Avet,
    /// Through the index of this name.
    Unique,
    /// Through the index of this name.
    Vaet,
    /// By an attribute of which it is not known before whether it is indexed: through `aevt` or `avet`.
    Listed,
}

/// A guess about joining one source next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// How many rows SQLite reads for each row so far.
    pub(crate) cost: f64,
    /// How many of them are left.
    pub(crate) rows: f64,
    pub(crate) way: Option<Way>,
}

/// A source before it has become algebra.
pub(crate) enum Joined<'s> {
    Pattern(Box<Pattern<'s>>),
    Rows(Rows),
}

impl Joined<'_> {
    fn step(&self, known: &Known) -> Step {
        match self {
            Self::Pattern(pattern) => pattern.step(known),
            Self::Rows(rows) => {
                let cost = rows.rows.len() as f64;
                let filters = rows.columns.iter().all(|c| known.variables.contains(c));
                Step { cost, rows: if filters { 0.5 } else { cost }, way: None }
            }
        }
    }

    /// The variables of this source and the columns that they stand in.
    fn variables(&self, source: SourceId, context: &Context<'_>) -> Vec<(Symbol, Typed)> {
        match self {
            Self::Pattern(pattern) => {
                let variables = pattern.slots().into_iter().filter_map(|(slot, field)| match slot {
                    Slot::Variable(name) => Some((name.clone(), pattern.column(source, field))),
                    _ => None,
                });
                variables.collect()
            }
            Self::Rows(rows) => {
                let typed = rows.columns.iter().enumerate().map(|(n, name)| {
                    let types = context.types.of(name);
                    let typing = match types.single() {
                        Some(value_type) => Typing::Known(value_type),
                        None => Typing::Beside(Expr::Column(source, Field::GivenType(n)), types),
                    };
                    (name.clone(), Typed { value: Expr::Column(source, Field::Given(n)), typing })
                });
                typed.collect()
            }
        }
    }
}

/// Joins patterns and given rows.
pub(crate) fn join<'s>(
    context: &Context<'s>,
    patterns: Vec<Joined<'s>>,
    rows: Vec<Rows>,
    clauses: &[Clause],
    query: Span,
) -> Result<(Block, Bindings<'s>)> {
    let sources: Vec<_> = rows.into_iter().map(Joined::Rows).chain(patterns).collect();
    if sources.len() > MAX_SOURCES {
        let message = format!("the query joins {} patterns and collections; {MAX_SOURCES} is the most", sources.len());
        return Err(Error::input(query, message));
    }
    let (equated, ranged) = predicate::bounds(clauses, context);
    let known = Known { variables: context.scalars.keys().cloned().collect(), equated, ranged };
    let ordered = in_order(sources, &known);
    let mut block = Block::default();
    let mut found = context.scalars.clone();
    for (n, (source, way)) in ordered.iter().enumerate() {
        let id = SourceId(n);
        if let Joined::Pattern(pattern) = source {
            block.conditions.extend(pattern.conditions(id));
            block.conditions.extend(way.map(|way| pattern.along(way, id, &found)));
        }
        for (name, typed) in source.variables(id, context) {
            bind(&mut found, &mut block, context.types.of(&name), name, typed);
        }
        let source = match source {
            Joined::Pattern(_) => Source::Datoms,
            Joined::Rows(rows) => Source::Rows { width: rows.columns.len(), rows: rows.rows.clone() },
        };
        block.sources.push((id, source));
    }
    let sources = ordered.into_iter().map(|(source, _)| source).collect();
    Ok((block, Bindings { found, sources }))
}

/// The sources in the order in which they are joined, each with the way to point out.
fn in_order<'s>(sources: Vec<Joined<'s>>, known: &Known) -> Vec<(Joined<'s>, Option<Way>)> {
    let all = if sources.len() <= MAX_TRIED { sources.len() } else { 1 };
    let tried = (0..all).map(|n| order(&sources, known, (sources.len() <= MAX_TRIED).then_some(n)));
    let best = tried.min_by(|(x, _), (y, _)| x.total_cmp(y)).map(|(_, order)| order).unwrap_or_default();
    let mut sources: Vec<_> = sources.into_iter().map(Some).collect();
    best.into_iter().filter_map(|(n, way)| Some((sources.get_mut(n)?.take()?, way))).collect()
}

/// An order and how many rows SQLite reads in it, by our guess. After `first`, if that is given, the source that reads
/// least is always next; of several, the one that leaves least; of these, the one that was written first.
fn order(sources: &[Joined<'_>], known: &Known, first: Option<usize>) -> (f64, Vec<(usize, Option<Way>)>) {
    let mut known = known.clone();
    let mut left: Vec<usize> = (0..sources.len()).collect();
    let mut ordered = Vec::with_capacity(sources.len());
    let (mut total, mut rows) = (0.0, 1.0);
    loop {
        let steps = left.iter().enumerate().filter(|(_, n)| !ordered.is_empty() || first.is_none_or(|f| f == **n));
        let steps = steps.filter_map(|(place, n)| Some((place, *n, sources.get(*n)?)));
        let steps = steps.map(|(place, n, source)| (place, n, source, source.step(&known)));
        let cheapest = steps.min_by(|(.., x), (.., y)| x.cost.total_cmp(&y.cost).then(x.rows.total_cmp(&y.rows)));
        let Some((place, n, source, step)) = cheapest else { return (total, ordered) };
        left.remove(place);
        total += rows * step.cost;
        rows *= step.rows;
        match source {
            Joined::Rows(rows) => known.variables.extend(rows.columns.iter().cloned()),
            Joined::Pattern(pattern) => known.variables.extend(pattern.variables().cloned()),
        }
        ordered.push((n, step.way));
    }
}

/// Takes in one more place where a variable stands: the first gives it its value, each later one must equal it.
fn bind(found: &mut BTreeMap<Symbol, Typed>, block: &mut Block, types: TypeSet, name: Symbol, place: Typed) {
    let first = found.get(&name);
    match (types.single(), &place.typing) {
        (Some(value_type), Typing::Beside(beside, _)) => {
            block.conditions.push(Condition::HasType(beside.clone(), value_type.into()));
        }
        (None, Typing::Beside(beside, _)) => match first.map(|f| &f.typing) {
            Some(Typing::Beside(other, _)) => {
                block.conditions.push(Condition::Compare(Comparison::Equal, beside.clone(), other.clone()));
            }
            _ if types != TypeSet::ALL => block.conditions.push(Condition::HasType(beside.clone(), types)),
            _ => {}
        },
        (_, Typing::Known(_)) => {}
    }
    match first {
        Some(first) => {
            let (here, there) = (place.value, first.value.clone());
            block.conditions.push(Condition::Compare(Comparison::Equal, here, there));
        }
        None => {
            let typing = types.single().map_or(place.typing, Typing::Known);
            found.insert(name, Typed { value: place.value, typing });
        }
    }
}
