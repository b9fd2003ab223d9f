//! Files: read with limits, written whole.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tolstoy_edn::Instant;

use crate::MAX_TEXT;

/// So many files are synced with all of their file system rather than one by one.
const MANY: usize = 16;

/// What was found at a path.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    File {
        bytes: Vec<u8>,
        changed: Option<Instant>,
    },
    /// Something that cannot be read as a file, and why.
    Unreadable(String),
}

/// Reads a file, if it is one: no link, directory or pipe. Of a longer one than any task's, only so much that it is seen to be
/// too long.
pub(super) fn read(path: &Path) -> Found {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return Found::Unreadable(format!("it cannot be read: {error}")),
        Ok(metadata) => metadata.file_type(),
    };
    if !kind.is_file() {
        let what = if kind.is_symlink() {
            "a link"
        } else if kind.is_dir() {
            "a directory"
        } else {
            "no ordinary file"
        };
        return Found::Unreadable(format!("it is {what}, and is left alone"));
    }
    let whole = File::open(path).and_then(|file| {
        let changed = file.metadata().and_then(|metadata| metadata.modified()).ok().and_then(instant);
        let mut bytes = Vec::new();
        file.take(u64::try_from(MAX_TEXT + 1).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(Found::File { bytes, changed })
    });
    match whole {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(error) => Found::Unreadable(format!("it cannot be read: {error}")),
    }
}

/// When a file was last changed.
pub(super) fn changed(path: &Path) -> Option<Instant> {
    fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok().and_then(instant)
}

fn instant(time: std::time::SystemTime) -> Option<Instant> {
    let micros = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).ok()?,
        Err(before) => -i64::try_from(before.duration().as_micros()).ok()?,
    };
    Some(Instant::from_micros(micros))
}

/// Writes a new file, which is not durable yet. It must not be there.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<File> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// Makes files durable that were written into a directory.
pub(super) fn sync_written(directory: &Path, paths: &[&PathBuf]) -> io::Result<()> {
    if paths.len() > MANY && sync_file_system(directory)? {
        return Ok(());
    }
    paths.iter().try_for_each(|path| File::options().write(true).open(path)?.sync_all())
}

/// Syncs all of a directory's file system at once, where the system can. Whether it did.
#[cfg(target_os = "linux")]
fn sync_file_system(directory: &Path) -> io::Result<bool> {
    rustix::fs::syncfs(File::open(directory)?)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_directory: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Makes renames in a directory last.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    // Windows cannot open a directory, and needs not.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
