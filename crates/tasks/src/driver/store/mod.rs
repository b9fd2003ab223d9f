//! Tasks as datoms in a store, so that they sync through any log and can be queried.

mod vocabulary;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use tolstoy_edn::{Keyword, Value as Edn};
use tolstoy_store::{Entid, ErrorKind, Shape, Store, Value};

use super::{Answer, Driver, DriverError, DriverErrorKind, Exchanged, Hashes, Listing, Offer, Released, Trouble};
use crate::{Document, Hash, Refusal, Task, TaskId, resolve};
use vocabulary::{BLOCKED_BY, ID, STATE};

/// How many tasks one query asks for: each is an input, and of these there are 32,766 at most.
const ASKED: usize = 10_000;

/// A store of tasks.
#[derive(Debug)]
pub struct StoreDriver {
    store: Store,
}

/// What a store says of one task.
#[derive(Debug, Default)]
struct Known {
    /// Its entity, where there is one.
    entity: Option<Entid>,
    /// The facts of the vocabulary, the id aside, as EDN says them; of refs the other's entity.
    facts: BTreeSet<(&'static str, String)>,
    /// What the states resolve to.
    document: Option<Document>,
    /// How many states there are.
    states: usize,
    troubles: Vec<Trouble>,
}

impl StoreDriver {
    /// The tasks of a store. The vocabulary is added with the first task that is written.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The store, to sync it or to write what is no task.
    pub const fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The store back.
    pub fn into_store(self) -> Store {
        self.store
    }

    /// Whether the vocabulary is there, so that there may be tasks.
    fn has_words(&mut self) -> Result<bool, DriverError> {
        self.store.refresh().map_err(failed)?;
        let words = [ID, STATE, BLOCKED_BY].map(|name| Keyword::parse(name.trim_start_matches(':')));
        Ok(words.into_iter().flatten().all(|name| self.store.schema().entid(&name).is_some()))
    }

    fn rows(&self, query: &str, inputs: &[Edn]) -> Result<Vec<Vec<Value>>, DriverError> {
        match self.store.query(query, inputs).map_err(failed)?.shape {
            Shape::Relation(rows) => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    /// All states, by task. What is under no task's id is told of.
    fn states(&mut self, troubles: &mut Vec<Trouble>) -> Result<BTreeMap<TaskId, Vec<Document>>, DriverError> {
        let mut states = BTreeMap::<TaskId, Vec<Document>>::new();
        if self.has_words()? {
            let query = "[:find ?id ?state :where [?t :task/state ?state] [?t :task/id ?id]]";
            for row in self.rows(query, &[])? {
                let [Value::String(id), Value::String(state)] = &*row else { continue };
                match read_state(id, state) {
                    Ok(document) => states.entry(document.id()).or_default().push(document),
                    Err(trouble) => troubles.push(trouble),
                }
            }
        }
        Ok(states)
    }

    /// What the store says of these tasks.
    fn know(&mut self, ids: &BTreeSet<TaskId>) -> Result<BTreeMap<TaskId, Known>, DriverError> {
        let mut known = BTreeMap::new();
        if !self.has_words()? {
            return Ok(known);
        }
        let ids: Vec<Edn> = ids.iter().map(|id| Edn::from(id.as_str())).collect();
        let query = "[:find ?id ?t ?a ?v :in [?id ...] :where [?t :task/id ?id] [?t ?a ?v]]";
        for asked in ids.chunks(ASKED) {
            for row in self.rows(query, &[Edn::Vector(asked.to_vec())])? {
                let [Value::String(id), Value::Ref(entity), Value::Ref(attribute), value] = &*row else { continue };
                let Ok(task) = id.parse::<TaskId>() else { continue };
                let of_task: &mut Known = known.entry(task).or_default();
                of_task.entity = Some(*entity);
                let Some(name) =
                    self.store.schema().ident(*attribute).and_then(|name| vocabulary::known(&name.to_string()))
                else {
                    continue;
                };
                match (name, value) {
                    (ID, _) => continue,
                    (STATE, Value::String(state)) => of_task.add_state(id, state),
                    _ => {}
                }
                of_task.facts.insert((name, value.to_edn().to_string()));
            }
        }
        Ok(known)
    }
}

impl Known {
    fn add_state(&mut self, id: &str, state: &str) {
        self.states += 1;
        let both = read_state(id, state).and_then(|theirs| match &self.document {
            None => Ok(theirs),
            // Equal but for how numbers are written: all devices have to keep the same one, or each retracts the other's.
            Some(ours) if *ours == theirs => {
                let ours_first = vocabulary::state(ours) <= vocabulary::state(&theirs);
                Ok(if ours_first { ours.clone() } else { theirs })
            }
            Some(ours) => resolve(ours, &theirs).map_err(|Refusal(why)| Trouble { place: id.to_owned(), why }),
        });
        match both {
            Ok(both) => self.document = Some(both),
            Err(trouble) => self.troubles.push(trouble),
        }
    }

    /// Appends the forms that retract all of it but the id.
    fn retract_all(&self, out: &mut String) {
        if let Some(entity) = self.entity {
            for (attribute, value) in &self.facts {
                // Writing to a text does not fail.
                let _ = write!(out, "[:db/retract {entity} {attribute} {value}]");
            }
        }
    }

    /// Whether the store says what this document comes to, and nothing else, in one state.
    fn says(&self, document: &Document) -> bool {
        self.states == 1 && self.document.as_ref() == Some(document)
    }
}

fn read_state(id: &str, state: &str) -> Result<Document, Trouble> {
    let trouble = |why: String| Trouble { place: format!("the task {id:?}"), why };
    let document =
        Document::parse(state).map_err(|Refusal(why)| trouble(format!("a state of it is no task: {why}")))?;
    if document.id().as_str() == id {
        Ok(document)
    } else {
        Err(trouble(format!("a state of it is of another task, {}", document.id())))
    }
}

impl Driver for StoreDriver {
    fn hashes(&mut self) -> Result<Hashes, DriverError> {
        let mut troubles = Vec::new();
        let states = self.states(&mut troubles)?;
        let apart: Vec<Offer> =
            states.iter().filter(|(_, states)| states.len() > 1).map(|(id, _)| Offer::nothing(*id)).collect();
        let mut tasks: BTreeMap<_, _> =
            states.iter().filter_map(|(id, states)| Some((*id, states.first()?.hash()))).collect();
        // States that devices wrote apart become one.
        let settled = self.settle(&apart)?;
        troubles.extend(settled.troubles);
        for (offer, answer) in apart.iter().zip(settled.answers) {
            match answer {
                Answer::Stands(Some(document)) => drop(tasks.insert(offer.id(), document.hash())),
                Answer::Stands(None) => drop(tasks.remove(&offer.id())),
                Answer::Refused(Refusal(why)) => {
                    tasks.remove(&offer.id());
                    troubles.push(Trouble { place: offer.id().to_string(), why });
                }
            }
        }
        Ok(Hashes { tasks, troubles })
    }

    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        self.settle(offers)
    }

    fn release(&mut self, tasks: &BTreeMap<TaskId, Hash>) -> Result<Released, DriverError> {
        self.let_go(tasks)
    }

    fn list(&mut self) -> Result<Listing, DriverError> {
        let mut listing = Listing::default();
        if !self.has_words()? {
            return Ok(listing);
        }
        let Listing { tasks, troubles } = &mut listing;
        let read = |_, state: &str| match Task::parse(state) {
            Ok(task) => tasks.push(task),
            Err(Refusal(why)) => {
                let place = crate::json::shortened(state);
                troubles.push(Trouble { place, why: format!("this state is no task: {why}") });
            }
        };
        self.store.each_text(STATE, read).map_err(failed)?;
        listing.tasks.sort_by_key(Task::id);
        let apart: BTreeSet<TaskId> = listing
            .tasks
            .windows(2)
            .filter_map(|pair| match pair {
                [a, b] if a.id() == b.id() => Some(a.id()),
                _ => None,
            })
            .collect();
        if !apart.is_empty() {
            listing.tasks.retain(|task| !apart.contains(&task.id()));
            for known in self.know(&apart)?.into_values() {
                listing.troubles.extend(known.troubles);
                listing.tasks.extend(known.document.map(|document| document.task()));
            }
            listing.tasks.sort_by_key(Task::id);
        }
        Ok(listing)
    }
}

fn failed(error: tolstoy_store::Error) -> DriverError {
    let kind = match error.kind() {
        ErrorKind::Busy => DriverErrorKind::Unavailable,
        ErrorKind::NewerFormat => DriverErrorKind::Newer,
        ErrorKind::NotAStore => DriverErrorKind::NoPlace,
        _ => DriverErrorKind::Failed,
    };
    DriverError::new(kind, error.to_string()).because(error)
}
