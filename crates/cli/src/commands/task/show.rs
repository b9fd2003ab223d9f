//! The commands that show tasks.

use std::collections::BTreeMap;

use tolstoy_tasks::driver::{Answer, Offer};
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Filter, Score, State, Task, View};

use super::args::{Filtered, Next, Show, Tags};
use super::place::Place;
use super::{change, misspelt};
use crate::error::Failure;
use crate::facts;
use crate::ui::{BOLD, DIM, Ui, visible};

/// The tasks that a filter asks for, of those in this state unless it speaks of states itself.
fn chosen(place: &mut Place, words: &[String], state: State) -> Result<(Vec<Task>, View), Failure> {
    let filter = Filter::parse(words, &place.calendar).map_err(misspelt)?;
    let tasks = place.list()?;
    let view = View::new(&tasks, place.calendar.now());
    let speaks = words.iter().any(|word| word.contains('@'));
    let is_meant = |task: &Task| (speaks || view.is(task, state)) && filter.matches(task, &view);
    Ok((tasks.into_iter().filter(is_meant).collect(), view))
}

pub(super) fn list(place: &mut Place, args: &Filtered, ui: &mut Ui) -> Result<(), Failure> {
    let (mut tasks, _) = chosen(place, &args.filter, State::Open)?;
    by_due_date(&mut tasks);
    print(place, &tasks, args.output.json, ui)
}

/// What has no due date comes last.
fn by_due_date(tasks: &mut [Task]) {
    tasks.sort_by_cached_key(|task| {
        (task.instant("due").is_none(), task.instant("due"), task.instant("created_at"), task.id())
    });
}

pub(super) fn next(place: &mut Place, args: &Next, ui: &mut Ui) -> Result<(), Failure> {
    let score = Score::parse(&args.score).map_err(misspelt)?;
    let (mut tasks, view) = chosen(place, &args.filter, State::Ready)?;
    by_due_date(&mut tasks);
    let mut scored: Vec<(f64, Task)> = tasks.into_iter().map(|task| (score.of(&task, &view), task)).collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let tasks: Vec<Task> = scored.into_iter().map(|(_, task)| task).collect();
    print(place, &tasks, args.output.json, ui)
}

fn print(place: &mut Place, tasks: &[Task], json: bool, ui: &mut Ui) -> Result<(), Failure> {
    change::tell(place, ui);
    if json {
        return ui.line(Json::Array(tasks.iter().map(Task::to_json).collect()).exact());
    }
    // So many characters of ids are shown that no two look the same, and five at least.
    let mut ids: Vec<&str> = tasks.iter().map(|task| task.id_str()).collect();
    ids.sort_unstable();
    let common = |pair: &[&str]| match pair {
        [a, b] => a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count() + 1,
        _ => 0,
    };
    let shown = ids.windows(2).map(common).max().unwrap_or(0).max(5);
    let rows: Vec<Vec<String>> = tasks.iter().map(|task| row(place, task, shown)).collect();
    if !rows.is_empty() {
        ui.table(&["id", "due", "description", "tags"].map(str::to_owned), &rows)?;
    }
    let count = ui.paint(DIM, facts::count(tasks.len() as u64, "task"));
    ui.line(count)
}

fn row(place: &Place, task: &Task, shown: usize) -> Vec<String> {
    let due = task.instant("due").and_then(|due| place.calendar.local(due));
    let due = due.map(|due| due.strftime("%F %H:%M").to_string()).unwrap_or_default();
    let tags: Vec<String> = task.tags().map(|tag| format!("+{tag}")).collect();
    let id = task.id_str().get(..shown).unwrap_or(task.id_str());
    vec![id.to_owned(), due, visible(task.description()), visible(&tags.join(" "))]
}

pub(super) fn show(place: &mut Place, args: &Show, ui: &mut Ui) -> Result<(), Failure> {
    let id = place.named(&args.id)?;
    let document = place.read(id)?;
    change::tell(place, ui);
    if args.output.json {
        return ui.line(document.to_json().exact());
    }
    ui.line(format!("{} {id}", ui.paint(BOLD, "id")))?;
    for (name, value) in document.task().properties() {
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

pub(super) fn export(place: &mut Place, args: &Filtered, ui: &mut Ui) -> Result<(), Failure> {
    let (tasks, _) = chosen(place, &args.filter, State::All)?;
    let offers: Vec<Offer> = tasks.iter().map(|task| Offer::nothing(task.id())).collect();
    let answers = place.exchange(&offers)?;
    change::tell(place, ui);
    let documents = answers.into_iter().filter_map(|answer| match answer {
        Answer::Stands(document) => document.map(|document| document.to_json().exact()),
        Answer::Refused(_) => None,
    });
    let lines: Vec<String> = documents.collect();
    // A task to a line, unless one line is asked for.
    let (start, between) = if args.output.json || lines.is_empty() { ("", ",") } else { ("\n", ",\n") };
    ui.line(format!("[{start}{}{start}]", lines.join(between)))
}
