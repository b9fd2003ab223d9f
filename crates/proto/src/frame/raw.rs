//! Frames in MessagePack as bytes that nobody has to read: to be kept, and sent on as they are.

use super::msgpack;
use super::{Chunk, Frame, Transaction};
use crate::ids::ChunkId;

/// One frame in MessagePack, its length before it.
///
/// ```
/// use tolstoy_proto::{Chunk, ChunkId, Frame, RawFrame, encode_frame};
///
/// let chunk = Chunk { id: ChunkId::of(b"bytes"), bytes: "bytes".into() };
/// let mut frames = Vec::new();
/// encode_frame(&Frame::Chunk(chunk.clone()), &mut frames);
/// let (frame, rest) = RawFrame::split(&frames)?.ok_or("empty")?;
/// assert!(!frame.is_transaction() && rest.is_empty());
/// assert_eq!(frame.chunk()?, (chunk.id, &b"bytes"[..]));
/// # Ok::<_, String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// With the four bytes of its length.
    bytes: &'a [u8],
}

impl<'a> RawFrame<'a> {
    /// The first of these frames, and those after it; none where there is none.
    ///
    /// # Errors
    /// Where the bytes end within the frame.
    pub fn split(frames: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, String> {
        if frames.is_empty() {
            return Ok(None);
        }
        let cut = || "the bytes end within a frame".to_owned();
        let prefix = frames.first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(u32::from_be_bytes(*prefix)).ok().and_then(|length| length.checked_add(4));
        let (bytes, rest) = length.and_then(|length| frames.split_at_checked(length)).ok_or_else(cut)?;
        Ok(Some((Self { bytes }, rest)))
    }

    /// All of it, with its length.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it is a transaction's.
    pub fn is_transaction(&self) -> bool {
        self.content().starts_with(b"\x81\xabtransaction")
    }

    /// The transaction that it is.
    ///
    /// # Errors
    /// Where it is another frame, or none.
    pub fn transaction(&self) -> Result<Transaction, String> {
        msgpack::read_transaction_frame(self.content())
    }

    /// The id and the bytes of the chunk that it is.
    ///
    /// # Errors
    /// Where it is another frame, or none.
    pub fn chunk(&self) -> Result<(ChunkId, &'a [u8]), String> {
        msgpack::read_chunk_frame(self.content())
    }

    /// It as a frame of its own, where it is a transaction's or a chunk's.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn to_frame(&self) -> Result<Frame, String> {
        if self.is_transaction() {
            return self.transaction().map(Frame::Transaction);
        }
        let (id, bytes) = self.chunk()?;
        Ok(Frame::Chunk(Chunk { id, bytes: bytes.to_vec().into() }))
    }

    fn content(&self) -> &'a [u8] {
        self.bytes.get(4..).unwrap_or_default()
    }
}
