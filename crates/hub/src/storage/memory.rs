//! Logs in memory: for tests and simulations. It needs no thread, so that a run is deterministic.

mod keeping;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tolstoy_proto::{ChunkId, Generation, LogId, Seq, TrnId};
use tolstoy_tasks::TaskId;

use super::{
    ChunkSource, Committed, KeptTask, Life, LogRow, Pending, ReadRules, ReadTxn, Snapshot, SnapshotId, Storage,
    StorageError, Tip, Usage, Visit, WriteJob, WriteTxn, loose_weight, weight,
};

/// Keeps logs in memory, as long as it lives. Jobs are done when `write` returns.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    state: Mutex<State>,
}

impl MemoryStorage {
    /// A storage without logs.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A job that panicked was rolled back or not begun to be told so; the state itself is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn read(&self, rules: &mut ReadRules<'_>) -> Result<(), StorageError> {
        rules(&*self.state())
    }

    fn write(&self, mut job: Box<dyn WriteJob>) {
        let mut state = self.state();
        let mut txn = MemoryTxn { state: &mut state, undo: Vec::new() };
        let result = job.run(&mut txn);
        if result.is_err() {
            txn.roll_back();
        }
        drop(state);
        job.done(result);
    }
}

#[derive(Debug, Default)]
struct State {
    logs: HashMap<LogId, LogRow>,
    lives: HashMap<Life, Rows>,
    /// The newest life's number.
    newest: i64,
    snapshots: BTreeMap<SnapshotId, Kept>,
    newest_snapshot: i64,
}

/// A snapshot.
#[derive(Debug, Clone)]
struct Kept {
    life: Life,
    snapshot: Snapshot,
    pieces: BTreeMap<u64, Bytes>,
    /// The log's fresh bytes when its upload began.
    fresh: u64,
    whole: bool,
}

/// The rows of one life.
#[derive(Debug)]
struct Rows {
    log: LogId,
    generation: Generation,
    usage: Usage,
    writer: String,
    /// The transaction with seq n is at n - 1.
    chain: Vec<Committed>,
    places: HashMap<TrnId, usize>,
    pending: BTreeMap<TrnId, Pending>,
    chunks: HashMap<ChunkId, Bytes>,
    /// Chunks that committed transactions name.
    taken: HashSet<ChunkId>,
    tasks: BTreeMap<TaskId, KeptTask>,
}

impl State {
    fn rows(&self, life: Life) -> Result<&Rows, StorageError> {
        self.lives.get(&life).ok_or_else(|| no_life(life))
    }

    fn rows_mut(&mut self, life: Life) -> Result<&mut Rows, StorageError> {
        self.lives.get_mut(&life).ok_or_else(|| no_life(life))
    }
}

fn no_life(life: Life) -> StorageError {
    StorageError::Failed(format!("there is no life {}", life.0))
}

impl Rows {
    fn after(&self, seq: Seq) -> &[Committed] {
        let start = usize::try_from(seq.0).unwrap_or(usize::MAX);
        self.chain.get(start..).unwrap_or_default()
    }
}

/// A transaction's chunks among a life's.
struct Chunks<'a> {
    rows: &'a Rows,
    ids: &'a [ChunkId],
}

impl ChunkSource for Chunks<'_> {
    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, StorageError> {
        let id = self.ids.get(index).ok_or_else(|| StorageError::Failed(format!("no chunk at {index}")))?;
        let bytes = self.rows.chunks.get(id).map(|bytes| Cow::Borrowed(&bytes[..]));
        bytes.ok_or_else(|| StorageError::Failed(format!("chunk {id} is missing")))
    }
}

impl ReadTxn for State {
    fn log(&self, log: LogId) -> Result<LogRow, StorageError> {
        Ok(self.logs.get(&log).copied().unwrap_or(LogRow::Never))
    }

    fn tip(&self, life: Life) -> Result<Tip, StorageError> {
        Ok(self.rows(life)?.chain.last().map_or(Tip::ROOT, Committed::tip))
    }

    fn committed(&self, life: Life, id: TrnId) -> Result<Option<Committed>, StorageError> {
        let rows = self.rows(life)?;
        Ok(rows.places.get(&id).and_then(|at| rows.chain.get(*at)).cloned())
    }

    fn is_committed(&self, life: Life, id: TrnId) -> Result<bool, StorageError> {
        Ok(self.rows(life)?.places.contains_key(&id))
    }

    fn ids_after(&self, life: Life, seq: Seq, limit: usize) -> Result<Vec<TrnId>, StorageError> {
        Ok(self.rows(life)?.after(seq).iter().take(limit).map(|trn| trn.id).collect())
    }

    fn walk(&self, life: Life, after: Seq, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        let rows = self.rows(life)?;
        for trn in rows.after(after) {
            if !visit(trn, &Chunks { rows, ids: &trn.chunks })? {
                break;
            }
        }
        Ok(())
    }

    fn pending(&self, life: Life, id: TrnId) -> Result<Option<Pending>, StorageError> {
        Ok(self.rows(life)?.pending.get(&id).cloned())
    }

    fn has_pending_child(&self, life: Life, parent: TrnId) -> Result<bool, StorageError> {
        Ok(self.rows(life)?.pending.values().any(|pending| pending.parent == parent))
    }

    fn has_chunk(&self, life: Life, id: &ChunkId) -> Result<bool, StorageError> {
        Ok(self.rows(life)?.chunks.contains_key(id))
    }

    fn chunk(&self, life: Life, id: &ChunkId) -> Result<Option<Bytes>, StorageError> {
        Ok(self.rows(life)?.chunks.get(id).cloned())
    }
}

/// Takes one change back.
type Undo = Box<dyn FnOnce(&mut State)>;

/// The state, and how to take back what one job changed.
struct MemoryTxn<'a> {
    state: &'a mut State,
    undo: Vec<Undo>,
}

impl MemoryTxn<'_> {
    fn roll_back(self) {
        for undo in self.undo.into_iter().rev() {
            undo(self.state);
        }
    }

    /// Takes back a change to the rows of a life.
    fn undo_rows(&mut self, life: Life, undo: impl FnOnce(&mut Rows) + 'static) {
        self.undo.push(Box::new(move |state| {
            if let Some(rows) = state.lives.get_mut(&life) {
                undo(rows);
            }
        }));
    }

    /// Changes what a life holds.
    fn measure(&mut self, life: Life, change: impl FnOnce(&mut Usage)) -> Result<(), StorageError> {
        let usage = &mut self.state.rows_mut(life)?.usage;
        let old = *usage;
        change(usage);
        self.undo_rows(life, move |rows| rows.usage = old);
        Ok(())
    }

    /// So many bytes came.
    fn weigh(&mut self, life: Life, bytes: u64, fresh: u64) -> Result<(), StorageError> {
        self.measure(life, |usage| {
            usage.bytes += bytes;
            usage.fresh += fresh;
        })
    }

    fn set_log(&mut self, log: LogId, row: LogRow) {
        let old = self.state.logs.insert(log, row);
        self.undo.push(Box::new(move |state| {
            match old {
                Some(old) => state.logs.insert(log, old),
                None => state.logs.remove(&log),
            };
        }));
    }
}

impl ReadTxn for MemoryTxn<'_> {
    fn log(&self, log: LogId) -> Result<LogRow, StorageError> {
        self.state.log(log)
    }

    fn tip(&self, life: Life) -> Result<Tip, StorageError> {
        self.state.tip(life)
    }

    fn committed(&self, life: Life, id: TrnId) -> Result<Option<Committed>, StorageError> {
        self.state.committed(life, id)
    }

    fn is_committed(&self, life: Life, id: TrnId) -> Result<bool, StorageError> {
        self.state.is_committed(life, id)
    }

    fn ids_after(&self, life: Life, seq: Seq, limit: usize) -> Result<Vec<TrnId>, StorageError> {
        self.state.ids_after(life, seq, limit)
    }

    fn walk(&self, life: Life, after: Seq, visit: &mut Visit<'_>) -> Result<(), StorageError> {
        self.state.walk(life, after, visit)
    }

    fn pending(&self, life: Life, id: TrnId) -> Result<Option<Pending>, StorageError> {
        self.state.pending(life, id)
    }

    fn has_pending_child(&self, life: Life, parent: TrnId) -> Result<bool, StorageError> {
        self.state.has_pending_child(life, parent)
    }

    fn has_chunk(&self, life: Life, id: &ChunkId) -> Result<bool, StorageError> {
        self.state.has_chunk(life, id)
    }

    fn chunk(&self, life: Life, id: &ChunkId) -> Result<Option<Bytes>, StorageError> {
        self.state.chunk(life, id)
    }
}

impl WriteTxn for MemoryTxn<'_> {
    fn touch(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn begin_life(&mut self, log: LogId, generation: Generation) -> Result<Life, StorageError> {
        self.state.newest += 1;
        let life = Life(self.state.newest);
        let (usage, writer, chain) = (Usage::default(), String::new(), Vec::new());
        let (places, pending, chunks, taken) = (HashMap::new(), BTreeMap::new(), HashMap::new(), HashSet::new());
        let tasks = BTreeMap::new();
        let rows = Rows { log, generation, usage, writer, chain, places, pending, chunks, taken, tasks };
        self.state.lives.insert(life, rows);
        self.undo.push(Box::new(move |state| {
            state.lives.remove(&life);
        }));
        self.set_log(log, LogRow::Living(life, generation));
        Ok(life)
    }

    fn end_life(&mut self, log: LogId) -> Result<(), StorageError> {
        let LogRow::Living(life, generation) = self.state.log(log)? else { return Ok(()) };
        if let Some(rows) = self.state.lives.remove(&life) {
            self.undo.push(Box::new(move |state| {
                state.lives.insert(life, rows);
            }));
        }
        let ended = self.state.snapshots.iter().filter(|(_, kept)| kept.life == life).map(|(id, _)| *id);
        for snapshot in ended.collect::<Vec<_>>() {
            self.set_snapshot(snapshot, None);
        }
        self.set_log(log, LogRow::Ended(generation.number));
        Ok(())
    }

    fn put_chunk(&mut self, life: Life, id: &ChunkId, bytes: &Bytes) -> Result<(), StorageError> {
        let rows = self.state.rows_mut(life)?;
        if !rows.chunks.contains_key(id) {
            // A copy of its own, so that a small chunk does not keep the whole request it came in alive.
            rows.chunks.insert(*id, Bytes::copy_from_slice(bytes));
            let id = *id;
            self.undo_rows(life, move |rows| {
                rows.chunks.remove(&id);
            });
            self.weigh(life, loose_weight(bytes.len() as u64), bytes.len() as u64)?;
        }
        Ok(())
    }

    fn put_pending(&mut self, life: Life, pending: &Pending) -> Result<(), StorageError> {
        let id = pending.id;
        self.state.rows_mut(life)?.pending.insert(id, pending.clone());
        self.undo_rows(life, move |rows| {
            rows.pending.remove(&id);
        });
        self.weigh(life, weight(&pending.chunks), 0)
    }

    fn append(&mut self, life: Life, committed: &Committed) -> Result<(), StorageError> {
        let rows = self.state.rows_mut(life)?;
        let was_pending = rows.pending.remove(&committed.id);
        rows.places.insert(committed.id, rows.chain.len());
        rows.chain.push(committed.clone());
        let (id, weight) = (committed.id, weight(&committed.chunks));
        let bytes = if was_pending.is_some() { 0 } else { weight };
        let taken: Vec<ChunkId> = committed.chunks.iter().copied().filter(|id| rows.taken.insert(*id)).collect();
        let lighter = loose_weight(0) * taken.len() as u64;
        self.undo_rows(life, move |rows| {
            rows.chain.pop();
            rows.places.remove(&id);
            rows.pending.extend(was_pending.map(|pending| (id, pending)));
            taken.iter().for_each(|id| _ = rows.taken.remove(id));
        });
        self.measure(life, |usage| usage.bytes -= lighter)?;
        self.weigh(life, bytes, weight)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    crate::storage_conformance!((Arc::new(MemoryStorage::new()) as Arc<dyn Storage>, ()));
}
