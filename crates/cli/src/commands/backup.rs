//! `tolstoy backup` and `tolstoy restore`

use serde_json::json;
use tolstoy_hub::storage::{Copied, CopyError};

use crate::args;
use crate::error::Failure;
use crate::progress::Progress;
use crate::ui::Ui;

pub(crate) fn backup(args: &args::Backup, ui: &mut Ui) -> Result<(), Failure> {
    let copied = watched(ui, "copying pages", |tell| tolstoy_hub::storage::backup(&args.data, &args.file, tell))?;
    if args.output.json {
        return ui.json(&json!({"file": args.file, "bytes": copied.bytes, "logs": copied.logs}));
    }
    let (data, file) = (args.data.display(), args.file.display());
    ui.line(format!("{file}: {} of {data}, {} bytes", logs(copied), copied.bytes))
}

pub(crate) fn restore(args: &args::Restore, ui: &mut Ui) -> Result<(), Failure> {
    let copied = watched(ui, "copying bytes", |tell| tolstoy_hub::storage::restore(&args.file, &args.data, tell))?;
    if args.output.json {
        return ui.json(&json!({"data": args.data, "bytes": copied.bytes, "logs": copied.logs}));
    }
    let data = args.data.display();
    ui.line(format!("{data}: {} as of the backup, {} bytes", logs(copied), copied.bytes))?;
    ui.note(
        "stores that have more of a log see the same generation with a HEAD behind theirs, and supply the rest when they sync",
    );
    Ok(())
}

fn logs(copied: Copied) -> String {
    match copied.logs {
        1 => "1 log".to_owned(),
        n => format!("{n} logs"),
    }
}

/// Copies with a bar.
fn watched(
    ui: &Ui,
    what: &str,
    copy: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<Copied, CopyError>,
) -> Result<Copied, Failure> {
    let bar = Progress::begin(ui);
    let copied = copy(&mut |done, of| bar.tell(what, done, Some(of)));
    bar.end();
    copied.map_err(|error| Failure::copy(&error))
}
