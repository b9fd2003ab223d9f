//! Letting go of tasks: their files go into a directory beside.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, Found};
use super::{Folder, Written, failed, names};
use crate::driver::{DriverError, Released, Trouble};
use crate::{Document, Hash, Refusal, TaskId};

/// The directory for the files of tasks that live elsewhere.
const MOVED: &str = "moved";

impl Folder {
    pub(super) fn let_go(&self, tasks: &BTreeMap<TaskId, Hash>) -> Result<Released, DriverError> {
        let mut released = Released::default();
        let Some(_turn) = self.turn()? else {
            let why = Refusal("the folder cannot be written by this user".to_owned());
            released.kept = tasks.keys().map(|id| (*id, why.clone())).collect();
            return Ok(released);
        };
        let names = self.scan()?;
        let beside = self.root.join(MOVED);
        let mut written = Written::default();
        for (id, hash) in tasks {
            let seen = names.look(&self.root, *id);
            if seen.unusable.is_none() && seen.bytes.is_none() && seen.document.is_none() {
                released.released.insert(*id);
            } else if !seen.is_settled() || seen.document.as_ref().map(Document::hash) != Some(*hash) {
                released.keep_edited(*id);
            } else if let Err(error) = self.put_beside(*id, &beside, &seen.bytes.unwrap_or_default(), &mut released) {
                return Err(failed(&self.path(*id), "it cannot be moved aside", error));
            } else if released.released.contains(id) {
                written.removed.push(names::of_task(*id));
            }
        }
        if !written.removed.is_empty() {
            files::sync_directory(&beside).map_err(|e| failed(&beside, "it cannot be synced to the disk", e))?;
        }
        self.finish(&mut written)?;
        released.troubles.extend(written.troubles);
        Ok(released)
    }

    /// Moves a task's file, if it is still the one that was read.
    fn put_beside(&self, id: TaskId, beside: &Path, expected: &[u8], released: &mut Released) -> io::Result<()> {
        fs::create_dir_all(beside)?;
        let (path, kept) = (self.path(id), free_name(beside, id));
        fs::rename(&path, &kept)?;
        match files::read(&kept) {
            Found::File { bytes, .. } if bytes == expected => {
                released.released.insert(id);
            }
            // Another program wrote it between the look and the move.
            _ if !path.exists() => {
                fs::rename(&kept, &path)?;
                released.keep_edited(id);
            }
            _ => {
                let why = "another program wrote the task's file twice meanwhile; this is the first of both".to_owned();
                released.troubles.push(Trouble { place: format!("{MOVED}/{}", names::shown(&kept)), why });
                released.keep_edited(id);
            }
        }
        Ok(())
    }
}

/// A name that no earlier move has taken.
fn free_name(beside: &Path, id: TaskId) -> PathBuf {
    let first = beside.join(names::of_task(id));
    let numbered = (2_u32..).map(|n| beside.join(format!("{id}.{n}.json")));
    std::iter::once(first.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(first)
}
