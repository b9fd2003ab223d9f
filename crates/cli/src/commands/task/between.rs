//! The commands between places: `sync` and `move`.

use std::path::{Path, PathBuf};

use serde_json::json;
use tolstoy_env::Env;
use tolstoy_tasks::driver::Driver;
use tolstoy_tasks::{Moved, ReconcileError, Report, Side, Source, reconcile_all, relocate};

use super::args::{Move, SyncWith};
use super::place::{self, Opening, Place};
use super::settings::TaskSettings;
use super::{hub, taskchampion};
use crate::args::Access;
use crate::error::{Failure, Kind};
use crate::facts;
use crate::ui::Ui;

pub(super) fn sync(
    place: &mut Place,
    args: &SyncWith,
    settings: &TaskSettings,
    access: &Access,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let opening = Opening { access, create: true, told: true, commit: settings.commit, everywhere: true };
    let (mut paths, mut upstreams, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for said in &args.places {
        let begun = hub::begin(said, &place.env)?;
        let path = begun.as_ref().unwrap_or(said).clone();
        if is_same(&place.path, &path) {
            let message = format!("{}: these are the tasks that the others are brought in step with", path.display());
            return Err(Failure::new(Kind::Usage, message));
        }
        match place::open(&path, opening, &place.env, ui) {
            Ok(upstream) => {
                paths.push(path);
                upstreams.push(upstream);
            }
            // The others go on.
            Err(failure) => failures.push((path, failure)),
        }
    }
    let results = reconcile_all(&mut *place.driver, &mut upstreams);
    if args.output.json {
        let synced = paths.iter().zip(&results).map(|(path, result)| synced_as_json(path, result));
        let failed = failures.iter().map(|(path, failure)| failed_as_json(path, &failure.message));
        ui.json(&synced.chain(failed).collect::<Vec<_>>())?;
    } else {
        for (path, result) in paths.iter().zip(&results) {
            if let Ok(report) = result {
                tell_synced(path, report, ui)?;
            }
        }
        let made = paths.iter().zip(&results).filter(|(path, result)| result.is_ok() && !args.places.contains(*path));
        made.for_each(|(path, _)| ui.note(format!("new log; on another device: tolstoy task sync {}", path.display())));
    }
    let refused = paths.iter().zip(results).filter_map(|(path, result)| match result {
        Ok(report) => refusals(path, &report),
        Err(error) => Some(failed(&place.path, path, &error)),
    });
    first_of(failures.into_iter().map(|(_, failure)| failure).chain(refused))
}

/// The first failure, with what the others say.
fn first_of(mut failures: impl Iterator<Item = Failure>) -> Result<(), Failure> {
    let Some(mut first) = failures.next() else { return Ok(()) };
    for other in failures {
        first.message.push_str("; ");
        first.message.push_str(&other.message);
    }
    Err(first)
}

fn failed(here: &Path, there: &Path, error: &ReconcileError) -> Failure {
    let mut failure = place::failure(&error.error);
    let side = if error.side == Side::Here { here } else { there };
    let name = side.display().to_string();
    // What a hub says begins with its address, and so does the place's name.
    let told = failure.message.split_once(": ").filter(|(begin, _)| name.starts_with(*begin)).map(|(_, rest)| rest);
    failure.message = format!("{name}: {}", told.unwrap_or(&failure.message));
    failure
}

/// What was refused, as a failure.
fn refusals(path: &Path, report: &Report) -> Option<Failure> {
    let told: Vec<String> = report.refused.iter().map(|(id, (_, why))| format!("{id}: {why}")).collect();
    (!told.is_empty()).then(|| Failure::new(Kind::Refused, format!("{}: {}", path.display(), told.join("; "))))
}

fn tell_synced(path: &Path, report: &Report, ui: &mut Ui) -> Result<(), Failure> {
    tell_troubles(report, ui);
    let name = path.display();
    let came = facts::count(report.came.len() as u64, "task");
    let went = facts::count(report.went.len() as u64, "task");
    if report.came.is_empty() && report.went.is_empty() {
        ui.line(format!("{name}: nothing to do"))?;
    } else {
        ui.line(format!("{name}: {came} came, {went} went"))?;
    }
    tell_lost(report, ui);
    if !report.in_step {
        ui.note(format!("note: {name}: somebody goes on writing; sync again"));
    }
    Ok(())
}

fn tell_lost(report: &Report, ui: &Ui) {
    for (id, lost) in &report.lost {
        ui.note(format!(
            "note: {id}: both sides changed {}; `tolstoy task show {id}` shows what does not stand",
            lost.property
        ));
    }
}

fn tell_troubles(report: &Report, ui: &Ui) {
    report.troubles.values().flatten().for_each(|trouble| ui.note(format!("note: {trouble}")));
}

fn failed_as_json(path: &Path, why: &str) -> serde_json::Value {
    json!({ "place": path.display().to_string(), "failed": why })
}

fn synced_as_json(path: &Path, result: &Result<Report, ReconcileError>) -> serde_json::Value {
    let place = path.display().to_string();
    match result {
        Err(error) => failed_as_json(path, &error.to_string()),
        Ok(report) => json!({
            "place": place,
            "failed": null,
            "came": report.came.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "went": report.went.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "refused": report.refused.iter().map(|(id, (_, why))| json!({ "id": id.to_string(), "why": why.to_string() })).collect::<Vec<_>>(),
            "lost": report.lost.iter().map(|(id, lost)| json!({ "id": id.to_string(), "property": lost.property })).collect::<Vec<_>>(),
            "troubles": report.troubles.values().flatten().map(ToString::to_string).collect::<Vec<_>>(),
            "in_step": report.in_step,
        }),
    }
}

pub(super) fn relocate_all(
    args: &Move,
    settings: &TaskSettings,
    access: &Access,
    env: &Env,
    ui: &mut Ui,
) -> Result<(), Failure> {
    if is_same(&args.from, &args.to) {
        let message = format!("{} and {} are one place", args.from.display(), args.to.display());
        return Err(Failure::new(Kind::Usage, message));
    }
    let is_shared = hub::remote(&args.from)?.is_some() || taskchampion::settings(&args.from).is_some();
    if is_shared && !args.keep {
        let message = format!("{}: a hub lets go of no tasks, which others may have there", args.from.display());
        return Err(Failure::new(Kind::Refused, message).hint("--keep copies the tasks"));
    }
    let source = Opening {
        access,
        create: false,
        told: false,
        commit: settings.commit,
        everywhere: args.keep || args.everywhere,
    };
    let mut from: Box<dyn Driver> = place::open(&args.from, source, env, ui)?;
    let target = Opening { access, create: true, told: true, commit: settings.commit, everywhere: true };
    let mut to: Box<dyn Driver> = place::open(&args.to, target, env, ui)?;
    let what = if args.keep { Source::Keeps } else { Source::LetsGo };
    let moved = relocate(&mut *from, &mut *to, what).map_err(|error| failed(&args.from, &args.to, &error))?;
    tell_troubles(&moved.told, ui);
    tell_lost(&moved.told, ui);
    if args.output.json {
        ui.json(&moved_as_json(&moved))?;
    } else {
        let (from, to) = (args.from.display(), args.to.display());
        let safe = facts::count(moved.safe.len() as u64, "task");
        ui.line(format!("{to}: has {safe} of {from}, {} new", moved.copied.len()))?;
        if !args.keep {
            ui.line(format!("{from}: let go of {}", facts::count(moved.released.len() as u64, "task")))?;
            if place::set(settings).is_ok_and(|set| is_same(&set, &args.from)) {
                ui.note(format!("note: `tolstoy task` still keeps tasks in {from}; the setting `place` names another"));
            }
        }
    }
    if moved.stays.is_empty() {
        return Ok(());
    }
    let why: Vec<String> = moved.stays.iter().take(5).map(|(id, why)| format!("{id}: {why}")).collect();
    let more = if moved.stays.len() > why.len() { "; and others" } else { "" };
    let message = format!("{} at {}: {}{more}", stay(moved.stays.len()), args.from.display(), why.join("; "));
    Err(Failure::new(Kind::Refused, message).hint("nothing is lost; say it again once that is settled"))
}

fn stay(count: usize) -> String {
    if count == 1 { "1 task stays".to_owned() } else { format!("{count} tasks stay") }
}

fn moved_as_json(moved: &Moved) -> serde_json::Value {
    let ids = |ids: &std::collections::BTreeSet<tolstoy_tasks::TaskId>| -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    };
    json!({
        "copied": ids(&moved.copied),
        "safe": ids(&moved.safe),
        "released": ids(&moved.released),
        "stays": moved.stays.iter().map(|(id, why)| json!({ "id": id.to_string(), "why": why.to_string() })).collect::<Vec<_>>(),
    })
}

/// Whether two names are those of one file or folder.
fn is_same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| -> PathBuf { std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) };
    whole(a) == whole(b)
}
