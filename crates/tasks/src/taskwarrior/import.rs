//! Taskwarrior's JSON as a task of ours.

use std::collections::{BTreeMap, BTreeSet};

use super::export::{to_taskwarrior, uuid, uuids};
use super::uuids::{id_of, ours};
use super::{dates, names};
use crate::clock::FIRST;
use crate::document::instant_of;
use crate::json::{self, Json};
use crate::{Document, Refusal, TaskId};

/// A task as Taskwarrior has it, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    id: TaskId,
    /// When Taskwarrior says that it changed it.
    modified: Option<Json>,
    properties: BTreeMap<String, Json>,
    tags: Option<BTreeSet<String>>,
}

impl Foreign {
    /// Reads a task of Taskwarrior's JSON.
    ///
    /// # Errors
    /// Where it has no UUID, or tags that are no texts.
    pub fn read(task: Json) -> Result<Self, Refusal> {
        let Json::Object(mut rest) = task else {
            return Err(Refusal(format!("a task is a JSON object, not {}", task.describe())));
        };
        let said = rest.remove("uuid").ok_or_else(|| Refusal("`uuid` is missing".to_owned()))?;
        let known = said.as_str().and_then(uuid);
        let known = known.ok_or_else(|| Refusal(format!("`uuid`: {} is no UUID", json::shortened(&said.exact()))))?;
        // What Taskwarrior counts and computes anew each time.
        rest.remove("id");
        rest.remove("urgency");
        let mut properties = BTreeMap::new();
        if ours(known).is_none() {
            properties.insert("uuid".to_owned(), said);
        }
        let tags = rest.remove("tags").map(read_tags).transpose()?;
        let modified = rest.remove("modified").map(dates::from_taskwarrior);
        for (theirs, ours) in [("entry", "created_at"), ("due", "due"), ("wait", "wait")] {
            properties.extend(rest.remove(theirs).map(|value| (ours.to_owned(), dates::from_taskwarrior(value))));
        }
        for name in ["start", "scheduled", "until", "end"] {
            properties.extend(rest.remove(name).map(|value| (name.to_owned(), dates::from_taskwarrior(value))));
        }
        let is_ours = rest.contains_key(&names::own("recur_from"));
        if let Some(recur) = rest.remove("recur") {
            properties.insert(if is_ours { "recur".to_owned() } else { names::their_recur() }, recur);
        }
        if let Some(depends) = rest.remove("depends") {
            read_depends(depends, &mut properties);
        }
        if let Some(status) = rest.remove("status") {
            read_status(status, is_ours, &mut properties);
        }
        for (name, value) in rest {
            properties.entry(names::from_taskwarrior(&name)).or_insert(value);
        }
        Ok(Self { id: id_of(known), modified, properties, tags })
    }

    /// The task's id here.
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// Whether it is what Taskwarrior makes recurring tasks from, and nothing to be done itself.
    pub fn is_template(&self) -> bool {
        self.properties.get("status").and_then(Json::as_str) == Some("recurring")
    }

    /// The document that comes of this and what is here. Nothing changes where Taskwarrior says what it was told.
    ///
    /// # Errors
    /// Where the document would be refused.
    pub fn onto(&self, here: Option<&Document>) -> Result<Document, Refusal> {
        let Some(here) = here else { return self.document() };
        let told = Self::read(to_taskwarrior(&here.task(), FIRST, &|_| None))?;
        let nothing = BTreeSet::new();
        let mut document = here.clone();
        let at = self.modified.as_ref().and_then(instant_of);
        document.adopt(
            (&told.properties, told.tags.as_ref().unwrap_or(&nothing)),
            (&self.properties, self.tags.as_ref().unwrap_or(&nothing)),
            at.unwrap_or(FIRST),
        );
        document.check()?;
        Ok(document)
    }

    /// What becomes of a document that Taskwarrior has, was told as this, and now has as `self` says.
    pub(super) fn changed_since(&self, told: &Self, mut held: Document) -> Result<Document, Refusal> {
        if self == told {
            return Ok(held);
        }
        let nothing = BTreeSet::new();
        held.edit_outside(
            (&told.properties, told.tags.as_ref().unwrap_or(&nothing)),
            (&self.properties, self.tags.as_ref().unwrap_or(&nothing)),
            self.modified.as_ref().and_then(instant_of).unwrap_or(FIRST),
        )?;
        // Names and tags may be such as no document has.
        Document::from_json(held.to_json())
    }

    fn document(&self) -> Result<Document, Refusal> {
        let mut members = self.properties.clone();
        members.insert("id".to_owned(), Json::from(self.id.as_str()));
        members.extend(self.modified.clone().map(|modified| ("updated_at".to_owned(), modified)));
        let tags = self.tags.as_ref().map(|tags| tags.iter().map(|tag| Json::from(tag.as_str())).collect());
        members.extend(tags.map(|tags| ("tags".to_owned(), Json::Array(tags))));
        Document::from_json(Json::Object(members))
    }
}

fn read_tags(tags: Json) -> Result<BTreeSet<String>, Refusal> {
    match tags {
        Json::Array(tags) => tags
            .into_iter()
            .map(|tag| match tag {
                Json::String(tag) => Ok(tag),
                other => Err(Refusal(format!("`tags` has {} in it; tags are texts", other.describe()))),
            })
            .collect(),
        // As older versions write them.
        Json::String(tags) => Ok(tags.split(',').map(str::to_owned).collect()),
        other => Err(Refusal(format!("`tags` is {}; tags are an array of texts", other.describe()))),
    }
}

/// The ids of what it depends on; and the UUIDs, where our ids do not say them.
fn read_depends(depends: Json, properties: &mut BTreeMap<String, Json>) {
    let Some(uuids) = uuids(&depends) else {
        properties.insert("depends".to_owned(), depends);
        return;
    };
    let ids = uuids.iter().map(|uuid| Json::from(id_of(*uuid).as_str())).collect();
    properties.insert("blocked_by".to_owned(), Json::Array(ids));
    if uuids.iter().any(|uuid| ours(*uuid).is_none()) {
        let texts = uuids.iter().map(|uuid| Json::String(uuid.to_string())).collect();
        properties.insert("depends".to_owned(), Json::Array(texts));
    }
}

fn read_status(status: Json, is_ours: bool, properties: &mut BTreeMap<String, Json>) {
    match status.as_str() {
        Some("pending") => {}
        Some("waiting") if properties.contains_key("wait") => {}
        Some("recurring") if is_ours => {}
        Some("completed") => mark("done", properties),
        Some("deleted") => mark("deleted", properties),
        Some("recurring") => {
            // Hidden, as Taskwarrior hides it: what is to be done are the tasks that it makes from it.
            properties.insert("done".to_owned(), Json::Bool(true));
            properties.insert("status".to_owned(), status);
        }
        _ => drop(properties.insert("status".to_owned(), status)),
    }
}

/// Marks as done or deleted when it ended, or, where it is not said when, at all.
fn mark(property: &str, properties: &mut BTreeMap<String, Json>) {
    let end = properties.remove("end").filter(|end| !matches!(end, Json::Null | Json::Bool(_)));
    properties.insert(property.to_owned(), end.unwrap_or(Json::Bool(true)));
}
