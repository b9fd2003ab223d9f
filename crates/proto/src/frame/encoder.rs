//! Frames to bytes.

use super::{Form, Frame, msgpack};

/// Appends one frame in MessagePack, its length before it.
pub fn encode_frame(frame: &Frame, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 4]);
    msgpack::write_frame(frame, out);
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
