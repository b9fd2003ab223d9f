//! Operations: what they must come to on the facts as they are, worked out by the oracle itself.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_store::{Change, Entid, Operation, Update, Value};

use super::facts::Facts;
use super::names::Who;

/// An operation as its author meant it.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The entity.
    pub e: Who,
    /// The attribute.
    pub a: Who,
    /// What is to become of its value.
    pub update: Update,
}

/// An update of an entity's value for an attribute.
pub(super) type At<'u> = (Entid, Entid, &'u Update);

/// The updates among operations.
pub(super) fn updates(operations: &[Operation]) -> Vec<At<'_>> {
    let update = |o| if let &Operation::Update { e, a, ref update } = o { Some((e, a, update)) } else { None };
    operations.iter().filter_map(update).collect()
}

/// What the updates come to, all of them on these facts.
///
/// # Errors
/// Why one of them cannot be done.
pub(super) fn outcome(facts: &Facts, updates: &[At<'_>]) -> Result<BTreeSet<Change>, String> {
    let mut places: BTreeMap<(Entid, Entid), Vec<&Update>> = BTreeMap::new();
    for (e, a, update) in updates {
        places.entry((*e, *a)).or_default().push(update);
    }
    let mut changes = BTreeSet::new();
    for ((e, a), updates) in places {
        if !facts.is_one(a) {
            return Err(format!("{a} does not have one value"));
        }
        let current = facts.values(e, a).next();
        let value = one(current, &updates).ok_or_else(|| format!("{updates:?} cannot be done to {current:?}"))?;
        if value.as_ref().is_some_and(|v| facts.value_type(a) != Some(v.value_type().entid())) {
            return Err(format!("{a} has values of another type"));
        }
        if current != value.as_ref() {
            changes.extend(current.map(|v| Change { e, a, v: v.clone(), added: false }));
            changes.extend(value.map(|v| Change::add(e, a, v)));
        }
    }
    Ok(changes)
}

/// The value that all updates of one place lead to: increments add up, and nothing else goes together.
fn one(current: Option<&Value>, updates: &[&Update]) -> Option<Option<Value>> {
    if let [update] = updates {
        return match update {
            Update::Cas { old, new } => (current == old.as_ref()).then(|| new.clone()),
            Update::Max(v) => Some(Some(current.map_or(v, |c| c.max(v)).clone())),
            Update::Min(v) => Some(Some(current.map_or(v, |c| c.min(v)).clone())),
            Update::Inc(_) => sum(current, updates),
        };
    }
    sum(current, updates)
}

fn sum(current: Option<&Value>, updates: &[&Update]) -> Option<Option<Value>> {
    let mut sum = match current {
        None => 0,
        Some(Value::Long(n)) => *n,
        Some(_) => return None,
    };
    for update in updates {
        let Update::Inc(Value::Long(n)) = update else { return None };
        sum = sum.checked_add(*n)?;
    }
    Some(Some(Value::Long(sum)))
}
