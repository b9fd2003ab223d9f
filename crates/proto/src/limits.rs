//! The limits of `docs/protocol.md`. A hub refuses what is over them; a client stays within them.

/// Bytes of a chunk.
pub const MAX_CHUNK: usize = 16 << 20;

/// Bytes of a frame in MessagePack, its length prefix left out.
pub const MAX_FRAME: usize = MAX_CHUNK + (64 << 10);

/// Bytes of a frame in JSON: the same content, with chunk bytes in base64.
pub const MAX_JSON_FRAME: usize = MAX_FRAME / 3 * 4 + 16;

/// Characters of a chunk id.
pub const MAX_CHUNK_ID: usize = 64;

/// Chunks that one transaction may name.
pub const MAX_TRANSACTION_CHUNKS: usize = 100_000;

/// Bytes of all chunk ids that one transaction may name.
pub const MAX_TRANSACTION_CHUNK_IDS: usize = 4 << 20;

/// Bytes of a push in MessagePack; in JSON a third more is allowed.
pub const MAX_PUSH: usize = 64 << 20;

/// Frames of a push. No push of `MAX_PUSH` bytes with content ids reaches it.
pub const MAX_PUSH_FRAMES: u64 = 1_000_000;

/// Transactions of a push.
pub const MAX_PUSH_TRANSACTIONS: usize = 100_000;

/// Chunks that a push may leave out since the hub has them.
pub const MAX_LEFT_OUT: usize = 100_000;

/// Ids in `from` and `expect`.
pub const MAX_CANDIDATES: usize = 64;

/// Seconds that a request may wait for a log to change; more is taken as this.
pub const MAX_WAIT: u64 = 60;

/// Chunk ids in a missing-chunks answer.
pub const MAX_MISSING: usize = 1_000;

/// How deep values may nest in a field that the reader does not know.
pub const MAX_DEPTH: usize = 32;
