//! The tasks of one log, and the tree of their hashes.

use std::collections::BTreeMap;

use tolstoy_tasks::{Document, Hash, Node, Prefix, TaskId};

use super::super::failed;
use super::super::tasks::{LONGEST, node_of};
use super::life::Log;
use super::{Check, Finding, blob};
use crate::storage::{StorageError, task_weight};

impl Check<'_> {
    /// Hashes each task, and compares the nodes that have rows with what they stand for.
    pub(super) fn tasks(&mut self, log: &mut Log) -> Result<(), StorageError> {
        let mut nodes = BTreeMap::<Prefix, Node>::new();
        let mut last = None;
        let sql = "SELECT nr, id, hash, document FROM task WHERE log = ?1 ORDER BY id, nr";
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query([log.nr]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let (nr, id): (i64, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            let (hash, document) = (Hash(row.get(2).map_err(failed)?), blob(row, 3)?);
            self.checked.tasks += 1;
            self.checked.bytes += document.len() as u64;
            log.bytes += task_weight(document.len());
            let here = Finding { task: id.parse().ok(), row: Some(("task", nr)), ..log.finding("") };
            let Some(task) = here.task else {
                self.found(Finding { what: format!("{id:?} is no task's id"), ..here });
                continue;
            };
            if last == Some(task) {
                self.found(Finding { what: "it is there twice".to_owned(), ..here.clone() });
            }
            last = Some(task);
            if let Some(what) = wrong(task, hash, &document) {
                self.found(Finding { what, ..here });
            }
            for length in 0..=LONGEST {
                nodes.entry(Prefix::of(task, length)).or_default().replace(task, None, hash);
            }
        }
        self.nodes(log, nodes)
    }

    fn nodes(&mut self, log: &Log, mut nodes: BTreeMap<Prefix, Node>) -> Result<(), StorageError> {
        let sql = "SELECT prefix, digest, tasks FROM node WHERE log = ?1 ORDER BY prefix";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, node_of(row, 1)?));
        for (prefix, told) in self.txn.rows(sql, [log.nr], read)? {
            let node = prefix.parse().ok().and_then(|prefix: Prefix| nodes.remove(&prefix));
            if node != Some(told) {
                let Node { digest, tasks } = node.unwrap_or_default();
                let what = format!(
                    "the node of the tasks {prefix:?} says that they are {} with the digest {}, and they are {tasks} with {digest}",
                    told.tasks, told.digest
                );
                self.found(log.finding(what));
            }
        }
        for prefix in nodes.into_keys() {
            self.found(log.finding(format!("there is no node of the tasks {prefix:?}")));
        }
        Ok(())
    }
}

/// What is wrong with a task, where something is.
fn wrong(id: TaskId, hash: Hash, document: &[u8]) -> Option<String> {
    let Ok(text) = str::from_utf8(document) else { return Some("its document is no text".to_owned()) };
    match Document::parse(text) {
        Err(refusal) => Some(format!("its document cannot be read: {refusal}")),
        Ok(other) if other.id() != id => Some(format!("its document is that of {}", other.id())),
        Ok(document) if document.hash() != hash => {
            Some(format!("its hash is {}, and {hash} is noted", document.hash()))
        }
        Ok(_) => None,
    }
}
