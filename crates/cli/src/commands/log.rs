//! `tolstoy log`

use serde::Serialize;
use serde_json::Value as Json;
use tolstoy_env::Env;
use tolstoy_store::{Displaced, Entid, Extent, Operation, Overwrite, Schema, Stands, Timeline, Transaction};

use crate::commands::Db;
use crate::error::{Failure, Kind};
use crate::ui::{BOLD, DIM, Ui, WARN, visible};
use crate::{args, facts, json};

/// Transactions read at a time.
const PAGE: usize = 256;

pub(crate) fn run(args: &args::Log, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let db = Db::open_to_read(&args.db, env)?;
    if args.timelines {
        return timelines(&db, args.output.json, ui);
    }
    show(&db, Timeline(args.timeline), args.limit, args.output.json, ui)
}

/// Lists the side timelines.
fn timelines(db: &Db, json: bool, ui: &mut Ui) -> Result<(), Failure> {
    let failed = |e| db.failure(&e);
    let sides = db.store.side_timelines().map_err(failed)?;
    let mut listed = Vec::new();
    for side in &sides {
        if let Some(extent) = db.store.extent(*side).map_err(failed)? {
            listed.push((side.0, extent));
        }
    }
    if json {
        let one = |(n, x): &(i64, Extent)| {
            serde_json::json!({
                "timeline": n, "transactions": x.transactions, "first": x.first.get(), "last": x.last.get()
            })
        };
        return ui.json(&listed.iter().map(one).collect::<Vec<_>>());
    }
    if listed.is_empty() {
        return ui.line("no side timelines: no merge has moved anything off the main line");
    }
    for (n, Extent { first, last, transactions }) in listed {
        let name = ui.paint(BOLD, format!("timeline {n}"));
        ui.line(format!("{name}: {}, {first} to {last}", facts::count(transactions, "transaction")))?;
    }
    Ok(())
}

/// Prints the newest `limit` transactions of a timeline, or all, oldest first.
pub(crate) fn show(db: &Db, timeline: Timeline, limit: Option<u32>, json: bool, ui: &mut Ui) -> Result<(), Failure> {
    let sides = db.store.side_timelines().map_err(|e| db.failure(&e))?;
    if timeline != Timeline::MAIN && !sides.contains(&timeline) {
        let known = sides.iter().map(|t| t.0.to_string()).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {known}") };
        let message = format!("{}: there is no timeline {}", db.path.display(), timeline.0);
        return Err(Failure::new(Kind::Input, message)
            .hint(format!("merges make side timelines; {known}; `--timelines` lists them")));
    }
    let mut printer = Printer { schema: db.store.schema(), json, printed: 0 };
    printer.begin(ui)?;
    let mut after = first(db, timeline, limit)?;
    loop {
        let page = db.store.transactions(timeline, after, PAGE).map_err(|e| db.failure(&e))?;
        for transaction in &page {
            printer.transaction(transaction, ui)?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.tx,
            _ => break,
        }
    }
    printer.end(limit != Some(0), ui)?;
    if !json && timeline == Timeline::MAIN && !sides.is_empty() && ui.out_is_tty() {
        let sides = sides.iter().map(|t| t.0.to_string()).collect::<Vec<_>>().join(", ");
        let note = ui.paint(DIM, format!("what merges moved off this line: --timeline {sides}"));
        ui.line(note)?;
    }
    Ok(())
}

/// The transaction after which to begin.
fn first(db: &Db, timeline: Timeline, limit: Option<u32>) -> Result<Entid, Failure> {
    let Some(limit) = limit else { return Ok(Entid::TX0) };
    let newest = match timeline {
        Timeline::MAIN => db.store.basis(),
        side => db.store.extent(side).map_err(|e| db.failure(&e))?.map_or(Entid::TX0, |extent| extent.last),
    };
    // No line has holes.
    Ok(newest.plus(-i64::from(limit)).max(Entid::TX0))
}

struct Printer<'s> {
    schema: &'s Schema,
    json: bool,
    printed: u64,
}

#[derive(Serialize)]
struct Entry {
    tx: i64,
    instant: String,
    origin: String,
    device: String,
    authored: String,
    datoms: Vec<Json>,
    operations: Vec<String>,
    overwritten: Vec<Json>,
    displaced: Option<Json>,
}

impl Printer<'_> {
    fn begin(&self, ui: &mut Ui) -> Result<(), Failure> {
        if self.json { ui.write("[") } else { Ok(()) }
    }

    /// `asked` is whether any transactions were asked for.
    fn end(&self, asked: bool, ui: &mut Ui) -> Result<(), Failure> {
        match (self.json, self.printed) {
            (true, _) => ui.line("]"),
            (false, 0) if asked => ui.line("no transactions yet"),
            _ => Ok(()),
        }
    }

    fn transaction(&mut self, transaction: &Transaction, ui: &mut Ui) -> Result<(), Failure> {
        let is_first = self.printed == 0;
        self.printed += 1;
        if self.json {
            ui.write(if is_first { "" } else { "," })?;
            ui.json_part(&self.entry(transaction))
        } else {
            ui.write(if is_first { "" } else { "\n" })?;
            self.text(transaction, ui)
        }
    }

    fn entry(&self, t: &Transaction) -> Entry {
        Entry {
            tx: t.tx.get(),
            instant: t.instant.to_string(),
            origin: t.origin.id.to_string(),
            device: t.origin.device.to_string(),
            authored: t.origin.authored.to_string(),
            datoms: t.datoms().map(|d| json::datom(self.schema, &d)).collect(),
            operations: self.operations(&t.operations).collect(),
            overwritten: t.overwritten.iter().map(|o| overwrite(self.schema, o)).collect(),
            displaced: t.displaced.as_ref().map(|d| displaced(self.schema, d)),
        }
    }

    /// Each as the form it is written as.
    fn operations<'o>(&'o self, operations: &'o [Operation]) -> impl Iterator<Item = String> + 'o {
        operations.iter().map(|o| o.to_edn(self.schema).to_string())
    }

    fn text(&self, t: &Transaction, ui: &mut Ui) -> Result<(), Failure> {
        let schema = self.schema;
        let title = ui.paint(BOLD, format!("transaction {}", t.tx));
        ui.line(format!("{title} at {}", t.instant))?;
        let mut origin = format!("  origin {} of device {}", t.origin.id, t.origin.device);
        if t.origin.authored != t.instant {
            origin.push_str(&format!(", authored {}", t.origin.authored));
        }
        let origin = ui.paint(DIM, origin);
        ui.line(origin)?;
        facts::list(ui, schema, t.facts().map(|c| (c.e, c.a, &c.v, c.added)))?;
        for operation in self.operations(&t.operations) {
            ui.line(format!("  by {}", visible(&operation)))?;
        }
        for o in &t.overwritten {
            let text = overwritten(schema, o);
            let text = ui.paint(WARN, format!("  both changed {text}"));
            ui.line(text)?;
        }
        if let Some(displaced) = &t.displaced {
            let text =
                ui.paint(WARN, format!("  displaced ({}): {}", displaced.reason.word(), visible(&displaced.detail)));
            ui.line(text)?;
            facts::list(ui, schema, displaced.changes.iter().map(|c| (c.e, c.a, &c.v, c.added)))?;
            for operation in self.operations(&displaced.operations) {
                ui.line(format!("  by {}", visible(&operation)))?;
            }
        } else if t.overwritten.is_empty() && t.facts().next().is_none() {
            ui.line("  nothing new: all of it was true already")?;
        }
        Ok(())
    }
}

/// A displaced change, as JSON.
pub(crate) fn displaced(schema: &Schema, displaced: &Displaced) -> Json {
    serde_json::json!({
        "reason": displaced.reason.word(),
        "detail": displaced.detail,
        "datoms": displaced.changes.iter().map(|c| json::change(schema, c)).collect::<Vec<_>>(),
        "operations": displaced.operations.iter().map(|o| o.to_edn(schema).to_string()).collect::<Vec<_>>(),
    })
}

/// A value that both sides changed, as a sentence.
pub(crate) fn overwritten(schema: &Schema, o: &Overwrite) -> String {
    let ours = match o.stands {
        Stands::Local => String::new(),
        Stands::Instead(_) => format!(", ours {}", facts::value(schema, &o.local)),
    };
    format!(
        "{} {}: was {}, theirs {}{ours}, now {}",
        schema.name(o.e),
        schema.name(o.a),
        facts::optional(schema, o.base.as_ref()),
        facts::optional(schema, o.incoming.as_ref()),
        facts::optional(schema, o.result())
    )
}

/// A value that both sides changed, as JSON.
pub(crate) fn overwrite(schema: &Schema, o: &Overwrite) -> Json {
    serde_json::json!({
        "entity": o.e.get(),
        "attribute": json::attribute(schema, o.a),
        "base": o.base.as_ref().map(json::value),
        "incoming": o.incoming.as_ref().map(json::value),
        "local": json::value(&o.local),
        "result": o.result().map(json::value),
    })
}
