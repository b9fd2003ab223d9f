//! Tasks from files and into them: `import` and `export`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use tolstoy_tasks::driver::{Answer, Offer};
use tolstoy_tasks::json::{Json, Limits, read};
use tolstoy_tasks::taskwarrior::{Foreign, to_taskwarrior};
use tolstoy_tasks::{Document, MAX_DEPTH, State, Task, TaskId};
use uuid::Uuid;

use super::args::{Export, Format, Import};
use super::place::Place;
use super::{change, misspelt, replica, show};
use crate::error::{Failure, Kind};
use crate::facts;
use crate::ui::Ui;

/// The most bytes of an import.
const MAX_IMPORT: usize = 256 << 20;
/// Tasks in an array: one level more than a task has.
const LIMITS: Limits = Limits { bytes: MAX_IMPORT, depth: MAX_DEPTH + 1 };

pub(super) fn import(place: &mut Place, args: &Import, ui: &mut Ui) -> Result<(), Failure> {
    let (name, entries, format) = match (&args.taskchampion, &args.file) {
        (Some(path), _) => (path.display().to_string(), replica::read(path)?, Format::Taskwarrior),
        (None, Some(file)) => {
            let name = if file == Path::new("-") { "<stdin>".to_owned() } else { file.display().to_string() };
            let entries = parse(&name, &text_of(file, &name)?)?;
            let format = args.format.unwrap_or_else(|| recognise(&entries));
            (name, entries, format)
        }
        (None, None) => return Err(Failure::new(Kind::Usage, "a file to import is missing")),
    };
    let offers = match format {
        Format::Tolstoy => documents(&name, entries)?,
        Format::Taskwarrior => of_taskwarrior(place, &name, entries, ui)?,
    };
    let answers = place.exchange(&offers)?;
    let refusals: Vec<String> = offers
        .iter()
        .zip(&answers)
        .filter_map(|(offer, answer)| match answer {
            Answer::Refused(refusal) => Some(format!("{}: {refusal}", offer.id())),
            Answer::Stands(_) => None,
        })
        .collect();
    change::tell(place, ui);
    ui.line(format!("{name}: {}", facts::count((offers.len() - refusals.len()) as u64, "task")))?;
    if refusals.is_empty() { Ok(()) } else { Err(Failure::new(Kind::Refused, refusals.join("; "))) }
}

fn text_of(file: &Path, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    // One byte more shows that there is too much.
    let most = MAX_IMPORT as u64 + 1;
    let read_whole = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read_whole.map_err(|e| Failure::io(name, &e))?;
    String::from_utf8(bytes).map_err(|error| Failure::not_utf8(name, &error, 0))
}

/// The entries of an array; or one object, or an object on each line, as Taskwarrior has them too.
fn parse(name: &str, text: &str) -> Result<Vec<Json>, Failure> {
    match read(text, LIMITS) {
        Ok(Json::Array(entries)) => Ok(entries),
        Ok(task @ Json::Object(_)) => Ok(vec![task]),
        Ok(other) => Err(misspelt(format!(
            "{name}: this is {}; an array of tasks is expected, as export prints it",
            other.describe()
        ))),
        Err(fault) => {
            let lines: Option<Vec<Json>> = text
                .lines()
                .map(|line| line.trim().trim_end_matches(','))
                .filter(|line| !line.is_empty())
                .map(|line| read(line, LIMITS).ok().filter(|json| json.as_object().is_some()))
                .collect();
            lines.filter(|lines| !lines.is_empty()).ok_or_else(|| misspelt(format!("{name}: {fault}")))
        }
    }
}

/// Taskwarrior's tasks have UUIDs; ours have ids that are texts, and may have a UUID from there beside.
fn recognise(entries: &[Json]) -> Format {
    let is_theirs = |entry: &Json| {
        entry
            .as_object()
            .is_some_and(|task| task.contains_key("uuid") && task.get("id").and_then(Json::as_str).is_none())
    };
    if entries.first().is_some_and(is_theirs) { Format::Taskwarrior } else { Format::Tolstoy }
}

fn documents(name: &str, entries: Vec<Json>) -> Result<Vec<Offer>, Failure> {
    let read = |(n, entry)| {
        let document = Document::from_json(entry).map_err(|e| misspelt(format!("{name}: task {}: {e}", n + 1)));
        document.map(Offer::of)
    };
    entries.into_iter().enumerate().map(read).collect()
}

/// What becomes of Taskwarrior's tasks and what is here.
fn of_taskwarrior(place: &mut Place, name: &str, entries: Vec<Json>, ui: &Ui) -> Result<Vec<Offer>, Failure> {
    let mut tasks = Vec::new();
    for (n, entry) in entries.into_iter().enumerate() {
        tasks.push(Foreign::read(entry).map_err(|e| misspelt(format!("{name}: task {}: {e}", n + 1)))?);
    }
    let asked: Vec<Offer> = tasks.iter().map(|task| Offer::nothing(task.id())).collect();
    let mut here: BTreeMap<TaskId, Document> = BTreeMap::new();
    for (offer, answer) in asked.iter().zip(place.exchange(&asked)?) {
        if let Answer::Stands(Some(document)) = answer {
            here.insert(offer.id(), document);
        }
    }
    for (n, task) in tasks.iter().enumerate() {
        let document = task.onto(here.get(&task.id()));
        let document = document.map_err(|e| misspelt(format!("{name}: task {}: {e}", n + 1)))?;
        here.insert(task.id(), document);
    }
    let templates = tasks.iter().filter(|task| task.is_template()).count();
    if templates > 0 {
        ui.note(format!(
            "note: {} of recurring tasks is kept among the done ones; `tolstoy task modify ID recur:1w` has a task come back here",
            facts::count(templates as u64, "template")
        ));
    }
    let mut seen = std::collections::BTreeSet::new();
    let ids = tasks.iter().map(Foreign::id).filter(|id| seen.insert(*id));
    Ok(ids.filter_map(|id| here.get(&id).cloned()).map(Offer::of).collect())
}

pub(super) fn export(place: &mut Place, args: &Export, ui: &mut Ui) -> Result<(), Failure> {
    let (tasks, _) = show::chosen(place, &args.filter, State::All)?;
    let lines = match args.format {
        Format::Tolstoy => as_documents(place, &tasks)?,
        Format::Taskwarrior => as_taskwarrior(place, &tasks)?,
    };
    change::tell(place, ui);
    // A task to a line, unless one line is asked for.
    let (start, between) = if args.output.json || lines.is_empty() { ("", ",") } else { ("\n", ",\n") };
    ui.line(format!("[{start}{}{start}]", lines.join(between)))
}

fn as_documents(place: &mut Place, tasks: &[Task]) -> Result<Vec<String>, Failure> {
    let offers: Vec<Offer> = tasks.iter().map(|task| Offer::nothing(task.id())).collect();
    let documents = place.exchange(&offers)?.into_iter().filter_map(|answer| match answer {
        Answer::Stands(document) => document.map(|document| document.to_json().exact()),
        Answer::Refused(_) => None,
    });
    Ok(documents.collect())
}

fn as_taskwarrior(place: &mut Place, tasks: &[Task]) -> Result<Vec<String>, Failure> {
    let mut uuids: BTreeMap<TaskId, Uuid> = BTreeMap::new();
    for task in place.list()? {
        let uuid = task.text("uuid").and_then(|uuid| Uuid::try_parse(uuid).ok());
        uuids.extend(uuid.map(|uuid| (task.id(), uuid)));
    }
    let known = |id: TaskId| uuids.get(&id).copied();
    Ok(tasks.iter().map(|task| to_taskwarrior(task, place.author.now, &known).exact()).collect())
}
