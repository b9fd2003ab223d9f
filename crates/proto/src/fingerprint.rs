//! What people compare to know a certificate again.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate in DER. Its text is that of `openssl x509 -fingerprint -sha256`: 32 pairs of uppercase hex
/// digits with colons between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is the 64 hex digits of a certificate's SHA-256, with or without colons, as the hub prints it")]
pub struct BadFingerprint;

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    /// Reads 64 hex digits of either case, in one piece or in pairs with colons.
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let text = text.trim();
        let mut bytes = [0; 32];
        let mut pairs: Box<dyn Iterator<Item = &str>> = if text.contains(':') {
            Box::new(text.split(':'))
        } else {
            Box::new((0..text.len().div_ceil(2)).map(|i| text.get(2 * i..2 * i + 2).unwrap_or("")))
        };
        for byte in &mut bytes {
            let pair = pairs.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = pair.and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or(BadFingerprint)?;
        }
        if pairs.next().is_some() { Err(BadFingerprint) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_that_of_openssl_and_reads_back() {
        let empty = Fingerprint::of(b"");
        let text = empty.to_string();
        assert!(text.starts_with("E3:B0:C4:42:98:FC:1C:14") && text.len() == 95, "{text}");
        assert_eq!(text.parse(), Ok(empty));
        assert_eq!(text.to_lowercase().parse(), Ok(empty));
        assert_eq!(format!(" {}\n", text.replace(':', "")).parse(), Ok(empty));
    }

    #[test]
    fn other_texts_are_none() {
        let good = Fingerprint::of(b"").to_string();
        let bare = good.replace(':', "");
        for bad in [
            "",
            ":",
            "x",
            &good[3..],
            &format!("{good}:00"),
            &format!("{bare}0"),
            &format!("{bare}00"),
            &bare[1..],
            &format!("+1{}", &bare[2..]),
            &good.replace(':', "-"),
            &"ü".repeat(32),
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(BadFingerprint), "{bad:?}");
        }
    }
}
