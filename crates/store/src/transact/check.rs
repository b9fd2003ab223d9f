//! Parse and check: forms become terms, with every name looked up and every literal brought to its attribute's type.

use std::collections::HashMap;

use tolstoy_edn::{Form, FormKind, Keyword, Span};

use super::names::{Names, value_of};
use super::nodes::{Nodes, is_provisional};
use super::operations::Asked;
use super::scalar::scalar;
use crate::bootstrap::entids;
use crate::core::Working;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Functions;
use crate::schema::{Attribute, Cardinality, Unique};
use crate::types::{Change, Entid, Value, ValueType};

/// A change that a form asks for, with provisional entids, and the place of the form.
pub(super) struct Term {
    pub(super) change: Change,
    pub(super) span: Span,
}

/// A transaction whose forms are understood.
pub(super) struct Checked<'f> {
    /// In the order of the text.
    pub(super) terms: Vec<Term>,
    /// The terms that assert a value of a unique identity, by their place in `terms`.
    pub(super) identities: Vec<usize>,
    /// In the order of the text.
    pub(super) operations: Vec<Asked>,
    pub(super) nodes: Nodes<'f>,
    pub(super) names: Names,
}

/// What the check needs to know of an attribute.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) a: Entid,
    pub(super) value_type: ValueType,
    pub(super) many: bool,
    unique: Option<Unique>,
}

impl Known {
    fn new(a: Entid, attribute: &Attribute) -> Self {
        Self { a, value_type: attribute.value_type(), many: !attribute.is_one(), unique: attribute.unique() }
    }
}

/// An attribute as written: forwards, or backwards with an underscore.
#[derive(Clone, Copy)]
pub(super) struct Written {
    pub(super) attribute: Known,
    pub(super) backwards: bool,
}

/// Turns the forms of a transaction into terms.
pub(super) fn check<'f>(working: &Working<'_>, functions: &Functions, forms: &'f Form) -> Result<Checked<'f>> {
    let Some(forms) = forms.as_sequence() else {
        let what = forms.kind.describe();
        return Err(Error::input(forms.span, format!("a transaction is a vector of forms, not {what}")));
    };
    if let Some(op) = forms.first().filter(|f| f.as_keyword().is_some()) {
        return Err(Error::input(
            op.span,
            "a transaction is a vector of forms: put this form into one more pair of [ ]",
        ));
    }
    let mut nodes = Nodes::default();
    let names = Names::collect(&working.schema, forms, &mut nodes)?;
    let checked = Checked { terms: Vec::new(), identities: Vec::new(), operations: Vec::new(), nodes, names };
    let mut checker = Checker { working, functions, written: HashMap::new(), checked };
    for form in forms {
        checker.form(form)?;
    }
    Ok(checker.checked)
}

pub(super) struct Checker<'f, 'w> {
    working: &'w Working<'w>,
    pub(super) functions: &'w Functions,
    written: HashMap<&'f str, Written>,
    pub(super) checked: Checked<'f>,
}

impl<'f> Checker<'f, '_> {
    fn form(&mut self, form: &'f Form) -> Result<()> {
        match &form.kind {
            FormKind::Map(pairs) => {
                let e = self.map_entity(pairs, form.span)?;
                self.entries(e, pairs)
            }
            FormKind::Vector(parts) | FormKind::List(parts) => self.list(parts, form.span),
            other => Err(Error::input(
                form.span,
                format!("a form is [:db/add e a v] or another operation, or a map, not {}", other.describe()),
            )),
        }
    }

    fn list(&mut self, parts: &'f [Form], span: Span) -> Result<()> {
        let Some((op, rest)) = parts.split_first() else {
            return Err(Error::input(span, "an empty form states nothing"));
        };
        let Some(name) = op.as_keyword() else {
            let what = op.kind.describe();
            return Err(Error::input(
                op.span,
                format!("a form begins with :db/add or another operation, not with {what}"),
            ));
        };
        match (name.as_str(), rest) {
            ("db/add", [e, a, v]) => self.statement(e, a, v, true, span),
            ("db/retract", [e, a, v]) => self.statement(e, a, v, false, span),
            ("db/retractEntity", [e]) => self.retract_entity(e, span),
            ("db/add" | "db/retract", _) => {
                Err(Error::input(span, format!("{name} takes an entity, an attribute and a value: [{name} e a v]")))
            }
            ("db/retractEntity", _) => Err(Error::input(span, format!("{name} takes an entity: [{name} e]"))),
            _ => self.operation(name, op.span, rest, span),
        }
    }

    fn statement(&mut self, e: &'f Form, a: &'f Form, v: &'f Form, added: bool, span: Span) -> Result<()> {
        let entity = self.entity(e)?;
        let written = self.attribute(a)?;
        self.values(entity, written, v, added, span)
    }

    fn entries(&mut self, e: Entid, pairs: &'f [(Form, Form)]) -> Result<()> {
        for (key, v) in pairs {
            if key.as_keyword().is_some_and(|k| k.as_str() == "db/id") {
                continue;
            }
            let written = self.attribute(key)?;
            self.values(e, written, v, true, Span { start: key.span.start, end: v.span.end })?;
        }
        Ok(())
    }

    /// One value or, where several may stand, a vector or set of them.
    fn values(&mut self, e: Entid, written: Written, v: &'f Form, added: bool, span: Span) -> Result<()> {
        let Written { attribute, backwards } = written;
        let several = match &v.kind {
            FormKind::Vector(_) if attribute.value_type == ValueType::Ref && self.is_lookup_ref(v) => None,
            FormKind::Vector(items) | FormKind::Set(items) => Some(items),
            _ => None,
        };
        let Some(items) = several else { return self.value(e, written, v, added, span) };
        if !attribute.many && !backwards {
            // Of two parts that begin with a keyword, the better explanation is a lookup ref that is none.
            if attribute.value_type == ValueType::Ref
                && let [a, value] = items.as_slice()
                && a.as_keyword().is_some()
            {
                return self.lookup(a, value, v.span).map(|_| ());
            }
            let name = self.name(attribute.a);
            return Err(
                Error::new(ErrorKind::Refused, format!("{name} holds one value, not {}", v.kind.describe())).at(v.span)
            );
        }
        for item in items {
            self.value(e, written, item, added, span)?;
        }
        Ok(())
    }

    fn value(&mut self, e: Entid, written: Written, v: &'f Form, added: bool, span: Span) -> Result<()> {
        let Written { attribute, backwards } = written;
        let a = attribute.a;
        if attribute.value_type != ValueType::Ref {
            let value = self.scalar(attribute, v)?;
            if added {
                check_ident(a, &value, self.checked.names.was_there(&value), v.span)?;
            }
            self.push(Change { e, a, v: value, added }, attribute, span);
            return Ok(());
        }
        let (other, entries) = match &v.kind {
            FormKind::Map(pairs) if added => (self.map_entity(pairs, v.span)?, Some(pairs)),
            FormKind::Map(_) => {
                return Err(Error::input(v.span, "a retraction names the value by an entity, not by a map"));
            }
            _ => (self.entity(v)?, None),
        };
        let (from, to) = if backwards { (other, e) } else { (e, other) };
        if added {
            self.check_definition(a, to, v.span)?;
        }
        self.push(Change { e: from, a, v: Value::Ref(to), added }, attribute, span);
        // After the ref, so that entities are numbered in the order of the text.
        entries.map_or(Ok(()), |pairs| self.entries(other, pairs))
    }

    /// The entity that a map is about.
    fn map_entity(&mut self, pairs: &'f [(Form, Form)], span: Span) -> Result<Entid> {
        match (value_of(pairs, "db/id"), value_of(pairs, "db/ident")) {
            (Some(id), _) => self.entity(id),
            (None, Some(Form { kind: FormKind::Keyword(ident), .. })) => self.ident(ident, span),
            (None, _) => Ok(self.checked.nodes.anonymous(span)),
        }
    }

    /// A definition in words that mean nothing would leave the attribute other than its author believes.
    fn check_definition(&mut self, a: Entid, to: Entid, span: Span) -> Result<()> {
        let to = self.checked.nodes.current(to);
        let (means_something, words) = match a {
            entids::VALUE_TYPE => (ValueType::from_entid(to).is_some(), ":db.type/string or another of :db.type"),
            entids::CARDINALITY => {
                (Cardinality::from_entid(to).is_some(), ":db.cardinality/one or :db.cardinality/many")
            }
            entids::UNIQUE => (Unique::from_entid(to).is_some(), ":db.unique/value or :db.unique/identity"),
            _ => return Ok(()),
        };
        if means_something {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Refused, format!("{} is {words}", self.name(a))).at(span))
    }

    fn push(&mut self, change: Change, attribute: Known, span: Span) {
        if change.added && attribute.unique == Some(Unique::Identity) {
            self.checked.identities.push(self.checked.terms.len());
        }
        self.checked.terms.push(Term { change, span });
    }

    pub(super) fn scalar(&self, attribute: Known, v: &Form) -> Result<Value> {
        scalar(attribute.value_type, v).map_err(|reason| {
            let (name, wants) = (self.name(attribute.a), attribute.value_type);
            let message = match (reason.is_empty(), v.is_nil()) {
                (false, _) => format!("{name} takes values of type {wants}: {reason}"),
                (true, true) => format!("{name} takes values of type {wants}, not nil: leave out what has no value"),
                (true, false) => format!("{name} takes values of type {wants}, not {}", v.kind.describe()),
            };
            Error::new(ErrorKind::Refused, message).at(v.span)
        })
    }

    /// The entity that a form names, where an entity may stand.
    pub(super) fn entity(&mut self, form: &'f Form) -> Result<Entid> {
        match &form.kind {
            FormKind::Integer(n) => self.existing(*n, form.span),
            FormKind::Keyword(ident) => self.ident(ident, form.span),
            FormKind::String(name) => Ok(self.checked.nodes.tempid(name, form.span)),
            FormKind::Vector(parts) => match parts.as_slice() {
                [a, v] => self.lookup(a, v, form.span),
                _ => Err(Error::input(form.span, "a lookup ref has two parts: [attribute value]")),
            },
            FormKind::List(parts) => self.call(parts, form.span),
            other => Err(Error::input(
                form.span,
                format!(
                    "an entity is a number, an ident, a tempid in quotes, a lookup ref or (transaction-tx), not {}",
                    other.describe()
                ),
            )),
        }
    }

    fn call(&mut self, parts: &'f [Form], span: Span) -> Result<Entid> {
        let function = parts.first().and_then(Form::as_symbol).map(tolstoy_edn::Symbol::as_str);
        match (function, parts) {
            (Some("transaction-tx"), [_]) => Ok(self.working.next_tx()),
            (Some("lookup-ref"), [_, a, v]) => self.lookup(a, v, span),
            _ => Err(Error::input(
                span,
                "in the place of an entity a list is (lookup-ref attribute value) or (transaction-tx)",
            )),
        }
    }

    fn existing(&self, number: i64, span: Span) -> Result<Entid> {
        let e = Entid::new(number);
        // That a transaction means itself it says by `(transaction-tx)`.
        let exists = e != self.working.next_tx() && self.working.is_entity(e)?;
        if exists { Ok(e) } else { Err(Error::input(span, format!("entity {number} does not exist"))) }
    }

    fn ident(&mut self, ident: &Keyword, span: Span) -> Result<Entid> {
        match self.checked.names.ident(ident) {
            Some(e) => Ok(e),
            None => Err(self.checked.names.not_an_ident(ident, span)),
        }
    }

    /// Whether a vector in the place of refs is one lookup ref rather than several values: it has two parts, of which
    /// the first is the name of a unique attribute.
    fn is_lookup_ref(&mut self, form: &'f Form) -> bool {
        match form.as_vector() {
            Some([a, _]) if a.as_keyword().is_some() => {
                self.attribute(a).is_ok_and(|w| !w.backwards && w.attribute.unique.is_some())
            }
            _ => false,
        }
    }

    fn lookup(&mut self, a: &'f Form, v: &'f Form, span: Span) -> Result<Entid> {
        let Written { attribute, backwards } = self.attribute(a)?;
        if backwards || attribute.unique.is_none() {
            let name = self.name(attribute.a);
            let message = format!("a lookup ref needs a unique attribute, which {name} is not");
            return Err(Error::new(ErrorKind::Refused, message).at(a.span));
        }
        let value = match attribute.value_type {
            ValueType::Ref => Value::Ref(self.entity(v)?),
            _ => self.scalar(attribute, v)?,
        };
        let stands = !is_provisional(attribute.a) && super::nodes::provisional_ref(&value).is_none();
        let found = if stands { self.working.holder(attribute.a, &value)? } else { None };
        found.ok_or_else(|| {
            let message =
                format!("the lookup ref finds nothing: no entity has {} {}", self.name(attribute.a), v.to_value());
            Error::input(span, message)
        })
    }

    pub(super) fn attribute(&mut self, form: &'f Form) -> Result<Written> {
        match &form.kind {
            FormKind::Keyword(ident) => match self.written.get(ident.as_str()) {
                Some(written) => Ok(*written),
                None => {
                    let written = self.find_attribute(ident, form.span)?;
                    self.written.insert(ident.as_str(), written);
                    Ok(written)
                }
            },
            FormKind::Integer(n) => match self.checked.names.attribute(Entid::new(*n)) {
                Some(attribute) if *n > 0 => {
                    Ok(Written { attribute: Known::new(Entid::new(*n), attribute), backwards: false })
                }
                _ => Err(Error::input(form.span, format!("{n} is not an attribute"))),
            },
            other => {
                Err(Error::input(form.span, format!("an attribute is named by a keyword, not by {}", other.describe())))
            }
        }
    }

    fn find_attribute(&mut self, ident: &Keyword, span: Span) -> Result<Written> {
        let forwards = ident.unreversed();
        let (name, backwards) = forwards.as_ref().map_or((ident, false), |k| (k, true));
        let Some(a) = self.checked.names.ident(name) else {
            return Err(self.checked.names.not_an_attribute(name, span));
        };
        let a = self.checked.nodes.current(a);
        let Some(attribute) = self.checked.names.attribute(a).map(|d| Known::new(a, d)) else {
            return Err(self.checked.names.not_an_attribute(name, span));
        };
        if backwards && attribute.value_type != ValueType::Ref {
            let message = format!(
                "{ident} reads {name} backwards, which only refs can be; its values are of type {}",
                attribute.value_type
            );
            return Err(Error::new(ErrorKind::Refused, message).at(span));
        }
        Ok(Written { attribute, backwards })
    }

    fn retract_entity(&mut self, form: &'f Form, span: Span) -> Result<()> {
        let e = self.entity(form)?;
        let e = self.checked.nodes.current(e);
        if is_provisional(e) || e == self.working.next_tx() {
            return Err(Error::input(
                form.span,
                ":db/retractEntity takes an entity that exists before the transaction",
            ));
        }
        for change in super::retract::whole(self.working, e)? {
            self.checked.terms.push(Term { change, span });
        }
        Ok(())
    }

    pub(super) fn name(&self, a: Entid) -> String {
        self.checked.names.name(a)
    }
}

/// What an ident cannot be: one that begins with an underscore could not be named, since it would be another one read
/// backwards; and the namespaces of the schema's own words are kept for further ones.
fn check_ident(a: Entid, value: &Value, was_there: bool, span: Span) -> Result<()> {
    let Value::Keyword(ident) = value else { return Ok(()) };
    let refuse = |message: String| Err(Error::new(ErrorKind::Refused, message).at(span));
    match ident.namespace() {
        _ if a != entids::IDENT || was_there => Ok(()),
        Some(space) if space == "db" || space.starts_with("db.") => {
            refuse(format!("{ident} cannot be defined: the namespaces :db and :db.* are the schema's own"))
        }
        _ => match ident.unreversed() {
            Some(forwards) => refuse(format!(
                "the name of an ident cannot begin with an underscore: {ident} reads {forwards} backwards"
            )),
            None => Ok(()),
        },
    }
}
