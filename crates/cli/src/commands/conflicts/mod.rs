//! `tolstoy conflicts`: the journal.

mod data;
mod show;

use std::path::Path;

use tolstoy_env::Env;
use tolstoy_store::{Entry, Settling, State};
use uuid::Uuid;

use crate::args::{self, ConflictsCommand};
use crate::commands::{Db, transact};
use crate::error::{Failure, Kind};
use crate::text::Source;
use crate::ui::Ui;

pub(crate) fn run(args: &args::Conflicts, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    match (&args.what, &args.db) {
        (Some(ConflictsCommand::Show(args)), _) => show::one(args, env, ui),
        (Some(ConflictsCommand::Apply(args)), _) => apply(args, env, ui),
        (Some(ConflictsCommand::Drop(args)), _) => settle(&args.entry, How::Drop, false, args.output.json, env, ui),
        (Some(ConflictsCommand::Export(args)), _) => data::export(args, env, ui),
        (None, Some(db)) => show::list(db, args.all, args.output.json, env, ui),
        (None, None) => {
            Err(Failure::new(Kind::Usage, "conflicts needs a store, or one of show, apply, drop and export"))
        }
    }
}

/// What a status and a sync say of entries that wait.
pub(crate) fn waiting(n: u64, db: &Path) -> String {
    format!("journal: {} {} for somebody to decide: `tolstoy conflicts {}`", entries(n), wait(n), db.display())
}

/// `1 entry`, `2 entries`.
fn entries(n: u64) -> String {
    format!("{n} {}", if n == 1 { "entry" } else { "entries" })
}

const fn wait(n: u64) -> &'static str {
    if n == 1 { "waits" } else { "wait" }
}

/// The first digits of an id, by which people call an entry.
fn short(id: Uuid) -> String {
    id.simple().to_string().chars().take(8).collect()
}

/// The one entry whose id begins so.
fn find(db: &Db, id: &str) -> Result<Entry, Failure> {
    let mut found = db.store.entries(id).map_err(|e| Failure::no_id(&db.path, &e))?;
    match found.pop() {
        Some(entry) if found.is_empty() => Ok(entry),
        last => {
            let ids: Vec<String> = found.into_iter().chain(last).map(|e| e.id().to_string()).collect();
            Err(Failure::entry(&db.path, id, &ids))
        }
    }
}

/// How an entry is settled.
enum How {
    Drop,
    Apply,
    ApplyAs(Source),
}

fn apply(args: &args::ConflictsApply, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let source = match (&args.edit, &args.with) {
        (Some(file), _) => Some(Source::of_file(file)?),
        (None, Some(text)) => Some(Source::of_argument(text)?),
        (None, None) => None,
    };
    settle(&args.entry, source.map_or(How::Apply, How::ApplyAs), args.again, args.output.json, env, ui)
}

fn settle(args: &args::EntryArgs, how: How, again: bool, json: bool, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let form = match &how {
        How::ApplyAs(source) => Some(source.form()?),
        How::Drop | How::Apply => None,
    };
    let mut db = Db::open(&args.db, env)?;
    let entry = find(&db, &args.id)?;
    let name = short(entry.id());
    if let Some(by) = entry.settled_by.last().filter(|_| !again && entry.state() == State::Settled) {
        return Err(Failure::settled(&db.path, &name, &by.to_string()));
    }
    let settling = match (&how, &form) {
        (How::Drop, _) => Settling::Drop,
        (_, Some(form)) => Settling::ApplyAs(form),
        (_, None) => Settling::Apply,
    };
    let report = db.store.settle(entry.id(), settling, again).map_err(|error| match &how {
        How::ApplyAs(source) => db.failure_in(source, &error),
        How::Drop | How::Apply => Failure::inapplicable(&db.path, &name, &error),
    })?;
    transact::tell(&db, &report, json, ui)?;
    if json {
        return Ok(());
    }
    let left = match db.store.waiting().map_err(|e| db.failure(&e))? {
        0 => "nothing waits any more".to_owned(),
        n => format!("{} still {}", entries(n), wait(n)),
    };
    ui.line(format!("settled {name}; {left}"))
}
