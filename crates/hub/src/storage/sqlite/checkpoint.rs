//! Keeps the write-ahead log short.
//!
//! SQLite moves what is committed into the file as it goes, and begins the log anew once all of it is moved and nobody
//! reads from it. Where somebody always does, that never comes, and the log grows for as long as the hub is busy. So where
//! it has grown too long, reads wait for a moment, and it is begun anew then.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::readers::Readers;

/// How long reads under way are waited for, and reads that come later wait for them: at first, and at most. It is doubled
/// when it was not enough.
const PATIENCE: Duration = Duration::from_millis(50);
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// How long SQLite waits for a lock, unless it is told otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What begins the write-ahead log anew where SQLite cannot.
#[derive(Debug)]
pub(super) struct Checkpoints {
    wal: PathBuf,
    readers: Arc<Readers>,
    /// Bytes that are too many.
    limit: u64,
    /// Bytes from which on it is tried, after it failed.
    next: u64,
    patience: Duration,
}

impl Checkpoints {
    pub(super) fn new(database: &Path, readers: Arc<Readers>, limit: u64) -> Self {
        let wal = database.with_extension("db-wal");
        Self { wal, readers, limit, next: limit, patience: PATIENCE }
    }

    /// Begins the log anew where it is too long and nobody but this hub reads it. To be called between two transactions
    /// of the one connection that writes.
    pub(super) fn keep_short(&mut self, writer: &Connection) {
        // A file that is not there, as on a disk of a test's own, is not too long.
        let length = fs::metadata(&self.wal).map_or(0, |wal| wal.len());
        if length <= self.limit {
            (self.next, self.patience) = (self.limit, PATIENCE);
            return;
        }
        if length <= self.next {
            return;
        }
        let Some(paused) = self.readers.pause(self.patience) else {
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
            self.next = length + self.limit / 8;
            return;
        };
        let begun = begin_anew(writer);
        drop(paused);
        match begun {
            Ok(true) => {}
            // Another process reads: a backup, or a check. It ends some time.
            Ok(false) => self.next = length + self.limit,
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log could not be moved into the database");
                self.next = length + self.limit;
            }
        }
    }
}

/// Moves all of the log into the file, and cuts it; false where others read it.
fn begin_anew(writer: &Connection) -> rusqlite::Result<bool> {
    writer.busy_timeout(Duration::ZERO)?;
    let busy = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    writer.busy_timeout(BUSY_TIMEOUT)?;
    busy.map(|busy| !busy)
}
