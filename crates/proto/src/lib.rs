//! What both ends of a log's wire share: ids, messages, limits, framing.
//!
//! The protocol is drawn in `docs/protocol.md`, its HTTP form in `docs/http.md`; this crate is their one
//! implementation for clients and hubs. It does no I/O: bytes go in, values come out, and the other way round.

pub mod coding;
mod digest;
mod error;
mod fingerprint;
mod frame;
mod ids;
pub mod limits;
pub mod media;
pub mod paths;
mod snapshot;
mod state;
pub mod taskchampion;
pub mod v0;

pub use digest::{ChainDigest, derive_trn};
pub use error::{ErrorBody, ErrorKind, Quota, QuotaKind};
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use frame::{
    Chunk, End, Form, Frame, FrameDecoder, FrameEncoder, FrameError, Piece, Push, RawFrame, Start, Transaction,
    check_chunk_ids, encode_chunk, encode_frame, encode_transaction,
};
pub use ids::{BadId, ChunkId, LogId, Seq, TrnId, parse_uuid};
pub use snapshot::{BlobDigest, Pushed, Snapshot, SnapshotWanted, Snapshots, Urgency};
pub use state::{Generation, LogState};
