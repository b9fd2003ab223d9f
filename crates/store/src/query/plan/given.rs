//! The inputs: what `:in` names and what was given for it.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::{Symbol, Value as Edn};

use crate::error::{Error, Result};
use crate::query::algebra::{Typed, Typing};
use crate::query::ast::{Constant, Input, Query, Variable};
use crate::query::plan::constant::{resolve, resolve_value, short};
use crate::query::plan::infer::Types;
use crate::query::types::TypeSet;
use crate::schema::Schema;
use crate::types::Value;

/// Inputs by the variables that they bind, not yet typed.
pub(crate) struct Given {
    pub(crate) scalars: BTreeMap<Symbol, (Variable, Constant)>,
    pub(crate) relations: Vec<Relation>,
}

/// Rows of values for these variables.
pub(crate) struct Relation {
    pub(crate) columns: Vec<Variable>,
    pub(crate) rows: Vec<Vec<Constant>>,
}

/// The rows of a [`Relation`] as facts' values; no two are equal.
pub(crate) struct Rows {
    pub(crate) columns: Vec<Symbol>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Given {
    /// Matches the values given to the query with its `:in`.
    pub(crate) fn bind(query: &Query, values: &[Edn]) -> Result<Self> {
        check_count(query, values)?;
        let mut given = Self { scalars: BTreeMap::new(), relations: Vec::new() };
        for (input, value) in query.inputs.iter().zip(values) {
            match input {
                Input::Scalar(variable) => given.scalar(variable, value),
                Input::Tuple(slots, span) => {
                    let values = elements(value, Some(slots.len()))
                        .ok_or_else(|| Error::input(*span, expected_tuple(slots.len(), value)))?;
                    for (slot, value) in slots.iter().zip(values) {
                        if let Some(variable) = slot {
                            given.scalar(variable, value);
                        }
                    }
                }
                Input::Collection(variable) => {
                    let values = elements(value, None).ok_or_else(|| {
                        let message = format!("[{variable} ...] takes a vector of values, not {}", short(value));
                        Error::input(variable.span, message)
                    })?;
                    let rows = values.into_iter().map(|v| vec![constant(variable, v)]).collect();
                    given.relations.push(Relation { columns: vec![variable.clone()], rows });
                }
                Input::Relation(slots, span) => given.relations.push(relation(slots, value).ok_or_else(|| {
                    Error::input(*span, format!("this takes a vector of vectors of {} values each", slots.len()))
                })?),
            }
        }
        Ok(given)
    }

    fn scalar(&mut self, variable: &Variable, value: &Edn) {
        self.scalars.insert(variable.name.clone(), (variable.clone(), constant(variable, value)));
    }

    /// Gives scalars the types that their use asks for.
    pub(crate) fn resolve_scalars(&self, schema: &Schema, types: &mut Types) -> Result<BTreeMap<Symbol, Typed>> {
        let mut scalars = BTreeMap::new();
        for (name, (variable, constant)) in &self.scalars {
            let (value_type, value) = resolve(constant, types.of(name), schema)
                .map_err(|e| Error::input(variable.span, format!("the input {variable}: {e}")))?;
            types.narrow(variable, value_type.into())?;
            scalars.insert(name.clone(), Typed { value, typing: Typing::Known(value_type) });
        }
        Ok(scalars)
    }

    /// Gives the values of collections and relations the types that their use asks for.
    pub(crate) fn resolve_rows(&self, schema: &Schema, types: &mut Types) -> Result<Vec<Rows>> {
        let mut resolved = Vec::new();
        for relation in &self.relations {
            let mut rows = BTreeSet::new();
            for row in &relation.rows {
                let values = relation.columns.iter().zip(row).map(|(variable, constant)| {
                    resolve_value(constant, types.of(&variable.name), schema)
                        .map_err(|e| Error::input(variable.span, format!("the input {variable}: {e}")))
                });
                rows.insert(values.collect::<Result<Vec<_>>>()?);
            }
            for (n, variable) in relation.columns.iter().enumerate() {
                let used = rows.iter().filter_map(|row| row.get(n)).map(|v| v.value_type().into());
                if let Some(used) = used.reduce(TypeSet::or) {
                    types.narrow(variable, used)?;
                }
            }
            let columns = relation.columns.iter().map(|v| v.name.clone()).collect();
            resolved.push(Rows { columns, rows: rows.into_iter().collect() });
        }
        Ok(resolved)
    }
}

fn check_count(query: &Query, values: &[Edn]) -> Result<()> {
    if query.inputs.len() == values.len() {
        return Ok(());
    }
    let names: Vec<_> = query.inputs.iter().map(ToString::to_string).collect();
    let takes = match names.len() {
        0 => "takes no inputs (it has no :in)".to_owned(),
        1 => format!("takes one input, {}", names.join(" ")),
        n => format!("takes {n} inputs, {}", names.join(" ")),
    };
    let missing = query.inputs.get(values.len()).and_then(|i| i.variables().next());
    let span = missing.map_or(query.span, |v| v.span);
    Err(Error::input(span, format!("the query {takes}, and {} given", were(values.len()))))
}

fn were(n: usize) -> String {
    match n {
        0 => "none was".to_owned(),
        1 => "one was".to_owned(),
        n => format!("{n} were"),
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slots = |slots: &[Option<Variable>]| {
            slots.iter().map(|s| s.as_ref().map_or("_".to_owned(), ToString::to_string)).collect::<Vec<_>>().join(" ")
        };
        match self {
            Self::Scalar(v) => write!(f, "{v}"),
            Self::Collection(v) => write!(f, "[{v} ...]"),
            Self::Tuple(vs, _) => write!(f, "[{}]", slots(vs)),
            Self::Relation(vs, _) => write!(f, "[[{}]]", slots(vs)),
        }
    }
}

fn constant(variable: &Variable, value: &Edn) -> Constant {
    Constant { value: value.clone(), span: variable.span }
}

fn elements(value: &Edn, count: Option<usize>) -> Option<Vec<&Edn>> {
    let elements: Vec<_> = match value {
        Edn::Vector(items) | Edn::List(items) => items.iter().collect(),
        Edn::Set(items) if count.is_none() => items.iter().collect(),
        _ => return None,
    };
    count.is_none_or(|n| n == elements.len()).then_some(elements)
}

fn expected_tuple(count: usize, value: &Edn) -> String {
    format!("this takes a vector of {count} values, not {}", short(value))
}

fn relation(slots: &[Option<Variable>], value: &Edn) -> Option<Relation> {
    let rows = elements(value, None)?.into_iter().map(|row| {
        let values = elements(row, Some(slots.len()))?;
        Some(slots.iter().zip(values).filter_map(|(slot, v)| slot.as_ref().map(|s| constant(s, v))).collect())
    });
    let rows = rows.collect::<Option<Vec<_>>>()?;
    Some(Relation { columns: slots.iter().flatten().cloned().collect(), rows })
}
