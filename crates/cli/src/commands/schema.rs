//! `tolstoy schema`

use std::collections::BTreeMap;

use serde::Serialize;
use tolstoy_edn::{Keyword, Value as Edn, pretty};
use tolstoy_env::Env;
use tolstoy_store::{Attribute, Cardinality, Entid, Shape, Unique, Value};

use crate::args;
use crate::commands::Db;
use crate::commands::query::{Format, WIDTH};
use crate::error::Failure;
use crate::ui::{Ui, visible};

pub(crate) fn run(args: &args::Schema, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let db = Db::open_to_read(&args.db, env)?;
    show(&db, args.all, Format::choose(args.output.json, args.edn, ui), ui)
}

/// An attribute as it is shown.
struct Row {
    entid: Entid,
    ident: Option<Keyword>,
    attribute: Attribute,
    doc: Option<String>,
}

/// Prints the attributes; those that every store has only where `all` says so.
pub(crate) fn show(db: &Db, all: bool, format: Format, ui: &mut Ui) -> Result<(), Failure> {
    let mut docs = docs(db)?;
    let schema = db.store.schema();
    let rows: Vec<Row> = schema
        .attributes()
        .into_iter()
        .filter(|(entid, _)| all || *entid >= Entid::USER0)
        .map(|(entid, attribute)| Row {
            entid,
            ident: schema.ident(entid).cloned(),
            attribute: attribute.clone(),
            doc: docs.remove(&entid),
        })
        .collect();
    match format {
        Format::Json => ui.json(&rows.iter().map(told).collect::<Vec<_>>()),
        Format::Edn => {
            let definitions = rows.iter().filter_map(definition).collect();
            ui.line(pretty(&Edn::Vector(definitions), WIDTH))
        }
        Format::Table if rows.is_empty() => {
            ui.line("no attributes yet: transact a map with :db/ident, :db/valueType and :db/cardinality")
        }
        Format::Table => {
            let header = ["entid", "attribute", "type", "cardinality", "properties", "doc"].map(str::to_owned);
            ui.table(&header, &rows.iter().map(cells).collect::<Vec<_>>())
        }
    }
}

fn docs(db: &Db) -> Result<BTreeMap<Entid, String>, Failure> {
    let found = db.store.query("[:find ?a ?doc :where [?a :db/doc ?doc]]", &[]).map_err(|e| db.failure(&e))?;
    let Shape::Relation(rows) = found.shape else { return Ok(BTreeMap::new()) };
    let pair = |row: Vec<Value>| match <[Value; 2]>::try_from(row) {
        Ok([Value::Ref(a), Value::String(doc)]) => Some((a, doc.to_string())),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

fn cardinality(attribute: &Attribute) -> &'static str {
    match attribute.cardinality() {
        Cardinality::One => "one",
        Cardinality::Many => "many",
    }
}

fn unique(attribute: &Attribute) -> Option<&'static str> {
    attribute.unique().map(|unique| match unique {
        Unique::Value => "value",
        Unique::Identity => "identity",
    })
}

/// The properties that are yes or no, by their names in the schema.
fn flags(attribute: &Attribute) -> [(&'static str, bool); 4] {
    [
        // Unique and full-text attributes are indexed anyway.
        ("index", attribute.indexed() && attribute.unique().is_none() && !attribute.fulltext()),
        ("isComponent", attribute.is_component()),
        ("fulltext", attribute.fulltext()),
        ("noHistory", attribute.no_history()),
    ]
}

fn cells(row: &Row) -> Vec<String> {
    let unique = unique(&row.attribute).map(|u| format!("unique {u}"));
    let flags = flags(&row.attribute).into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned());
    let merge = row.attribute.merge().map(|merge| format!("merge {}", merge.name()));
    vec![
        row.entid.to_string(),
        row.ident.as_ref().map(ToString::to_string).unwrap_or_default(),
        row.attribute.value_type().name().to_owned(),
        cardinality(&row.attribute).to_owned(),
        unique.into_iter().chain(flags).chain(merge).collect::<Vec<_>>().join(", "),
        row.doc.as_deref().map(visible).unwrap_or_default(),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'r> {
    entid: i64,
    ident: Option<String>,
    value_type: String,
    cardinality: String,
    unique: Option<String>,
    index: bool,
    is_component: bool,
    fulltext: bool,
    no_history: bool,
    merge: Option<String>,
    doc: Option<&'r str>,
}

fn told(row: &Row) -> Told<'_> {
    let attribute = &row.attribute;
    Told {
        entid: row.entid.get(),
        ident: row.ident.as_ref().map(ToString::to_string),
        value_type: format!(":db.type/{}", attribute.value_type().name()),
        cardinality: format!(":db.cardinality/{}", cardinality(attribute)),
        unique: unique(attribute).map(|u| format!(":db.unique/{u}")),
        index: attribute.indexed(),
        is_component: attribute.is_component(),
        fulltext: attribute.fulltext(),
        no_history: attribute.no_history(),
        merge: attribute.merge().map(|merge| format!(":db.merge/{}", merge.name())),
        doc: row.doc.as_deref(),
    }
}

/// The map that defines the attribute in a transaction; `None` where it has no ident.
fn definition(row: &Row) -> Option<Edn> {
    let keyword = |ns: &str, name: &str| Keyword::new(Some(ns), name).map(Edn::Keyword);
    let mut pairs = vec![
        (keyword("db", "ident"), row.ident.clone().map(Edn::Keyword)),
        (keyword("db", "valueType"), keyword("db.type", row.attribute.value_type().name())),
        (keyword("db", "cardinality"), keyword("db.cardinality", cardinality(&row.attribute))),
    ];
    if let Some(unique) = unique(&row.attribute) {
        pairs.push((keyword("db", "unique"), keyword("db.unique", unique)));
    }
    for (name, is) in flags(&row.attribute) {
        if is {
            pairs.push((keyword("db", name), Some(Edn::Boolean(true))));
        }
    }
    if let Some(merge) = row.attribute.merge() {
        pairs.push((keyword("db", "merge"), keyword("db.merge", merge.name())));
    }
    if let Some(doc) = &row.doc {
        pairs.push((keyword("db", "doc"), Some(Edn::String(doc.as_str().into()))));
    }
    pairs.into_iter().map(|(k, v)| k.zip(v)).collect::<Option<Vec<_>>>().map(Edn::Map)
}
