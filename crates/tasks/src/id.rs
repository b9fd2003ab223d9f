//! What names a task.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tolstoy_env::{Env, NoEntropy};

use crate::json;

const ALPHABET: &[u8; 28] = b"23456789abcdefghkmnpqrstwxyz";

/// The id of a task: 16 characters of an alphabet without look-alikes. It is safe as a file's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId([u8; Self::LENGTH]);

/// A text that is no task's id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no id of a task: that is 16 characters of 23456789abcdefghkmnpqrstwxyz")]
pub struct NoTaskId(pub(crate) String);

impl TaskId {
    /// The number of its characters.
    pub const LENGTH: usize = 16;

    pub(crate) const FIRST: u8 = b'2';
    pub(crate) const LAST: u8 = b'z';

    /// An id of these characters, all of the alphabet.
    pub(crate) const fn of_characters(characters: [u8; Self::LENGTH]) -> Self {
        Self(characters)
    }

    /// A new id.
    ///
    /// # Errors
    /// Where the source of randomness fails.
    pub fn mint(env: &Env) -> Result<Self, NoEntropy> {
        let mut id = [0; Self::LENGTH];
        let mut places = id.iter_mut();
        let mut place = places.next();
        while place.is_some() {
            for byte in env.bytes::<{ 2 * Self::LENGTH }>()? {
                // 252 is nine times 28: each character is as likely as any other.
                let character = ALPHABET.get(usize::from(byte % 28)).filter(|_| byte < 252);
                if let (Some(to), Some(character)) = (place.as_deref_mut(), character) {
                    *to = *character;
                    place = places.next();
                }
            }
        }
        Ok(Self(id))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // It has been made of ASCII alone.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether a character may stand in an id.
    pub fn is_character(c: char) -> bool {
        u8::try_from(c).is_ok_and(|b| ALPHABET.contains(&b))
    }
}

impl FromStr for TaskId {
    type Err = NoTaskId;

    fn from_str(text: &str) -> Result<Self, NoTaskId> {
        <[u8; Self::LENGTH]>::try_from(text.as_bytes())
            .ok()
            .filter(|bytes| bytes.iter().all(|b| ALPHABET.contains(b)))
            .map(Self)
            .ok_or_else(|| NoTaskId(json::shortened(text)))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
