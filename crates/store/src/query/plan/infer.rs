//! Type inference: what each variable can be, from the attributes, inputs and predicates it meets.

use std::collections::BTreeMap;

use tolstoy_edn::Symbol;

use crate::error::{Error, Result};
use crate::query::ast::{Clause, Query, Variable};
use crate::query::plan::given::Given;
use crate::query::plan::pattern::Named;
use crate::query::plan::{pattern, predicate};
use crate::query::types::TypeSet;

/// The types that each variable may still have. Sets only ever shrink.
#[derive(Debug, Default)]
pub(crate) struct Types {
    known: BTreeMap<Symbol, TypeSet>,
    changed: bool,
}

impl Types {
    /// What the variable can be.
    pub(crate) fn of(&self, name: &Symbol) -> TypeSet {
        self.known.get(name).copied().unwrap_or(TypeSet::ALL)
    }

    /// Takes in that the variable is one of these.
    ///
    /// # Errors
    /// Where nothing is left that it could be: the query contradicts itself.
    pub(crate) fn narrow(&mut self, variable: &Variable, to: TypeSet) -> Result<()> {
        let before = self.of(&variable.name);
        let after = before.and(to);
        if after.is_none() {
            let message = format!("{variable} would have to be {to} here, and it is {before} elsewhere in the query");
            return Err(Error::input(variable.span, message));
        }
        if after != before {
            self.known.insert(variable.name.clone(), after);
            self.changed = true;
        }
        Ok(())
    }

    /// Lets all clauses tell each other what they know, until nobody learns anything.
    pub(crate) fn infer(&mut self, query: &Query, attributes: &[Option<Named<'_>>], given: &Given) -> Result<()> {
        self.changed = true;
        while std::mem::take(&mut self.changed) {
            let mut attributes = attributes.iter();
            for clause in &query.clauses {
                match clause {
                    Clause::Pattern(p) => pattern::infer(p, attributes.next().copied().flatten(), self)?,
                    Clause::Predicate(p) => predicate::infer(p, given, self)?,
                }
            }
        }
        Ok(())
    }
}
