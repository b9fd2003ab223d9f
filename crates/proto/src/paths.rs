//! Where things are, below a hub's base address.

use crate::ids::{ChunkId, LogId, TrnId};

/// Tells whether the hub is well.
pub const HEALTHZ: &str = "/healthz";

/// GET: whether the hub can do its work.
pub const READYZ: &str = "/readyz";

/// GET: what the hub counts of its work.
pub const METRICS: &str = "/metrics";

/// GET: what the status page shows.
pub const STATUS: &str = "/1/status";

/// GET: what is written about all of these, in OpenAPI 3.1.
pub const OPENAPI: &str = "/openapi.json";

/// GET: the log's state. DELETE: ends its generation.
pub fn log(log: LogId) -> String {
    format!("/1/logs/{log}")
}

/// POST: push.
pub fn push(log: LogId) -> String {
    format!("/1/logs/{log}/push")
}

/// GET: pull, from the first of these that is committed there.
pub fn pull(log: LogId, from: &[TrnId]) -> String {
    let mut path = format!("/1/logs/{log}/pull");
    for (i, id) in from.iter().enumerate() {
        path.push_str(if i == 0 { "?from=" } else { "," });
        path.push_str(&id.to_string());
    }
    path
}

/// GET: pull as [`pull`] says; where the stream begins at the root it may begin with the newest snapshot.
pub fn pull_with_snapshot(log: LogId, from: &[TrnId]) -> String {
    let path = pull(log, from);
    format!("{path}{}snapshot=1", if from.is_empty() { '?' } else { '&' })
}

/// GET: the snapshots that the hub has of the log.
pub fn snapshots(log: LogId) -> String {
    format!("/1/logs/{log}/snapshots")
}

/// GET, PUT: the snapshot that stands for the log up to this transaction.
pub fn snapshot(log: LogId, trn: TrnId) -> String {
    format!("/1/logs/{log}/snapshots/{trn}")
}

/// GET: the hashes of the log's tasks.
pub fn hashes(log: LogId) -> String {
    format!("/1/logs/{log}/hashes")
}

/// GET: nodes of the tree of these hashes, by their prefixes with commas between them.
pub fn hashes_below(log: LogId, prefixes: &str) -> String {
    format!("/1/logs/{log}/hashes?prefix={prefixes}")
}

/// POST: exchanges a task with this id.
pub fn task(log: LogId, id: &str) -> String {
    format!("/1/logs/{log}/task/{id}")
}

/// POST: exchanges many tasks.
pub fn tasks(log: LogId) -> String {
    format!("/1/logs/{log}/tasks")
}

/// GET: the hashes of the tasks of the log that the asker's token is for.
pub const OWN_HASHES: &str = "/hashes";

/// POST: exchanges a task of that log.
pub const OWN_TASK: &str = "/task/{id}";

/// GET, DELETE: the log in the 0.1 API.
pub fn v0_base(log: LogId) -> String {
    format!("/0.1/{log}")
}

/// GET, PUT: HEAD in the 0.1 API.
pub fn v0_head(log: LogId) -> String {
    format!("/0.1/{log}/head")
}

/// GET: committed transactions after `from` in the 0.1 API.
pub fn v0_transactions(log: LogId, from: TrnId) -> String {
    format!("/0.1/{log}/transactions?from={from}")
}

/// GET, PUT: a transaction in the 0.1 API.
pub fn v0_transaction(log: LogId, trn: TrnId) -> String {
    format!("/0.1/{log}/transactions/{trn}")
}

/// GET, PUT: a chunk in the 0.1 API.
pub fn v0_chunk(log: LogId, chunk: &ChunkId) -> String {
    format!("/0.1/{log}/chunks/{chunk}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_lists_its_candidates() {
        let log: LogId = "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10".parse().unwrap();
        assert_eq!(pull(log, &[]), "/1/logs/3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10/pull");
        assert_eq!(
            pull(log, &[TrnId(log.0), TrnId::ROOT]),
            "/1/logs/3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10/pull\
             ?from=3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10,00000000-0000-0000-0000-000000000000"
        );
        let with_snapshot = pull_with_snapshot(log, &[]);
        assert_eq!(with_snapshot, "/1/logs/3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10/pull?snapshot=1");
        let with_snapshot = pull_with_snapshot(log, &[TrnId::ROOT]);
        assert!(with_snapshot.ends_with("/pull?from=00000000-0000-0000-0000-000000000000&snapshot=1"));
    }
}
