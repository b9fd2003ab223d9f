//! Chunk ids as small keys, for sets of many.

use sha2::{Digest, Sha256};
use tolstoy_proto::ChunkId;

/// The first 16 bytes of a SHA-256 that stands for a chunk id: enough to tell any two apart, whoever chose them.
pub(super) type IdKey = [u8; 16];

/// The id's key: of a content id its own digest, of another its text's.
pub(super) fn id_key(id: &ChunkId) -> IdKey {
    let digest = id.digest().unwrap_or_else(|| Sha256::digest(id.as_bytes()).into());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}
