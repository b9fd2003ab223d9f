//! Unique identities: entities are one only where they took the same.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_store::{Change, Entid};

use super::facts::Facts;
use super::history::Authored;
use super::names::{Meant, Name, Who};
use super::verdict::{Judge, core_name};

impl<'h> Judge<'h> {
    /// Notes which names its author took for holders of which unique identity.
    pub(super) fn note_claim(&mut self, authored: &'h Authored, meant: &'h Meant, change: Change) {
        let names = match &meant.e {
            Who::Named(names) => names.clone(),
            Who::Core(e) => vec![core_name(*e)],
        };
        self.claims.entry((change.a, change.v)).or_default().push(Claim { names, meant, by: authored });
    }

    /// Names that are one entity took one identity.
    pub(super) fn unifications(&mut self, facts: &Facts) -> Result<(), String> {
        let mut same: BTreeMap<Entid, Vec<Name>> = BTreeMap::new();
        // An applied change has its transaction's entity under two names, of which the second is nobody's.
        let of = |name: &Name| name.authored != Name::CARRIER || self.carriers.contains(&name.origin);
        for (name, e) in self.is.iter().filter(|(name, _)| of(name)) {
            let names =
                same.entry(*e).or_insert_with(|| if *e < Entid::USER0 { vec![core_name(*e)] } else { Vec::new() });
            names.push(*name);
        }
        for (e, names) in same.iter().filter(|(_, names)| names.len() > 1) {
            let mut reached: BTreeSet<Name> = names.first().copied().into_iter().collect();
            loop {
                let before = reached.len();
                for claims in self.claims.values() {
                    for claim in claims {
                        if claim.name().is_some_and(|name| reached.contains(&name)) {
                            let others = claims.iter().filter(|other| claim.may_be(other));
                            reached.extend(others.filter_map(Claim::name).filter(|name| names.contains(name)));
                        }
                    }
                }
                if reached.len() == before {
                    break;
                }
            }
            if reached.len() != names.len() {
                let ident = facts.ident(*e);
                return Err(format!("{names:?} became one entity, {e} {ident:?}, and never took one identity"));
            }
            self.verdict.unified += names.len() as u64 - 1;
            let late = |name: &Name| {
                let own = |c: &Claim<'_>| c.name() == Some(*name) && c.by.origin == name.origin;
                name.authored.get() > 0 && !self.claims.values().flatten().any(own)
            };
            self.verdict.unified_late += names.iter().filter(|name| late(name)).count() as u64;
        }
        Ok(())
    }
}

/// Somebody's statement that an entity has an identity.
pub(super) struct Claim<'h> {
    /// The entity, under all its names.
    names: Vec<Name>,
    meant: &'h Meant,
    by: &'h Authored,
}

impl Claim<'_> {
    /// One of the names: that the others are the same must show elsewhere.
    fn name(&self) -> Option<Name> {
        self.names.first().copied()
    }

    /// Whether two statements that entities have the same identity make them one: not where the author of the later one
    /// knew the earlier one, and had taken the identity from that entity to give it to another.
    fn may_be(&self, other: &Self) -> bool {
        let same = |x: Option<&Who>, y: Option<&Who>| match (x, y) {
            (Some(x), Some(y)) => x.may_be(y),
            (x, y) => x.is_none() && y.is_none(),
        };
        let same_identity =
            same(Some(&self.meant.a), Some(&other.meant.a)) && same(self.meant.to.as_ref(), other.meant.to.as_ref());
        let knew = |later: &Self, earlier: &Self| {
            same_identity
                && later.by.seen.contains(&earlier.by.origin)
                && !earlier.names.iter().any(|name| later.names.contains(name))
        };
        !knew(self, other) && !knew(other, self)
    }
}
