//! Carriers: a displaced change is in the log whole, and nothing could be done with it.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_store::{Change, Displaced, Entid, Operation, Reason, Transaction, Value};

use super::deletes::deletes_by_half;
use super::facts::{Facts, core, defines};
use super::history::Authored;
use super::intents::{Act, Intent, acts, outcome};
use super::names::{Name, Who, facts_of, mentioned};
use super::settled::applies;
use super::verdict::{Judge, core_name};

impl Judge<'_> {
    /// A carrier holds the change's own datoms, all of them, in the log's entities or, where it has none, in names.
    pub(super) fn carrier(
        &mut self,
        t: &Transaction,
        displaced: &Displaced,
        authored: &Authored,
        facts: &Facts,
    ) -> Result<(), String> {
        if facts_of(t).next().is_some() {
            return Err("it is a carrier and does something".to_owned());
        }
        *self.verdict.displaced.entry(displaced.reason.word()).or_default() += 1;
        let gave_way = displaced.reason == Reason::Schema && gives_way(&displaced.changes, facts);
        self.verdict.gave_way += u64::from(gave_way);
        let settled = applies(&displaced.changes, &displaced.operations)
            .any(|entry| !facts.holders(core::SETTLES, entry).is_empty());
        self.verdict.settled_elsewhere += u64::from(settled && displaced.reason == Reason::Operation);
        let mut unbound = BTreeMap::new();
        for u in &displaced.unbound {
            let name = Name { origin: u.origin, authored: u.authored };
            if u.entid.get() >= 0 || self.is.contains_key(&name) || unbound.insert(u.entid, name).is_some() {
                return Err(format!("it lists {u:?} as an entity that the log does not have"));
            }
            self.verdict.refs_into_displaced += u64::from(u.origin != t.origin.id);
        }
        let mut expected = Vec::new();
        let mut canon = BTreeMap::new();
        let mut operations = Vec::new();
        for Intent { e, a, act } in &authored.intents {
            let thing = |who: &Who| Ok::<_, String>(self.entity(who)?.map_or_else(|| first_name(who), Thing::Is));
            operations.push((thing(e)?, thing(a)?, act.clone()));
        }
        for meant in &authored.meant {
            let mut thing = |who: &Who| -> Result<Thing, String> {
                Ok(match (self.entity(who)?, who) {
                    (Some(e), _) => Thing::Is(e),
                    (None, Who::Named(names)) => {
                        let first = names.first().copied().ok_or("an entity without a name")?;
                        canon.extend(names.iter().map(|name| (*name, first)));
                        Thing::Unbound(first)
                    }
                    (None, Who::Core(e)) => Thing::Is(*e),
                })
            };
            let v = meant.to.as_ref().map_or(Ok(Datum::Value(meant.v.clone())), |to| thing(to).map(Datum::Ref))?;
            expected.push((thing(&meant.e)?, thing(&meant.a)?, v, meant.added));
        }
        let of = |e: Entid| unbound.get(&e).map_or(Thing::Is(e), |name| Thing::Unbound(*name));
        let carried: Vec<_> = acts(&displaced.operations).into_iter().map(|(e, a, u)| (of(e), of(a), u)).collect();
        let same = |(x, y): (&(Thing, Thing, Act), &(Thing, Thing, Act))| {
            let is = |x: &Thing, y: &Thing| x == y || matches!((x, y), (Thing::Unbound(_), Thing::Unbound(_)));
            is(&x.0, &y.0) && is(&x.1, &y.1) && x.2 == y.2
        };
        if carried.len() != operations.len() || !carried.iter().zip(&operations).all(same) {
            return Err(format!("the carrier holds the operations {carried:?} and should hold {operations:?}"));
        }
        let held = displaced.changes.iter().map(|c| {
            let thing = |e: Entid| match unbound.get(&e) {
                Some(name) => Thing::Unbound(canon.get(name).copied().unwrap_or(*name)),
                None => Thing::Is(e),
            };
            let v = c.v.as_ref_entid().map_or_else(|| Datum::Value(c.v.clone()), |to| Datum::Ref(thing(to)));
            (thing(c.e), thing(c.a), v, c.added)
        });
        let mut held: Vec<_> = held.collect();
        held.sort();
        expected.sort();
        // Of a change that others moved: nothing that it never said, under whatever names.
        let bare =
            |thing: &Thing| if let Thing::Is(_) = thing { *thing } else { Thing::Unbound(core_name(Entid::new(0))) };
        let asserts = |of: &[Held]| {
            let asserted = of.iter().filter(|(.., added)| *added).map(|(e, a, v, added)| {
                let v = if let Datum::Ref(to) = v { Datum::Ref(bare(to)) } else { v.clone() };
                (bare(e), bare(a), v, *added)
            });
            asserted.collect::<BTreeSet<Held>>()
        };
        let others = unbound.values().any(|name| self.history.worn().contains(&name.origin));
        let part = (others || self.history.is_worn(authored)) && asserts(&held).is_subset(&asserts(&expected));
        if held != expected && !part {
            return Err(format!(
                "the carrier ({}) holds {held:?} and should hold {expected:?}",
                displaced.reason.word()
            ));
        }
        let depends = expected.iter().any(|(e, a, v, _)| {
            let v = if let Datum::Ref(v) = v { Some(v) } else { None };
            [Some(e), Some(a), v]
                .into_iter()
                .flatten()
                .any(|x| matches!(x, Thing::Unbound(n) if n.origin != t.origin.id))
        });
        let depends =
            depends || operations.iter().any(|(e, a, _)| [e, a].iter().any(|x| matches!(x, Thing::Unbound(_))));
        let only_retracts = authored.meant.iter().all(|m| !m.added) && authored.intents.is_empty();
        let deletes = !authored.emptied.is_empty() || self.takes_the_last(authored, &displaced.changes, facts);
        if displaced.reason == Reason::Deleted && only_retracts && !deletes && !others {
            return Err("it was displaced as if it had deleted something whole, and did not".to_owned());
        }
        if displaced.reason == Reason::Depends && !depends && !others {
            return Err("it was displaced since it depends on another, and does not".to_owned());
        }
        Ok(())
    }
}

/// An entity that the log does not have.
fn first_name(who: &Who) -> Thing {
    match who {
        Who::Named(names) => names.first().map_or(Thing::Is(Entid::new(0)), |name| Thing::Unbound(*name)),
        Who::Core(e) => Thing::Is(*e),
    }
}

/// An entity in a displaced change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Is(Entid),
    Unbound(Name),
}

/// A datom of a displaced change.
type Held = (Thing, Thing, Datum, bool);

/// A value in a displaced change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Datum {
    Value(Value),
    Ref(Thing),
}

/// Whether changes define an attribute for which the log has another definition, by its ident.
pub fn gives_way(changes: &[Change], before: &Facts) -> bool {
    let meaning = [core::VALUE_TYPE, core::CARDINALITY, core::UNIQUE, core::IS_COMPONENT];
    changes.iter().filter(|c| c.added && c.a == core::IDENT).any(|named| {
        let [holder] = before.holders(core::IDENT, &named.v)[..] else { return false };
        let own = |a: Entid| changes.iter().find(|c| c.added && (c.e, c.a) == (named.e, a)).map(|c| &c.v);
        let no = Value::Boolean(false);
        let differs = |a: Entid| {
            let theirs = before.values(holder, a).next();
            own(a).filter(|v| **v != no) != theirs.filter(|v| **v != no)
        };
        own(core::VALUE_TYPE).is_some() && before.value_type(holder).is_some() && meaning.into_iter().any(differs)
    })
}

/// Whether a carrier that was just made had to be: its change cannot be said of `before`, the facts it was made on, or the device that made it does not know its functions.
///
/// # Errors
/// Where nothing stands against the change.
pub fn justified(carrier: &Transaction, before: &Facts, knows: bool) -> Result<(), String> {
    let Some(displaced) = &carrier.displaced else { return Ok(()) };
    let changes = &displaced.changes;
    let new = |e: Entid| e.get() < 0;
    let foreign = displaced.unbound.iter().any(|u| u.origin != carrier.origin.id);
    let gone = |e: Entid| e.is_user() && !before.exists(e);
    let deleted = changes.iter().filter(|c| c.added).any(|c| gone(c.e) || c.v.as_ref_entid().is_some_and(gone));
    let operations = acts(&displaced.operations);
    let stated = |e: Entid, a: Entid| changes.iter().any(|c| (c.e, c.a) == (e, a));
    let stuck = outcome(before, &operations).is_err() || operations.iter().any(|(e, a, _)| gone(*e) || stated(*e, *a));
    let unknown_function = !knows && displaced.operations.iter().any(|o| matches!(o, Operation::Call { .. }));
    // Of entities that are there any definition may not fit; a new one only where the log has another.
    let schema = changes.iter().any(|c| defines(c.a) && !new(c.e)) || gives_way(changes, before);
    let unknown = changes.iter().flat_map(mentioned).next().is_some()
        && changes.iter().any(|c| !new(c.a) && before.value_type(c.a) != Some(c.v.value_type().entid()));
    let clash = changes.iter().filter(|c| c.added).any(|c| {
        let others = changes.iter().filter(|o| (o.a, &o.v) == (c.a, &c.v));
        let twice = changes.iter().any(|o| o.added && (o.e, o.a) == (c.e, c.a) && o.v != c.v && before.is_one(c.a));
        let both = changes.iter().any(|o| !o.added && (o.e, o.a, &o.v) == (c.e, c.a, &c.v));
        let freed = |h: Entid| {
            changes.iter().any(|o| {
                (o.e, o.a) == (h, c.a) && (!o.added && o.v == c.v || o.added && before.is_one(c.a) && o.v != c.v)
            })
        };
        let taken = before.holders(c.a, &c.v).into_iter().any(|h| h != c.e && !freed(h));
        let claimed = others.filter(|o| o.added && o.e != c.e).count() > 0;
        twice || both || before.unique(c.a).is_some() && (taken || claimed)
    });
    let settled = applies(changes, &displaced.operations).any(|entry| !before.holders(core::SETTLES, entry).is_empty());
    let deleted = deleted || displaced.reason == Reason::Deleted && deletes_by_half(changes, before);
    if foreign || deleted || schema || unknown || clash || stuck || unknown_function || settled {
        return Ok(());
    }
    Err(format!(
        "{} was displaced ({}: {}), and nothing stands against it",
        carrier.origin.id,
        displaced.reason.word(),
        displaced.detail
    ))
}
