//! What TaskChampion's versions and snapshots hold: operations on maps of texts, and the maps. `src/server/op.rs`,
//! `src/taskdb/apply.rs` and `src/taskdb/snapshot.rs` of its crate.

use std::collections::BTreeMap;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::{Deserialize, Serialize};
use tolstoy_tasks::taskwarrior::TaskMap;
use uuid::Uuid;

/// Bytes of a snapshot once it is inflated.
const MAX_SNAPSHOT: usize = 512 << 20;
/// How hard a snapshot is compressed: as zlib does where nothing is said.
const LEVEL: u8 = 6;

/// All tasks of a client.
pub(super) type Maps = BTreeMap<Uuid, TaskMap>;

/// One change. One that makes no sense where it is applied does nothing there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operation {
    Create {
        uuid: Uuid,
    },
    Delete {
        uuid: Uuid,
    },
    Update {
        uuid: Uuid,
        property: String,
        value: Option<String>,
        /// RFC 3339. Replicas that changed the property too keep the later value.
        timestamp: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Version {
    operations: Vec<Operation>,
}

impl Operation {
    pub(super) const fn uuid(&self) -> Uuid {
        match self {
            Self::Create { uuid } | Self::Delete { uuid } | Self::Update { uuid, .. } => *uuid,
        }
    }

    /// About as many bytes as it takes in a version.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Create { .. } | Self::Delete { .. } => 64,
            Self::Update { property, value, .. } => 160 + property.len() + value.as_ref().map_or(0, String::len),
        }
    }

    pub(super) fn apply(&self, to: &mut Maps) {
        match self {
            Self::Create { uuid } => drop(to.entry(*uuid).or_default()),
            Self::Delete { uuid } => drop(to.remove(uuid)),
            Self::Update { uuid, property, value, .. } => {
                if let Some(task) = to.get_mut(uuid) {
                    match value {
                        Some(value) => drop(task.insert(property.clone(), value.clone())),
                        None => drop(task.remove(property)),
                    }
                }
            }
        }
    }
}

/// The operations in a version's bytes; else what is wrong with them.
pub(super) fn read_version(bytes: &[u8]) -> Result<Vec<Operation>, String> {
    serde_json::from_slice::<Version>(bytes).map(|version| version.operations).map_err(|e| e.to_string())
}

pub(super) fn write_version(operations: Vec<Operation>) -> Result<Vec<u8>, String> {
    serde_json::to_vec(&Version { operations }).map_err(|e| e.to_string())
}

/// The tasks in a snapshot's bytes; else what is wrong with them.
pub(super) fn read_snapshot(bytes: &[u8]) -> Result<Maps, String> {
    let plain = decompress_to_vec_zlib_with_limit(bytes, MAX_SNAPSHOT).map_err(|e| e.to_string())?;
    serde_json::from_slice(&plain).map_err(|e| e.to_string())
}

pub(super) fn write_snapshot(tasks: &Maps) -> Result<Vec<u8>, String> {
    let plain = serde_json::to_vec(tasks).map_err(|e| e.to_string())?;
    Ok(compress_to_vec_zlib(&plain, LEVEL))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);

    // As `test_json_*` in `src/server/op.rs` of the crate have it.
    const VERSION: &str = r#"{"operations":[{"Create":{"uuid":"00000000-0000-0000-0000-000000000001"}},{"Update":{"uuid":"00000000-0000-0000-0000-000000000001","property":"description","value":"milk","timestamp":"2026-11-25T09:00:00.123456789Z"}},{"Update":{"uuid":"00000000-0000-0000-0000-000000000001","property":"due","value":null,"timestamp":"2026-11-25T09:00:00Z"}},{"Delete":{"uuid":"00000000-0000-0000-0000-000000000002"}}]}"#;

    fn applied(version: &str, to: &mut Maps) {
        read_version(version.as_bytes()).unwrap().iter().for_each(|operation| operation.apply(to));
    }

    #[test]
    fn a_version_is_written_as_it_is_read() {
        let operations = read_version(VERSION.as_bytes()).unwrap();
        assert_eq!(operations.len(), 4);
        assert_eq!(write_version(operations).unwrap(), VERSION.as_bytes());
        for bad in ["", "{}", r#"{"operations":[{"Rename":{}}]}"#] {
            assert!(read_version(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_makes_no_sense_does_nothing() {
        let mut tasks = Maps::new();
        applied(VERSION, &mut tasks);
        let milk = TaskMap::from([("description".to_owned(), "milk".to_owned())]);
        assert_eq!(tasks, Maps::from([(ONE, milk)]));
        let before = tasks.clone();
        // It is there already; another is not there.
        applied(
            r#"{"operations":[{"Create":{"uuid":"00000000-0000-0000-0000-000000000001"}},{"Update":{"uuid":"00000000-0000-0000-0000-000000000002","property":"a","value":"b","timestamp":"x"}}]}"#,
            &mut tasks,
        );
        assert_eq!(tasks, before);
    }

    #[test]
    fn a_snapshot_comes_back() {
        let mut tasks = Maps::new();
        applied(VERSION, &mut tasks);
        assert_eq!(read_snapshot(&write_snapshot(&tasks).unwrap()).unwrap(), tasks);
        for bad in [&b""[..], b"{}", &compress_to_vec_zlib(b"[]", 1)] {
            assert!(read_snapshot(bad).is_err());
        }
    }
}
