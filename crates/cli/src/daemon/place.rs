//! Places for tasks: how they are written, opened, looked at, and how they tell of changes. This is the one list of kinds.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::Metadata;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use tolstoy_env::Env;
use tolstoy_store::{Entid, Store};
use tolstoy_sync::{HttpTransport, Remote};
use tolstoy_tasks::driver::{Driver, Folder, FolderOptions, StoreDriver};

use super::schedule::PlaceKey;
use crate::args::Access;
use crate::commands::task::{driver_failure, hub, taskchampion};
use crate::dirs;
use crate::error::{Failure, Kind};

/// A place for tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder, where it is one or `folder` says so; else the file of a store. What it is may change while the daemon runs: a
    /// stick is plugged in.
    Files { path: PathBuf, folder: bool },
    /// The tasks of a log on a hub, and what it takes to be let in.
    Hub { remote: Remote, access: Access },
    /// What Taskwarrior shares, as its settings in this file say, and which hub to trust.
    Taskwarrior { settings: PathBuf, access: Access },
}

/// Whether a place is made where it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Make,
    Wait,
}

/// Where a relative path begins, and what `~` is.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) directory: PathBuf,
    pub(crate) home: Option<PathBuf>,
}

impl Base {
    /// The path that is written so.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let path = match text.strip_prefix("~/") {
            Some(rest) => self.home.as_ref().ok_or("there is no home directory for ~/")?.join(rest),
            None if text.is_empty() => return Err("a path is needed".to_owned()),
            None => self.directory.join(text),
        };
        Ok(path.components().collect())
    }
}

impl Place {
    /// The place that is written so.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn parse(text: &str, base: &Base, access: &Access) -> Result<Self, String> {
        match hub::remote(Path::new(text)) {
            Ok(Some(remote)) => return Ok(Self::Hub { remote, access: access.clone() }),
            Ok(None) => {}
            Err(failure) => return Err(failure.message),
        }
        if let Some(file) = text.strip_prefix(taskchampion::SCHEME) {
            return Ok(Self::Taskwarrior { settings: base.path(file)?, access: access.clone() });
        }
        let folder = text.ends_with(['/', std::path::MAIN_SEPARATOR]);
        Ok(Self::Files { path: base.path(text)?, folder })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Files { path, .. } => path.display().to_string(),
            Self::Hub { remote, .. } => format!("{}/1/logs/{}", remote.url, remote.log),
            Self::Taskwarrior { settings, .. } => format!("{}{}", taskchampion::SCHEME, settings.display()),
        }
    }

    /// What no two syncs may work on at once; a hub has no need of that.
    pub(crate) fn key(&self) -> Option<PlaceKey> {
        match self {
            Self::Files { path, .. } => Some(file_key(path)),
            Self::Hub { .. } | Self::Taskwarrior { .. } => None,
        }
    }

    /// What is looked at for changes.
    pub(crate) fn watched(&self) -> Option<Watched> {
        match self {
            Self::Files { path, folder } => Some(Watched::Files { path: path.clone(), folder: *folder }),
            Self::Hub { .. } | Self::Taskwarrior { .. } => None,
        }
    }

    /// What tells of changes by itself: the way to it.
    ///
    /// # Errors
    /// Where what it takes to be let in cannot be read.
    pub(crate) fn follow(&self) -> Result<Option<HttpTransport>, Failure> {
        match self {
            Self::Files { .. } | Self::Taskwarrior { .. } => Ok(None),
            Self::Hub { remote, access } => {
                let access = hub::access(remote, access, None)?;
                let transport = HttpTransport::with_access(remote.clone(), &access);
                transport.map(Some).map_err(|e| Failure::sync(Path::new(&remote.url), remote, &e.into()))
            }
        }
    }

    /// The hub that it is on, or what names it.
    pub(crate) fn hub(&self) -> Option<&str> {
        match self {
            Self::Files { .. } => None,
            Self::Hub { remote, .. } => Some(&remote.url),
            Self::Taskwarrior { settings, .. } => settings.to_str(),
        }
    }

    /// Whether it is on this machine, so that it may be the one that others are kept in step with.
    pub(crate) const fn is_local(&self) -> bool {
        match self {
            Self::Files { .. } => true,
            Self::Hub { .. } | Self::Taskwarrior { .. } => false,
        }
    }

    /// Whether it could be made.
    pub(crate) fn can_be_made(&self) -> bool {
        match self {
            Self::Files { path, .. } => can_be_made(path),
            Self::Hub { .. } | Self::Taskwarrior { .. } => false,
        }
    }

    /// Opens it. `None`: it is not there.
    ///
    /// # Errors
    /// Where it is there and cannot be used, or cannot be made.
    pub(crate) fn open(&self, env: &Env, missing: Missing, commit: bool) -> Result<Option<Box<dyn Driver>>, Failure> {
        match self {
            Self::Files { path, folder } if is_folder(path, *folder) => {
                if missing == Missing::Make && !path.exists() && can_be_made(path) {
                    std::fs::create_dir(path).map_err(|e| Failure::io(&path.display().to_string(), &e))?;
                }
                if !path.is_dir() {
                    return Ok(None);
                }
                let options = FolderOptions { create: false, commit };
                let folder = Folder::open(path, env.clone(), options).map_err(|e| driver_failure(&e))?;
                Ok(Some(Box::new(folder)))
            }
            Self::Files { path, .. } => {
                let store = open_store(path, env, missing)?;
                Ok(store.map(|store| Box::new(StoreDriver::new(store)) as Box<dyn Driver>))
            }
            Self::Hub { remote, access } => Ok(Some(Box::new(hub::open(remote.clone(), access, None)?))),
            Self::Taskwarrior { settings, access } => Ok(Some(Box::new(taskchampion::open(settings, access, env)?))),
        }
    }
}

/// Opens a store. `None`: it is not there.
pub(crate) fn open_store(path: &Path, env: &Env, missing: Missing) -> Result<Option<Store>, Failure> {
    let may_make = missing == Missing::Make && can_be_made(path);
    if !may_make && !path.exists() {
        return Ok(None);
    }
    let opened = if may_make { Store::open_or_create(path, env.clone()) } else { Store::open(path, env.clone()) };
    opened.map(Some).map_err(|e| Failure::opening(path, &e))
}

/// Whether a file, or a directory, can be made there: what is to hold it is there, or made by a daemon that begins.
pub(crate) fn can_be_made(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.is_dir() || dirs::data().is_some_and(|data| data == parent))
}

/// What a place that is not there is told as.
pub(crate) fn absent(name: &str) -> Failure {
    Failure::new(Kind::Missing, format!("{name} is not there"))
}

/// A file by the name that all its names lead to, as far as it is there.
pub(crate) fn file_key(path: &Path) -> PlaceKey {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    PlaceKey(real.display().to_string())
}

fn is_folder(path: &Path, said: bool) -> bool {
    said || path.is_dir()
}

/// What changes of a place make a pair that is in step `changed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watched {
    /// Any, in a folder, or in the file of a store.
    Files { path: PathBuf, folder: bool },
    /// Those of a store that its log does not know.
    Unsynced(PathBuf),
}

/// What a place was like when it was looked at. Another mark: it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is not there.
    Absent,
    /// It is there, and cannot be read.
    Unreadable,
    /// There is nothing that a sync could take from it.
    Nothing,
    Is(u64),
}

/// What the system is asked to tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux is asked"))]
pub(crate) enum Interest {
    /// Whatever lies in this directory, hidden files left out: so the locks and unfinished files of the driver.
    Folder(PathBuf),
    /// A file, and those of its write-ahead log.
    File { directory: PathBuf, name: OsString },
}

/// A place that is looked at again and again. It keeps a store open, for its number costs little then.
#[derive(Debug)]
pub(crate) struct Looker {
    watched: Watched,
    env: Env,
    store: Option<(FileId, Store)>,
}

/// What tells a file from another that takes its name.
type FileId = (u64, u64);

impl Watched {
    /// What the system is asked to tell of.
    pub(crate) fn interest(&self) -> Option<Interest> {
        match self {
            Self::Files { path, folder } if is_folder(path, *folder) => Some(Interest::Folder(path.clone())),
            Self::Files { path, .. } | Self::Unsynced(path) => {
                Some(Interest::File { directory: path.parent()?.to_owned(), name: path.file_name()?.to_owned() })
            }
        }
    }
}

impl Looker {
    pub(crate) fn new(watched: Watched, env: &Env) -> Self {
        Self { watched, env: env.clone(), store: None }
    }

    /// Looks.
    pub(crate) fn look(&mut self) -> Mark {
        match &self.watched {
            Watched::Files { path, folder } if is_folder(path, *folder) => {
                self.store = None;
                look_at_folder(path)
            }
            Watched::Files { path, .. } => {
                let path = path.clone();
                self.look_at_store(&path, |store| Ok(Mark::Is(hash(&(store.device(), store.basis().get())))))
            }
            Watched::Unsynced(path) => {
                let path = path.clone();
                self.look_at_store(&path, |store| {
                    let synced = store.last_positioned()?.unwrap_or(Entid::TX0);
                    let basis = store.basis();
                    Ok(if basis > synced { Mark::Is(hash(&(store.device(), basis.get()))) } else { Mark::Nothing })
                })
            }
        }
    }

    fn look_at_store(&mut self, path: &Path, mark: impl FnOnce(&Store) -> Result<Mark, tolstoy_store::Error>) -> Mark {
        let Ok(file) = path.metadata().map(|metadata| file_id(&metadata)) else {
            self.store = None;
            return Mark::Absent;
        };
        let store = match self.store.take().filter(|(known, _)| *known == file) {
            Some((_, store)) => Ok(store),
            // A look changes nothing: not the format either.
            None => Store::open_to_read(path, self.env.clone()),
        };
        let looked = store.and_then(|mut store| {
            store.refresh()?;
            let mark = mark(&store)?;
            self.store = Some((file, store));
            Ok(mark)
        });
        looked.unwrap_or(Mark::Unreadable)
    }
}

/// Names, sizes and times, in no order.
fn look_at_folder(path: &Path) -> Mark {
    let Ok(entries) = std::fs::read_dir(path) else {
        return if path.exists() { Mark::Unreadable } else { Mark::Absent };
    };
    let mut sum = 0_u64;
    for entry in entries {
        let Ok(entry) = entry else { return Mark::Unreadable };
        let name = entry.file_name();
        if is_hidden(&name) {
            continue;
        }
        // One that is gone meanwhile is told of by its absence.
        let Ok(metadata) = entry.metadata() else { continue };
        let times = (metadata.modified().ok(), metadata.created().ok());
        sum = sum.wrapping_add(hash(&(name, metadata.len(), times, file_id(&metadata), status_change(&metadata))));
    }
    Mark::Is(sum)
}

pub(crate) fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(unix)]
fn file_id(metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_id(metadata: &Metadata) -> FileId {
    (0, hash(&metadata.created().ok()))
}

/// When permissions, owner or content changed last: also where a program sets the file's time back.
#[cfg(unix)]
fn status_change(metadata: &Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn status_change(_: &Metadata) -> (i64, i64) {
    (0, 0)
}
