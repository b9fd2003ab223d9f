//! What is made of the joined rows: the set of cells, aggregates, order and limit.

use std::collections::BTreeSet;

use tolstoy_edn::Symbol;

use crate::error::{Error, Result};
use crate::query::algebra::{Block, OrderBy, Output, Select, Typed};
use crate::query::ast::{Element, FindSpec, Function, Limit, Order, Query, Variable};
use crate::query::plan::Bindings;
use crate::query::plan::constant::short;
use crate::query::plan::given::Given;
use crate::query::plan::join::Joined;
use crate::query::plan::pattern::Slot;
use crate::query::types::TypeSet;

pub(crate) fn project(query: &Query, given: &Given, bindings: &Bindings<'_>, block: Block) -> Result<Select> {
    let mut cells = Cells { bindings, names: Vec::new(), cells: Vec::new() };
    let elements = &query.find.elements;
    let mut outputs = Vec::with_capacity(elements.len());
    for element in elements {
        let cell = cells.add(element.variable())?;
        outputs.push(match element {
            Element::Variable(_) => Output::Cell(cell),
            Element::The(_) => Output::The(cell),
            Element::Aggregate(function, variable) => {
                check_aggregate(*function, variable, bindings.of(variable)?.types())?;
                Output::Aggregate(*function, cell)
            }
        });
    }
    check_the(elements)?;
    for variable in &query.with {
        cells.add(variable)?;
    }
    let aggregates = outputs.iter().any(|o| matches!(o, Output::Aggregate(..)));
    let order = query.order.iter().map(|o| Ok((order_by(o, elements, &mut cells, aggregates)?, o.descending)));
    let order = order.collect::<Result<Vec<_>>>()?;
    let one = matches!(query.find.spec, FindSpec::Scalar | FindSpec::Tuple);
    let mut limit = query.limit.as_ref().map(|l| resolve_limit(l, given)).transpose()?;
    if one {
        limit = Some(limit.unwrap_or(1).min(1));
    }
    // One row is the same whether or not it would come again, unless it is counted.
    let repeats = (aggregates || !one) && repeats(bindings, &cells.names);
    Ok(Select { block, cells: cells.cells, repeats, outputs, order, limit })
}

/// The variables that the result is a set of.
struct Cells<'b> {
    bindings: &'b Bindings<'b>,
    names: Vec<Symbol>,
    cells: Vec<Typed>,
}

impl Cells<'_> {
    fn add(&mut self, variable: &Variable) -> Result<usize> {
        if let Some(n) = self.names.iter().position(|name| *name == variable.name) {
            return Ok(n);
        }
        self.cells.push(self.bindings.of(variable)?.clone());
        self.names.push(variable.name.clone());
        Ok(self.names.len() - 1)
    }
}

fn check_aggregate(function: Function, variable: &Variable, types: TypeSet) -> Result<()> {
    let error = |message: String| Err(Error::input(variable.span, message));
    match function {
        Function::Count | Function::CountDistinct => Ok(()),
        Function::Sum | Function::Avg if types.and(TypeSet::NUMBERS).is_none() => {
            error(format!("({} {variable}) needs numbers, and {variable} is {types}", function.name()))
        }
        Function::Sum | Function::Avg | Function::Min | Function::Max if types.single().is_none() => {
            let name = function.name();
            error(format!(
                "({name} {variable}) needs values of one type, and {variable} is {types}: name the attribute"
            ))
        }
        _ => Ok(()),
    }
}

/// `(the ?x)` means a row, so exactly one aggregate must have found one.
fn check_the(elements: &[Element]) -> Result<()> {
    let Some(the) = elements.iter().find(|e| matches!(e, Element::The(_))) else { return Ok(()) };
    let finds = |e: &&Element| matches!(e, Element::Aggregate(Function::Min | Function::Max, _));
    if elements.iter().filter(finds).count() == 1 {
        return Ok(());
    }
    let message =
        format!("{the} is the value where a minimum or maximum is: the query needs exactly one (min ...) or (max ...)");
    Err(Error::input(the.variable().span, message))
}

fn order_by(order: &Order, elements: &[Element], cells: &mut Cells<'_>, aggregates: bool) -> Result<OrderBy> {
    let same = |e: &Element| match (e, &order.by) {
        (Element::Variable(x) | Element::The(x), Element::Variable(y)) => x.name == y.name,
        (Element::Aggregate(f, x), Element::Aggregate(g, y)) => f == g && x.name == y.name,
        _ => false,
    };
    match (elements.iter().position(same), &order.by) {
        (Some(n), _) => Ok(OrderBy::Output(n)),
        (None, Element::Variable(variable)) if !aggregates => cells.add(variable).map(OrderBy::Cell),
        (None, by) => Err(Error::input(
            order.span,
            format!("{by} is not among the elements of :find, so rows have no {by} to be ordered by"),
        )),
    }
}

fn resolve_limit(limit: &Limit, given: &Given) -> Result<i64> {
    match limit {
        Limit::Fixed(n) => Ok(*n),
        Limit::Variable(variable) => {
            let input = given.scalars.get(&variable.name).ok_or_else(|| {
                Error::input(
                    variable.span,
                    format!(":limit takes an integer or a single value of :in, and {variable} is not that"),
                )
            })?;
            input.1.value.as_i64().filter(|n| *n >= 0).ok_or_else(|| {
                let value = short(&input.1.value);
                Error::input(variable.span, format!("the input {variable}: a limit is an integer from 0, not {value}"))
            })
        }
    }
}

/// Whether two joined rows can agree in all cells. They cannot where the cells determine the row of every source: by its
/// entity and a cardinality-one attribute, by a unique attribute and its value, or by all of it.
fn repeats(bindings: &Bindings<'_>, cells: &[Symbol]) -> bool {
    let mut determined: BTreeSet<Symbol> = cells.iter().cloned().collect();
    let mut open: Vec<&Joined<'_>> = bindings.sources.iter().collect();
    loop {
        let before = open.len();
        open.retain(|source| match source {
            Joined::Rows(rows) => !rows.columns.iter().all(|c| determined.contains(c)),
            Joined::Pattern(pattern) => {
                let known = |slot: &Slot| slot.is_known(&determined);
                let one = pattern.attribute.is_some_and(|(_, a)| a.is_one());
                let unique = pattern.attribute.is_some_and(|(_, a)| a.unique().is_some());
                let (e, a, v) = (known(&pattern.e), known(&pattern.a), known(&pattern.v));
                let row = (e && a && (v || one)) || (a && v && unique);
                if row {
                    determined.extend(pattern.variables().cloned());
                }
                !row
            }
        });
        if open.is_empty() || open.len() == before {
            return !open.is_empty();
        }
    }
}
