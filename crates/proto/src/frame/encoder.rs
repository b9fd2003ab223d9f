//! Frames to bytes.

use bytes::Bytes;

use super::{Chunk, Form, Frame, Piece, RawFrame, Transaction, msgpack};
use crate::ids::{ChunkId, Seq, TrnId};

/// Appends one frame in MessagePack, its length before it.
pub fn encode_frame(frame: &Frame, out: &mut Vec<u8>) {
    prefixed(out, |out| msgpack::write_frame(frame, out));
}

/// Appends the frame of a chunk whose bytes lie elsewhere, in MessagePack, its length before it.
pub fn encode_chunk(id: &ChunkId, bytes: &[u8], out: &mut Vec<u8>) {
    prefixed(out, |out| msgpack::write_chunk(id, bytes, out));
}

/// Appends the frame of a transaction whose chunk ids lie elsewhere, in MessagePack, its length before it.
pub fn encode_transaction(id: TrnId, seq: Seq, parent: TrnId, chunks: &[ChunkId], out: &mut Vec<u8>) {
    prefixed(out, |out| msgpack::write_transaction(id, seq, parent, chunks, out));
}

fn prefixed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    write(out);
    // A frame within the limits is far shorter than u32::MAX; a longer one is refused by every reader.
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(prefix) = out.get_mut(start..start + 4) {
        prefix.copy_from_slice(&length.to_be_bytes());
    }
}

/// Writes a stream of frames in either form.
#[derive(Debug, Clone)]
pub struct FrameEncoder {
    form: Form,
    begun: bool,
}

impl FrameEncoder {
    /// A writer of a new stream.
    pub fn new(form: Form) -> Self {
        Self { form, begun: false }
    }

    /// The form that it writes.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Appends the frame of a chunk whose bytes lie elsewhere.
    pub fn encode_chunk(&mut self, id: &ChunkId, bytes: &[u8], out: &mut Vec<u8>) {
        match self.form {
            Form::MessagePack => {
                encode_chunk(id, bytes, out);
                self.begun = true;
            }
            Form::Json => self.encode(&Frame::Chunk(Chunk { id: *id, bytes: Bytes::copy_from_slice(bytes) }), out),
        }
    }

    /// Appends the frame of a transaction whose chunk ids lie elsewhere.
    pub fn encode_transaction(&mut self, id: TrnId, seq: Seq, parent: TrnId, chunks: &[ChunkId], out: &mut Vec<u8>) {
        match self.form {
            Form::MessagePack => {
                encode_transaction(id, seq, parent, chunks, out);
                self.begun = true;
            }
            Form::Json => {
                self.encode(&Frame::Transaction(Transaction { id, seq, parent, chunks: chunks.to_vec() }), out)
            }
        }
    }

    /// Appends the frame of a piece of a snapshot whose bytes lie elsewhere.
    pub fn encode_piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.form {
            Form::MessagePack => {
                prefixed(out, |out| msgpack::write_piece(bytes, out));
                self.begun = true;
            }
            Form::Json => self.encode(&Frame::Piece(Piece { bytes: Bytes::copy_from_slice(bytes) }), out),
        }
    }

    /// Appends transactions and chunks that are frames in MessagePack already.
    ///
    /// # Errors
    /// Where they are not, and had to be read; nothing is said of what was appended then.
    pub fn encode_raw(&mut self, mut frames: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self.form {
            Form::MessagePack => {
                out.extend_from_slice(frames);
                self.begun = true;
            }
            Form::Json => {
                while let Some((frame, rest)) = RawFrame::split(frames)? {
                    self.encode(&frame.to_frame()?, out);
                    frames = rest;
                }
            }
        }
        Ok(())
    }

    /// Appends a frame. The stream's last one must be [`Frame::End`]: in JSON it closes the array.
    pub fn encode(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        match self.form {
            Form::MessagePack => encode_frame(frame, out),
            Form::Json => {
                out.extend(if self.begun { b",\n" } else { b"[\n" });
                // A frame has no map keys but text, so that it always has a JSON form; and a Vec takes all bytes.
                let written = serde_json::to_writer(&mut *out, frame);
                debug_assert!(written.is_ok());
                if matches!(frame, Frame::End(_)) {
                    out.extend(b"\n]\n");
                }
            }
        }
        self.begun = true;
    }
}
