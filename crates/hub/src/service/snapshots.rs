//! The rules of snapshots: the newest is kept, and the one before it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tolstoy_proto::{BlobDigest, LogId, LogState, Quota, QuotaKind, Seq, Snapshot as Told, Snapshots, TrnId};

use super::aside::{Aside, lost};
use super::{Answer, Service, View};
use crate::storage::{Life, PIECE, ReadTxn, Snapshot, SnapshotId, StorageError, Tip, WriteTxn};

/// How many snapshots of a log are kept: who reads the older one is not cut off by a newer.
const KEPT: usize = 2;

/// Pieces that one write job puts: a few milliseconds' worth.
const JOB: u64 = 4;

/// How an upload of a snapshot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// It is kept, now or since an earlier time, or newer ones are: those.
    Done(Snapshots),
    /// The transaction is not committed in the log, or the log was deleted meanwhile: its state.
    UnknownTransaction(LogState),
    /// The log would hold more than it may: the state, and which limit that is.
    Quota(LogState, Quota),
}

/// What a log has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRoom {
    /// For any snapshot.
    Any,
    /// For one of at most so many bytes: the log's state and its quota say why.
    AtMost(u64, LogState, Quota),
    /// For none: the transaction is not committed in the log, whose state this is.
    UnknownTransaction(LogState),
}

impl SnapshotRoom {
    /// Why a snapshot of so many bytes has no room, if it has none.
    pub fn lacks(&self, bytes: u64) -> Option<SnapshotOutcome> {
        match *self {
            Self::UnknownTransaction(state) => Some(SnapshotOutcome::UnknownTransaction(state)),
            Self::AtMost(most, state, quota) if bytes > most => Some(SnapshotOutcome::Quota(state, quota)),
            Self::AtMost(..) | Self::Any => None,
        }
    }
}

/// Snapshots whose upload failed halfway. The collector drops them: the storage may be too busy, or full, to do so at that
/// moment. After a restart the storage drops all that are not whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Halves(Arc<Mutex<Vec<(Life, SnapshotId)>>>);

impl Halves {
    fn lock(&self) -> MutexGuard<'_, Vec<(Life, SnapshotId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, life: Life, id: SnapshotId) {
        self.lock().push((life, id));
    }

    /// Some of them.
    pub(super) fn some(&self, limit: usize) -> Vec<(Life, SnapshotId)> {
        self.lock().iter().take(limit).copied().collect()
    }

    /// These are dropped.
    pub(super) fn remove(&self, dropped: &[(Life, SnapshotId)]) {
        self.lock().retain(|half| !dropped.contains(half));
    }
}

/// A snapshot that arrives: put aside, and hashed.
#[derive(Debug)]
pub struct SnapshotUpload {
    aside: Aside,
    hash: Sha256,
    bytes: u64,
}

impl SnapshotUpload {
    /// Takes a snapshot into a file without a name in `directory`; without a directory it stays in memory.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn new(directory: Option<&Path>) -> io::Result<Self> {
        Ok(Self { aside: Aside::new(directory)?, hash: Sha256::new(), bytes: 0 })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        self.aside.put(piece)
    }

    /// How many bytes came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of what came so far.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest(self.hash.clone().finalize().into())
    }
}

pub(super) fn told(snapshot: &Snapshot) -> Told {
    let Snapshot { tip, digest, bytes } = *snapshot;
    Told { id: tip.id, seq: tip.seq, chain: tip.chain, digest: BlobDigest(digest), bytes }
}

/// The log's state and its snapshots.
fn listed<T: ReadTxn + ?Sized>(txn: &T, view: &View) -> Result<Snapshots, StorageError> {
    let found = view.life().map_or(Ok(Vec::new()), |life| txn.snapshots(life))?;
    Ok(Snapshots { state: view.state(), snapshots: found.iter().map(|(_, snapshot)| told(snapshot)).collect() })
}

/// What is to become of a snapshot.
enum Place {
    /// It is to be kept, in this life, at this transaction, if there is room.
    New(Life, Tip),
    /// It is here, or newer ones are.
    Known,
    /// The transaction is not committed.
    Nowhere,
}

impl Place {
    fn of<T: ReadTxn + ?Sized>(txn: &T, view: &View, trn: TrnId, digest: [u8; 32]) -> Result<Self, StorageError> {
        let Some(life) = view.life() else { return Ok(Self::Nowhere) };
        let Some(committed) = txn.committed(life, trn)? else { return Ok(Self::Nowhere) };
        let (kept, tip) = (txn.snapshots(life)?, committed.tip());
        let is_here = kept.iter().any(|(_, here)| here.tip.id == trn && here.digest == digest);
        Ok(if is_here || displaced(&kept, tip.seq).is_none() { Self::Known } else { Self::New(life, tip) })
    }
}

/// Those of a log's snapshots, newest first, that go when one at this place comes; none where it is not to be kept itself.
fn displaced(kept: &[(SnapshotId, Snapshot)], seq: Seq) -> Option<Vec<(SnapshotId, Snapshot)>> {
    // Of one transaction, the last upload counts.
    let newer = kept.iter().filter(|(_, here)| here.seq() > seq).count();
    let older = kept.iter().filter(|(_, here)| here.seq() < seq);
    let same = kept.iter().filter(|(_, here)| here.seq() == seq);
    (newer < KEPT).then(|| same.chain(older.skip(KEPT - newer - 1)).copied().collect())
}

/// What the first job of an upload decides.
enum Begun {
    Arriving(Life, SnapshotId, Snapshot),
    Ended(SnapshotOutcome),
}

impl Service {
    /// The log's snapshots, newest first, and its state.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn snapshots(&self, log: LogId) -> Result<Snapshots, StorageError> {
        self.read(|txn| listed(txn, &View::of(txn, log)?))
    }

    /// How long a snapshot with this digest may be that stands for the log up to this transaction: what is too long is
    /// refused before its bytes are taken. It is weighed again when it is kept.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn snapshot_room(&self, log: LogId, trn: TrnId, digest: BlobDigest) -> Result<SnapshotRoom, StorageError> {
        self.read(|txn| {
            let view = View::of(txn, log)?;
            match Place::of(txn, &view, trn, digest.0)? {
                Place::Nowhere => Ok(SnapshotRoom::UnknownTransaction(view.state())),
                Place::Known => Ok(SnapshotRoom::Any),
                Place::New(life, tip) => self.room(txn, &view, life, tip.seq),
            }
        })
    }

    /// The room for a snapshot at this place, beside all that stays when it comes.
    pub(super) fn room<T: ReadTxn + ?Sized>(
        &self,
        txn: &T,
        view: &View,
        life: Life,
        seq: Seq,
    ) -> Result<SnapshotRoom, StorageError> {
        let Some(limit) = self.policy().quota_bytes else { return Ok(SnapshotRoom::Any) };
        let used = txn.usage(life)?.bytes;
        let goes = displaced(&txn.snapshots(life)?, seq).unwrap_or_default();
        let goes = goes.iter().map(|(_, snapshot)| snapshot.bytes).sum();
        let most = limit.saturating_sub(used.saturating_sub(goes));
        Ok(SnapshotRoom::AtMost(most, view.state(), Quota { of: QuotaKind::Bytes, limit, used }))
    }

    /// Keeps a snapshot that stands for the log up to a committed transaction. Blocks: the bytes go into the storage in
    /// many short jobs.
    ///
    /// One that is here already stays; another of the same transaction takes its place; one that is older than all that
    /// are kept is let go, since nobody would be given it.
    ///
    /// # Errors
    /// Where the storage failed, or what was put aside cannot be read. Nothing is seen of the snapshot then, and the
    /// collector removes what there is of it.
    pub fn keep_snapshot(
        &self,
        log: LogId,
        trn: TrnId,
        mut upload: SnapshotUpload,
    ) -> Result<SnapshotOutcome, StorageError> {
        let (digest, bytes) = (upload.digest().0, upload.bytes);
        let mut rest = upload.aside.read().map_err(aside)?;
        let service = self.clone();
        let begun = self.write(move |txn| begin(txn, &service, log, trn, digest, bytes)).wait()?;
        let (life, id, snapshot) = match begun {
            Begun::Arriving(life, id, snapshot) => (life, id, snapshot),
            Begun::Ended(outcome) => return Ok(outcome),
        };
        let ended = self.move_in(id, &mut rest).and_then(|()| self.end_snapshot(log, life, id, snapshot).wait());
        if ended.is_err() {
            self.shared.halves.add(life, id);
        }
        ended
    }

    /// Puts all pieces.
    fn move_in(&self, id: SnapshotId, rest: &mut dyn Read) -> Result<(), StorageError> {
        let mut place = 0;
        loop {
            let mut pieces = Vec::new();
            while (pieces.len() as u64) < JOB {
                let mut piece = Vec::with_capacity(PIECE);
                (&mut *rest).take(PIECE as u64).read_to_end(&mut piece).map_err(aside)?;
                if piece.is_empty() {
                    break;
                }
                pieces.push(Bytes::from(piece));
            }
            let count = pieces.len() as u64;
            if count == 0 {
                return Ok(());
            }
            self.write(move |txn| {
                (place..).zip(&pieces).try_for_each(|(place, piece)| txn.put_piece(id, place, piece))
            })
            .wait()?;
            place += count;
        }
    }

    /// The snapshot is there as a whole: it takes the place of others.
    fn end_snapshot(&self, log: LogId, life: Life, id: SnapshotId, snapshot: Snapshot) -> Answer<SnapshotOutcome> {
        let service = self.clone();
        self.write(move |txn| {
            let view = View::of(txn, log)?;
            if view.life() != Some(life) {
                // It goes with the life that it is of.
                return Ok(SnapshotOutcome::UnknownTransaction(view.state()));
            }
            let displaced = displaced(&txn.snapshots(life)?, snapshot.seq());
            // Others may have written since it was weighed, or kept newer ones.
            let lacks = service.room(txn, &view, life, snapshot.seq())?.lacks(snapshot.bytes);
            let (Some(displaced), None) = (displaced, &lacks) else {
                txn.drop_snapshot(life, id)?;
                return lacks.map_or_else(|| Ok(SnapshotOutcome::Done(listed(txn, &view)?)), Ok);
            };
            if !txn.end_snapshot(life, id)? {
                return Err(StorageError::Failed("a snapshot was lost while it was kept".to_owned()));
            }
            displaced.iter().try_for_each(|(id, _)| txn.drop_snapshot(life, *id))?;
            Ok(SnapshotOutcome::Done(listed(txn, &view)?))
        })
    }

    /// A snapshot that can be read piece by piece; or the log's state where there is none of this transaction.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn snapshot(&self, log: LogId, trn: TrnId) -> Result<(LogState, Option<(SnapshotId, Told)>), StorageError> {
        self.read(|txn| {
            let view = View::of(txn, log)?;
            let all = view.life().map_or(Ok(Vec::new()), |life| txn.snapshots(life))?;
            let found = all.iter().find(|(_, snapshot)| snapshot.tip.id == trn);
            Ok((view.state(), found.map(|(id, snapshot)| (*id, told(snapshot)))))
        })
    }

    /// A piece of a snapshot; none where it was replaced meanwhile.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn piece(&self, id: SnapshotId, place: u64) -> Result<Option<Bytes>, StorageError> {
        self.read(|txn| txn.piece(id, place))
    }
}

/// The newest snapshot, for a stream that begins with it.
pub(super) fn newest(txn: &dyn ReadTxn, life: Life) -> Result<Option<(SnapshotId, Told)>, StorageError> {
    Ok(txn.snapshots(life)?.first().map(|(id, snapshot)| (*id, told(snapshot))))
}

/// Checks whether the snapshot is to be kept, and begins it.
fn begin(
    txn: &mut dyn WriteTxn,
    service: &Service,
    log: LogId,
    trn: TrnId,
    digest: [u8; 32],
    bytes: u64,
) -> Result<Begun, StorageError> {
    let view = View::of(txn, log)?;
    let (life, tip) = match Place::of(txn, &view, trn, digest)? {
        Place::New(life, tip) => (life, tip),
        Place::Known => return Ok(Begun::Ended(SnapshotOutcome::Done(listed(txn, &view)?))),
        Place::Nowhere => return Ok(Begun::Ended(SnapshotOutcome::UnknownTransaction(view.state()))),
    };
    if let Some(refused) = service.room(txn, &view, life, tip.seq)?.lacks(bytes) {
        return Ok(Begun::Ended(refused));
    }
    let snapshot = Snapshot { tip, digest, bytes };
    Ok(Begun::Arriving(life, txn.begin_snapshot(life, &snapshot)?, snapshot))
}

fn aside(error: io::Error) -> StorageError {
    lost("the snapshot", &error)
}

#[cfg(test)]
mod tests;
