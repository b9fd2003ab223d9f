//! Places where tasks live.

pub mod conformance;
mod folder;
mod memory;
#[cfg(feature = "store")]
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;

use crate::{Digest, Document, Hash, Refusal, Task, TaskId};

pub use folder::{Folder, FolderOptions};
pub use memory::Memory;
#[cfg(feature = "store")]
pub use store::StoreDriver;

/// A place where tasks live. To write is to merge: there is no other way, and so it does not matter who else writes.
///
/// What a new driver has to keep is checked by [`conformance`].
pub trait Driver {
    /// The hashes of all tasks, and what could not be read.
    ///
    /// # Errors
    /// Where the place as a whole cannot be read.
    fn hashes(&mut self) -> Result<Hashes, DriverError>;

    /// Resolves each offer with what is here, durably, and answers what stands now, in the order of the offers.
    ///
    /// # Errors
    /// Where the place as a whole cannot be read or written. Some of the offers may have been taken; all may come again.
    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError>;

    /// Lets go of each of these tasks that still has this hash: it lives elsewhere from now on. This is no deletion: nothing of it
    /// travels in documents. A task that is not here is let go of already. A place that cannot keeps all, and says why.
    ///
    /// # Errors
    /// Where the place as a whole cannot be read or written. Some of the tasks may have been let go of.
    fn release(&mut self, tasks: &BTreeMap<TaskId, Hash>) -> Result<Released, DriverError> {
        let why = Refusal("this place cannot let go of tasks".to_owned());
        let kept = tasks.keys().map(|id| (*id, why.clone())).collect();
        Ok(Released { kept, ..Released::default() })
    }

    /// Which tasks are others here than these hashes, which the other side has, say.
    ///
    /// # Errors
    /// Where the place as a whole cannot be read.
    fn differences(&mut self, theirs: &BTreeMap<TaskId, Hash>) -> Result<Differences, DriverError> {
        let Hashes { tasks, troubles } = self.hashes()?;
        Ok(Differences { tasks: plan(theirs, &tasks), digest: Digest::of(&tasks), troubles })
    }

    /// All tasks as they stand, in the order of their ids, and what could not be read.
    ///
    /// # Errors
    /// Where the place as a whole cannot be read.
    fn list(&mut self) -> Result<Listing, DriverError> {
        let Hashes { tasks, mut troubles } = self.hashes()?;
        let offers: Vec<Offer> = tasks.into_keys().map(Offer::nothing).collect();
        let exchanged = self.exchange(&offers)?;
        troubles.extend(exchanged.troubles);
        let tasks = exchanged.answers.into_iter().filter_map(|answer| match answer {
            Answer::Stands(document) => document.map(|document| document.task()),
            Answer::Refused(_) => None,
        });
        Ok(Listing { tasks: tasks.collect(), troubles })
    }
}

/// What the other side has of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    id: TaskId,
    state: Option<Document>,
}

impl Offer {
    /// Nothing: the offer asks what is here.
    pub const fn nothing(id: TaskId) -> Self {
        Self { id, state: None }
    }

    /// A document, of the task that it names.
    pub const fn of(document: Document) -> Self {
        Self { id: document.id(), state: Some(document) }
    }

    /// The task.
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// Its document on the other side, if it has one.
    pub const fn state(&self) -> Option<&Document> {
        self.state.as_ref()
    }
}

/// What a driver says to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This stands now; none: the task is on neither side.
    Stands(Option<Document>),
    /// The task cannot be read or written here now. What is here stays as it is.
    Refused(Refusal),
}

/// The answers to an exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// One for each offer, in their order.
    pub answers: Vec<Answer>,
    /// What went wrong beside them.
    pub troubles: Vec<Trouble>,
}

/// What a place has let go of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// The tasks that are not here any more.
    pub released: BTreeSet<TaskId>,
    /// The tasks that are still here, and why.
    pub kept: BTreeMap<TaskId, Refusal>,
    /// What went wrong beside them.
    pub troubles: Vec<Trouble>,
}

impl Released {
    /// A task has another hash than the one that was to go.
    pub(crate) fn keep_edited(&mut self, id: TaskId) {
        self.kept.insert(id, Refusal("it was edited meanwhile".to_owned()));
    }
}

/// The hashes of all tasks of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    /// The tasks.
    pub tasks: BTreeMap<TaskId, Hash>,
    /// What could not be read.
    pub troubles: Vec<Trouble>,
}

/// How the tasks of a place differ from others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The hashes that tasks have here where they have others there, or are not there; none: it is only there.
    pub tasks: BTreeMap<TaskId, Option<Hash>>,
    /// The digest of all tasks here, as they were compared or before.
    pub digest: Digest,
    /// What could not be read.
    pub troubles: Vec<Trouble>,
}

/// The plan of a reconciliation: the tasks whose hashes differ, or that one side lacks, with what they are there.
pub fn plan(here: &BTreeMap<TaskId, Hash>, there: &BTreeMap<TaskId, Hash>) -> BTreeMap<TaskId, Option<Hash>> {
    let ids: BTreeSet<&TaskId> = here.keys().chain(there.keys()).collect();
    let of = |id: &&TaskId| here.get(*id) != there.get(*id);
    ids.into_iter().filter(of).map(|id| (*id, there.get(id).copied())).collect()
}

/// All tasks of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The tasks, in the order of their ids.
    pub tasks: Vec<Task>,
    /// What could not be read.
    pub troubles: Vec<Trouble>,
}

/// Something that is not as it should be, and keeps nothing else from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is about: a file's name, a task.
    pub place: String,
    /// What is wrong, and what to do about it.
    pub why: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// What the caller can do about a failed driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverErrorKind {
    /// Somebody else holds the place, or it cannot be reached: try again later.
    Unavailable,
    /// It is no such place: name another, or make it.
    NoPlace,
    /// It was written by a newer version: update Tolstoy.
    Newer,
    /// It does not let this program in, or is not to be trusted: see the message.
    Refused,
    /// The disk or the like failed: see the message.
    Failed,
}

/// A place as a whole cannot be read or written.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct DriverError {
    kind: DriverErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl DriverError {
    /// An error of this kind.
    pub fn new(kind: DriverErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What the caller can do.
    pub const fn kind(&self) -> DriverErrorKind {
        self.kind
    }
}
