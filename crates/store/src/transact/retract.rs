//! Retracting entities whole.

use std::collections::HashSet;

use crate::core::Working;
use crate::error::Result;
use crate::types::{Change, Entid, Value};

/// The retractions of all facts about an entity and its components, theirs likewise, and of all refs to any of them.
pub(super) fn whole(working: &Working<'_>, e: Entid) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut seen = HashSet::from([e]);
    let mut todo = vec![e];
    while let Some(e) = todo.pop() {
        for (a, v) in working.facts_about(e)? {
            let component = working.schema.attribute(a).is_some_and(|d| d.is_component());
            if let Some(part) = v.as_ref_entid().filter(|part| component && seen.insert(*part)) {
                todo.push(part);
            }
            changes.push(Change::retract(e, a, v));
        }
        for (from, a) in working.refs_to(e)? {
            changes.push(Change::retract(from, a, Value::Ref(e)));
        }
    }
    Ok(changes)
}
