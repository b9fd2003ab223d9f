//! Bytes to frames, however the bytes are cut.

use bytes::{Buf, Bytes, BytesMut};

use super::json::{Scanner, Seen};
use super::{Form, Frame, FrameError, msgpack};
use crate::limits::{MAX_FRAME, MAX_JSON_FRAME};

/// Reads a stream of frames from bytes that arrive in pieces of any size.
///
/// It holds at most one frame and the last piece: a frame that says that it is over the limit is refused before its
/// bytes are awaited. Feed a piece, take frames until there is none, feed the next.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    buffer: BytesMut,
    /// Frames given out.
    index: u64,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    MessagePack,
    Json {
        scanner: Scanner,
        /// How much of the buffer the scanner has seen; all of it belongs to the frame that began.
        seen: usize,
    },
    /// An error was given out.
    Broken,
}

impl FrameDecoder {
    /// A reader of a new stream.
    pub fn new(form: Form) -> Self {
        let state = match form {
            Form::MessagePack => State::MessagePack,
            Form::Json => State::Json { scanner: Scanner::Outside, seen: 0 },
        };
        Self { buffer: BytesMut::new(), index: 0, state }
    }

    /// Takes the next piece of the stream.
    pub fn feed(&mut self, piece: &[u8]) {
        if !matches!(self.state, State::Broken) {
            self.buffer.extend_from_slice(piece);
        }
    }

    /// How many bytes are held: what was fed and is not yet part of a frame given out.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame, as soon as all of its bytes were fed.
    ///
    /// # Errors
    /// Where the bytes are no frame, or one over the limits. The decoder is spent then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let result = match &mut self.state {
            State::MessagePack => next_msgpack(&mut self.buffer),
            State::Json { scanner, seen } => next_json(&mut self.buffer, scanner, seen),
            State::Broken => Err(Refused::Malformed("the stream is broken before this frame".to_owned())),
        };
        match result {
            Ok(frame) => {
                self.index += u64::from(frame.is_some());
                Ok(frame)
            }
            Err(refused) => {
                self.state = State::Broken;
                self.buffer = BytesMut::new();
                Err(refused.at(self.index))
            }
        }
    }

    /// Says whether the stream may end here: between frames, and in JSON after the closing bracket.
    ///
    /// # Errors
    /// Where it may not.
    pub fn finish(&self) -> Result<(), FrameError> {
        let whole = match &self.state {
            State::MessagePack => self.buffer.is_empty(),
            State::Json { scanner, .. } => matches!(scanner, Scanner::Closed),
            State::Broken => false,
        };
        if whole { Ok(()) } else { Err(FrameError::Cut { index: self.index }) }
    }
}

/// Why the next frame is refused.
#[derive(Debug)]
enum Refused {
    TooLong(usize),
    Malformed(String),
}

impl Refused {
    fn at(self, index: u64) -> FrameError {
        match self {
            Self::TooLong(max) => FrameError::TooLong { index, max },
            Self::Malformed(reason) => FrameError::Malformed { index, reason },
        }
    }
}

fn next_msgpack(buffer: &mut BytesMut) -> Result<Option<Frame>, Refused> {
    let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(Refused::TooLong(MAX_FRAME));
    }
    if buffer.len() - 4 < length {
        return Ok(None);
    }
    buffer.advance(4);
    let bytes: Bytes = buffer.split_to(length).freeze();
    let frame = msgpack::read_frame(&bytes).map_err(Refused::Malformed)?;
    checked(frame)
}

fn next_json(buffer: &mut BytesMut, scanner: &mut Scanner, seen: &mut usize) -> Result<Option<Frame>, Refused> {
    while let Some(&byte) = buffer.get(*seen) {
        match scanner.step(byte).map_err(|reason| Refused::Malformed(reason.to_owned()))? {
            // Between elements nothing is kept, so that this byte is the buffer's first.
            Seen::Skip => buffer.advance(1),
            Seen::Part => *seen += 1,
            Seen::Last => {
                let element = buffer.split_to(*seen + 1);
                *seen = 0;
                let frame = serde_json::from_slice(&element).map_err(|e| Refused::Malformed(e.to_string()))?;
                return checked(frame);
            }
        }
        if *seen > MAX_JSON_FRAME {
            return Err(Refused::TooLong(MAX_JSON_FRAME));
        }
    }
    Ok(None)
}

fn checked(frame: Frame) -> Result<Option<Frame>, Refused> {
    frame.check().map_err(Refused::Malformed)?;
    Ok(Some(frame))
}
