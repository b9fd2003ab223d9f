//! Places in a text, for messages.

use std::fmt;

use crate::Span;
use crate::name::is_invisible;

/// Where a byte of a text stands for someone who looks at it in an editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1. A tab is one character.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The line and column of a byte offset. An offset past the end means the end; one inside a character, that character.
pub fn locate(text: &str, offset: u32) -> Position {
    let before = &text[..floor_boundary(text, offset)];
    let line_start = line_start(before);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: count(before.bytes().filter(|b| *b == b'\n').count()).saturating_add(1),
        column: count(before[line_start..].chars().count()).saturating_add(1),
    }
}

fn line_start(before: &str) -> usize {
    before.rfind('\n').map_or(0, |newline| newline + 1)
}

fn floor_boundary(text: &str, offset: u32) -> usize {
    text.floor_char_boundary(offset as usize)
}

/// How many characters of a line are shown before the place and from it on.
const SHOWN_BEFORE: usize = 60;
const SHOWN_FROM: usize = 40;
const TAB: usize = 4;

/// A message about a place in a text, for people:
///
/// ```text
/// transact.edn:3:14: `:person/nam` is not an attribute
///   [:db/add 10 :person/nam "Ivan"]
///               ^^^^^^^^^^^
/// ```
///
/// The line is indented by two spaces. A long one is cut around the place, with `...` where something is left out. Tabs are
/// widened to stops of four columns, control characters are shown as their Unicode pictures. The carets mark the part
/// of the span that is on the shown line, one at least. There is no newline at the end.
pub fn render_error(source_name: &str, text: &str, span: Span, message: &str) -> String {
    let start = floor_boundary(text, span.start);
    let end = floor_boundary(text, span.end).max(start);
    let line_start = line_start(&text[..start]);
    let rest = &text[start..];
    let line_end = start + rest.find('\n').unwrap_or(rest.len());
    let line_end = if line_end > start && text[..line_end].ends_with('\r') { line_end - 1 } else { line_end };

    let before = &text[line_start..start];
    let shown_start = before.char_indices().rev().take(SHOWN_BEFORE).last().map_or(before.len(), |(at, _)| at);
    let from = &text[start..line_end];
    let shown_end = from.char_indices().nth(SHOWN_FROM).map_or(from.len(), |(at, _)| at);
    let marked_end = (end - start).min(shown_end);

    let mut line = Line::default();
    line.push(if shown_start > 0 { "..." } else { "" });
    line.push(&before[shown_start..]);
    let first_caret = line.width;
    line.push(&from[..marked_end]);
    let carets = (line.width - first_caret).max(1);
    line.push(&from[marked_end..shown_end]);
    line.push(if shown_end < from.len() { "..." } else { "" });

    let shown = format!("  {}", line.shown);
    let position = locate(text, span.start);
    let shown = shown.trim_end();
    format!("{source_name}:{position}: {message}\n{shown}\n  {:first_caret$}{:^<carets$}", "", "")
}

/// A line made visible, one column a character.
#[derive(Default)]
struct Line {
    shown: String,
    width: usize,
}

impl Line {
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            let (picture, count) = match c {
                '\t' => (' ', TAB - self.width % TAB),
                '\0'..='\x1f' => (char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'), 1),
                '\x7f' => ('\u{2421}', 1),
                c if is_invisible(c) => ('\u{fffd}', 1),
                c => (c, 1),
            };
            self.shown.extend(std::iter::repeat_n(picture, count));
            self.width += count;
        }
    }
}
