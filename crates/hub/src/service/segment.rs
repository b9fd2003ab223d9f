//! A history segment as it arrives: cut into chunks, held in memory while it is short, in a file when it is not.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tolstoy_proto::ChunkId;

use super::aside::{Aside, lost};
use crate::storage::{PIECE, StorageError, weight};

/// What a version holds: one chunk, or as many as it takes, each but the last of [`PIECE`] bytes.
#[derive(Debug)]
pub struct Segment {
    pub(super) chunks: Vec<ChunkId>,
    bytes: u64,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Whole(Bytes),
    Aside(Aside),
}

impl Segment {
    /// A segment that is one chunk; none where it is empty or too long for that.
    pub fn short(bytes: Bytes) -> Option<Self> {
        let fits = !bytes.is_empty() && bytes.len() <= PIECE;
        fits.then(|| Self { chunks: vec![ChunkId::of(&bytes)], bytes: bytes.len() as u64, kept: Kept::Whole(bytes) })
    }

    /// What a log holds more with it, if none of its bytes were there.
    pub(super) fn weight(&self) -> u64 {
        weight(&self.chunks) + self.bytes
    }

    /// Does this with each chunk. It may be asked for again.
    pub(super) fn each(
        &mut self,
        mut put: impl FnMut(&ChunkId, &Bytes) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let aside = match &mut self.kept {
            Kept::Whole(bytes) => return self.chunks.iter().try_for_each(|id| put(id, bytes)),
            Kept::Aside(aside) => aside,
        };
        let unreadable = |error| lost("the version", &error);
        let mut rest = aside.read().map_err(unreadable)?;
        for id in &self.chunks {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut rest).take(PIECE as u64).read_to_end(&mut piece).map_err(unreadable)?;
            put(id, &piece.into())?;
        }
        Ok(())
    }
}

/// Takes a long segment.
#[derive(Debug)]
pub struct SegmentUpload {
    aside: Aside,
    chunks: Vec<ChunkId>,
    bytes: u64,
    /// Of the chunk that is not full yet.
    hash: Sha256,
    filled: usize,
}

impl SegmentUpload {
    /// Takes a segment into a file without a name in `directory`; without a directory it stays in memory.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn new(directory: Option<&Path>) -> io::Result<Self> {
        Ok(Self { aside: Aside::new(directory)?, chunks: Vec::new(), bytes: 0, hash: Sha256::new(), filled: 0 })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PIECE - self.filled));
            self.hash.update(now);
            self.filled += now.len();
            if self.filled == PIECE {
                self.end_chunk();
            }
            rest = later;
        }
        self.bytes += piece.len() as u64;
        self.aside.put(piece)
    }

    fn end_chunk(&mut self) {
        self.chunks.push(ChunkId::from_digest(&std::mem::take(&mut self.hash).finalize().into()));
        self.filled = 0;
    }

    /// All of it has come. None where that is nothing.
    pub fn finish(mut self) -> Option<Segment> {
        if self.filled > 0 {
            self.end_chunk();
        }
        let Self { aside, chunks, bytes, .. } = self;
        (!chunks.is_empty()).then_some(Segment { chunks, bytes, kept: Kept::Aside(aside) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(segment: &mut Segment) -> Vec<(ChunkId, Bytes)> {
        let mut all = Vec::new();
        segment
            .each(|id, bytes| {
                all.push((*id, bytes.clone()));
                Ok(())
            })
            .unwrap();
        all
    }

    #[test]
    fn a_short_one_is_one_chunk() {
        assert!(Segment::short(Bytes::new()).is_none());
        assert!(Segment::short(vec![1; PIECE + 1].into()).is_none());
        let mut segment = Segment::short(Bytes::from_static(b"abc")).unwrap();
        assert_eq!(all(&mut segment), [(ChunkId::of(b"abc"), Bytes::from_static(b"abc"))]);
        assert_eq!(segment.weight(), 100 + 64 + 3);
    }

    #[test]
    fn a_long_one_is_cut_where_it_must_be_however_it_came() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7 / 251) as u8).collect();
            for (step, directory) in [(1000, None), (PIECE, Some(directory.path())), (2 * PIECE + 1, None)] {
                let mut upload = SegmentUpload::new(directory).unwrap();
                bytes.chunks(step).for_each(|piece| upload.take(piece).unwrap());
                let Some(mut segment) = upload.finish() else {
                    assert_eq!(length, 0);
                    continue;
                };
                // Twice: a job may run again.
                for _ in 0..2 {
                    let chunks = all(&mut segment);
                    assert_eq!(chunks.len(), length.div_ceil(PIECE));
                    assert!(chunks.iter().all(|(id, bytes)| id.matches(bytes)));
                    assert_eq!(chunks.iter().map(|(_, bytes)| &bytes[..]).collect::<Vec<_>>().concat(), bytes);
                }
            }
        }
    }
}
