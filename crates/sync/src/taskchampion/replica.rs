//! The tasks of a client as they are at a version, and what is to be written there.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_proto::TrnId;
use tolstoy_tasks::driver::{Answer, Hashes, Offer, Trouble};
use tolstoy_tasks::taskwarrior::{TaskMap, from_replica, id_of, is_held, to_replica, uuid_in_replica, written_at};
use tolstoy_tasks::{Document, Hash, Refusal, Task, TaskId, resolve};
use uuid::Uuid;

use super::history::{Maps, Operation};

/// A task of the replica.
#[derive(Debug)]
struct Held {
    uuid: Uuid,
    document: Result<(Hash, Document), Refusal>,
}

/// The tasks at a version.
///
/// Invariant: `documents` is what `maps` say.
#[derive(Debug)]
pub(super) struct Replica {
    base: TrnId,
    maps: Maps,
    documents: BTreeMap<TaskId, Held>,
}

/// The operations on one task.
pub(super) type Edit = Vec<Operation>;

impl Replica {
    pub(super) fn at(base: TrnId, maps: Maps) -> Self {
        let mut replica = Self { base, maps, documents: BTreeMap::new() };
        let all: BTreeSet<Uuid> = replica.maps.keys().copied().collect();
        replica.read(&all);
        replica
    }

    /// The version.
    pub(super) const fn base(&self) -> TrnId {
        self.base
    }

    pub(super) const fn maps(&self) -> &Maps {
        &self.maps
    }

    /// Goes on to the next version.
    pub(super) fn advance(&mut self, to: TrnId, operations: &[Operation]) {
        operations.iter().for_each(|operation| operation.apply(&mut self.maps));
        self.base = to;
        self.read(&operations.iter().map(Operation::uuid).collect());
    }

    fn read(&mut self, changed: &BTreeSet<Uuid>) {
        if changed.is_empty() {
            return;
        }
        self.documents.retain(|_, held| !changed.contains(&held.uuid));
        for uuid in changed {
            if let Some(map) = self.maps.get(uuid) {
                let document = from_replica(*uuid, map).map(|document| (document.hash(), document));
                self.documents.insert(id_of(*uuid), Held { uuid: *uuid, document });
            }
        }
    }

    pub(super) fn hashes(&self) -> Hashes {
        let hash = |(id, held): (&TaskId, &Held)| held.document.as_ref().ok().map(|(hash, _)| (*id, *hash));
        Hashes { tasks: self.documents.iter().filter_map(hash).collect(), troubles: self.troubles() }
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        let documents = self.documents.values().filter_map(|held| held.document.as_ref().ok());
        documents.map(|(_, document)| document.task()).collect()
    }

    /// What cannot be read.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let trouble = |held: &Held| {
            let why = held.document.as_ref().err()?.to_string();
            Some(Trouble { place: held.uuid.to_string(), why })
        };
        self.documents.values().filter_map(trouble).collect()
    }

    /// What becomes of offers and what is here, and the operations that make it so. What is answered is held in the task: what
    /// Taskwarrior then changes is told from what it was told.
    pub(super) fn plan(&self, offers: &[Offer]) -> (Vec<Answer>, Vec<Edit>) {
        let mut stands: BTreeMap<TaskId, Document> = BTreeMap::new();
        let answers: Vec<Answer> = offers
            .iter()
            .map(|offer| match self.resolved(offer, &stands) {
                Ok(document) => {
                    stands.extend(document.clone().map(|document| (offer.id(), document)));
                    Answer::Stands(document)
                }
                Err(refusal) => Answer::Refused(refusal),
            })
            .collect();
        let new: BTreeMap<TaskId, Uuid> = stands.values().map(|new| (new.id(), self.uuid_of(new))).collect();
        let known = |id: TaskId| self.documents.get(&id).map(|held| held.uuid).or_else(|| new.get(&id).copied());
        let edits = stands.values().filter_map(|document| self.edit(document, &known)).collect();
        (answers, edits)
    }

    fn resolved(&self, offer: &Offer, stands: &BTreeMap<TaskId, Document>) -> Result<Option<Document>, Refusal> {
        let held = self.documents.get(&offer.id()).map(|held| held.document.as_ref().map(|(_, document)| document));
        let here = match stands.get(&offer.id()) {
            Some(document) => Some(document),
            None => held.transpose().map_err(Refusal::clone)?,
        };
        let document = match (here, offer.state()) {
            (None, None) => return Ok(None),
            (Some(here), None) => return Ok(Some(here.clone())),
            (None, Some(offered)) => offered.clone(),
            (Some(here), Some(offered)) => resolve(here, offered)?,
        };
        document.check()?;
        Ok(Some(document))
    }

    fn uuid_of(&self, document: &Document) -> Uuid {
        self.documents.get(&document.id()).map_or_else(|| uuid_in_replica(document), |held| held.uuid)
    }

    /// The operations that make a task hold this document; none where it does.
    fn edit(&self, document: &Document, known: &dyn Fn(TaskId) -> Option<Uuid>) -> Option<Edit> {
        let uuid = self.uuid_of(document);
        let (before, nothing) = (self.maps.get(&uuid), TaskMap::new());
        if before.is_some_and(|map| is_held(document, uuid, map)) {
            return None;
        }
        let (after, before_or_nothing) = (to_replica(document, before, known), before.unwrap_or(&nothing));
        let names: BTreeSet<&String> = before_or_nothing.keys().chain(after.keys()).collect();
        let changed = names.into_iter().filter(|name| before_or_nothing.get(*name) != after.get(*name));
        let create = before.is_none().then_some(Operation::Create { uuid });
        let updates = changed.map(|name| Operation::Update {
            uuid,
            property: name.clone(),
            value: after.get(name).cloned(),
            // Replicas that changed it meanwhile keep the later: so it is as late as it is.
            timestamp: written_at(document, name).to_string(),
        });
        Some(create.into_iter().chain(updates).collect())
    }
}
