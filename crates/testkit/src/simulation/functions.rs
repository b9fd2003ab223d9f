//! The functions that the users' programs register. What they must come to the oracle works out for itself.

use tolstoy_store::{Facts, Function, FunctionError, Parameter, Statement, Store, Value};

use super::told;
use crate::oracle::{NEXT, TAKE};

/// Registers the functions with a store.
pub(super) fn teach(store: &mut Store) -> Result<(), String> {
    use Parameter::{Attribute, Entity, Value as Literal};
    let take = Function::new(TAKE, [Entity, Attribute, Literal], take).map_err(told)?;
    let next = Function::new(NEXT, [Entity, Attribute], next).map_err(told)?;
    store.register(take).and_then(|()| store.register(next)).map_err(told)
}

fn take(facts: &Facts<'_>, args: &[Value]) -> Result<Vec<Statement>, FunctionError> {
    let [Value::Ref(e), Value::Ref(a), Value::Long(n)] = args else { return Err(FunctionError::refused("what?")) };
    match facts.value(*e, *a)? {
        Some(Value::Long(there)) if there >= *n => Ok(vec![Statement::inc(*e, *a, Value::Long(-n))]),
        _ => Err(FunctionError::refused("there is not enough")),
    }
}

fn next(facts: &Facts<'_>, args: &[Value]) -> Result<Vec<Statement>, FunctionError> {
    let [Value::Ref(e), Value::Ref(a)] = args else { return Err(FunctionError::refused("what?")) };
    if facts.schema().attribute(*a).is_none_or(|d| d.is_one()) {
        return Err(FunctionError::refused("there is room for one only"));
    }
    let there = facts.values(*e, *a)?.len();
    Ok(vec![Statement::add(*e, *a, Value::String(format!("k{there}").into()))])
}
