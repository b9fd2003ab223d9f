//! Running operations: what they come to on the facts as they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::bootstrap::entids::TX_INSTANT;
use crate::core::{Failure, Refusal, Working};
use crate::error::{ErrorKind, Result};
use crate::functions::{Facts, FunctionError, Functions, Statement};
use crate::log::{Operation, Update};
use crate::schema::Schema;
use crate::types::{Change, Double, Entid, Value};

/// A change that an operation came to, and that operation's place among those of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Produced {
    pub(crate) at: usize,
    pub(crate) change: Change,
}

/// An operation that cannot be run, by its place, and why.
#[derive(Debug)]
pub(crate) struct Stuck {
    pub(crate) at: usize,
    pub(crate) failure: Failure,
}

impl Working<'_> {
    /// What the operations of the next transaction come to, which states `plain` beside them. All of them see the facts as
    /// they are.
    pub(crate) fn operate(
        &self,
        functions: &Functions,
        operations: &[Operation],
        plain: &[Change],
    ) -> Result<Vec<Produced>, Stuck> {
        let mut run = Run { working: self, outcomes: BTreeMap::new(), sums: BTreeMap::new(), produced: Vec::new() };
        for (at, operation) in operations.iter().enumerate() {
            run.operation(functions, at, operation).map_err(|failure| Stuck { at, failure })?;
        }
        run.finish(plain)
    }

    /// Whether the entity is one of main, the next transaction among them.
    pub(crate) fn is_entity(&self, e: Entid) -> Result<bool> {
        if e.is_tx() {
            Ok(e <= self.next_tx())
        } else if e.is_user() {
            Ok(e < self.basis.next)
        } else {
            self.exists(e)
        }
    }
}

/// Of the effects of a plan for `plain` and what operations came to: those that are due to `plain`, beside the transaction's
/// own instant.
pub(crate) fn plainly_said<'e>(
    tx: Entid,
    effects: impl Iterator<Item = &'e Change>,
    plain: &[Change],
    produced: &[Produced],
) -> Vec<Change> {
    let operated: HashSet<(Entid, Entid)> = produced.iter().map(|p| (p.change.e, p.change.a)).collect();
    let stated: HashSet<&Change> = plain.iter().collect();
    let set: HashSet<(Entid, Entid)> = plain.iter().filter(|c| c.added).map(|c| (c.e, c.a)).collect();
    let plainly = |c: &Change| {
        let place = (c.e, c.a);
        !operated.contains(&place) || stated.contains(c) || (!c.added && set.contains(&place))
    };
    effects.filter(|c| (c.e, c.a) != (tx, TX_INSTANT) && plainly(c)).cloned().collect()
}

/// What a value is to become.
struct Outcome {
    at: usize,
    current: Option<Value>,
    value: Option<Value>,
}

/// A value and all that is added to it, in order.
struct Sum {
    /// The place of the last that adds to it.
    at: usize,
    current: Option<Value>,
    added: Vec<Value>,
}

/// Operations in the course of being run.
struct Run<'r> {
    working: &'r Working<'r>,
    outcomes: BTreeMap<(Entid, Entid), Outcome>,
    /// What is added to values.
    sums: BTreeMap<(Entid, Entid), Sum>,
    produced: Vec<Produced>,
}

impl Run<'_> {
    fn operation(&mut self, functions: &Functions, at: usize, operation: &Operation) -> Result<(), Failure> {
        match operation {
            Operation::Update { e, a, update } => self.update(at, *e, *a, update),
            Operation::Call { name, args } => {
                let function =
                    functions.get(name).ok_or_else(|| Refusal::UnknownOperation { name: name.to_string() })?;
                let refuse = |why: String| Refusal::Function { name: name.clone(), why };
                if !function.takes(args) {
                    return Err(refuse(format!("it is called as {}", function.form())).into());
                }
                let statements = match function.run(&Facts::new(self.working), args) {
                    Ok(statements) => statements,
                    Err(FunctionError::Refused(why)) => return Err(refuse(why).into()),
                    Err(FunctionError::Failed(error)) => {
                        return Err(match error.kind() {
                            ErrorKind::Input | ErrorKind::Refused => refuse(error.to_string()).into(),
                            _ => error.into(),
                        });
                    }
                };
                for statement in statements {
                    self.statement(at, statement)?;
                }
                Ok(())
            }
            Operation::Unknown { kind, .. } => Err(Refusal::UnknownOperation { name: kind.clone() }.into()),
        }
    }

    fn statement(&mut self, at: usize, statement: Statement) -> Result<(), Failure> {
        match statement {
            Statement::Change(change) => {
                self.check_place(change.e, change.a)?;
                self.check_exists(change.v.as_ref_entid())?;
                self.produced.push(Produced { at, change });
                Ok(())
            }
            Statement::Update { e, a, update } => self.update(at, e, a, &update),
        }
    }

    /// What defines the schema is stated, so that whoever reads a transaction sees what it defines.
    fn check_place(&self, e: Entid, a: Entid) -> Result<(), Failure> {
        if Schema::concerns(a) || a == TX_INSTANT {
            return Err(Refusal::NotByOperation { a }.into());
        }
        self.check_exists(Some(e))
    }

    fn check_exists(&self, e: Option<Entid>) -> Result<(), Failure> {
        match e {
            Some(e) if !self.working.is_entity(e)? => Err(Refusal::NoSuchEntity { e }.into()),
            _ => Ok(()),
        }
    }

    fn update(&mut self, at: usize, e: Entid, a: Entid, update: &Update) -> Result<(), Failure> {
        self.check_place(e, a)?;
        let attribute = self.working.schema.attribute(a);
        if attribute.is_some_and(|d| !d.is_one()) {
            return Err(Refusal::SeveralValues { a }.into());
        }
        let given = match update {
            Update::Cas { old, new } => [old.as_ref(), new.as_ref()],
            Update::Inc(v) | Update::Max(v) | Update::Min(v) => [Some(v), None],
        };
        for value in given.into_iter().flatten() {
            self.check_exists(value.as_ref_entid())?;
            let value_type = value.value_type();
            if let Some(wants) = attribute.map(|d| d.value_type()).filter(|wants| *wants != value_type) {
                return Err(Refusal::WrongType { a, wants, value: value.clone() }.into());
            }
            let fits = match update {
                Update::Cas { .. } => true,
                Update::Inc(_) => value_type.is_number(),
                Update::Max(_) | Update::Min(_) => value_type.is_measure(),
            };
            if !fits {
                return Err(Refusal::NotForType { a, operation: update.name().to_owned(), value_type }.into());
            }
        }
        let current = self.working.values(e, a)?.into_iter().next().map(|(v, _)| v);
        let value = match update {
            Update::Cas { old, new } if *old == current => new.clone(),
            Update::Cas { old, .. } => {
                return Err(Refusal::Cas { e, a, expected: old.clone(), found: current }.into());
            }
            Update::Inc(by) => {
                let sum = self.sums.entry((e, a)).or_insert_with(|| Sum { at, current, added: Vec::new() });
                sum.at = at;
                sum.added.push(by.clone());
                return Ok(());
            }
            Update::Max(v) => Some(current.clone().map_or_else(|| v.clone(), |c| c.max(v.clone()))),
            Update::Min(v) => Some(current.clone().map_or_else(|| v.clone(), |c| c.min(v.clone()))),
        };
        self.settle(e, a, Outcome { at, current, value })
    }

    fn settle(&mut self, e: Entid, a: Entid, outcome: Outcome) -> Result<(), Failure> {
        if let Some(other) = self.outcomes.get(&(e, a)).filter(|other| other.value != outcome.value) {
            return Err(Refusal::Disagree { e, a, first: other.value.clone(), second: outcome.value }.into());
        }
        self.outcomes.insert((e, a), outcome);
        Ok(())
    }

    fn finish(mut self, plain: &[Change]) -> Result<Vec<Produced>, Stuck> {
        for ((e, a), Sum { at, current, added }) in std::mem::take(&mut self.sums) {
            let sum = add_up(current.iter().chain(&added)).ok_or(Refusal::Overflow { e, a }.into());
            let settled = sum.and_then(|sum| self.settle(e, a, Outcome { at, current, value: Some(sum) }));
            settled.map_err(|failure| Stuck { at, failure })?;
        }
        let added = plain.iter().chain(self.produced.iter().map(|p| &p.change)).filter(|c| c.added);
        let given: HashMap<(Entid, Entid), Value> = added.map(|c| ((c.e, c.a), c.v.clone())).collect();
        for ((e, a), Outcome { at, current, value }) in self.outcomes {
            // Where an operation leaves no value, nothing else may give one. That two values differ is found by the plan.
            if value.is_none()
                && let Some(second) = given.get(&(e, a))
            {
                let refusal = Refusal::Disagree { e, a, first: None, second: Some(second.clone()) };
                return Err(Stuck { at, failure: refusal.into() });
            }
            let change = value.map(|v| Change::add(e, a, v)).or_else(|| current.map(|v| Change::retract(e, a, v)));
            self.produced.extend(change.map(|change| Produced { at, change }));
        }
        Ok(self.produced)
    }
}

/// The sum of numbers of one type, if that type holds it: what is finite does not add up to an infinity.
fn add_up<'v>(numbers: impl Iterator<Item = &'v Value>) -> Option<Value> {
    let (mut longs, mut doubles, mut finite) = (0_i128, None, true);
    for number in numbers {
        match number {
            Value::Long(n) => longs += i128::from(*n),
            Value::Double(x) => {
                doubles = Some(doubles.unwrap_or(0.0) + x.get());
                finite &= x.get().is_finite();
            }
            _ => return None,
        }
    }
    match doubles {
        None => i64::try_from(longs).ok().map(Value::Long),
        Some(sum) => Double::new(sum).filter(|sum| sum.get().is_finite() || !finite).map(Value::Double),
    }
}

#[cfg(test)]
mod tests;
