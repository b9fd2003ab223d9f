//! A folder with one JSON file per task, safe beside Dropbox, Syncthing, git and editors.

mod files;
mod git;
mod names;
mod release;
mod scan;
mod write;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tolstoy_env::Env;

use super::{Answer, Driver, DriverError, DriverErrorKind, Exchanged, Hashes, Offer, Released, Trouble};
use crate::{Document, Hash, Refusal, TaskId, resolve};
use files::Found;
use names::{LOCK, shown};
use scan::{Names, Seen};
use write::Batch;

/// For how long a file under a task's name that is no task is left alone: someone may be writing it.
const PATIENCE_MICROS: i64 = 10_000_000;
/// No file that is so far ahead of the time now is being written, unless by someone whose clock is.
const AHEAD_MICROS: i64 = 3_600_000_000;
/// After how long a file that was never renamed is removed: its writer is dead.
const LEFTOVER_MICROS: i64 = 3_600_000_000;

/// How a folder is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Whether the folder is made where it is missing.
    pub create: bool,
    /// Whether what is written is committed, where the folder is in a git work tree.
    pub commit: bool,
}

/// A folder of tasks.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    env: Env,
    commit: bool,
}

/// What becomes of an offer.
enum Decided {
    Answer(Answer),
    /// The task's file is to be this.
    Write(Document),
}

/// What an exchange has done to the folder.
#[derive(Debug, Default)]
struct Written {
    tasks: Vec<TaskId>,
    removed: Vec<String>,
    troubles: Vec<Trouble>,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// `NoPlace` where it is missing or no folder; `Failed` where it cannot be made.
    pub fn open(root: &Path, env: Env, options: FolderOptions) -> Result<Self, DriverError> {
        if options.create {
            fs::create_dir_all(root).map_err(|e| failed(root, "the folder cannot be made", e))?;
        }
        if !root.is_dir() {
            let message = format!("{}: there is no such folder", root.display());
            return Err(DriverError::new(DriverErrorKind::NoPlace, message));
        }
        Ok(Self { root: root.to_owned(), env, commit: options.commit })
    }

    /// Waits for the turn to write. None: the folder is not for this program to write.
    fn turn(&self) -> Result<Option<File>, DriverError> {
        let path = self.root.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        match lock.and_then(|file| file.lock().map(|()| file)) {
            Ok(file) => Ok(Some(file)),
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                Ok(None)
            }
            Err(e) => Err(failed(&path, "it cannot be locked", e)),
        }
    }

    fn path(&self, id: TaskId) -> PathBuf {
        self.root.join(names::of_task(id))
    }

    /// Takes a document into a task of which this was seen.
    fn take(
        &self,
        id: TaskId,
        seen: &Seen,
        state: Option<&Document>,
        written: &mut Written,
    ) -> Result<Answer, DriverError> {
        match self.decide(id, seen, state, written)? {
            Decided::Answer(answer) => Ok(answer),
            Decided::Write(document) => self.write(id, seen, document, written),
        }
    }

    /// What becomes of a document and a task of which this was seen.
    fn decide(
        &self,
        id: TaskId,
        seen: &Seen,
        state: Option<&Document>,
        written: &mut Written,
    ) -> Result<Decided, DriverError> {
        let answer = |answer| Ok(Decided::Answer(answer));
        if let Some(why) = &seen.unusable
            && (state.is_none() || !self.put_aside(id, written)?)
        {
            return answer(Answer::Refused(Refusal(format!("{}: {why}", names::of_task(id)))));
        }
        let resolved = match (&seen.document, state) {
            (None, None) => return answer(Answer::Stands(None)),
            (Some(here), None) => Ok(here.clone()),
            (None, Some(state)) => state.check().map(|()| state.clone()),
            (Some(here), Some(state)) => resolve(here, state),
        };
        match resolved {
            Err(refusal) => answer(Answer::Refused(refusal)),
            Ok(document) if seen.is_settled() && seen.document.as_ref() == Some(&document) => {
                answer(Answer::Stands(Some(document)))
            }
            Ok(document) => Ok(Decided::Write(document)),
        }
    }

    /// Renames what stands under a task's name and is none, once nobody can be writing it any more. Whether it did.
    fn put_aside(&self, id: TaskId, written: &mut Written) -> Result<bool, DriverError> {
        let path = self.path(id);
        let Found::File { bytes, changed } = files::read(&path) else { return Ok(false) };
        let age = changed.map_or(0, |changed| self.env.now().as_micros().saturating_sub(changed.as_micros()));
        if (-AHEAD_MICROS..PATIENCE_MICROS).contains(&age) {
            return Ok(false);
        }
        let sum = Hash(Sha256::digest(&bytes).into()).to_string();
        let name = format!("{id}.damaged-{}", sum.get(..8).unwrap_or_default());
        fs::rename(&path, self.root.join(&name)).map_err(|e| failed(&path, "it cannot be renamed", e))?;
        let why = format!("it could not be read as a task, and is kept as {name}; the task was written anew");
        written.troubles.push(Trouble { place: shown(&path), why });
        Ok(true)
    }

    /// Makes what was written last, and commits it where that was asked for.
    fn finish(&self, written: &mut Written) -> Result<(), DriverError> {
        if written.tasks.is_empty() && written.removed.is_empty() {
            return Ok(());
        }
        files::sync_directory(&self.root).map_err(|e| failed(&self.root, "it cannot be synced to the disk", e))?;
        if self.commit {
            written.troubles.extend(git::commit(&self.root, &written.tasks, &written.removed).err());
        }
        Ok(())
    }

    fn scan(&self) -> Result<Names, DriverError> {
        Names::read(&self.root).map_err(|e| failed(&self.root, "the folder cannot be read", e))
    }

    /// Removes what writers that died left behind.
    fn sweep(&self, names: &Names) {
        let now = self.env.now().as_micros();
        for name in &names.leftovers {
            let path = self.root.join(name);
            if files::changed(&path).is_some_and(|changed| now.saturating_sub(changed.as_micros()) > LEFTOVER_MICROS) {
                // It is nobody's; where it stays, the next look removes it.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Driver for Folder {
    fn hashes(&mut self) -> Result<Hashes, DriverError> {
        let turn = self.turn()?;
        let names = self.scan()?;
        let mut written = Written { troubles: names.troubles(), ..Written::default() };
        let mut tasks = BTreeMap::new();
        for id in names.ids() {
            let seen = names.look(&self.root, id);
            written.troubles.extend(seen.troubles.iter().cloned());
            if let Some(why) = &seen.unusable {
                written.troubles.push(Trouble { place: names::of_task(id), why: why.clone() });
                continue;
            }
            let mut stands = seen.document.as_ref().map(Document::hash);
            if !seen.is_settled() && turn.is_some() {
                match self.take(id, &seen, None, &mut written)? {
                    Answer::Stands(document) => stands = document.as_ref().map(Document::hash),
                    Answer::Refused(Refusal(why)) => written.troubles.push(Trouble { place: names::of_task(id), why }),
                }
            }
            tasks.extend(stands.map(|hash| (id, hash)));
        }
        if turn.is_some() {
            self.sweep(&names);
        }
        self.finish(&mut written)?;
        Ok(Hashes { tasks, troubles: written.troubles })
    }

    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        let turn = self.turn()?;
        let names = self.scan()?;
        let mut written = Written::default();
        let mut answers = Vec::with_capacity(offers.len());
        let mut batch = Batch::new(self);
        for offer in offers {
            if batch.has(offer.id()) {
                batch.finish(&mut answers, &mut written)?;
            }
            // What this very exchange merged is no more where the names say.
            let seen = names.look(&self.root, offer.id());
            let answer = match (&turn, offer.state()) {
                (None, Some(_)) => Answer::Refused(Refusal("the folder cannot be written by this user".to_owned())),
                (None, None) => match (&seen.unusable, &seen.document) {
                    (Some(why), _) => Answer::Refused(Refusal(format!("{}: {why}", names::of_task(offer.id())))),
                    (None, document) => Answer::Stands(document.clone()),
                },
                (Some(_), state) => match self.decide(offer.id(), &seen, state, &mut written)? {
                    Decided::Answer(answer) => answer,
                    Decided::Write(document) => {
                        batch.add(answers.len(), seen, document.clone())?;
                        Answer::Stands(Some(document))
                    }
                },
            };
            answers.push(answer);
        }
        batch.finish(&mut answers, &mut written)?;
        self.finish(&mut written)?;
        Ok(Exchanged { answers, troubles: written.troubles })
    }

    fn release(&mut self, tasks: &BTreeMap<TaskId, Hash>) -> Result<Released, DriverError> {
        self.let_go(tasks)
    }
}

fn failed(path: &Path, what: &str, error: io::Error) -> DriverError {
    DriverError::new(DriverErrorKind::Failed, format!("{}: {what}: {error}", path.display())).because(error)
}
