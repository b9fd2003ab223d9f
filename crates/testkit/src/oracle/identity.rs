//! Whether a merge knew whom a displaced change was about.

use std::collections::BTreeMap;

use tolstoy_store::{Entid, Reason, Transaction};

use super::carriers::gives_way;
use super::facts::{Facts, core};
use super::history::History;
use super::names::{Meant, Name, Who, names};

/// Whether the entities that a carrier made up are nobody on the log it was made on. One that took an identity which
/// another device had given meanwhile is that device's entity, and a carrier calls it so. To be judged where the log lost
/// nothing; says nothing of identities that are refs, nor of those that the author's device gave to several or took back.
///
/// # Errors
/// Who was not recognised.
pub fn recognised(carrier: &Transaction, log: &[Transaction], history: &History) -> Result<(), String> {
    let (Some(displaced), Some(authored)) = (&carrier.displaced, history.get(carrier.origin.id)) else { return Ok(()) };
    // What the device itself had re-applied before the carrier is no part of what it merged with.
    let before = log.iter().position(|t| t.tx >= carrier.tx).unwrap_or(log.len());
    let theirs = log
        .iter()
        .take(before)
        .rposition(|t| history.get(t.origin.id).is_none_or(|c| c.author != authored.author))
        .map_or(0, |at| at + 1);
    let base = log.get(..theirs).unwrap_or_default();
    let mut facts = Facts::default();
    for transaction in base {
        facts.apply(transaction)?;
    }
    let is: BTreeMap<Name, Entid> = log.iter().skip(1).flat_map(names).collect();
    let entity = |who: &Who| match who {
        Who::Core(e) => Some(*e),
        Who::Named(names) => names.iter().find_map(|name| is.get(name).copied()),
    };
    for new in displaced.unbound.iter().filter(|u| u.origin == authored.origin && u.authored.is_user()) {
        let who = Who::Named(vec![Name { origin: new.origin, authored: new.authored }]);
        let claims = displaced.changes.iter().filter(|c| c.added && c.e == new.entid && c.v.as_ref_entid().is_none());
        // A definition that gave way to the log's is another attribute under the same ident.
        let gave_way = displaced.reason == Reason::Schema && gives_way(&displaced.changes, &facts);
        for claim in claims.filter(|c| facts.identifies(c.a) && !(gave_way && c.a == core::IDENT)) {
            let [holder] = facts.holders(claim.a, &claim.v)[..] else { continue };
            let tx = facts.asserted(holder, claim.a, &claim.v);
            let giver = base.iter().find(|t| Some(t.tx) == tx).and_then(|t| history.get(t.origin.id));
            let meanwhile = giver.is_some_and(|g| g.author != authored.author && !authored.seen.contains(&g.origin));
            let other = |m: &Meant| m.v == claim.v && entity(&m.a) == Some(claim.a) && (!m.added || m.e != who);
            let own = history.changes().filter(|change| change.author == authored.author);
            if meanwhile && !own.flat_map(|change| &change.meant).any(other) {
                return Err(format!(
                    "{} speaks of {holder}, which has [{} {}], and was displaced as if that were somebody else",
                    carrier.origin.id, claim.a, claim.v
                ));
            }
        }
    }
    Ok(())
}
