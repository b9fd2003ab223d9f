//! A device: a store, its user's chances, and what the oracle knows of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tolstoy_env::Env;
use tolstoy_store::{Entid, Store};

use super::{Plan, digest};
use crate::dice::Dice;
use crate::oracle::View;
use crate::world::env;

pub(super) struct Device {
    pub(super) number: usize,
    pub(super) store: Store,
    pub(super) env: Env,
    pub(super) view: View,
    pub(super) dice: Dice,
    path: Option<PathBuf>,
}

impl Device {
    pub(super) fn new(plan: &Plan, number: usize, folder: Option<&Path>) -> Result<Self, String> {
        let env = env(plan.seed, number as u64);
        let path = folder.map(|f| f.join(format!("{number}.db")));
        let store = match &path {
            Some(path) => Store::open_or_create(path, env.clone()),
            None => Store::in_memory(env.clone()),
        };
        let store = store.map_err(|e| e.to_string())?;
        let view = View::of(&store)?;
        Ok(Self { number, store, env, view, dice: Dice::new(plan.seed, 100 + number as u64), path })
    }

    /// Closes the store and opens it again, where it is a file.
    pub(super) fn reopen(&mut self) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let memory = Store::in_memory(self.env.clone()).map_err(|e| e.to_string())?;
        drop(std::mem::replace(&mut self.store, memory));
        self.store = Store::open(path, self.env.clone()).map_err(|e| e.to_string())?;
        let view = View::of(&self.store)?;
        if view.log != self.view.log {
            return Err(format!("device {} has another log after it was opened again", self.number));
        }
        Ok(())
    }

    /// The attributes that it has from the log, or that the log has from it.
    pub(super) fn synced_attributes(&self) -> Result<BTreeSet<Entid>, String> {
        let synced = self.store.last_positioned().map_err(|e| e.to_string())?.unwrap_or(Entid::TX0);
        let since = |a: Entid| self.view.log.iter().find(|t| t.changes.iter().any(|c| c.e == a)).map(|t| t.tx);
        Ok(self.view.facts.attributes().into_iter().filter(|a| since(*a).is_some_and(|tx| tx <= synced)).collect())
    }

    pub(super) fn digest(&self) -> Result<[u8; 32], String> {
        digest(&self.store)
    }

    pub(super) fn basis(&self) -> Entid {
        self.view.log.last().map_or(Entid::TX0, |t| t.tx)
    }
}
