//! TaskChampion's sync protocol, as far as a hub and those who talk to it share it: names, and which logs are its.
//!
//! Such a log belongs to other people's clients, and its id says so: it derives from the id of the client, one way, and all
//! ids that derive so have one form. So every hub and every program can tell such a log from all others, and no id of a client,
//! which is a password on this surface, can be seen in a list, a path or a backup.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{BadId, LogId, TrnId, parse_uuid};

/// The header field with the id of the client.
pub const CLIENT_ID: &str = "x-client-id";

/// The header field with the id of a version.
pub const VERSION_ID: &str = "x-version-id";

/// The header field with the id of the version before it, or with the newest where another was expected.
pub const PARENT_VERSION_ID: &str = "x-parent-version-id";

/// The header field that asks for a snapshot: `urgency=low` or `urgency=high`.
pub const SNAPSHOT_REQUEST: &str = "x-snapshot-request";

/// The media type of what a version holds.
pub const HISTORY_SEGMENT: &str = "application/vnd.taskchampion.history-segment";

/// The media type of a snapshot.
pub const SNAPSHOT: &str = "application/vnd.taskchampion.snapshot";

/// Bytes of a history segment, and of a snapshot.
pub const MAX_BODY: usize = 100 << 20;

/// What the ids of its logs begin with.
const MARK: [u8; 4] = *b"task";

/// The id of a client: of all replicas that share their tasks. Whoever knows it may read and write their log, as long as
/// nothing else is asked for: so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientId(Uuid);

impl ClientId {
    /// The client of this id.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Its text: a UUID of 36 lowercase characters.
    pub fn expose(&self) -> String {
        self.0.hyphenated().to_string()
    }

    /// Its bytes, which its replicas salt their key with.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The log that keeps what its replicas share.
    pub fn log(&self) -> LogId {
        let digest = Sha256::new().chain_update(b"tolstoy taskchampion 1\n").chain_update(self.0.as_bytes()).finalize();
        let mut bytes = [0; 16];
        for (byte, from) in bytes.iter_mut().zip(MARK.into_iter().chain(digest)) {
            *byte = from;
        }
        LogId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId(of {})", self.log())
    }
}

impl FromStr for ClientId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        parse_uuid(text).map(Self)
    }
}

impl LogId {
    /// Whether it is a log of TaskChampion's, which nobody else writes to: version 8, and the mark at its beginning. Other
    /// logs have random ids, or whatever their clients chose.
    pub fn is_taskchampion(&self) -> bool {
        self.0.get_version_num() == 8 && self.as_bytes().starts_with(&MARK)
    }
}

/// POST: adds a version after this one.
pub fn add_version(parent: TrnId) -> String {
    format!("/v1/client/add-version/{parent}")
}

/// GET: the version after this one.
pub fn get_child_version(parent: TrnId) -> String {
    format!("/v1/client/get-child-version/{parent}")
}

/// POST: a snapshot that stands for all versions up to this one.
pub fn add_snapshot(version: TrnId) -> String {
    format!("/v1/client/add-snapshot/{version}")
}

/// GET: the newest snapshot.
pub const GET_SNAPSHOT: &str = "/v1/client/snapshot";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_log_is_one_for_ever_and_shows_what_it_is_but_not_whose() {
        let client: ClientId = "ea82d570-3d7e-494a-a581-babe65dc7b3b".parse().unwrap();
        let log = client.log();
        assert_eq!(log.to_string(), "7461736b-e8d4-8891-b45a-cef781242858");
        assert!(log.is_taskchampion());
        assert!(!format!("{client:?}").contains("ea82d570"));
        let other: ClientId = "ea82d570-3d7e-494a-a581-babe65dc7b3c".parse().unwrap();
        assert!(other.log().is_taskchampion() && other.log() != log);
    }

    #[test]
    fn other_logs_are_not_its() {
        for text in [
            "00000000-0000-0000-0000-000000000000",
            "ea82d570-3d7e-494a-a581-babe65dc7b3b",
            "7461736b-3d7e-494a-a581-babe65dc7b3b",
            "7461736c-3d7e-894a-a581-babe65dc7b3b",
        ] {
            assert!(!text.parse::<LogId>().unwrap().is_taskchampion(), "{text}");
        }
    }

    #[test]
    fn an_id_has_one_text() {
        for bad in ["", "x", "EA82D570-3D7E-494A-A581-BABE65DC7B3B", "ea82d5703d7e494aa581babe65dc7b3b"] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad}");
        }
    }
}
