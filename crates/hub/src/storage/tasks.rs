//! Tasks, and the tree of their hashes.

use std::collections::BTreeMap;

use tolstoy_tasks::{Hash, Node, Prefix, TaskId};

use super::{Life, StorageError};

/// What a task weighs beside its document, for its rows.
const TASK_WEIGHT: u64 = 100;

/// What a task weighs whose document has so many bytes.
pub fn task_weight(bytes: usize) -> u64 {
    TASK_WEIGHT.saturating_add(bytes as u64)
}

/// A task as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTask {
    /// The content hash of its document.
    pub hash: Hash,
    /// The document.
    pub text: String,
}

/// Reads tasks. Every method fails where the storage failed.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait ReadTasks {
    /// A task.
    fn task(&self, life: Life, id: TaskId) -> Result<Option<KeptTask>, StorageError>;

    /// The hashes of the tasks whose ids begin so, after this one, in the order of their ids, at most `limit`.
    fn task_hashes(
        &self,
        life: Life,
        prefix: Prefix,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<Vec<(TaskId, Hash)>, StorageError>;

    /// The node of the tasks whose ids begin so. It costs little where the prefix is short; else a look at each task.
    fn task_node(&self, life: Life, prefix: Prefix) -> Result<Node, StorageError>;

    /// The nodes with tasks whose prefixes are one character longer. It costs as much as [`ReadTasks::task_node`].
    fn task_nodes(&self, life: Life, prefix: Prefix) -> Result<BTreeMap<Prefix, Node>, StorageError>;
}

/// Writes tasks.
pub trait WriteTasks {
    /// Puts a task, in the place of what there is of it.
    ///
    /// # Errors
    /// Where the storage failed.
    fn put_task(&mut self, life: Life, id: TaskId, task: &KeptTask) -> Result<(), StorageError>;
}

/// The nodes of these tasks, by the prefixes of this length.
pub(super) fn nodes_of(tasks: &[(TaskId, Hash)], length: usize) -> BTreeMap<Prefix, Node> {
    let mut nodes = BTreeMap::<Prefix, Node>::new();
    for (id, hash) in tasks {
        nodes.entry(Prefix::of(*id, length)).or_default().replace(*id, None, *hash);
    }
    nodes
}
