//! The tree of hashes: what says quickly whether two sides have the same tasks, and where they differ.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{Hash, TaskId, json};

/// The digest of some tasks: the exclusive or of SHA-256(id hash) over them. Displays in lowercase hexadecimal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these tasks.
    pub fn of<'a>(tasks: impl IntoIterator<Item = (&'a TaskId, &'a Hash)>) -> Self {
        let mut digest = Self::default();
        tasks.into_iter().for_each(|(id, hash)| digest.toggle(*id, *hash));
        digest
    }

    /// Puts a task in, or takes one out that is in it.
    pub fn toggle(&mut self, id: TaskId, hash: Hash) {
        let sum = Sha256::new().chain_update(id.as_str()).chain_update(hash.0).finalize();
        self.0.iter_mut().zip(sum).for_each(|(byte, other)| *byte ^= other);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash(self.0).fmt(f)
    }
}

/// A text that is not 32 bytes in lowercase hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no hash: that is 64 characters of 0123456789abcdef")]
pub struct NoHash(String);

impl FromStr for Hash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let whole = pairs.len() == bytes.len() && rest.is_empty();
        let filled = bytes.iter_mut().zip(pairs).all(|(byte, [high, low])| {
            let value = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low);
            *byte = value.unwrap_or_default();
            value.is_some()
        });
        if whole && filled { Ok(Self(bytes)) } else { Err(NoHash(json::shortened(text))) }
    }
}

impl FromStr for Digest {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        text.parse().map(|Hash(bytes)| Self(bytes))
    }
}

/// What a node of the tree stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Node {
    /// The digest of its tasks.
    pub digest: Digest,
    /// How many they are.
    pub tasks: u64,
}

impl Node {
    /// The node of these tasks.
    pub fn of<'a>(tasks: impl IntoIterator<Item = (&'a TaskId, &'a Hash)>) -> Self {
        let mut node = Self::default();
        tasks.into_iter().for_each(|(id, hash)| node.replace(*id, None, *hash));
        node
    }

    /// A task that had this hash, or was not there, has another one now.
    pub fn replace(&mut self, id: TaskId, old: Option<Hash>, new: Hash) {
        match old {
            Some(old) => self.digest.toggle(id, old),
            None => self.tasks = self.tasks.saturating_add(1),
        }
        self.digest.toggle(id, new);
    }
}

/// What the ids of some tasks begin with: none to all 16 of their characters. It names a node of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    // Zeros fill the rest, so that the order is that of the texts.
    characters: [u8; TaskId::LENGTH],
    length: usize,
}

/// A text that no task's id begins with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is the beginning of no task's id: that is up to 16 characters of 23456789abcdefghkmnpqrstwxyz")]
pub struct NoPrefix(String);

impl Prefix {
    /// What all ids begin with.
    pub const ROOT: Self = Self { characters: [0; TaskId::LENGTH], length: 0 };

    /// The first so many characters of an id, of which there are 16.
    pub fn of(id: TaskId, length: usize) -> Self {
        let mut prefix = Self { length: length.min(TaskId::LENGTH), ..Self::ROOT };
        let kept = prefix.characters.iter_mut().take(prefix.length);
        kept.zip(id.as_str().bytes()).for_each(|(to, from)| *to = from);
        prefix
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // It has been made of ASCII alone.
        self.characters.get(..self.length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// How many characters it has.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether it is the root's.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether the id begins so.
    pub fn covers(&self, id: TaskId) -> bool {
        id.as_str().starts_with(self.as_str())
    }

    /// The least and the greatest id that could begin so.
    pub fn bounds(&self) -> (TaskId, TaskId) {
        let filled = |with: u8| {
            let mut characters = self.characters;
            characters.iter_mut().skip(self.length).for_each(|character| *character = with);
            TaskId::of_characters(characters)
        };
        (filled(TaskId::FIRST), filled(TaskId::LAST))
    }

    /// The tasks among these whose ids begin so.
    pub fn within<'a>(
        &self,
        tasks: &'a BTreeMap<TaskId, Hash>,
    ) -> impl Iterator<Item = (&'a TaskId, &'a Hash)> + use<'a> {
        let (first, last) = self.bounds();
        tasks.range(first..=last)
    }
}

impl FromStr for Prefix {
    type Err = NoPrefix;

    fn from_str(text: &str) -> Result<Self, NoPrefix> {
        if text.len() > TaskId::LENGTH || !text.chars().all(TaskId::is_character) {
            return Err(NoPrefix(json::shortened(text)));
        }
        let mut prefix = Self { length: text.len(), ..Self::ROOT };
        prefix.characters.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
