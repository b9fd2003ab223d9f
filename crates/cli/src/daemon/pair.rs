//! Pairs: what is kept in step with what, and how one is synced.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::sync::watch;
use tolstoy_env::Env;
use tolstoy_sync::{HttpTransport, OtherLife, SyncReport, Synced, log_changes, log_status, tasks_change};
use tolstoy_tasks::driver::{Driver, DriverError};
use tolstoy_tasks::{Digest, Report, Side, reconcile};

use super::place::{self, Looker, Mark, Missing, Place, Watched};
use super::schedule::{Moved, Outcome, PlaceKey, Problem};
use crate::args;
use crate::commands::sync::{Plan, Said, Target};
use crate::commands::task::driver_failure;
use crate::commands::{Db, conflicts};
use crate::error::{Failure, Kind};
use crate::facts;

/// How many remarks are kept; of the others, how many they are.
const REMARKS: usize = 20;

/// What is kept in step with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pair {
    /// Tasks of one place with those of another.
    Tasks { here: Place, there: Place, commit: bool },
    /// A store with its log.
    Store(StorePair),
}

/// A store and what is said of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StorePair {
    pub(crate) path: PathBuf,
    pub(crate) target: Target,
    pub(crate) access: args::Access,
    pub(crate) key_file: Option<PathBuf>,
}

/// How a sync ended, and what is to be watched from then on.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// What the places were like before it began.
    pub(crate) before: Vec<(Watched, Mark)>,
    /// The log that may change.
    pub(crate) follow: Option<Follow>,
}

/// What tells by itself that it is not any more what it was when the sync ended.
#[derive(Debug)]
pub(crate) enum Follow {
    Log { hub: HttpTransport, synced: Synced },
    Tasks { hub: HttpTransport, known: Digest },
}

impl Follow {
    /// Returns when it changed. `heard` is called each time that it is heard to be the same.
    ///
    /// # Errors
    /// Where nothing can be heard.
    pub(crate) async fn changes(self, heard: impl FnMut()) -> Result<(), tolstoy_sync::Error> {
        match self {
            Self::Log { mut hub, synced } => log_changes(&mut hub, &synced, heard).await,
            Self::Tasks { mut hub, known } => tasks_change(&mut hub, known, heard).await,
        }
    }
}

/// Why a sync did not end well.
enum Unsynced {
    /// It may pass.
    Away(Failure),
    /// The failure's kind says whether it may.
    Because(Failure),
    /// The daemon stops.
    BrokenOff,
}

impl From<Failure> for Unsynced {
    fn from(failure: Failure) -> Self {
        Self::Because(failure)
    }
}

impl Pair {
    /// The word for its kind.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Tasks { .. } => "tasks",
            Self::Store(_) => "store",
        }
    }

    /// What its two sides are called.
    pub(crate) fn sides(&self) -> [String; 2] {
        match self {
            Self::Tasks { here, there, .. } => [here.name(), there.name()],
            Self::Store(store) => [store.path.display().to_string(), store.target.to_string()],
        }
    }

    /// What no two syncs may work on at once.
    pub(crate) fn keys(&self) -> BTreeSet<PlaceKey> {
        match self {
            Self::Tasks { here, there, .. } => [here.key(), there.key()].into_iter().flatten().collect(),
            Self::Store(store) => BTreeSet::from([place::file_key(&store.path)]),
        }
    }

    /// What is watched for it.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        match self {
            Self::Tasks { here, there, .. } => [here.watched(), there.watched()].into_iter().flatten().collect(),
            Self::Store(store) => vec![Watched::Unsynced(store.path.clone())],
        }
    }

    /// Syncs it. `None`: the daemon stops, and it was broken off.
    pub(crate) fn sync(&self, env: &Env, stopping: watch::Receiver<bool>) -> Option<Ended> {
        // Before anything is read: what is written from here on is a change.
        let before =
            self.watched().into_iter().map(|watched| (watched.clone(), Looker::new(watched, env).look())).collect();
        let ended = match self {
            Self::Tasks { here, there, commit } => sync_tasks(here, there, *commit, env),
            Self::Store(store) => store.sync(env, stopping).map(|(outcome, follow)| (outcome, Some(follow))),
        };
        let (outcome, follow) = match ended {
            Ok(ended) => ended,
            Err(Unsynced::BrokenOff) => return None,
            Err(Unsynced::Away(failure)) => (Outcome::Failed(problem(failure, true)), None),
            Err(Unsynced::Because(failure)) => {
                let may_pass = may_pass(failure.kind);
                (Outcome::Failed(problem(failure, may_pass)), None)
            }
        };
        Some(Ended { outcome, before, follow })
    }

    /// What moved, in words; nothing where nothing did.
    pub(crate) fn in_words(&self, moved: Moved) -> Option<String> {
        let noun = match self {
            Self::Tasks { .. } => "task",
            Self::Store(_) => "transaction",
        };
        let parts = [(moved.came, "came"), (moved.went, "went")];
        let parts =
            parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{} {how}", facts::count(n, noun)));
        Some(parts.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    }

    /// What a sync would meet on this machine, without doing it.
    ///
    /// # Errors
    /// What is wrong with a place.
    pub(crate) fn check(&self, env: &Env) -> Result<(), Failure> {
        match self {
            Self::Tasks { here, there, commit } => {
                check_place(here, env, *commit, true)?;
                check_place(there, env, *commit, false)
            }
            Self::Store(store) => store.check(env),
        }
    }
}

fn check_place(place: &Place, env: &Env, commit: bool, may_be_made: bool) -> Result<(), Failure> {
    match place.open(env, Missing::Wait, commit)? {
        Some(mut driver) => driver.hashes().map(drop).map_err(|e| driver_failure(&e)),
        None if may_be_made && place.can_be_made() => Ok(()),
        None => Err(place::absent(&place.name())),
    }
}

/// Whether such a failure may pass with nobody doing anything.
const fn may_pass(kind: Kind) -> bool {
    // What answers on a network that wants a password first is no hub, for now.
    matches!(kind, Kind::Offline | Kind::NotAHub | Kind::Contended | Kind::Busy | Kind::InUse)
}

fn problem(failure: Failure, may_pass: bool) -> Problem {
    Problem { may_pass, word: failure.kind.word(), message: failure.message, hint: failure.hint }
}

fn open(place: &Place, env: &Env, missing: Missing, commit: bool) -> Result<Box<dyn Driver>, Unsynced> {
    place.open(env, missing, commit)?.ok_or_else(|| Unsynced::Away(place::absent(&place.name())))
}

fn sync_tasks(here: &Place, there: &Place, commit: bool, env: &Env) -> Result<(Outcome, Option<Follow>), Unsynced> {
    // First the place that may be away: so nothing is made for it.
    let mut theirs = open(there, env, Missing::Wait, commit)?;
    let mut ours = open(here, env, Missing::Make, commit)?;
    let report = reconcile(&mut *ours, &mut *theirs).map_err(|error| unsynced(&error.error))?;
    if !report.in_step {
        let message = format!("{} and {} do not become equal: others go on writing there", here.name(), there.name());
        return Err(Failure::new(Kind::Contended, message).into());
    }
    let moved = Moved { came: report.came.len() as u64, went: report.went.len() as u64 };
    // What it was when both were compared: whatever is said to be there, and tasks that a side refuses, are no news.
    let known = report.there.unwrap_or_default();
    let follow = there.follow()?.map(|hub| Follow::Tasks { hub, known });
    Ok((Outcome::InStep { moved, remarks: remarks(&report, here, there) }, follow))
}

fn unsynced(error: &DriverError) -> Unsynced {
    let failure = driver_failure(error);
    match failure.kind {
        Kind::Missing => Unsynced::Away(failure),
        _ => Unsynced::Because(failure),
    }
}

/// What somebody ought to look at.
fn remarks(report: &Report, here: &Place, there: &Place) -> Vec<String> {
    let name = |side: Side| match side {
        Side::Here => here.name(),
        Side::There => there.name(),
    };
    let refused = report.refused.iter().map(|(id, (side, refusal))| format!("{}: {id}: {refusal}", name(*side)));
    let troubles = report
        .troubles
        .iter()
        .flat_map(|(side, troubles)| troubles.iter().map(|trouble| format!("{}: {trouble}", name(*side))));
    let mut remarks: Vec<String> = refused.chain(troubles).collect();
    remarks.dedup();
    if let Some(more) = remarks.len().checked_sub(REMARKS).filter(|more| *more > 0) {
        remarks.truncate(REMARKS);
        remarks.push(format!("and {more} more"));
    }
    remarks
}

impl StorePair {
    fn said(&self) -> Said<'_> {
        let key_file = self.key_file.as_deref();
        Said { access: &self.access, key_file, other_life: OtherLife::Stop, theirs: &[] }
    }

    fn open(&self, env: &Env, missing: Missing) -> Result<Option<Db>, Failure> {
        let store = place::open_store(&self.path, env, missing)?;
        Ok(store.map(|store| Db { store, path: self.path.clone() }))
    }

    fn sync(&self, env: &Env, mut stopping: watch::Receiver<bool>) -> Result<(Outcome, Follow), Unsynced> {
        let missing = if self.target.names_log() { Missing::Make } else { Missing::Wait };
        let mut db =
            self.open(env, missing)?.ok_or_else(|| Unsynced::Away(place::absent(&self.path.display().to_string())))?;
        let said = self.said();
        let plan = Plan::of(&db, &self.target, &said, None, env)?;
        plan.begin(&mut db)?;
        let mut transport = plan.transport(&db)?;
        let options = plan.options(&db, &said, env)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::io("starting the network", &e))?;
        let result = runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => None,
                result = tolstoy_sync::sync(&mut db.store, &mut transport, &options) => Some(result),
            }
        });
        let Some(result) = result else { return Err(Unsynced::BrokenOff) };
        let report = result.map_err(|e| plan.failure(&db, &e))?;
        plan.end(&mut db)?;
        let synced = Synced::of(&db.store).map_err(|e| plan.failure(&db, &e))?;
        let waiting = db.store.waiting().map_err(|e| db.failure(&e))?;
        let remarks = if waiting > 0 { vec![conflicts::waiting(waiting, &db.path)] } else { Vec::new() };
        // A transport of its own: the connections of this one end with this runtime.
        let follow = Follow::Log { hub: plan.transport(&db)?, synced };
        Ok((Outcome::InStep { moved: moved(&report), remarks }, follow))
    }

    fn check(&self, env: &Env) -> Result<(), Failure> {
        match self.open(env, Missing::Wait)? {
            Some(db) => {
                let plan = Plan::of(&db, &self.target, &self.said(), None, env)?;
                let mut hub = plan.transport(&db)?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|e| Failure::io("starting the network", &e))?;
                let asked = runtime.block_on(log_status(&db.store, &mut hub));
                asked.map(drop).map_err(|e| plan.failure(&db, &e))
            }
            None if self.target.names_log() && place::can_be_made(&self.path) => Ok(()),
            None => Err(place::absent(&self.path.display().to_string())
                .hint(format!("`tolstoy sync {} URL new` makes it, and a log for it", self.path.display()))),
        }
    }
}

fn moved(report: &SyncReport) -> Moved {
    let sum = |of: fn(&tolstoy_sync::PassReport) -> u64| report.passes.iter().map(of).sum();
    Moved { came: sum(|pass| pass.received), went: sum(|pass| pass.sent) }
}
