//! The journal in words.

use std::path::Path;

use tolstoy_env::Env;
use tolstoy_store::{Displaced, Entry, Lost, Schema, Standing, State, Touched, Value};

use super::{data, entries, find, short, wait};
use crate::args;
use crate::commands::Db;
use crate::error::Failure;
use crate::facts;
use crate::ui::{BOLD, DIM, Ui, WARN, visible};

/// Lists the entries that wait, or all.
pub(super) fn list(path: &Path, all: bool, json: bool, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let db = Db::open_to_read(path, env)?;
    let mut listed: u64 = 0;
    let (mut waiting, mut first, mut others) = (0_u64, None, 0_u64);
    if json {
        ui.write("[")?;
    }
    db.store
        .journal(|entry| {
            if entry.state() == State::Waits {
                waiting += 1;
                first.get_or_insert(entry.id());
            } else if !all {
                others += 1;
                return Ok::<_, Failed>(());
            }
            let is_first = listed == 0;
            listed += 1;
            if json {
                ui.write(if is_first { "" } else { "," })?;
                ui.json_part(&data::json(&db, &entry)?)?;
            } else {
                ui.write(if is_first { "" } else { "\n" })?;
                brief(&db, &entry, ui)?;
            }
            Ok(())
        })
        .map_err(|e| e.told(&db))?;
    if json {
        return ui.line("]");
    }
    if listed > 0 {
        ui.line("")?;
    }
    let mut text = match (waiting, first) {
        (_, None) => "nothing waits in the journal".to_owned(),
        (n, Some(id)) => {
            format!("{} {}; `tolstoy conflicts show {} {}` says more", entries(n), wait(n), path.display(), short(id))
        }
    };
    if others > 0 {
        text.push_str(&format!("; {others} more with --all"));
    }
    let text = ui.paint(DIM, text);
    ui.line(text)
}

/// What stops a walk over the journal.
pub(super) enum Failed {
    Store(tolstoy_store::Error),
    Told(Failure),
}

impl From<tolstoy_store::Error> for Failed {
    fn from(error: tolstoy_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::Told(failure)
    }
}

impl Failed {
    pub(super) fn told(self, db: &Db) -> Failure {
        match self {
            Self::Store(error) => db.failure(&error),
            Self::Told(failure) => failure,
        }
    }
}

/// Explains an entry, or prints what it proposes.
pub(super) fn one(args: &args::ConflictsShow, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let db = Db::open_to_read(&args.entry.db, env)?;
    let entry = find(&db, &args.entry.id)?;
    if args.output.json {
        return ui.json(&data::json(&db, &entry)?);
    }
    let proposal = db.store.proposal(&entry).map_err(|e| db.failure(&e))?;
    if args.edn {
        for line in comment(&entry, &proposal.obstacles) {
            ui.line(format!("; {}", visible(&line).replace('\n', " ")))?;
        }
        return ui.line(proposal.to_text());
    }
    explain(&db, &entry, ui)?;
    let title = ui.paint(BOLD, if proposal.obstacles.is_empty() { "to apply it is" } else { "to apply it would be" });
    ui.line(title)?;
    for line in proposal.to_text().lines() {
        ui.line(format!("  {}", visible(line)))?;
    }
    for why in &proposal.obstacles {
        let text = ui.paint(WARN, format!("  but {}", visible(why)));
        ui.line(text)?;
    }
    what_to_do(&db, &entry, proposal.obstacles.is_empty(), ui)
}

fn comment(entry: &Entry, obstacles: &[String]) -> Vec<String> {
    let mut lines = vec![format!("entry {} of the journal, {}", entry.id(), entry.state().word())];
    lines
        .extend(entry.transaction.displaced.as_ref().map(|d| format!("displaced ({}): {}", d.reason.word(), d.detail)));
    lines.extend(obstacles.iter().cloned());
    lines
}

fn what_to_do(db: &Db, entry: &Entry, applicable: bool, ui: &mut Ui) -> Result<(), Failure> {
    let (path, id) = (db.path.display(), short(entry.id()));
    if entry.state() == State::Settled {
        return Ok(());
    }
    let mut lines = Vec::new();
    if applicable {
        lines.push(format!("tolstoy conflicts apply {path} {id}                 does that"));
    }
    lines.push(format!("tolstoy conflicts show {path} {id} --edn > FILE     writes it out, to be changed"));
    lines.push(format!("tolstoy conflicts apply {path} {id} --edit FILE     does what you made of it"));
    lines.push(format!("tolstoy conflicts drop {path} {id}                  lets it go"));
    for line in lines {
        let text = ui.paint(DIM, line);
        ui.line(text)?;
    }
    Ok(())
}

/// An entry on a few lines.
fn brief(db: &Db, entry: &Entry, ui: &mut Ui) -> Result<(), Failure> {
    let schema = db.store.schema();
    let id = ui.paint(BOLD, short(entry.id()));
    ui.line(format!("{id} {}: {}", entry.state().word(), author(db, entry)))?;
    if let Some(displaced) = &entry.transaction.displaced {
        return ui.line(format!("  {}", why(displaced)));
    }
    for lost in &entry.values {
        let o = &lost.overwrite;
        let text = format!("both changed {} {}", schema.name(o.e), schema.name(o.a));
        let values = format!(
            "was {}, the log had {}, this change said {}",
            facts::optional(schema, o.base.as_ref()),
            facts::optional(schema, o.incoming.as_ref()),
            facts::value(schema, &o.local)
        );
        ui.line(visible(&format!("  {text}: {values}, now {}", now(schema, lost))))?;
    }
    Ok(())
}

/// Whose change it is.
fn author(db: &Db, entry: &Entry) -> String {
    let origin = &entry.transaction.origin;
    let who =
        if origin.device == db.store.device() { "this device".to_owned() } else { format!("device {}", origin.device) };
    format!("a change that {who} made at {}", origin.authored)
}

fn why(displaced: &Displaced) -> String {
    visible(&format!("displaced ({}): {}", displaced.reason.word(), displaced.detail))
}

fn now(schema: &Schema, lost: &Lost) -> String {
    let mut text = values(schema, &lost.now);
    if lost.standing == Standing::Moot {
        text.push_str(", changed since");
    }
    text
}

fn values(schema: &Schema, values: &[Value]) -> String {
    if values.is_empty() {
        return "nothing".to_owned();
    }
    values.iter().map(|v| facts::value(schema, v)).collect::<Vec<_>>().join(", ")
}

/// An entry on many lines.
fn explain(db: &Db, entry: &Entry, ui: &mut Ui) -> Result<(), Failure> {
    let schema = db.store.schema();
    let title = ui.paint(BOLD, format!("entry {}", entry.id()));
    ui.line(format!("{title}, {}", entry.state().word()))?;
    ui.line(format!("  {}, transaction {} of the log", author(db, entry), entry.transaction.tx))?;
    for by in &entry.settled_by {
        ui.line(format!("  settled by transaction {by}"))?;
    }
    if let Some(displaced) = &entry.transaction.displaced {
        let text = ui.paint(WARN, format!("  {}", why(displaced)));
        ui.line(text)?;
        let title = ui.paint(BOLD, "it wanted");
        ui.line(title)?;
        facts::list(ui, schema, displaced.changes.iter().map(|c| (c.e, c.a, &c.v, c.added)))?;
        for operation in &displaced.operations {
            ui.line(format!("  by {}", visible(&operation.to_edn(schema).to_string())))?;
        }
        stands(schema, &entry.touches, ui)?;
    }
    for lost in &entry.values {
        let o = &lost.overwrite;
        let title = ui.paint(BOLD, format!("both sides changed {} {}", schema.name(o.e), schema.name(o.a)));
        ui.line(title)?;
        for (what, value) in [
            ("before both", facts::optional(schema, o.base.as_ref())),
            ("in the log", facts::optional(schema, o.incoming.as_ref())),
            ("this change", facts::value(schema, &o.local)),
            ("stands now", now(schema, lost)),
        ] {
            ui.line(format!("  {what}: {}", visible(&value)))?;
        }
    }
    Ok(())
}

fn stands(schema: &Schema, touches: &[Touched], ui: &mut Ui) -> Result<(), Failure> {
    if touches.is_empty() {
        return Ok(());
    }
    let title = ui.paint(BOLD, "what stands now");
    ui.line(title)?;
    for Touched { e, a, now } in touches {
        ui.line(visible(&format!("  {} {} {}", schema.name(*e), schema.name(*a), values(schema, now))))?;
    }
    Ok(())
}
