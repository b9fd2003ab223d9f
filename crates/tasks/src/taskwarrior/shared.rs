//! A document as a task that we share with Taskwarrior through its replicas: what Taskwarrior knows of a task as it has it, and the
//! whole document beside, so that what it did not change comes back exactly. `docs/tasks.md`, Taskwarrior on a hub.

use tolstoy_edn::Instant;
use uuid::Uuid;

use super::export::to_taskwarrior;
use super::import::Foreign;
use super::replica::{TaskMap, from_map, to_map};
use super::uuids::{id_of, uuid_of};
use crate::clock::LAST;
use crate::json::Json;
use crate::{Document, Refusal, TaskId};

/// The attribute with the whole document.
const DOCUMENT: &str = "tolstoy_document";

/// What a replica may have, and what is nothing of the task: it stays as it is.
const NOT_OURS: [&str; 3] = ["id", "urgency", "uuid"];

/// The document of a task in a replica. It follows from the map alone.
///
/// # Errors
/// Where it would be refused, or the document in it cannot be read.
pub fn from_replica(uuid: Uuid, map: &TaskMap) -> Result<Document, Refusal> {
    let says = foreign(uuid, map)?;
    let Some(held) = held(uuid, map)? else { return says.onto(None) };
    let told = foreign(uuid, &visible(&held, &|id| depends_on(map, id)))?;
    says.changed_since(&told, held)
}

/// The task that a replica has for a document, and had `before`. `known` gives the UUIDs of its other tasks.
pub fn to_replica(document: &Document, before: Option<&TaskMap>, known: &dyn Fn(TaskId) -> Option<Uuid>) -> TaskMap {
    let mut map = visible(document, known);
    map.insert(DOCUMENT.to_owned(), document.to_json().exact());
    let others = before.into_iter().flatten().filter(|(name, _)| NOT_OURS.contains(&name.as_str()));
    map.extend(others.map(|(name, value)| (name.clone(), value.clone())));
    map
}

/// Whether a task of a replica holds this very document.
pub fn is_held(document: &Document, uuid: Uuid, map: &TaskMap) -> bool {
    matches!(held(uuid, map), Ok(Some(held)) if held == *document)
}

/// The UUID that a document's task has in a replica.
pub fn uuid_in_replica(document: &Document) -> Uuid {
    let said = document.get("uuid").and_then(Json::as_str).and_then(super::export::uuid);
    said.filter(|uuid| id_of(*uuid) == document.id()).unwrap_or_else(|| uuid_of(document.id()))
}

/// When what an attribute says was written, as far as the document knows.
pub fn written_at(document: &Document, attribute: &str) -> Instant {
    if let Some(tag) = attribute.strip_prefix("tag_") {
        return document.tagged_at(tag);
    }
    let property = match attribute {
        "entry" => "created_at",
        "status" | "end" if document.get("deleted").is_some() => "deleted",
        "status" | "end" => "done",
        "depends" => "blocked_by",
        name if name.starts_with("dep_") => "blocked_by",
        name if name.starts_with("annotation_") => "annotations",
        name => return document.written_at(&super::names::from_taskwarrior(name)),
    };
    document.written_at(property)
}

fn held(uuid: Uuid, map: &TaskMap) -> Result<Option<Document>, Refusal> {
    let Some(text) = map.get(DOCUMENT) else { return Ok(None) };
    let why = |why: &dyn std::fmt::Display| {
        Refusal(format!(
            "its attribute {DOCUMENT} cannot be read: {why}; `task {uuid} modify {DOCUMENT}:` in Taskwarrior takes it away"
        ))
    };
    let document = Document::parse(text).map_err(|refusal| why(&refusal))?;
    if document.id() != id_of(uuid) {
        return Err(why(&"it is of another task"));
    }
    Ok(Some(document))
}

fn foreign(uuid: Uuid, map: &TaskMap) -> Result<Foreign, Refusal> {
    let is_its = |name: &str| name != DOCUMENT && !NOT_OURS.contains(&name);
    let map = map.iter().filter(|(name, _)| is_its(name)).map(|(name, value)| (name.clone(), value.clone()));
    Foreign::read(from_map(uuid, map.collect()))
}

/// What Taskwarrior sees of a document.
fn visible(document: &Document, known: &dyn Fn(TaskId) -> Option<Uuid>) -> TaskMap {
    // At the end of time nothing waits any more: in replicas no task does, it has a date and is pending.
    let Json::Object(task) = to_taskwarrior(&document.task(), LAST, known) else { return TaskMap::new() };
    let mut map = to_map(task);
    map.remove(DOCUMENT);
    NOT_OURS.iter().for_each(|name| drop(map.remove(*name)));
    map
}

fn depends_on(map: &TaskMap, id: TaskId) -> Option<Uuid> {
    let mut uuids = map.keys().filter_map(|key| key.strip_prefix("dep_").and_then(super::export::uuid));
    uuids.find(|uuid| id_of(*uuid) == id)
}
