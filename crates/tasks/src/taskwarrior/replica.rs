//! A task as a replica of TaskChampion's stores it: a map of texts.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;
use uuid::Uuid;

use super::dates;
use crate::clock::LAST;
use crate::document::instant_of;
use crate::json::Json;

/// A task as a replica has it.
pub type TaskMap = BTreeMap<String, String>;

/// The attributes that are seconds since 1970.
const DATES: [&str; 8] = ["entry", "modified", "start", "end", "due", "wait", "scheduled", "until"];

/// The task as Taskwarrior's JSON has it.
pub fn from_map(uuid: Uuid, map: TaskMap) -> Json {
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
        } else if key == "tags" || key == "depends" {
            // Said once more, for older programs. Taskwarrior itself reads these from what is above alone, and a client that is
            // another does not keep them up.
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

/// The map of a task that is as Taskwarrior's JSON has it. What is no text there is one here: JSON.
pub(super) fn to_map(mut task: BTreeMap<String, Json>) -> TaskMap {
    let mut map = TaskMap::new();
    for (list, prefix) in [("tags", "tag_"), ("depends", "dep_")] {
        let Some(all) = task.get(list).and_then(texts) else { continue };
        map.extend(all.iter().map(|one| (format!("{prefix}{one}"), "x".to_owned())));
        map.insert(list.to_owned(), all.into_iter().collect::<Vec<_>>().join(","));
        task.remove(list);
    }
    if let Some(all) = task.get("annotations").and_then(annotations) {
        map.extend(all.into_iter().map(|(second, text)| (format!("annotation_{second}"), text)));
        task.remove("annotations");
    }
    for (name, value) in task {
        let second = seconds(&value).filter(|_| DATES.contains(&name.as_str()));
        let text = || value.as_str().map_or_else(|| value.exact(), str::to_owned);
        map.entry(name).or_insert_with(|| second.map_or_else(text, |second| second.to_string()));
    }
    map
}

/// The texts of an array that has nothing else, in order.
fn texts(array: &Json) -> Option<BTreeSet<&str>> {
    array.as_array()?.iter().map(Json::as_str).collect()
}

/// The annotations by their seconds: two of one second follow each other, as with Taskwarrior.
fn annotations(array: &Json) -> Option<BTreeMap<i64, String>> {
    let mut all = BTreeMap::new();
    for one in array.as_array()? {
        let members = one.as_object().filter(|members| members.len() == 2)?;
        let (entry, text) = (members.get("entry").and_then(seconds)?, members.get("description")?.as_str()?);
        let free = (entry..).find(|second| !all.contains_key(second))?;
        all.insert(free, text.to_owned());
    }
    Some(all)
}

/// Seconds since 1970 of one of Taskwarrior's dates.
fn seconds(date: &Json) -> Option<i64> {
    let instant = instant_of(&dates::from_taskwarrior(date.clone()))?;
    Some(instant.as_micros().div_euclid(1_000_000)).filter(|second| *second >= 0)
}

/// Seconds since 1970 as Taskwarrior writes a date.
fn date(seconds: &str) -> Option<String> {
    // Some versions wrote them with a fraction.
    let whole = seconds.split_once('.').map_or(seconds, |(whole, _)| whole);
    let micros = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let instant = Instant::from_micros(micros);
    (instant <= LAST && micros >= 0).then(|| dates::written(instant))
}
