//! What the commands changed, so that it can be taken back.
//!
//! One file per place, a line for each command, the newest last: an array of the documents as they were before, of new tasks the
//! id alone. It is a convenience of this machine, no part of the tasks: where it is lost, nothing else is.

use std::fs;
use std::path::PathBuf;

use tolstoy_tasks::json::{Json, Limits, read};
use tolstoy_tasks::{Document, TaskId};

use super::place::Place;
use crate::dirs;
use crate::error::Failure;

/// How many commands can be taken back.
const KEPT: usize = 100;
const LIMITS: Limits = Limits { bytes: 64 << 20, depth: 64 };

/// A task before a command.
pub(super) enum Before {
    New(TaskId),
    Was(Document),
}

fn file(place: &Place) -> Option<PathBuf> {
    let whole = fs::canonicalize(&place.path).unwrap_or_else(|_| place.path.clone());
    let name: String =
        whole.to_string_lossy().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect::<String>();
    let tail: String = name.chars().rev().take(150).collect::<Vec<_>>().into_iter().rev().collect();
    Some(dirs::state()?.join("undo").join(format!("{tail}.jsonl")))
}

/// Notes what tasks were before a command.
pub(super) fn note(place: &Place, before: &[Before]) -> Result<(), Failure> {
    let Some(path) = file(place) else { return Ok(()) };
    let entries = before.iter().map(|before| match before {
        Before::New(id) => Json::from(id.as_str()),
        Before::Was(document) => document.to_json(),
    });
    let line = Json::Array(entries.collect()).exact();
    let there = fs::read_to_string(&path).unwrap_or_default();
    let mut lines: Vec<&str> = there.lines().rev().take(KEPT - 1).collect();
    lines.reverse();
    lines.push(&line);
    let failed = |e: std::io::Error| Failure::io(&path.display().to_string(), &e);
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(&path, lines.join("\n") + "\n").map_err(failed)
}

/// Takes the newest note off.
pub(super) fn take(place: &Place) -> Result<Option<Vec<Before>>, Failure> {
    let Some(path) = file(place) else { return Ok(None) };
    let there = fs::read_to_string(&path).unwrap_or_default();
    let mut lines: Vec<&str> = there.lines().collect();
    let Some(last) = lines.pop() else { return Ok(None) };
    let entries = read(last, LIMITS).ok();
    let before = entries.as_ref().and_then(Json::as_array).into_iter().flatten().filter_map(|entry| match entry {
        Json::String(id) => id.parse().ok().map(Before::New),
        document => Document::from_json(document.clone()).ok().map(Before::Was),
    });
    let before = before.collect();
    let rest: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, rest).map_err(|e| Failure::io(&path.display().to_string(), &e))?;
    Ok(Some(before))
}
