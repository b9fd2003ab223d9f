//! The rules of TaskChampion's sync protocol: a client's log is one chain of versions, each the child of the one before.
//!
//! A version is a transaction, what it holds are its chunks. Its id is minted here, and says when (UUIDv7), as the id of the
//! log's generation does: so how old a snapshot is can be told without keeping it.
//!
//! > A log may begin above a base: its first version has a parent that is not here. That parent is then the log's first
//! > transaction, the only one without chunks.

use bytes::Bytes;
use tolstoy_edn::Instant;
use tolstoy_env::{Env, NoEntropy};
use tolstoy_proto::taskchampion::ClientId;
use tolstoy_proto::{ChunkId, Generation, Quota, Seq, Snapshot as Told, TrnId, Urgency};
use uuid::Uuid;

use super::segment::Segment;
use super::snapshots::{SnapshotRoom, newest, told};
use super::{Answer, Service, VersionThreshold, View};
use crate::storage::{ChunkSource, Committed, Life, SnapshotId, StorageError, Tip, WriteTxn, weight};

const MICROS_OF_A_DAY: i64 = 86_400_000_000;

/// How adding a version ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddVersion {
    /// It is the newest: its id, and whether a snapshot is wanted.
    Added(TrnId, Option<Urgency>),
    /// The newest is this one, and not the parent. Nothing was changed.
    Conflict(TrnId),
    /// The log would hold more than it may. Nothing was changed.
    Quota(Quota),
}

/// What comes after a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildVersion {
    /// This.
    Found(Version),
    /// Nothing yet: a version may be added there.
    None,
    /// Nothing ever: the version is not here, and others are.
    Gone,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its id.
    pub id: TrnId,
    /// That of the one before it.
    pub parent: TrnId,
    /// What it holds.
    pub segment: VersionBytes,
}

/// What a version holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionBytes {
    /// All of it.
    Whole(Bytes),
    /// Chunks, to be read one after the other: so many bytes in all.
    Chunks(Vec<ChunkId>, u64),
}

/// What is to become of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotPlace {
    /// It is to be kept, if there is room.
    Wanted(SnapshotRoom),
    /// One of this version or a newer one is kept: it is not needed.
    Late,
    /// There is no such version.
    Nowhere,
}

/// A new UUID that says when it was made: version 7.
pub(super) fn stamped(env: &Env) -> Result<Uuid, NoEntropy> {
    let millis = env.now().as_micros().max(0).unsigned_abs() / 1000;
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &env.bytes()?).into_uuid())
}

/// When a UUID of version 7 was made; none for others.
fn made(id: Uuid) -> Option<Instant> {
    let [a, b, c, d, e, f, ..] = *id.as_bytes();
    let millis = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    (id.get_version_num() == 7).then(|| Instant::from_micros(millis.saturating_mul(1000).cast_signed()))
}

impl Service {
    /// Adds a version after `parent`. Where there are no versions yet, any parent will do.
    pub fn add_version(&self, client: ClientId, parent: TrnId, mut segment: Segment) -> Answer<AddVersion> {
        let (log, service) = (client.log(), self.clone());
        self.change(log, move |txn, moved| {
            let view = View::of(txn, log)?;
            let is_first = view.tip.id == TrnId::ROOT;
            if !is_first && view.tip.id != parent {
                return Ok(AddVersion::Conflict(view.tip.id));
            }
            let base = (is_first && parent != TrnId::ROOT).then_some(parent);
            let more = base.map_or(0, |_| weight(&[])) + segment.weight();
            if let Some(quota) = service.over_quota(txn, &view, more, 1 + u64::from(base.is_some()))? {
                return Ok(AddVersion::Quota(quota));
            }
            let env = &service.shared.env;
            let id = TrnId(stamped(env).map_err(|error| StorageError::Failed(error.to_string()))?);
            let (life, generation) = view.living(txn, env)?;
            let tip = match base {
                Some(base) => append(txn, life, view.tip, base, Vec::new())?,
                None => view.tip,
            };
            segment.each(|id, bytes| txn.put_chunk(life, id, bytes))?;
            let tip = append(txn, life, tip, id, segment.chunks.clone())?;
            *moved = true;
            service.stamp(txn, life)?;
            // Without it nobody who is new can come to what lies below the base.
            let wanted = if base.is_some() {
                Some(Urgency::High)
            } else {
                service.wanted_snapshot_of_versions(txn, life, generation, tip.seq)?
            };
            Ok(AddVersion::Added(id, wanted))
        })
    }

    /// The version after this one.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn child_version(&self, client: ClientId, parent: TrnId) -> Result<ChildVersion, StorageError> {
        self.read(|txn| {
            let view = View::of(txn, client.log())?;
            let Some(life) = view.life().filter(|_| view.tip.id != TrnId::ROOT && view.tip.id != parent) else {
                return Ok(ChildVersion::None);
            };
            let after = match parent {
                TrnId::ROOT => Some(Seq::ROOT),
                _ => txn.committed(life, parent)?.map(|parent| parent.seq),
            };
            let Some(after) = after else { return Ok(ChildVersion::Gone) };
            let mut found = ChildVersion::Gone;
            txn.walk(life, after, &mut |trn, chunks| {
                // Without chunks it is the base.
                if !trn.chunks.is_empty() {
                    let segment = held(trn, chunks)?;
                    found = ChildVersion::Found(Version { id: trn.id, parent: trn.parent, segment });
                }
                Ok(false)
            })?;
            Ok(found)
        })
    }

    /// What is to become of a snapshot of this version.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn snapshot_place(&self, client: ClientId, version: TrnId) -> Result<SnapshotPlace, StorageError> {
        self.read(|txn| {
            let view = View::of(txn, client.log())?;
            let Some(life) = view.life() else { return Ok(SnapshotPlace::Nowhere) };
            let committed = txn.committed(life, version)?.filter(|found| !found.chunks.is_empty());
            let Some(committed) = committed else { return Ok(SnapshotPlace::Nowhere) };
            if txn.usage(life)?.snapshot >= committed.seq {
                return Ok(SnapshotPlace::Late);
            }
            Ok(SnapshotPlace::Wanted(self.room(txn, &view, life, committed.seq)?))
        })
    }

    /// The newest snapshot.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn newest_snapshot(&self, client: ClientId) -> Result<Option<(SnapshotId, Told)>, StorageError> {
        self.read(|txn| View::of(txn, client.log())?.life().map_or(Ok(None), |life| newest(txn, life)))
    }

    /// Whether enough passed since the newest snapshot, or since the log began, that another is wanted.
    fn wanted_snapshot_of_versions(
        &self,
        txn: &dyn WriteTxn,
        life: Life,
        generation: Generation,
        newest: Seq,
    ) -> Result<Option<Urgency>, StorageError> {
        let snapshot = txn.usage(life)?.snapshot;
        let since = match snapshot {
            Seq::ROOT => made(generation.id),
            _ => txn.snapshots(life)?.first().and_then(|(_, snapshot)| made(told(snapshot).id.0)),
        };
        let age = since.map_or(0, |since| self.now().as_micros().saturating_sub(since.as_micros()).max(0));
        let days = (age / MICROS_OF_A_DAY).unsigned_abs();
        let versions = newest.0.saturating_sub(snapshot.0);
        Ok(self.policy().snapshot_versions.urgency(versions, days))
    }
}

impl VersionThreshold {
    fn urgency(&self, versions: u64, days: u64) -> Option<Urgency> {
        let reached = |halves: u64| {
            let passed = |value: u64, limit: u64| value.saturating_mul(2) >= limit.saturating_mul(halves);
            passed(versions, self.versions) || passed(days, self.days)
        };
        match (reached(3), reached(2)) {
            (true, _) => Some(Urgency::High),
            (false, true) => Some(Urgency::Low),
            (false, false) => None,
        }
    }
}

fn append(txn: &mut dyn WriteTxn, life: Life, tip: Tip, id: TrnId, chunks: Vec<ChunkId>) -> Result<Tip, StorageError> {
    let chain = tip.chain.extend(id, &chunks);
    let committed = Committed { id, seq: tip.seq.next(), parent: tip.id, chunks, chain };
    txn.append(life, &committed)?;
    Ok(committed.tip())
}

/// What a version holds: its bytes where they are one chunk.
fn held(trn: &Committed, chunks: &dyn ChunkSource) -> Result<VersionBytes, StorageError> {
    if trn.chunks.len() == 1 {
        return Ok(VersionBytes::Whole(Bytes::copy_from_slice(&chunks.bytes(0)?)));
    }
    let lengths = (0..trn.chunks.len()).map(|index| chunks.length(index));
    let bytes = lengths.sum::<Result<usize, StorageError>>()?;
    Ok(VersionBytes::Chunks(trn.chunks.clone(), bytes as u64))
}

#[cfg(test)]
mod tests;
