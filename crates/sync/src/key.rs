//! The keys of encrypted logs. What is done with them is in `format/sealed.rs`; why so is in `docs/encryption.md`.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tolstoy_env::{Env, NoEntropy};
use tolstoy_proto::LogId;
use zeroize::Zeroizing;

/// What Argon2id spends on a passphrase: 64 MiB, three passes, four lanes (RFC 9106, second recommendation).
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// Keys of one log at most.
const MAX_KEYS: usize = 1_000;
/// The longest passphrase, in bytes.
const MAX_PASSPHRASE: usize = 1_024;

/// A key's place among the keys of a log: the first is 1, and each rotation begins the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyNumber(pub u16);

impl fmt::Display for KeyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What tells a key from others without telling the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a text holds no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// A line says something else. What it says is not repeated: it may be a secret.
    #[error("line {0} of the key file is neither `key N` with 64 hex digits nor `passphrase N` with a passphrase")]
    Line(usize),
    /// The numbers are not 1, 2, 3 and so on.
    #[error("line {0} of the key file has another number than the {1} that follows")]
    Number(usize, usize),
    /// There is none.
    #[error("the key file holds no key")]
    None,
    /// There are too many.
    #[error("the key file holds more than {MAX_KEYS} keys")]
    TooMany,
}

/// The key of a passphrase could not be worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key that the passphrase gives could not be worked out")]
pub struct NoKey;

/// Whence a key comes: 32 random bytes, or a passphrase that gives another key in each log.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The key itself.
    Random(Zeroizing<[u8; 32]>),
    /// A passphrase.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random(_) => "Random(..)",
            Self::Passphrase(_) => "Passphrase(..)",
        })
    }
}

impl Secret {
    /// A new random secret.
    ///
    /// # Errors
    /// Where the source of randomness fails.
    pub fn generate(env: &Env) -> Result<Self, NoEntropy> {
        Ok(Self::Random(Zeroizing::new(env.bytes()?)))
    }

    /// A passphrase as people give it: without the space around it. `None` where nothing is left, or too much, or where it
    /// would be more than one line.
    pub fn passphrase(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_one = !text.is_empty() && text.len() <= MAX_PASSPHRASE && !text.contains(['\n', '\r']);
        is_one.then(|| Self::Passphrase(Zeroizing::new(text.to_owned())))
    }

    fn key(&self, log: LogId, number: KeyNumber) -> Result<Key, NoKey> {
        match self {
            Self::Random(bytes) => Ok(Key::new(number, bytes)),
            Self::Passphrase(text) => Ok(Key::new(number, &*stretched(text, log, number)?)),
        }
    }
}

/// The secrets of a key file, in order: the first is that of key 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// The secrets in a key file's text: a line each, `key N` with 64 hex digits, or `passphrase N` with a passphrase; empty
    /// lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, BadKeys> {
        let mut secrets = Vec::new();
        for (at, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (number, secret) = read_line(line).ok_or(BadKeys::Line(at))?;
            if number != secrets.len() + 1 {
                return Err(BadKeys::Number(at, secrets.len() + 1));
            }
            secrets.push(secret);
        }
        match secrets.len() {
            0 => Err(BadKeys::None),
            many if many > MAX_KEYS => Err(BadKeys::TooMany),
            _ => Ok(Self(secrets)),
        }
    }

    /// The line of a key file for the secret that is added behind these.
    pub fn next_line(&self, secret: &Secret) -> Zeroizing<String> {
        let number = self.0.len() + 1;
        Zeroizing::new(match secret {
            Secret::Random(bytes) => {
                let hex: Zeroizing<String> = Zeroizing::new(bytes.iter().map(|b| format!("{b:02x}")).collect());
                format!("key {number} {}\n", *hex)
            }
            Secret::Passphrase(text) => format!("passphrase {number} {}\n", **text),
        })
    }

    /// Each secret with its number.
    pub fn iter(&self) -> impl Iterator<Item = (KeyNumber, &Secret)> {
        (1..).map(KeyNumber).zip(&self.0)
    }
}

fn read_line(line: &str) -> Option<(usize, Secret)> {
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    let (number, secret) = rest.trim_start().split_once(char::is_whitespace)?;
    let number = number.parse().ok()?;
    let secret = match kind {
        "key" => Secret::Random(Zeroizing::new(from_hex(secret.trim())?)),
        "passphrase" => Secret::passphrase(secret)?,
        _ => return None,
    };
    Some((number, secret))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// The key that a passphrase gives in a log. The salt is the log's name, so that a device needs nothing but both.
fn stretched(passphrase: &str, log: LogId, number: KeyNumber) -> Result<Zeroizing<[u8; 32]>, NoKey> {
    let mut key = Zeroizing::new([0; 32]);
    let salt = [&b"tolstoy passphrase 1\n"[..], log.as_bytes(), &number.0.to_be_bytes()].concat();
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(|_| NoKey)?;
    let function = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    function.hash_password_into(passphrase.as_bytes(), &salt, &mut *key).map_err(|_| NoKey)?;
    Ok(key)
}

/// HMAC-SHA-256 of `parts`, one after the other.
pub(crate) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key that is shorter than a block is filled with zeros (RFC 2104).
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// One key of a log, and what follows from it.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) number: KeyNumber,
    pub(crate) id: KeyId,
    /// Encrypts.
    pub(crate) cipher: Zeroizing<[u8; 32]>,
    /// Makes nonces.
    pub(crate) nonce: Zeroizing<[u8; 32]>,
}

impl Key {
    fn new(number: KeyNumber, secret: &[u8; 32]) -> Self {
        let derive = |what: &[u8]| Zeroizing::new(mac(secret, &[what]));
        let id = derive(b"tolstoy key id 1");
        let mut short = [0; 8];
        short.iter_mut().zip(id.iter()).for_each(|(to, from)| *to = *from);
        Self {
            number,
            id: KeyId(short),
            cipher: derive(b"tolstoy key cipher 1"),
            nonce: derive(b"tolstoy key nonce 1"),
        }
    }
}

/// The keys of one log: the newest seals, all of them open.
#[derive(Clone)]
pub struct Keyring {
    pub(crate) log: LogId,
    keys: Vec<Key>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("log", &self.log).field("keys", &self.keys.len()).finish()
    }
}

impl PartialEq for Keyring {
    fn eq(&self, other: &Self) -> bool {
        self.log == other.log && self.ids().eq(other.ids())
    }
}

impl Eq for Keyring {}

impl Keyring {
    /// The keys that these secrets give in a log. Of passphrases it takes a moment, and 64 MiB of memory.
    ///
    /// # Errors
    /// Where a passphrase gives none.
    pub fn new(log: LogId, secrets: &Secrets) -> Result<Self, NoKey> {
        let keys = secrets.iter().map(|(number, secret)| secret.key(log, number)).collect::<Result<_, _>>()?;
        Ok(Self { log, keys })
    }

    /// Each key's number and id.
    pub fn ids(&self) -> impl Iterator<Item = (KeyNumber, KeyId)> + '_ {
        self.keys.iter().map(|key| (key.number, key.id))
    }

    /// The newest key.
    pub(crate) fn newest(&self) -> Option<&Key> {
        self.keys.last()
    }

    /// The key with this number.
    pub(crate) fn numbered(&self, number: KeyNumber) -> Option<&Key> {
        self.keys.get(usize::from(number.0).checked_sub(1)?)
    }

    /// The key with this number, if it is the one with this id.
    pub(crate) fn get(&self, number: KeyNumber, id: KeyId) -> Option<&Key> {
        self.numbered(number).filter(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(uuid::Uuid::from_u128(7));

    #[test]
    fn a_key_file_is_read_as_it_is_written() {
        let mut text = "# ours\n\n".to_owned();
        let mut secrets = Secrets::default();
        for secret in [Secret::Random(Zeroizing::new([0xab; 32])), Secret::passphrase(" correct horse ").unwrap()] {
            text.push_str(&secrets.next_line(&secret));
            secrets = Secrets::parse(&text).unwrap();
        }
        assert_eq!(text.lines().last(), Some("passphrase 2 correct horse"));
        assert_eq!(secrets.iter().map(|(n, _)| n.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(secrets.0[0], Secret::Random(Zeroizing::new([0xab; 32])));
    }

    #[test]
    fn what_is_no_key_file_is_refused_without_repeating_it() {
        let hex = "ab".repeat(32);
        for (text, error) in [
            ("", BadKeys::None),
            ("# nothing\n", BadKeys::None),
            (&format!("key 2 {hex}"), BadKeys::Number(1, 1)),
            (&format!("key 1 {hex}\n\nkey 1 {hex}"), BadKeys::Number(3, 2)),
            (&format!("key 1 {hex}ab"), BadKeys::Line(1)),
            ("key 1 short", BadKeys::Line(1)),
            ("key one", BadKeys::Line(1)),
            ("secret 1 x", BadKeys::Line(1)),
            ("passphrase 1", BadKeys::Line(1)),
            (&"key 1 ".repeat(3), BadKeys::Line(1)),
        ] {
            assert_eq!(Secrets::parse(text), Err(error), "{text:?}");
        }
        let many: String = (1..=MAX_KEYS + 1).map(|n| format!("key {n} {hex}\n")).collect();
        assert_eq!(Secrets::parse(&many), Err(BadKeys::TooMany));
    }

    #[test]
    fn a_passphrase_gives_another_key_in_each_log_and_at_each_number() {
        let secrets = Secrets::parse("passphrase 1 correct horse\npassphrase 2 correct horse").unwrap();
        let one = Keyring::new(LOG, &secrets).unwrap();
        let [first, second]: [KeyId; 2] = one.ids().map(|(_, id)| id).collect::<Vec<_>>().try_into().unwrap();
        assert_ne!(first, second);
        assert_eq!(Keyring::new(LOG, &secrets).unwrap(), one);
        assert_ne!(Keyring::new(LogId(uuid::Uuid::from_u128(8)), &secrets).unwrap(), one);
        // For ever: a device that is given the passphrase in ten years must find the same key.
        assert_eq!(first.to_string(), "578c2f2988574dbf");
    }

    #[test]
    fn secrets_are_not_shown() {
        let secrets = Secrets::parse(&format!("key 1 {}\npassphrase 2 swordfish", "ab".repeat(32))).unwrap();
        let shown = format!("{secrets:?} {:?}", Keyring::new(LOG, &secrets));
        assert!(!shown.contains("abab") && !shown.contains("swordfish") && !shown.contains("171"), "{shown}");
    }
}
