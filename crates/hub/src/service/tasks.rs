//! The rules of tasks: what comes is resolved with what is here, within the write that keeps it. `docs/tasks.md` has the format.
//!
//! > Who posts at the same time as others loses nothing: each resolves with what the one before has written.

use std::collections::BTreeMap;

use tolstoy_proto::{LogId, Quota};
use tolstoy_tasks::driver::Offer;
use tolstoy_tasks::interchange::{Below, FULL_ANSWER_BYTES, MAX_LISTED, Offered, Told};
use tolstoy_tasks::{Document, Hash, Node, Prefix, Refusal, TaskId, resolve};

use super::{Answer, Service, View};
use crate::storage::{KeptTask, Life, ReadTxn, StorageError, task_weight};

/// Tasks that are looked at for one answer about nodes, beyond which it has no further node.
const LOOKED_AT: u64 = 1 << 16;

/// An offer, ready to be written.
#[derive(Debug, Clone)]
pub struct TaskOffer {
    id: TaskId,
    state: Result<Option<Ready>, Refusal>,
}

/// A document, with what is kept of it.
#[derive(Debug, Clone)]
struct Ready {
    document: Document,
    kept: KeptTask,
}

impl From<Offered> for TaskOffer {
    /// Hashes the document, so that the write need not.
    fn from(offered: Offered) -> Self {
        match offered {
            Ok(offer) => Self { id: offer.id(), state: Ok(offer.state().cloned().map(Ready::of)) },
            Err((id, refusal)) => Self { id, state: Err(refusal) },
        }
    }
}

impl From<Offer> for TaskOffer {
    fn from(offer: Offer) -> Self {
        Ok(offer).into()
    }
}

impl TaskOffer {
    /// Whose it is.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Whether it only asks, or nothing of it is taken: there is nothing to write.
    pub fn only_asks(&self) -> bool {
        !matches!(self.state, Ok(Some(_)))
    }
}

impl Ready {
    fn of(document: Document) -> Self {
        let kept = KeptTask { hash: document.hash(), text: document.text() };
        Self { document, kept }
    }
}

/// What becomes of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskAnswer {
    /// This stands now; none: there is no such task on either side.
    Stands(Option<String>),
    /// It is refused, and what is here stays as it is.
    Refused(Refusal),
}

/// How an exchange of tasks ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TasksOutcome {
    /// The answers to the offers, in their order; to the first of them, where the answers are long.
    Answered(Vec<TaskAnswer>),
    /// The log would hold more than it may. Nothing was changed.
    Quota(Quota),
}

impl Service {
    /// Resolves each offer with what is here, and answers what stands then.
    pub fn exchange_tasks(&self, log: LogId, offers: Vec<TaskOffer>) -> Answer<TasksOutcome> {
        let service = self.clone();
        self.change(log, move |txn, moved| {
            let view = View::of(txn, log)?;
            let mut plan = Plan { life: view.life(), tasks: BTreeMap::new() };
            let answers = plan.answers(txn, &offers)?;
            if let Some(quota) = service.over_quota(txn, &view, plan.growth(), 0)? {
                return Ok(TasksOutcome::Quota(quota));
            }
            let changed: Vec<_> = plan.changed().collect();
            if !changed.is_empty() {
                let (life, _) = view.living(txn, &service.shared.env)?;
                changed.into_iter().try_for_each(|(id, task)| txn.put_task(life, id, task))?;
                service.stamp(txn, life)?;
                *moved = true;
            }
            Ok(TasksOutcome::Answered(answers))
        })
    }

    /// The same for offers that only ask.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn tasks(&self, log: LogId, offers: &[TaskOffer]) -> Result<Vec<TaskAnswer>, StorageError> {
        self.read(|txn| {
            let mut plan = Plan { life: View::of(txn, log)?.life(), tasks: BTreeMap::new() };
            plan.answers(txn, offers)
        })
    }

    /// The node of the tasks whose ids begin so.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn task_node(&self, log: LogId, prefix: Prefix) -> Result<Node, StorageError> {
        self.read(|txn| View::of(txn, log)?.life().map_or(Ok(Node::default()), |life| txn.task_node(life, prefix)))
    }

    /// The hashes of the tasks after this one, in the order of their ids, at most `limit`; and the node of all tasks.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn task_hashes(
        &self,
        log: LogId,
        after: Option<TaskId>,
        limit: usize,
    ) -> Result<(Vec<(TaskId, Hash)>, Node), StorageError> {
        self.read(|txn| match View::of(txn, log)?.life() {
            None => Ok((Vec::new(), Node::default())),
            Some(life) => Ok((txn.task_hashes(life, Prefix::ROOT, after, limit)?, txn.task_node(life, Prefix::ROOT)?)),
        })
    }

    /// What is to be told of these nodes; of the first of them, where that takes many looks.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn task_tree(&self, log: LogId, prefixes: &[Prefix]) -> Result<Vec<(Prefix, Told)>, StorageError> {
        self.read(|txn| {
            let life = View::of(txn, log)?.life();
            let (mut told, mut looked_at) = (Vec::new(), 0_u64);
            for prefix in prefixes {
                if looked_at > LOOKED_AT {
                    break;
                }
                let of_node = life.map_or_else(|| Ok(nothing()), |life| tell(txn, life, *prefix))?;
                looked_at = looked_at.saturating_add(of_node.node.tasks);
                told.push((*prefix, of_node));
            }
            Ok(told)
        })
    }
}

fn nothing() -> Told {
    Told { node: Node::default(), below: Below::Hashes(BTreeMap::new()) }
}

fn tell(txn: &dyn ReadTxn, life: Life, prefix: Prefix) -> Result<Told, StorageError> {
    let node = txn.task_node(life, prefix)?;
    let below = if node.tasks <= MAX_LISTED as u64 {
        Below::Hashes(txn.task_hashes(life, prefix, None, MAX_LISTED)?.into_iter().collect())
    } else {
        Below::Nodes(txn.task_nodes(life, prefix)?)
    };
    Ok(Told { node, below })
}

/// What an exchange comes to before anything is written: tasks as they are, and as they are to be.
struct Plan {
    life: Option<Life>,
    tasks: BTreeMap<TaskId, Planned>,
}

#[derive(Default)]
struct Planned {
    /// What the task weighs now; 0 where it is not here.
    weighs: u64,
    task: Option<KeptTask>,
    is_changed: bool,
}

impl Plan {
    fn answers<T: ReadTxn + ?Sized>(&mut self, txn: &T, offers: &[TaskOffer]) -> Result<Vec<TaskAnswer>, StorageError> {
        let (mut answers, mut bytes) = (Vec::with_capacity(offers.len()), 0);
        for offer in offers {
            if bytes > FULL_ANSWER_BYTES {
                break;
            }
            let answer = self.take(txn, offer)?;
            bytes += match &answer {
                TaskAnswer::Stands(Some(text)) => text.len(),
                TaskAnswer::Stands(None) | TaskAnswer::Refused(_) => 0,
            };
            answers.push(answer);
        }
        Ok(answers)
    }

    fn take<T: ReadTxn + ?Sized>(&mut self, txn: &T, offer: &TaskOffer) -> Result<TaskAnswer, StorageError> {
        let offered = match &offer.state {
            Err(refusal) => return Ok(TaskAnswer::Refused(refusal.clone())),
            Ok(offered) => offered,
        };
        let planned = self.planned(txn, offer.id)?;
        if let Some(offered) = offered {
            match planned.task.as_ref().map_or_else(|| Ok(Some(offered.kept.clone())), |here| resolved(here, offered)) {
                Err(refusal) => return Ok(TaskAnswer::Refused(refusal)),
                Ok(None) => {}
                Ok(Some(task)) => {
                    planned.task = Some(task);
                    planned.is_changed = true;
                }
            }
        }
        Ok(TaskAnswer::Stands(planned.task.as_ref().map(|task| task.text.clone())))
    }

    fn planned<T: ReadTxn + ?Sized>(&mut self, txn: &T, id: TaskId) -> Result<&mut Planned, StorageError> {
        use std::collections::btree_map::Entry;
        match self.tasks.entry(id) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(free) => {
                let task = self.life.map_or(Ok(None), |life| txn.task(life, id))?;
                let weighs = task.as_ref().map_or(0, |task| task_weight(task.text.len()));
                Ok(free.insert(Planned { weighs, task, is_changed: false }))
            }
        }
    }

    fn changed(&self) -> impl Iterator<Item = (TaskId, &KeptTask)> {
        let changed = self.tasks.iter().filter(|(_, planned)| planned.is_changed);
        changed.filter_map(|(id, planned)| Some((*id, planned.task.as_ref()?)))
    }

    /// How many bytes the log will hold more.
    fn growth(&self) -> u64 {
        let changed = self.tasks.values().filter(|planned| planned.is_changed);
        let (before, after) = changed.fold((0_u64, 0_u64), |(before, after), planned| {
            let now = planned.task.as_ref().map_or(0, |task| task_weight(task.text.len()));
            (before + planned.weighs, after + now)
        });
        after.saturating_sub(before)
    }
}

/// What is here and what is offered come to; none: what is here stays.
fn resolved(here: &KeptTask, offered: &Ready) -> Result<Option<KeptTask>, Refusal> {
    if here.hash == offered.kept.hash {
        return Ok(None);
    }
    let document = Document::parse(&here.text).map_err(|Refusal(why)| {
        Refusal(format!("what the hub has of it is damaged ({why}): its owner should run `tolstoy fsck`"))
    })?;
    let resolved = resolve(&document, &offered.document)?;
    let kept = if resolved == offered.document { offered.kept.clone() } else { Ready::of(resolved).kept };
    Ok((kept.hash != here.hash).then_some(kept))
}
