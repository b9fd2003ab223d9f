//! Patterns: `[e a v tx]`.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Symbol;

use crate::error::{Error, Result};
use crate::query::algebra::{Comparison, Condition, Expr, Field, Index, SourceId, Typed, Typing};
use crate::query::ast::{self, Clause, Query, Term};
use crate::query::plan::Context;
use crate::query::plan::constant;
use crate::query::plan::given::Given;
use crate::query::plan::infer::Types;
use crate::query::plan::join::{Known, Step, Way};
use crate::query::types::TypeSet;
use crate::schema::{Attribute, Schema};
use crate::types::{Entid, ValueType};

/// An attribute that is known before the query runs.
pub(crate) type Named<'s> = (Entid, &'s Attribute);

/// The attribute of each pattern, in order, where it is a constant or an input with one value.
pub(crate) fn attributes<'s>(query: &Query, schema: &'s Schema, given: &Given) -> Result<Vec<Option<Named<'s>>>> {
    let patterns = query.clauses.iter().filter_map(Clause::as_pattern);
    patterns
        .map(|p| match &p.a {
            Term::Any => Ok(None),
            Term::Constant(c) => constant::attribute(c, schema).map(Some),
            Term::Variable(v) => match given.scalars.get(&v.name) {
                None => Ok(None),
                Some((input, c)) => constant::attribute(c, schema)
                    .map(Some)
                    .map_err(|e| Error::input(input.span, format!("the input {input}: {e}"))),
            },
        })
        .collect()
}

/// What a pattern says about the types of its variables.
pub(crate) fn infer(pattern: &ast::Pattern, attribute: Option<Named<'_>>, types: &mut Types) -> Result<()> {
    for term in [&pattern.e, &pattern.a, &pattern.tx] {
        if let Term::Variable(variable) = term {
            types.narrow(variable, TypeSet::REF)?;
        }
    }
    if let (Term::Variable(variable), Some((_, attribute))) = (&pattern.v, attribute) {
        types.narrow(variable, attribute.value_type().into())?;
    }
    Ok(())
}

/// A position of a pattern.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    Any,
    /// One value, known before the query runs.
    Fixed(Typed),
    Variable(Symbol),
}

impl Slot {
    fn of(term: &Term, wanted: TypeSet, context: &Context<'_>) -> Result<Self> {
        match term {
            Term::Any => Ok(Self::Any),
            Term::Variable(v) => Ok(match context.scalars.get(&v.name) {
                Some(scalar) => Self::Fixed(scalar.clone()),
                None => Self::Variable(v.name.clone()),
            }),
            Term::Constant(c) => {
                let (value_type, value) = constant::resolve(c, wanted, context.schema)?;
                Ok(Self::Fixed(Typed { value, typing: Typing::Known(value_type) }))
            }
        }
    }

    /// Whether there is one value for it at most, given these variables.
    pub(crate) fn is_known(&self, variables: &BTreeSet<Symbol>) -> bool {
        match self {
            Self::Any => false,
            Self::Fixed(_) => true,
            Self::Variable(name) => variables.contains(name),
        }
    }

    fn is_in(&self, variables: &BTreeSet<Symbol>) -> bool {
        matches!(self, Self::Variable(name) if variables.contains(name))
    }

    fn types(&self, context: &Context<'_>) -> TypeSet {
        match self {
            Self::Any => TypeSet::ALL,
            Self::Fixed(typed) => typed.types(),
            Self::Variable(name) => context.types.of(name),
        }
    }
}

/// A pattern whose names have been looked up.
#[derive(Debug, Clone)]
pub(crate) struct Pattern<'s> {
    pub(crate) e: Slot,
    pub(crate) a: Slot,
    pub(crate) v: Slot,
    pub(crate) tx: Slot,
    pub(crate) attribute: Option<Named<'s>>,
    /// What `v` can be.
    types: TypeSet,
}

impl<'s> Pattern<'s> {
    pub(crate) fn resolve(pattern: &ast::Pattern, attribute: Option<Named<'s>>, context: &Context<'s>) -> Result<Self> {
        let wanted = attribute.map_or(TypeSet::ALL, |(_, a)| a.value_type().into());
        let a = match (attribute, &pattern.a) {
            (Some((entid, _)), _) => {
                Slot::Fixed(Typed { value: Expr::Entid(entid), typing: Typing::Known(ValueType::Ref) })
            }
            (None, term) => Slot::of(term, TypeSet::REF, context)?,
        };
        let v = Slot::of(&pattern.v, wanted, context).map_err(|e| match attribute {
            Some((entid, _)) => {
                let message = format!("{}: {e}", context.schema.name(entid));
                Error::input(e.span().unwrap_or(pattern.span), message)
            }
            None => e,
        })?;
        let types = wanted.and(v.types(context));
        let (e, tx) = (Slot::of(&pattern.e, TypeSet::REF, context)?, Slot::of(&pattern.tx, TypeSet::REF, context)?);
        Ok(Self { e, a, v, tx, attribute, types })
    }

    pub(crate) fn slots(&self) -> [(&Slot, Field); 4] {
        [(&self.e, Field::E), (&self.a, Field::A), (&self.v, Field::V), (&self.tx, Field::Tx)]
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Symbol> {
        self.slots().into_iter().filter_map(|(slot, _)| match slot {
            Slot::Variable(name) => Some(name),
            _ => None,
        })
    }

    /// A position's column, with its type.
    pub(crate) fn column(&self, source: SourceId, field: Field) -> Typed {
        let typing = match (field, self.attribute) {
            (Field::V, Some((_, attribute))) => Typing::Known(attribute.value_type()),
            (Field::V, None) => Typing::Beside(Expr::Column(source, Field::Vt), self.types),
            _ => Typing::Known(ValueType::Ref),
        };
        Typed { value: Expr::Column(source, field), typing }
    }

    /// What the positions with known values demand of the source.
    pub(crate) fn conditions(&self, source: SourceId) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (slot, field) in self.slots() {
            if let Slot::Fixed(fixed) = slot {
                let column = self.column(source, field);
                if let Typing::Beside(beside, _) = column.typing {
                    conditions.push(Condition::HasType(beside, fixed.types()));
                }
                conditions.push(Condition::Compare(Comparison::Equal, column.value, fixed.value.clone()));
            }
        }
        conditions
    }

    /// The condition that leads SQLite along `way`. `found` are the variables of the sources before.
    pub(crate) fn along(&self, way: Way, source: SourceId, found: &BTreeMap<Symbol, Typed>) -> Condition {
        let through = |index| Condition::Through(source, index);
        match way {
            Way::Aevt => through(Index::Aevt),
            Way::Avet => through(Index::Avet),
            Way::Unique => through(Index::Unique),
            Way::Vaet => through(Index::Vaet),
            Way::Listed => {
                let attribute = match &self.a {
                    Slot::Fixed(typed) => Some(typed),
                    Slot::Variable(name) => found.get(name),
                    Slot::Any => None,
                };
                let is = attribute.map(|a| {
                    let column = self.column(source, Field::A).value;
                    Condition::Compare(Comparison::Equal, column, a.value.clone())
                });
                let listed = |index| Condition::All(is.iter().cloned().chain([through(index)]).collect());
                Condition::Either(vec![listed(Index::Aevt), listed(Index::Avet)])
            }
        }
    }

    /// What it costs to go through this pattern once for each row there is so far, how many rows that makes of one, and
    /// which index has to be pointed out to SQLite. The numbers are guesses that put unique before selective before wide;
    /// what they say of cardinality and uniqueness is exact, and SQLite does not know it.
    pub(crate) fn step(&self, known: &Known) -> Step {
        const ALL: f64 = 200_000.0;
        const ATTRIBUTE: f64 = 20_000.0;
        let e = self.e.is_known(&known.variables);
        let v = self.v.is_known(&known.variables) || self.v.is_in(&known.equated);
        let range = self.v.is_in(&known.ranged);
        let tx = self.tx.is_known(&known.variables);
        let is_ref = self.types == TypeSet::REF;
        let unique = self.attribute.is_some_and(|(_, a)| a.unique().is_some());
        let indexed = self.attribute.is_some_and(|(_, a)| a.indexed());
        let one = self.attribute.is_some_and(|(_, a)| a.is_one());
        let attribute = self.a.is_known(&known.variables);

        // Rows that are read, and the share of them that is left where no index has seen to it.
        let share = if v { 0.1 } else { 1.0 } * if range { 0.3 } else { 1.0 } * if tx { 0.1 } else { 1.0 };
        let (cost, share, way) = match () {
            () if e && one => (1.0, share, None),
            () if e && attribute => (4.0, share, None),
            () if e => (20.0, share, None),
            () if v && unique => (1.5, 0.5, Some(Way::Unique)),
            () if v && indexed => (10.0, 1.0, Some(Way::Avet)),
            () if v && is_ref && self.attribute.is_some() => (15.0, 1.0, Some(Way::Vaet)),
            // Here the type is not the attribute's, so there is a condition on it already.
            () if v && is_ref => (if attribute { 15.0 } else { 30.0 }, 1.0, None),
            () if range && indexed => (ATTRIBUTE * 0.3, 1.0, Some(Way::Avet)),
            () if self.attribute.is_some() => (ATTRIBUTE, share, Some(if indexed { Way::Avet } else { Way::Aevt })),
            () if attribute => (ATTRIBUTE, share, Some(Way::Listed)),
            () => (ALL, share, None),
        };
        Step { cost, rows: cost * share, way }
    }
}
