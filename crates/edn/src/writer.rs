//! The writer: values as text that reads back equal.

use std::fmt::{self, Write};

use crate::Value;
use crate::name::{is_invisible, is_whitespace};

impl fmt::Display for Value {
    /// EDN on one line, without commas. Scalars have one way to be written each; collections keep their order. The text
    /// reads back equal (for what cannot, see [`Value`]).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, self)
    }
}

fn write_value(out: &mut impl Write, value: &Value) -> fmt::Result {
    match value {
        Value::Nil => out.write_str("nil"),
        Value::Boolean(v) => write!(out, "{v}"),
        Value::Integer(v) => write!(out, "{v}"),
        Value::BigInteger(v) => write!(out, "{v}"),
        Value::Float(v) => write_float(out, *v),
        Value::Decimal(v) => write!(out, "{v}"),
        Value::Char(v) => write_char(out, *v),
        Value::String(v) => write_string(out, v),
        Value::Symbol(v) => out.write_str(v.as_str()),
        Value::Keyword(v) => write!(out, "{v}"),
        Value::List(v) => write_sequence(out, "(", v, ")"),
        Value::Vector(v) => write_sequence(out, "[", v, "]"),
        Value::Set(v) => write_sequence(out, "#{", v, "}"),
        Value::Map(pairs) => {
            out.write_char('{')?;
            for (i, (key, value)) in pairs.iter().enumerate() {
                out.write_str(if i == 0 { "" } else { " " })?;
                write_value(out, key)?;
                out.write_char(' ')?;
                write_value(out, value)?;
            }
            out.write_char('}')
        }
        Value::Instant(v) => write!(out, "#inst \"{v}\""),
        Value::Uuid(v) => write!(out, "#uuid \"{}\"", v.hyphenated()),
        Value::Tagged(tag, value) => {
            write!(out, "#{tag} ")?;
            write_value(out, value)
        }
    }
}

fn write_sequence<'v>(
    out: &mut impl Write,
    open: &str,
    values: impl IntoIterator<Item = &'v Value>,
    close: &str,
) -> fmt::Result {
    out.write_str(open)?;
    for (i, value) in values.into_iter().enumerate() {
        out.write_str(if i == 0 { "" } else { " " })?;
        write_value(out, value)?;
    }
    out.write_str(close)
}

/// The shortest digits that read back to the same float; always with a point or an exponent, so never an integer.
fn write_float(out: &mut impl Write, float: f64) -> fmt::Result {
    if float.is_nan() {
        out.write_str("##NaN")
    } else if float.is_infinite() {
        out.write_str(if float > 0.0 { "##Inf" } else { "##-Inf" })
    } else {
        write!(out, "{float:?}")
    }
}

fn write_char(out: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\newline"),
        '\r' => out.write_str("\\return"),
        ' ' => out.write_str("\\space"),
        '\t' => out.write_str("\\tab"),
        '\x0c' => out.write_str("\\formfeed"),
        '\x08' => out.write_str("\\backspace"),
        ',' => out.write_str("\\,"),
        c if (is_invisible(c) || is_whitespace(c)) && u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\{c}"),
    }
}

fn write_string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut plain_start = 0;
    for (at, c) in text.char_indices() {
        let escaped = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            c if is_invisible(c) => "",
            _ => continue,
        };
        out.write_str(&text[plain_start..at])?;
        plain_start = at + c.len_utf8();
        if escaped.is_empty() {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        } else {
            out.write_str(escaped)?;
        }
    }
    out.write_str(&text[plain_start..])?;
    out.write_char('"')
}

/// EDN over as many lines as it takes to stay within `width` columns where that is possible.
///
/// What fits the rest of its line stands on it. Otherwise a collection is broken: its elements one to a line, aligned
/// after the bracket, a map's pairs one to a line, and a pair that does not fit with the value below its key. The text
/// reads back equal, like that of `Display`. There is no newline at the end. Columns are counted in characters.
pub fn pretty(value: &Value, width: usize) -> String {
    let mut printer = Printer { out: String::new(), column: 0, width };
    printer.value(value, 0);
    printer.out
}

struct Printer {
    out: String,
    column: usize,
    width: usize,
}

impl Printer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn newline(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// Writes the value here; `closers` brackets follow it on its last line.
    fn value(&mut self, value: &Value, closers: usize) {
        if self.flat(closers, |out| write_value(out, value)) {
            return;
        }
        match value {
            Value::List(v) => self.sequence("(", v, ")", closers),
            Value::Vector(v) => self.sequence("[", v, "]", closers),
            Value::Set(v) => self.sequence("#{", v, "}", closers),
            Value::Map(v) => self.map(v, closers),
            Value::Tagged(tag, value) => {
                self.push(&format!("#{tag} "));
                self.value(value, closers);
            }
            scalar => self.push(&scalar.to_string()),
        }
    }

    fn sequence<'v>(
        &mut self,
        open: &str,
        values: impl IntoIterator<Item = &'v Value, IntoIter: ExactSizeIterator>,
        close: &str,
        closers: usize,
    ) {
        self.push(open);
        let indent = self.column;
        let values = values.into_iter();
        let last = values.len().saturating_sub(1);
        for (i, value) in values.enumerate() {
            if i > 0 {
                self.newline(indent);
            }
            self.value(value, if i == last { closers + 1 } else { 0 });
        }
        self.push(close);
    }

    fn map(&mut self, pairs: &[(Value, Value)], closers: usize) {
        self.push("{");
        let indent = self.column;
        let last = pairs.len().saturating_sub(1);
        for (i, (key, value)) in pairs.iter().enumerate() {
            if i > 0 {
                self.newline(indent);
            }
            let closers = if i == last { closers + 1 } else { 0 };
            let pair_fits = self.flat(closers, |out| {
                write_value(out, key)?;
                out.write_char(' ')?;
                write_value(out, value)
            });
            if !pair_fits {
                self.value(key, 0);
                self.newline(indent);
                self.value(value, closers);
            }
        }
        self.push("}");
    }

    /// Writes on the current line if that has room, for what is written and the brackets after it; else writes nothing.
    fn flat(&mut self, closers: usize, write: impl FnOnce(&mut Flat<'_>) -> fmt::Result) -> bool {
        let start = self.out.len();
        let room = self.width.saturating_sub(self.column).saturating_sub(closers);
        let mut flat = Flat { out: &mut self.out, room };
        if write(&mut flat).is_ok() {
            self.column += room - flat.room;
            true
        } else {
            self.out.truncate(start);
            false
        }
    }
}

/// A writer that fails when the line is full, so that no more than a line is ever written in vain.
struct Flat<'o> {
    out: &'o mut String,
    room: usize,
}

impl Write for Flat<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.room = self.room.checked_sub(text.chars().count()).ok_or(fmt::Error)?;
        self.out.push_str(text);
        Ok(())
    }
}
