//! A task as a replica of TaskChampion's stores it: a map of texts.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;
use uuid::Uuid;

use super::dates;
use crate::clock::LAST;
use crate::json::Json;

/// The attributes that are seconds since 1970.
const DATES: [&str; 8] = ["entry", "modified", "start", "end", "due", "wait", "scheduled", "until"];

/// The task as Taskwarrior's JSON has it.
pub fn from_map(uuid: Uuid, map: BTreeMap<String, String>) -> Json {
    let mut task = BTreeMap::from([("uuid".to_owned(), Json::String(uuid.to_string()))]);
    let (mut tags, mut depends, mut annotations) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (key, value) in map {
        let after = |prefix: &str| key.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(str::to_owned);
        if let Some(tag) = after("tag_") {
            tags.insert(tag);
        } else if let Some(uuid) = after("dep_") {
            depends.insert(uuid);
        } else if let Some(entry) = after("annotation_").and_then(|seconds| date(&seconds)) {
            let entry = ("entry".to_owned(), Json::String(entry));
            annotations.push(Json::Object(BTreeMap::from([entry, ("description".to_owned(), Json::String(value))])));
        } else if key == "tags" {
            // Said once more, for older programs.
            tags.extend(value.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned));
        } else if key == "depends" {
            depends.extend(value.split(',').filter(|uuid| !uuid.is_empty()).map(str::to_owned));
        } else {
            let date = date(&value).filter(|_| DATES.contains(&key.as_str()));
            task.insert(key, Json::String(date.unwrap_or(value)));
        }
    }
    let texts = |set: BTreeSet<String>| Json::Array(set.into_iter().map(Json::String).collect());
    let mut list = |name: &str, values: Json| {
        if values.as_array().is_some_and(|values| !values.is_empty()) {
            task.insert(name.to_owned(), values);
        }
    };
    list("tags", texts(tags));
    list("depends", texts(depends));
    list("annotations", Json::Array(annotations));
    task.entry("status".to_owned()).or_insert_with(|| Json::from("pending"));
    Json::Object(task)
}

/// Seconds since 1970 as Taskwarrior writes a date.
fn date(seconds: &str) -> Option<String> {
    // Some versions wrote them with a fraction.
    let whole = seconds.split_once('.').map_or(seconds, |(whole, _)| whole);
    let micros = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let instant = Instant::from_micros(micros);
    (instant <= LAST && micros >= 0).then(|| dates::written(instant))
}
