//! A document as JSON.

use std::collections::BTreeMap;

use super::parse::instant_of;
use super::{Document, History};
use crate::clock::{Clock, FIRST};
use crate::json::Json;

/// The properties with a meaning, in the order in which a file has them.
const KNOWN: [&str; 15] = [
    "description",
    "tags",
    "due",
    "wait",
    "snooze",
    "recur",
    "recur_from",
    "done",
    "deleted",
    "last_done",
    "blocked_by",
    "created_at",
    "updated_at",
    "_clocks",
    "_journal",
];

impl Document {
    /// The document as JSON.
    pub fn to_json(&self) -> Json {
        Json::Object(self.members())
    }

    fn members(&self) -> BTreeMap<String, Json> {
        let task = self.task();
        let mut members: BTreeMap<String, Json> = task.into_properties().into_iter().collect();
        members.insert("id".to_owned(), self.id.as_str().into());
        let clocks = self.clocks();
        if !clocks.is_empty() {
            members.insert("_clocks".to_owned(), Json::Object(clocks));
        }
        let journal: Vec<Json> = self.properties.iter().flat_map(|(name, history)| journal_of(name, history)).collect();
        if !journal.is_empty() {
            members.insert("_journal".to_owned(), Json::Array(journal));
        }
        members
    }

    fn clocks(&self) -> BTreeMap<String, Json> {
        let implied = Clock::foreign(self.updated_at.as_ref().and_then(instant_of).unwrap_or(FIRST));
        let mut clocks = BTreeMap::new();
        for (name, history) in &self.properties {
            if history.is_foreign_at(&implied) {
                continue;
            }
            let mut stamps: Vec<Json> = history.clocks().map(|stamp| Json::String(stamp.to_string())).collect();
            let value = if stamps.len() == 1 { stamps.pop() } else { None };
            clocks.insert(name.clone(), value.unwrap_or(Json::Array(stamps)));
        }
        let tags: BTreeMap<String, Json> = self
            .tags
            .iter()
            .filter(|(_, stamp)| !stamp.on || stamp.clock != implied)
            .map(|(tag, stamp)| (tag.clone(), Json::String(stamp.to_string())))
            .collect();
        if !tags.is_empty() {
            clocks.insert("tags".to_owned(), Json::Object(tags));
        }
        clocks
    }

    /// The document as a file has it: a property to a line.
    pub fn pretty(&self) -> String {
        let line = |(name, value): (String, Json)| {
            let text = match &value {
                Json::Object(inner) if name == "_clocks" => object_lines(inner),
                Json::Array(inner) if name == "_journal" => array_lines(inner),
                value => value.exact(),
            };
            format!("  {}: {text}", Json::from(name).canonical())
        };
        format!("{{\n{}\n}}\n", self.in_order().map(line).collect::<Vec<_>>().join(",\n"))
    }

    /// The same in one line: what travels between a client and a hub.
    pub fn text(&self) -> String {
        let member = |(name, value): (String, Json)| format!("{}:{}", Json::from(name).canonical(), value.exact());
        format!("{{{}}}", self.in_order().map(member).collect::<Vec<_>>().join(","))
    }

    /// The members in the order in which a file has them.
    fn in_order(&self) -> impl Iterator<Item = (String, Json)> + use<> {
        let mut members = self.members();
        let mut take = |name: &str| members.remove(name).map(|value| (name.to_owned(), value));
        let id = take("id");
        let (own, known): (Vec<_>, Vec<_>) =
            KNOWN.into_iter().filter_map(take).partition(|(name, _)| name.starts_with('_'));
        id.into_iter().chain(known).chain(members).chain(own)
    }
}

fn object_lines(members: &BTreeMap<String, Json>) -> String {
    let line =
        |(name, value): (&String, &Json)| format!("    {}: {}", Json::from(name.as_str()).canonical(), value.exact());
    format!("{{\n{}\n  }}", members.iter().map(line).collect::<Vec<_>>().join(",\n"))
}

fn array_lines(values: &[Json]) -> String {
    let lines: Vec<String> = values.iter().map(|value| format!("    {}", value.exact())).collect();
    format!("[\n{}\n  ]", lines.join(",\n"))
}

fn journal_of<'a>(name: &'a str, history: &'a History) -> impl Iterator<Item = Json> + 'a {
    history.lost().map(move |(stamp, value)| {
        let mut entry = BTreeMap::new();
        entry.insert("property".to_owned(), name.into());
        entry.insert("clock".to_owned(), Json::String(stamp.to_string()));
        if let Some(value) = value.filter(|value| history.stands() != Some(value)) {
            entry.insert("value".to_owned(), value.clone());
        }
        Json::Object(entry)
    })
}
