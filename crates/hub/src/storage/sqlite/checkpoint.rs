//! Keeps the write-ahead log short.
//!
//! When it has grown to some length, what is committed is moved into the file, after those who wrote it were answered; then the
//! log is begun anew by the next who writes, once all of it is moved and nobody reads from it. Where somebody always does, that
//! never comes, and the log grows for as long as the hub is busy. So where it has grown too long, reads wait for a moment, and
//! it is begun anew then.
//!
//! SQLite says how long the log is, and the file system is not asked: on Linux, asking for a file's times has its next write note
//! them anew, which a commit to some file systems pays for with one more write to the disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::SqliteOptions;
use super::readers::Readers;

/// How long reads under way are waited for, and reads that come later wait for them: at first, and at most. It is doubled
/// when it was not enough.
const PATIENCE: Duration = Duration::from_millis(50);
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// How long SQLite waits for a lock, unless it is told otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of the log before its first frame, and of a frame before its page.
const HEAD: u64 = 32;
const FRAME_HEAD: u64 = 24;

/// What moves the write-ahead log into the file, and begins it anew where SQLite cannot.
#[derive(Debug)]
pub(super) struct Checkpoints {
    readers: Arc<Readers>,
    /// Pages in the log since it was last begun.
    pages: Arc<AtomicU64>,
    page_size: u64,
    /// Pages from which on they are moved.
    due: u64,
    /// Bytes that are too many.
    limit: u64,
    /// Bytes from which on it is tried to begin it anew, after it failed.
    next: u64,
    patience: Duration,
}

impl Checkpoints {
    /// Takes over what SQLite would do on its own within a commit.
    pub(super) fn of(
        writer: &mut Connection,
        database: &Path,
        readers: Arc<Readers>,
        options: &SqliteOptions,
    ) -> rusqlite::Result<Self> {
        let page_size = writer.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?.into();
        // What lies there from before counts until the first commit tells: on a full disk there may be none before it is moved.
        let length = fs::metadata(database.with_extension("db-wal")).map_or(0, |wal| wal.len());
        let pages = Arc::new(AtomicU64::new(length / (FRAME_HEAD + page_size)));
        let told = pages.clone();
        writer.wal_hook(Some(move |_: &mut _, pages: i32| {
            told.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let (due, limit) = (options.checkpoint_pages.into(), options.wal_limit);
        Ok(Self { readers, pages, page_size, due, limit, next: limit, patience: PATIENCE })
    }

    fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    fn length(&self) -> u64 {
        HEAD + self.pages() * (FRAME_HEAD + self.page_size)
    }

    /// Moves what can be moved where that is due, and begins the log anew where it is too long and nobody but this hub reads it.
    /// To be called between two transactions of the one connection that writes.
    pub(super) fn keep_short(&mut self, writer: &Connection) {
        if self.pages() >= self.due
            && let Err(error) = writer.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE)
        {
            // Tried again after the next commit; where it never works, the log grows, and it is told below.
            tracing::debug!(%error, "the write-ahead log is not moved into the database yet");
        }
        let length = self.length();
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
            Ok(true) => self.pages.store(0, Ordering::Relaxed),
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
