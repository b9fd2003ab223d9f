//! What must hold for any bytes. The fuzz target `frames` includes this file as well.

use tolstoy_proto::{Form, Frame, FrameDecoder, FrameEncoder};

/// Panics if bytes are read as other frames when they are cut elsewhere, or if frames do not read back equal.
pub(crate) fn check_frames(bytes: &[u8]) {
    for form in [Form::MessagePack, Form::Json] {
        let (whole, ended) = read(form, bytes, bytes.len().max(1));
        let (cut, cut_ended) = read(form, bytes, 3);
        assert_eq!((&whole, ended), (&cut, cut_ended), "where the bytes are cut does not matter");
        let mut out = Vec::new();
        let mut encoder = FrameEncoder::new(form);
        whole.iter().for_each(|frame| encoder.encode(frame, &mut out));
        let (again, _) = read(form, &out, 7);
        assert_eq!(again, whole);
    }
}

/// The frames, and whether the bytes were refused after them.
fn read(form: Form, bytes: &[u8], piece: usize) -> (Vec<Frame>, bool) {
    let mut decoder = FrameDecoder::new(form);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}
