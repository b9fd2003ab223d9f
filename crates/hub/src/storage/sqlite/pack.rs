//! What lies in the columns that hold more than one value. `docs/hub.md` draws it; numbers are unsigned LEB128.

use std::ops::Range;

use tolstoy_proto::{ChunkId, TrnId};

use crate::storage::StorageError;

/// Where a chunk's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Within the row of the transaction that it came with.
    Trn(i64),
    /// In a row of its own.
    Chunk(i64),
}

impl At {
    /// As one number: the row's, doubled, odd for rows of chunks.
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Trn(nr) => nr << 1,
            Self::Chunk(nr) => nr << 1 | 1,
        }
    }

    pub(super) fn of(code: i64) -> Self {
        if code & 1 == 0 { Self::Trn(code >> 1) } else { Self::Chunk(code >> 1) }
    }
}

/// Where a transaction's row says that a chunk's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In this row: these of its bytes, which follow those of the chunks before it.
    Here(Range<usize>),
    /// Where those of an earlier chunk of this list are: it is the same.
    Same(usize),
    /// In another row.
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

/// Appends one chunk to a transaction's list: its key, and where its bytes are: `0` and their number, `1` and the place
/// in the list, or 2 more than the code of the row.
pub(super) fn put_chunk(out: &mut Vec<u8>, key: &[u8], place: &Place) {
    put_key(out, key);
    match place {
        Place::Here(range) => {
            put_number(out, 0);
            put_number(out, range.len() as u64);
        }
        Place::Same(index) => {
            put_number(out, 1);
            put_number(out, *index as u64);
        }
        Place::There(at) => put_number(out, at.code().cast_unsigned().saturating_add(2)),
    }
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

    /// A transaction's list.
    pub(super) fn chunks(self) -> Result<(Vec<ChunkId>, Vec<Place>), StorageError> {
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        self.chunks_into(&mut ids, &mut places)?;
        Ok((ids, places))
    }

    /// A transaction's list, into these instead of what they held.
    pub(super) fn chunks_into(mut self, ids: &mut Vec<ChunkId>, places: &mut Vec<Place>) -> Result<(), StorageError> {
        let mut bytes = 0usize;
        ids.clear();
        places.clear();
        while !self.is_empty() {
            ids.push(chunk_of(self.key()?).ok_or_else(damaged)?);
            places.push(match self.number()? {
                0 => {
                    let start = bytes;
                    bytes = bytes.checked_add(self.size()?).ok_or_else(damaged)?;
                    Place::Here(start..bytes)
                }
                1 => Place::Same(self.size()?),
                code => Place::There(At::of((code - 2).cast_signed())),
            });
        }
        Ok(())
    }

    /// Row numbers, ascending: the first, then how much more each further one is.
    pub(super) fn rows(mut self) -> Result<Vec<i64>, StorageError> {
        let (mut rows, mut row) = (Vec::new(), 0i64);
        while !self.is_empty() {
            row = row.checked_add(self.row()?).ok_or_else(damaged)?;
            rows.push(row);
        }
        Ok(rows)
    }
}

/// Row numbers as [`Unpack::rows`] reads them.
pub(super) fn pack_rows(rows: &[i64]) -> Vec<u8> {
    let (mut out, mut before) = (Vec::new(), 0);
    for row in rows {
        put_number(&mut out, (row - before).cast_unsigned());
        before = *row;
    }
    out
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

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![
            (0..1000usize).prop_map(|n| Place::Here(0..n)),
            any::<u32>().prop_map(|n| Place::Same(n as usize)),
            (0..i64::MAX / 4).prop_map(|nr| Place::There(At::Trn(nr))),
            (0..i64::MAX / 4).prop_map(|nr| Place::There(At::Chunk(nr))),
        ]
    }

    proptest! {
        #[test]
        fn chunk_lists_round_trip(chunks in proptest::collection::vec(("[a-z0-9-]{1,64}|[0-9a-f]{64}", place()), 0..5)) {
            let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| id.parse().unwrap()).collect();
            let mut places: Vec<Place> = chunks.iter().map(|(_, place)| place.clone()).collect();
            let mut bytes = 0;
            for place in &mut places {
                if let Place::Here(range) = place {
                    (*range, bytes) = (bytes..bytes + range.len(), bytes + range.len());
                }
            }
            let mut list = Vec::new();
            ids.iter().zip(&places).for_each(|(id, place)| put_chunk(&mut list, &chunk_key(id), place));
            prop_assert_eq!(Unpack(&list).chunks().unwrap(), (ids, places));
        }

        #[test]
        fn row_lists_round_trip(mut rows in proptest::collection::vec(0..i64::MAX, 0..20)) {
            rows.sort_unstable();
            prop_assert_eq!(Unpack(&pack_rows(&rows)).rows().unwrap(), rows);
        }

        #[test]
        fn damaged_columns_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Unpack(&bytes).chunks();
            let _ = Unpack(&bytes).rows();
        }
    }
}
