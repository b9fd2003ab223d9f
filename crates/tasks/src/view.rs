//! All tasks together: what one of them means for the others.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;

use crate::{Task, TaskId};

/// A state that a task can be in, among all tasks and at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Neither done nor deleted.
    Open,
    /// Done, and not deleted.
    Done,
    /// Deleted.
    Deleted,
    /// Open, and planned for later.
    Waiting,
    /// Open, and put off.
    Snoozed,
    /// Open, and a task that blocks it is open.
    Blocked,
    /// Open, and blocks an open task.
    Blocking,
    /// Open, and comes back.
    Recurring,
    /// Open, and due in the past.
    Overdue,
    /// Open, and neither waiting nor snoozed nor blocked.
    Ready,
    /// Any.
    All,
}

impl State {
    /// All states with their names.
    pub const ALL: [(&'static str, Self); 11] = [
        ("open", Self::Open),
        ("done", Self::Done),
        ("deleted", Self::Deleted),
        ("waiting", Self::Waiting),
        ("snoozed", Self::Snoozed),
        ("blocked", Self::Blocked),
        ("blocking", Self::Blocking),
        ("recurring", Self::Recurring),
        ("overdue", Self::Overdue),
        ("ready", Self::Ready),
        ("all", Self::All),
    ];

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, state)| state)
    }
}

/// All tasks at some time.
#[derive(Debug, Clone)]
pub struct View {
    now: Instant,
    /// In order.
    open: Vec<TaskId>,
    /// How many open tasks each task blocks.
    blocks: BTreeMap<TaskId, usize>,
}

impl View {
    /// These tasks now.
    pub fn new<'t>(tasks: impl IntoIterator<Item = &'t Task>, now: Instant) -> Self {
        let (mut open, mut blocks) = (Vec::new(), BTreeMap::new());
        for task in tasks.into_iter().filter(|task| task.is_open()) {
            open.push(task.id());
            let others: BTreeSet<TaskId> = task.blocked_by().filter(|other| *other != task.id()).collect();
            others.into_iter().for_each(|other| *blocks.entry(other).or_default() += 1);
        }
        open.sort_unstable();
        Self { now, open, blocks }
    }

    /// The time of the view.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Whether the task with this id is there, and open.
    pub fn is_open(&self, id: TaskId) -> bool {
        self.open.binary_search(&id).is_ok()
    }

    /// How many open tasks a task blocks; none where it is not open itself.
    pub fn blocks(&self, task: &Task) -> usize {
        if task.is_open() { self.blocks.get(&task.id()).copied().unwrap_or(0) } else { 0 }
    }

    /// Whether a task is in a state.
    pub fn is(&self, task: &Task, state: State) -> bool {
        let to_come = |property: &str| task.instant(property).is_some_and(|at| at > self.now);
        match state {
            State::All => true,
            State::Deleted => task.is_deleted(),
            State::Done => task.is_done() && !task.is_deleted(),
            _ if !task.is_open() => false,
            State::Open => true,
            State::Waiting => to_come("wait"),
            State::Snoozed => to_come("snooze"),
            State::Blocked => task.blocked_by().any(|other| other != task.id() && self.is_open(other)),
            State::Blocking => self.blocks(task) > 0,
            State::Recurring => task.text("recur").is_some(),
            State::Overdue => task.instant("due").is_some_and(|due| due < self.now),
            State::Ready => ![State::Waiting, State::Snoozed, State::Blocked].iter().any(|state| self.is(task, *state)),
        }
    }
}
