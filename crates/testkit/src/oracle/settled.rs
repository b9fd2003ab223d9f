//! Settlements of the journal: what was meant once is done once.

use std::collections::BTreeMap;

use tolstoy_store::{Change, Displaced, Entid, Operation, Transaction, Value};

use super::facts::{Facts, core};

/// The entries of the journal that a transaction settles and applies: one that states nothing else, and has no operations, applies
/// nothing.
pub(super) fn applies<'c>(changes: &'c [Change], operations: &[Operation]) -> impl Iterator<Item = &'c Value> {
    let does = !operations.is_empty() || changes.iter().any(|c| !matches!(c.a, core::SETTLES | core::TX_INSTANT));
    changes.iter().filter(move |c| does && c.added && c.a == core::SETTLES).map(|c| &c.v)
}

/// How many entries are settled.
///
/// # Errors
/// Which of them two transactions apply.
pub(super) fn settlements(log: &[Transaction], facts: &Facts) -> Result<u64, String> {
    let stands = |tx: Entid, entry: &Value| facts.holds(tx, core::SETTLES, entry);
    let carriers: BTreeMap<Value, &Displaced> =
        log.iter().filter_map(|t| Some((Value::Uuid(t.origin.id), t.displaced.as_ref()?))).collect();
    // Who applies a carrier says what that said, also that it settles something.
    let repeats = |carrier: &Value, entry: &Value| {
        carriers.get(carrier).is_some_and(|d| applies(&d.changes, &d.operations).any(|settled| settled == entry))
    };
    let mut by: BTreeMap<&Value, Vec<Entid>> = BTreeMap::new();
    for t in log {
        let applied: Vec<&Value> = applies(&t.changes, &t.operations).collect();
        for entry in applied.iter().copied().filter(|entry| stands(t.tx, entry)) {
            if !applied.iter().any(|carrier| repeats(carrier, entry)) {
                by.entry(entry).or_default().push(t.tx);
            }
        }
    }
    if let Some((entry, twice)) = by.iter().find(|(_, by)| by.len() > 1) {
        return Err(format!("the entry {entry} of the journal is applied by {twice:?}"));
    }
    let settled = facts.iter().filter(|(_, a, _)| *a == core::SETTLES);
    Ok(settled.count() as u64)
}
