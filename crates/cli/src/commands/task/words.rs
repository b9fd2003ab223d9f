//! What the words of `add` and `modify` ask for.

use tolstoy_tasks::json::{Json, Number};
use tolstoy_tasks::{Document, Recurrence};

use super::place::Place;
use super::{misspelt, refused};
use crate::error::Failure;

/// The properties that are dates.
const DATES: [&str; 6] = ["due", "wait", "snooze", "done", "deleted", "created_at"];

enum Change {
    Tag(String, bool),
    Set(String, Option<Json>),
}

/// Makes the changes that these words ask for.
pub(super) fn apply(place: &mut Place, document: &mut Document, words: &[String]) -> Result<(), Failure> {
    let mut changes = Vec::new();
    let mut description = Vec::new();
    for word in words {
        match change(place, word)? {
            Some(change) => changes.push(change),
            None => description.push(word.as_str()),
        }
    }
    if !description.is_empty() {
        changes.push(Change::Set("description".to_owned(), Some(Json::from(description.join(" ")))));
    }
    let before = document.clone();
    for change in changes {
        match change {
            Change::Tag(tag, on) => document.tag(&place.author, &tag, on),
            Change::Set(name, value) => document.set(&place.author, &name, value),
        }
        .map_err(|e| refused(&e))?;
    }
    let changed = |name: &str| before.get(name) != document.get(name);
    if changed("recur") || changed("due") {
        begin_recurrence(place, document)?;
    }
    Ok(())
}

/// Where a task recurs, the counting begins at its due date.
fn begin_recurrence(place: &Place, document: &mut Document) -> Result<(), Failure> {
    let task = document.task();
    let Some(every) = task.text("recur") else { return Ok(()) };
    let due = task.instant("due").and_then(|due| place.calendar.local(due));
    let Some(due) = due else { return Err(misspelt("what recurs needs a due date: add due:DATE")) };
    let recurrence = Recurrence::new(every, due).map_err(misspelt)?;
    document.set(&place.author, "recur_from", Some(Json::from(recurrence.from_text()))).map_err(|e| refused(&e))
}

fn change(place: &mut Place, word: &str) -> Result<Option<Change>, Failure> {
    // A flag, and one that would otherwise take off a tag that nobody has.
    if word.starts_with("--") && word.len() > 2 {
        return Err(misspelt(format!("{word:?} is no flag of this command, and no tag begins with a hyphen")));
    }
    for (sign, on) in [('+', true), ('-', false)] {
        if let Some(tag) = word.strip_prefix(sign).filter(|tag| !tag.is_empty() && !tag.contains(char::is_whitespace)) {
            return Ok(Some(Change::Tag(tag.to_owned(), on)));
        }
    }
    let Some((name, value)) = word.split_once(':') else { return Ok(None) };
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
    if !is_name || value.starts_with("//") || value.starts_with(char::is_whitespace) {
        return Ok(None);
    }
    let value = match value {
        "" => None,
        _ if DATES.contains(&name) => {
            Some(Json::from(place.calendar.parse(value).map_err(|e| misspelt(format!("{name}: {e}")))?.to_string()))
        }
        _ if name == "blocked_by" => {
            let ids = value.split(',').map(|id| Ok(Json::from(place.named(id)?.as_str())));
            Some(Json::Array(ids.collect::<Result<_, Failure>>()?))
        }
        "true" => Some(Json::Bool(true)),
        "false" => Some(Json::Bool(false)),
        text => Some(Number::parse(text).map_or_else(|| Json::from(text), Json::Number)),
    };
    Ok(Some(Change::Set(name.to_owned(), value)))
}
