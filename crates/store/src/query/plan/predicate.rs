//! Predicates: `[(< ?x ?y)]`.

use std::collections::BTreeSet;

use tolstoy_edn::Symbol;

use crate::error::{Error, Result};
use crate::query::algebra::{Comparison, Condition, Expr, Typed, Typing};
use crate::query::ast::{Clause, Operator, Predicate, Term};
use crate::query::plan::constant::{at_first_sight, candidates, resolve, short};
use crate::query::plan::given::Given;
use crate::query::plan::infer::Types;
use crate::query::plan::{Bindings, Context};
use crate::query::types::TypeSet;

/// The types that an operator compares.
fn takes(operator: Operator) -> TypeSet {
    match operator {
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => TypeSet::ORDERED,
        Operator::Equal | Operator::NotEqual => TypeSet::ALL,
        Operator::Differ | Operator::Unpermute | Operator::TxAfter | Operator::TxBefore => TypeSet::REF,
    }
}

const fn comparison(operator: Operator) -> Comparison {
    match operator {
        Operator::Less | Operator::Unpermute | Operator::TxBefore => Comparison::Less,
        Operator::LessOrEqual => Comparison::LessOrEqual,
        Operator::Greater | Operator::TxAfter => Comparison::Greater,
        Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
        Operator::Equal => Comparison::Equal,
        Operator::NotEqual | Operator::Differ => Comparison::NotEqual,
    }
}

/// What a predicate says about the types of its variables: all arguments can be compared with each other. That two values
/// are not equal says nothing about their types, except of inputs, whose type is ours to choose.
pub(crate) fn infer(predicate: &Predicate, given: &Given, types: &mut Types) -> Result<()> {
    let name = predicate.operator.name();
    let takes = takes(predicate.operator);
    let mut all = takes;
    for term in &predicate.arguments {
        let these = of(term, types)?;
        if these.and(takes).is_none() {
            let what = if takes == TypeSet::REF { "entities" } else { "numbers, instants and strings" };
            let message = format!("({name} ...) compares {what}, and {}", described(term, types)?);
            return Err(Error::input(predicate.span, message));
        }
        all = all.and(these.comparable());
    }
    if all.is_none() {
        let each = predicate.arguments.iter().map(|term| described(term, types)).collect::<Result<Vec<_>>>()?;
        let message = format!("({name} ...) compares values of one type, and here {}", each.join(", "));
        return Err(Error::input(predicate.span, message));
    }
    for variable in predicate.arguments.iter().filter_map(Term::as_variable) {
        if predicate.operator != Operator::NotEqual || given.scalars.contains_key(&variable.name) {
            types.narrow(variable, all)?;
        }
    }
    Ok(())
}

fn of(term: &Term, types: &Types) -> Result<TypeSet> {
    match term {
        Term::Any => Ok(TypeSet::ALL),
        Term::Variable(variable) => Ok(types.of(&variable.name)),
        Term::Constant(constant) => candidates(constant),
    }
}

/// "?x is a string"
fn described(term: &Term, types: &Types) -> Result<String> {
    match term {
        Term::Any => Ok("_ is anything".to_owned()),
        Term::Variable(variable) => Ok(format!("{variable} is {}", types.of(&variable.name))),
        Term::Constant(constant) => Ok(format!("{} is {}", short(&constant.value), at_first_sight(constant)?)),
    }
}

/// The variables that predicates set equal to a value known before the query runs, and those that they bound by one.
pub(crate) fn bounds(clauses: &[Clause], context: &Context<'_>) -> (BTreeSet<Symbol>, BTreeSet<Symbol>) {
    let (mut equated, mut ranged) = (BTreeSet::new(), BTreeSet::new());
    let is_known = |term: &Term| match term {
        Term::Variable(variable) => context.scalars.contains_key(&variable.name),
        Term::Constant(_) => true,
        Term::Any => false,
    };
    for predicate in clauses.iter().filter_map(Clause::as_predicate) {
        let set = match comparison(predicate.operator) {
            Comparison::Equal => &mut equated,
            Comparison::NotEqual => continue,
            _ => &mut ranged,
        };
        for pair in predicate.arguments.windows(2) {
            if let [Term::Variable(v), known] | [known, Term::Variable(v)] = pair
                && is_known(known)
            {
                set.insert(v.name.clone());
            }
        }
    }
    (equated, ranged)
}

/// What a predicate demands.
pub(crate) fn conditions(
    predicate: &Predicate,
    context: &Context<'_>,
    bindings: &Bindings<'_>,
) -> Result<Vec<Condition>> {
    let mut wanted = takes(predicate.operator);
    for term in &predicate.arguments {
        wanted = wanted.and(of(term, &context.types)?.comparable());
    }
    let mut arguments = Vec::new();
    for term in &predicate.arguments {
        arguments.push(match term {
            Term::Variable(variable) => bindings.of(variable)?.clone(),
            Term::Constant(constant) => {
                let (value_type, value) = resolve(constant, wanted, context.schema)?;
                Typed { value, typing: Typing::Known(value_type) }
            }
            Term::Any => return Err(Error::input(predicate.span, "`_` has no value to compare")),
        });
    }
    Ok(arguments
        .windows(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(compare(comparison(predicate.operator), left, right)),
            _ => None,
        })
        .collect())
}

fn compare(comparison: Comparison, left: &Typed, right: &Typed) -> Condition {
    let plain = |comparison| Condition::Compare(comparison, left.value.clone(), right.value.clone());
    let both = left.types().or(right.types());
    if both.single().is_some() || both.is_within(TypeSet::NUMBERS) {
        return plain(comparison);
    }
    let comparable = comparable(left, right);
    if comparison == Comparison::NotEqual {
        Condition::Not(Box::new(Condition::All(vec![comparable, plain(Comparison::Equal)])))
    } else {
        Condition::All(vec![comparable, plain(comparison)])
    }
}

/// That two values are of one type, or both numbers.
fn comparable(left: &Typed, right: &Typed) -> Condition {
    match (&left.typing, &right.typing) {
        (Typing::Known(known), Typing::Beside(beside, _)) | (Typing::Beside(beside, _), Typing::Known(known)) => {
            Condition::HasType(beside.clone(), TypeSet::from(*known).comparable())
        }
        (Typing::Beside(one, _), Typing::Beside(other, _)) => {
            let number = |beside: &Expr| Condition::HasType(beside.clone(), TypeSet::NUMBERS);
            Condition::Either(vec![
                Condition::Compare(Comparison::Equal, one.clone(), other.clone()),
                Condition::All(vec![number(one), number(other)]),
            ])
        }
        // Inference has refused what can never be compared, so these can.
        (Typing::Known(_), Typing::Known(_)) => Condition::All(Vec::new()),
    }
}
