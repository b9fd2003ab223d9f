//! The commands, one file each, and the store that they work on.

pub(crate) mod backup;
pub(crate) mod conflicts;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod fsck;
pub(crate) mod gc;
pub(crate) mod generate;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod query;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod task;
pub(crate) mod token;
pub(crate) mod transact;

use std::path::{Path, PathBuf};

use tolstoy_env::Env;
use tolstoy_store as store;
use tolstoy_store::Store;

use crate::error::Failure;
use crate::text::Source;
use crate::ui::Ui;

/// An open store, and what its file is called.
pub(crate) struct Db {
    pub(crate) store: Store,
    pub(crate) path: PathBuf,
}

impl Db {
    /// Opens a store that exists.
    pub(crate) fn open(path: &Path, env: &Env) -> Result<Self, Failure> {
        Self::existing(path, |path| Store::open(path, env.clone()))
    }

    /// Opens a store that exists, which may be read-only.
    pub(crate) fn open_to_read(path: &Path, env: &Env) -> Result<Self, Failure> {
        Self::existing(path, |path| Store::open_to_read(path, env.clone()))
    }

    fn existing(path: &Path, open: impl FnOnce(&Path) -> store::Result<Store>) -> Result<Self, Failure> {
        // Where a directory on the way may not be read, the store says so.
        if path.try_exists().is_ok_and(|exists| !exists) {
            return Err(Failure::no_store(path));
        }
        let store = open(path).map_err(|e| Failure::opening(path, &e))?;
        Ok(Self { store, path: path.to_owned() })
    }

    /// Opens a store, and makes it where it is missing, which is said unless `quiet`.
    pub(crate) fn open_or_create(path: &Path, env: &Env, ui: &Ui, quiet: bool) -> Result<Self, Failure> {
        let is_new = !path.exists();
        let store = Store::open_or_create(path, env.clone()).map_err(|e| Failure::opening(path, &e))?;
        if is_new && !quiet {
            ui.note(format!("created {}", path.display()));
        }
        Ok(Self { store, path: path.to_owned() })
    }

    /// A store in memory.
    pub(crate) fn in_memory(env: &Env) -> Result<Self, Failure> {
        let path = PathBuf::from("memory");
        let store = Store::in_memory(env.clone()).map_err(|e| Failure::store(&path, None, &e))?;
        Ok(Self { store, path })
    }

    /// The store's error as a failure of the command.
    pub(crate) fn failure(&self, error: &store::Error) -> Failure {
        Failure::store(&self.path, None, error)
    }

    /// The store's error about a text as a failure of the command.
    pub(crate) fn failure_in(&self, source: &Source, error: &store::Error) -> Failure {
        source.blame(Failure::store(&self.path, Some(source), error))
    }
}
