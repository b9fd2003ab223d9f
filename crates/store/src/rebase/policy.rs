//! What becomes of a value that both sides of a merge changed, where its attribute has a merge policy.
//!
//! The rule looks at three values: the one at the root, the one that came in, and the one that the local change states. A chain of
//! local changes to one value is judged as if its last had been the only one, so each of them is compared with
//! what came in, and not with what those before it left.

use std::collections::HashMap;

use crate::error::Result;
use crate::log::{Overwrite, Reason, Stands};
use crate::rebase::reapply::{InProgress, Why};
use crate::schema::Merge;
use crate::types::{Change, Double, Entid, Value};

/// A value that came in, and that the local side did not know of when it set another.
#[derive(Debug, Clone)]
pub(super) struct Contest {
    base: Option<Value>,
    incoming: Option<Value>,
    /// Whether it is recorded that a local value replaced it.
    recorded: bool,
}

/// What a local change to a value finds in its place.
#[derive(Debug, Clone)]
pub(super) enum Met {
    /// Nothing came in there.
    Nothing,
    /// What came in is what the local side had there, or makes of it.
    Known,
    /// A value that the local side did not know of.
    Contest(Contest),
}

/// What the policies made of a change.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// The values that are to stand, where they are not simply those that the change states.
    pub(super) values: HashMap<(Entid, Entid), Option<Value>>,
    pub(super) overwritten: Vec<Overwrite>,
    /// Where a local value replaces one that came in, which is recorded once.
    replaced: Vec<(Entid, Entid)>,
    /// Where the local value stands after all: what earlier merges decided against it is so no more.
    agreed: Vec<(Entid, Entid)>,
}

impl Decided {
    /// Whether what an earlier merge recorded is true no more.
    pub(super) fn is_moot(&self, before: &Overwrite) -> bool {
        matches!(before.stands, Stands::Instead(_)) && self.agreed.contains(&(before.e, before.a))
    }
}

/// What a change states of one attribute of one entity.
struct Stated<'s> {
    e: Entid,
    a: Entid,
    /// The value that its author had before.
    replaced: Option<&'s Value>,
    v: &'s Value,
    /// What an earlier merge recorded of it.
    before: Option<&'s Overwrite>,
}

impl InProgress<'_, '_> {
    /// Decides the values of a change by the policies of their attributes. `said` is the change in entities of the new base, in
    /// the log's order; `before` what it overwrote in earlier merges.
    pub(super) fn decide(&mut self, said: &[Change], before: &[Overwrite]) -> Result<Result<Decided, Why>> {
        let mut decided = Decided::default();
        let mut earlier: HashMap<(Entid, Entid, &Value), &Overwrite> = HashMap::new();
        for overwrite in before {
            earlier.entry((overwrite.e, overwrite.a, &overwrite.local)).or_insert(overwrite);
        }
        for group in said.chunk_by(|x, y| (x.e, x.a) == (y.e, y.a)) {
            let (retracts, adds) = group.split_at(group.partition_point(|c| !c.added));
            // Two values are a contradiction, which the plan refuses.
            let [Change { e, a, v, .. }] = adds else { continue };
            let Some(policy) = self.working.schema.attribute(*a).filter(|d| d.is_one()).and_then(|d| d.merge()) else {
                continue;
            };
            let before = earlier.get(&(*e, *a, v)).copied();
            let stated = Stated { e: *e, a: *a, replaced: retracts.first().map(|c| &c.v), v, before };
            match policy {
                Merge::Last => {}
                Merge::Sum => match self.sum(&stated)? {
                    Ok(sum) => drop(decided.values.insert((*e, *a), Some(sum))),
                    Err(why) => return Ok(Err(why)),
                },
                Merge::First | Merge::Max | Merge::Min | Merge::Journal => {
                    self.contest(policy, &stated, &mut decided)?
                }
            }
        }
        Ok(Ok(decided))
    }

    /// What the change added to what it replaced, added to what is there.
    fn sum(&self, stated: &Stated<'_>) -> Result<Result<Value, Why>> {
        let Stated { e, a, replaced, v, .. } = *stated;
        let current = self.working.values(e, a)?.into_iter().next().map(|(value, _)| value);
        if current.as_ref() == replaced || current.is_none() && replaced.is_none() {
            return Ok(Ok(v.clone()));
        }
        let sum = add_difference(current.as_ref(), v, replaced);
        Ok(sum.ok_or_else(|| {
            let name = self.working.schema.name(a);
            let detail = format!("by its merge policy {name} of entity {e} would be a sum that is out of range");
            Why { reason: Reason::Operation, detail }
        }))
    }

    fn contest(&mut self, policy: Merge, stated: &Stated<'_>, decided: &mut Decided) -> Result<()> {
        let Stated { e, a, v, before, .. } = *stated;
        let current = self.working.values(e, a)?.into_iter().next();
        if !self.contests.contains_key(&(e, a)) {
            let met = self.meet(stated, current.as_ref());
            self.contests.insert((e, a), met);
        }
        // What an earlier merge decided stays decided where nothing came in since: what came in then is what is there now.
        let earlier = before.map(|o| Contest { base: o.base.clone(), incoming: o.incoming.clone(), recorded: false });
        let contest = match self.contests.get(&(e, a)) {
            Some(Met::Contest(contest)) => Some(contest.clone()),
            Some(Met::Known) => {
                decided.agreed.push((e, a));
                None
            }
            Some(Met::Nothing) | None => earlier,
        };
        let Some(contest) = contest else { return Ok(()) };
        let result = match (policy, &contest.incoming) {
            (Merge::First | Merge::Journal, _) => current.map(|(value, _)| value),
            (Merge::Max, Some(incoming)) => Some(v.max(incoming).clone()),
            (Merge::Min, Some(incoming)) => Some(v.min(incoming).clone()),
            _ => Some(v.clone()),
        };
        let stands = if result.as_ref() == Some(v) { Stands::Local } else { Stands::Instead(result.clone()) };
        let replaces = stands == Stands::Local && contest.incoming.as_ref() != Some(v);
        if matches!(stands, Stands::Instead(_)) || replaces && !contest.recorded {
            let (base, incoming) = (contest.base, contest.incoming);
            decided.overwritten.push(Overwrite { e, a, base, incoming, local: v.clone(), stands });
        }
        if replaces {
            decided.replaced.push((e, a));
        }
        decided.values.insert((e, a), result);
        Ok(())
    }

    /// Notes that a change was applied of which this was decided.
    pub(super) fn note_decided(&mut self, decided: &Decided) {
        for place in &decided.replaced {
            if let Some(Met::Contest(contest)) = self.contests.get_mut(place) {
                contest.recorded = true;
            }
        }
    }

    /// What the first local change to a value meets.
    fn meet(&self, stated: &Stated<'_>, current: Option<&(Value, Entid)>) -> Met {
        let Stated { e, a, replaced, v, .. } = *stated;
        // What local operations made of it since does not count.
        let found = self.operated.get(&(e, a)).map_or(current, Option::as_ref);
        if !self.came_in((e, a), found) {
            return Met::Nothing;
        }
        let unknown = match current {
            Some((value, _)) => Some(value) != replaced && value != v,
            None => replaced.is_some(),
        };
        if !unknown {
            return Met::Known;
        }
        let incoming = found.map(|(value, _)| value.clone());
        Met::Contest(Contest { base: self.base_of((e, a), found), incoming, recorded: false })
    }

    /// Whether the value that was found somewhere, or that there was none, is what the other side made of it.
    pub(super) fn came_in(&self, place: (Entid, Entid), found: Option<&(Value, Entid)>) -> bool {
        match found {
            Some((_, tx)) => self.images.is_joined(place.0) || *tx > self.root && *tx <= self.incoming_end,
            None => self.changed.contains_key(&place),
        }
    }

    /// The value that stood somewhere at the root, given the one that was found there.
    pub(super) fn base_of(&self, place: (Entid, Entid), found: Option<&(Value, Entid)>) -> Option<Value> {
        // The local side took a joined entity for a new one, which has no value at the root.
        if self.images.is_joined(place.0) {
            return None;
        }
        match self.changed.get(&place) {
            Some(base) => base.clone(),
            None => found.filter(|(_, tx)| *tx <= self.root).map(|(value, _)| value.clone()),
        }
    }
}

/// `current + (v - replaced)`, where nothing counts as zero; `None` where that is no number of the type.
pub(crate) fn add_difference(current: Option<&Value>, v: &Value, replaced: Option<&Value>) -> Option<Value> {
    match v {
        Value::Long(v) => {
            let long = |value: Option<&Value>| match value {
                None => Some(0),
                Some(Value::Long(n)) => Some(i128::from(*n)),
                Some(_) => None,
            };
            let sum = long(current)? + (i128::from(*v) - long(replaced)?);
            i64::try_from(sum).ok().map(Value::Long)
        }
        Value::Double(v) => {
            let double = |value: Option<&Value>| match value {
                None => Some(0.0),
                Some(Value::Double(x)) => Some(x.get()),
                Some(_) => None,
            };
            Double::new(double(current)? + (v.get() - double(replaced)?)).map(Value::Double)
        }
        _ => None,
    }
}
