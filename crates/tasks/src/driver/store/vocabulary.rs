//! The words for tasks in a store.

use tolstoy_edn::Value as Edn;

use crate::{Document, Task};

/// The task's id: what identifies its entity.
pub(super) const ID: &str = ":task/id";
/// The document as canonical JSON: the truth.
pub(super) const STATE: &str = ":task/state";
/// The tasks that block it.
pub(super) const BLOCKED_BY: &str = ":task/blocked-by";

/// The attributes with their definitions.
pub(super) const ATTRIBUTES: [(&str, &str); 13] = [
    (ID, ":db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity"),
    (STATE, ":db/valueType :db.type/string :db/cardinality :db.cardinality/many"),
    (":task/description", ":db/valueType :db.type/string :db/cardinality :db.cardinality/one"),
    (":task/recur", ":db/valueType :db.type/string :db/cardinality :db.cardinality/one"),
    (":task/tag", ":db/valueType :db.type/string :db/cardinality :db.cardinality/many :db/index true"),
    (":task/due", ":db/valueType :db.type/instant :db/cardinality :db.cardinality/one :db/index true"),
    (":task/wait", INSTANT),
    (":task/snooze", INSTANT),
    (":task/done", INSTANT),
    (":task/deleted", INSTANT),
    (":task/created-at", INSTANT),
    (":task/updated-at", INSTANT),
    (BLOCKED_BY, ":db/valueType :db.type/ref :db/cardinality :db.cardinality/many"),
];

const INSTANT: &str = ":db/valueType :db.type/instant :db/cardinality :db.cardinality/one";

/// The attributes of one text each, and the properties that they come from.
const TEXTS: [(&str, &str); 2] = [(":task/description", "description"), (":task/recur", "recur")];

/// The attributes of one instant each, and the properties that they come from.
const INSTANTS: [(&str, &str); 7] = [
    (":task/due", "due"),
    (":task/wait", "wait"),
    (":task/snooze", "snooze"),
    (":task/done", "done"),
    (":task/deleted", "deleted"),
    (":task/created-at", "created_at"),
    (":task/updated-at", "updated_at"),
];

/// A fact of a task: an attribute, and its value, as EDN says it. Of `:task/blocked-by` the value is the other's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fact {
    pub(super) attribute: &'static str,
    pub(super) value: String,
}

/// The name of an attribute as the vocabulary has it.
pub(super) fn known(attribute: &str) -> Option<&'static str> {
    ATTRIBUTES.iter().map(|(name, _)| *name).find(|name| *name == attribute)
}

/// Whether an attribute has one value at most.
pub(super) fn is_one(attribute: &str) -> bool {
    ATTRIBUTES.iter().any(|(name, definition)| *name == attribute && definition.contains(":db.cardinality/one"))
}

/// All that a store says of a task, its id aside.
pub(super) fn facts(document: &Document) -> Vec<Fact> {
    let task = document.task();
    let mut facts = vec![Fact { attribute: STATE, value: text(&state(document)) }];
    facts.extend(of_texts(&task));
    facts.extend(of_instants(&task));
    facts.extend(task.tags().map(|tag| Fact { attribute: ":task/tag", value: text(tag) }));
    facts.extend(task.blocked_by().map(|id| Fact { attribute: BLOCKED_BY, value: text(id.as_str()) }));
    facts.sort();
    facts.dedup();
    facts
}

/// The text of a state: canonical, with numbers as they were written.
pub(super) fn state(document: &Document) -> String {
    document.to_json().exact()
}

fn of_texts(task: &Task) -> impl Iterator<Item = Fact> {
    TEXTS.iter().filter_map(|&(attribute, property)| Some(Fact { attribute, value: text(task.text(property)?) }))
}

fn of_instants(task: &Task) -> impl Iterator<Item = Fact> {
    INSTANTS.iter().filter_map(|&(attribute, property)| {
        Some(Fact { attribute, value: Edn::Instant(task.instant(property)?).to_string() })
    })
}

/// A text as EDN.
pub(super) fn text(text: &str) -> String {
    Edn::from(text).to_string()
}
