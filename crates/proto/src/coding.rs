//! The content coding of bodies: zstd, one frame, bounded on both sides.

use std::io;

use zstd::stream::raw::{DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::get_frame_content_size;

/// The coding's name, in `Content-Encoding` and `Accept-Encoding`.
pub const ZSTD: &str = "zstd";

/// The largest window that a frame may ask for, as a power of two: 8 MiB, which is what RFC 9659 lets a sender use. So a
/// decoder holds a little more than that, whatever it reads.
const WINDOW_LOG_MAX: u32 = 23;

/// Bytes of the longest header of a frame.
const MAX_HEADER: usize = 18;

/// Bytes that are decoded, or encoded, in one step.
const STEP: usize = 64 << 10;

/// Bytes of the longest coded body of so many bytes that a compressor makes; the frame of an uncompressible one is a little
/// longer than the bytes in it.
pub const fn max_coded(bytes: usize) -> usize {
    bytes + (bytes >> 8) + 512
}

/// Why a coded body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// The bytes are no zstd frame, or one that asks for more memory, or for a dictionary.
    #[error("the body is not a zstd frame that can be read here (a window of at most 8 MiB, no dictionary): {0}")]
    Malformed(String),
    /// Something follows the frame. A body is one frame.
    #[error("something follows the body's zstd frame: a body is one frame")]
    Trailing,
    /// The body ends within its frame.
    #[error("the body ends within its zstd frame")]
    Cut,
    /// It holds more bytes than the limit that the reader has set.
    #[error("the body holds more than {0} bytes")]
    TooLong(usize),
}

fn malformed(error: &io::Error) -> CodingError {
    CodingError::Malformed(error.to_string())
}

/// Undoes the coding of one body, piece by piece. However much a frame says that it holds, memory is taken for its window
/// and one step, and no more than the limit is ever given.
pub struct Decompressor {
    decoder: Decoder<'static>,
    step: Box<[u8]>,
    /// The frame's header, or more: its first bytes.
    head: Vec<u8>,
    given: usize,
    limit: usize,
    /// Whether the decoder may hold bytes that did not fit into the last step.
    more: bool,
    ended: bool,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { given, limit, ended, .. } = self;
        write!(f, "Decompressor {{ given: {given}, limit: {limit}, ended: {ended} }}")
    }
}

impl Decompressor {
    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// Where there is no memory for a decoder.
    pub fn new(limit: usize) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self {
            decoder,
            step: vec![0; STEP].into(),
            head: Vec::with_capacity(MAX_HEADER),
            given: 0,
            limit,
            more: false,
            ended: false,
        })
    }

    /// Decodes a little of `coded`, from which what was read is taken away. What it gives is empty when all of that was
    /// read, and all that it held was given.
    ///
    /// # Errors
    /// Where the bytes are refused. Nothing more can be read then.
    pub fn step(&mut self, coded: &mut &[u8]) -> Result<&[u8], CodingError> {
        loop {
            if self.ended && !coded.is_empty() {
                return Err(CodingError::Trailing);
            }
            if coded.is_empty() && (self.ended || !self.more) {
                return Ok(&[]);
            }
            let (mut input, mut output) = (InBuffer::around(coded), OutBuffer::around(&mut *self.step));
            let hint = self.decoder.run(&mut input, &mut output).map_err(|error| malformed(&error))?;
            let (read, got) = (input.pos(), output.pos());
            self.head.extend(coded.iter().take(read.min(MAX_HEADER - self.head.len())));
            *coded = coded.get(read..).unwrap_or_default();
            self.ended = hint == 0;
            // A step that is not filled has given all that was read.
            self.more = got == STEP;
            self.given = self.given.saturating_add(got);
            if self.given > self.limit {
                return Err(CodingError::TooLong(self.limit));
            }
            if self.ended {
                self.check_size()?;
            }
            if got > 0 {
                return Ok(self.step.get(..got).unwrap_or_default());
            }
        }
    }

    /// Whether the frame held as much as its header says, if it says it. The decoder checks that itself, but not where the last
    /// block is empty and the frame comes in pieces.
    fn check_size(&self) -> Result<(), CodingError> {
        match get_frame_content_size(&self.head) {
            Ok(None) => Ok(()),
            Ok(Some(said)) if said == self.given as u64 => Ok(()),
            Ok(Some(said)) => Err(CodingError::Malformed(format!("it holds {} bytes, and says {said}", self.given))),
            Err(error) => Err(CodingError::Malformed(error.to_string())),
        }
    }

    /// Takes the next bytes of the coded body, and gives what they hold, in steps.
    ///
    /// # Errors
    /// Where they are refused, or `give` fails. Nothing more can be read then.
    pub fn feed<E: From<CodingError>>(
        &mut self,
        mut coded: &[u8],
        mut give: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            match self.step(&mut coded)? {
                [] => return Ok(()),
                step => give(step)?,
            }
        }
    }

    /// The body has ended.
    ///
    /// # Errors
    /// Where its frame has not.
    pub fn finish(self) -> Result<(), CodingError> {
        if self.ended { Ok(()) } else { Err(CodingError::Cut) }
    }
}

/// The bytes that a whole coded body holds, at most `limit` of them.
///
/// # Errors
/// Where they are refused, or there is no memory for a decoder.
pub fn decompress(coded: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut bytes = Vec::new();
    let mut decompressor = Decompressor::new(limit).map_err(|error| malformed(&error))?;
    decompressor.feed(coded, |step| {
        bytes.extend_from_slice(step);
        Ok::<_, CodingError>(())
    })?;
    decompressor.finish()?;
    Ok(bytes)
}

/// Codes one body, piece by piece.
pub struct Compressor {
    encoder: Encoder<'static>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

impl Compressor {
    /// Begins a body. Level 1 is the fastest, and takes about 1 MiB; 3 is smaller, slower, and takes about 4 MiB.
    ///
    /// # Errors
    /// Where there is no memory for an encoder.
    pub fn new(level: i32) -> io::Result<Self> {
        Ok(Self { encoder: Encoder::new(level)? })
    }

    /// Codes the next bytes, whole: who reads what `out` has gained can decode all of them.
    ///
    /// # Errors
    /// Where there is no memory.
    pub fn add(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.push(bytes, out)?;
        stepwise(out, |step| self.encoder.flush(step))
    }

    /// Codes the last bytes and ends the frame.
    ///
    /// # Errors
    /// Where there is no memory.
    pub fn end(mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.push(bytes, out)?;
        stepwise(out, |step| self.encoder.finish(step, true))
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(bytes);
        stepwise(out, |step| {
            self.encoder.run(&mut input, step)?;
            Ok(bytes.len() - input.pos())
        })
    }
}

/// Appends what steps write, until one says that nothing is left.
fn stepwise(out: &mut Vec<u8>, mut step: impl FnMut(&mut OutBuffer<'_, [u8]>) -> io::Result<usize>) -> io::Result<()> {
    loop {
        let begin = out.len();
        out.resize(begin + STEP, 0);
        let mut buffer = OutBuffer::around(out.get_mut(begin..).unwrap_or_default());
        let left = step(&mut buffer);
        let written = buffer.pos();
        out.truncate(begin + written);
        if left? == 0 {
            return Ok(());
        }
    }
}

/// Codes a whole body.
///
/// # Errors
/// Where there is no memory.
pub fn compress(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() / 4);
    Compressor::new(level)?.end(bytes, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that do not compress, the same each time.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    /// A frame whose header asks for this window, with one empty block.
    fn window(log: u8) -> Vec<u8> {
        [&0xfd2f_b528_u32.to_le_bytes()[..], &[0, (log - 10) << 3, 1, 0, 0]].concat()
    }

    fn error(coded: &[u8]) -> CodingError {
        decompress(coded, 1000).unwrap_err()
    }

    #[test]
    fn what_is_no_single_frame_is_refused() {
        let good = compress(b"some bytes", 1).unwrap();
        assert_eq!(decompress(&good, 10).unwrap(), b"some bytes");
        assert_eq!(error(&[]), CodingError::Cut);
        for cut in 1..good.len() {
            assert_eq!(error(&good[..cut]), CodingError::Cut, "{cut}");
        }
        for more in [&good[..], b"x", &[0; 9]] {
            assert_eq!(error(&[&good[..], more].concat()), CodingError::Trailing);
        }
        // A skippable frame is one; so what is behind it is behind a frame.
        let skippable = [&0x184d_2a50_u32.to_le_bytes()[..], &2_u32.to_le_bytes(), b"ab"].concat();
        assert_eq!(decompress(&skippable, 10).unwrap(), b"");
        assert_eq!(error(&[skippable, good.clone()].concat()), CodingError::Trailing);
        assert!(matches!(error(b"some bytes"), CodingError::Malformed(_)));
        let mut damaged = good;
        damaged[4] |= 0x08; // A bit that is reserved.
        assert!(matches!(error(&damaged), CodingError::Malformed(_)));
    }

    #[test]
    fn a_dictionary_and_a_large_window_are_refused() {
        let mut dictionary = window(10);
        dictionary[4] = 1;
        dictionary.insert(6, 7);
        let refused = error(&dictionary).to_string();
        assert!(refused.contains("Dictionary mismatch"), "{refused}");
        assert_eq!(decompress(&window(23), 0).unwrap(), b"");
        for large in [24, 27, 31, 41] {
            let refused = error(&window(large)).to_string();
            assert!(refused.contains("too much memory") || refused.contains("Unsupported"), "{refused}");
        }
    }

    #[test]
    fn a_size_that_is_said_is_checked_however_the_frame_comes() {
        // 5634 bytes are said, and one empty block holds none.
        let wrong = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0x40, 0x58, 2, 0x15, 1, 0, 0]].concat();
        for piece in 1..=wrong.len() {
            let mut decompressor = Decompressor::new(10_000).unwrap();
            let fed = wrong.chunks(piece).try_for_each(|piece| decompressor.feed(piece, |_| Ok::<_, CodingError>(())));
            assert!(matches!(fed, Err(CodingError::Malformed(_))), "{piece}: {fed:?}");
        }
    }

    #[test]
    fn a_bomb_goes_off_at_the_limit() {
        let bomb = compress(&vec![0; 64 << 20], 3).unwrap();
        assert!(bomb.len() < 64 << 10);
        for limit in [0, 1, 100_000, (64 << 20) - 1] {
            let mut given = 0;
            let mut decompressor = Decompressor::new(limit).unwrap();
            let fed = bomb.chunks(999).try_for_each(|piece| {
                decompressor.feed(piece, |step| {
                    given += step.len();
                    Ok::<_, CodingError>(())
                })
            });
            assert_eq!(fed, Err(CodingError::TooLong(limit)));
            assert!(given <= limit);
        }
        assert_eq!(decompress(&bomb, 64 << 20).unwrap().len(), 64 << 20);
    }

    #[test]
    fn noise_grows_a_little_and_no_more() {
        for len in [0, 1, 1000, 1 << 20] {
            assert!(compress(&noise(len), 3).unwrap().len() <= max_coded(len), "{len}");
        }
    }

    proptest! {
        #[test]
        fn bodies_come_back_however_they_are_cut(
            parts in prop::collection::vec((any::<u8>(), 0..200_000_usize, any::<bool>()), 0..5),
            piece in 1..70_000_usize,
            level in 1..4,
        ) {
            let mut compressor = Compressor::new(level).unwrap();
            let (mut whole, mut coded) = (Vec::new(), Vec::new());
            for (byte, len, noisy) in parts {
                let part = if noisy { noise(len) } else { vec![byte; len] };
                compressor.add(&part, &mut coded).unwrap();
                whole.extend_from_slice(&part);
                // What was added can be read at once.
                let mut so_far = 0;
                let mut decompressor = Decompressor::new(whole.len()).unwrap();
                decompressor.feed(&coded, |step| { so_far += step.len(); Ok::<_, CodingError>(()) }).unwrap();
                prop_assert_eq!(so_far, whole.len());
            }
            compressor.end(b"end", &mut coded).unwrap();
            whole.extend_from_slice(b"end");
            let mut back = Vec::new();
            let mut decompressor = Decompressor::new(whole.len()).unwrap();
            for piece in coded.chunks(piece) {
                decompressor.feed(piece, |step| { back.extend_from_slice(step); Ok::<_, CodingError>(()) }).unwrap();
            }
            decompressor.finish().unwrap();
            prop_assert!(back == whole);
        }

        #[test]
        fn any_bytes_are_read_or_refused_within_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let framed = [&0xfd2f_b528_u32.to_le_bytes()[..], &bytes].concat();
            if let Ok(read) = decompress(&framed, 1000) {
                prop_assert!(read.len() <= 1000);
            }
        }
    }
}
