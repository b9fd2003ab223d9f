//! JSON as documents need it: numbers as they were written, keys that stand once, limits, and one canonical form.

mod canonical;
mod members;
mod number;
mod reader;

use std::collections::BTreeMap;

pub use members::Members;
pub use number::Number;
pub use reader::{Fault, Limits, read};
pub(crate) use reader::{each_member, read_members, shortened};

/// A JSON value. Two are equal exactly if their canonical forms are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, with all its digits.
    Number(Number),
    /// A text.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The array's values, where it is one.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The object's members, where it is one.
    pub fn as_object(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The canonical form: RFC 8785, and for numbers that no double can say, all their digits in the same layout.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        canonical::write(self, &mut text);
        text
    }

    /// As the canonical form, but with numbers as they were written: what reads back exactly.
    pub fn exact(&self) -> String {
        let mut text = String::new();
        canonical::write_exact(self, &mut text);
        text
    }

    /// What it is, for messages: "a text".
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::String(_) => "a text",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}
