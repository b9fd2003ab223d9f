//! A copy of the file at one moment, and a data directory from such a copy.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tempfile::NamedTempFile;

use super::{DATABASE, LOCK, OpenError, lock, make_private_directory, open_existing, schema};

/// Pages that are copied at once.
const PAGES: i32 = 256;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of the file.
    pub bytes: u64,
    /// Living logs in it.
    pub logs: u64,
}

/// How far a copy is: pages done, of so many.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// Why a copy was not made. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The data directory or its file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something has the name of the copy already.
    #[error("{} exists already, and is left as it is: choose another name", .0.display())]
    Exists(PathBuf),
    /// The data directory holds something.
    #[error("{} is not empty: a hub is restored into a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The file is in use, or was copied while it was: part of it is in the write-ahead log beside it.
    #[error("{} has a write-ahead log beside it, so that it is not whole: make backups with `tolstoy backup`", .0.display())]
    NotWhole(PathBuf),
    /// What is in the file contradicts itself.
    #[error("{} is damaged: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    move |source| CopyError::Io { path: path.to_owned(), source }
}

fn sql_at(path: &Path) -> impl Fn(rusqlite::Error) -> CopyError {
    move |error| CopyError::Open(OpenError::of(path, error))
}

/// Copies what a data directory holds, as it is at this moment, into a new file; also while a hub serves it.
///
/// # Errors
/// Where there is no hub's data, the file exists, or cannot be written.
pub fn backup(directory: &Path, file: &Path, progress: &mut Progress<'_>) -> Result<Copied, CopyError> {
    if file.try_exists().map_err(io_at(file))? {
        return Err(CopyError::Exists(file.to_owned()));
    }
    let database = directory.join(DATABASE);
    let (source, _) = open_existing(&database)?;
    let failed = sql_at(&database);
    // The moment of the copy: what is read from here on is as it is now, so that no step has to be repeated.
    source.execute_batch("BEGIN").map_err(&failed)?;
    let sql = "SELECT count(*) FROM log WHERE generation IS NOT NULL";
    let logs: i64 = source.query_row(sql, [], |row| row.get(0)).map_err(&failed)?;
    let beside = beside(file);
    let part = NamedTempFile::new_in(&beside).map_err(io_at(&beside))?;
    copy_pages(&source, &database, part.path(), progress)?;
    part.as_file().sync_all().map_err(io_at(file))?;
    let bytes = part.as_file().metadata().map_err(io_at(file))?.len();
    keep(part, file)?;
    Ok(Copied { bytes, logs: logs.cast_unsigned() })
}

/// The directory that a file is in.
fn beside(file: &Path) -> PathBuf {
    file.parent().filter(|parent| *parent != Path::new("")).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn copy_pages(source: &Connection, database: &Path, part: &Path, progress: &mut Progress<'_>) -> Result<(), CopyError> {
    let failed = sql_at(part);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(part, flags).map_err(&failed)?;
    // It is synced as a whole, and thrown away where it is not finished.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(&failed)?;
    let copy = Backup::new(source, &mut target).map_err(sql_at(database))?;
    loop {
        let step = copy.step(PAGES).map_err(&failed)?;
        let at = copy.progress();
        let pages = |n: i32| u64::try_from(n).unwrap_or(0);
        progress(pages(at.pagecount - at.remaining), pages(at.pagecount));
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Nobody else has the new file, and reading waits for nobody.
            other => {
                return Err(CopyError::Damaged {
                    path: part.to_owned(),
                    what: format!("it cannot be copied: {other:?}"),
                });
            }
        }
    }
}

/// Gives a whole file its name, which nothing has.
fn keep(part: NamedTempFile, file: &Path) -> Result<(), CopyError> {
    part.persist_noclobber(file).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => CopyError::Exists(file.to_owned()),
        _ => CopyError::Io { path: file.to_owned(), source: error.error },
    })?;
    let beside = beside(file);
    File::open(&beside).and_then(|directory| directory.sync_all()).map_err(io_at(&beside))
}

/// Makes a data directory from a backup.
///
/// # Errors
/// Where the file is no whole and sound hub's, or the directory is not empty, or a hub runs on it.
pub fn restore(file: &Path, directory: &Path, progress: &mut Progress<'_>) -> Result<Copied, CopyError> {
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    if fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
        return Err(CopyError::NotWhole(file.to_owned()));
    }
    let mut source = File::open(file).map_err(io_at(file))?;
    let total = source.metadata().map_err(io_at(file))?.len();
    make_private_directory(directory).map_err(io_at(directory))?;
    // Held until the end: no hub begins here meanwhile.
    let _lock = lock(directory)?;
    for entry in fs::read_dir(directory).map_err(io_at(directory))? {
        if entry.map_err(io_at(directory))?.file_name() != LOCK {
            return Err(CopyError::NotEmpty(directory.to_owned()));
        }
    }
    let mut part = NamedTempFile::new_in(directory).map_err(io_at(directory))?;
    let mut piece = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let n = source.read(&mut piece).map_err(io_at(file))?;
        if n == 0 {
            break;
        }
        part.write_all(piece.get(..n).unwrap_or_default()).map_err(io_at(directory))?;
        done += n as u64;
        progress(done, total);
    }
    part.as_file().sync_all().map_err(io_at(directory))?;
    let logs = check(part.path(), file)?;
    keep(part, &directory.join(DATABASE))?;
    Ok(Copied { bytes: total, logs })
}

/// Whether the copy is a hub's file and sound; how many logs live in it.
fn check(copy: &Path, file: &Path) -> Result<u64, CopyError> {
    let failed = sql_at(file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy, flags).map_err(&failed)?;
    schema::check(&connection, file)?;
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(&failed)?;
    if said != "ok" {
        return Err(CopyError::Damaged { path: file.to_owned(), what: said });
    }
    let sql = "SELECT count(*) FROM log WHERE generation IS NOT NULL";
    let logs: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(&failed)?;
    Ok(logs.cast_unsigned())
}
