//! What keywords name while a transaction is worked out: the store's idents and attributes, and those that the
//! transaction itself defines, wherever in it that stands.

use std::sync::Arc;

use tolstoy_edn::{Form, FormKind, Keyword, Span};

use super::nodes::Nodes;
use crate::bootstrap::entids;
use crate::error::{Error, Result};
use crate::schema::{Attribute, Schema, Unique};
use crate::suggest::did_you_mean;
use crate::types::{Change, Entid, Value};

/// The schema before the transaction and the one it defines, the latter with provisional entids.
pub(super) struct Names {
    before: Arc<Schema>,
    /// `None` where the transaction defines nothing.
    after: Option<Schema>,
}

/// A statement about an ident or an attribute property, found before anything is checked.
struct Definition<'f> {
    subject: Subject<'f>,
    a: Entid,
    v: &'f Form,
}

/// Whom a definition is about.
#[derive(Clone, Copy)]
enum Subject<'f> {
    /// What stands in the place of an entity.
    Stated(&'f Form),
    /// A map without `:db/id` that states this ident.
    Ident(&'f Keyword),
}

impl Names {
    /// Finds all definitions in the forms and makes nodes for the entities they define.
    pub(super) fn collect<'f>(before: &Arc<Schema>, forms: &'f [Form], nodes: &mut Nodes<'f>) -> Result<Self> {
        let mut found = Vec::new();
        for form in forms {
            find_in_form(form, &mut found);
        }
        let mut names = Self { before: Arc::clone(before), after: None };
        if found.is_empty() {
            return Ok(names);
        }
        names.after = Some(Schema::clone(before));
        let (idents, properties): (Vec<_>, Vec<_>) = found.iter().partition(|d| d.a == entids::IDENT);
        // New entities first, so that a definition may be about one that is defined further down.
        let (known, new): (Vec<_>, Vec<_>) = idents.into_iter().partition(|d| names.is_known(d.subject));
        for definition in new.into_iter().chain(known) {
            names.define_ident(definition, nodes)?;
        }
        for definition in properties {
            names.define_property(definition, nodes);
        }
        Ok(names)
    }

    fn is_known(&self, subject: Subject<'_>) -> bool {
        matches!(subject, Subject::Stated(form) if form.as_str().is_none())
    }

    fn define_ident<'f>(&mut self, definition: &Definition<'f>, nodes: &mut Nodes<'f>) -> Result<()> {
        let Some(ident) = definition.v.as_keyword() else { return Ok(()) };
        let named = self.ident(ident);
        let e = match definition.subject {
            Subject::Stated(Form { kind: FormKind::String(name), span }) => {
                let e = nodes.tempid(name, *span);
                nodes.current(e)
            }
            Subject::Ident(_) if named.is_some() => return Ok(()),
            Subject::Ident(_) => nodes.anonymous(definition.v.span),
            Subject::Stated(form) => match self.plain_entity(form, nodes) {
                Some(e) if named.is_none() => e,
                _ => return Ok(()),
            },
        };
        match named.map(|n| nodes.current(n)) {
            Some(other) if other == e => {}
            // That a tempid would be two entities is found again, and told, when identities are resolved.
            Some(other) if super::nodes::is_provisional(e) => nodes.set(e, other),
            Some(_) => {}
            None => self.apply(Change::add(e, entids::IDENT, Value::Keyword(ident.clone()))),
        }
        Ok(())
    }

    fn define_property<'f>(&mut self, definition: &Definition<'f>, nodes: &mut Nodes<'f>) {
        let e = match definition.subject {
            Subject::Stated(Form { kind: FormKind::String(name), span }) => Some(nodes.tempid(name, *span)),
            Subject::Stated(form) => self.plain_entity(form, nodes),
            Subject::Ident(ident) => self.ident(ident),
        };
        let v = match &definition.v.kind {
            FormKind::Boolean(b) => Some(Value::Boolean(*b)),
            _ => self.plain_entity(definition.v, nodes).map(Value::Ref),
        };
        if let (Some(e), Some(v)) = (e, v) {
            let e = nodes.current(e);
            self.apply(Change::add(e, definition.a, v));
        }
    }

    /// The entity that a number or an ident names. Anything else, and what is wrong with it, is seen when it is checked.
    fn plain_entity(&self, form: &Form, nodes: &mut Nodes<'_>) -> Option<Entid> {
        match &form.kind {
            FormKind::Integer(n) if *n > 0 => Some(Entid::new(*n)),
            FormKind::Keyword(k) => self.ident(k).map(|e| nodes.current(e)),
            _ => None,
        }
    }

    fn apply(&mut self, change: Change) {
        if let Some(after) = &mut self.after {
            after.apply(&change);
        }
    }

    /// The schema that the transaction leads to, with provisional entids.
    pub(super) fn schema(&self) -> &Schema {
        self.after()
    }

    fn after(&self) -> &Schema {
        self.after.as_ref().unwrap_or(&self.before)
    }

    /// The entity, perhaps a provisional one, that an ident names. What it named before the transaction goes first, so
    /// that a transaction may exchange names.
    pub(super) fn ident(&self, ident: &Keyword) -> Option<Entid> {
        self.before.entid(ident).or_else(|| self.after().entid(ident))
    }

    /// Whether a value is an ident that some entity had before the transaction.
    pub(super) fn was_there(&self, value: &Value) -> bool {
        matches!(value, Value::Keyword(ident) if self.before.entid(ident).is_some())
    }

    /// What the attribute will be after the transaction.
    pub(super) fn attribute(&self, a: Entid) -> Option<&Attribute> {
        self.after().attribute(a)
    }

    /// Whether values of the attribute name entities in the store as it is.
    pub(super) fn identifies(&self, a: Entid) -> bool {
        self.before.attribute(a).is_some_and(|d| d.unique() == Some(Unique::Identity))
    }

    /// For messages: the entity's ident or number.
    pub(super) fn name(&self, e: Entid) -> String {
        self.after().name(e)
    }

    /// That a keyword in the place of an attribute is none.
    pub(super) fn not_an_attribute(&self, ident: &Keyword, span: Span) -> Error {
        let message = match self.ident(ident).map(|e| self.after().definition(e)) {
            Some(Some(_)) => {
                format!("{ident} cannot be used as an attribute: it needs both a :db/valueType and a :db/cardinality")
            }
            Some(None) => format!("{ident} is an ident, but not an attribute: it has no :db/valueType"),
            None => {
                let attributes = self.after().attributes();
                let names = attributes.iter().filter_map(|(e, _)| self.after().ident(*e)).map(Keyword::as_str);
                format!("{ident} is not an attribute{}", did_you_mean(ident.as_str(), names, ":"))
            }
        };
        Error::input(span, message)
    }

    /// That a keyword in the place of an entity names none.
    pub(super) fn not_an_ident(&self, ident: &Keyword, span: Span) -> Error {
        let idents = self.after().idents();
        let meant = did_you_mean(ident.as_str(), idents.iter().map(|(k, _)| k.as_str()), ":");
        Error::input(span, format!("no entity has the ident {ident}{meant}"))
    }
}

/// The attribute by which a form would define something. Core attributes keep their names for ever.
fn defining(a: &Form) -> Option<Entid> {
    let name = a.as_keyword()?.as_str().strip_prefix("db/")?;
    Some(match name {
        "ident" => entids::IDENT,
        "valueType" => entids::VALUE_TYPE,
        "cardinality" => entids::CARDINALITY,
        "unique" => entids::UNIQUE,
        "index" => entids::INDEX,
        "isComponent" => entids::IS_COMPONENT,
        "fulltext" => entids::FULLTEXT,
        "noHistory" => entids::NO_HISTORY,
        _ => return None,
    })
}

fn find_in_form<'f>(form: &'f Form, found: &mut Vec<Definition<'f>>) {
    if let Some(pairs) = form.as_map() {
        find_in_map(pairs, found);
    } else if let Some([op, e, a, v]) = form.as_sequence()
        && op.as_keyword().is_some_and(|k| k.as_str() == "db/add")
    {
        found.extend(defining(a).map(|a| Definition { subject: Subject::Stated(e), a, v }));
        find_in_value(v, found);
    }
}

fn find_in_value<'f>(form: &'f Form, found: &mut Vec<Definition<'f>>) {
    match &form.kind {
        FormKind::Map(pairs) => find_in_map(pairs, found),
        FormKind::Vector(items) | FormKind::Set(items) => {
            for item in items {
                find_in_value(item, found);
            }
        }
        _ => {}
    }
}

fn find_in_map<'f>(pairs: &'f [(Form, Form)], found: &mut Vec<Definition<'f>>) {
    let mut subject = None;
    for (key, v) in pairs {
        if let Some(a) = defining(key) {
            subject = subject.or_else(|| subject_of(pairs));
            found.extend(subject.map(|subject| Definition { subject, a, v }));
        }
        find_in_value(v, found);
    }
}

/// Whom a map is about, if something can be defined of it: of a map with neither `:db/id` nor `:db/ident` nothing can.
fn subject_of(pairs: &[(Form, Form)]) -> Option<Subject<'_>> {
    match value_of(pairs, "db/id") {
        Some(id) => Some(Subject::Stated(id)),
        None => value_of(pairs, "db/ident")?.as_keyword().map(Subject::Ident),
    }
}

/// The value of a key that is a keyword.
pub(super) fn value_of<'f>(pairs: &'f [(Form, Form)], key: &str) -> Option<&'f Form> {
    pairs.iter().find(|(k, _)| k.as_keyword().is_some_and(|k| k.as_str() == key)).map(|(_, v)| v)
}
