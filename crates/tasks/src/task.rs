//! A task as it stands: its properties and their meanings.

use tolstoy_edn::Instant;

use crate::TaskId;
use crate::document::{MAX_DEPTH, MAX_TEXT, Refusal, instant_of};
use crate::id::NoTaskId;
use crate::json::{self, Json, Limits, Members};

/// A task as it stands, without how it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    id: TaskId,
    properties: Members,
}

impl Task {
    /// The task with these properties, of which the id is none.
    pub(crate) const fn new(id: TaskId, properties: Members) -> Self {
        Self { id, properties }
    }

    /// Reads what stands in a document, and skips how it came to. This is quicker than reading all of it, and right for documents
    /// that were written by this crate.
    ///
    /// # Errors
    /// Where it is no task's document.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let limits = Limits { bytes: MAX_TEXT, depth: MAX_DEPTH };
        let Some(mut properties) = json::read_members(text, limits, &["_clocks", "_journal"])? else {
            let other = json::read(text, limits)?;
            return Err(Refusal(format!("a task is a JSON object, not {}", other.describe())));
        };
        match properties.remove("id") {
            Some(Json::String(id)) => {
                let id = id.parse().map_err(|e: NoTaskId| Refusal(e.to_string()))?;
                Ok(Self { id, properties })
            }
            _ => Err(Refusal("`id` is missing".to_owned())),
        }
    }

    /// The id.
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// The id as text.
    pub fn id_str(&self) -> &str {
        self.id.as_str()
    }

    /// What stands, as JSON.
    pub fn to_json(&self) -> Json {
        let id = ("id".to_owned(), self.id.as_str().into());
        Json::Object(self.properties.clone().into_iter().chain([id]).collect())
    }

    /// A property other than the id.
    pub fn get(&self, property: &str) -> Option<&Json> {
        self.properties.get(property)
    }

    /// All properties other than the id.
    pub const fn properties(&self) -> &Members {
        &self.properties
    }

    pub(crate) fn into_properties(self) -> Members {
        self.properties
    }

    /// The description; empty where there is none.
    pub fn description(&self) -> &str {
        self.text("description").unwrap_or_default()
    }

    /// A property that is a text.
    pub fn text(&self, property: &str) -> Option<&str> {
        self.get(property)?.as_str()
    }

    /// A property that is an instant.
    pub fn instant(&self, property: &str) -> Option<Instant> {
        instant_of(self.get(property)?)
    }

    /// The tags, in order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.get("tags").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }

    /// The tasks that must be done before.
    pub fn blocked_by(&self) -> impl Iterator<Item = TaskId> {
        let ids = self.get("blocked_by").and_then(Json::as_array).into_iter().flatten();
        ids.filter_map(|id| id.as_str()?.parse().ok())
    }

    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        self.is_marked("done")
    }

    /// Whether it was deleted.
    pub fn is_deleted(&self) -> bool {
        self.is_marked("deleted")
    }

    /// Whether it is neither done nor deleted.
    pub fn is_open(&self) -> bool {
        !self.is_done() && !self.is_deleted()
    }

    fn is_marked(&self, property: &str) -> bool {
        !matches!(self.get(property), None | Some(Json::Null | Json::Bool(false)))
    }
}
