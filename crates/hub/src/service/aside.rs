//! What arrives and is too long for memory: put aside in a file without a name.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use crate::storage::{PIECE, StorageError};

/// Bytes that are put aside, and read again.
#[derive(Debug)]
pub(super) enum Aside {
    Memory(Vec<u8>),
    File(BufWriter<File>),
}

impl Aside {
    /// In a file without a name in `directory`; without a directory in memory.
    pub(super) fn new(directory: Option<&Path>) -> io::Result<Self> {
        Ok(match directory {
            Some(directory) => Self::File(BufWriter::with_capacity(PIECE, tempfile::tempfile_in(directory)?)),
            None => Self::Memory(Vec::new()),
        })
    }

    pub(super) fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(all) => all.extend_from_slice(piece),
            Self::File(file) => file.write_all(piece)?,
        }
        Ok(())
    }

    /// All of it, from the beginning; as often as it is asked for.
    pub(super) fn read(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Memory(all) => Box::new(io::Cursor::new(all)),
            Self::File(writer) => {
                writer.flush()?;
                let mut file = writer.get_ref();
                file.rewind()?;
                Box::new(BufReader::with_capacity(PIECE, file))
            }
        })
    }
}

/// Why what was put aside cannot be read.
pub(super) fn lost(what: &str, error: &io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull => StorageError::Full(error.to_string()),
        _ => StorageError::Failed(format!("{what} that was put aside cannot be read: {error}")),
    }
}
