//! Resolve: provisional entities become numbers. Those that take a unique identity which some entity has are that
//! entity; those that take the same identity are one; what is left is new.

use std::collections::{HashMap, HashSet, VecDeque};

use super::check::{Checked, Term};
use super::nodes::{Nodes, is_provisional, provisional_ref};
use super::operations::Asked;
use crate::core::Working;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Entid, Value};

/// Gives every entity in the terms its number.
///
/// # Errors
/// `Refused` where an entity would be two, or nothing is stated about one; `Full`.
pub(super) fn resolve(working: &mut Working<'_>, checked: &mut Checked<'_>) -> Result<()> {
    if !checked.identities.is_empty() {
        Unifier { working, checked, named: HashMap::new(), uses: HashMap::new() }.run()?;
    }
    check_stated(checked)?;
    let Checked { nodes, terms, operations, .. } = checked;
    let mut operations = operations.iter_mut().peekable();
    for (at, Term { change, .. }) in terms.iter_mut().enumerate() {
        while let Some(asked) = operations.next_if(|asked| asked.after <= at) {
            number_operation(working, nodes, asked)?;
        }
        change.e = number(working, nodes, change.e)?;
        change.a = number(working, nodes, change.a)?;
        if let Some(to) = provisional_ref(&change.v) {
            change.v = Value::Ref(number(working, nodes, to)?);
        }
    }
    operations.try_for_each(|asked| number_operation(working, nodes, asked))
}

fn number_operation(working: &mut Working<'_>, nodes: &mut Nodes<'_>, asked: &mut Asked) -> Result<()> {
    let mut images = HashMap::new();
    for e in asked.operation.mentions() {
        images.insert(e, number(working, nodes, e)?);
    }
    asked.operation = asked.operation.map(|e| images.get(&e).copied().unwrap_or(e));
    Ok(())
}

fn number(working: &mut Working<'_>, nodes: &mut Nodes<'_>, e: Entid) -> Result<Entid> {
    if !is_provisional(e) {
        return Ok(e);
    }
    let current = nodes.current(e);
    if !is_provisional(current) {
        return Ok(current);
    }
    let fresh = working.allocate()?;
    nodes.set(current, fresh);
    Ok(fresh)
}

/// A new entity has facts: a tempid that is only referred to is a slip of the pen.
fn check_stated(checked: &mut Checked<'_>) -> Result<()> {
    let Checked { nodes, terms, operations, .. } = checked;
    let mut stated = HashSet::new();
    for term in terms.iter().filter(|t| t.change.added && is_provisional(t.change.e)) {
        stated.insert(nodes.current(term.change.e));
    }
    for e in operations.iter().flat_map(Asked::may_state_about).filter(|e| is_provisional(*e)) {
        stated.insert(nodes.current(e));
    }
    for e in nodes.all() {
        let current = nodes.current(e);
        if is_provisional(current) && !stated.contains(&current) {
            let message = format!("nothing is stated about {}", nodes.describe(e));
            return Err(Error::input(nodes.span(e), message));
        }
    }
    Ok(())
}

/// Finds which entities are one. Whenever an entity in the place of a value or an attribute turns out to be another, the terms that
/// use it are looked at again, so the result is a fixpoint.
struct Unifier<'a, 'w, 'f> {
    working: &'a Working<'w>,
    checked: &'a mut Checked<'f>,
    /// Who takes a value of a unique identity.
    named: HashMap<(Entid, Value), Entid>,
    /// The terms that mention an unresolved entity as their value or attribute.
    uses: HashMap<Entid, Vec<usize>>,
}

impl Unifier<'_, '_, '_> {
    fn run(mut self) -> Result<()> {
        let mut queue: VecDeque<usize> = self.checked.identities.iter().copied().collect();
        for at in &self.checked.identities {
            let Some(Term { change, .. }) = self.checked.terms.get(*at) else { continue };
            for used in [provisional_ref(&change.v), Some(change.a).filter(|a| is_provisional(*a))] {
                if let Some(used) = used.map(|e| self.checked.nodes.current(e)) {
                    self.uses.entry(used).or_default().push(*at);
                }
            }
        }
        while let Some(at) = queue.pop_front() {
            self.look(at, &mut queue)?;
        }
        Ok(())
    }

    fn look(&mut self, at: usize, queue: &mut VecDeque<usize>) -> Result<()> {
        let Some(Term { change, .. }) = self.checked.terms.get(at) else { return Ok(()) };
        let nodes = &mut self.checked.nodes;
        let a = nodes.current(change.a);
        let v = match provisional_ref(&change.v) {
            Some(to) => Value::Ref(nodes.current(to)),
            None => change.v.clone(),
        };
        let e = change.e;
        let known = !is_provisional(a) && provisional_ref(&v).is_none();
        if known
            && is_provisional(e)
            && self.checked.names.identifies(a)
            && let Some(holder) = self.working.holder(a, &v)?
        {
            self.join(e, holder, at, queue)?;
        }
        match self.named.get(&(a, v.clone())).copied() {
            Some(other) => self.join(e, other, at, queue),
            None => {
                self.named.insert((a, v), e);
                Ok(())
            }
        }
    }

    /// Records that two entities are one, as a term shows.
    fn join(&mut self, x: Entid, y: Entid, at: usize, queue: &mut VecDeque<usize>) -> Result<()> {
        let nodes = &mut self.checked.nodes;
        let (x_is, y_is) = (nodes.current(x), nodes.current(y));
        if x_is == y_is {
            return Ok(());
        }
        let (loser, winner) = match (is_provisional(x_is), is_provisional(y_is)) {
            // Two entities of the store that claim one value: the plan tells. A tempid that would be both is told here.
            (false, false) if is_provisional(x) => return Err(self.two_entities(x, x_is, y_is, at)),
            (false, false) => return Ok(()),
            (true, false) => (x_is, y_is),
            (false, true) => (y_is, x_is),
            (true, true) => {
                let uses = |e: Entid| self.uses.get(&e).map_or(0, Vec::len);
                if uses(x_is) > uses(y_is) { (y_is, x_is) } else { (x_is, y_is) }
            }
        };
        nodes.set(loser, winner);
        if !is_provisional(winner) {
            nodes.set_shown_by(loser, at);
        }
        if let Some(again) = self.uses.remove(&loser) {
            queue.extend(&again);
            if is_provisional(winner) {
                self.uses.entry(winner).or_default().extend(again);
            }
        }
        Ok(())
    }

    fn two_entities(&mut self, e: Entid, one: Entid, other: Entid, at: usize) -> Error {
        let Checked { terms, names, nodes, .. } = &*self.checked;
        let has = |at: Option<usize>| match at.and_then(|at| terms.get(at)) {
            Some(Term { change, .. }) => {
                let v = provisional_ref(&change.v).map_or_else(|| change.v.to_string(), |to| nodes.describe(to));
                format!(", which has {} {v}", names.name(change.a))
            }
            None => String::new(),
        };
        let message = format!(
            "{} would be two entities: {}{}, and {}{}",
            nodes.describe(e),
            names.name(one),
            has(nodes.shown_by(e)),
            names.name(other),
            has(Some(at))
        );
        let span = terms.get(at).map(|t| t.span).unwrap_or_default();
        Error::new(ErrorKind::Refused, message).at(span)
    }
}
