//! How TaskChampion's clients encrypt what a hub keeps for them: `src/server/encryption.rs` of their crate.
//!
//! ```text
//! 0        1             13
//! +--------+-------------+----------------------+
//! | 1      | nonce       | ChaCha20-Poly1305    |
//! +--------+-------------+----------------------+
//! key = PBKDF2-HMAC-SHA256(secret, the client's id, 600,000 rounds)
//! additional data = 1, the version's id
//! ```

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use sha2::Sha256;
use tolstoy_env::Env;
use tolstoy_proto::TrnId;
use tolstoy_proto::taskchampion::ClientId;
use zeroize::Zeroizing;

const ROUNDS: u32 = 600_000;
const ENVELOPE: u8 = 1;
/// Tasks, among the applications that might use this.
const TASKS: u8 = 1;
const NONCE: usize = 12;

/// The secret that all replicas of a client share: Taskwarrior's `sync.encryption_secret`.
#[derive(Clone)]
pub struct EncryptionSecret(Zeroizing<Vec<u8>>);

impl EncryptionSecret {
    /// The secret in a text, without the end of its line. `None` where nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim_end_matches(['\n', '\r']);
        (!text.is_empty()).then(|| Self(Zeroizing::new(text.as_bytes().to_vec())))
    }
}

impl fmt::Debug for EncryptionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionSecret(..)")
    }
}

/// What was to be opened is of another secret, client or version, or is damaged: nobody can tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Encrypts and decrypts with one key.
pub(super) struct Sealer(ChaCha20Poly1305);

impl Sealer {
    /// Takes some tenths of a second.
    pub(super) fn new(client: ClientId, secret: &EncryptionSecret) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(&secret.0, client.as_bytes(), ROUNDS, &mut *key);
        Self(ChaCha20Poly1305::new(&Key::from(*key)))
    }

    /// Encrypts; says why where it cannot. `version`: of a history segment its parent, of a snapshot the version that it stands for.
    pub(super) fn seal(&self, env: &Env, version: TrnId, plain: &[u8]) -> Result<Vec<u8>, String> {
        let nonce: [u8; NONCE] = env.bytes().map_err(|e| e.to_string())?;
        let payload = Payload { msg: plain, aad: &about(version) };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).map_err(|_| "it is too long".to_owned())?;
        let mut envelope = Vec::with_capacity(1 + NONCE + sealed.len());
        envelope.push(ENVELOPE);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        Ok(envelope)
    }

    pub(super) fn open(&self, version: TrnId, envelope: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let Some((&ENVELOPE, rest)) = envelope.split_first() else { return Err(Unreadable) };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable)?;
        let payload = Payload { msg: sealed, aad: &about(version) };
        self.0.decrypt(&Nonce::from(*nonce), payload).map_err(|_| Unreadable)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

fn about(version: TrnId) -> [u8; 17] {
    let mut about = [TASKS; 17];
    let (_, id) = about.split_at_mut(1);
    id.copy_from_slice(version.as_bytes());
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    // `src/server/test-*.data` of the crate taskchampion 3.1.0, which its `generate-test-data.py` made with another library.
    const GOOD: &[u8] = include_bytes!("../../tests/fixtures/taskchampion/good.data");
    const BAD: [(&str, &[u8]); 6] = [
        ("another version", include_bytes!("../../tests/fixtures/taskchampion/bad-version-id.data")),
        ("another client", include_bytes!("../../tests/fixtures/taskchampion/bad-client-id.data")),
        ("another secret", include_bytes!("../../tests/fixtures/taskchampion/bad-secret.data")),
        ("another envelope", include_bytes!("../../tests/fixtures/taskchampion/bad-version.data")),
        ("another application", include_bytes!("../../tests/fixtures/taskchampion/bad-app-id.data")),
        ("cut off", &[1, 2, 3]),
    ];

    fn sealer(secret: &str) -> Sealer {
        let client = "0666d464-418a-4a08-ad53-6f15c78270cd".parse().unwrap();
        Sealer::new(client, &EncryptionSecret::new(secret).unwrap())
    }

    #[test]
    fn what_another_implementation_sealed_opens_and_nothing_else() {
        let (sealer, version) =
            (sealer("b4a4e6b7b811eda1dc1a2693ded\n"), "b0517957-f912-4d49-8330-f612e73030c4".parse().unwrap());
        assert_eq!(sealer.open(version, GOOD).unwrap(), b"SUCCESS");
        for (what, bad) in BAD {
            assert_eq!(sealer.open(version, bad), Err(Unreadable), "{what}");
        }
        assert_eq!(sealer.open(TrnId::ROOT, GOOD), Err(Unreadable));
    }

    #[test]
    fn what_is_sealed_opens_and_is_sealed_anew_each_time() {
        let (one, other, env) = (sealer("one"), sealer("other"), Env::repeatable(1));
        let version = "b0517957-f912-4d49-8330-f612e73030c4".parse().unwrap();
        let (a, b) = (one.seal(&env, version, b"plain").unwrap(), one.seal(&env, version, b"plain").unwrap());
        assert_ne!(a, b);
        assert_eq!(
            (one.open(version, &a).unwrap(), one.open(version, &b).unwrap()),
            (b"plain".into(), b"plain".into())
        );
        assert_eq!(other.open(version, &a), Err(Unreadable));
        assert_eq!(format!("{:?}", EncryptionSecret::new("one")), "Some(EncryptionSecret(..))");
        assert!(EncryptionSecret::new("\n").is_none());
    }
}
