//! Whether the story came out as it should.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use tolstoy_store::Entid;

use super::stage::Stage;
use crate::error::{Failure, Kind};

/// Checks that two stores hold the same logs and facts, and that the facts are those expected. Gives them as text.
pub(super) fn same_facts(
    stage: &mut Stage<'_>,
    db1: &str,
    db2: &str,
    expected: &[&str],
) -> Result<Vec<String>, Failure> {
    let [log1, log2] = both(stage, |db| vec!["log", "--json", db], db1, db2)?;
    if log1 != log2 {
        return Err(differ("the two stores have different logs"));
    }
    let datoms = |db| vec!["query", "--json", db, "[:find ?e ?a ?v ?tx :where [?e ?a ?v ?tx]]"];
    let [datoms1, datoms2] = both(stage, datoms, db1, db2)?;
    if as_set(&datoms1) != as_set(&datoms2) {
        return Err(differ("the two stores have different facts"));
    }
    let idents = stage.ask(&["query", "--json", db1, "[:find ?e ?ident :where [?e :db/ident ?ident]]"])?;
    let found = symbolic(&parse(&datoms1)?, &parse(&idents)?)
        .ok_or_else(|| differ("the facts are not as a query gives them"))?;
    let wanted: BTreeSet<String> = expected.iter().map(|&fact| fact.to_owned()).collect();
    if found.iter().cloned().collect::<BTreeSet<_>>() != wanted || found.len() != expected.len() {
        return Err(differ(&format!("the facts should be\n{}\nand are\n{}", expected.join("\n"), found.join("\n"))));
    }
    Ok(found)
}

fn differ(what: &str) -> Failure {
    Failure::new(Kind::Demo, what)
}

fn both<'a>(
    stage: &mut Stage<'_>,
    args: impl Fn(&'a str) -> Vec<&'a str>,
    db1: &'a str,
    db2: &'a str,
) -> Result<[String; 2], Failure> {
    Ok([stage.ask(&args(db1))?, stage.ask(&args(db2))?])
}

fn parse(text: &str) -> Result<Json, Failure> {
    serde_json::from_str(text).map_err(|e| differ(&format!("a command did not print JSON: {e}")))
}

/// The rows of an answer, whatever their order.
fn as_set(text: &str) -> Option<BTreeSet<String>> {
    let rows: Vec<Json> = serde_json::from_str(text).ok()?;
    Some(rows.iter().map(Json::to_string).collect())
}

/// The facts that the clients stated, with idents for numbers, and people numbered in order.
fn symbolic(datoms: &Json, idents: &Json) -> Option<Vec<String>> {
    let idents: BTreeMap<i64, &str> = idents
        .as_array()?
        .iter()
        .map(|row| Some((row.get(0)?.as_i64()?, row.get(1)?.as_str()?)))
        .collect::<Option<_>>()?;
    let mut rows: Vec<(i64, i64, &Json)> = Vec::new();
    for row in datoms.as_array()? {
        let (e, a, tx) = (row.get(0)?.as_i64()?, row.get(1)?.as_i64()?, row.get(3)?.as_i64()?);
        if tx > Entid::TX0.get() && idents.get(&a) != Some(&":db/txInstant") {
            rows.push((e, a, row.get(2)?));
        }
    }
    rows.sort_by_key(|(e, a, _)| (!idents.contains_key(e), *e, *a));
    let people: BTreeSet<i64> = rows.iter().map(|(e, ..)| *e).filter(|e| !idents.contains_key(e)).collect();
    let name = |e: i64| match idents.get(&e) {
        Some(ident) => Some((*ident).to_owned()),
        None => Some(format!("?{}", people.iter().position(|p| *p == e)? + 1)),
    };
    rows.iter()
        .map(|(e, a, v)| {
            let attribute = idents.get(a)?;
            let value = match v.as_i64() {
                // What the schema's own attributes refer to are idents.
                Some(entid) if attribute.starts_with(":db/") => name(entid)?,
                _ if *attribute == ":db/ident" => v.as_str()?.to_owned(),
                _ => v.to_string(),
            };
            Some(format!("[{} {attribute} {value}]", name(*e)?))
        })
        .collect()
}
