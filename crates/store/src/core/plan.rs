//! Check and plan: what a set of changes does to the facts, or why it cannot be.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::bootstrap::entids;
use crate::core::sqlite::listed_in;
use crate::core::{Failure, Refusal, Working};
use crate::schema::{Attribute, Merge, Schema};
use crate::types::{Change, Entid, Value, ValueType};

/// A change that alters the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) change: Change,
    /// Of a retraction, the transaction that had asserted the fact.
    pub(crate) was: Option<Entid>,
}

/// What a set of changes does, in the log's order.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) effects: Vec<Effect>,
    /// The schema afterwards, where it differs.
    pub(crate) schema: Option<Arc<Schema>>,
}

impl Working<'_> {
    /// Works out what `changes` do as the next transaction. A change that is true already has no effect; a new value of
    /// a cardinality-one attribute retracts the old. User entids from `fresh` on are new: no facts about them are
    /// looked for.
    pub(crate) fn plan(&self, mut changes: Vec<Change>, fresh: Entid) -> Result<Plan, Failure> {
        changes.sort();
        changes.dedup();
        let schema = self.schema_after(&mut changes, fresh)?;
        let current = schema.as_ref().unwrap_or(&self.schema);
        let mut effects = Vec::with_capacity(changes.len());
        for group in groups(&changes) {
            self.plan_group(current, group, fresh, &mut effects)?;
        }
        effects.sort_by(|x, y| x.change.cmp(&y.change));
        self.check_unique(current, &effects)?;
        Ok(Plan { effects, schema })
    }

    /// The schema that the changes lead to, if they concern it. Adds the `:db/index true` that unique and full-text
    /// attributes imply, since the original client demands that it is stated.
    fn schema_after(&self, changes: &mut Vec<Change>, fresh: Entid) -> Result<Option<Arc<Schema>>, Failure> {
        if !changes.iter().any(|c| Schema::concerns(c.a)) {
            return Ok(None);
        }
        if let Some(change) = changes.iter().find(|c| Schema::concerns(c.a) && c.e < Entid::USER0) {
            return Err(Refusal::Core { e: change.e }.into());
        }
        let mut schema = self.schema_with(changes, fresh)?;
        let touched: HashSet<Entid> =
            changes.iter().filter(|c| Schema::concerns(c.a) && c.a != entids::IDENT).map(|c| c.e).collect();
        let implied: HashSet<Entid> = touched
            .iter()
            .filter(|e| schema.definition(**e).is_some_and(|d| d.indexed() && !d.states_index()))
            .copied()
            .collect();
        if !implied.is_empty() {
            changes.retain(|c| !(c.added && c.a == entids::INDEX && implied.contains(&c.e)));
            changes.extend(implied.into_iter().map(|e| Change::add(e, entids::INDEX, Value::Boolean(true))));
            changes.sort();
            schema = self.schema_with(changes, fresh)?;
        }
        for e in touched {
            self.check_definition(e, &schema)?;
        }
        Ok(Some(Arc::new(schema)))
    }

    fn schema_with(&self, changes: &[Change], fresh: Entid) -> Result<Schema, Failure> {
        let mut effects = Vec::new();
        for group in groups(changes).filter(|g| g.first().is_some_and(|c| Schema::concerns(c.a))) {
            self.plan_group(&self.schema, group, fresh, &mut effects)?;
        }
        let mut schema = Schema::clone(&self.schema);
        for added in [false, true] {
            for effect in effects.iter().filter(|x| x.change.added == added) {
                schema.apply(&effect.change);
            }
        }
        Ok(schema)
    }

    fn check_definition(&self, e: Entid, after: &Schema) -> Result<(), Failure> {
        let none = Attribute::default();
        let old = self.schema.definition(e).unwrap_or(&none);
        let new = after.definition(e).unwrap_or(&none);
        let refuse = |why: &str| {
            let name =
                after.ident(e).or_else(|| self.schema.ident(e)).map_or_else(|| e.to_string(), ToString::to_string);
            Err(Refusal::Definition { e, why: format!("the attribute {name} {why}") }.into())
        };
        if *new != none && !new.is_usable() {
            return refuse("needs both a :db/valueType and a :db/cardinality");
        }
        if new.is_component() && new.value_type() != ValueType::Ref {
            return refuse("is a component, so its type must be :db.type/ref");
        }
        if new.fulltext() && new.value_type() != ValueType::String {
            return refuse("is full text, so its type must be :db.type/string");
        }
        if let Some(merge) = new.merge() {
            if !new.is_one() {
                return refuse("has a merge policy, so its cardinality must be :db.cardinality/one");
            }
            if !merge.fits(new.value_type()) {
                let types = match merge {
                    Merge::Sum => ":db.type/long or :db.type/double",
                    _ => ":db.type/long, :db.type/double or :db.type/instant",
                };
                return refuse(&format!(
                    "has the merge policy :db.merge/{}, so its type must be {types}",
                    merge.name()
                ));
            }
        }
        let used = || -> Result<bool, Failure> {
            let listed = listed_in(old.indexed());
            let any = format!("SELECT 1 FROM datoms WHERE a = ?1 AND {listed} LIMIT 1");
            Ok(self.sql.prepare_cached(&any)?.exists([e])?)
        };
        if old.is_usable() && (!new.is_usable() || old.value_type() != new.value_type()) && used()? {
            return refuse("has facts, so its type cannot be changed or taken away");
        }
        if old.is_usable() && new.is_usable() && old.fulltext() != new.fulltext() && used()? {
            return refuse("has facts, so it cannot become or cease to be full text");
        }
        Ok(())
    }

    /// The effects of the changes to one attribute of one entity.
    fn plan_group(
        &self,
        schema: &Schema,
        group: &[Change],
        fresh: Entid,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Failure> {
        let Some(&Change { e, a, .. }) = group.first() else { return Ok(()) };
        let attribute = schema.attribute(a).ok_or(Refusal::UnknownAttribute { a })?;
        for change in group {
            if change.v.value_type() != attribute.value_type() {
                let (wants, value) = (attribute.value_type(), change.v.clone());
                return Err(Refusal::WrongType { a, wants, value }.into());
            }
        }
        let (retracts, adds) = group.split_at(group.partition_point(|c| !c.added));
        if let Some(both) = adds.iter().find(|c| retracts.binary_search_by(|r| r.v.cmp(&c.v)).is_ok()) {
            return Err(Refusal::AddAndRetract { e, a, v: both.v.clone() }.into());
        }
        self.check_transaction_entity(e, a)?;
        if attribute.is_one() {
            self.plan_one(fresh, retracts, adds, effects)
        } else {
            self.plan_many(fresh, retracts, adds, effects)
        }
    }

    fn check_transaction_entity(&self, e: Entid, a: Entid) -> Result<(), Failure> {
        if e > self.next_tx() {
            return Err(Refusal::NoSuchTransaction { e }.into());
        }
        if a == entids::TX_INSTANT && e != self.next_tx() {
            let why = ":db/txInstant can be stated of the transaction itself only".to_owned();
            return Err(Refusal::Instant { why }.into());
        }
        Ok(())
    }

    fn is_new(&self, e: Entid, fresh: Entid) -> bool {
        (e.is_user() && e >= fresh) || e == self.next_tx()
    }

    fn plan_one(
        &self,
        fresh: Entid,
        retracts: &[Change],
        adds: &[Change],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Failure> {
        if let [first, second, ..] = adds {
            let (first_value, second_value) = (first.v.clone(), second.v.clone());
            return Err(Refusal::TwoValues { e: first.e, a: first.a, first: first_value, second: second_value }.into());
        }
        let Some(Change { e, a, .. }) = adds.first().or(retracts.first()) else { return Ok(()) };
        let current = if self.is_new(*e, fresh) { Vec::new() } else { self.values(*e, *a)? };
        let kept = |v: &Value| adds.first().is_some_and(|add| add.v == *v);
        for (value, was) in &current {
            let retracted = retracts.iter().any(|r| r.v == *value) || !adds.is_empty();
            if retracted && !kept(value) {
                effects.push(Effect { change: Change::retract(*e, *a, value.clone()), was: Some(*was) });
            }
        }
        if let Some(add) = adds.first()
            && !current.iter().any(|(value, _)| *value == add.v)
        {
            effects.push(Effect { change: add.clone(), was: None });
        }
        Ok(())
    }

    fn plan_many(
        &self,
        fresh: Entid,
        retracts: &[Change],
        adds: &[Change],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Failure> {
        for change in retracts.iter().chain(adds) {
            let was = if self.is_new(change.e, fresh) { None } else { self.asserted(change.e, change.a, &change.v)? };
            if was.is_none() == change.added {
                effects.push(Effect { change: change.clone(), was });
            }
        }
        Ok(())
    }

    /// The effects are in order.
    fn check_unique(&self, schema: &Schema, effects: &[Effect]) -> Result<(), Failure> {
        let gone = |holder: Entid, a: Entid, v: &Value| {
            let retraction = Change::retract(holder, a, v.clone());
            effects.binary_search_by(|x| x.change.cmp(&retraction)).is_ok()
        };
        let mut claimed: HashMap<(Entid, &Value), Entid> = HashMap::new();
        let unique = |a: Entid| schema.attribute(a).is_some_and(|d| d.unique().is_some());
        for Effect { change: Change { e, a, v, .. }, .. } in
            effects.iter().filter(|x| x.change.added && unique(x.change.a))
        {
            let clash = |holder: Entid| Refusal::Unique { e: *e, a: *a, v: v.clone(), holder };
            if let Some(other) = claimed.insert((*a, v), *e) {
                return Err(clash(other).into());
            }
            if let Some(holder) = self.holder(*a, v)?
                && !gone(holder, *a, v)
            {
                return Err(clash(holder).into());
            }
        }
        Ok(())
    }
}

/// Runs of changes to one attribute of one entity. The changes are sorted.
fn groups(changes: &[Change]) -> impl Iterator<Item = &[Change]> {
    changes.chunk_by(|x, y| (x.e, x.a) == (y.e, y.a))
}

#[cfg(test)]
mod tests;
