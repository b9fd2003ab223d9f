//! Snapshots, in rows of bounded size.

use bytes::Bytes;
use rusqlite::Row;

use super::failed;
use super::txn::{Txn, sql_int, tip};
use crate::storage::{Life, ReadSnapshots, Snapshot, SnapshotId, StorageError, WriteSnapshots};

/// Its pieces arrive.
const ARRIVING: i64 = 0;
/// It is seen.
const WHOLE: i64 = 1;
/// It is to be swept.
pub(super) const DROPPED: i64 = 2;

/// Drops the snapshots whose upload a hub that stopped left halfway.
pub(super) const DROP_HALVES: &str = "UPDATE snapshot SET state = 2 WHERE state = 0 AND state <> 1";

/// The row of a piece: those of one snapshot lie side by side.
pub(super) fn piece_row(snapshot: i64, place: u64) -> i64 {
    snapshot << 24 | place.cast_signed()
}

fn snapshot(row: &Row<'_>) -> rusqlite::Result<(SnapshotId, Snapshot)> {
    let snapshot = Snapshot { tip: tip(row, 1)?, digest: row.get(4)?, bytes: row.get::<_, i64>(5)?.cast_unsigned() };
    Ok((SnapshotId(row.get(0)?), snapshot))
}

impl ReadSnapshots for Txn<'_> {
    fn snapshots(&self, life: Life) -> Result<Vec<(SnapshotId, Snapshot)>, StorageError> {
        let sql = "SELECT nr, trn, seq, chain, digest, bytes FROM snapshot WHERE log = ?1 AND state = 1
                   ORDER BY seq DESC, nr DESC";
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map([life.0], snapshot).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn piece(&self, snapshot: SnapshotId, place: u64) -> Result<Option<Bytes>, StorageError> {
        let read = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
        let bytes = self.row("SELECT bytes FROM piece WHERE at = ?1", [piece_row(snapshot.0, place)], read)?;
        Ok(bytes.map(Bytes::from))
    }
}

impl WriteSnapshots for Txn<'_> {
    fn begin_snapshot(&mut self, life: Life, snapshot: &Snapshot) -> Result<SnapshotId, StorageError> {
        let fresh = self.with_end(life, |end| Ok(end.usage.fresh))?;
        let Snapshot { tip, digest, bytes } = snapshot;
        self.execute(
            "INSERT INTO snapshot (log, seq, trn, chain, digest, bytes, pieces, fresh, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                life.0,
                sql_int(tip.seq),
                tip.id.as_bytes(),
                tip.chain.0,
                digest,
                bytes.cast_signed(),
                snapshot.pieces().cast_signed(),
                fresh.cast_signed(),
                ARRIVING,
            ),
        )?;
        Ok(SnapshotId(self.connection.last_insert_rowid()))
    }

    fn put_piece(&mut self, snapshot: SnapshotId, place: u64, bytes: &Bytes) -> Result<(), StorageError> {
        // One that is gone takes no more pieces: nothing would ever sweep them.
        let sql = "INSERT INTO piece (at, bytes)
                   SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM snapshot WHERE nr = ?3 AND state = ?4)";
        self.execute(sql, (piece_row(snapshot.0, place), bytes.as_ref(), snapshot.0, ARRIVING))?;
        Ok(())
    }

    fn end_snapshot(&mut self, life: Life, snapshot: SnapshotId) -> Result<bool, StorageError> {
        let sql = "SELECT snapshot.seq, snapshot.bytes, snapshot.fresh FROM snapshot JOIN log ON log.nr = snapshot.log
                   WHERE snapshot.nr = ?1 AND log.nr = ?2 AND state = ?3";
        let read = |row: &Row<'_>| {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok((super::txn::seq(row, 0)?, number(1)?, number(2)?))
        };
        let Some((seq, bytes, fresh)) = self.row(sql, (snapshot.0, life.0, ARRIVING), read)? else {
            return Ok(false);
        };
        self.execute("UPDATE snapshot SET state = ?2 WHERE nr = ?1", (snapshot.0, WHOLE))?;
        self.with_end(life, |end| {
            end.weigh(bytes, 0);
            if seq > end.usage.snapshot {
                end.usage.snapshot = seq;
                end.usage.fresh = end.usage.fresh.saturating_sub(fresh);
            }
            Ok(())
        })?;
        Ok(true)
    }

    fn drop_snapshot(&mut self, life: Life, snapshot: SnapshotId) -> Result<(), StorageError> {
        let sql = "SELECT state, snapshot.bytes FROM snapshot JOIN log ON log.nr = snapshot.log
                   WHERE snapshot.nr = ?1 AND log.nr = ?2 AND state <> 2";
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
        let Some((state, bytes)) = self.row(sql, (snapshot.0, life.0), read)? else { return Ok(()) };
        self.execute("UPDATE snapshot SET state = ?2 WHERE nr = ?1", (snapshot.0, DROPPED))?;
        if state == WHOLE {
            self.with_end(life, |end| {
                end.lighten(bytes);
                Ok(())
            })?;
        }
        Ok(())
    }
}
