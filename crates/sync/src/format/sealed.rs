//! Sealed chunks: native chunks, encrypted so that a hub can neither read, swap, replay nor reorder them. Drawn in
//! `docs/format.md`; what it protects from, and what not, is in `docs/encryption.md`.

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

/// Seals the native chunk with this index of the transaction after `parent`, with a key of the log's.
pub(crate) fn seal_chunk(keys: &Keyring, key: &Key, parent: TrnId, index: u32, plain: &[u8]) -> Result<Bytes, BadSeal> {
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

pub(crate) mod snapshot;

#[cfg(test)]
mod tests;
