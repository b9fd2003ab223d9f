//! Writing tasks' files: whole, durably, and never over what someone else wrote meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::files::{self, Found};
use super::names::{self, shown};
use super::scan::Seen;
use super::{Folder, Written, failed};
use crate::driver::{Answer, DriverError, DriverErrorKind, Trouble};
use crate::{Document, Refusal, TaskId, resolve};

/// How often a write starts again because someone else wrote meanwhile.
const ATTEMPTS: usize = 16;

/// Files that have been written under other names, and are not yet durable, nor renamed. To make many durable at once takes
/// hardly longer than one.
pub(super) struct Batch<'f> {
    folder: &'f Folder,
    pending: Vec<Pending>,
    ids: BTreeSet<TaskId>,
}

struct Pending {
    /// The place of the answer that it changes, where someone else wrote meanwhile.
    answer: usize,
    seen: Seen,
    document: Document,
    new: PathBuf,
}

impl<'f> Batch<'f> {
    pub(super) const fn new(folder: &'f Folder) -> Self {
        Self { folder, pending: Vec::new(), ids: BTreeSet::new() }
    }

    /// Whether a task waits to be renamed.
    pub(super) fn has(&self, id: TaskId) -> bool {
        self.ids.contains(&id)
    }

    /// Writes a task's file under another name.
    pub(super) fn add(&mut self, answer: usize, seen: Seen, document: Document) -> Result<(), DriverError> {
        let id = document.id();
        let new = self.folder.new_name(id)?;
        if let Err(error) = files::write_new(&new, &document.pretty()) {
            // Where it cannot be removed now, it is as a leftover.
            let _ = fs::remove_file(&new);
            return Err(failed(&self.folder.path(id), "it cannot be written", error));
        }
        self.ids.insert(id);
        self.pending.push(Pending { answer, seen, document, new });
        Ok(())
    }

    /// Makes what was written durable, and gives it its names. What someone else wrote meanwhile is merged.
    pub(super) fn finish(&mut self, answers: &mut [Answer], written: &mut Written) -> Result<(), DriverError> {
        let folder = self.folder;
        self.ids.clear();
        let pending = std::mem::take(&mut self.pending);
        let paths: Vec<&PathBuf> = pending.iter().map(|pending| &pending.new).collect();
        files::sync_written(&folder.root, &paths)
            .map_err(|e| failed(&folder.root, "what was written cannot be synced to the disk", e))?;
        for Pending { answer, seen, document, new } in pending {
            let id = document.id();
            let path = folder.path(id);
            if is_still(&files::read(&path), seen.expected()) {
                fs::rename(&new, &path).map_err(|e| failed(&path, "it cannot be written", e))?;
                written.tasks.push(id);
                folder.remove_merged(&seen, written);
            } else {
                // Where it cannot be removed now, it is as a leftover.
                let _ = fs::remove_file(&new);
                let now = folder.write(id, &seen, document, written)?;
                answers.get_mut(answer).into_iter().for_each(|answer| *answer = now.clone());
            }
        }
        Ok(())
    }
}

/// Whether a task's file is what it was.
fn is_still(found: &Found, expected: Option<&[u8]>) -> bool {
    match (found, expected) {
        (Found::Nothing, None) => true,
        (Found::File { bytes, .. }, Some(expected)) => bytes == expected,
        _ => false,
    }
}

impl Folder {
    fn new_name(&self, id: TaskId) -> Result<PathBuf, DriverError> {
        let random = TaskId::mint(&self.env).map_err(|e| DriverError::new(DriverErrorKind::Failed, e.to_string()))?;
        Ok(self.root.join(names::of_leftover(id, random)))
    }

    /// Writes a task's file, merges what someone else writes meanwhile, and removes what has been merged into it.
    pub(super) fn write(
        &self,
        id: TaskId,
        seen: &Seen,
        document: Document,
        written: &mut Written,
    ) -> Result<Answer, DriverError> {
        let path = self.path(id);
        let mut document = document;
        let mut expected = seen.expected().map(<[u8]>::to_vec);
        for _ in 0..ATTEMPTS {
            let new = self.new_name(id)?;
            let whole = files::write_new(&new, &document.pretty()).and_then(|file| file.sync_all());
            let found = files::read(&path);
            let unchanged = is_still(&found, expected.as_deref());
            let renamed = if unchanged { whole.and_then(|()| fs::rename(&new, &path)) } else { whole };
            if renamed.is_err() || !unchanged {
                // Where it cannot be removed now, it is as a leftover.
                let _ = fs::remove_file(&new);
            }
            renamed.map_err(|e| failed(&path, "it cannot be written", e))?;
            if unchanged {
                written.tasks.push(id);
                self.remove_merged(seen, written);
                return Ok(Answer::Stands(Some(document)));
            }
            let now = Seen::of_main(id, found);
            expected.clone_from(&now.bytes);
            match (now.unusable, now.document) {
                (Some(why), _) => return Ok(Answer::Refused(Refusal(format!("{}: {why}", shown(&path))))),
                (None, None) => {}
                (None, Some(theirs)) => match resolve(&document, &theirs) {
                    Ok(both) => document = both,
                    Err(refusal) => return Ok(Answer::Refused(refusal)),
                },
            }
        }
        Ok(Answer::Refused(Refusal(format!("{}: another program goes on writing it", shown(&path)))))
    }

    /// Removes the files that have been merged into the task's own, as far as they are what was read.
    pub(super) fn remove_merged(&self, seen: &Seen, written: &mut Written) {
        for (name, bytes) in &seen.merged {
            let path = self.root.join(name);
            let removed = match files::read(&path) {
                Found::File { bytes: now, .. } if now == *bytes => fs::remove_file(&path),
                _ => Ok(()),
            };
            match removed {
                Ok(()) => written.removed.push(name.clone()),
                Err(e) => written.troubles.push(Trouble {
                    place: name.clone(),
                    why: format!("it has been merged into the task's file, but cannot be removed: {e}"),
                }),
            }
        }
    }
}
