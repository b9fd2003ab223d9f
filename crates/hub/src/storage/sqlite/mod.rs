//! Logs in one SQLite file, `hub.db` in the data directory.
//!
//! One thread writes: it runs as many jobs as wait, or come meanwhile, within one SQLite transaction, commits it once (one fsync), then
//! tells them all. Readers have connections of their own and never wait for it.

mod backup;
mod chain;
mod checkpoint;
mod end;
mod figures;
mod fsck;
mod garbage;
mod listing;
mod lists;
mod loose;
mod pack;
mod readers;
mod recent;
mod run;
mod schema;
mod snapshots;
mod tail;
mod tasks;
mod txn;
mod writer;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{ReadRules, Storage, StorageError, WriteJob};
use crate::metrics::StorageMetrics;
pub use backup::{Copied, CopyError, Progress, backup, restore};
use checkpoint::Checkpoints;
pub use fsck::{Checked, Finding, Listener, fsck};
use readers::Readers;
use writer::Writer;

/// The file's name within the data directory.
const DATABASE: &str = "hub.db";

/// A file that is locked for as long as a hub has the directory open. It stays behind, empty.
const LOCK: &str = "hub.lock";

/// How a [`SqliteStorage`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Connections for reading, and so reads at the same time; at least 1.
    pub readers: usize,
    /// Jobs that may wait for the writer; further ones are refused as [`StorageError::Busy`].
    pub queue: usize,
    /// Jobs that share one commit, at most.
    pub batch: usize,
    /// Pages that the write-ahead log takes before they are moved into the file.
    pub checkpoint_pages: u32,
    /// Bytes of the write-ahead log beyond which reads wait for a moment, so that it can be begun anew.
    pub wal_limit: u64,
    /// The SQLite VFS that holds the file, by its registered name; none: SQLite's own. For tests, whose disks fail.
    pub vfs: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, queue: 4096, batch: 1024, checkpoint_pages: 4096, wal_limit: 64 << 20, vfs: None }
    }
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another hub has it open.
    #[error("another hub is running on {}: stop it first, or choose another directory", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error("{} has format {found}, and this version knows formats up to {known}: use a newer version", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// No hub has its data there.
    #[error("{} holds no hub's data", .path.display())]
    NoHub {
        /// The directory.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a hub's database", .path.display())]
    NotAHub {
        /// The file.
        path: PathBuf,
    },
    /// The directory or a file in it cannot be used.
    #[error("cannot open {}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite cannot use the file.
    #[error("cannot open {}: {message}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        message: String,
    },
    /// The tokens cannot be read.
    #[error("{0}")]
    Tokens(#[from] crate::auth::TokenError),
    /// The certificate cannot be read or made.
    #[error("{0}")]
    Tls(#[from] crate::tls::TlsError),
}

impl OpenError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    fn of(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::NotAHub { path: path.to_owned() },
            _ => Self::Database { path: path.to_owned(), message: error.to_string() },
        }
    }
}

/// Keeps logs in one SQLite file.
#[derive(Debug)]
pub struct SqliteStorage {
    writer: Writer,
    readers: Arc<Readers>,
    metrics: StorageMetrics,
    /// The database file.
    path: PathBuf,
    /// While it is locked the directory is ours. The last to go.
    lock: Locked,
}

impl SqliteStorage {
    /// Opens the data directory, and makes it where there is none.
    ///
    /// # Errors
    /// Where the directory cannot be used, another hub has it open, or its file is no hub's or of a newer format.
    pub fn open(directory: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        make_private_directory(directory).map_err(OpenError::io(directory))?;
        let lock = lock(directory)?;
        let path = directory.join(DATABASE);
        let mut connection = open_for_writing(&path, options)?;
        // The new file's name must survive a power loss as well as its content.
        File::open(directory).and_then(|dir| dir.sync_all()).map_err(OpenError::io(directory))?;
        let readers =
            (0..options.readers.max(1)).map(|_| open_for_reading(&path, options)).collect::<Result<_, _>>()?;
        let readers = Arc::new(Readers::new(readers));
        let checkpoints = Checkpoints::of(&mut connection, &path, readers.clone(), options)
            .map_err(|error| OpenError::of(&path, error))?;
        let metrics = StorageMetrics::default();
        let writer = Writer::start(connection, options, metrics.clone(), checkpoints).map_err(OpenError::io(&path))?;
        Ok(Self { writer, readers, metrics, path, lock })
    }

    /// What it counts.
    pub fn metrics(&self) -> &StorageMetrics {
        &self.metrics
    }

    /// The bytes of the database file and of the write-ahead log beside it.
    ///
    /// # Errors
    /// Where the file system does not tell.
    pub fn file_sizes(&self) -> io::Result<(u64, u64)> {
        let wal = match fs::metadata(self.path.with_extension("db-wal")) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok((fs::metadata(&self.path)?.len(), wal))
    }

    /// The bytes that may still be written to the disk that holds the data; none where the system does not tell.
    pub fn disk_free(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            let disk = rustix::fs::statvfs(&self.path).ok()?;
            Some(disk.f_bavail.saturating_mul(disk.f_frsize))
        }
        #[cfg(not(unix))]
        None
    }

    /// Does the jobs that wait, moves everything into the one file, and refuses what comes after.
    pub fn close(&self) {
        self.writer.close();
        // Reads that are under way disturb no other hub.
        if let Err(error) = self.lock.0.unlock() {
            tracing::warn!(%error, "the data directory stays locked until this process ends");
        }
    }
}

/// Logs in a data directory that may be in use: they can be read, and not written.
#[derive(Debug)]
pub struct SqliteReader {
    readers: Readers,
}

impl SqliteReader {
    /// Opens the data directory of a hub, which may be running.
    ///
    /// # Errors
    /// Where there is none, or it is of a newer format.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Ok(Self { readers: Readers::new(vec![open_existing(&directory.join(DATABASE))?.0]) })
    }
}

impl Storage for SqliteReader {
    fn read(&self, rules: &mut ReadRules<'_>) -> Result<(), StorageError> {
        self.readers.read(rules)
    }

    fn write(&self, job: Box<dyn WriteJob>) {
        job.done(Err(StorageError::Closed));
    }
}

impl Storage for SqliteStorage {
    fn read(&self, rules: &mut ReadRules<'_>) -> Result<(), StorageError> {
        self.readers.read(rules)
    }

    fn write(&self, job: Box<dyn WriteJob>) {
        self.writer.submit(job);
    }

    fn working_for(&self) -> Duration {
        self.writer.working_for()
    }
}

/// Makes the directory so that only its owner can read what is in it.
pub(crate) fn make_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A locked data directory. The lock goes with the value, and not with the file alone: a program that this process is about to
/// start has the file too until it is another program, and would keep the lock so long.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Where it fails, the lock goes with the file.
        let _ = self.0.unlock();
    }
}

fn lock(directory: &Path) -> Result<Locked, OpenError> {
    let path = directory.join(LOCK);
    let file = File::options().create(true).append(true).open(&path).map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Locked(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

fn open_for_writing(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(path, flags, options).map_err(failed)?;
    prepare_once(&connection, path)?;
    // Says something to a new file only. Several transactions of 1 KB share a page of this size.
    connection.pragma_update(None, "page_size", 8192).map_err(failed)?;
    // So that the space of deleted logs can go back to the file system, a little at a time.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    schema::prepare(&mut connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    // Each commit reaches the disk before it is acknowledged.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    // What a long reader let it grow to is given back.
    let wal_limit = i64::try_from(options.wal_limit).unwrap_or(i64::MAX);
    connection.pragma_update(None, "journal_size_limit", wal_limit).map_err(failed)?;
    connection.pragma_update(None, "cache_size", -24 * 1024).map_err(failed)?;
    connection.execute(snapshots::DROP_HALVES, []).map_err(failed)?;
    Ok(connection)
}

/// Opens a hub's file that is there, for reading; gives its format too.
fn open_existing(path: &Path) -> Result<(Connection, i32), OpenError> {
    if !path.try_exists().map_err(OpenError::io(path))? {
        return Err(OpenError::NoHub { path: path.parent().unwrap_or(path).to_owned() });
    }
    let connection = open_for_reading(path, &SqliteOptions::default())?;
    let format = schema::check(&connection, path)?;
    if format < schema::FORMAT {
        let read = |only: bool| connection.pragma_update(None, "query_only", only);
        let stand_in = read(false).and_then(|()| schema::stand_in(&connection, format)).and_then(|()| read(true));
        stand_in.map_err(|error| OpenError::of(path, error))?;
    }
    Ok((connection, format))
}

fn open_for_reading(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags, options).map_err(failed)?;
    prepare_once(&connection, path)?;
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    connection.pragma_update(None, "cache_size", -16 * 1024).map_err(failed)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str()),
        None => Connection::open_with_flags(path, flags),
    }
}

/// Keeps statements prepared. Without the stable plans that are asked for here, SQLite looks at the bound values and
/// prepares a statement anew whenever they change, which costs more than most of our statements do.
fn prepare_once(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    connection.set_prepared_statement_cache_capacity(64);
    let stable = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    stable.map(|_| ()).map_err(|error| OpenError::of(path, error))
}

/// What a failure of SQLite means to the service.
fn failed(error: rusqlite::Error) -> StorageError {
    // The memory that connections share is a file too, which grows with the write-ahead log.
    let no_room_to_share =
        error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
    if no_room_to_share || error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        return StorageError::Full(error.to_string());
    }
    StorageError::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
