//! What is shown of a task.

use std::str::FromStr;

use tolstoy_tasks::{Calendar, Score, State, Task, TaskId, View};

use super::table::Holds;
use crate::ui::visible;

/// A column of a list of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    /// So much of the id that no two look the same.
    Id,
    /// The state, where it is not plainly open.
    State,
    /// The score.
    Score,
    /// The open tasks that block it.
    Blocked,
    Tags,
    /// A property, by its name.
    Property(String),
}

impl FromStr for Column {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c));
        match text.trim() {
            "id" => Ok(Self::Id),
            "state" => Ok(Self::State),
            "score" => Ok(Self::Score),
            "blocked" => Ok(Self::Blocked),
            "tags" => Ok(Self::Tags),
            name if is_name(name) => Ok(Self::Property(name.to_owned())),
            other => {
                Err(format!("{other:?} is no column: that is id, state, score, blocked, or the name of a property"))
            }
        }
    }
}

/// What the columns of all rows are made with.
pub(super) struct Columns<'c> {
    pub(super) calendar: &'c Calendar,
    pub(super) view: &'c View,
    pub(super) score: &'c Score,
    /// How many characters of ids are shown.
    pub(super) id: usize,
}

impl Column {
    pub(super) fn heading(&self) -> String {
        match self {
            Self::Id => "id".to_owned(),
            Self::State => "state".to_owned(),
            Self::Score => "score".to_owned(),
            Self::Blocked => "blocked".to_owned(),
            Self::Tags => "tags".to_owned(),
            Self::Property(name) => visible(name),
        }
    }

    /// What its cells are.
    pub(super) fn holds(&self) -> Holds {
        match self {
            Self::Id | Self::Blocked => Holds::Ids,
            Self::Property(name) if name == "description" => Holds::Text,
            Self::State | Self::Score | Self::Tags | Self::Property(_) => Holds::Values,
        }
    }

    /// What it shows of a task.
    pub(super) fn of(&self, task: &Task, with: &Columns<'_>) -> String {
        let short = |id: TaskId| id.as_str().get(..with.id).unwrap_or(id.as_str()).to_owned();
        match self {
            Self::Id => short(task.id()),
            Self::State => state(task, with.view).to_owned(),
            Self::Score => format!("{:.2}", with.score.of(task, with.view)),
            Self::Blocked => {
                let open = task.blocked_by().filter(|id| *id != task.id() && with.view.is_open(*id));
                open.map(short).collect::<Vec<_>>().join(" ")
            }
            Self::Tags => {
                let tags: Vec<String> = task.tags().map(|tag| format!("+{tag}")).collect();
                visible(&tags.join(" "))
            }
            Self::Property(name) if name == "description" => in_one_line(task.description()),
            Self::Property(name) => match task.instant(name).and_then(|at| with.calendar.local(at)) {
                Some(at) => at.strftime("%F %H:%M").to_string(),
                None => task.get(name).map_or_else(String::new, |value| {
                    value.as_str().map_or_else(|| in_one_line(&value.exact()), in_one_line)
                }),
            },
        }
    }
}

fn in_one_line(text: &str) -> String {
    let text = visible(text);
    if text.contains('\n') { text.replace('\n', " ") } else { text }
}

/// The state that says most of a task.
fn state(task: &Task, view: &View) -> &'static str {
    let states = [
        (State::Deleted, "deleted"),
        (State::Done, "done"),
        (State::Waiting, "waiting"),
        (State::Snoozed, "snoozed"),
        (State::Blocked, "blocked"),
        (State::Overdue, "overdue"),
    ];
    states.into_iter().find(|(state, _)| view.is(task, *state)).map_or("open", |(_, name)| name)
}
