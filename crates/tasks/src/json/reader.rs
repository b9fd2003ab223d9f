//! The reader: strict JSON (RFC 8259), with limits, and with the place of what is wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use thiserror::Error;

use super::{Json, Members, Number};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of text.
    pub bytes: usize,
    /// The most levels of arrays and objects.
    pub depth: u32,
}

/// Why a text is not read as JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {why}")]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The reason.
    pub why: String,
}

/// Reads one JSON value. A byte order mark before it is ignored.
///
/// # Errors
/// Where the text is no JSON, says a key twice, or is beyond the limits.
pub fn read(text: &str, limits: Limits) -> Result<Json, Fault> {
    let mut reader = Reader::new(text, limits)?;
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

/// Reads the members of one object, without these, which are checked as little as it takes to find their ends. `None`: it is no
/// object.
pub(crate) fn read_members(text: &str, limits: Limits, without: &[&str]) -> Result<Option<Members>, Fault> {
    let mut members = Members::default();
    let is_object = Reader::new(text, limits)?.members(|reader, name, start| {
        if without.contains(&&*name) {
            return reader.skip();
        }
        let value = reader.value()?;
        members.insert(name, value).map_err(|name| {
            reader.at = start;
            reader.twice(&name)
        })
    })?;
    Ok(is_object.then_some(members))
}

/// Reads one object and hands its members on as they come, so that no more of them is kept than whoever takes them keeps. Whether
/// it is an object.
pub(crate) fn each_member<E: From<Fault>>(
    text: &str,
    limits: Limits,
    mut take: impl FnMut(&str, Json) -> Result<(), E>,
) -> Result<bool, E> {
    Reader::new(text, limits)?.members(|reader, name, _| {
        let value = reader.value()?;
        take(&name, value)
    })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: u32,
    limit: u32,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, limits: Limits) -> Result<Self, Fault> {
        let mut reader = Reader { text, at: 0, depth: 0, limit: limits.depth };
        if text.len() > limits.bytes {
            let why = format!("the text is {} bytes long; at most {} are read", text.len(), limits.bytes);
            return Err(reader.fault(why));
        }
        if text.starts_with('\u{feff}') {
            reader.at = '\u{feff}'.len_utf8();
        }
        Ok(reader)
    }

    /// Reads one object and nothing after it. `member` is told each name, and where it stands, and reads the value.
    fn members<E: From<Fault>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'t, str>, usize) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.space();
        if self.peek() != Some(b'{') {
            return Ok(false);
        }
        self.at += 1;
        self.depth += 1;
        let mut first = true;
        while !self.ends(first, b'}')? {
            first = false;
            self.space();
            let start = self.at;
            let name = self.key()?;
            member(self, name, start)?;
        }
        self.depth -= 1;
        self.end()?;
        Ok(true)
    }

    /// Nothing follows.
    fn end(&mut self) -> Result<(), Fault> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("the JSON ends here, and something follows it")),
        }
    }

    fn twice(&self, name: &str) -> Fault {
        self.fault(format!("the key {:?} stands twice in one object", shortened(name)))
    }

    fn fault(&self, why: impl Into<String>) -> Fault {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Fault { line, column, why: why.into() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Json, Fault> {
        self.space();
        match self.peek() {
            None => Err(self.fault("the text ends where a value is expected: it is cut off, or empty")),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, Fault>) -> Result<Json, Fault> {
        if self.depth >= self.limit {
            return Err(self.fault(format!("this is nested more than {} levels deep", self.limit)));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Whether the collection ends here, and if not, that it goes on as it should. `first`: nothing stands in it yet.
    fn ends(&mut self, first: bool, close: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(b) if b == close => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if first => Ok(false),
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Err(self.fault(format!("`,` or `{}` is expected here", char::from(close)))),
            None => Err(self.fault(format!("the text is cut off: a `{}` is missing", char::from(close)))),
        }
    }

    fn array(&mut self) -> Result<Json, Fault> {
        let mut values = Vec::new();
        while !self.ends(values.is_empty(), b']')? {
            values.push(self.value()?);
        }
        Ok(Json::Array(values))
    }

    fn object(&mut self) -> Result<Json, Fault> {
        let mut members = BTreeMap::new();
        let mut first = true;
        while !self.ends(first, b'}')? {
            first = false;
            self.space();
            let start = self.at;
            let name = self.key()?.into_owned();
            let value = self.value()?;
            match members.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(taken) => {
                    self.at = start;
                    return Err(self.twice(taken.key()));
                }
            }
        }
        Ok(Json::Object(members))
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Cow<'t, str>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a key in quotation marks is expected here"));
        }
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let plain = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20);
        let name = match plain.filter(|end| rest.as_bytes().get(*end) == Some(&b'"')) {
            Some(end) => {
                self.at += end + 2;
                Cow::Borrowed(rest.get(..end).unwrap_or_default())
            }
            None => Cow::Owned(self.string()?),
        };
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault("`:` is expected here"));
        }
        self.at += 1;
        Ok(name)
    }

    /// Passes over a value.
    fn skip(&mut self) -> Result<(), Fault> {
        let mut open = 0_usize;
        loop {
            self.space();
            match self.peek() {
                None => return Err(self.fault("the text is cut off")),
                Some(b'{' | b'[') => open += 1,
                Some(b'}' | b']') => open = open.saturating_sub(1),
                Some(b'"') => {
                    let mut escaped = true;
                    let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                    // The first quotation mark opens the text.
                    let end = rest.iter().position(|b| {
                        let ends = *b == b'"' && !escaped;
                        escaped = *b == b'\\' && !escaped;
                        ends
                    });
                    self.at += end.ok_or_else(|| self.fault("the text is cut off: a `\"` is missing"))?;
                }
                Some(b',' | b':') => {}
                Some(_) => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest.find([',', '}', ']']).unwrap_or(rest.len()).saturating_sub(1);
                }
            }
            self.at += 1;
            if open == 0 {
                return Ok(());
            }
        }
    }

    fn number(&mut self) -> Result<Json, Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        let number = Number::parse(text).ok_or_else(|| {
            self.fault(format!("`{}` is no number of JSON, or longer or larger than can be kept", shortened(text)))
        })?;
        self.at += end;
        Ok(Json::Number(number))
    }

    fn word(&mut self) -> Result<Json, Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.fault("this is no JSON value"))
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut value = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(stop) = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20) else {
                self.at = self.text.len();
                return Err(self.fault("the text is cut off: a `\"` is missing"));
            };
            value.push_str(rest.get(..stop).unwrap_or_default());
            self.at += stop;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                _ => return Err(self.fault("a control character must be escaped in a text")),
            }
        }
    }

    /// An escape, from its backslash on.
    fn escape(&mut self) -> Result<char, Fault> {
        let simple = match self.text.as_bytes().get(self.at + 1) {
            Some(b'u') => return self.unicode(),
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(&b @ (b'"' | b'\\' | b'/')) => char::from(b),
            _ => return Err(self.fault("this is no escape of JSON")),
        };
        self.at += 2;
        Ok(simple)
    }

    fn unicode(&mut self) -> Result<char, Fault> {
        let first = self.unit(self.at)?;
        if let Some(c) = char::from_u32(first) {
            self.at += 6;
            return Ok(c);
        }
        let second = if (0xd800..0xdc00).contains(&first) { self.unit(self.at + 6).unwrap_or(0) } else { 0 };
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.fault("half a surrogate pair is no character"));
        }
        self.at += 12;
        Ok(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            .unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// The code unit of the `\uXXXX` at this place.
    fn unit(&self, at: usize) -> Result<u32, Fault> {
        let hex = self.text.get(at..at + 6).and_then(|escape| escape.strip_prefix("\\u"));
        hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .ok_or_else(|| self.fault("`\\u` takes four hexadecimal digits"))
    }
}

/// The beginning of a text, for messages.
pub(crate) fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}
