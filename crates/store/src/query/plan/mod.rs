//! From a query, a schema and inputs to the algebra: names are looked up, types inferred, joins put in order.

mod constant;
mod given;
mod infer;
mod join;
mod pattern;
mod predicate;
mod project;

use std::collections::BTreeMap;

use tolstoy_edn::Symbol;

use crate::error::{Error, Result};
use crate::query::algebra::{Select, Typed};
use crate::query::ast::{Clause, Query, Variable};
use crate::schema::Schema;

use given::Given;
use infer::Types;
use join::Joined;
use pattern::Pattern;

/// The algebra of a query for these inputs.
///
/// # Errors
/// `Input`, with a place in the query, where it names what does not exist, contradicts itself in types, uses a variable
/// that nothing binds, or where the inputs do not fit.
pub(crate) fn plan(query: &Query, schema: &Schema, inputs: &[tolstoy_edn::Value]) -> Result<Select> {
    let given = Given::bind(query, inputs)?;
    let attributes = pattern::attributes(query, schema, &given)?;
    let mut types = Types::default();
    types.infer(query, &attributes, &given)?;
    let scalars = given.resolve_scalars(schema, &mut types)?;
    types.infer(query, &attributes, &given)?;
    let rows = given.resolve_rows(schema, &mut types)?;
    types.infer(query, &attributes, &given)?;

    let context = Context { schema, types, scalars };
    let mut patterns = Vec::new();
    for (pattern, attribute) in query.clauses.iter().filter_map(Clause::as_pattern).zip(attributes) {
        patterns.push(Joined::Pattern(Box::new(Pattern::resolve(pattern, attribute, &context)?)));
    }
    let (mut block, bindings) = join::join(&context, patterns, rows, &query.clauses, query.span)?;
    for predicate in query.clauses.iter().filter_map(Clause::as_predicate) {
        block.conditions.extend(predicate::conditions(predicate, &context, &bindings)?);
    }
    project::project(query, &given, &bindings, block)
}

/// What planning goes by once inputs have values and variables have types.
pub(crate) struct Context<'s> {
    pub(crate) schema: &'s Schema,
    pub(crate) types: Types,
    /// Variables that have one value, given with the query.
    pub(crate) scalars: BTreeMap<Symbol, Typed>,
}

/// Where the value of each variable is found, and what the joins guarantee.
pub(crate) struct Bindings<'s> {
    found: BTreeMap<Symbol, Typed>,
    sources: Vec<Joined<'s>>,
}

impl Bindings<'_> {
    pub(crate) fn of(&self, variable: &Variable) -> Result<&Typed> {
        self.found.get(&variable.name).ok_or_else(|| {
            Error::input(variable.span, format!("{variable} is not bound: no pattern and no input gives it a value"))
        })
    }
}

impl Clause {
    pub(crate) fn as_pattern(&self) -> Option<&crate::query::ast::Pattern> {
        match self {
            Self::Pattern(pattern) => Some(pattern),
            Self::Predicate(_) => None,
        }
    }

    pub(crate) fn as_predicate(&self) -> Option<&crate::query::ast::Predicate> {
        match self {
            Self::Predicate(predicate) => Some(predicate),
            Self::Pattern(_) => None,
        }
    }
}
