//! `tolstoy query`

use tolstoy_edn::{Value as Edn, pretty};
use tolstoy_env::Env;
use tolstoy_store::{QueryResult, Shape, Value};

use crate::commands::Db;
use crate::error::{Failure, Kind};
use crate::text::Source;
use crate::ui::{DIM, Ui};
use crate::{args, facts, json};

/// The columns that EDN is laid out in.
pub(crate) const WIDTH: usize = 100;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Edn,
    Json,
}

impl Format {
    /// What was asked for, or else what fits the place.
    pub(crate) fn choose(json: bool, edn: bool, ui: &Ui) -> Self {
        match (json, edn) {
            (true, _) => Self::Json,
            (false, false) if ui.out_is_tty() => Self::Table,
            _ => Self::Edn,
        }
    }
}

pub(crate) fn run(args: &args::Query, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let source = Source::of_argument(&args.query)?;
    let inputs = args.inputs.iter().enumerate().map(|(i, text)| input(i, text)).collect::<Result<Vec<_>, _>>()?;
    let db = Db::open_to_read(&args.db, env)?;
    if args.explain {
        return explain(&db, &source, &source.text, &inputs, ui);
    }
    let format = Format::choose(args.output.json, args.edn, ui);
    one(&db, &source, &source.text, &inputs, format, ui).map_err(|failure| unquoted(failure, &inputs))
}

/// The same failure, with a hint where an input is a bare word: the quotes of a text are often left to the shell.
fn unquoted(failure: Failure, inputs: &[Edn]) -> Failure {
    let word = inputs.iter().find(|input| matches!(input, Edn::Symbol(_)));
    match word {
        Some(word) if failure.kind == Kind::Input && failure.message.contains(&word.to_string()) => {
            failure.hint(format!("an input is EDN, where a text has quotes of its own: '\"{word}\"'"))
        }
        _ => failure,
    }
}

fn input(i: usize, text: &str) -> Result<Edn, Failure> {
    let source = Source::new(format!("<input {}>", i + 1), text);
    Ok(source.form()?.to_value())
}

/// Answers the query in `text`, whose places are those of `source`.
pub(crate) fn one(
    db: &Db,
    source: &Source,
    text: &str,
    inputs: &[Edn],
    format: Format,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let result = db.store.query(text, inputs).map_err(|e| db.failure_in(source, &e))?;
    match format {
        Format::Json => ui.json(&json::edn(&result.to_edn())),
        Format::Edn => ui.line(pretty(&result.to_edn(), WIDTH)),
        Format::Table => table(&result, ui),
    }
}

/// Shows how a query is answered.
pub(crate) fn explain(db: &Db, source: &Source, text: &str, inputs: &[Edn], ui: &mut Ui) -> Result<(), Failure> {
    let text = db.store.explain(text, inputs).map_err(|e| db.failure_in(source, &e))?;
    ui.line(text.trim_end())
}

fn table(result: &QueryResult, ui: &mut Ui) -> Result<(), Failure> {
    let text = |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rows = match &result.shape {
        Shape::Scalar(value) => {
            return ui.line(value.as_ref().map_or_else(|| "nil".to_owned(), ToString::to_string));
        }
        Shape::Relation(rows) => rows.iter().map(|row| text(row)).collect(),
        Shape::Collection(values) => values.iter().map(|v| vec![v.to_string()]).collect(),
        Shape::Tuple(row) => row.iter().map(|row| text(row)).collect::<Vec<_>>(),
    };
    if !rows.is_empty() {
        ui.table(&result.columns, &rows)?;
    }
    let rows = ui.paint(DIM, facts::count(rows.len() as u64, "row"));
    ui.line(rows)
}
