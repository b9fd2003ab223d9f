//! Merge policies: what must stand where both sides changed a value, and what must be recorded of it, worked out by the oracle
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_store::{Change, Entid, Overwrite, Stands, Transaction, Value};
use uuid::Uuid;

use super::facts::{Facts, core};
use super::history::{Authored, History};
use super::names::facts_of;
use super::verdict::Judge;

/// `:db.merge/last` and those that follow it.
const LAST: i64 = 2001;
const FIRST: i64 = 2002;
const MAX: i64 = 2003;
const MIN: i64 = 2004;
const SUM: i64 = 2005;
const JOURNAL: i64 = 2006;

/// An attribute's policy, `:db.merge/last` where none is stated.
fn policy(facts: &Facts, a: Entid) -> i64 {
    facts.values(a, core::MERGE).next().and_then(Value::as_ref_entid).map_or(LAST, Entid::get)
}

fn word(policy: i64) -> &'static str {
    ["last", "first", "max", "min", "sum", "journal"]
        .get(usize::try_from(policy - LAST).unwrap_or(usize::MAX))
        .copied()
        .unwrap_or("unknown")
}

/// An attribute of an entity.
pub(super) type Place = (Entid, Entid);

/// A change of what stands at a place.
#[derive(Debug, Clone)]
struct Step {
    by: Uuid,
    before: Option<Value>,
    after: Option<Value>,
}

/// What became of places in the log so far.
#[derive(Debug, Default)]
pub(super) struct Places {
    steps: BTreeMap<Place, Vec<Step>>,
    /// Who stated an attribute's policy, in order.
    stated: BTreeMap<Entid, Vec<Uuid>>,
    /// Who has operations on a place.
    operated: BTreeMap<Place, Vec<Uuid>>,
}

/// What a change leaves at a place where its attribute's policy decides.
#[derive(Debug)]
pub(super) struct Demand {
    place: Place,
    policy: i64,
    local: Value,
    before: Option<Value>,
    /// What may stand afterwards: one value, but where it depends on passes that nobody saw.
    allowed: BTreeSet<Option<Value>>,
    /// What the record must say came in, and stood before, where both sides changed the value for certain.
    contest: Option<(Option<Value>, Option<Option<Value>>)>,
    /// Whether the attribute had another policy at some time.
    altered: bool,
}

impl Places {
    /// Takes in a transaction; `before` are the values that stood where it changes some.
    pub(super) fn take_in(&mut self, t: &Transaction, before: Before, after: &Facts, operations: &[Place]) {
        let by = t.origin.id;
        for (place @ (e, a), before) in before {
            if a == core::MERGE {
                self.stated.entry(e).or_default().push(by);
            }
            if after.is_one(a) {
                self.steps.entry(place).or_default().push(Step { by, before, after: value(after, place) });
            }
        }
        for place in operations {
            self.operated.entry(*place).or_default().push(by);
        }
    }
}

/// The values that stand where a transaction changes some.
pub(super) type Before = BTreeMap<Place, Option<Value>>;

pub(super) fn places(t: &Transaction, facts: &Facts) -> Before {
    facts_of(t).map(|c| ((c.e, c.a), value(facts, (c.e, c.a)))).collect()
}

fn value(facts: &Facts, (e, a): Place) -> Option<Value> {
    facts.values(e, a).next().cloned()
}

impl Judge<'_> {
    /// What a change must leave where it states a value whose attribute has a policy; `before` are the facts before it.
    pub(super) fn demands(&self, authored: &Authored, before: &Facts) -> Result<Vec<Demand>, String> {
        let mut stated: BTreeMap<Place, (BTreeSet<Value>, BTreeSet<Value>)> = BTreeMap::new();
        for meant in &authored.meant {
            let Some(Change { e, a, v, added }) = self.image(meant)? else { continue };
            let (adds, retracts) = stated.entry((e, a)).or_default();
            if added {
                adds.insert(v)
            } else {
                retracts.insert(v)
            };
        }
        let mut demands = Vec::new();
        for (place, (adds, retracts)) in stated {
            let policy = policy(before, place.1);
            let mut adds = adds.into_iter();
            if let (Some(local), None) = (adds.next(), adds.next())
                && policy != LAST
                && before.is_one(place.1)
            {
                demands.push(self.demand(authored, place, policy, local, &retracts, before));
            }
        }
        Ok(demands)
    }

    fn demand(
        &self,
        authored: &Authored,
        place: Place,
        policy: i64,
        local: Value,
        retracts: &BTreeSet<Value>,
        before: &Facts,
    ) -> Demand {
        let now = before.values(place.0, place.1).next().cloned();
        let stated = self.places.stated.get(&place.1).map(Vec::as_slice).unwrap_or_default();
        let altered = stated.len() > 1;
        let replaced = retracts.first();
        let mut demand = Demand {
            place,
            policy,
            local: local.clone(),
            before: now.clone(),
            allowed: BTreeSet::new(),
            contest: None,
            altered,
        };
        if policy == SUM {
            demand.allowed.insert(sum(now.as_ref(), &local, replaced));
            return demand;
        }
        let steps = self.places.steps.get(&place).map(Vec::as_slice).unwrap_or_default();
        let own = |by: &Uuid| self.history.get(*by).is_some_and(|c| c.author == authored.author);
        let unseen = |by: &Uuid| !authored.seen.contains(by);
        let theirs: Vec<&Step> = steps.iter().filter(|s| unseen(&s.by)).collect();
        // What the author's device itself made of the place since, and moved behind what came in.
        let last = steps.iter().rposition(|s| unseen(&s.by)).map_or(0, |at| at + 1);
        let chain = steps.get(last..).unwrap_or_default();
        let decides = |incoming: &Option<Value>| match (policy, incoming) {
            (FIRST | JOURNAL, _) => now.clone(),
            (MAX, Some(incoming)) => Some(local.clone().max(incoming.clone())),
            (MIN, Some(incoming)) => Some(local.clone().min(incoming.clone())),
            _ => Some(local.clone()),
        };
        let joined = self.is.values().filter(|e| **e == place.0).count() > 1;
        let operated = self.places.operated.get(&place).is_some_and(|by| by.iter().any(|by| unseen(by) || own(by)));
        let moved = stated.iter().skip(1).any(|by| unseen(by) || own(by));
        let Some(newest) = theirs.last() else {
            demand.allowed.insert(Some(local.clone()));
            if joined || altered {
                demand.allowed.insert(decides(&now));
            }
            return demand;
        };
        demand.allowed.extend(theirs.iter().map(|s| decides(&s.after)));
        // Where what came in is what the author's side had, or makes of it, nobody contests it.
        let known = |w: &Option<Value>| {
            w.as_ref() == Some(&local)
                || w.as_ref() == replaced
                || chain.iter().any(|s| w == &s.before || w == &s.after)
                || self.chained(authored, place, w)
        };
        let is_known = theirs.iter().any(|s| known(&s.after));
        if is_known || operated || moved || joined && !chain.is_empty() {
            demand.allowed.insert(Some(local));
            demand.allowed.insert(now);
        }
        if let ([only], false) = (&theirs[..], is_known || operated || moved) {
            demand.contest = Some((newest.after.clone(), (!joined).then(|| only.before.clone())));
        }
        demand
    }

    /// Whether an earlier change of the author's, which this one's author had, replaced this value there or set it.
    fn chained(&self, authored: &Authored, place: Place, value: &Option<Value>) -> bool {
        let earlier =
            self.history.changes().filter(|c| c.author == authored.author && authored.seen.contains(&c.origin));
        let mut about = earlier.flat_map(|c| &c.meant).filter_map(|m| self.image(m).ok().flatten());
        about.any(|c| (c.e, c.a) == place && Some(&c.v) == value.as_ref())
    }

    /// Whether the policies were kept, and what they decided against a change is recorded.
    pub(super) fn decided(&mut self, t: &Transaction, demands: &[Demand], after: &Facts) -> Result<(), String> {
        for demand in demands {
            let Demand { place: (e, a), policy, local, allowed, .. } = demand;
            let now = after.values(*e, *a).next().cloned();
            let what = format!("[{e} {a}], whose policy is {}, was to become {local}", word(*policy));
            if self.history.worn().is_empty() && !allowed.contains(&now) {
                return Err(format!("{what}, {allowed:?} should stand, and {now:?} does: {demand:?}"));
            }
            if now.as_ref() != Some(local) {
                *self.verdict.policies.entry(word(*policy)).or_default() += 1;
            }
            self.recorded(t, demand, &now).map_err(|why| format!("{what}, {now:?} stands, and {why}: {demand:?}"))?;
        }
        Ok(())
    }

    fn recorded(&self, t: &Transaction, demand: &Demand, now: &Option<Value>) -> Result<(), String> {
        let entries: Vec<&Overwrite> = t.overwritten.iter().filter(|o| (o.e, o.a) == demand.place).collect();
        if demand.policy == SUM {
            return match entries.first() {
                Some(entry) if !demand.altered => Err(format!("it records {entry:?}, though nothing is lost in a sum")),
                _ => Ok(()),
            };
        }
        let Some((incoming, base)) = demand.contest.as_ref().filter(|_| self.history.worn().is_empty()) else {
            return Ok(());
        };
        let says = |o: &&&Overwrite| {
            let instead = matches!(o.stands, Stands::Instead(_));
            (&o.incoming, &o.local, o.result()) == (incoming, &demand.local, now.as_ref())
                && instead == (now.as_ref() != Some(&demand.local))
                && base.as_ref().is_none_or(|base| &o.base == base)
        };
        // One that the local value won is recorded by the first change of a chain.
        let won = now.as_ref() == Some(&demand.local);
        if !won && !entries.iter().any(|o| says(&o)) {
            return Err(format!("no record says that {incoming:?} came in, on {base:?}: {entries:?}"));
        }
        Ok(())
    }
}

impl Demand {
    /// Whether the policy may be why a change does this.
    pub(super) fn explains(&self, done: &Change, history: &History) -> bool {
        let stands = |c: &Change| self.allowed.contains(&Some(c.v.clone())) || !history.worn().is_empty();
        (done.e, done.a) == self.place && (stands(done) || !done.added && self.before.as_ref() == Some(&done.v))
    }

    /// Whether it is about what stands at this place.
    pub(super) fn is_about(&self, c: &Change) -> bool {
        (c.e, c.a) == self.place
    }

    /// Whether what it replaces is in the sum.
    pub(super) fn adds_up(&self, c: &Change) -> bool {
        self.is_about(c) && self.policy == SUM
    }
}

/// What is there, and what the change added to what it replaced.
fn sum(now: Option<&Value>, local: &Value, replaced: Option<&Value>) -> Option<Value> {
    let long = |v: Option<&Value>| match v {
        None => Some(0),
        Some(Value::Long(n)) => Some(i128::from(*n)),
        Some(_) => None,
    };
    let sum = long(now)? + long(Some(local))? - long(replaced)?;
    i64::try_from(sum).ok().map(Value::Long)
}
