//! What can be wrong with a text.

use thiserror::Error;

use crate::{NameFault, NumberFault, Position, Span, locate, render_error};

/// Why a text could not be read, and where. Displays as cause and position; [`ReadError::render`] also shows the line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {}, column {}: {kind}", at.line, at.column)]
pub struct ReadError {
    /// The part of the text that is at fault; inside the text, on character boundaries.
    pub span: Span,
    /// The line and column at which the span begins.
    pub at: Position,
    /// The cause.
    pub kind: ReadErrorKind,
}

/// The causes for which a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// One form was expected, and there is only whitespace, comments and discarded forms.
    #[error("there is nothing to read here")]
    Empty,
    /// The text is longer than the limit.
    #[error("the text is {bytes} bytes long; at most {limit} are read")]
    TooLarge {
        /// The length of the text.
        bytes: usize,
        /// The limit it broke.
        limit: u32,
    },
    /// Collections and tags are nested deeper than the limit.
    #[error("this is nested more than {limit} levels deep")]
    TooDeep {
        /// The limit it broke.
        limit: u32,
    },
    /// One form was expected, and another follows it.
    #[error("one form was expected, and {found} follows it")]
    Trailing {
        /// What follows: "a keyword".
        found: &'static str,
    },
    /// The text ends inside a string.
    #[error("this string is never closed: a `\"` is missing")]
    UnclosedString,
    /// The text ends inside a collection.
    #[error("this `{open}` is never closed: a `{close}` is missing")]
    Unclosed {
        /// The bracket that opened it.
        open: &'static str,
        /// The bracket that would close it.
        close: char,
    },
    /// A closing bracket where none is open.
    #[error("this `{close}` closes nothing")]
    UnexpectedClose {
        /// The bracket.
        close: char,
    },
    /// A closing bracket of another kind than the open one.
    #[error("this `{close}` does not close the `{open}` of line {}, column {}", opened_at.line, opened_at.column)]
    Mismatched {
        /// The bracket that is open.
        open: &'static str,
        /// Where it was opened.
        opened_at: Position,
        /// The bracket that was found.
        close: char,
    },
    /// A map whose last key has no value.
    #[error("this map's last key has no value")]
    KeyWithoutValue,
    /// A key stands twice in a map.
    #[error("this key stands in the map already, at line {}, column {}", first.line, first.column)]
    DuplicateKey {
        /// Where it stood first.
        first: Position,
    },
    /// A value stands twice in a set.
    #[error("this value stands in the set already, at line {}, column {}", first.line, first.column)]
    DuplicateElement {
        /// Where it stood first.
        first: Position,
    },
    /// `#_` with nothing after it.
    #[error("nothing follows this `#_` that it could discard")]
    NothingToDiscard {
        /// Whether the text ends there.
        at_end: bool,
    },
    /// A tag with nothing after it.
    #[error("a tag stands before a value, and none follows this one")]
    TagWithoutValue {
        /// Whether the text ends there.
        at_end: bool,
    },
    /// A tag that is no tag.
    #[error("`#{token}` is no tag: a tag begins with a letter and is otherwise a symbol, such as #inst or #my.app/tag")]
    BadTag {
        /// What follows `#`.
        token: String,
    },
    /// An unknown escape in a string.
    #[error("`{escape}` is no escape: strings know \\t \\r \\n \\b \\f \\\\ \\\" and \\u with four hex digits")]
    BadEscape {
        /// The escape as written.
        escape: String,
    },
    /// `\ud800` without its other half.
    #[error("this escape is half of a surrogate pair; the other half is missing")]
    LoneSurrogate,
    /// A character literal that names no character.
    #[error(
        "`\\{token}` is no character: write \\a, \\newline, \\return, \\space, \\tab, \\formfeed, \\backspace or \\u0041"
    )]
    BadCharacter {
        /// What follows the backslash.
        token: String,
    },
    /// A token that begins like a number.
    #[error("`{token}` is no number: {fault}")]
    BadNumber {
        /// The token.
        token: String,
        /// What is wrong with it.
        fault: NumberFault,
    },
    /// A token that begins like a keyword.
    #[error("`{token}` is no keyword: {fault}")]
    BadKeyword {
        /// The token.
        token: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A token that is nothing else and no symbol either.
    #[error("`{token}` is no symbol: {fault}")]
    BadSymbol {
        /// The token.
        token: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// `##` and something unknown.
    #[error("`##{token}` is unknown: there are ##Inf, ##-Inf and ##NaN")]
    BadSymbolicValue {
        /// What follows `##`.
        token: String,
    },
    /// `#inst` before what is no instant.
    #[error("{found} is no instant: write #inst \"2026-11-21T20:02:00Z\", a date that exists")]
    BadInstant {
        /// What was found: the string, or the kind of form.
        found: String,
    },
    /// `#uuid` before what is no UUID.
    #[error("{found} is no UUID: write #uuid \"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"")]
    BadUuid {
        /// What was found: the string, or the kind of form.
        found: String,
    },
    /// Syntax of Clojure that EDN leaves out.
    #[error("{what} is Clojure, not EDN")]
    NotEdn {
        /// The syntax, such as "the regular expression `#\"`".
        what: &'static str,
    },
}

impl ReadError {
    pub(crate) fn new(text: &str, span: Span, kind: ReadErrorKind) -> Self {
        Self { span, at: locate(text, span.start), kind }
    }

    /// Whether the text ended inside an open form, string, tag or discard: more text may make it whole.
    pub fn is_incomplete(&self) -> bool {
        use ReadErrorKind as Kind;
        match self.kind {
            Kind::UnclosedString | Kind::Unclosed { .. } => true,
            Kind::NothingToDiscard { at_end } | Kind::TagWithoutValue { at_end } => at_end,
            _ => false,
        }
    }

    /// The message with the place and the line, as [`render_error`] shows it. `text` is the text that was read.
    pub fn render(&self, source_name: &str, text: &str) -> String {
        render_error(source_name, text, self.span, &self.kind.to_string())
    }
}
