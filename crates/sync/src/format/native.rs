//! Native chunks: a transaction's payload, cut into pieces with a header each. Drawn in `docs/format.md`.

use bytes::{BufMut, Bytes, BytesMut};
use tolstoy_proto::ChunkId;
use uuid::Uuid;

use crate::format::Joined;

/// What every native chunk begins with.
pub(crate) const MAGIC: [u8; 4] = *b"TLST";
/// The newest version of the chunk's format that this code knows.
pub(crate) const VERSION: u8 = tolstoy_store::bootstrap::VERSION;
/// Bytes of the header.
pub(crate) const HEADER: usize = 26;
/// Bytes of payload in a full chunk, which then has 1 MiB.
pub(crate) const PIECE: usize = (1 << 20) - HEADER;
/// Bytes of a payload at most.
pub(crate) const MAX_PAYLOAD: usize = tolstoy_store::log::codec::MAX_PAYLOAD;

/// Pieces of a payload at most.
pub(crate) const MAX_PIECES: usize = MAX_PAYLOAD.div_ceil(PIECE);

/// Why chunks are not a native transaction's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadChunk {
    /// They lack the magic: another client's, or encrypted.
    #[error("the log is not in Tolstoy's own format")]
    Foreign,
    /// Their version or flags are of a newer format.
    #[error(
        "the log holds chunks of format {version} (flags {flags}), this version knows formats up to {VERSION}; update Tolstoy"
    )]
    Newer {
        /// The version found.
        version: u8,
        /// The flags found.
        flags: u8,
    },
    /// The pieces are not the ones of one payload, in order, all but the last full.
    #[error("the pieces of a transaction do not fit together: {0}")]
    Pieces(&'static str),
    /// The payload is longer than a chunked payload can be.
    #[error("the transaction has more than {MAX_PAYLOAD} bytes")]
    TooLong,
}

/// Cuts the payload of a transaction that needs this version into chunks. Each names the change that it belongs to, so
/// that no two transactions of a log have a chunk in common, even where they hold the same long text.
///
/// # Errors
/// [`BadChunk::TooLong`].
pub(crate) fn cut(version: u8, origin: Uuid, payload: &[u8]) -> Result<Vec<(ChunkId, Bytes)>, BadChunk> {
    if payload.len() > MAX_PAYLOAD {
        return Err(BadChunk::TooLong);
    }
    let pieces: Vec<&[u8]> = if payload.is_empty() { vec![payload] } else { payload.chunks(PIECE).collect() };
    let count = u16::try_from(pieces.len()).map_err(|_| BadChunk::TooLong)?;
    let chunk = |(index, piece): (u16, &[u8])| {
        let mut bytes = BytesMut::with_capacity(HEADER + piece.len());
        bytes.put_slice(&MAGIC);
        bytes.put_u8(version);
        bytes.put_u8(0);
        bytes.put_u16(index);
        bytes.put_u16(count);
        bytes.put_slice(origin.as_bytes());
        bytes.put_slice(piece);
        let bytes = bytes.freeze();
        (ChunkId::of(&bytes), bytes)
    };
    Ok((0..count).zip(pieces).map(chunk).collect())
}

/// Joins the chunks of one transaction.
///
/// # Errors
/// Where they are not the chunks of one payload.
pub(crate) fn join(chunks: &[Bytes]) -> Result<Joined, BadChunk> {
    let mut payload = Vec::with_capacity(chunks.iter().map(Bytes::len).sum());
    let mut first = None;
    for (at, chunk) in chunks.iter().enumerate() {
        let Piece { version, origin, bytes } = piece(chunk, at, chunks.len())?;
        match *first.get_or_insert((version, origin)) {
            (_, of) if of != origin => return Err(BadChunk::Pieces("one is of another change")),
            (of, _) if of != version => return Err(BadChunk::Pieces("one is of another version")),
            _ => {}
        }
        if payload.len() + bytes.len() > MAX_PAYLOAD {
            return Err(BadChunk::TooLong);
        }
        payload.extend_from_slice(bytes);
    }
    let (version, origin) = first.ok_or(BadChunk::Foreign)?;
    Ok(Joined { version, origin, payload })
}

/// One chunk, taken apart.
pub(crate) struct Piece<'c> {
    version: u8,
    origin: Uuid,
    bytes: &'c [u8],
}

/// Takes apart chunk `at` of `count`.
///
/// # Errors
/// Where it is not such a chunk.
pub(crate) fn piece(chunk: &[u8], at: usize, count: usize) -> Result<Piece<'_>, BadChunk> {
    let foreign = || BadChunk::Foreign;
    let (header, bytes) =
        chunk.split_first_chunk::<HEADER>().filter(|(h, _)| h.starts_with(&MAGIC)).ok_or_else(foreign)?;
    let &[_, _, _, _, version, flags, i1, i0, n1, n0, ref origin @ ..] = header;
    if !(1..=VERSION).contains(&version) || flags != 0 {
        return Err(BadChunk::Newer { version, flags });
    }
    if usize::from(u16::from_be_bytes([i1, i0])) != at {
        return Err(BadChunk::Pieces("one is out of order"));
    }
    if usize::from(u16::from_be_bytes([n1, n0])) != count {
        return Err(BadChunk::Pieces("one is missing or too many"));
    }
    let last = at + 1 == count;
    if bytes.len() > PIECE || (!last && bytes.len() < PIECE) || (last && at > 0 && bytes.is_empty()) {
        return Err(BadChunk::Pieces("one has the wrong length"));
    }
    Ok(Piece { version, origin: Uuid::from_bytes(*origin), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Uuid = Uuid::from_u128(7);

    fn bytes(chunks: Vec<(ChunkId, Bytes)>) -> Vec<Bytes> {
        chunks.into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn joined(version: u8, payload: &[u8]) -> Joined {
        Joined { version, origin: ORIGIN, payload: payload.to_vec() }
    }

    /// A chunk with this version, index and count.
    fn chunk(version: u8, index: u8, count: u8, piece: &[u8]) -> Bytes {
        [&b"TLST"[..], &[version, 0, 0, index, 0, count], ORIGIN.as_bytes(), piece].concat().into()
    }

    #[test]
    fn a_small_payload_is_one_chunk() {
        let chunks = cut(1, ORIGIN, b"hello").unwrap();
        assert_eq!(chunks.len(), 1);
        let golden = b"TLST\x01\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07hello";
        assert_eq!(&chunks[0].1[..], golden);
        assert_eq!(chunks[0].0, ChunkId::of(golden));
        assert_eq!(join(&[chunks[0].1.clone()]).unwrap(), joined(1, b"hello"));
        assert_eq!(cut(2, ORIGIN, b"hello").unwrap()[0].1[..5], *b"TLST\x02");
    }

    #[test]
    fn a_long_payload_is_cut_and_joined() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 7] {
            let payload: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let chunks = bytes(cut(1, ORIGIN, &payload).unwrap());
            assert_eq!(chunks.len(), len.div_ceil(PIECE).max(1));
            assert!(chunks.iter().all(|c| c.len() <= 1 << 20));
            assert_eq!(join(&chunks).unwrap(), joined(1, &payload));
        }
    }

    #[test]
    fn the_same_text_in_two_changes_has_other_chunks() {
        let text = vec![b'x'; 3 * PIECE];
        let (one, two) = (cut(1, ORIGIN, &text).unwrap(), cut(1, Uuid::from_u128(8), &text).unwrap());
        assert!(one.iter().all(|(id, _)| two.iter().all(|(other, _)| id != other)));
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused() {
        let chunks = bytes(cut(1, ORIGIN, &vec![7; PIECE + 5]).unwrap());
        let others = bytes(cut(1, Uuid::from_u128(8), &vec![7; PIECE + 5]).unwrap());
        assert_eq!(join(&[]), Err(BadChunk::Foreign));
        assert_eq!(join(&[Bytes::from_static(b"{\"e\":1}")]), Err(BadChunk::Foreign));
        assert_eq!(join(&[chunk(1, 0, 1, b"").slice(..25)]), Err(BadChunk::Foreign));
        assert_eq!(join(&[chunks[1].clone(), chunks[0].clone()]), Err(BadChunk::Pieces("one is out of order")));
        assert_eq!(join(&chunks[..1]), Err(BadChunk::Pieces("one is missing or too many")));
        assert_eq!(join(&[chunks[0].clone(), others[1].clone()]), Err(BadChunk::Pieces("one is of another change")));
        assert_eq!(join(&[chunk(1, 0, 2, b"x"), chunks[1].clone()]), Err(BadChunk::Pieces("one has the wrong length")));
        let newer = bytes(cut(2, ORIGIN, &vec![7; PIECE + 5]).unwrap());
        assert_eq!(join(&[chunks[0].clone(), newer[1].clone()]), Err(BadChunk::Pieces("one is of another version")));
        for version in [0, 3, 255] {
            assert_eq!(join(&[chunk(version, 0, 1, b"x")]), Err(BadChunk::Newer { version, flags: 0 }));
        }
        assert_eq!(join(&[chunk(2, 0, 1, b"x")]), Ok(joined(2, b"x")));
    }
}
