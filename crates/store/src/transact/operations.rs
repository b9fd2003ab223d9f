//! Operations in a transaction: `:db/cas`, `:db/inc`, `:db/max`, `:db/min`, and the functions that the program registered.

use std::collections::HashSet;

use tolstoy_edn::{Form, Keyword, Span};

use super::check::{Checked, Checker, Known, Term, Written};
use super::nodes::Nodes;
use super::place;
use super::scalar::literal;
use crate::core::operate::{Produced, Stuck, plainly_said};
use crate::core::{Plan, Refusal, Working};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{Functions, Parameter};
use crate::log::{Operation, Update};
use crate::suggest::did_you_mean;
use crate::types::{Change, Entid, Value, ValueType};

/// The operations that every store knows.
const BUILT_IN: [&str; 7] = ["db/add", "db/retract", "db/retractEntity", "db/cas", "db/inc", "db/max", "db/min"];

/// An operation that a form asks for, with provisional entids, and the place of the form.
pub(super) struct Asked {
    pub(super) operation: Operation,
    pub(super) span: Span,
    /// How many terms stand before it.
    pub(super) after: usize,
}

impl Asked {
    /// The entities about which it states something, as far as can be known before it runs.
    pub(super) fn may_state_about(&self) -> Vec<Entid> {
        match &self.operation {
            Operation::Update { update: Update::Cas { new: None, .. }, .. } | Operation::Unknown { .. } => Vec::new(),
            Operation::Update { e, .. } => vec![*e],
            Operation::Call { args, .. } => args.iter().filter_map(Value::as_ref_entid).collect(),
        }
    }
}

impl<'f> Checker<'f, '_> {
    /// Takes in a form whose operation neither asserts nor retracts by itself; its name stands at `at`.
    pub(super) fn operation(&mut self, name: &'f Keyword, at: Span, args: &'f [Form], span: Span) -> Result<()> {
        let after = self.checked.terms.len();
        let operation = match (name.as_str(), args) {
            ("db/cas", [e, a, old, new]) => {
                let (e, attribute) = self.updated(name, e, a)?;
                let (old, new) = (self.optional(attribute, old)?, self.optional(attribute, new)?);
                Operation::Update { e, a: attribute.a, update: Update::Cas { old, new } }
            }
            ("db/inc", [e, a, v]) => self.measured(name, [e, a, v], ValueType::is_number, Update::Inc)?,
            ("db/max", [e, a, v]) => self.measured(name, [e, a, v], ValueType::is_measure, Update::Max)?,
            ("db/min", [e, a, v]) => self.measured(name, [e, a, v], ValueType::is_measure, Update::Min)?,
            ("db/cas", _) => {
                let takes = "an entity, an attribute, the value it has and the one it gets; nil is no value";
                return Err(Error::input(span, format!("{name} takes {takes}: [{name} e a old new]")));
            }
            ("db/inc" | "db/max" | "db/min", _) => {
                let message = format!("{name} takes an entity, an attribute and a value: [{name} e a v]");
                return Err(Error::input(span, message));
            }
            _ => self.call_function(name, at, args, span)?,
        };
        self.checked.operations.push(Asked { operation, span, after });
        Ok(())
    }

    /// An operation on numbers or instants.
    fn measured(
        &mut self,
        name: &'f Keyword,
        [e, a, v]: [&'f Form; 3],
        fits: fn(ValueType) -> bool,
        update: fn(Value) -> Update,
    ) -> Result<Operation> {
        let (e, attribute) = self.updated(name, e, a)?;
        let Known { a: number, value_type, .. } = attribute;
        if !fits(value_type) {
            return Err(
                self.refuse(&Refusal::NotForType { a: number, operation: name.to_string(), value_type }, a.span)
            );
        }
        let v = self.scalar(attribute, v)?;
        Ok(Operation::Update { e, a: number, update: update(v) })
    }

    /// The entity and the attribute whose value an operation is about.
    fn updated(&mut self, name: &Keyword, e: &'f Form, a: &'f Form) -> Result<(Entid, Known)> {
        let entity = self.entity(e)?;
        let attribute = self.forwards(name, a)?;
        if attribute.many {
            return Err(self.refuse(&Refusal::SeveralValues { a: attribute.a }, a.span));
        }
        Ok((entity, attribute))
    }

    fn forwards(&mut self, name: &Keyword, a: &'f Form) -> Result<Known> {
        match self.attribute(a)? {
            Written { attribute, backwards: false } => Ok(attribute),
            Written { .. } => Err(Error::input(a.span, format!("{name} takes an attribute that reads forwards"))),
        }
    }

    fn optional(&mut self, attribute: Known, v: &'f Form) -> Result<Option<Value>> {
        Ok(match attribute.value_type {
            _ if v.is_nil() => None,
            ValueType::Ref => Some(Value::Ref(self.entity(v)?)),
            _ => Some(self.scalar(attribute, v)?),
        })
    }

    fn call_function(&mut self, name: &'f Keyword, at: Span, args: &'f [Form], span: Span) -> Result<Operation> {
        let functions = self.functions;
        let Some(function) = functions.get(name) else { return Err(no_operation(name, functions, at)) };
        if function.parameters().len() != args.len() {
            return Err(Error::input(span, format!("{name} is called as {}", function.form())));
        }
        let mut values = Vec::with_capacity(args.len());
        for (parameter, arg) in function.parameters().iter().zip(args) {
            values.push(match parameter {
                Parameter::Entity => Value::Ref(self.entity(arg)?),
                Parameter::Attribute => Value::Ref(self.forwards(name, arg)?.a),
                Parameter::Value => literal(arg).map_err(|reason| {
                    let why = if reason.is_empty() { format!("not {}", arg.kind.describe()) } else { reason };
                    Error::input(arg.span, format!("{name} takes a literal here: {why}"))
                })?,
            });
        }
        Ok(Operation::Call { name: name.clone(), args: values })
    }

    fn refuse(&self, refusal: &Refusal, span: Span) -> Error {
        Error::new(ErrorKind::Refused, refusal.explain(self.checked.names.schema())).at(span)
    }
}

fn no_operation(name: &Keyword, functions: &Functions, at: Span) -> Error {
    let known = BUILT_IN.into_iter().chain(functions.names().map(Keyword::as_str));
    let meant = did_you_mean(name.as_str(), known, ":");
    let message = match name.namespace() {
        _ if !meant.is_empty() => format!("{name} is not an operation{meant}"),
        Some(space) if space != "db" => {
            format!("{name} is not an operation: this program has registered no function of that name")
        }
        _ => format!(
            "{name} is not an operation; there are :{}, and functions that the program registers",
            BUILT_IN.join(", :")
        ),
    };
    Error::input(at, message)
}

/// The operations of a transaction, and what they came to.
#[derive(Default)]
pub(super) struct Ran {
    operations: Vec<Operation>,
    produced: Vec<Produced>,
}

/// Runs the operations, whose entities have their numbers. What they come to are further terms.
pub(super) fn run(
    working: &Working<'_>,
    functions: &Functions,
    checked: &mut Checked<'_>,
    plain: &[Change],
) -> Result<Ran> {
    let operations: Vec<Operation> = checked.operations.iter().map(|asked| asked.operation.clone()).collect();
    let span = |checked: &Checked<'_>, at: usize| checked.operations.get(at).map(|asked| asked.span);
    let produced = working.operate(functions, &operations, plain).map_err(|Stuck { at, failure }| {
        place::explain_at(failure, span(checked, at), &checked.terms, &working.schema)
    })?;
    for Produced { at, change } in &produced {
        let span = span(checked, *at).unwrap_or_default();
        checked.terms.push(Term { change: change.clone(), span });
    }
    Ok(Ran { operations, produced })
}

impl Ran {
    /// A function may state nothing about an entity that was to be new for it, which then would not exist. New ones are
    /// those from `fresh` on.
    pub(super) fn check_stated(&self, nodes: &mut Nodes<'_>, plan: &Plan, fresh: Entid) -> Result<()> {
        let is_new = |e: &Entid| e.is_user() && *e >= fresh;
        let given: Vec<Entid> = self.operations.iter().flat_map(Operation::mentions).filter(is_new).collect();
        let stated: HashSet<Entid> = plan.effects.iter().filter(|x| x.change.added).map(|x| x.change.e).collect();
        let Some(idle) = given.into_iter().find(|e| !stated.contains(e)) else { return Ok(()) };
        let node = nodes.all().find(|node| nodes.current(*node) == idle).unwrap_or(idle);
        Err(Error::input(nodes.span(node), format!("nothing is stated about {}", nodes.describe(node))))
    }

    /// What the log keeps: the operations and, where there are any, what is stated beside them.
    pub(super) fn kept(self, tx: Entid, plan: &Plan, plain: &[Change]) -> (Vec<Operation>, Option<Vec<Change>>) {
        if self.operations.is_empty() {
            return (Vec::new(), None);
        }
        let said = plainly_said(tx, plan.effects.iter().map(|x| &x.change), plain, &self.produced);
        (self.operations, Some(said))
    }
}
