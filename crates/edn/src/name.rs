//! Keywords and symbols: names with an optional namespace.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use thiserror::Error;

/// Why a text is no keyword or symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameFault {
    /// The namespace before `/`, or the name, has no characters.
    #[error("a part of the name is empty")]
    Empty,
    /// A name has one `/` at most.
    #[error("`/` may stand in it only once")]
    SecondSlash,
    /// This character cannot begin a name or a namespace.
    #[error("it cannot begin with `{}`", visible(.0.encode_utf8(&mut [0; 4])))]
    Start(char),
    /// This character cannot stand in a name.
    #[error("`{}` cannot stand in it", visible(.0.encode_utf8(&mut [0; 4])))]
    Character(char),
    /// `nil`, `true` and `false` are literals.
    #[error("it is a literal")]
    Literal,
}

/// Characters that show nothing, or change how their neighbours are shown: legal in strings (written as escapes), not in
/// names, where they would make two names that look the same.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with its invisible characters as escapes, for messages.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

pub(crate) fn is_whitespace(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

fn is_name_char(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || ".*+!-_?$%&=<>:#'".contains(c)
    } else {
        !is_invisible(c) && !is_whitespace(c)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NameKind {
    Keyword,
    Symbol,
}

fn check_part(part: &str, kind: NameKind) -> Result<(), NameFault> {
    let mut chars = part.chars();
    let first = chars.next().ok_or(NameFault::Empty)?;
    if !is_name_char(first) && first != '/' {
        return Err(NameFault::Character(first));
    }
    let number_like = first.is_ascii_digit()
        || (matches!(first, '+' | '-' | '.') && chars.clone().next().is_some_and(|c| c.is_ascii_digit()));
    if matches!(first, ':' | '#' | '\'') || (number_like && kind == NameKind::Symbol) {
        return Err(NameFault::Start(first));
    }
    match part.chars().find(|c| !is_name_char(*c)) {
        None => Ok(()),
        Some('/') => Err(NameFault::SecondSlash),
        Some(c) => Err(NameFault::Character(c)),
    }
}

/// A checked name. The text is `name` or `namespace/name`; `name_start` is where the name begins in it.
#[derive(Clone)]
struct Name {
    text: Arc<str>,
    name_start: u32,
}

impl Name {
    fn parse(text: &str, kind: NameKind) -> Result<Self, NameFault> {
        let name_start = match text.find('/') {
            Some(0) if text.len() == 1 && kind == NameKind::Symbol => 0,
            None => {
                check_part(text, kind)?;
                0
            }
            Some(slash) => {
                let (namespace, name) = text.split_at(slash);
                check_part(namespace, kind)?;
                check_part(&name[1..], kind)?;
                slash + 1
            }
        };
        if kind == NameKind::Symbol && matches!(text, "nil" | "true" | "false") {
            return Err(NameFault::Literal);
        }
        // A name of 4 GiB cannot come from the reader; made by hand it is refused like any other that has no text form.
        let name_start = u32::try_from(name_start).map_err(|_| NameFault::Empty)?;
        Ok(Self { text: Arc::from(text), name_start })
    }

    fn new(namespace: Option<&str>, name: &str, kind: NameKind) -> Option<Self> {
        match namespace {
            None if name.contains('/') && name != "/" => None,
            None => Self::parse(name, kind).ok(),
            Some(namespace) if namespace.contains('/') => None,
            Some(namespace) => Self::parse(&format!("{namespace}/{name}"), kind).ok(),
        }
    }

    fn namespace(&self) -> Option<&str> {
        let end = (self.name_start as usize).checked_sub(1)?;
        self.text.get(..end)
    }

    fn name(&self) -> &str {
        self.text.get(self.name_start as usize..).unwrap_or_default()
    }
}

macro_rules! name_type {
    ($type:ident) => {
        impl $type {
            /// The namespace, the part before `/`.
            pub fn namespace(&self) -> Option<&str> {
                self.0.namespace()
            }

            /// The name, the part after `/`; everything where there is no namespace.
            pub fn name(&self) -> &str {
                self.0.name()
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0.text, &other.0.text) || self.0.text == other.0.text
            }
        }

        impl Eq for $type {}

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.text.cmp(&other.0.text)
            }
        }

        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.text.hash(state);
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// A keyword such as `:db/ident`. Cloning shares the text; order is that of the text without the colon, by bytes.
#[derive(Clone)]
pub struct Keyword(Name);

name_type!(Keyword);

impl Keyword {
    /// The keyword of that namespace and name; `None` if either holds what a keyword cannot.
    pub fn new(ns: Option<&str>, name: &str) -> Option<Self> {
        Name::new(ns, name, NameKind::Keyword).map(Self)
    }

    /// The keyword written `db/ident` or `:db/ident`; `None` if the text is no keyword.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_token(text.strip_prefix(':').unwrap_or(text)).ok()
    }

    pub(crate) fn from_token(text: &str) -> Result<Self, NameFault> {
        Name::parse(text, NameKind::Keyword).map(Self)
    }

    /// The text without the colon: `db/ident`.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// For `:person/_friend`, the attribute read backwards, the attribute itself: `:person/friend`. `None` where the
    /// name does not begin with `_`.
    pub fn unreversed(&self) -> Option<Self> {
        Self::new(self.namespace(), self.name().strip_prefix('_')?)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}", self.as_str())
    }
}

/// A symbol such as `?person`, `pull` or `my.app/rule`. Cloning shares the text; order is that of the text, by bytes.
#[derive(Clone)]
pub struct Symbol(Name);

name_type!(Symbol);

impl Symbol {
    /// The symbol of that namespace and name; `None` if either holds what a symbol cannot, or if the text would read
    /// as something else (`nil`, `-1`).
    pub fn new(ns: Option<&str>, name: &str) -> Option<Self> {
        Name::new(ns, name, NameKind::Symbol).map(Self)
    }

    /// The symbol so written; `None` if the text is no symbol.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_token(text).ok()
    }

    pub(crate) fn from_token(text: &str) -> Result<Self, NameFault> {
        Name::parse(text, NameKind::Symbol).map(Self)
    }

    /// The text of the symbol.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether this names a query variable: it begins with `?`.
    pub fn is_variable(&self) -> bool {
        self.as_str().starts_with('?')
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::HashMap;

    use super::*;

    #[test]
    fn keywords_have_parts() {
        let ident = Keyword::parse(":db/ident").unwrap();
        assert_eq!((ident.namespace(), ident.name()), (Some("db"), "ident"));
        assert_eq!((ident.as_str(), ident.to_string().as_str()), ("db/ident", ":db/ident"));
        assert_eq!(Keyword::new(Some("db"), "ident"), Some(ident.clone()));
        assert_eq!(Keyword::parse("db/ident"), Some(ident.clone()));
        let plain = Keyword::parse(":find").unwrap();
        assert_eq!((plain.namespace(), plain.name()), (None, "find"));
        assert_eq!(HashMap::from([(ident, 1)]).get("db/ident"), Some(&1));
    }

    #[test]
    fn a_reversed_keyword_knows_its_attribute() {
        let reversed = Keyword::parse(":person/_friend").unwrap();
        assert_eq!(reversed.unreversed(), Keyword::parse(":person/friend"));
        assert_eq!(Keyword::parse(":person/friend").unwrap().unreversed(), None);
        assert_eq!(Keyword::parse(":person/_").unwrap().unreversed(), None);
    }

    #[test]
    fn names_are_checked() {
        for text in ["a", "a.b/c-d", "1", "a/1", "-1", "?x", "_", "<=", "a:b", "a#", "x'", "имя/原"] {
            assert!(Keyword::parse(text).is_some(), "{text:?}");
        }
        for text in ["", ":", "::a", "/", "a/", "/a", "a/b/c", "a//", "a b", "a,b", "a\"", "a@", "#a", "a\u{200b}"] {
            assert_eq!(Keyword::parse(text), None, "{text:?}");
        }
        for text in ["a", "/", "-", "+", ".", "-a", ".b", "?x", "$", "%", "&", "_", "!=", "<=", "a/b", "foo/nil", "é"]
        {
            assert!(Symbol::parse(text).is_some(), "{text:?}");
        }
        for text in ["", "1", "-1", ".5", "a/1", "nil", "true", "false", ":a", "#a", "'a", "a/b/c", "a/", "//", "a\\"] {
            assert_eq!(Symbol::parse(text), None, "{text:?}");
        }
        assert_eq!(Keyword::new(Some("a/b"), "c"), None);
        assert_eq!(Keyword::new(None, "b/c"), None);
        assert_eq!(Keyword::new(Some("a"), "b/c"), None);
        assert_eq!(Symbol::new(Some("a"), "b").unwrap().as_str(), "a/b");
        assert!(Symbol::parse("?x").unwrap().is_variable() && !Symbol::parse("x").unwrap().is_variable());
    }
}
