//! What lies in the columns that hold more than one value. `docs/hub.md` draws it; numbers are unsigned LEB128.

use rusqlite::Row;
use tolstoy_proto::{ChunkId, Seq, TrnId};

use super::failed;
use crate::storage::StorageError;

/// Where a chunk's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// With the transaction that it came with: its seq.
    Trn(Seq),
    /// In a row of its own: its number.
    Chunk(i64),
}

impl At {
    /// As one number: doubled, odd for rows of chunks.
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Trn(seq) => seq.0.cast_signed() << 1,
            Self::Chunk(nr) => nr << 1 | 1,
        }
    }

    pub(super) fn of(code: i64) -> Self {
        if code & 1 == 0 { Self::Trn(Seq((code >> 1).cast_unsigned())) } else { Self::Chunk(code >> 1) }
    }
}

/// Where a run says that the bytes of a transaction's chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// They came with it, and lie behind it.
    Here,
    /// Elsewhere.
    There(At),
}

/// A name's key. A content id's is `00` and the digest's 32 bytes; another chunk id's, its characters, of which none is
/// below `2d`; a transaction id's, `01` and its 16 bytes.
pub(super) type Key = Vec<u8>;

pub(super) fn chunk_key(id: &ChunkId) -> Key {
    match id.digest() {
        Some(digest) => {
            let mut key = Vec::with_capacity(33);
            key.push(0);
            key.extend(digest);
            key
        }
        None => id.as_bytes().to_vec(),
    }
}

pub(super) fn trn_key(id: TrnId) -> [u8; 17] {
    let mut key = [1; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

pub(super) fn chunk_of(key: &[u8]) -> Option<ChunkId> {
    match key.split_first() {
        Some((0, digest)) => digest.try_into().ok().map(ChunkId::from_digest),
        _ => std::str::from_utf8(key).ok()?.parse().ok(),
    }
}

/// Appends a number.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a key, its length before it: at most 64.
pub(super) fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    out.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(key);
}

/// Appends a place: `0` here, otherwise 1 more than the code of where it is.
pub(super) fn put_place(out: &mut Vec<u8>, place: &Place) {
    match place {
        Place::Here => put_number(out, 0),
        Place::There(at) => put_number(out, at.code().cast_unsigned().saturating_add(1)),
    }
}

/// Appends a chunk to a pending transaction's list: its key, and where it is.
pub(super) fn put_chunk(out: &mut Vec<u8>, key: &[u8], at: At) {
    put_key(out, key);
    put_number(out, at.code().cast_unsigned());
}

/// Reads values from the front of a column.
pub(super) struct Unpack<'a>(pub(super) &'a [u8]);

impl<'a> Unpack<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], StorageError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn number(&mut self) -> Result<u64, StorageError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or_else(damaged)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    pub(super) fn row(&mut self) -> Result<i64, StorageError> {
        self.number().map(u64::cast_signed)
    }

    pub(super) fn size(&mut self) -> Result<usize, StorageError> {
        usize::try_from(self.number()?).map_err(|_| damaged())
    }

    pub(super) fn key(&mut self) -> Result<&'a [u8], StorageError> {
        let length = self.take(1)?.first().copied().unwrap_or_default();
        self.take(length.into())
    }

    /// The bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn place(&mut self) -> Result<Place, StorageError> {
        Ok(match self.number()? {
            0 => Place::Here,
            code => Place::There(At::of((code - 1).cast_signed())),
        })
    }

    /// A pending transaction's list.
    pub(super) fn chunks(mut self) -> Result<Vec<(ChunkId, At)>, StorageError> {
        let mut chunks = Vec::new();
        while !self.is_empty() {
            let id = chunk_of(self.key()?).ok_or_else(damaged)?;
            chunks.push((id, At::of(self.row()?)));
        }
        Ok(chunks)
    }

    /// The ids of a pending transaction's list.
    pub(super) fn chunk_ids(self) -> Result<Vec<ChunkId>, StorageError> {
        Ok(self.chunks()?.into_iter().map(|(id, _)| id).collect())
    }

    /// Rows of runs, ascending, and how many transactions each has: of the first the number, then how much more each
    /// further one's is.
    pub(super) fn runs(mut self) -> Result<Vec<(i64, u64)>, StorageError> {
        let (mut runs, mut row) = (Vec::new(), 0i64);
        while !self.is_empty() {
            row = row.checked_add(self.row()?).ok_or_else(damaged)?;
            runs.push((row, self.number()?));
        }
        Ok(runs)
    }
}

/// Runs as [`Unpack::runs`] reads them.
pub(super) fn pack_runs(runs: &[(i64, u64)]) -> Vec<u8> {
    let (mut out, mut before) = (Vec::new(), 0);
    for (row, count) in runs {
        put_number(&mut out, (row - before).cast_unsigned());
        put_number(&mut out, *count);
        before = *row;
    }
    out
}

/// A column of bytes, which are not copied.
pub(super) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], StorageError> {
    row.get_ref(column).and_then(|value| Ok(value.as_blob()?)).map_err(failed)
}

pub(super) fn damaged() -> StorageError {
    StorageError::Failed("a column of the database is damaged".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_different_things_differ() {
        let text: ChunkId = "a".repeat(33).parse().unwrap();
        assert_ne!(chunk_key(&ChunkId::from_digest(&[b'a'; 32])), chunk_key(&text));
        assert_eq!(chunk_key(&ChunkId::of(b"")).len(), 33);
        assert_eq!(trn_key(TrnId::ROOT), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    fn at() -> impl Strategy<Value = At> {
        prop_oneof![(0..u64::MAX / 4).prop_map(|seq| At::Trn(Seq(seq))), (0..i64::MAX / 4).prop_map(At::Chunk),]
    }

    proptest! {
        #[test]
        fn places_round_trip(place in prop_oneof![Just(Place::Here), at().prop_map(Place::There)]) {
            let mut packed = Vec::new();
            put_place(&mut packed, &place);
            prop_assert_eq!(Unpack(&packed).place().unwrap(), place);
        }

        #[test]
        fn chunk_lists_round_trip(
            chunks in proptest::collection::vec(("[a-z0-9-]{1,64}|[0-9a-f]{64}", at()), 0..5),
        ) {
            let chunks: Vec<(ChunkId, At)> = chunks.iter().map(|(id, at)| (id.parse().unwrap(), *at)).collect();
            let mut list = Vec::new();
            chunks.iter().for_each(|(id, at)| put_chunk(&mut list, &chunk_key(id), *at));
            prop_assert_eq!(Unpack(&list).chunks().unwrap(), chunks);
        }

        #[test]
        fn run_lists_round_trip(mut runs in proptest::collection::vec((0..i64::MAX, any::<u64>()), 0..20)) {
            runs.sort_unstable();
            prop_assert_eq!(Unpack(&pack_runs(&runs)).runs().unwrap(), runs);
        }

        #[test]
        fn damaged_columns_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Unpack(&bytes).chunks();
            let _ = Unpack(&bytes).place();
            let _ = Unpack(&bytes).runs();
        }
    }
}
