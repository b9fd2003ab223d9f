//! Sealed snapshots: a stream of bytes, encrypted in segments so that it is opened whole, in order and in its place, or not at all.

use std::io::{self, Read, Write};

use tolstoy_proto::TrnId;

use super::{BadSeal, HEADER, NONCE, OVERHEAD, TAG, decrypt, encrypt, header, key_of};
use crate::key::Keyring;

/// What every sealed snapshot begins with.
const SNAPSHOT_MAGIC: [u8; 4] = *b"TLSF";
/// Bytes in clear of a full segment.
pub(super) const SEGMENT: usize = 1 << 20;

/// A place for a segment of a snapshot: in this log, of the snapshot for a transaction, and whether it is the last.
fn segment_place<'p>(
    header: &'p [u8],
    keys: &'p Keyring,
    snapshot: &'p TrnId,
    index: &'p [u8],
    last: bool,
) -> [&'p [u8]; 6] {
    let last: &[u8] = if last { &[1] } else { &[0] };
    [b"tolstoy snapshot 1\n", header, keys.log.as_bytes(), snapshot.as_bytes(), index, last]
}

/// Seals what is written to it as the snapshot that stands for a transaction. [`finish`](Self::finish) ends it: what was not
/// finished cannot be opened.
pub(crate) struct SealSnapshot<'k, W> {
    out: W,
    keys: &'k Keyring,
    snapshot: TrnId,
    header: [u8; HEADER],
    index: u32,
    waiting: Vec<u8>,
}

impl<'k, W: Write> SealSnapshot<'k, W> {
    pub(crate) fn new(keys: &'k Keyring, snapshot: TrnId, mut out: W) -> io::Result<Self> {
        let key = keys.newest().ok_or_else(|| io::Error::other(BadSeal::Failed))?;
        let header = header(SNAPSHOT_MAGIC, key);
        out.write_all(&header)?;
        Ok(Self { out, keys, snapshot, header, index: 0, waiting: Vec::new() })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let key = self.keys.newest().ok_or_else(|| io::Error::other(BadSeal::Failed))?;
        let rest = self.waiting.split_off(self.waiting.len().min(SEGMENT));
        let plain = std::mem::replace(&mut self.waiting, rest);
        let index = self.index.to_be_bytes();
        let place = segment_place(&self.header, self.keys, &self.snapshot, &index, last);
        let mut sealed = Vec::with_capacity(OVERHEAD + plain.len());
        encrypt(key, &place, &plain, &mut sealed).map_err(io::Error::other)?;
        self.index = self.index.checked_add(1).ok_or_else(|| io::Error::other(BadSeal::Failed))?;
        self.out.write_all(&sealed)
    }

    /// Writes what is left, marked as the end.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for SealSnapshot<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        // A full segment waits for a byte more: only then it is known not to be the last.
        while self.waiting.len() > SEGMENT {
            self.seal(false)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens a sealed snapshot as it is read. What was cut, altered, put together from parts or made for another transaction
/// fails with [`BadSeal`] inside the error.
pub(crate) struct OpenSnapshot<'k, R> {
    from: R,
    keys: &'k Keyring,
    snapshot: TrnId,
    header: [u8; HEADER],
    index: u32,
    /// The next segment, sealed, if it was read already to see whether the one before is the last.
    ahead: Vec<u8>,
    plain: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl<'k, R: Read> OpenSnapshot<'k, R> {
    pub(crate) fn new(keys: &'k Keyring, snapshot: TrnId, mut from: R) -> io::Result<Self> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header)?;
        key_of(keys, SNAPSHOT_MAGIC, &header).map_err(io::Error::other)?;
        let plain = io::Cursor::new(Vec::new());
        Ok(Self { from, keys, snapshot, header, index: 0, ahead: Vec::new(), plain, ended: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        const FULL: usize = NONCE + SEGMENT + TAG;
        let missing = (2 * FULL).saturating_sub(self.ahead.len()) as u64;
        (&mut self.from).take(missing).read_to_end(&mut self.ahead)?;
        let rest = self.ahead.split_off(self.ahead.len().min(FULL));
        let sealed = std::mem::replace(&mut self.ahead, rest);
        let last = self.ahead.is_empty();
        let key = key_of(self.keys, SNAPSHOT_MAGIC, &self.header).map_err(io::Error::other)?;
        let index = self.index.to_be_bytes();
        let place = segment_place(&self.header, self.keys, &self.snapshot, &index, last);
        self.plain = io::Cursor::new(decrypt(key, &place, &sealed).map_err(io::Error::other)?);
        self.index = self.index.checked_add(1).ok_or_else(|| io::Error::other(BadSeal::Altered))?;
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for OpenSnapshot<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.plain.read(into)?;
            if read > 0 || into.is_empty() || self.ended {
                return Ok(read);
            }
            self.open_next()?;
        }
    }
}
