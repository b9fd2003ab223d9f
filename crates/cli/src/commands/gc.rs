//! `tolstoy gc`

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tolstoy_env::Env;
use tolstoy_hub::service::{Collector, Garbage, GcFigures, GcStep, Policy, Service, Survey};
use tolstoy_hub::storage::{OpenError, SqliteOptions, SqliteReader, SqliteStorage, Totals};

use crate::args;
use crate::error::Failure;
use crate::progress::Progress;
use crate::ui::Ui;

pub(crate) fn run(args: &args::Gc, env: Env, ui: &mut Ui) -> Result<(), Failure> {
    let policy = Policy { garbage_after: args.after.0, ..Policy::default() };
    if args.dry_run {
        let storage = SqliteReader::open(&args.data).map_err(|error| Failure::hub_data(&error))?;
        let service = Service::new(Arc::new(storage), env).with_policy(policy);
        let bar = Progress::begin(ui);
        bar.tell("looking at uploads", 0, None);
        let found = service.survey().and_then(|survey| Ok((survey, service.totals()?)));
        bar.end();
        let (survey, totals) = found.map_err(|error| Failure::hub_storage(&args.data, &error))?;
        return show_survey(args, &survey, &totals, ui);
    }
    // A directory without a hub's data is not made one.
    SqliteReader::open(&args.data).map_err(|error| Failure::hub_data(&error))?;
    let storage = SqliteStorage::open(&args.data, &SqliteOptions::default()).map_err(|error| match error {
        OpenError::InUse { .. } => Failure::hub_data(&error)
            .hint("a running hub collects its garbage by itself; `--dry-run` shows what there is"),
        error => Failure::hub_data(&error),
    })?;
    let storage = Arc::new(storage);
    let figures = Arc::<Mutex<GcFigures>>::default();
    let mut collector = Collector::new(Service::new(storage.clone(), env).with_policy(policy), figures.clone());
    let bar = Progress::begin(ui);
    let mut ended = Ok(GcStep::More);
    while ended == Ok(GcStep::More) {
        ended = collector.step();
        let done = read(&figures);
        bar.tell("removed", done.transactions + done.chunks + done.swept_rows, None);
    }
    bar.end();
    drop(collector);
    storage.close();
    ended.map_err(|error| Failure::hub_storage(&args.data, &error))?;
    show_done(args, &read(&figures), ui)
}

fn read(figures: &Mutex<GcFigures>) -> GcFigures {
    *figures.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show_survey(args: &args::Gc, survey: &Survey, totals: &Totals, ui: &mut Ui) -> Result<(), Failure> {
    if args.output.json {
        let logs = survey.logs.iter().map(|(log, garbage)| {
            let Garbage { transactions, chunks, bytes } = garbage;
            json!({"log": log, "transactions": transactions, "chunks": chunks, "bytes": bytes})
        });
        return ui.json(&json!({
            "logs": logs.collect::<Vec<_>>(),
            "deleted": {"rows": survey.swept.rows, "bytes": survey.swept.bytes},
            "file": {"bytes": totals.file, "free": totals.free},
        }));
    }
    for (log, Garbage { transactions, chunks, bytes }) in &survey.logs {
        ui.line(format!("log {log}: {transactions} transactions and {chunks} chunks are dead, {bytes} bytes"))?;
    }
    let swept = survey.swept;
    if swept.rows > 0 {
        ui.line(format!("of deleted logs and replaced snapshots: {} rows, {} bytes", swept.rows, swept.bytes))?;
    }
    if survey.logs.is_empty() && swept.rows == 0 {
        ui.line("no garbage")?;
    }
    ui.line(format!("of the file's {} bytes, {} are free to be used again", totals.file, totals.free))
}

fn show_done(args: &args::Gc, done: &GcFigures, ui: &mut Ui) -> Result<(), Failure> {
    let GcFigures { transactions, chunks, bytes, swept_rows, swept_bytes, pages, .. } = *done;
    if args.output.json {
        return ui.json(&json!({
            "transactions": transactions,
            "chunks": chunks,
            "bytes": bytes,
            "deleted": {"rows": swept_rows, "bytes": swept_bytes},
            "pages": pages,
        }));
    }
    ui.line(format!("removed {transactions} transactions and {chunks} chunks that were dead, {bytes} bytes"))?;
    ui.line(format!("removed {swept_rows} rows of deleted logs and replaced snapshots, {swept_bytes} bytes"))?;
    ui.line(format!("gave {pages} pages back to the file system"))
}
