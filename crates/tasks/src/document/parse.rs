//! A document from its JSON.

use std::collections::BTreeMap;

use tolstoy_edn::Instant;

use super::history::{History, Told};
use super::{Document, MAX_BYTES, MAX_DEPTH, MAX_NAME, MAX_TEXT, Refusal};
use crate::TaskId;
use crate::clock::{Clock, FIRST, LAST, Stamp, Sum, TagStamp};
use crate::json::{self, Json, Limits};

/// What stands under a name of its own in the document, and has no history.
const OWN: [&str; 5] = ["id", "tags", "updated_at", "_clocks", "_journal"];

type Members = BTreeMap<String, Json>;

/// What `_clocks` and `_journal` say of a property.
#[derive(Default)]
struct Stamped {
    newest: Option<Stamp>,
    told: Vec<(Stamp, Told)>,
}

impl Document {
    /// Reads a document. What a client without clocks changed gets its stamps.
    ///
    /// # Errors
    /// Where it is refused, and why; see `docs/tasks.md`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse_changed(text, None)
    }

    /// Reads a document from a file that was changed at this time, which tells when an edit was made where the document
    /// does not.
    pub(crate) fn parse_changed(text: &str, changed: Option<Instant>) -> Result<Self, Refusal> {
        let limits = Limits { bytes: MAX_TEXT, depth: MAX_DEPTH };
        let json = json::read(text, limits)?;
        let document = Self::from_changed(json, changed)?;
        document.check_counts()?;
        // Stamps that are added, or numbers written out, make nothing eight times as long.
        if text.len() > MAX_BYTES / 8 {
            document.check_bytes()?;
        }
        Ok(document)
    }

    /// Takes a document that was read already.
    ///
    /// # Errors
    /// As for [`Document::parse`].
    pub fn from_json(json: Json) -> Result<Self, Refusal> {
        let document = Self::from_changed(json, None)?;
        document.check()?;
        Ok(document)
    }

    fn from_changed(json: Json, changed: Option<Instant>) -> Result<Self, Refusal> {
        let Json::Object(mut members) = json else {
            return Err(Refusal(format!("a task is a JSON object, not {}", json.describe())));
        };
        let id = read_id(members.remove("id"))?;
        let clocks = read_object("_clocks", members.remove("_clocks"))?;
        let journal = members.remove("_journal");
        let updated_at = members.remove("updated_at");
        let tags = members.remove("tags");
        if let Some(name) = members.keys().find(|name| name.is_empty() || name.len() > MAX_NAME) {
            let name = json::shortened(name);
            return Err(Refusal(format!("the property {name:?}: a name has 1 to {MAX_NAME} bytes")));
        }

        let stated = updated_at.as_ref().and_then(instant_of).unwrap_or(FIRST);
        let foreign = Clock::foreign(stated);
        let edited = Clock::foreign(changed.map_or(stated, |changed| changed.max(stated)));

        let (lists_tags, tags) = read_tags(tags, clocks.get("tags"), &foreign, &edited)?;
        let mut stamped = read_clocks(clocks)?;
        read_journal(journal, &mut stamped)?;
        let mut properties = BTreeMap::new();
        for (name, value) in members {
            let history = match stamped.remove(&name) {
                Some(Stamped { newest, told }) => History::read(told, newest.as_ref(), Some(value), edited.clone()),
                None => History::of(foreign.clone(), Some(value)),
            };
            properties.insert(name, history);
        }
        for (name, Stamped { newest, told }) in stamped {
            properties.insert(name, History::read(told, newest.as_ref(), None, edited.clone()));
        }
        Ok(Self { id, updated_at, properties, tags, lists_tags })
    }
}

/// The instant that a value is, where it is one within the years 0000 to 9999.
pub(crate) fn instant_of(value: &Json) -> Option<Instant> {
    let text = value.as_str()?;
    // `2026` and `2026-11` are no dates.
    (text.len() >= "2026-11-25".len()).then_some(())?;
    Instant::parse_rfc3339(text).filter(|instant| (FIRST..=LAST).contains(instant))
}

fn read_id(id: Option<Json>) -> Result<TaskId, Refusal> {
    match id {
        Some(Json::String(id)) => id.parse().map_err(|e: crate::NoTaskId| Refusal(e.to_string())),
        Some(other) => Err(Refusal(format!("`id` is {}; an id is a text", other.describe()))),
        None => Err(Refusal("`id` is missing".to_owned())),
    }
}

fn read_object(name: &str, value: Option<Json>) -> Result<Members, Refusal> {
    match value {
        None => Ok(Members::new()),
        Some(Json::Object(members)) => Ok(members),
        Some(other) => Err(Refusal(format!("`{name}` is {}, not an object", other.describe()))),
    }
}

fn read_tags(
    tags: Option<Json>,
    clocks: Option<&Json>,
    foreign: &Clock,
    edited: &Clock,
) -> Result<(bool, BTreeMap<String, TagStamp>), Refusal> {
    let listed = tags.is_some();
    let mut on = BTreeMap::new();
    match tags {
        None => {}
        Some(Json::Array(tags)) => {
            for tag in tags {
                let Json::String(tag) = tag else {
                    return Err(Refusal(format!("`tags` has {} in it; tags are texts", tag.describe())));
                };
                on.insert(tag, TagStamp { clock: foreign.clone(), on: true });
            }
        }
        Some(other) => return Err(Refusal(format!("`tags` is {}; tags are an array of texts", other.describe()))),
    }
    let clocks = match clocks {
        None => None,
        Some(Json::Object(clocks)) => Some(clocks),
        Some(_) => return Err(Refusal("`_clocks`: `tags` has an object of tags with a stamp each".to_owned())),
    };
    for (tag, stamp) in clocks.into_iter().flatten() {
        let stamp = stamp.as_str().and_then(TagStamp::parse).ok_or_else(|| no_stamp("tags", stamp))?;
        let stands = on.contains_key(tag);
        let stamp = if stamp.on == stands {
            stamp
        } else {
            // At the end of time the edit takes the place of what it cannot be newer than.
            let clock = stamp.clock.next_foreign(edited.instant).unwrap_or(stamp.clock);
            TagStamp { clock, on: stands }
        };
        on.insert(tag.clone(), stamp);
    }
    match on.keys().find(|tag| tag.is_empty() || tag.len() > MAX_NAME) {
        Some(tag) => Err(Refusal(format!("the tag {:?}: a tag has 1 to {MAX_NAME} bytes", json::shortened(tag)))),
        None => Ok((listed || !on.is_empty(), on)),
    }
}

fn no_stamp(property: &str, found: &Json) -> Refusal {
    let property = json::shortened(property);
    let found = json::shortened(&found.canonical());
    Refusal(format!("`_clocks` of {property:?}: {found} is no stamp; was it written by a newer version?"))
}

fn read_clocks(clocks: Members) -> Result<BTreeMap<String, Stamped>, Refusal> {
    let mut stamped = BTreeMap::new();
    for (name, value) in clocks {
        if name == "tags" {
            continue;
        }
        check_name("_clocks", &name)?;
        let texts = match &value {
            Json::Array(texts) => texts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let read = |text: &Json| text.as_str().and_then(Stamp::parse).ok_or_else(|| no_stamp(&name, text));
        let stamps = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let newest = stamps.first().cloned();
        let told = stamps.into_iter().map(|stamp| (stamp, Told::Replaced)).collect();
        if newest.is_some() {
            stamped.insert(name, Stamped { newest, told });
        }
    }
    Ok(stamped)
}

fn check_name(place: &str, name: &str) -> Result<(), Refusal> {
    if OWN.contains(&name) || name.is_empty() || name.len() > MAX_NAME {
        return Err(Refusal(format!("`{place}`: {:?} is no property with a history", json::shortened(name))));
    }
    Ok(())
}

/// Adds what `_journal` says.
fn read_journal(journal: Option<Json>, stamped: &mut BTreeMap<String, Stamped>) -> Result<(), Refusal> {
    let entries = match journal {
        None => return Ok(()),
        Some(Json::Array(entries)) => entries,
        Some(other) => return Err(Refusal(format!("`_journal` is {}, not an array", other.describe()))),
    };
    for entry in entries {
        let malformed = || Refusal("`_journal`: an entry is an object of `property`, `clock` and `value`".to_owned());
        let Json::Object(mut entry) = entry else { return Err(malformed()) };
        let (property, clock) = (entry.remove("property"), entry.remove("clock"));
        let (Some(Json::String(property)), Some(clock)) = (property, clock) else { return Err(malformed()) };
        check_name("_journal", &property)?;
        let mut stamp = clock.as_str().and_then(Stamp::parse).ok_or_else(|| no_stamp(&property, &clock))?;
        let told = match entry.remove("value") {
            Some(value) => {
                // Someone may have changed the journal by hand: the value counts.
                stamp.sum = Sum::of(Some(&value));
                Told::Value(Some(value))
            }
            None if stamp.sum == Sum::Removed => Told::Value(None),
            None => Told::LeftOut,
        };
        if !entry.is_empty() {
            return Err(malformed());
        }
        stamped.entry(property).or_default().told.push((stamp, told));
    }
    Ok(())
}
