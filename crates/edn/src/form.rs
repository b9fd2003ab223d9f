//! Forms: what was read, with its place in the text.

use std::sync::Arc;

use uuid::Uuid;

use crate::{BigInteger, Decimal, Instant, Keyword, Symbol, Value};

/// A stretch of the text that was read: byte offsets, `end` exclusive, both on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The offset of the first byte.
    pub start: u32,
    /// The offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The text of this stretch; `None` if it was taken from another text and does not fit this one.
    pub fn of(self, text: &str) -> Option<&str> {
        text.get(self.start as usize..self.end as usize)
    }
}

/// A value and where it was read.
#[derive(Debug, Clone)]
pub struct Form {
    /// From the first character of the form to its last, tag and brackets included.
    pub span: Span,
    /// What was read.
    pub kind: FormKind,
}

/// What a [`Form`] is; the variants are those of [`Value`].
#[derive(Debug, Clone)]
pub enum FormKind {
    /// `nil`
    Nil,
    /// `true`, `false`
    Boolean(bool),
    /// `-1`
    Integer(i64),
    /// `1N`, and integers beyond 64 bits
    BigInteger(BigInteger),
    /// `1.5`, `1e9`, `##Inf`, `##-Inf`, `##NaN`
    Float(f64),
    /// `1.50M`
    Decimal(Decimal),
    /// `\a`, `\newline`
    Char(char),
    /// `"text"`
    String(Arc<str>),
    /// `?person`
    Symbol(Symbol),
    /// `:person/name`
    Keyword(Keyword),
    /// `(1 2)`
    List(Vec<Form>),
    /// `[1 2]`
    Vector(Vec<Form>),
    /// `#{1 2}`, no two of them equal, in the order they were read
    Set(Vec<Form>),
    /// `{:a 1}`, no two keys equal, in the order they were read
    Map(Vec<(Form, Form)>),
    /// `#inst "2026-11-21T20:02:00Z"`
    Instant(Instant),
    /// `#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`
    Uuid(Uuid),
    /// `#my/tag form`
    Tagged(Symbol, Box<Form>),
}

impl FormKind {
    /// What this is, for messages: "a keyword", "a vector".
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::BigInteger(_) => "a big integer",
            Self::Float(_) => "a float",
            Self::Decimal(_) => "a decimal",
            Self::Char(_) => "a character",
            Self::String(_) => "a string",
            Self::Symbol(_) => "a symbol",
            Self::Keyword(_) => "a keyword",
            Self::List(_) => "a list",
            Self::Vector(_) => "a vector",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Instant(_) => "an instant",
            Self::Uuid(_) => "a UUID",
            Self::Tagged(..) => "a tagged value",
        }
    }
}

impl Form {
    /// The value, without the places.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            FormKind::Nil => Value::Nil,
            FormKind::Boolean(v) => Value::Boolean(*v),
            FormKind::Integer(v) => Value::Integer(*v),
            FormKind::BigInteger(v) => Value::BigInteger(v.clone()),
            FormKind::Float(v) => Value::Float(*v),
            FormKind::Decimal(v) => Value::Decimal(v.clone()),
            FormKind::Char(v) => Value::Char(*v),
            FormKind::String(v) => Value::String(v.clone()),
            FormKind::Symbol(v) => Value::Symbol(v.clone()),
            FormKind::Keyword(v) => Value::Keyword(v.clone()),
            FormKind::List(forms) => Value::List(forms.iter().map(Self::to_value).collect()),
            FormKind::Vector(forms) => Value::Vector(forms.iter().map(Self::to_value).collect()),
            FormKind::Set(forms) => Value::Set(forms.iter().map(Self::to_value).collect()),
            FormKind::Map(pairs) => Value::Map(pairs.iter().map(|(k, v)| (k.to_value(), v.to_value())).collect()),
            FormKind::Instant(v) => Value::Instant(*v),
            FormKind::Uuid(v) => Value::Uuid(*v),
            FormKind::Tagged(tag, form) => Value::Tagged(tag.clone(), Box::new(form.to_value())),
        }
    }

    /// Whether this is `nil`.
    pub fn is_nil(&self) -> bool {
        matches!(self.kind, FormKind::Nil)
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            FormKind::Boolean(v) => Some(v),
            _ => None,
        }
    }

    /// The integer, if this is one of 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.kind {
            FormKind::Integer(v) => Some(v),
            _ => None,
        }
    }

    /// The float, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self.kind {
            FormKind::Float(v) => Some(v),
            _ => None,
        }
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            FormKind::String(v) => Some(v),
            _ => None,
        }
    }

    /// The symbol, if this is one.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        match &self.kind {
            FormKind::Symbol(v) => Some(v),
            _ => None,
        }
    }

    /// The symbol, if this is one that begins with `?`.
    pub fn as_variable(&self) -> Option<&Symbol> {
        self.as_symbol().filter(|symbol| symbol.is_variable())
    }

    /// The keyword, if this is one.
    pub fn as_keyword(&self) -> Option<&Keyword> {
        match &self.kind {
            FormKind::Keyword(v) => Some(v),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub fn as_list(&self) -> Option<&[Form]> {
        match &self.kind {
            FormKind::List(v) => Some(v),
            _ => None,
        }
    }

    /// The elements, if this is a vector.
    pub fn as_vector(&self) -> Option<&[Form]> {
        match &self.kind {
            FormKind::Vector(v) => Some(v),
            _ => None,
        }
    }

    /// The elements, if this is a list or a vector.
    pub fn as_sequence(&self) -> Option<&[Form]> {
        self.as_vector().or_else(|| self.as_list())
    }

    /// The elements, if this is a set.
    pub fn as_set(&self) -> Option<&[Form]> {
        match &self.kind {
            FormKind::Set(v) => Some(v),
            _ => None,
        }
    }

    /// The pairs, if this is a map.
    pub fn as_map(&self) -> Option<&[(Form, Form)]> {
        match &self.kind {
            FormKind::Map(v) => Some(v),
            _ => None,
        }
    }

    /// The instant, if this is one.
    pub fn as_instant(&self) -> Option<Instant> {
        match self.kind {
            FormKind::Instant(v) => Some(v),
            _ => None,
        }
    }

    /// The UUID, if this is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self.kind {
            FormKind::Uuid(v) => Some(v),
            _ => None,
        }
    }

    /// The tag and the form after it, if this has a tag other than `inst` and `uuid`.
    pub fn as_tagged(&self) -> Option<(&Symbol, &Form)> {
        match &self.kind {
            FormKind::Tagged(tag, form) => Some((tag, form)),
            _ => None,
        }
    }
}
