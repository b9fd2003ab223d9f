//! Chunk ids as small keys, for sets of many.

use sha2::{Digest, Sha256};
use tolstoy_proto::ChunkId;

/// The first 16 bytes of a SHA-256 that stands for a chunk id: enough to tell any two apart, whoever chose them.
pub(super) type IdKey = [u8; 16];

/// The id's key. A content id whose bytes nobody has shown is any text its sender likes: so it is hashed like all others.
pub(super) fn id_key(id: &ChunkId) -> IdKey {
    let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}
