//! Ids. Their text forms are strict, so that one thing has one name.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::limits::MAX_CHUNK_ID;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// It is not 36 characters of lowercase hex and hyphens in a UUID's places.
    #[error("{0:?} is not a UUID of 36 lowercase characters")]
    Uuid(String),
    /// It is not 1 to 64 characters of `[a-z0-9-]`.
    #[error("{0:?} is not a chunk id: 1 to 64 characters of a-z, 0-9 and -")]
    Chunk(String),
}

/// As much of a bad text as is worth showing.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Reads a UUID in its one allowed form: 36 characters, lowercase, hyphenated.
///
/// # Errors
/// Any other text.
pub fn parse_uuid(text: &str) -> Result<Uuid, BadId> {
    let bad = || BadId::Uuid(shown(text));
    if text.len() != 36 || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(bad());
    }
    Uuid::try_parse(text).map_err(|_| bad())
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id of these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_uuid(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                uuid_text::serialize(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                uuid_text::deserialize(deserializer).map(Self)
            }
        }
    };
}

uuid_id! {
    /// Names a log. (The 0.1 API calls it the user.)
    LogId
}

uuid_id! {
    /// Names a transaction within its log.
    TrnId
}

impl TrnId {
    /// The root, from which every log grows. No transaction has this id.
    pub const ROOT: Self = Self(Uuid::nil());
}

/// Serde for a bare UUID in the strict text form.
pub(crate) mod uuid_text {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        deserializer.deserialize_str(Text { expected: "a UUID of 36 lowercase characters", parse: parse_uuid })
    }
}

/// Reads a text in its strict form. It is judged where it is visited, so that formats which know what they read (the segment
/// of a path) can say so.
struct Text<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, BadId>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

/// A transaction's place in its log: the root has 0, a child its parent's + 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The root's.
    pub const ROOT: Self = Self(0);

    /// The place of a child.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a chunk: 1 to 64 characters of `[a-z0-9-]`. One of exactly 64 hex digits is the SHA-256 of the chunk's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// The characters, filled up with zeros.
    text: [u8; MAX_CHUNK_ID],
    len: u8,
}

impl ChunkId {
    /// The content id of these bytes: their SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&Sha256::digest(bytes).into())
    }

    /// The content id that says this SHA-256.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        Self { text: hex32(digest), len: 64 }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The id's characters.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether this is a content id, which says what its chunk's bytes must be.
    pub fn is_digest(&self) -> bool {
        self.digest().is_some()
    }

    /// The SHA-256 that a content id says; none for other ids.
    pub fn digest(&self) -> Option<[u8; 32]> {
        if usize::from(self.len) != MAX_CHUNK_ID {
            return None;
        }
        parse_hex32(&self.text)
    }

    /// Whether a chunk of these bytes may have this id: true for every id that is not a content id.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.digest().is_none_or(|digest| digest.as_slice() == Sha256::digest(bytes).as_slice())
    }
}

impl FromStr for ChunkId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bytes = text.as_bytes();
        // All characters are looked at, without a branch for each: ids are read often, and almost all are good.
        let allowed =
            bytes.iter().fold(true, |good, b| good & (b.is_ascii_lowercase() | b.is_ascii_digit() | (*b == b'-')));
        let mut id = Self { text: [0; MAX_CHUNK_ID], len: 0 };
        match (u8::try_from(bytes.len()), id.text.get_mut(..bytes.len())) {
            (Ok(len @ 1..), Some(place)) if allowed => {
                place.copy_from_slice(bytes);
                id.len = len;
                Ok(id)
            }
            _ => Err(BadId::Chunk(shown(text))),
        }
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChunkId").field(&self.as_str()).finish()
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ChunkId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ChunkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text { expected: "a chunk id", parse: str::parse })
    }
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// The two digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [hex_digit((byte >> 4) as u8), hex_digit((byte & 15) as u8)];
        byte += 1;
    }
    pairs
};

/// 32 bytes as lowercase hex digits.
pub(crate) fn hex32(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(*byte)]);
    }
    text
}

/// The value of each lowercase hex digit; 255 for all other characters.
const HEX_VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut nibble = 0;
    while nibble < 16 {
        values[hex_digit(nibble) as usize] = nibble;
        nibble += 1;
    }
    values
};

/// Reads 32 bytes from 64 lowercase hex digits.
pub(crate) fn parse_hex32(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut out = [0; 32];
    // Every value that is no digit's has high bits, so that one look at the end finds them all.
    let mut seen = 0;
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (HEX_VALUES[usize::from(pair[0])], HEX_VALUES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen < 16).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_strict() {
        let good = "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10";
        assert_eq!(good.parse::<LogId>().unwrap().to_string(), good);
        for bad in [
            "",
            "3A1F0B52-6C1D-4A57-9F0E-5D1C2B7A9E10",
            "3a1f0b526c1d4a579f0e5d1c2b7a9e10",
            "{3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10}",
            "urn:uuid:3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10",
            "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e1g",
            "3a1f0b526-c1d-4a57-9f0e-5d1c2b7a9e10",
        ] {
            assert!(bad.parse::<TrnId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn chunk_ids_have_an_alphabet_and_a_length() {
        for good in ["a", "0", "-", "5528ebc5-6bb6-433b-87d9-5ea00ec78bf9", &"z".repeat(64)] {
            assert_eq!(good.parse::<ChunkId>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a b", "a/b", "é", "a\0", &"z".repeat(65)] {
            assert!(bad.parse::<ChunkId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_content_id_is_the_sha256() {
        let id = ChunkId::of(b"abc");
        assert_eq!(id.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(id.is_digest() && id.matches(b"abc") && !id.matches(b"abd"));
        assert_eq!(ChunkId::from_digest(&id.digest().unwrap()), id);
        let other: ChunkId = "z".repeat(64).parse().unwrap();
        assert!(!other.is_digest() && other.matches(b"anything"));
        let short: ChunkId = "ba7816bf".parse().unwrap();
        assert!(!short.is_digest() && short.matches(b"anything"));
        for at in [0, 1, 31, 62, 63] {
            for other in [b'g', b'-', b'z'] {
                let mut text = id.as_bytes().to_vec();
                text[at] = other;
                let id: ChunkId = String::from_utf8(text).unwrap().parse().unwrap();
                assert!(!id.is_digest(), "{id}");
            }
        }
    }
}
