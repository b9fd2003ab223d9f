//! Tasks in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Answer, Driver, DriverError, Exchanged, Hashes, Offer, Released};
use crate::{Document, Hash, TaskId, resolve};

/// Tasks in memory. A clone is another driver of the same place.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    tasks: Arc<Mutex<BTreeMap<TaskId, Document>>>,
}

impl Driver for Memory {
    fn hashes(&mut self) -> Result<Hashes, DriverError> {
        // Whoever panicked while it was held has left whole documents.
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = tasks.iter().map(|(id, document)| (*id, document.hash())).collect();
        Ok(Hashes { tasks, troubles: Vec::new() })
    }

    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut take = |offer: &Offer| {
            let Some(state) = offer.state() else { return Answer::Stands(tasks.get(&offer.id()).cloned()) };
            let resolved = match tasks.get(&offer.id()) {
                Some(here) => resolve(here, state),
                None => state.check().map(|()| state.clone()),
            };
            match resolved {
                Err(refusal) => Answer::Refused(refusal),
                Ok(document) => {
                    tasks.insert(offer.id(), document.clone());
                    Answer::Stands(Some(document))
                }
            }
        };
        Ok(Exchanged { answers: offers.iter().map(&mut take).collect(), troubles: Vec::new() })
    }

    fn release(&mut self, wanted: &BTreeMap<TaskId, Hash>) -> Result<Released, DriverError> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut released = Released::default();
        for (id, hash) in wanted {
            if tasks.get(id).is_some_and(|document| document.hash() != *hash) {
                released.keep_edited(*id);
            } else {
                tasks.remove(id);
                released.released.insert(*id);
            }
        }
        Ok(released)
    }
}
