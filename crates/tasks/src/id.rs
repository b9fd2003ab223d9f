//! What names a task.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tolstoy_env::{Env, NoEntropy};

use crate::json;

const ALPHABET: &[u8; 28] = b"23456789abcdefghkmnpqrstwxyz";

/// Whether a byte is a character of an id.
const fn is_of_alphabet(byte: u8) -> bool {
    matches!(byte, b'2'..=b'9' | b'a'..=b'h' | b'k' | b'm' | b'n' | b'p'..=b't' | b'w'..=b'z')
}

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

    /// The id with this number, of 28 to the power of 16; a larger one begins anew.
    pub(crate) fn numbered(mut number: u128) -> Self {
        let mut id = [0; Self::LENGTH];
        for place in id.iter_mut().rev() {
            let digit = usize::try_from(number % 28).unwrap_or_default();
            *place = ALPHABET.get(digit).copied().unwrap_or_default();
            number /= 28;
        }
        Self(id)
    }

    /// The id as a number.
    pub(crate) fn number(&self) -> u128 {
        let digit = |byte: &u8| ALPHABET.iter().position(|known| known == byte).unwrap_or_default();
        self.0.iter().fold(0, |number, byte| number * 28 + digit(byte) as u128)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // It has been made of ASCII alone.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether a character may stand in an id.
    pub fn is_character(c: char) -> bool {
        u8::try_from(c).is_ok_and(is_of_alphabet)
    }
}

impl FromStr for TaskId {
    type Err = NoTaskId;

    fn from_str(text: &str) -> Result<Self, NoTaskId> {
        <[u8; Self::LENGTH]>::try_from(text.as_bytes())
            .ok()
            .filter(|bytes| bytes.iter().all(|b| is_of_alphabet(*b)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_the_alphabet() {
        assert!((0..=u8::MAX).all(|byte| ALPHABET.contains(&byte) == is_of_alphabet(byte)));
    }
}
