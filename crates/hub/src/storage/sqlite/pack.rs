//! How ids lie in columns.
//!
//! A chunk id's key is `00` and the digest's 32 bytes for a content id, else its characters (none of which is `00`). A
//! transaction's chunk list is, for each chunk: the key's length as one byte, the key, the number of the chunk's row as
//! an unsigned LEB128.

use tolstoy_proto::ChunkId;

use crate::storage::StorageError;

/// A chunk id as a key: at most 64 bytes.
pub(super) fn key(id: &ChunkId) -> Vec<u8> {
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

fn unkey(key: &[u8]) -> Option<ChunkId> {
    match key.split_first() {
        Some((0, digest)) => digest.try_into().ok().map(ChunkId::from_digest),
        _ => std::str::from_utf8(key).ok()?.parse().ok(),
    }
}

/// Appends one chunk to a list.
pub(super) fn push(list: &mut Vec<u8>, key: &[u8], row: i64) {
    // A key has at most 64 bytes.
    list.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
    list.extend_from_slice(key);
    let mut rest = row.cast_unsigned();
    while rest >= 0x80 {
        list.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    list.push(rest as u8);
}

/// Reads a list: ids and row numbers.
pub(super) fn read(mut list: &[u8]) -> Result<(Vec<ChunkId>, Vec<i64>), StorageError> {
    let damaged = || StorageError::Failed("a transaction's chunk list is damaged".to_owned());
    let (mut ids, mut rows) = (Vec::new(), Vec::new());
    while let Some((length, rest)) = list.split_first() {
        let (key, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
        let (row, rest) = leb128(rest).ok_or_else(damaged)?;
        ids.push(unkey(key).ok_or_else(damaged)?);
        rows.push(row);
        list = rest;
    }
    Ok((ids, rows))
}

fn leb128(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(i).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value.cast_signed(), bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_digest_and_a_text_of_its_length_differ() {
        let text: ChunkId = "a".repeat(33).parse().unwrap();
        assert_ne!(key(&ChunkId::from_digest(&[b'a'; 32])), key(&text));
        assert_eq!(key(&ChunkId::of(b"")).len(), 33);
    }

    proptest! {
        #[test]
        fn lists_round_trip(
            chunks in proptest::collection::vec(
                ("[a-z0-9-]{1,64}|[0-9a-f]{64}", any::<i64>()), 0..5,
            )
        ) {
            let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| id.parse().unwrap()).collect();
            let rows: Vec<i64> = chunks.iter().map(|(_, row)| *row).collect();
            let mut list = Vec::new();
            for (id, row) in ids.iter().zip(&rows) {
                push(&mut list, &key(id), *row);
            }
            prop_assert_eq!(read(&list).unwrap(), (ids, rows));
        }

        #[test]
        fn damaged_lists_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }
}
