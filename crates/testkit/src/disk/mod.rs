//! A disk that forgets what was not synced, runs out of space, and fails to sync: for SQLite, as a VFS.
//!
//! A [`Disk`] keeps its files in memory and notes every operation that changes one. What a power loss at any of them may
//! have left is made afterwards, by [`Replay`]: what was synced is there; of what was not, each write is kept, dropped or
//! torn into sectors, each file's entry in the directory made or not, as a seed decides.
//!
//! It does to files what SQLite's own VFS does on Unix, and promises what that promises: a write leaves the bytes beside it
//! alone; the first sync of a new journal or write-ahead log syncs the directory; other names wait for that.

mod replay;
mod shm;
mod state;
mod vfs;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use replay::Replay;
use state::State;
use vfs::Registered;

/// Bytes that a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// A disk. Its files are gone when it and all that has files of it open are.
#[derive(Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    start: Image,
    registered: Registered,
}

/// What is on a disk: contents by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Image {
    /// Writes the files into a directory, under the last parts of their paths.
    ///
    /// # Errors
    /// Where one cannot be written.
    pub fn write_to(&self, directory: &Path) -> io::Result<()> {
        for (name, bytes) in &self.files {
            if let Some(name) = Path::new(name).file_name() {
                std::fs::write(directory.join(name), bytes.as_slice())?;
            }
        }
        Ok(())
    }
}

/// What a disk without space refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What makes a file longer, as where files are overwritten in place. The beginning of a refused write is written.
    Growth,
    /// Every write, as where each is a copy.
    Writes,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::holding(Image::default())
    }

    /// A disk with these files, all of it durable.
    pub fn holding(start: Image) -> Self {
        let state = Arc::new(Mutex::new(State::holding(&start)));
        let registered = Registered::new(&state);
        Self { state, start, registered }
    }

    /// The name of its VFS, for opening a database on it.
    pub fn vfs(&self) -> &str {
        self.registered.name()
    }

    /// How many operations have changed it.
    pub fn operations(&self) -> usize {
        self.state().ops.len()
    }

    /// How many writes there were, those to temporary files too.
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// How many syncs there were.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// From the `n`-th write from now on it has no space, until it is [freed](Self::free). 0 is the next one.
    pub fn fill(&self, n: u64, refusal: Refusal) {
        let mut state = self.state();
        state.full = Some((state.writes.saturating_add(n), refusal));
        state.refused = 0;
    }

    /// There is space again. Gives how many writes were refused for want of it.
    pub fn free(&self) -> u64 {
        let mut state = self.state();
        state.full = None;
        state.refused
    }

    /// How many writes were refused for want of space since it was filled.
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// The `n`-th sync from now on fails, and what it was to sync will never be durable, though it can be read: as
    /// kernels do it. 0 is the next one.
    pub fn fail_sync(&self, n: u64) {
        let mut state = self.state();
        state.bad_sync = Some(state.syncs.saturating_add(n));
    }

    /// The power goes off after `n` further operations: from then on nothing can be read or written. What is left is the
    /// [survivor](Self::survivor). 0 is now.
    pub fn cut_power(&self, n: usize) {
        let mut state = self.state();
        state.off_after = Some(state.ops.len().saturating_add(n));
    }

    /// The power stays, where it was to go off and has not yet.
    pub fn keep_power(&self) {
        let mut state = self.state();
        if !state.is_off() {
            state.off_after = None;
        }
    }

    /// Whether the power or the space goes after so many operations, or has gone.
    pub fn is_armed(&self) -> bool {
        let state = self.state();
        state.off_after.is_some() || state.full.is_some()
    }

    /// Whether the power went off.
    pub fn is_off(&self) -> bool {
        self.state().is_off()
    }

    /// What is on it, as programs see it: a copy of its files at this moment.
    pub fn image(&self) -> Image {
        self.state().image()
    }

    /// What a power loss at this moment leaves, as the seed decides.
    pub fn survivor(&self, seed: u64) -> Image {
        let mut replay = self.replay(false);
        replay.forward(usize::MAX);
        replay.cut(seed)
    }

    /// Everything that happened to it so far, to be cut anywhere. A disk that `lies` synced nothing, though it said so.
    pub fn replay(&self, lies: bool) -> Replay {
        Replay::new(&self.start, self.state().ops.clone(), lies)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
