//! The journal as data: JSON and EDN.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value as Json, json};
use tolstoy_edn::{Instant, Keyword, Value as Edn};
use tolstoy_env::Env;
use tolstoy_store::{Entid, Entry, Lost, Schema, Value};

use super::show::Failed;
use crate::args;
use crate::commands::{Db, log};
use crate::error::Failure;
use crate::json;
use crate::ui::Ui;

/// An entry, as JSON.
pub(super) fn json(db: &Db, entry: &Entry) -> Result<Json, Failure> {
    let schema = db.store.schema();
    let proposal = db.store.proposal(entry).map_err(|e| db.failure(&e))?;
    let transaction = &entry.transaction;
    let lost = |lost: &Lost| {
        let mut value = log::overwrite(schema, &lost.overwrite);
        if let Json::Object(fields) = &mut value {
            fields.insert("now".to_owned(), lost.now.iter().map(json::value).collect());
        }
        value
    };
    let touched = entry.touches.iter().map(|t| {
        json!({
            "entity": t.e.get(),
            "attribute": json::attribute(schema, t.a),
            "now": t.now.iter().map(json::value).collect::<Vec<_>>(),
        })
    });
    Ok(json!({
        "id": entry.id().to_string(),
        "state": entry.state().word(),
        "tx": transaction.tx.get(),
        "device": transaction.origin.device.to_string(),
        "authored": transaction.origin.authored.to_string(),
        "displaced": transaction.displaced.as_ref().map(|d| log::displaced(schema, d)),
        "touches": touched.collect::<Vec<_>>(),
        "overwritten": entry.values.iter().map(lost).collect::<Vec<_>>(),
        "settled_by": entry.settled_by.iter().map(|tx| tx.get()).collect::<Vec<_>>(),
        "proposal": proposal.to_text(),
        "obstacles": proposal.obstacles,
    }))
}

/// An entry, as EDN.
fn edn(db: &Db, entry: &Entry) -> Result<Edn, Failure> {
    let schema = db.store.schema();
    let proposal = db.store.proposal(entry).map_err(|e| db.failure(&e))?;
    let transaction = &entry.transaction;
    let instant = |at: Instant| Edn::Instant(at);
    let mut pairs = vec![
        ("id", Edn::Uuid(entry.id())),
        ("state", keyword(entry.state().word())),
        ("tx", number(transaction.tx)),
        ("device", Edn::Uuid(transaction.origin.device)),
        ("authored", instant(transaction.origin.authored)),
    ];
    if let Some(displaced) = &transaction.displaced {
        pairs.push(("reason", keyword(displaced.reason.word())));
        pairs.push(("detail", Edn::String(displaced.detail.as_str().into())));
    }
    if !entry.values.is_empty() {
        pairs.push(("overwritten", Edn::Vector(entry.values.iter().map(|lost| overwritten(schema, lost)).collect())));
    }
    if !entry.settled_by.is_empty() {
        pairs.push(("settled-by", Edn::Vector(entry.settled_by.iter().map(|tx| number(*tx)).collect())));
    }
    pairs.push(("proposal", Edn::Vector(proposal.forms)));
    if !proposal.obstacles.is_empty() {
        let texts = proposal.obstacles.into_iter().map(|why| Edn::String(why.into()));
        pairs.push(("obstacles", Edn::Vector(texts.collect())));
    }
    Ok(map(pairs))
}

fn overwritten(schema: &Schema, lost: &Lost) -> Edn {
    let o = &lost.overwrite;
    let optional = |v: Option<&Value>| v.map_or(Edn::Nil, Value::to_edn);
    let attribute = schema.ident(o.a).map_or_else(|| number(o.a), |ident| Edn::Keyword(ident.clone()));
    map(vec![
        ("entity", number(o.e)),
        ("attribute", attribute),
        ("base", optional(o.base.as_ref())),
        ("incoming", optional(o.incoming.as_ref())),
        ("local", o.local.to_edn()),
        ("result", optional(o.result())),
        ("now", Edn::Vector(lost.now.iter().map(Value::to_edn).collect())),
    ])
}

fn number(e: Entid) -> Edn {
    Edn::Integer(e.get())
}

fn keyword(text: &str) -> Edn {
    Keyword::parse(text).map_or_else(|| Edn::String(text.into()), Edn::Keyword)
}

fn map(pairs: Vec<(&str, Edn)>) -> Edn {
    Edn::Map(pairs.into_iter().map(|(key, value)| (keyword(key), value)).collect())
}

/// Writes out the whole journal, an entry a line.
pub(super) fn export(args: &args::ConflictsExport, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let db = Db::open_to_read(&args.db, env)?;
    let line = |entry: &Entry| -> Result<String, Failure> {
        Ok(if args.output.json { json(&db, entry)?.to_string() } else { edn(&db, entry)?.to_string() })
    };
    let Some(path) = &args.file else {
        return db.store.journal(|entry| Ok::<_, Failed>(ui.line(line(&entry)?)?)).map_err(|e| e.told(&db));
    };
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::exists(path),
        io::ErrorKind::NotFound => {
            Failure::io(&path.display().to_string(), &e).hint("make the directory first, or name a file elsewhere")
        }
        _ => Failure::io(&path.display().to_string(), &e),
    };
    let mut out = BufWriter::new(OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?);
    let mut entries: u64 = 0;
    let written = db.store.journal(|entry| {
        entries += 1;
        Ok::<_, Failed>(writeln!(out, "{}", line(&entry)?).map_err(failed)?)
    });
    let written = written.map_err(|e| e.told(&db)).and_then(|()| out.flush().map_err(failed));
    if written.is_err() {
        discard(path);
    }
    written?;
    if args.output.json {
        return ui.json(&json!({"file": path.display().to_string(), "entries": entries}));
    }
    ui.line(format!("{}: {}", path.display(), super::entries(entries)))
}

/// Half a file is worth nothing, and would be in the way.
fn discard(path: &Path) {
    let _ = fs::remove_file(path);
}
