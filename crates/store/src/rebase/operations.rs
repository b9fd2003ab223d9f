//! Running a local change's operations again, on the new base.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::core::operate::{Produced, Stuck};
use crate::core::{Failure, Plan, Refusal, Working};
use crate::error::Result;
use crate::functions::Functions;
use crate::log::{Operation, Reason, Transaction};
use crate::rebase::reapply::Why;
use crate::types::{Change, Entid, Value};

/// What the operations of a change come to on the new base, beside what the change states; or why they cannot be run.
pub(super) fn run(
    working: &Working<'_>,
    functions: &Functions,
    operations: &[Operation],
    said: &[Change],
) -> Result<Result<Vec<Produced>, Why>> {
    match working.operate(functions, operations, said) {
        Ok(produced) => Ok(Ok(produced)),
        Err(Stuck { failure: Failure::Error(error), .. }) => Err(error),
        Err(Stuck { failure: Failure::Refused(refusal), .. }) => Ok(Err(why(working, &refusal))),
    }
}

/// A refusal as a reason to displace a change.
pub(super) fn why(working: &Working<'_>, refusal: &Refusal) -> Why {
    let reason = match refusal {
        Refusal::Unique { .. } => Reason::Unique,
        Refusal::NoSuchTransaction { .. } => Reason::Depends,
        refusal if refusal.is_of_operation() => Reason::Operation,
        _ => Reason::Schema,
    };
    Why { reason, detail: refusal.explain(&working.schema) }
}

/// Every entity got its number because the change mentions it. One that an operation was given and about which nothing
/// comes to be stated would be a hole in the numbers, which no other store has. `fresh` are the numbers that were given.
pub(super) fn idle(fresh: Range<Entid>, plan: &Plan) -> Option<Refusal> {
    let mentioned: HashSet<Entid> =
        plan.effects.iter().flat_map(|x| [Some(x.change.e), x.change.v.as_ref_entid()]).flatten().collect();
    let numbers = (fresh.start.get()..fresh.end.get()).map(Entid::new);
    numbers.into_iter().find(|e| !mentioned.contains(e)).map(|e| Refusal::Idle { e })
}

/// Values by entity and attribute.
pub(super) type Values = HashMap<(Entid, Entid), Option<Value>>;

/// Where the operations of a change updated values, and the value that stood there before.
pub(super) fn found(plan: &Plan, produced: &[Produced]) -> Values {
    let places: HashSet<(Entid, Entid)> = produced.iter().map(|p| (p.change.e, p.change.a)).collect();
    let mut found = HashMap::new();
    // Retractions come first among the effects on one attribute.
    for change in plan.effects.iter().map(|x| &x.change).filter(|c| places.contains(&(c.e, c.a))) {
        found.entry((change.e, change.a)).or_insert_with(|| (!change.added).then(|| change.v.clone()));
    }
    found
}

/// What the change states and, where it has operations, what those came to when it was last applied. By the identities in
/// it, later changes know who is who.
pub(super) fn stated_or_produced(local: &Transaction) -> impl Iterator<Item = &Change> {
    let produced = local.facts().filter(|_| !local.operations.is_empty());
    local.statement().chain(produced)
}
