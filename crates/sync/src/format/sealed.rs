//! Sealed chunks: native chunks, encrypted so that a hub can neither read, swap, replay nor reorder them. Drawn in
//! `docs/format.md`; what it protects from, and what not, is in `docs/encryption.md`.

use std::io::{self, Read, Write};

use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use tolstoy_proto::TrnId;

use crate::key::{Key, KeyId, KeyNumber, Keyring, mac};

/// What every sealed chunk begins with.
pub(crate) const MAGIC: [u8; 4] = *b"TLSE";
/// The version of the sealed form.
const VERSION: u8 = 1;
/// Bytes of the header.
const HEADER: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;
/// Bytes that a sealed chunk has more than the native one.
pub(crate) const OVERHEAD: usize = HEADER + NONCE + TAG;

/// Why something sealed cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadSeal {
    /// It is in clear.
    #[error("the log is not encrypted, and this store has a key for it: nothing is taken from it or sent to it")]
    Clear,
    /// Its version or flags are of a newer format.
    #[error("the log is encrypted in format {version} (flags {flags}), this version knows format 1; update Tolstoy")]
    Newer {
        /// The version found.
        version: u8,
        /// The flags found.
        flags: u8,
    },
    /// The key is another one.
    #[error("the log is encrypted with its key {number}, of id {id}, which is not among the keys given")]
    NoKey {
        /// The key's number.
        number: KeyNumber,
        /// The key's id.
        id: KeyId,
    },
    /// The key was replaced by a newer one before.
    #[error("the log goes on with its key {number}, which had been replaced: whoever wrote that must not have it")]
    OldKey {
        /// The old key's number.
        number: KeyNumber,
    },
    /// The bytes are not those that were sealed, or not for this place.
    #[error("something encrypted in the log was altered, or is not where it was written for")]
    Altered,
    /// It could not be sealed at all.
    #[error("the key cannot encrypt")]
    Failed,
}

/// The first bytes of what is sealed.
fn header(magic: [u8; 4], key: &Key) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let parts = magic.into_iter().chain([VERSION, 0]).chain(key.number.0.to_be_bytes()).chain(key.id.0);
    header.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    header
}

/// The key that a header names.
fn key_of<'k>(keys: &'k Keyring, magic: [u8; 4], header: &[u8; HEADER]) -> Result<&'k Key, BadSeal> {
    let &[m0, m1, m2, m3, version, flags, n1, n0, ref id @ ..] = header;
    if [m0, m1, m2, m3] != magic {
        return Err(BadSeal::Clear);
    }
    if version != VERSION || flags != 0 {
        return Err(BadSeal::Newer { version, flags });
    }
    let (number, id) = (KeyNumber(u16::from_be_bytes([n1, n0])), KeyId(*id));
    keys.get(number, id).ok_or(BadSeal::NoKey { number, id })
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.cipher).into())
}

/// Encrypts behind what is in `out`: nonce, ciphertext, tag. The nonce follows from the key, the place and the text, so
/// that a retry is the same bytes, and no two texts or places share one.
fn encrypt(key: &Key, place: &[&[u8]], plain: &[u8], out: &mut Vec<u8>) -> Result<(), BadSeal> {
    let place = place.concat();
    let digest = mac(&key.nonce, &[&(place.len() as u64).to_be_bytes(), &place, plain]);
    let nonce = digest.first_chunk::<NONCE>().ok_or(BadSeal::Failed)?;
    let sealed = cipher(key).encrypt(<&XNonce>::from(nonce), Payload { msg: plain, aad: &place });
    out.extend_from_slice(nonce);
    out.extend_from_slice(&sealed.map_err(|_| BadSeal::Failed)?);
    Ok(())
}

/// Decrypts nonce, ciphertext and tag.
fn decrypt(key: &Key, place: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, BadSeal> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE>().ok_or(BadSeal::Altered)?;
    let payload = Payload { msg: text, aad: &place.concat() };
    cipher(key).decrypt(<&XNonce>::from(nonce), payload).map_err(|_| BadSeal::Altered)
}

/// A place for a chunk: in this log, in the transaction after a parent.
fn chunk_place<'p>(header: &'p [u8], keys: &'p Keyring, parent: &'p TrnId, index: &'p [u8]) -> [&'p [u8]; 5] {
    [b"tolstoy chunk 1\n", header, keys.log.as_bytes(), parent.as_bytes(), index]
}

/// Seals the native chunk with this index of the transaction after `parent`, with the newest key.
pub(crate) fn seal_chunk(keys: &Keyring, parent: TrnId, index: u32, plain: &[u8]) -> Result<Bytes, BadSeal> {
    let key = keys.newest().ok_or(BadSeal::Failed)?;
    let (header, index) = (header(MAGIC, key), index.to_be_bytes());
    let mut out = Vec::with_capacity(OVERHEAD + plain.len());
    out.extend_from_slice(&header);
    encrypt(key, &chunk_place(&header, keys, &parent, &index), plain, &mut out)?;
    Ok(out.into())
}

/// Opens a chunk: the native one, and the number of the key that it was sealed with.
pub(crate) fn open_chunk(
    keys: &Keyring,
    parent: TrnId,
    index: u32,
    sealed: &[u8],
) -> Result<(Bytes, KeyNumber), BadSeal> {
    let (header, rest) = sealed.split_first_chunk::<HEADER>().ok_or(BadSeal::Clear)?;
    let key = key_of(keys, MAGIC, header)?;
    let plain = decrypt(key, &chunk_place(header, keys, &parent, &index.to_be_bytes()), rest)?;
    Ok((plain.into(), key.number))
}

/// What every sealed snapshot begins with.
const SNAPSHOT_MAGIC: [u8; 4] = *b"TLSF";
/// Bytes in clear of a full segment.
const SEGMENT: usize = 1 << 20;

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

#[cfg(test)]
mod tests;
