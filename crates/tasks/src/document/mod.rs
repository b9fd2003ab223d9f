//! The document of a task: what stands, and what is known of how it came to.

mod adopt;
mod edit;
mod history;
mod outside;
mod parse;
mod resolve;
mod write;

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::TaskId;
use crate::clock::TagStamp;
use crate::json::Json;
use crate::task::Task;

pub use resolve::resolve;

pub(crate) use history::History;
pub(crate) use parse::instant_of;

/// The most bytes of a document in canonical form.
pub const MAX_BYTES: usize = 1 << 20;
/// The most bytes of a document as it is written.
pub const MAX_TEXT: usize = 2 << 20;
/// The most levels of a document.
pub const MAX_DEPTH: u32 = 32;
/// The most properties, and the most tags, of a document.
pub const MAX_PROPERTIES: usize = 1000;
/// The most bytes of a property's name, and of a tag.
pub const MAX_NAME: usize = 256;

/// A task's document. It is in the form in which every change has its stamp: what a client without clocks did is read
/// into stamps when the document is read. Two are equal exactly if their hashes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    id: TaskId,
    updated_at: Option<Json>,
    properties: BTreeMap<String, History>,
    tags: BTreeMap<String, TagStamp>,
    /// Whether `tags` stands there. Invariant: it does where any tag was ever put on.
    lists_tags: bool,
}

/// Why a document is not taken: what, where and why, in words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl From<crate::json::Fault> for Refusal {
    fn from(fault: crate::json::Fault) -> Self {
        Self(fault.to_string())
    }
}

/// The content hash of a document: SHA-256 of its canonical JSON. Displays in lowercase hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value that was lost: another was written elsewhere at the same time, and stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The property.
    pub property: String,
    /// Its stamp, as `_journal` has it.
    pub clock: String,
    /// The value; none: the property was removed.
    pub value: Option<Json>,
}

impl Document {
    /// A document with an id and nothing else.
    pub const fn new(id: TaskId) -> Self {
        Self { id, updated_at: None, properties: BTreeMap::new(), tags: BTreeMap::new(), lists_tags: false }
    }

    /// The id.
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// The content hash.
    pub fn hash(&self) -> Hash {
        Hash(Sha256::digest(self.canonical().as_bytes()).into())
    }

    /// The canonical JSON.
    pub fn canonical(&self) -> String {
        self.to_json().canonical()
    }

    /// The value of a property other than the id and the tags, where it stands.
    pub fn get(&self, property: &str) -> Option<&Json> {
        if property == "updated_at" {
            return self.updated_at.as_ref();
        }
        self.properties.get(property)?.stands()
    }

    /// The tags that are on, in order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().filter(|(_, stamp)| stamp.on).map(|(tag, _)| tag.as_str())
    }

    /// What was lost and is not what stands.
    pub fn journal(&self) -> Vec<Lost> {
        let lost = |(property, history): (&String, &History)| {
            let stands = history.stands().cloned();
            let lost = history.lost().map(|(stamp, value)| Lost {
                property: property.clone(),
                clock: stamp.to_string(),
                value: value.cloned(),
            });
            lost.filter(|lost| lost.value != stands).collect::<Vec<_>>()
        };
        self.properties.iter().flat_map(lost).collect()
    }

    /// What stands, without how it came to.
    pub fn task(&self) -> Task {
        let updated_at = self.updated_at.clone().map(|at| ("updated_at".to_owned(), at));
        let tags = self.lists_tags.then(|| ("tags".to_owned(), Json::Array(self.tags().map(Json::from).collect())));
        let stands = self
            .properties
            .iter()
            .filter_map(|(property, history)| Some((property.clone(), history.stands()?.clone())));
        Task::new(self.id, stands.chain(updated_at).chain(tags).collect())
    }

    /// Whether it keeps the limits.
    ///
    /// # Errors
    /// Which limit it breaks.
    pub fn check(&self) -> Result<(), Refusal> {
        self.check_counts()?;
        self.check_bytes()
    }

    fn check_counts(&self) -> Result<(), Refusal> {
        at_most("properties", self.properties.len(), MAX_PROPERTIES)?;
        at_most("tags, those that were taken off included", self.tags.len(), MAX_PROPERTIES)
    }

    /// What is taken can be read again, however it is written.
    fn check_bytes(&self) -> Result<(), Refusal> {
        let written = self.pretty().len();
        // No number's canonical form is eight times as long as what was written.
        if written > MAX_BYTES / 8 {
            at_most("bytes", self.canonical().len(), MAX_BYTES)?;
        }
        at_most("bytes as it is written", written, MAX_TEXT)
    }
}

fn at_most(what: &str, there: usize, most: usize) -> Result<(), Refusal> {
    if there > most {
        return Err(Refusal(format!("the task has {there} {what}; at most {most} can be kept")));
    }
    Ok(())
}
