//! What is hashed, byte for byte as `docs/protocol.md` draws it. These bytes never change.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::ids::{ChunkId, TrnId, hex32, parse_hex32};

/// The running SHA-256 over a chain. Two ends whose digests are equal hold the same transactions with the same chunks in
/// the same order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainDigest(pub [u8; 32]);

impl ChainDigest {
    /// The root's: 32 zero bytes.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest after one more transaction.
    #[must_use]
    pub fn extend(&self, id: TrnId, chunks: &[ChunkId]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tolstoy chain 1\n");
        hash.update(self.0);
        hash.update(id.as_bytes());
        hash_chunk_ids(&mut hash, chunks);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for ChainDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&hex32(&self.0)).unwrap_or_default())
    }
}

impl fmt::Debug for ChainDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainDigest({self})")
    }
}

/// A text that is not 64 lowercase hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a chain digest is 64 lowercase hex digits")]
pub struct BadDigest;

impl FromStr for ChainDigest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        parse_hex32(text.as_bytes()).map(Self).ok_or(BadDigest)
    }
}

impl Serialize for ChainDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&hex32(&self.0)).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for ChainDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The derived id of a transaction that we mint: a UUIDv8 of its parent and chunk ids, so that a retry is the same
/// request.
pub fn derive_trn(parent: TrnId, chunks: &[ChunkId]) -> TrnId {
    let mut hash = Sha256::new();
    hash.update(b"tolstoy transaction 1\n");
    hash.update(parent.as_bytes());
    hash_chunk_ids(&mut hash, chunks);
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    TrnId(Builder::from_custom_bytes(id).into_uuid())
}

/// `count: u32 big-endian { len: u8 chunk-id[len] } * count`.
fn hash_chunk_ids(hash: &mut Sha256, chunks: &[ChunkId]) {
    // No transaction has 2^32 chunks: limits::MAX_TRANSACTION_CHUNKS is far below.
    hash.update(u32::try_from(chunks.len()).unwrap_or(u32::MAX).to_be_bytes());
    for chunk in chunks {
        let id = chunk.as_bytes();
        hash.update([u8::try_from(id.len()).unwrap_or(u8::MAX)]);
        hash.update(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> TrnId {
        text.parse().unwrap()
    }

    fn chunks() -> Vec<ChunkId> {
        vec!["5528ebc5-6bb6-433b-87d9-5ea00ec78bf9".parse().unwrap(), ChunkId::of(b"abc")]
    }

    /// The hashed bytes, spelled out, independent of the code above.
    fn spelled(intro: &[&[u8]]) -> [u8; 32] {
        let mut bytes = intro.concat();
        bytes.extend([0, 0, 0, 2, 36]);
        bytes.extend(b"5528ebc5-6bb6-433b-87d9-5ea00ec78bf9");
        bytes.push(64);
        bytes.extend(b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        Sha256::digest(&bytes).into()
    }

    #[test]
    fn golden_chain() {
        let trn = id("3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10");
        let raw = [0x3a, 0x1f, 0x0b, 0x52, 0x6c, 0x1d, 0x4a, 0x57, 0x9f, 0x0e, 0x5d, 0x1c, 0x2b, 0x7a, 0x9e, 0x10];
        let one = ChainDigest::ZERO.extend(trn, &chunks());
        assert_eq!(one.0, spelled(&[b"tolstoy chain 1\n", &[0; 32], &raw]));
        assert_eq!(one.to_string(), "b93b30b12cafa24934591853b716619ec36285fba543b52cc42154f285929e78");
        let two = one.extend(trn, &[]);
        assert_eq!(two.to_string(), "9b16e6e4c493703a85d63322ee623526f393661374caa852341b20ddd867056d");
        assert_eq!(two.to_string().parse(), Ok(two));
    }

    #[test]
    fn golden_transaction_id() {
        let derived = derive_trn(TrnId::ROOT, &chunks());
        assert_eq!(derived.to_string(), "19ac4808-acf3-877d-9f29-c542d9cbd3cd");
        let mut expected = spelled(&[b"tolstoy transaction 1\n", &[0; 16]]);
        expected[6] = expected[6] & 0x0f | 0x80;
        expected[8] = expected[8] & 0x3f | 0x80;
        assert_eq!(derived.as_bytes().as_slice(), &expected[..16]);
        assert_ne!(derived, derive_trn(derived, &chunks()));
    }
}
