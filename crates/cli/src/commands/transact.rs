//! `tolstoy transact`

use std::collections::BTreeMap;

use serde::Serialize;
use tolstoy_edn::Form;
use tolstoy_env::Env;
use tolstoy_store::bootstrap::entids;
use tolstoy_store::{Schema, TxReport};

use crate::args;
use crate::commands::Db;
use crate::error::Failure;
use crate::text::Source;
use crate::ui::{BOLD, Ui};
use crate::{facts, json};

pub(crate) fn run(args: &args::Transact, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let source = Source::of_argument(&args.edn)?;
    let form = source.form()?;
    let mut db = Db::open_or_create(&args.db, env, ui, args.output.json)?;
    one(&mut db, &source, &form, args.output.json, ui)
}

/// Runs one transaction of a text, and prints what it did.
pub(crate) fn one(db: &mut Db, source: &Source, form: &Form, json: bool, ui: &mut Ui) -> Result<(), Failure> {
    let report = db.store.transact(form).map_err(|e| db.failure_in(source, &e))?;
    tell(db, &report, json, ui)
}

/// Prints what a transaction did.
pub(crate) fn tell(db: &Db, report: &TxReport, json: bool, ui: &mut Ui) -> Result<(), Failure> {
    let schema = db.store.schema().clone();
    if json { ui.json(&Report::new(&schema, report)) } else { show(&schema, report, ui) }
}

#[derive(Serialize)]
struct Report<'r> {
    tx: i64,
    instant: String,
    origin: String,
    tempids: BTreeMap<&'r str, i64>,
    datoms: Vec<serde_json::Value>,
}

impl<'r> Report<'r> {
    fn new(schema: &Schema, report: &'r TxReport) -> Self {
        Self {
            tx: report.tx.get(),
            instant: report.instant.to_string(),
            origin: report.origin.id.to_string(),
            tempids: report.tempids.iter().map(|(name, e)| (name.as_str(), e.get())).collect(),
            datoms: report.datoms.iter().map(|d| json::datom(schema, d)).collect(),
        }
    }
}

fn show(schema: &Schema, report: &TxReport, ui: &mut Ui) -> Result<(), Failure> {
    let title = ui.paint(BOLD, format!("transaction {}", report.tx));
    ui.line(format!("{title} at {}", report.instant))?;
    for (name, e) in &report.tempids {
        ui.line(format!("  {name:?} is {}", schema.name(*e)))?;
    }
    let is_own = |d: &&tolstoy_store::Datom| d.e != report.tx || d.a != entids::TX_INSTANT;
    let shown: Vec<_> = report.datoms.iter().filter(is_own).collect();
    if shown.is_empty() {
        return ui.line("  all of it was true already");
    }
    facts::list(ui, schema, shown.into_iter().map(|d| (d.e, d.a, &d.v, d.added)))
}
