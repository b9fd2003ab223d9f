//! Properties that one side has and the other would misread: they go under a prefix, and come back.

/// What a document's name of ours, or Taskwarrior's own, begins with on the other side.
const OURS: &str = "tolstoy_";
const THEIRS: &str = "taskwarrior_";

/// Names that mean something in a document, and nothing to Taskwarrior; or the other way round, and are no such thing here.
const OF_OURS: [&str; 16] = [
    "blocked_by",
    "created_at",
    "deleted",
    "depends",
    "done",
    "end",
    "entry",
    "id",
    "last_done",
    "modified",
    "recur",
    "recur_from",
    "snooze",
    "status",
    "urgency",
    "uuid",
];

/// Names that mean something in a document, which an attribute of Taskwarrior's user may happen to have.
const OF_DOCUMENTS: [&str; 11] = [
    "_clocks",
    "_journal",
    "blocked_by",
    "created_at",
    "deleted",
    "done",
    "last_done",
    "recur",
    "recur_from",
    "snooze",
    "updated_at",
];

/// Whether this is one of these names, after any number of these prefixes.
fn is_one(name: &str, names: &[&str], prefix: &str) -> bool {
    let mut bare = name;
    while let Some(rest) = bare.strip_prefix(prefix) {
        bare = rest;
    }
    names.contains(&bare)
}

/// An attribute's name as a property.
pub(super) fn from_taskwarrior(name: &str) -> String {
    match name.strip_prefix(OURS).filter(|rest| is_one(rest, &OF_OURS, OURS)) {
        // It would not be a property of the document.
        Some("id") => name.to_owned(),
        Some(rest) => rest.to_owned(),
        None if is_one(name, &OF_DOCUMENTS, THEIRS) => format!("{THEIRS}{name}"),
        None => name.to_owned(),
    }
}

/// A property's name as an attribute.
pub(super) fn to_taskwarrior(name: &str) -> String {
    match name.strip_prefix(THEIRS).filter(|rest| is_one(rest, &OF_DOCUMENTS, THEIRS)) {
        Some(rest) => rest.to_owned(),
        None if is_one(name, &OF_OURS, OURS) => own(name),
        None => name.to_owned(),
    }
}

/// A property of ours as an attribute that Taskwarrior makes nothing of.
pub(super) fn own(name: &str) -> String {
    format!("{OURS}{name}")
}

/// Taskwarrior's recurrence as a property: it is not ours, which has another meaning.
pub(super) fn their_recur() -> String {
    format!("{THEIRS}recur")
}
