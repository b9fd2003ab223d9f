//! What must hold for any bytes. The fuzz targets `frames` and `zstd` include this file as well.

use tolstoy_proto::coding::{CodingError, Decompressor, compress};
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

/// Bytes that a body may hold here.
const LIMIT: usize = 300_000;

/// Panics if more comes out of a compressed body than the limit, if it matters where the body is cut, or if bytes do not come
/// back from being compressed.
pub(crate) fn check_zstd(bytes: &[u8]) {
    let whole = decoded(bytes, bytes.len().max(1));
    for piece in [1, 7, 1000] {
        assert_eq!(decoded(bytes, piece), whole, "where the bytes are cut does not matter");
    }
    assert!(whole.is_none_or(|bytes| bytes.len() <= LIMIT));
    if bytes.len() <= LIMIT {
        assert_eq!(decoded(&compress(bytes, 1).unwrap(), 100), Some(bytes.to_vec()));
    }
}

/// What a body gives; none where it is refused.
fn decoded(coded: &[u8], piece: usize) -> Option<Vec<u8>> {
    let (mut decompressor, mut bytes) = (Decompressor::new(LIMIT).unwrap(), Vec::new());
    let result: Result<(), CodingError> = coded.chunks(piece).try_for_each(|piece| {
        decompressor.feed(piece, |step| {
            bytes.extend_from_slice(step);
            Ok(())
        })
    });
    let result = result.and_then(|()| decompressor.finish());
    // How soon a bad frame is known to be bad, and by which of its faults, is the decoder's own business.
    result.is_ok().then_some(bytes)
}
