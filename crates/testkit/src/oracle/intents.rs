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
    /// What is to be done.
    pub act: Act,
}

/// What is to be done to an entity's value, or values, for an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// An update of the one value.
    Update(Update),
    /// [`TAKE`]: so many are taken away, if there are so many.
    Take(i64),
    /// [`NEXT`]: a value more, which says how many there were.
    Next,
}

/// A function of the users' programs: takes from a number what is there.
pub const TAKE: &str = "f/take";
/// Another one: adds a text that says how many there are.
pub const NEXT: &str = "f/next";

/// What is to be done for which attribute of which entity.
pub(super) type At = (Entid, Entid, Act);

/// What operations are to do, as far as they are known here.
pub(super) fn acts(operations: &[Operation]) -> Vec<At> {
    let act = |o: &Operation| match o {
        Operation::Update { e, a, update } => Some((*e, *a, Act::Update(update.clone()))),
        Operation::Call { name, args } => match (name.as_str(), &args[..]) {
            (TAKE, [Value::Ref(e), Value::Ref(a), Value::Long(n)]) => Some((*e, *a, Act::Take(*n))),
            (NEXT, [Value::Ref(e), Value::Ref(a)]) => Some((*e, *a, Act::Next)),
            _ => None,
        },
        Operation::Unknown { .. } => None,
    };
    operations.iter().filter_map(act).collect()
}

/// What the acts come to, all of them on these facts.
///
/// # Errors
/// Why one of them cannot be done.
pub(super) fn outcome(facts: &Facts, acts: &[At]) -> Result<BTreeSet<Change>, String> {
    let mut places: BTreeMap<(Entid, Entid), Vec<Update>> = BTreeMap::new();
    let mut changes = BTreeSet::new();
    for (e, a, act) in acts {
        let current = facts.values(*e, *a).next();
        let update = match act {
            Act::Update(update) => update.clone(),
            Act::Take(n) => match current {
                Some(Value::Long(there)) if there >= n && facts.is_one(*a) => Update::Inc(Value::Long(-n)),
                _ => return Err(format!("{n} cannot be taken from {current:?}")),
            },
            Act::Next => {
                let next = Change::add(*e, *a, Value::String(format!("k{}", facts.values(*e, *a).count()).into()));
                if facts.is_one(*a) || facts.value_type(*a) != Some(next.v.value_type().entid()) {
                    return Err(format!("{a} does not have several texts"));
                }
                changes.extend(Some(next).filter(|c| !facts.holds(c.e, c.a, &c.v)));
                continue;
            }
        };
        places.entry((*e, *a)).or_default().push(update);
    }
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
fn one(current: Option<&Value>, updates: &[Update]) -> Option<Option<Value>> {
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

fn sum(current: Option<&Value>, updates: &[Update]) -> Option<Option<Value>> {
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
