//! The rules of snapshots: the newest is kept, and the one before it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tolstoy_proto::{BlobDigest, LogId, LogState, Quota, Snapshot as Told, Snapshots, TrnId};

use super::{Answer, Service, View};
use crate::storage::{Life, PIECE, ReadTxn, Snapshot, SnapshotId, StorageError, WriteTxn};

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

/// A snapshot that arrives: put aside, and hashed.
#[derive(Debug)]
pub struct SnapshotUpload {
    aside: Aside,
    hash: Sha256,
    bytes: u64,
}

#[derive(Debug)]
enum Aside {
    Memory(Vec<u8>),
    File(BufWriter<File>),
}

impl SnapshotUpload {
    /// Takes a snapshot into a file without a name in `directory`; without a directory it stays in memory.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn new(directory: Option<&Path>) -> io::Result<Self> {
        let aside = match directory {
            Some(directory) => Aside::File(BufWriter::with_capacity(PIECE, tempfile::tempfile_in(directory)?)),
            None => Aside::Memory(Vec::new()),
        };
        Ok(Self { aside, hash: Sha256::new(), bytes: 0 })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        match &mut self.aside {
            Aside::Memory(all) => all.extend_from_slice(piece),
            Aside::File(file) => file.write_all(piece)?,
        }
        Ok(())
    }

    /// The digest of what came so far.
    pub fn digest(&self) -> BlobDigest {
        BlobDigest(self.hash.clone().finalize().into())
    }

    fn read(self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self.aside {
            Aside::Memory(all) => Box::new(io::Cursor::new(all)),
            Aside::File(file) => {
                let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.rewind()?;
                Box::new(BufReader::with_capacity(PIECE, file))
            }
        })
    }
}

fn told(snapshot: &Snapshot) -> Told {
    let Snapshot { tip, digest, bytes } = *snapshot;
    Told { id: tip.id, seq: tip.seq, chain: tip.chain, digest: BlobDigest(digest), bytes }
}

/// The log's state and its snapshots.
fn listed<T: ReadTxn + ?Sized>(txn: &T, view: &View) -> Result<Snapshots, StorageError> {
    let found = view.life().map_or(Ok(Vec::new()), |life| txn.snapshots(life))?;
    Ok(Snapshots { state: view.state(), snapshots: found.iter().map(|(_, snapshot)| told(snapshot)).collect() })
}

/// What the first job of an upload decides.
enum Begun {
    Arriving(Life, SnapshotId),
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

    /// Whether a snapshot at this transaction can be taken: none where it can, otherwise the log's state.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn refuses_snapshot(&self, log: LogId, trn: TrnId) -> Result<Option<LogState>, StorageError> {
        self.read(|txn| {
            let view = View::of(txn, log)?;
            let is_committed = view.life().map_or(Ok(false), |life| txn.is_committed(life, trn))?;
            Ok((!is_committed).then(|| view.state()))
        })
    }

    /// Keeps a snapshot that stands for the log up to a committed transaction. Blocks: the bytes go into the storage in
    /// many short jobs.
    ///
    /// One that is here already stays; another of the same transaction takes its place; one that is older than all that
    /// are kept is let go, since nobody would be given it.
    ///
    /// # Errors
    /// Where the storage failed, or what was put aside cannot be read. Nothing is seen of the snapshot then.
    pub fn keep_snapshot(
        &self,
        log: LogId,
        trn: TrnId,
        upload: SnapshotUpload,
    ) -> Result<SnapshotOutcome, StorageError> {
        let (digest, bytes) = (upload.digest().0, upload.bytes);
        let mut rest = upload.read().map_err(aside)?;
        let service = self.clone();
        let begun = self.write(move |txn| begin(txn, &service, log, trn, digest, bytes)).wait()?;
        let (life, id) = match begun {
            Begun::Arriving(life, id) => (life, id),
            Begun::Ended(outcome) => return Ok(outcome),
        };
        let moved = self.move_in(id, &mut rest);
        if let Err(error) = moved {
            // It is swept after the next start in any case.
            let dropped = self.write(move |txn| txn.drop_snapshot(life, id)).wait();
            if let Err(error) = dropped {
                tracing::warn!(%error, "half a snapshot stays until the hub starts again");
            }
            return Err(error);
        }
        self.end_snapshot(log, life, id).wait()
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

    fn end_snapshot(&self, log: LogId, life: Life, id: SnapshotId) -> Answer<SnapshotOutcome> {
        self.write(move |txn| {
            if !txn.end_snapshot(life, id)? {
                return Ok(SnapshotOutcome::UnknownTransaction(View::of(txn, log)?.state()));
            }
            let all = txn.snapshots(life)?;
            let mut kept = Vec::new();
            for (id, snapshot) in all {
                // Of one transaction, the last upload counts.
                if kept.len() == KEPT || kept.contains(&snapshot.seq()) {
                    txn.drop_snapshot(life, id)?;
                } else {
                    kept.push(snapshot.seq());
                }
            }
            Ok(SnapshotOutcome::Done(listed(txn, &View::of(txn, log)?)?))
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
    let committed = match view.life() {
        Some(life) => txn.committed(life, trn)?.map(|committed| (life, committed.tip())),
        None => None,
    };
    let Some((life, tip)) = committed else {
        return Ok(Begun::Ended(SnapshotOutcome::UnknownTransaction(view.state())));
    };
    let kept = txn.snapshots(life)?;
    let is_here = kept.iter().any(|(_, here)| here.tip.id == trn && here.digest == digest);
    let is_late = kept.len() >= KEPT && kept.iter().all(|(_, here)| here.seq() > tip.seq);
    if is_here || is_late {
        return Ok(Begun::Ended(SnapshotOutcome::Done(listed(txn, &view)?)));
    }
    if let Some(quota) = service.over_quota(txn, &view, bytes, 0)? {
        return Ok(Begun::Ended(SnapshotOutcome::Quota(view.state(), quota)));
    }
    Ok(Begun::Arriving(life, txn.begin_snapshot(life, &Snapshot { tip, digest, bytes })?))
}

fn aside(error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull => StorageError::Full(error.to_string()),
        _ => StorageError::Failed(format!("the snapshot that was put aside cannot be read: {error}")),
    }
}
