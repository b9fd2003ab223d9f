//! `tolstoy import`

use std::path::PathBuf;

use serde::Serialize;
use tolstoy_edn::Form;
use tolstoy_env::Env;

use crate::commands::Db;
use crate::error::{Failure, Kind};
use crate::progress::Progress;
use crate::text::Source;
use crate::ui::Ui;
use crate::{args, facts};

pub(crate) fn run(args: &args::Import, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let files = read(&args.files)?;
    let mut db = Db::open_or_create(&args.db, env, ui, args.output.json)?;
    files_into(&mut db, &files, args.output.json, ui)
}

/// A file's transactions.
pub(crate) struct File {
    source: Source,
    transactions: Vec<Form>,
}

/// Reads files, and checks that they hold transactions.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    paths.iter().map(|path| file(Source::of_file(path)?)).collect()
}

fn file(source: Source) -> Result<File, Failure> {
    let transactions = source.forms()?;
    for form in &transactions {
        if form.as_vector().is_none() {
            let what = form.kind.describe();
            let message = format!("a transaction is a vector of forms, not {what}");
            return Err(Failure::at(Kind::Input, &source, form.span, &message).hint(
                "a file holds one vector of forms, or several vectors, each a transaction; nothing was applied",
            ));
        }
    }
    Ok(File { source, transactions })
}

#[derive(Serialize)]
struct Done {
    file: String,
    transactions: u64,
    datoms: u64,
}

/// Runs the transactions of files, in order.
pub(crate) fn files_into(db: &mut Db, files: &[File], json: bool, ui: &mut Ui) -> Result<(), Failure> {
    let of: usize = files.iter().map(|f| f.transactions.len()).sum();
    let mut done: Vec<Done> = Vec::new();
    let progress = Progress::begin(ui);
    let result = files.iter().try_for_each(|file| {
        done.push(Done { file: file.source.name.clone(), transactions: 0, datoms: 0 });
        file.transactions.iter().try_for_each(|form| {
            let before: u64 = done.iter().map(|d| d.transactions).sum();
            progress.tell("importing transactions", before, Some(of as u64));
            let report = db
                .store
                .transact(form)
                .map_err(|e| db.failure_in(&file.source, &e).hint(stopped(before, of as u64)))?;
            if let Some(now) = done.last_mut() {
                now.transactions += 1;
                // The transaction's own instant is not counted: nobody wrote it.
                now.datoms += (report.datoms.len() as u64).saturating_sub(1);
            }
            Ok(())
        })
    });
    progress.end();
    result?;
    if json {
        return ui.json(&done);
    }
    for file in &done {
        ui.line(format!(
            "{}: {}, {}",
            file.file,
            facts::count(file.transactions, "transaction"),
            facts::count(file.datoms, "datom")
        ))?;
    }
    Ok(())
}

/// What there is of an import that stopped.
fn stopped(before: u64, of: u64) -> String {
    match before {
        0 => "nothing was applied".to_owned(),
        n => format!(
            "{n} of {} stand in the store already; mend this one, and import it and those after it",
            facts::count(of, "transaction")
        ),
    }
}
