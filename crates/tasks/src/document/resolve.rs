//! What becomes of two documents of one task.

use super::parse::instant_of;
use super::{Document, Refusal};
use crate::json::Json;

/// What two documents of one task come to. Commutative, associative and idempotent: in whatever order documents meet, and
/// however often, the same comes out.
///
/// # Errors
/// Where they are of different tasks, or both together are beyond the limits of a document.
pub fn resolve(a: &Document, b: &Document) -> Result<Document, Refusal> {
    if a.id != b.id {
        return Err(Refusal(format!("{} and {} are two tasks", a.id, b.id)));
    }
    if a == b {
        return Ok(a.clone());
    }
    let joined = a.join(b);
    joined.check().map_err(|Refusal(why)| Refusal(format!("both sides together are too large: {why}")))?;
    Ok(joined)
}

impl Document {
    /// The join, without regard to limits.
    fn join(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        joined.lists_tags |= other.lists_tags;
        joined.updated_at = later(self.updated_at.as_ref(), other.updated_at.as_ref()).cloned();
        for (name, theirs) in &other.properties {
            joined
                .properties
                .entry(name.clone())
                .and_modify(|ours| *ours = ours.join(theirs))
                .or_insert_with(|| theirs.clone());
        }
        for (tag, theirs) in &other.tags {
            let ours = joined.tags.entry(tag.clone()).or_insert_with(|| theirs.clone());
            if theirs > ours {
                ours.clone_from(theirs);
            }
        }
        joined
    }
}

/// The later of two values of `updated_at`; what is no instant is earlier than all.
fn later<'a>(a: Option<&'a Json>, b: Option<&'a Json>) -> Option<&'a Json> {
    let key = |value: Option<&Json>| value.map(|value| (instant_of(value), value.canonical()));
    if key(a) >= key(b) { a } else { b }
}
