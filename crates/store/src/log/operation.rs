//! Operations: what a transaction means to do to the facts as it finds them, beside what it states plainly.
//!
//! The datoms that an operation came to stand among the transaction's own. The operation is kept so that a rebase can run
//! it again, on other facts.

use std::fmt;

use tolstoy_edn::{Keyword, Value as Edn};

use crate::schema::Schema;
use crate::types::{Entid, Value};

/// An operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// An update of the value that an entity has for a cardinality-one attribute.
    Update {
        /// The entity.
        e: Entid,
        /// The attribute.
        a: Entid,
        /// What becomes of the value.
        update: Update,
    },
    /// `[:my/function arg ...]`: what a function that the program registered makes of the facts.
    Call {
        /// The function.
        name: Keyword,
        /// Its arguments; entities and attributes are refs.
        args: Vec<Value>,
    },
    /// A kind that a newer version knows. It is kept as it is, its entities apart, and cannot be run.
    Unknown {
        /// Its word.
        kind: String,
        /// What follows that.
        fields: Vec<Field>,
    },
}

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// `[:db/cas e a old new]`: `new` instead of `old`, and nothing else instead of anything else. `None` is no value.
    Cas {
        /// The value that it has to have before.
        old: Option<Value>,
        /// The value that it gets.
        new: Option<Value>,
    },
    /// `[:db/inc e a n]`: larger by a long or double. No value counts as 0.
    Inc(Value),
    /// `[:db/max e a v]`: the larger of it and a long, double or instant.
    Max(Value),
    /// `[:db/min e a v]`: the smaller of it and a long, double or instant.
    Min(Value),
}

impl Update {
    /// The operation's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cas { .. } => ":db/cas",
            Self::Inc(_) => ":db/inc",
            Self::Max(_) => ":db/max",
            Self::Min(_) => ":db/min",
        }
    }
}

/// A part of an operation, by its form in the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// An integer: an entity or attribute.
    Entity(Entid),
    /// `[vt, v]`, or nil.
    Value(Option<Value>),
    /// A string.
    Name(String),
    /// An array of `[vt, v]`.
    Values(Vec<Value>),
}

impl Field {
    fn mentions(&self, mentioned: &mut Vec<Entid>) {
        match self {
            Self::Entity(e) => mentioned.push(*e),
            Self::Value(v) => mentioned.extend(v.iter().filter_map(Value::as_ref_entid)),
            Self::Name(_) => {}
            Self::Values(values) => mentioned.extend(values.iter().filter_map(Value::as_ref_entid)),
        }
    }

    fn map(self, image: &mut impl FnMut(Entid) -> Entid) -> Self {
        let value = |v: Value| v.as_ref_entid().map_or(v, |to| Value::Ref(image(to)));
        match self {
            Self::Value(v) => Self::Value(v.map(value)),
            Self::Values(values) => Self::Values(values.into_iter().map(value).collect()),
            Self::Entity(e) => Self::Entity(image(e)),
            Self::Name(name) => Self::Name(name),
        }
    }
}

impl Operation {
    /// The word of its kind, and what follows it in the payload.
    pub(crate) fn parts(&self) -> (&str, Vec<Field>) {
        let value = |v: &Value| Field::Value(Some(v.clone()));
        match self {
            Self::Update { e, a, update } => {
                let (kind, values) = match update {
                    Update::Cas { old, new } => ("cas", vec![Field::Value(old.clone()), Field::Value(new.clone())]),
                    Update::Inc(by) => ("inc", vec![value(by)]),
                    Update::Max(v) => ("max", vec![value(v)]),
                    Update::Min(v) => ("min", vec![value(v)]),
                };
                (kind, [Field::Entity(*e), Field::Entity(*a)].into_iter().chain(values).collect())
            }
            Self::Call { name, args } => {
                ("fn", vec![Field::Name(name.as_str().to_owned()), Field::Values(args.clone())])
            }
            Self::Unknown { kind, fields } => (kind, fields.clone()),
        }
    }

    /// The operation that these parts make; `None` where they do not fit the kind.
    pub(crate) fn from_parts(kind: &str, fields: Vec<Field>) -> Option<Self> {
        use Field::{Entity, Name, Values};
        let update = |e: &Entid, a: &Entid, update| Some(Self::Update { e: *e, a: *a, update });
        match (kind, fields.as_slice()) {
            ("cas", [Entity(e), Entity(a), Field::Value(old), Field::Value(new)]) => {
                update(e, a, Update::Cas { old: old.clone(), new: new.clone() })
            }
            ("inc", [Entity(e), Entity(a), Field::Value(Some(by))]) => update(e, a, Update::Inc(by.clone())),
            ("max", [Entity(e), Entity(a), Field::Value(Some(v))]) => update(e, a, Update::Max(v.clone())),
            ("min", [Entity(e), Entity(a), Field::Value(Some(v))]) => update(e, a, Update::Min(v.clone())),
            ("fn", [Name(name), Values(args)]) => {
                let name = Keyword::parse(name).filter(|k| k.as_str() == name)?;
                Some(Self::Call { name, args: args.clone() })
            }
            ("cas" | "inc" | "max" | "min" | "fn", _) => None,
            _ => Some(Self::Unknown { kind: kind.to_owned(), fields }),
        }
    }

    /// All entities it mentions, attributes among them.
    pub fn mentions(&self) -> Vec<Entid> {
        let mut mentioned = Vec::new();
        self.parts().1.iter().for_each(|field| field.mentions(&mut mentioned));
        mentioned
    }

    /// The operation with every entity replaced, in every position.
    pub(crate) fn map(&self, mut image: impl FnMut(Entid) -> Entid) -> Self {
        let (kind, fields) = self.parts();
        let fields = fields.into_iter().map(|field| field.map(&mut image)).collect();
        Self::from_parts(kind, fields).unwrap_or_else(|| self.clone())
    }

    /// The form it is written as, with idents where there are.
    pub fn to_edn(&self, schema: &Schema) -> Edn {
        self.to_edn_with(|e| schema.ident(e).map_or(Edn::Integer(e.get()), |k| Edn::Keyword(k.clone())))
    }

    /// The form it is written as, with these names for entities.
    pub(crate) fn to_edn_with(&self, name: impl Fn(Entid) -> Edn) -> Edn {
        let name = |e: &Entid| name(*e);
        let value = |v: &Value| v.as_ref_entid().map_or_else(|| v.to_edn(), |to| name(&to));
        let optional = |v: &Option<Value>| v.as_ref().map_or(Edn::Nil, value);
        let keyword = |text: &str| Keyword::parse(text).map_or_else(|| Edn::String(text.into()), Edn::Keyword);
        let values = |values: &[Value]| values.iter().map(value).collect::<Vec<_>>();
        let mut form = Vec::new();
        match self {
            Self::Update { e, a, update } => {
                form.extend([keyword(update.name()), name(e), name(a)]);
                match update {
                    Update::Cas { old, new } => form.extend([optional(old), optional(new)]),
                    Update::Inc(v) | Update::Max(v) | Update::Min(v) => form.push(value(v)),
                }
            }
            Self::Call { name, args } => {
                form.push(Edn::Keyword(name.clone()));
                form.extend(values(args));
            }
            Self::Unknown { kind, fields } => {
                form.push(Edn::String(kind.as_str().into()));
                form.extend(fields.iter().map(|field| match field {
                    Field::Entity(e) => name(e),
                    Field::Value(v) => optional(v),
                    Field::Name(text) => Edn::String(text.as_str().into()),
                    Field::Values(several) => Edn::Vector(values(several)),
                }));
            }
        }
        Edn::Vector(form)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_edn(&Schema::default()).fmt(f)
    }
}
