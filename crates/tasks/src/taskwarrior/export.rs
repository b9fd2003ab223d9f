//! A task of ours as Taskwarrior's JSON.

use std::collections::BTreeMap;

use tolstoy_edn::Instant;
use uuid::Uuid;

use super::uuids::{id_of, uuid_of};
use super::{dates, names};
use crate::document::instant_of;
use crate::json::Json;
use crate::{Task, TaskId};

/// What a task is to Taskwarrior now. `known` gives the UUIDs that other tasks have from Taskwarrior.
pub fn to_taskwarrior(task: &Task, now: Instant, known: &dyn Fn(TaskId) -> Option<Uuid>) -> Json {
    let there = |(name, value): (String, Json)| (value != Json::Null).then_some((name, value));
    let mut rest: BTreeMap<String, Json> = task.properties().clone().into_iter().filter_map(there).collect();
    let mut out = BTreeMap::new();

    let uuid = take_if(&mut rest, "uuid", |value| value.as_str().and_then(uuid).is_some_and(|u| id_of(u) == task.id()));
    out.insert("uuid".to_owned(), uuid.unwrap_or_else(|| Json::String(uuid_of(task.id()).to_string())));
    for (ours, theirs) in [("created_at", "entry"), ("updated_at", "modified"), ("due", "due"), ("wait", "wait")] {
        out.extend(rest.remove(ours).map(|value| (theirs.to_owned(), dates::to_taskwarrior(&value))));
    }
    depend(&mut rest, &mut out, known);
    let recurs = rest.contains_key("recur_from") && rest.get("recur").is_some_and(|recur| recur.as_str().is_some());
    if recurs {
        out.extend(rest.remove("recur").map(|recur| ("recur".to_owned(), recur)));
    }
    say_status(&mut rest, &mut out, recurs, now);
    if task.tags().next().is_none() {
        rest.remove("tags");
    }
    for name in ["start", "scheduled", "until", "end"] {
        if let Some(value) = rest.get_mut(name) {
            *value = dates::to_taskwarrior(value);
        }
    }
    // Where it has no `end` of its own, one that stands beside is just that.
    if !out.contains_key("end") {
        out.extend(rest.remove("end").map(|end| ("end".to_owned(), end)));
    }
    for (name, value) in rest {
        let name = names::to_taskwarrior(&name);
        let name = if out.contains_key(&name) { names::own(&name) } else { name };
        out.insert(name, value);
    }
    Json::Object(out)
}

pub(super) fn uuid(text: &str) -> Option<Uuid> {
    // With hyphens alone: the other forms are nobody's.
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

fn take_if(from: &mut BTreeMap<String, Json>, name: &str, fits: impl Fn(&Json) -> bool) -> Option<Json> {
    if from.get(name).is_some_and(fits) { from.remove(name) } else { None }
}

/// `status` and `end`, from what is done and deleted.
fn say_status(rest: &mut BTreeMap<String, Json>, out: &mut BTreeMap<String, Json>, recurs: bool, now: Instant) {
    let is_marked = |value: &Json| *value != Json::Bool(false);
    let mut ended = None;
    let deleted = take_if(rest, "deleted", is_marked);
    let is_template = rest.get("status").and_then(Json::as_str) == Some("recurring");
    let status = if let Some(deleted) = deleted {
        ended = Some(deleted);
        Json::from("deleted")
    } else if let Some(done) = take_if(rest, "done", |done| is_marked(done) && !is_template) {
        ended = Some(done);
        Json::from("completed")
    } else if let Some(kept) = rest.remove("status") {
        if is_template {
            rest.remove("done");
        }
        kept
    } else if recurs {
        Json::from("recurring")
    } else if out
        .get("wait")
        .map(|wait| dates::from_taskwarrior(wait.clone()))
        .is_some_and(|w| instant_of(&w) > Some(now))
    {
        Json::from("waiting")
    } else {
        Json::from("pending")
    };
    out.insert("status".to_owned(), status);
    if let Some(ended) = ended.filter(|ended| *ended != Json::Bool(true)) {
        out.insert("end".to_owned(), dates::to_taskwarrior(&ended));
    }
    // As good as not there.
    for mark in ["done", "deleted"] {
        take_if(rest, mark, |value| *value == Json::Bool(false));
    }
}

/// `depends`, from the tasks that block it.
fn depend(rest: &mut BTreeMap<String, Json>, out: &mut BTreeMap<String, Json>, known: &dyn Fn(TaskId) -> Option<Uuid>) {
    let ids = |value: &Json| {
        let ids = value.as_array()?.iter().map(|id| id.as_str()?.parse::<TaskId>().ok());
        ids.collect::<Option<Vec<TaskId>>>()
    };
    let Some(blockers) = rest.get("blocked_by").and_then(ids) else {
        if !rest.contains_key("blocked_by") {
            out.extend(rest.remove("depends").map(|depends| ("depends".to_owned(), depends)));
        }
        return;
    };
    rest.remove("blocked_by");
    let theirs: Vec<Uuid> = rest.get("depends").and_then(uuids).unwrap_or_default();
    take_if(rest, "depends", |depends| uuids(depends).is_some());
    let of = |id: TaskId| {
        let uuid = theirs.iter().copied().find(|uuid| id_of(*uuid) == id).or_else(|| known(id));
        Json::String(uuid.unwrap_or_else(|| uuid_of(id)).to_string())
    };
    if !blockers.is_empty() {
        out.insert("depends".to_owned(), Json::Array(blockers.into_iter().map(of).collect()));
    }
}

/// The UUIDs of `depends`: an array of them, or a text with commas, as older versions write it.
pub(super) fn uuids(depends: &Json) -> Option<Vec<Uuid>> {
    match depends {
        Json::String(text) => text.split(',').map(uuid).collect(),
        Json::Array(entries) => entries.iter().map(|entry| entry.as_str().and_then(uuid)).collect(),
        _ => None,
    }
}
