//! What a carrier holds: a change's own datoms and operations, in entities of the new base where it has them.

use std::collections::{BTreeMap, BTreeSet};

use crate::log::{Displaced, Operation, Reason, Transaction, Unbound};
use crate::rebase::images::{Birth, Image, Images, own_birth};
use crate::types::{Change, Entid, Value};

/// What an entity in a displaced change is.
enum Who {
    Is(Entid),
    Unbound(Birth),
}

/// The payload of a change's first carrier.
pub(super) fn first(images: &Images, local: &Transaction, reason: Reason, detail: String) -> Displaced {
    let own = own_birth(local);
    let facts: Vec<&Change> = local.statement().collect();
    payload(reason, detail, &facts, &local.operations, |e| {
        if e == local.tx {
            return Who::Unbound(own);
        }
        known(images, e).unwrap_or_else(|| {
            // Allocated by this very change, whose own list of entities always names it.
            let run = local.entids.iter().find(|r| r.current <= e && e < r.current.plus(r.count));
            let authored = run.map_or(e, |r| r.authored.plus(e.get() - r.current.get()));
            Who::Unbound(Birth { origin: own.origin, authored })
        })
    })
}

/// The payload of a carrier that is moved to another base.
pub(super) fn again(images: &Images, displaced: &Displaced) -> Displaced {
    let unbound: BTreeMap<Entid, Birth> =
        displaced.unbound.iter().map(|u| (u.entid, Birth { origin: u.origin, authored: u.authored })).collect();
    let facts: Vec<&Change> = displaced.changes.iter().collect();
    payload(displaced.reason, displaced.detail.clone(), &facts, &displaced.operations, |e| match unbound.get(&e) {
        Some(birth) => Who::Unbound(*birth),
        None => known(images, e).unwrap_or(Who::Is(e)),
    })
}

fn known(images: &Images, e: Entid) -> Option<Who> {
    images.get(e).map(|image| match image {
        Image::Is(e) => Who::Is(e),
        Image::None(birth) => Who::Unbound(birth),
    })
}

fn payload(
    reason: Reason,
    detail: String,
    facts: &[&Change],
    operations: &[Operation],
    who: impl Fn(Entid) -> Who,
) -> Displaced {
    let mentioned = facts.iter().flat_map(|c| [Some(c.e), Some(c.a), c.v.as_ref_entid()]).flatten();
    let births: BTreeSet<Birth> = mentioned
        .chain(operations.iter().flat_map(Operation::mentions))
        .filter_map(|e| match who(e) {
            Who::Unbound(birth) => Some(birth),
            Who::Is(_) => None,
        })
        .collect();
    // Numbers below zero are never entities, so they cannot be mistaken for one.
    let numbers: BTreeMap<Birth, Entid> =
        births.into_iter().zip(1_i64..).map(|(birth, n)| (birth, Entid::new(-n))).collect();
    let image = |e: Entid| match who(e) {
        Who::Is(e) => e,
        Who::Unbound(birth) => numbers.get(&birth).copied().unwrap_or(e),
    };
    let mut changes: Vec<Change> = facts
        .iter()
        .map(|c| Change {
            e: image(c.e),
            a: image(c.a),
            v: c.v.as_ref_entid().map_or_else(|| c.v.clone(), |to| Value::Ref(image(to))),
            added: c.added,
        })
        .collect();
    changes.sort();
    let unbound = numbers.iter().map(|(b, n)| Unbound { entid: *n, origin: b.origin, authored: b.authored }).collect();
    let operations = operations.iter().map(|o| o.map(image)).collect();
    Displaced { reason, detail, unbound, changes, operations }
}
