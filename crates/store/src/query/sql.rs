//! From the algebra to SQL. Values never become text: they are bound.

use std::fmt::Write;

use crate::error::{Error, ErrorKind, Result};
use crate::query::algebra::{
    Comparison, Condition, Expr, Field, Index, OrderBy, Output, Select, Source, SourceId, Typed, Typing,
};
use crate::query::ast::Function;
use crate::query::types::TypeSet;
use crate::types::{Value, ValueType};

/// SQLite binds 32,766 parameters at most.
const MAX_PARAMETERS: usize = 32_766;
/// SQLite nests expressions 1,000 deep, and counts each term of a conjunction as one more.
const MAX_CONDITIONS: usize = 900;

/// One SQL statement.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) parameters: Vec<Value>,
    pub(crate) columns: Vec<Column>,
}

/// How a column of the result is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Known(ValueType),
    /// The next column holds its type.
    TypeBeside,
}

impl Column {
    /// How many columns of the statement it takes.
    const fn width(&self) -> usize {
        match self {
            Self::Known(_) => 1,
            Self::TypeBeside => 2,
        }
    }
}

/// The statement that answers a query.
///
/// # Errors
/// `Input` where the query is beyond what SQLite can do in one statement.
pub(crate) fn render(select: &Select) -> Result<Statement> {
    if select.block.conditions.len() > MAX_CONDITIONS {
        let message = "the query has too many clauses for one statement: take some away, or ask in two steps";
        return Err(Error::new(ErrorKind::Input, message));
    }
    let mut writer = Writer::default();
    let select_columns = writer.select(select)?;
    if writer.parameters.len() > MAX_PARAMETERS {
        let message = format!(
            "the query is given {} values; {MAX_PARAMETERS} is the most: ask in several steps",
            writer.parameters.len()
        );
        return Err(Error::new(ErrorKind::Input, message));
    }
    Ok(Statement { text: writer.text, parameters: writer.parameters, columns: select_columns })
}

#[derive(Default)]
struct Writer {
    text: String,
    parameters: Vec<Value>,
}

/// A cell where outputs and order refer to it.
enum Cell<'a> {
    /// The cell's own expression.
    Here(&'a Typed),
    /// A column of the subquery that has removed repeats: `x` and this number, its type in `t` and this number.
    Below(usize, &'a Typed),
}

impl Cell<'_> {
    const fn typed(&self) -> &Typed {
        match self {
            Self::Here(typed) | Self::Below(_, typed) => typed,
        }
    }

    fn has_type_beside(&self) -> bool {
        matches!(self.typed().typing, Typing::Beside(..))
    }
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{number}");
    }

    fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        between: &str,
        mut each: impl FnMut(&mut Self, T) -> Result<()>,
    ) -> Result<()> {
        for (n, item) in items.into_iter().enumerate() {
            if n > 0 {
                self.push(between);
            }
            each(self, item)?;
        }
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<Vec<Column>> {
        let all_cells_out =
            (0..select.cells.len()).all(|n| select.outputs.contains(&Output::Cell(n)) && !select.aggregates());
        let nested = select.repeats && !all_cells_out;
        let cells: Vec<Cell<'_>> = select
            .cells
            .iter()
            .enumerate()
            .map(|(n, typed)| if nested { Cell::Below(n, typed) } else { Cell::Here(typed) })
            .collect();
        self.push(if select.repeats && !nested { "SELECT DISTINCT " } else { "SELECT " });
        let columns = self.outputs(select, &cells)?;
        if nested {
            self.push(" FROM (SELECT DISTINCT ");
            self.list(select.cells.iter().enumerate(), ", ", |w, (n, typed)| {
                w.expr(&typed.value)?;
                w.push(" AS x");
                w.number(n);
                if let Typing::Beside(beside, _) = &typed.typing {
                    w.push(", ");
                    w.expr(beside)?;
                    w.push(" AS t");
                    w.number(n);
                }
                Ok(())
            })?;
            self.body(select)?;
            self.push(")");
        } else {
            self.body(select)?;
        }
        if select.aggregates() {
            self.group(select, &cells)?;
        }
        self.order(select, &cells, &columns)?;
        if let Some(limit) = select.limit {
            self.push(" LIMIT ");
            self.parameter(Value::Long(limit));
        }
        Ok(columns)
    }

    fn outputs(&mut self, select: &Select, cells: &[Cell<'_>]) -> Result<Vec<Column>> {
        let mut columns = Vec::with_capacity(select.outputs.len());
        let grouped = select.outputs.iter().any(|o| matches!(o, Output::Cell(_)));
        self.list(&select.outputs, ", ", |w, output| {
            let (Output::Cell(n) | Output::The(n) | Output::Aggregate(_, n)) = output;
            let cell = cells.get(*n).ok_or_else(|| Error::damaged("a query's output has no cell"))?;
            columns.push(match output {
                Output::Aggregate(function, _) => {
                    w.aggregate(*function, cell, grouped)?;
                    Column::Known(aggregate_type(*function, cell.typed())?)
                }
                Output::Cell(_) | Output::The(_) => {
                    w.cell(cell)?;
                    if cell.has_type_beside() {
                        w.push(", ");
                        w.cell_type(cell)?;
                    }
                    cell.typed()
                        .types()
                        .single()
                        .filter(|_| !cell.has_type_beside())
                        .map_or(Column::TypeBeside, Column::Known)
                }
            });
            Ok(())
        })?;
        Ok(columns)
    }

    fn aggregate(&mut self, function: Function, cell: &Cell<'_>, grouped: bool) -> Result<()> {
        match function {
            // Cells are a set and never null, so rows are what there is to count.
            Function::Count => self.push("count(*)"),
            Function::CountDistinct if cell.has_type_beside() => {
                self.push("count(DISTINCT ");
                self.cell_type(cell)?;
                self.push(" || quote(");
                self.cell(cell)?;
                self.push("))");
            }
            Function::CountDistinct => self.call("count(DISTINCT ", cell)?,
            // The sum of nothing is 0, in the type of the sum. It cannot be null for another reason unless it is no number.
            Function::Sum if !grouped => {
                let zero = if cell.typed().types() == ValueType::Double.into() { "0.0" } else { "0" };
                self.push("CASE count(*) WHEN 0 THEN ");
                self.push(zero);
                self.push(" ELSE ");
                self.call("sum(", cell)?;
                self.push(" END");
            }
            Function::Sum => self.call("sum(", cell)?,
            Function::Avg => self.call("avg(", cell)?,
            Function::Min => self.call("min(", cell)?,
            Function::Max => self.call("max(", cell)?,
        }
        Ok(())
    }

    fn call(&mut self, opening: &str, cell: &Cell<'_>) -> Result<()> {
        self.push(opening);
        self.cell(cell)?;
        self.push(")");
        Ok(())
    }

    fn cell(&mut self, cell: &Cell<'_>) -> Result<()> {
        match cell {
            Cell::Here(typed) => self.expr(&typed.value),
            Cell::Below(n, _) => {
                self.push("x");
                self.number(n);
                Ok(())
            }
        }
    }

    fn cell_type(&mut self, cell: &Cell<'_>) -> Result<()> {
        match (cell, &cell.typed().typing) {
            (_, Typing::Known(value_type)) => self.number(value_type.entid()),
            (Cell::Here(_), Typing::Beside(beside, _)) => self.expr(beside)?,
            (Cell::Below(n, _), Typing::Beside(..)) => {
                self.push("t");
                self.number(n);
            }
        }
        Ok(())
    }

    fn body(&mut self, select: &Select) -> Result<()> {
        if !select.block.sources.is_empty() {
            self.push(" FROM ");
            self.list(&select.block.sources, " CROSS JOIN ", |w, (id, source)| {
                match source {
                    Source::Datoms => w.push("datoms"),
                    Source::Rows { width, rows } => w.rows(*width, rows)?,
                }
                w.push(" AS ");
                w.alias(*id);
                Ok(())
            })?;
        }
        if !select.block.conditions.is_empty() {
            self.push(" WHERE ");
            self.list(&select.block.conditions, " AND ", |w, condition| w.condition(condition))?;
        }
        Ok(())
    }

    fn rows(&mut self, width: usize, rows: &[Vec<Value>]) -> Result<()> {
        if rows.is_empty() {
            self.push("(SELECT ");
            self.list(1..=2 * width, ", ", |w, n| {
                w.push("NULL AS column");
                w.number(n);
                Ok(())
            })?;
            self.push(" WHERE 0)");
            return Ok(());
        }
        self.push("(VALUES ");
        self.list(rows, ", ", |w, row| {
            w.push("(");
            w.list(row, ", ", |w, value| {
                w.parameter(value.clone());
                w.push(", ");
                w.number(value.value_type().entid());
                Ok(())
            })?;
            w.push(")");
            Ok(())
        })?;
        self.push(")");
        Ok(())
    }

    fn group(&mut self, select: &Select, cells: &[Cell<'_>]) -> Result<()> {
        let by = select.outputs.iter().filter_map(|o| match o {
            Output::Cell(n) => cells.get(*n),
            _ => None,
        });
        let by: Vec<_> = by.collect();
        if by.is_empty() {
            let counts = |o: &Output| {
                matches!(o, Output::Aggregate(Function::Count | Function::CountDistinct | Function::Sum, _))
            };
            if !select.outputs.iter().all(counts) {
                // Nothing has no average, minimum or maximum: there is no row then, rather than one of nulls.
                self.push(" HAVING count(*) > 0");
            }
            return Ok(());
        }
        self.push(" GROUP BY ");
        self.list(by, ", ", |w, cell| {
            w.cell(cell)?;
            if cell.has_type_beside() {
                w.push(", ");
                w.cell_type(cell)?;
            }
            Ok(())
        })
    }

    /// What is asked for, and after it all columns, so that the order leaves nothing to chance.
    fn order(&mut self, select: &Select, cells: &[Cell<'_>], columns: &[Column]) -> Result<()> {
        if select.order.is_empty() {
            return Ok(());
        }
        let mut terms = Vec::new();
        for (by, descending) in &select.order {
            let Some((types, value)) = terms_of(*by, select, cells, columns) else {
                return Err(Error::damaged("a query is ordered by what it does not have"));
            };
            terms.extend(types.map(|term| (term, *descending)));
            terms.push((value, *descending));
        }
        for place in 1..=columns.iter().map(Column::width).sum() {
            if !terms.iter().any(|(term, _)| matches!(term, Term::Place(p) if *p == place)) {
                terms.push((Term::Place(place), false));
            }
        }
        self.push(" ORDER BY ");
        self.list(terms, ", ", |w, (term, descending)| {
            match term {
                Term::Place(place) => w.number(place),
                Term::Value(cell) => w.cell(cell)?,
                Term::Type(cell) => w.cell_type(cell)?,
            }
            w.push(if descending { " DESC" } else { "" });
            Ok(())
        })
    }

    fn alias(&mut self, SourceId(n): SourceId) {
        self.push("d");
        self.number(n);
    }

    fn parameter(&mut self, value: Value) {
        self.parameters.push(value);
        self.push("?");
        self.number(self.parameters.len());
    }

    fn expr(&mut self, expr: &Expr) -> Result<()> {
        match expr {
            Expr::Column(source, field) => {
                self.alias(*source);
                match field {
                    Field::E => self.push(".e"),
                    Field::A => self.push(".a"),
                    Field::V => self.push(".v"),
                    Field::Vt => self.push(".vt"),
                    Field::Tx => self.push(".tx"),
                    Field::Given(n) => {
                        self.push(".column");
                        self.number(2 * n + 1);
                    }
                    Field::GivenType(n) => {
                        self.push(".column");
                        self.number(2 * n + 2);
                    }
                }
            }
            Expr::Value(value) => self.parameter(value.clone()),
            Expr::Entid(entid) => self.number(entid),
            Expr::Lookup(attribute, value) => {
                // The plus takes the column's affinity away, see `condition`.
                self.push("(SELECT +e FROM datoms WHERE a = ");
                self.number(attribute);
                self.push(" AND v = ");
                self.expr(value)?;
                self.push(" AND uniq = 1)");
            }
        }
        Ok(())
    }

    fn condition(&mut self, condition: &Condition) -> Result<()> {
        match condition {
            Condition::Compare(comparison, left, right) => {
                self.expr(left)?;
                self.push(match comparison {
                    Comparison::Equal => " = ",
                    Comparison::NotEqual => " <> ",
                    Comparison::Less => " < ",
                    Comparison::LessOrEqual => " <= ",
                    Comparison::Greater => " > ",
                    Comparison::GreaterOrEqual => " >= ",
                });
                // `v` has no affinity. Compared with a column that has one it would take that on, and no index could
                // serve it; a plus takes the other's away.
                if is_value(left) && is_integer(right) {
                    self.push("+");
                }
                self.expr(right)
            }
            Condition::HasType(column, types) => {
                self.expr(column)?;
                let mut entids = types.iter().map(ValueType::entid);
                match types.single() {
                    Some(one) => {
                        self.push(" = ");
                        self.number(one.entid());
                        Ok(())
                    }
                    None => {
                        self.push(" IN (");
                        self.list(&mut entids, ", ", |w, entid| {
                            w.number(entid);
                            Ok(())
                        })?;
                        self.push(")");
                        Ok(())
                    }
                }
            }
            Condition::Through(source, index) => {
                self.alias(*source);
                match index {
                    Index::Aevt => self.push(".avet IS NULL"),
                    Index::Avet => self.push(".avet = 1"),
                    Index::Unique => self.push(".uniq = 1"),
                    Index::Vaet => {
                        self.push(".vt = ");
                        self.number(ValueType::Ref.entid());
                    }
                }
                Ok(())
            }
            Condition::All(conditions) => self.group_of(conditions, " AND ", "1"),
            Condition::Either(conditions) => self.group_of(conditions, " OR ", "0"),
            Condition::Not(condition) => {
                self.push("NOT (");
                self.condition(condition)?;
                self.push(")");
                Ok(())
            }
        }
    }

    fn group_of(&mut self, conditions: &[Condition], between: &str, none: &str) -> Result<()> {
        if conditions.is_empty() {
            self.push(none);
            return Ok(());
        }
        self.push("(");
        self.list(conditions, between, |w, condition| w.condition(condition))?;
        self.push(")");
        Ok(())
    }
}

/// What ORDER BY can name.
enum Term<'c> {
    /// A column of the result, from 1.
    Place(usize),
    Value(&'c Cell<'c>),
    Type(&'c Cell<'c>),
}

/// The terms that order by a cell or an output: by type, where values of several types have no order of their own, then
/// by value.
fn terms_of<'c>(
    by: OrderBy,
    select: &Select,
    cells: &'c [Cell<'c>],
    columns: &[Column],
) -> Option<(Option<Term<'c>>, Term<'c>)> {
    let mixed = |cell: &Cell<'_>| cell.has_type_beside() && !cell.typed().types().is_within(TypeSet::NUMBERS);
    match by {
        OrderBy::Cell(n) => {
            let cell = cells.get(n)?;
            Some((mixed(cell).then_some(Term::Type(cell)), Term::Value(cell)))
        }
        OrderBy::Output(n) => {
            let place = 1 + columns.iter().take(n).map(Column::width).sum::<usize>();
            let mixed = match select.outputs.get(n)? {
                Output::Aggregate(..) => false,
                Output::Cell(cell) | Output::The(cell) => mixed(cells.get(*cell)?),
            };
            Some((mixed.then_some(Term::Place(place + 1)), Term::Place(place)))
        }
    }
}

/// Whether this is a column of values, which has no affinity.
const fn is_value(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_, Field::V | Field::Given(_)))
}

/// Whether this is a column of integers, which has their affinity.
const fn is_integer(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_, Field::E | Field::A | Field::Tx | Field::Vt))
}

fn aggregate_type(function: Function, cell: &Typed) -> Result<ValueType> {
    match function {
        Function::Count | Function::CountDistinct => Ok(ValueType::Long),
        Function::Avg => Ok(ValueType::Double),
        Function::Sum | Function::Min | Function::Max => {
            cell.types().single().ok_or_else(|| Error::damaged("an aggregate's type is not known"))
        }
    }
}
