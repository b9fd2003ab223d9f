//! The commands that change tasks.

use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Document, Done, TaskId};

use super::place::Place;
use super::undo::{self, Before};
use super::{misspelt, refused, words};
use crate::error::{Failure, Kind};
use crate::ui::Ui;

pub(super) fn add(place: &mut Place, words: &[String], ui: &mut Ui) -> Result<(), Failure> {
    let id = TaskId::mint(&place.env).map_err(|e| Failure::new(Kind::Storage, e.to_string()))?;
    let mut document = Document::new(id);
    let now = Json::from(place.author.now.to_string());
    document.set(&place.author, "created_at", Some(now)).map_err(|e| refused(&e))?;
    words::apply(place, &mut document, words)?;
    if document.task().description().trim().is_empty() {
        return Err(misspelt("the task has no description: say what is to be done"));
    }
    place.write(vec![document])?;
    undo::note(place, &[Before::New(id)])?;
    tell(place, ui);
    ui.line(id)
}

pub(super) fn modify(place: &mut Place, id: &str, words: &[String], ui: &mut Ui) -> Result<(), Failure> {
    edit(place, &[id.to_owned()], ui, |place, document| {
        words::apply(place, document, words)?;
        Ok(String::new())
    })
}

pub(super) fn done(place: &mut Place, ids: &[String], ui: &mut Ui) -> Result<(), Failure> {
    edit(place, ids, ui, |place, document| {
        match document.complete(&place.author, &place.calendar).map_err(|e| refused(&e))? {
            Done::ForGood => Ok(": done".to_owned()),
            Done::Until(due) => {
                let due = place.calendar.local(due).map(|due| due.strftime("%F %H:%M").to_string());
                Ok(format!(": done, due again {}", due.unwrap_or_default()))
            }
        }
    })
}

pub(super) fn delete(place: &mut Place, ids: &[String], ui: &mut Ui) -> Result<(), Failure> {
    edit(place, ids, ui, |place, document| {
        let now = Json::from(place.author.now.to_string());
        document.set(&place.author, "deleted", Some(now)).map_err(|e| refused(&e))?;
        Ok(": deleted".to_owned())
    })
}

pub(super) fn snooze(place: &mut Place, id: &str, until: &[String], ui: &mut Ui) -> Result<(), Failure> {
    let until = place.calendar.parse(&until.join(" ")).map_err(misspelt)?;
    edit(place, &[id.to_owned()], ui, |place, document| {
        document.set(&place.author, "snooze", Some(Json::from(until.to_string()))).map_err(|e| refused(&e))?;
        let shown = place.calendar.local(until).map(|until| until.strftime("%F %H:%M").to_string());
        Ok(format!(": put off until {}", shown.unwrap_or_default()))
    })
}

/// Edits tasks, all or, where one cannot be edited, none; and says of each what was done.
fn edit(
    place: &mut Place,
    ids: &[String],
    ui: &mut Ui,
    mut change: impl FnMut(&mut Place, &mut Document) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let (mut before, mut after, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        let id = place.named(id)?;
        let mut document = place.read(id)?;
        before.push(Before::Was(document.clone()));
        let what = change(place, &mut document)?;
        said.push(format!("{id} {}{what}", crate::ui::visible(document.task().description())));
        after.push(document);
    }
    place.write(after)?;
    undo::note(place, &before)?;
    tell(place, ui);
    said.into_iter().try_for_each(|line| ui.line(line))
}

pub(super) fn undo(place: &mut Place, ui: &mut Ui) -> Result<(), Failure> {
    let Some(before) = undo::take(place)? else {
        return Err(Failure::new(Kind::Input, "nothing was changed here that could be taken back"));
    };
    let mut restored = Vec::new();
    for before in before {
        let id = match &before {
            Before::New(id) => *id,
            Before::Was(document) => document.id(),
        };
        let mut document = place.read(id)?;
        restore(place, &mut document, &before)?;
        ui.line(format!("{id} {}: taken back", crate::ui::visible(document.task().description())))?;
        restored.push(document);
    }
    place.write(restored)?;
    tell(place, ui);
    Ok(())
}

/// An edit that gives a task what it had; what was new is deleted.
fn restore(place: &Place, document: &mut Document, before: &Before) -> Result<(), Failure> {
    let author = &place.author;
    let Before::Was(was) = before else {
        let now = Json::from(author.now.to_string());
        return document.set(author, "deleted", Some(now)).map_err(|e| refused(&e));
    };
    let (is, was) = (document.task(), was.task());
    let names =
        is.properties().names().chain(was.properties().names()).filter(|name| !["tags", "updated_at"].contains(name));
    for name in names {
        document.set(author, name, was.get(name).cloned()).map_err(|e| refused(&e))?;
    }
    for tag in is.tags().chain(was.tags()) {
        document.tag(author, tag, was.tags().any(|there| there == tag)).map_err(|e| refused(&e))?;
    }
    Ok(())
}

/// Tells, beside the output, what went wrong beside the matter.
pub(super) fn tell(place: &mut Place, ui: &Ui) {
    place.troubles.sort();
    place.troubles.dedup();
    place.troubles.drain(..).for_each(|trouble| ui.note(format!("note: {trouble}")));
}
