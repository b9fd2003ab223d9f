//! Figures, garbage and snapshots in memory.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use tolstoy_proto::{ChunkId, LogId, TrnId};
use tolstoy_tasks::{Hash, Node, Prefix, TaskId};

use super::{Kept, MemoryTxn, Rows, State};
use crate::storage::tasks::nodes_of;
use crate::storage::{
    Committed, KeptTask, Life, LogCursor, LogFigures, Loose, PendingTrn, ReadFigures, ReadGarbage, ReadSnapshots,
    ReadTasks, Removed, Snapshot, SnapshotId, StorageError, Swept, Tip, Totals, Usage, WriteFigures, WriteGarbage,
    WriteSnapshots, WriteTasks, loose_weight, task_weight, weight,
};

impl State {
    fn logs_where(&self, wanted: impl Fn(&LogFigures) -> bool) -> Vec<LogFigures> {
        let figures = |(life, rows): (&Life, &Rows)| LogFigures {
            log: rows.log,
            life: *life,
            generation: rows.generation,
            tip: rows.chain.last().map_or(Tip::ROOT, Committed::tip),
            usage: rows.usage,
            writer: rows.writer.clone(),
            tasks: rows.tasks.len() as u64,
        };
        self.lives.iter().map(figures).filter(wanted).collect()
    }
}

impl Rows {
    /// The chunks that no committed transaction names, and how often pending ones do.
    fn loose(&self) -> BTreeMap<ChunkId, u64> {
        let mut named = HashMap::<&ChunkId, u64>::new();
        for id in self.pending.values().flat_map(|pending| &pending.chunks) {
            *named.entry(id).or_default() += 1;
        }
        let loose = self.chunks.keys().filter(|id| !self.taken.contains(id));
        loose.map(|id| (*id, named.get(id).copied().unwrap_or_default())).collect()
    }
}

/// What lies behind this, where there is something.
fn behind<T: Copy>(after: Option<T>) -> (Bound<T>, Bound<T>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl ReadFigures for State {
    fn usage(&self, life: Life) -> Result<Usage, StorageError> {
        Ok(self.rows(life)?.usage)
    }

    fn log_of(&self, life: Life) -> Result<Option<LogId>, StorageError> {
        Ok(self.lives.get(&life).map(|rows| rows.log))
    }

    fn logs_by_age(&self, after: Option<LogCursor>, limit: usize) -> Result<Vec<LogFigures>, StorageError> {
        let mut logs = self.logs_where(|log| after.is_none_or(|after| log.cursor() < after));
        logs.sort_by_key(|log| std::cmp::Reverse(log.cursor()));
        logs.truncate(limit);
        Ok(logs)
    }

    fn logs_by_id(&self, from: LogId, to: LogId, limit: usize) -> Result<Vec<LogFigures>, StorageError> {
        let mut logs = self.logs_where(|log| (from..=to).contains(&log.log));
        logs.sort_by_key(|log| log.log);
        logs.truncate(limit);
        Ok(logs)
    }

    fn totals(&self) -> Result<Totals, StorageError> {
        let file = self.lives.values().map(|rows| rows.usage.bytes).sum();
        let tasks = self.lives.values().map(|rows| rows.tasks.len() as u64).sum();
        Ok(Totals { logs: self.lives.len() as u64, tasks, ended: 0, file, free: 0 })
    }
}

impl ReadGarbage for State {
    fn lives_with_uploads(&self, after: Option<Life>, limit: usize) -> Result<Vec<Life>, StorageError> {
        let has_uploads = |rows: &Rows| !rows.pending.is_empty() || !rows.loose().is_empty();
        let with = self.lives.iter().filter(|(life, rows)| Some(**life) > after && has_uploads(rows));
        let mut lives: Vec<Life> = with.map(|(life, _)| *life).collect();
        lives.sort_unstable();
        lives.truncate(limit);
        Ok(lives)
    }

    fn pending_after(&self, life: Life, after: Option<TrnId>, limit: usize) -> Result<Vec<PendingTrn>, StorageError> {
        let later = self.rows(life)?.pending.range(behind(after)).take(limit);
        Ok(later.map(|(id, pending)| PendingTrn { id: *id, parent: pending.parent }).collect())
    }

    fn is_pending(&self, life: Life, id: TrnId) -> Result<bool, StorageError> {
        Ok(self.rows(life)?.pending.contains_key(&id))
    }

    fn named_by(&self, life: Life, id: TrnId) -> Result<Vec<ChunkId>, StorageError> {
        Ok(self.rows(life)?.pending.get(&id).map(|pending| pending.chunks.clone()).unwrap_or_default())
    }

    fn pending_child(&self, life: Life, parent: TrnId, after: Option<TrnId>) -> Result<Option<TrnId>, StorageError> {
        let mut later = self.rows(life)?.pending.range(behind(after));
        Ok(later.find(|(_, pending)| pending.parent == parent).map(|(id, _)| *id))
    }

    fn loose_after(&self, life: Life, after: Option<&ChunkId>, limit: usize) -> Result<Vec<Loose>, StorageError> {
        let rows = self.rows(life)?;
        let bytes = |id| rows.chunks.get(id).map_or(0, |bytes| bytes.len() as u64);
        let loose = rows.loose();
        let later = loose.range(behind(after.copied())).take(limit);
        Ok(later.map(|(id, named)| Loose { id: *id, bytes: bytes(id), named: *named }).collect())
    }

    fn to_sweep(&self) -> Result<Swept, StorageError> {
        Ok(Swept::default())
    }
}

impl ReadSnapshots for State {
    fn snapshots(&self, life: Life) -> Result<Vec<(SnapshotId, Snapshot)>, StorageError> {
        let whole = self.snapshots.iter().filter(|(_, kept)| kept.life == life && kept.whole);
        let mut found: Vec<_> = whole.map(|(id, kept)| (*id, kept.snapshot)).collect();
        found.sort_by_key(|(id, snapshot)| std::cmp::Reverse((snapshot.seq(), *id)));
        Ok(found)
    }

    fn piece(&self, snapshot: SnapshotId, place: u64) -> Result<Option<Bytes>, StorageError> {
        Ok(self.snapshots.get(&snapshot).and_then(|kept| kept.pieces.get(&place).cloned()))
    }
}

impl ReadTasks for State {
    fn task(&self, life: Life, id: TaskId) -> Result<Option<KeptTask>, StorageError> {
        Ok(self.rows(life)?.tasks.get(&id).cloned())
    }

    fn task_hashes(
        &self,
        life: Life,
        prefix: Prefix,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, Hash)>, StorageError> {
        let later = self.rows(life)?.tasks.range(behind(after)).filter(|(id, _)| prefix.covers(**id));
        Ok(later.take(limit).map(|(id, task)| (*id, task.hash)).collect())
    }

    fn task_node(&self, life: Life, prefix: Prefix) -> Result<Node, StorageError> {
        let tasks = self.task_hashes(life, prefix, None, usize::MAX)?;
        Ok(Node::of(tasks.iter().map(|(id, hash)| (id, hash))))
    }

    fn task_nodes(&self, life: Life, prefix: Prefix) -> Result<BTreeMap<Prefix, Node>, StorageError> {
        Ok(nodes_of(&self.task_hashes(life, prefix, None, usize::MAX)?, prefix.len() + 1))
    }
}

/// What a transaction of the storage reads, it reads from the state.
macro_rules! read_from_state {
    ($($of:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $found:ty;)* })*) => {
        $(impl $of for MemoryTxn<'_> {
            $(fn $name(&self, $($arg: $type),*) -> Result<$found, StorageError> {
                self.state.$name($($arg),*)
            })*
        })*
    };
}

read_from_state! {
    ReadFigures {
        fn usage(life: Life) -> Usage;
        fn log_of(life: Life) -> Option<LogId>;
        fn logs_by_age(after: Option<LogCursor>, limit: usize) -> Vec<LogFigures>;
        fn logs_by_id(from: LogId, to: LogId, limit: usize) -> Vec<LogFigures>;
        fn totals() -> Totals;
    }
    ReadGarbage {
        fn lives_with_uploads(after: Option<Life>, limit: usize) -> Vec<Life>;
        fn pending_after(life: Life, after: Option<TrnId>, limit: usize) -> Vec<PendingTrn>;
        fn is_pending(life: Life, id: TrnId) -> bool;
        fn named_by(life: Life, id: TrnId) -> Vec<ChunkId>;
        fn pending_child(life: Life, parent: TrnId, after: Option<TrnId>) -> Option<TrnId>;
        fn loose_after(life: Life, after: Option<&ChunkId>, limit: usize) -> Vec<Loose>;
        fn to_sweep() -> Swept;
    }
    ReadSnapshots {
        fn snapshots(life: Life) -> Vec<(SnapshotId, Snapshot)>;
        fn piece(snapshot: SnapshotId, place: u64) -> Option<Bytes>;
    }
    ReadTasks {
        fn task(life: Life, id: TaskId) -> Option<KeptTask>;
        fn task_hashes(life: Life, prefix: Prefix, after: Option<TaskId>, limit: usize) -> Vec<(TaskId, Hash)>;
        fn task_node(life: Life, prefix: Prefix) -> Node;
        fn task_nodes(life: Life, prefix: Prefix) -> BTreeMap<Prefix, Node>;
    }
}

impl WriteFigures for MemoryTxn<'_> {
    fn stamp(&mut self, life: Life, written: i64, writer: &str) -> Result<(), StorageError> {
        self.measure(life, |usage| usage.written = written)?;
        let old = std::mem::replace(&mut self.state.rows_mut(life)?.writer, writer.to_owned());
        self.undo_rows(life, move |rows| rows.writer = old);
        Ok(())
    }
}

impl WriteGarbage for MemoryTxn<'_> {
    /// All at once: who names what is not kept here.
    fn remove_pending(&mut self, life: Life, id: TrnId, _chunks: usize) -> Result<Removed, StorageError> {
        let Some(old) = self.state.rows_mut(life)?.pending.remove(&id) else {
            return Ok(Removed { bytes: 0, is_gone: true });
        };
        let bytes = weight(&old.chunks);
        self.undo_rows(life, move |rows| {
            rows.pending.insert(id, old);
        });
        self.measure(life, |usage| usage.bytes -= bytes)?;
        Ok(Removed { bytes, is_gone: true })
    }

    fn remove_loose(&mut self, life: Life, id: &ChunkId) -> Result<(), StorageError> {
        let rows = self.state.rows_mut(life)?;
        if rows.loose().get(id) != Some(&0) {
            return Ok(());
        }
        let Some(old) = rows.chunks.remove(id) else { return Ok(()) };
        let (id, bytes) = (*id, loose_weight(old.len() as u64));
        self.undo_rows(life, move |rows| {
            rows.chunks.insert(id, old);
        });
        self.measure(life, |usage| usage.bytes -= bytes)
    }

    /// What ended is gone already.
    fn sweep(&mut self, _rows: u64) -> Result<Swept, StorageError> {
        Ok(Swept::default())
    }

    fn give_back(&mut self, _pages: u32) -> Result<u64, StorageError> {
        Ok(0)
    }
}

impl MemoryTxn<'_> {
    /// Puts a snapshot in the place of what is there, or removes it.
    pub(super) fn set_snapshot(&mut self, id: SnapshotId, new: Option<Kept>) {
        let old = match new {
            Some(new) => self.state.snapshots.insert(id, new),
            None => self.state.snapshots.remove(&id),
        };
        self.undo.push(Box::new(move |state| {
            match old {
                Some(old) => state.snapshots.insert(id, old),
                None => state.snapshots.remove(&id),
            };
        }));
    }
}

impl WriteTasks for MemoryTxn<'_> {
    fn put_task(&mut self, life: Life, id: TaskId, task: &KeptTask) -> Result<(), StorageError> {
        let old = self.state.rows_mut(life)?.tasks.insert(id, task.clone());
        let before = old.as_ref().map_or(0, |old| task_weight(old.text.len()));
        self.undo_rows(life, move |rows| {
            match old {
                Some(old) => rows.tasks.insert(id, old),
                None => rows.tasks.remove(&id),
            };
        });
        let now = task_weight(task.text.len());
        self.measure(life, |usage| usage.bytes = usage.bytes + now - before)
    }
}

impl WriteSnapshots for MemoryTxn<'_> {
    fn begin_snapshot(&mut self, life: Life, snapshot: &Snapshot) -> Result<SnapshotId, StorageError> {
        let fresh = self.state.rows(life)?.usage.fresh;
        self.state.newest_snapshot += 1;
        let id = SnapshotId(self.state.newest_snapshot);
        let kept = Kept { life, snapshot: *snapshot, pieces: BTreeMap::new(), fresh, whole: false };
        self.set_snapshot(id, Some(kept));
        Ok(id)
    }

    fn put_piece(&mut self, snapshot: SnapshotId, place: u64, bytes: &Bytes) -> Result<(), StorageError> {
        // One that is gone takes no more pieces.
        if let Some(kept) = self.state.snapshots.get_mut(&snapshot) {
            kept.pieces.insert(place, Bytes::copy_from_slice(bytes));
            self.undo.push(Box::new(move |state| {
                if let Some(kept) = state.snapshots.get_mut(&snapshot) {
                    kept.pieces.remove(&place);
                }
            }));
        }
        Ok(())
    }

    fn end_snapshot(&mut self, life: Life, snapshot: SnapshotId) -> Result<bool, StorageError> {
        let found = self.state.snapshots.get(&snapshot).filter(|kept| kept.life == life && !kept.whole);
        let Some(kept) = found.cloned() else { return Ok(false) };
        let (seq, bytes, fresh) = (kept.snapshot.seq(), kept.snapshot.bytes, kept.fresh);
        self.set_snapshot(snapshot, Some(Kept { whole: true, ..kept }));
        self.measure(life, |usage| {
            usage.bytes += bytes;
            if seq > usage.snapshot {
                usage.snapshot = seq;
                usage.fresh -= fresh;
            }
        })?;
        Ok(true)
    }

    fn drop_snapshot(&mut self, life: Life, snapshot: SnapshotId) -> Result<(), StorageError> {
        let Some(kept) = self.state.snapshots.get(&snapshot).filter(|kept| kept.life == life) else { return Ok(()) };
        let bytes = if kept.whole { kept.snapshot.bytes } else { 0 };
        self.set_snapshot(snapshot, None);
        self.measure(life, |usage| usage.bytes -= bytes)
    }
}
