//! The commands that show tasks.

use std::collections::BTreeMap;

use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Filter, Score, State, Task, TaskId, View};

use super::args::{List, Next, Show, Tags};
use super::colours::{Rule, look};
use super::columns::{Column, Columns};
use super::place::Place;
use super::settings::{COLUMNS, TaskSettings};
use super::table::{Holds, Row};
use super::{change, misspelt, table};
use crate::error::Failure;
use crate::facts;
use crate::ui::{BOLD, DIM, Ui, visible};

/// The tasks that a filter asks for, of those in this state unless it speaks of states itself.
pub(super) fn chosen(place: &mut Place, words: &[String], state: State) -> Result<(Vec<Task>, View), Failure> {
    let filter = Filter::parse(words, &place.calendar).map_err(misspelt)?;
    let mut tasks = place.list()?;
    let view = View::new(&tasks, place.calendar.now());
    let speaks = words.iter().any(|word| word.contains('@'));
    tasks.retain(|task| (speaks || view.is(task, state)) && filter.matches(task, &view));
    Ok((tasks, view))
}

pub(super) fn list(place: &mut Place, args: &List, settings: &TaskSettings, ui: &mut Ui) -> Result<(), Failure> {
    let (mut tasks, view) = chosen(place, &args.filter, State::Open)?;
    by_due_date(&mut tasks);
    if args.output.json {
        return print_json(place, &tasks, ui);
    }
    let mut columns = args.columns.clone().unwrap_or_else(|| settings.list_columns.clone());
    // What is over is told apart, unless somebody chose the columns.
    let are_usual = COLUMNS.iter().map(|name| name.parse()).eq(columns.iter().cloned().map(Ok));
    if are_usual && tasks.iter().any(|task| !task.is_open()) {
        columns.insert(1, Column::State);
    }
    let score = Score::parse(&settings.score).map_err(misspelt)?;
    print(place, Shown { tasks, view, score, columns }, settings, ui)
}

/// What has no due date comes last.
fn by_due_date(tasks: &mut [Task]) {
    tasks.sort_by_cached_key(|task| {
        (task.instant("due").is_none(), task.instant("due"), task.instant("created_at"), task.id())
    });
}

pub(super) fn next(place: &mut Place, args: &Next, settings: &TaskSettings, ui: &mut Ui) -> Result<(), Failure> {
    let score = Score::parse(args.score.as_ref().unwrap_or(&settings.score)).map_err(misspelt)?;
    let (mut tasks, view) = chosen(place, &args.filter, State::Ready)?;
    by_due_date(&mut tasks);
    let mut scored: Vec<(f64, Task)> = tasks.into_iter().map(|task| (score.of(&task, &view), task)).collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let tasks: Vec<Task> = scored.into_iter().map(|(_, task)| task).collect();
    if args.output.json {
        return print_json(place, &tasks, ui);
    }
    let columns = args.columns.clone().unwrap_or_else(|| settings.next_columns.clone());
    print(place, Shown { tasks, view, score, columns }, settings, ui)
}

fn print_json(place: &mut Place, tasks: &[Task], ui: &mut Ui) -> Result<(), Failure> {
    change::tell(place, ui);
    ui.line(Json::Array(tasks.iter().map(Task::to_json).collect()).exact())
}

/// What is shown, and how.
struct Shown {
    tasks: Vec<Task>,
    view: View,
    score: Score,
    columns: Vec<Column>,
}

fn print(place: &mut Place, shown: Shown, settings: &TaskSettings, ui: &mut Ui) -> Result<(), Failure> {
    change::tell(place, ui);
    let Shown { tasks, view, score, columns } = shown;
    let with = Columns { calendar: &place.calendar, view: &view, score: &score, id: id_length(&tasks) };
    let rules = if ui.out_is_colourful() {
        let rules = settings.colours.iter().map(|rule| Rule::parse(rule, &place.calendar));
        rules.collect::<Result<Vec<_>, _>>().map_err(misspelt)?
    } else {
        Vec::new()
    };
    let row = |task: &Task| Row {
        cells: columns.iter().map(|column| column.of(task, &with)).collect(),
        style: look(&rules, task, &view),
    };
    let rows: Vec<Row> = tasks.iter().map(row).collect();
    if !rows.is_empty() {
        let heading: Vec<String> = columns.iter().map(Column::heading).collect();
        let holds: Vec<Holds> = columns.iter().map(Column::holds).collect();
        table::print(&heading, &holds, &rows, ui)?;
    }
    let count = ui.paint(DIM, facts::count(tasks.len() as u64, "task"));
    ui.line(count)
}

/// So many characters of ids are shown that no two look the same, and five at least.
fn id_length(tasks: &[Task]) -> usize {
    let mut ids: Vec<TaskId> = tasks.iter().map(Task::id).collect();
    ids.sort_unstable();
    let common = |pair: &[TaskId]| match pair {
        [a, b] => a.as_str().bytes().zip(b.as_str().bytes()).take_while(|(a, b)| a == b).count() + 1,
        _ => 0,
    };
    ids.windows(2).map(common).max().unwrap_or(0).max(5)
}

pub(super) fn show(place: &mut Place, args: &Show, ui: &mut Ui) -> Result<(), Failure> {
    let id = place.named(&args.id)?;
    let document = place.read(id)?;
    change::tell(place, ui);
    if args.output.json {
        return ui.line(document.to_json().exact());
    }
    ui.line(format!("{} {id}", ui.paint(BOLD, "id")))?;
    for (name, value) in document.task().properties().iter() {
        let text = value.as_str().map_or_else(|| value.exact(), str::to_owned);
        ui.line(format!("{} {}", ui.paint(BOLD, visible(name)), visible(&text)))?;
    }
    for lost in document.journal() {
        let value = lost.value.map_or_else(|| "(removed)".to_owned(), |value| value.exact());
        let by = lost.clock.split('/').next().unwrap_or_default().to_owned();
        ui.line(ui.paint(DIM, format!("lost in a conflict: {} {} of {by}", visible(&lost.property), visible(&value))))?;
    }
    Ok(())
}

pub(super) fn tags(place: &mut Place, args: &Tags, ui: &mut Ui) -> Result<(), Failure> {
    let (tasks, _) = chosen(place, &[], State::Open)?;
    change::tell(place, ui);
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    tasks.iter().flat_map(Task::tags).for_each(|tag| *counts.entry(tag).or_default() += 1);
    if args.output.json {
        let counts = counts.into_iter().map(|(tag, count)| (tag.to_owned(), Json::Number(count.into())));
        return ui.line(Json::Object(counts.collect()).exact());
    }
    counts.into_iter().try_for_each(|(tag, count)| ui.line(format!("{count:>5} +{}", visible(tag))))
}
