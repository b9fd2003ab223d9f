//! Where the tasks are, who changes them, and when.

use std::path::{Path, PathBuf};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use tolstoy_env::Env;
use tolstoy_store::Store;
use tolstoy_sync::Remote;
use tolstoy_tasks::driver::{
    Answer, Driver, DriverError, DriverErrorKind, Folder, FolderOptions, Listing, Offer, StoreDriver,
};
use tolstoy_tasks::{Author, Calendar, Device, TaskId};

use super::settings::TaskSettings;
use super::{hub, taskchampion};
use crate::access::token_in_environment;
use crate::args::Access;
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::ui::Ui;

/// An open place for tasks, and what an edit needs beside it.
pub(super) struct Place {
    pub(super) driver: Box<dyn Driver>,
    pub(super) path: PathBuf,
    pub(super) author: Author,
    pub(super) calendar: Calendar,
    pub(super) env: Env,
    /// What went wrong beside the matter.
    pub(super) troubles: Vec<String>,
}

/// How a place is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening<'a> {
    /// What is said to a hub to be let in.
    pub(super) access: &'a Access,
    /// Whether it is made where it is missing.
    pub(super) create: bool,
    /// Whether it is said that it was made.
    pub(super) told: bool,
    /// Whether what is written to a folder in a git work tree is committed.
    pub(super) commit: bool,
    /// Whether it may be a store that syncs with a log, so that other stores see what is done to it.
    pub(super) everywhere: bool,
}

/// Opens what lives at a path: the one place that knows which kinds of places there are. A path that ends in a separator, or is a
/// directory, is a folder; an address is that of a log on a hub; `taskchampion:` and Taskwarrior's settings are what its replicas share; any
/// other is a store.
pub(super) fn open(path: &Path, opening: Opening<'_>, env: &Env, ui: &Ui) -> Result<Box<dyn Driver>, Failure> {
    if let Some(remote) = hub::remote(path)? {
        return Ok(Box::new(hub::open(remote, opening.access, token_in_environment())?));
    }
    if let Some(settings) = taskchampion::settings(path) {
        return Ok(Box::new(taskchampion::open(&settings, opening.access, env)?));
    }
    let is_missing = !path.exists();
    if is_missing && !opening.create {
        let message = format!("{}: there is no such folder or store", path.display());
        return Err(
            Failure::new(Kind::Missing, message).hint("is it mistyped? `tolstoy task add` and `import` make a place")
        );
    }
    let is_folder = path.is_dir() || path.as_os_str().to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]);
    let driver: Box<dyn Driver> = if is_folder {
        // A folder in a directory that is not there is more likely one on a disk that is not.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|parent| is_missing && !parent.is_dir()) {
            let message = format!("{}: there is no directory {}", path.display(), parent.display());
            return Err(Failure::new(Kind::Missing, message).hint("make it first, or name a folder elsewhere"));
        }
        let options = FolderOptions { create: true, commit: opening.commit };
        Box::new(Folder::open(path, env.clone(), options).map_err(|e| failure(&e))?)
    } else {
        Box::new(StoreDriver::new(store(path, opening, env)?))
    };
    if is_missing && opening.told {
        ui.note(format!("created {}", path.display()));
    }
    Ok(driver)
}

fn store(path: &Path, opening: Opening<'_>, env: &Env) -> Result<Store, Failure> {
    let store = Store::open_or_create(path, env.clone()).map_err(|e| Failure::opening(path, &e))?;
    if opening.everywhere {
        return Ok(store);
    }
    let log = Remote::of(&store).map_err(|e| Failure::new(Kind::Storage, format!("{}: {e}", path.display())))?;
    match log {
        None => Ok(store),
        Some(remote) => {
            let message = format!(
                "{}: this store syncs with the log {}, so the tasks would go from all stores of that log",
                path.display(),
                remote.log
            );
            Err(Failure::new(Kind::Refused, message)
                .hint("--keep copies the tasks, --everywhere takes them out of all these stores"))
        }
    }
}

/// Where the tasks are that nobody keeps elsewhere.
pub(super) fn default_place() -> Result<PathBuf, Failure> {
    Ok(data()?.join("tasks.db"))
}

/// The place that is set.
pub(super) fn set(settings: &TaskSettings) -> Result<PathBuf, Failure> {
    settings.place.clone().map_or_else(default_place, Ok)
}

impl Place {
    /// Opens the place that is set. Where it is missing it is made, if `create` says so or it is the usual one.
    pub(super) fn open(
        settings: &TaskSettings,
        access: &Access,
        create: bool,
        env: &Env,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        let path = set(settings)?;
        let is_usual = default_place().is_ok_and(|usual| usual == path);
        if is_usual {
            make(path.parent())?;
        }
        let opening =
            Opening { access, create: create || is_usual, told: !is_usual, commit: settings.commit, everywhere: true };
        let driver = open(&path, opening, env, ui)?;
        let author = Author { device: device(env)?, now: env.now() };
        let zones = jiff::tz::db().clone();
        let calendar = Calendar::new(author.now, zone(&zones), zones)
            .ok_or_else(|| Failure::new(Kind::Input, "the clock of this machine is outside the years 0000 to 9999"))?;
        Ok(Self { driver, path, author, calendar, env: env.clone(), troubles: Vec::new() })
    }

    /// All tasks as they stand.
    pub(super) fn list(&mut self) -> Result<Vec<tolstoy_tasks::Task>, Failure> {
        let Listing { tasks, troubles } = self.driver.list().map_err(|e| failure(&e))?;
        self.troubles.extend(troubles.iter().map(ToString::to_string));
        Ok(tasks)
    }

    pub(super) fn exchange(&mut self, offers: &[Offer]) -> Result<Vec<Answer>, Failure> {
        let exchanged = self.driver.exchange(offers).map_err(|e| failure(&e))?;
        self.troubles.extend(exchanged.troubles.iter().map(ToString::to_string));
        Ok(exchanged.answers)
    }

    /// The one task whose id begins so.
    pub(super) fn named(&mut self, prefix: &str) -> Result<TaskId, Failure> {
        let ids: Vec<TaskId> = self.list()?.iter().map(tolstoy_tasks::Task::id).collect();
        let mut found = ids.into_iter().filter(|id| !prefix.is_empty() && id.as_str().starts_with(prefix));
        match (found.next(), found.count()) {
            (Some(id), 0) => Ok(id),
            (Some(_), more) => {
                Err(Failure::new(Kind::Input, format!("the ids of {} tasks begin with {prefix:?}", more + 1))
                    .hint("write more of it; `tolstoy task list` shows them"))
            }
            (None, _) => Err(Failure::new(Kind::Input, format!("no task's id begins with {prefix:?}"))
                .hint("`tolstoy task list @all` shows all tasks")),
        }
    }
}

/// Where Tolstoy keeps its data.
fn data() -> Result<PathBuf, Failure> {
    dirs::data().ok_or_else(|| {
        Failure::new(Kind::Missing, "there is no home directory to keep tasks in")
            .hint("name a place: `tolstoy task --at PLACE`")
    })
}

fn make(directory: Option<&Path>) -> Result<(), Failure> {
    directory.map_or(Ok(()), |directory| {
        std::fs::create_dir_all(directory).map_err(|e| Failure::io(&directory.display().to_string(), &e))
    })
}

/// What this machine is called in stamps: made up once, and kept.
fn device(env: &Env) -> Result<Device, Failure> {
    let path = data()?.join("device");
    let failed = |e: &std::io::Error| Failure::io(&path.display().to_string(), e);
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|e| Failure::new(Kind::Damaged, format!("{}: {e}", path.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let device = Device::mint(env).map_err(|e| Failure::new(Kind::Storage, e.to_string()))?;
            make(path.parent())?;
            std::fs::write(&path, format!("{}\n", device.as_str())).map_err(|e| failed(&e))?;
            Ok(device)
        }
        Err(e) => Err(failed(&e)),
    }
}

/// The user's time zone: what `TZ` names, else what `/etc/localtime` links to, else UTC.
fn zone(zones: &TimeZoneDatabase) -> TimeZone {
    let named = std::env::var_os("TZ").and_then(|name| name.into_string().ok());
    let linked = || {
        let target = std::fs::read_link("/etc/localtime").ok()?.into_os_string().into_string().ok()?;
        target.split_once("zoneinfo/").map(|(_, name)| name.to_owned())
    };
    let name = named.filter(|name| !name.is_empty()).or_else(linked);
    name.and_then(|name| zones.get(name.trim_start_matches(':')).ok()).unwrap_or(TimeZone::UTC)
}

pub(crate) fn failure(error: &DriverError) -> Failure {
    if let Some(failure) = hub::failure(error).or_else(|| taskchampion::failure(error)) {
        return failure;
    }
    let kind = match error.kind() {
        DriverErrorKind::Unavailable => Kind::Busy,
        DriverErrorKind::NoPlace => Kind::Missing,
        DriverErrorKind::Newer => Kind::NewerFormat,
        _ => Kind::Storage,
    };
    Failure::new(kind, error.to_string())
}
