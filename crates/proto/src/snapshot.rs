//! Snapshots: opaque blobs that stand for a log up to a transaction, and when a hub wants one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::digest::{BadDigest, ChainDigest};
use crate::ids::{Seq, TrnId, hex32, parse_hex32};
use crate::state::LogState;

/// The SHA-256 of a snapshot's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobDigest(pub [u8; 32]);

impl BlobDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// As the value of a `Repr-Digest` field (RFC 9530): `sha-256=:base64:`.
    pub fn to_field(&self) -> String {
        format!("sha-256=:{}:", STANDARD.encode(self.0))
    }

    /// From the value of a `Repr-Digest` field; none where it names no SHA-256, or a malformed one.
    pub fn from_field(field: &str) -> Option<Self> {
        let mut members = field.split(',').map(str::trim);
        let text = members.find_map(|member| member.strip_prefix("sha-256=:")?.strip_suffix(':'))?;
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&hex32(&self.0)).unwrap_or_default())
    }
}

impl fmt::Debug for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobDigest({self})")
    }
}

impl FromStr for BlobDigest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        parse_hex32(text.as_bytes()).map(Self).ok_or(BadDigest)
    }
}

impl Serialize for BlobDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a snapshot is: the frame that its pieces follow, and its entry in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The committed transaction that it stands for.
    pub id: TrnId,
    /// Its place.
    pub seq: Seq,
    /// The chain digest at it.
    pub chain: ChainDigest,
    /// The SHA-256 of the snapshot's bytes.
    pub digest: BlobDigest,
    /// How many bytes it has.
    pub bytes: u64,
}

/// How much a snapshot is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// It would be good to have: make one when there is time and a good link.
    Low,
    /// New devices have a long way without it: make one soon.
    High,
}

/// Says that a snapshot is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotWanted {
    /// How much.
    pub urgency: Urgency,
    /// Bytes of chunks and transactions that came since the newest snapshot, about.
    pub bytes: u64,
    /// Transactions since the newest snapshot.
    pub transactions: u64,
}

/// What a push is answered: the state, and whether a snapshot of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The log's state.
    #[serde(flatten)]
    pub state: LogState,
    /// None where no snapshot is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotWanted>,
}

/// What an upload of a snapshot, or a request for the list of them, is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshots {
    /// The log's state.
    #[serde(flatten)]
    pub state: LogState,
    /// The snapshots that the hub has, newest first.
    pub snapshots: Vec<Snapshot>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_a_text_and_a_field() {
        let digest = BlobDigest::of(b"{\"hello\": \"world\"}\n");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        // The example of RFC 9530.
        let field = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(digest.to_field(), field);
        for good in [field.to_owned(), format!("unixsum=:AAA=:, {field}"), format!("{field}, sha-512=:AAAA:")] {
            assert_eq!(BlobDigest::from_field(&good), Some(digest), "{good}");
        }
        for bad in ["", "sha-256", "sha-256=", "sha-256=::", "sha-256=:AAAA:", "sha-512=:AAAA:", &field[..40]] {
            assert_eq!(BlobDigest::from_field(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_answer_to_a_push_is_a_state_with_more() {
        let wanted = SnapshotWanted { urgency: Urgency::High, bytes: 5, transactions: 2 };
        let pushed = Pushed { state: LogState::EMPTY, snapshot: Some(wanted) };
        let text = serde_json::to_string(&pushed).unwrap();
        assert!(text.ends_with(r#""snapshot":{"urgency":"high","bytes":5,"transactions":2}}"#), "{text}");
        assert_eq!(serde_json::from_str::<LogState>(&text).unwrap(), LogState::EMPTY);
        assert_eq!(serde_json::from_str::<Pushed>(&text).unwrap(), pushed);
        let plain = serde_json::to_string(&LogState::EMPTY).unwrap();
        assert_eq!(serde_json::from_str::<Pushed>(&plain).unwrap(), Pushed { state: LogState::EMPTY, snapshot: None });
    }
}
