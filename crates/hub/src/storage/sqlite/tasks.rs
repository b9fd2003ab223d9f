//! Tasks in rows, and the upper nodes of the tree of their hashes.
//!
//! The nodes of short prefixes have rows, which a job changes once when it ends, however many tasks it puts. Those of longer
//! ones are worked out from the index of hashes, of which they cover few.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Row;
use tolstoy_tasks::{Hash, Node, Prefix, TaskId};

use super::failed;
use super::txn::Txn;
use crate::storage::tasks::nodes_of;
use crate::storage::{KeptTask, Life, ReadTasks, StorageError, WriteTasks, task_weight};

/// The longest prefix whose node has a row.
pub(super) const LONGEST: usize = 2;

/// Nodes that a job changed and are not written yet.
#[derive(Debug, Default)]
pub(super) struct Nodes(HashMap<(Life, Prefix), Node>);

impl Nodes {
    /// The life ended: its nodes are of no use any more.
    pub(super) fn forget(&mut self, life: Life) {
        self.0.retain(|(of, _), _| *of != life);
    }
}

fn damaged(what: &str) -> StorageError {
    StorageError::Failed(format!("a row of a task holds {what}: `tolstoy fsck` says more"))
}

fn id_of(text: &str) -> Result<TaskId, StorageError> {
    text.parse().map_err(|_| damaged("no task's id"))
}

fn hash_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    row.get(column).map(Hash)
}

pub(super) fn node_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Node> {
    let digest = tolstoy_tasks::Digest(row.get(column)?);
    Ok(Node { digest, tasks: row.get::<_, i64>(column + 1)?.cast_unsigned() })
}

impl ReadTasks for Txn<'_> {
    fn task(&self, life: Life, id: TaskId) -> Result<Option<KeptTask>, StorageError> {
        let sql = "SELECT hash, document FROM task WHERE log = ?1 AND id = ?2";
        let read = |row: &Row<'_>| Ok((hash_of(row, 0)?, row.get::<_, Vec<u8>>(1)?));
        let Some((hash, bytes)) = self.row(sql, (life.0, id.as_str()), read)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| damaged("no text"))?;
        Ok(Some(KeptTask { hash, text }))
    }

    fn task_hashes(
        &self,
        life: Life,
        prefix: Prefix,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, Hash)>, StorageError> {
        let (first, last) = prefix.bounds();
        // No id lies between an id and itself with a character behind it.
        let from = after.filter(|after| *after >= first).map_or(first.to_string(), |after| format!("{after}!"));
        let sql = "SELECT id, hash FROM task WHERE log = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, hash_of(row, 1)?));
        let found = self.rows(sql, (life.0, from, last.as_str(), limit), read)?;
        found.into_iter().map(|(id, hash)| Ok((id_of(&id)?, hash))).collect()
    }

    fn task_node(&self, life: Life, prefix: Prefix) -> Result<Node, StorageError> {
        if prefix.len() > LONGEST {
            let tasks = self.task_hashes(life, prefix, None, usize::MAX)?;
            return Ok(Node::of(tasks.iter().map(|(id, hash)| (id, hash))));
        }
        if let Some(node) = self.nodes.0.get(&(life, prefix)) {
            return Ok(*node);
        }
        let sql = "SELECT digest, tasks FROM node WHERE log = ?1 AND prefix = ?2";
        Ok(self.row(sql, (life.0, prefix.as_str()), |row| node_of(row, 0))?.unwrap_or_default())
    }

    fn task_nodes(&self, life: Life, prefix: Prefix) -> Result<BTreeMap<Prefix, Node>, StorageError> {
        let length = prefix.len() + 1;
        if length > LONGEST {
            return Ok(nodes_of(&self.task_hashes(life, prefix, None, usize::MAX)?, length));
        }
        let (first, last) = prefix.bounds();
        let (first, last) = (Prefix::of(first, length), Prefix::of(last, length));
        let sql = "SELECT prefix, digest, tasks FROM node WHERE log = ?1 AND prefix BETWEEN ?2 AND ?3 AND length(prefix) = ?4";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, node_of(row, 1)?));
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let mut nodes = BTreeMap::new();
        for (text, node) in self.rows(sql, (life.0, first.as_str(), last.as_str(), length), read)? {
            nodes.insert(text.parse::<Prefix>().map_err(|_| damaged("no prefix"))?, node);
        }
        let changed = self.nodes.0.iter().filter(|((of, node), _)| *of == life && (first..=last).contains(node));
        nodes.extend(
            changed.filter(|((_, node), _)| node.len() == first.len()).map(|((_, prefix), node)| (*prefix, *node)),
        );
        Ok(nodes)
    }
}

impl WriteTasks for Txn<'_> {
    fn put_task(&mut self, life: Life, id: TaskId, task: &KeptTask) -> Result<(), StorageError> {
        let sql = "SELECT nr, hash, length(document) FROM task WHERE log = ?1 AND id = ?2";
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, hash_of(row, 1)?, row.get::<_, i64>(2)?));
        let old = self.row(sql, (life.0, id.as_str()), read)?;
        let before = match old {
            Some((nr, _, bytes)) => {
                let sql = "UPDATE task SET hash = ?2, document = ?3 WHERE nr = ?1";
                self.execute(sql, (nr, task.hash.0, task.text.as_bytes()))?;
                task_weight(usize::try_from(bytes).unwrap_or_default())
            }
            None => {
                let sql = "INSERT INTO task (log, id, hash, document) VALUES (?1, ?2, ?3, ?4)";
                self.execute(sql, (life.0, id.as_str(), task.hash.0, task.text.as_bytes()))?;
                0
            }
        };
        for length in 0..=LONGEST {
            let prefix = Prefix::of(id, length);
            let mut node = self.task_node(life, prefix)?;
            node.replace(id, old.map(|(_, hash, _)| hash), task.hash);
            self.nodes.0.insert((life, prefix), node);
        }
        let now = task_weight(task.text.len());
        self.with_end(life, |end| {
            end.weigh(now, 0);
            end.lighten(before);
            Ok(())
        })
    }
}

impl Txn<'_> {
    /// Writes the nodes that the job changed.
    pub(super) fn write_nodes(&mut self) -> Result<(), StorageError> {
        let mut nodes: Vec<_> = std::mem::take(&mut self.nodes.0).into_iter().collect();
        nodes.sort_unstable_by_key(|(key, _)| *key);
        let sql = "INSERT INTO node (log, prefix, digest, tasks) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET digest = excluded.digest, tasks = excluded.tasks";
        let mut insert = self.connection.prepare_cached(sql).map_err(failed)?;
        for ((life, prefix), node) in nodes {
            insert.execute((life.0, prefix.as_str(), node.digest.0, node.tasks.cast_signed())).map_err(failed)?;
        }
        Ok(())
    }
}
