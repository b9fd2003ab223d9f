//! A token's text: `tol_`, its id, `_`, and 256 random bits.
//!
//! Only letters, digits and underscores, so that a double click takes all of it; a known beginning, so that those who look
//! for leaked secrets find it; and the id in the clear, so that its holder knows which one to revoke.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tolstoy_env::{Env, NoEntropy};
use tolstoy_proto::taskchampion::ClientId;

const PREFIX: &str = "tol_";
const ID: usize = 8;
/// 256 bits, five to a character.
const SECRET: usize = 52;

/// RFC 4648's base32, in lowercase.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Names a token: 8 characters of `a-z2-7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn new(env: &Env) -> Result<Self, NoEntropy> {
        Ok(Self(base32(&env.bytes::<5>()?)))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no token's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token's id is 8 characters of a-z and 2-7: `tolstoy token list` shows it, and it stands behind tol_ in the token"
)]
pub struct BadTokenId;

impl FromStr for TokenId {
    type Err = BadTokenId;

    fn from_str(text: &str) -> Result<Self, BadTokenId> {
        if is_base32(text, ID) { Ok(Self(text.to_owned())) } else { Err(BadTokenId) }
    }
}

/// A token's whole text. It is shown to whoever asked for the token, once, and kept nowhere. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    id: TokenId,
    text: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({PREFIX}{}_...)", self.id)
    }
}

impl Secret {
    pub(super) fn new(id: TokenId, env: &Env) -> Result<Self, NoEntropy> {
        let text = format!("{PREFIX}{id}_{}", base32(&env.bytes::<32>()?));
        Ok(Self { id, text })
    }

    /// What somebody shows, where it has the form of a token.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let id = id.parse().ok()?;
        is_base32(secret, SECRET).then(|| Self { id, text: text.to_owned() })
    }

    /// The id of a client of TaskChampion's. Its own id derives from it, so that whoever shows the one need not say the other.
    pub(super) fn of_client(client: ClientId) -> Self {
        let text = client.expose();
        let digest = Sha256::new().chain_update(b"tolstoy taskchampion token 1\n").chain_update(&text).finalize();
        Self { id: TokenId(base32(digest.get(..5).unwrap_or_default())), text }
    }

    /// The text, to be sent in `Authorization: Bearer`; a client's id, in `X-Client-Id`.
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(super) fn id(&self) -> &TokenId {
        &self.id
    }

    pub(super) fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text.as_bytes()).into())
    }
}

/// What is kept of a secret. One round of SHA-256 is enough: there are 2^256 secrets to try, not the few that people
/// choose as passwords.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digest(pub(super) [u8; 32]);

impl PartialEq for Digest {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

fn is_base32(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| ALPHABET.contains(&b))
}

fn base32(bytes: &[u8]) -> String {
    let (mut text, mut rest, mut bits) = (String::new(), 0u32, 0u32);
    let character = |five: u32| char::from(ALPHABET.get(five as usize & 31).copied().unwrap_or(b'a'));
    for byte in bytes {
        rest = (rest << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(character(rest >> bits));
            rest &= (1 << bits) - 1;
        }
    }
    if bits > 0 {
        text.push(character(rest << (5 - bits)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foobar", "mzxw6ytboi")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(base32(&[0xff; 32]).len(), SECRET);
        assert_eq!(base32(&[0xff; 5]).len(), ID);
    }

    #[test]
    fn a_secret_reads_back_and_does_not_show_itself() {
        let env = Env::system();
        let id = TokenId::new(&env).unwrap();
        let secret = Secret::new(id.clone(), &env).unwrap();
        let text = secret.expose();
        assert_eq!(text.len(), 4 + 8 + 1 + 52);
        let read = Secret::parse(text).unwrap();
        assert_eq!((&read, read.id(), read.digest()), (&secret, &id, secret.digest()));
        assert_eq!(format!("{secret:?}"), format!("Secret(tol_{id}_...)"));
        assert_ne!(Secret::new(id, &env).unwrap().digest(), secret.digest());
    }

    #[test]
    fn a_clients_id_is_a_secret_and_no_token() {
        let client: ClientId = "ea82d570-3d7e-494a-a581-babe65dc7b3b".parse().unwrap();
        let secret = Secret::of_client(client);
        assert_eq!(secret, Secret::of_client(client));
        assert_eq!(secret.id().as_str().parse(), Ok(secret.id().clone()));
        assert!(!format!("{secret:?}").contains("ea82d570"));
        assert_eq!(Secret::parse(secret.expose()), None);
        let other = Secret::of_client("ea82d570-3d7e-494a-a581-babe65dc7b3c".parse().unwrap());
        assert!(other.id() != secret.id() && other.digest() != secret.digest());
    }

    #[test]
    fn other_texts_are_no_secrets() {
        let good = format!("tol_{}_{}", "a".repeat(8), "b".repeat(52));
        assert!(Secret::parse(&good).is_some());
        for bad in
            ["", "tol_", &good[1..], &good[..64], &format!("{good}b"), &good.to_uppercase(), &good.replace('b', "1")]
        {
            assert_eq!(Secret::parse(bad), None, "{bad}");
        }
    }
}
