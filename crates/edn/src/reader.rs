//! The reader: structure, from bytes to forms. What single tokens mean is in `token`.

use crate::error::ReadErrorKind as Kind;
use crate::token::{self, KeywordCache};
use crate::{Form, FormKind, ReadError, Span, Symbol, Value, locate};

/// What a reader accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest text, in bytes. Forms take more memory than their text: up to some fifty times for one full of
    /// one-digit numbers, about five times for usual data.
    pub max_bytes: u32,
    /// How deep collections and tags may be nested; `[[1]]` is two deep. Above [`Limits::DEEPEST`] it means that.
    pub max_depth: u32,
}

impl Limits {
    /// Forms and values are read, compared, written and dropped by recursion. This depth fits the usual 2 MiB of stack of a
    /// thread with room to spare.
    pub const DEEPEST: u32 = 512;
}

impl Default for Limits {
    /// 256 MiB, 128 levels.
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_depth: 128 }
    }
}

/// Reads a text that is exactly one form, with whitespace, comments and discarded forms around it.
///
/// # Errors
/// Where the text is not EDN, breaks a limit, has no form ([`ReadErrorKind::Empty`](Kind::Empty)) or more than one
/// ([`ReadErrorKind::Trailing`](Kind::Trailing)).
pub fn read_one(text: &str, limits: &Limits) -> Result<Form, ReadError> {
    let mut reader = Reader::new(text, limits)?;
    let Some(form) = reader.next_top_level()? else {
        return Err(reader.error(reader.at, reader.at, Kind::Empty));
    };
    match reader.next_top_level()? {
        None => Ok(form),
        Some(extra) => Err(ReadError::new(text, extra.span, Kind::Trailing { found: extra.kind.describe() })),
    }
}

/// Reads all forms of a text, none is fine.
///
/// # Errors
/// Where the text is not EDN or breaks a limit.
pub fn read_all(text: &str, limits: &Limits) -> Result<Vec<Form>, ReadError> {
    let mut reader = Reader::new(text, limits)?;
    let mut forms = Vec::new();
    while let Some(form) = reader.next_top_level()? {
        forms.push(form);
    }
    Ok(forms)
}

/// The two ends of a collection.
#[derive(Clone, Copy)]
struct Brackets {
    open: &'static str,
    close: u8,
}

const LIST: Brackets = Brackets { open: "(", close: b')' };
const VECTOR: Brackets = Brackets { open: "[", close: b']' };
const MAP: Brackets = Brackets { open: "{", close: b'}' };
const SET: Brackets = Brackets { open: "#{", close: b'}' };

/// Invariant: `at` is a character boundary of `text`, and `text.len()` fits `u32`.
struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    depth: u32,
    max_depth: u32,
    keywords: KeywordCache,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, limits: &Limits) -> Result<Self, ReadError> {
        if u32::try_from(text.len()).is_ok_and(|len| len <= limits.max_bytes) {
            // A byte order mark says nothing in UTF-8; editors that leave one do not show it.
            let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
            let max_depth = limits.max_depth.min(Limits::DEEPEST);
            Ok(Self { text, bytes: text.as_bytes(), at, depth: 0, max_depth, keywords: KeywordCache::default() })
        } else {
            let kind = Kind::TooLarge { bytes: text.len(), limit: limits.max_bytes };
            Err(ReadError::new(text, Span::default(), kind))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        // Lossless: the length of the text fits.
        Span { start: start as u32, end: end as u32 }
    }

    #[cold]
    fn error(&self, start: usize, end: usize, kind: Kind) -> ReadError {
        ReadError::new(self.text, self.span(start, end), kind)
    }

    /// An error at the single character that begins at `at`.
    #[cold]
    fn error_at_char(&self, at: usize, kind: Kind) -> ReadError {
        let len = self.text[at..].chars().next().map_or(0, char::len_utf8);
        self.error(at, at + len, kind)
    }

    fn next_top_level(&mut self) -> Result<Option<Form>, ReadError> {
        match self.next_form()? {
            Some(form) => Ok(Some(form)),
            None => match self.peek() {
                None => Ok(None),
                Some(close) => Err(self.error_at_char(self.at, Kind::UnexpectedClose { close: char::from(close) })),
            },
        }
    }

    /// The next form that is not discarded; `None` at the end of the text or before a closing bracket.
    fn next_form(&mut self) -> Result<Option<Form>, ReadError> {
        // Where each `#_` stands whose form is still to come. Discards nest: `#_ #_ a b` discards both.
        let mut discards: Vec<usize> = Vec::new();
        loop {
            self.skip_blank();
            let start = self.at;
            match self.peek() {
                None | Some(b')' | b']' | b'}') => {
                    return match discards.last() {
                        None => Ok(None),
                        Some(&at) => {
                            let at_end = self.peek().is_none();
                            Err(self.error(at, at + 2, Kind::NothingToDiscard { at_end }))
                        }
                    };
                }
                Some(b'#') if self.bytes.get(start + 1) == Some(&b'_') => {
                    discards.push(start);
                    self.at += 2;
                }
                Some(first) => {
                    let kind = self.form(first)?;
                    if discards.pop().is_none() {
                        return Ok(Some(Form { span: self.span(start, self.at), kind }));
                    }
                }
            }
        }
    }

    /// Skips whitespace, commas and comments.
    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b',' | b'\n' | b'\t' | b'\r' | 0x0b | 0x0c | 0x1c..=0x1f => self.at += 1,
                b';' => {
                    let rest = &self.bytes[self.at..];
                    self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                }
                0x80.. => match self.text[self.at..].chars().next() {
                    Some(c) if c.is_whitespace() => self.at += c.len_utf8(),
                    _ => return,
                },
                _ => return,
            }
        }
    }

    /// The form that begins here with the byte `first`, which is neither blank nor a closing bracket.
    fn form(&mut self, first: u8) -> Result<FormKind, ReadError> {
        match first {
            b'(' => Ok(FormKind::List(self.sequence(LIST)?)),
            b'[' => Ok(FormKind::Vector(self.sequence(VECTOR)?)),
            b'{' => self.map(),
            b'"' => self.string(),
            b':' => self.keyword(),
            b'\\' => self.character(),
            b'#' => self.dispatch(),
            _ => self.symbol_or_number(first),
        }
    }

    fn descend(&mut self, start: usize) -> Result<(), ReadError> {
        if self.depth == self.max_depth {
            return Err(self.error_at_char(start, Kind::TooDeep { limit: self.max_depth }));
        }
        self.depth += 1;
        Ok(())
    }

    fn sequence(&mut self, brackets: Brackets) -> Result<Vec<Form>, ReadError> {
        let start = self.at;
        self.descend(start)?;
        self.at += brackets.open.len();
        let mut forms = Vec::new();
        while let Some(form) = self.next_form()? {
            forms.push(form);
        }
        self.close(start, brackets)?;
        Ok(forms)
    }

    fn close(&mut self, start: usize, brackets: Brackets) -> Result<(), ReadError> {
        let Brackets { open, close } = brackets;
        match self.peek() {
            Some(found) if found == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(())
            }
            Some(found) => {
                let opened_at = locate(self.text, self.span(start, start).start);
                let kind = Kind::Mismatched { open, opened_at, close: char::from(found) };
                Err(self.error_at_char(self.at, kind))
            }
            None => {
                let kind = Kind::Unclosed { open, close: char::from(close) };
                Err(self.error(start, start + open.len(), kind))
            }
        }
    }

    fn map(&mut self) -> Result<FormKind, ReadError> {
        let start = self.at;
        self.descend(start)?;
        self.at += MAP.open.len();
        let mut pairs: Vec<(Form, Form)> = Vec::new();
        while let Some(key) = self.next_form()? {
            match self.next_form()? {
                Some(value) => pairs.push((key, value)),
                None => {
                    self.close(start, MAP)?;
                    return Err(ReadError::new(self.text, key.span, Kind::KeyWithoutValue));
                }
            }
        }
        self.close(start, MAP)?;
        if let Some((first, second)) = duplicate(pairs.len(), || pairs.iter().map(|(key, _)| key)) {
            let first = locate(self.text, first.span.start);
            return Err(ReadError::new(self.text, second.span, Kind::DuplicateKey { first }));
        }
        Ok(FormKind::Map(pairs))
    }

    fn set(&mut self) -> Result<FormKind, ReadError> {
        let forms = self.sequence(SET)?;
        if let Some((first, second)) = duplicate(forms.len(), || forms.iter()) {
            let first = locate(self.text, first.span.start);
            return Err(ReadError::new(self.text, second.span, Kind::DuplicateElement { first }));
        }
        Ok(FormKind::Set(forms))
    }

    /// What begins with `#`, `#_` apart.
    fn dispatch(&mut self) -> Result<FormKind, ReadError> {
        let start = self.at;
        let what = match self.bytes.get(start + 1) {
            Some(b'{') => return self.set(),
            Some(b'#') => return self.symbolic_value(),
            Some(b'"') => "the regular expression `#\"`",
            Some(b'(') => "the function `#(`",
            Some(b'\'') => "the var quote `#'`",
            Some(b'?') => "the reader conditional `#?`",
            Some(b'^') => "the metadata `#^`",
            Some(b'=') => "the evaluation `#=`",
            Some(b'!') => "the script line `#!`",
            Some(b':') => "the map namespace `#:`",
            _ => return self.tagged(),
        };
        Err(self.error(start, start + 2, Kind::NotEdn { what }))
    }

    fn symbolic_value(&mut self) -> Result<FormKind, ReadError> {
        let start = self.at;
        self.at += 2;
        let token = self.token();
        match token {
            "Inf" => Ok(FormKind::Float(f64::INFINITY)),
            "-Inf" => Ok(FormKind::Float(f64::NEG_INFINITY)),
            "NaN" => Ok(FormKind::Float(f64::NAN)),
            _ => Err(self.error(start, self.at, Kind::BadSymbolicValue { token: token::shown(token) })),
        }
    }

    fn tagged(&mut self) -> Result<FormKind, ReadError> {
        let start = self.at;
        self.descend(start)?;
        self.at += 1;
        let token = self.token();
        let tag = match Symbol::from_token(token) {
            Ok(tag) if token.starts_with(char::is_alphabetic) => tag,
            _ => return Err(self.error(start, self.at, Kind::BadTag { token: token::shown(token) })),
        };
        let tag_end = self.at;
        let Some(form) = self.next_form()? else {
            let at_end = self.peek().is_none();
            return Err(self.error(start, tag_end, Kind::TagWithoutValue { at_end }));
        };
        self.depth -= 1;
        match tag.as_str() {
            "inst" => token::instant(&form).map_err(|kind| ReadError::new(self.text, form.span, kind)),
            "uuid" => token::uuid(&form).map_err(|kind| ReadError::new(self.text, form.span, kind)),
            _ => Ok(FormKind::Tagged(tag, Box::new(form))),
        }
    }

    /// Takes everything up to the next whitespace, bracket, string or comment.
    fn token(&mut self) -> &'t str {
        let start = self.at;
        while let Some(byte) = self.peek() {
            if token::is_token_byte(byte) {
                self.at += 1;
            } else if byte.is_ascii() {
                break;
            } else {
                match self.text[self.at..].chars().next() {
                    Some(c) if !c.is_whitespace() => self.at += c.len_utf8(),
                    _ => break,
                }
            }
        }
        &self.text[start..self.at]
    }

    fn keyword(&mut self) -> Result<FormKind, ReadError> {
        let start = self.at;
        self.at += 1;
        let token = self.token();
        self.keywords.keyword(token).map(FormKind::Keyword).map_err(|fault| {
            let token = token::shown(&self.text[start..self.at]);
            self.error(start, self.at, Kind::BadKeyword { token, fault })
        })
    }

    fn symbol_or_number(&mut self, first: u8) -> Result<FormKind, ReadError> {
        let start = self.at;
        let what = match first {
            b'\'' => "the quote `'`",
            b'`' => "the syntax quote '`'",
            b'~' => "the unquote `~`",
            b'@' => "the dereference `@`",
            b'^' => "the metadata `^`",
            _ => {
                let token = self.token();
                return token::symbol_or_number(token).map_err(|kind| self.error(start, self.at, kind));
            }
        };
        Err(self.error(start, start + 1, Kind::NotEdn { what }))
    }

    fn character(&mut self) -> Result<FormKind, ReadError> {
        let start = self.at;
        self.at += 1;
        // The first character after the backslash belongs to the literal even if it is a bracket, as in `\(`.
        if let Some(c) = self.text[self.at..].chars().next().filter(|c| !c.is_whitespace()) {
            self.at += c.len_utf8();
            self.token();
        }
        let token = &self.text[start + 1..self.at];
        match token::character(token) {
            Some(c) => Ok(FormKind::Char(c)),
            None => Err(self.error(start, self.at, Kind::BadCharacter { token: token::shown(token) })),
        }
    }

    fn string(&mut self) -> Result<FormKind, ReadError> {
        let start = self.at;
        let mut plain_start = start + 1;
        let mut unescaped = String::new();
        self.at = plain_start;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(plain) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) else {
                self.at = self.bytes.len();
                return Err(self.error(start, start + 1, Kind::UnclosedString));
            };
            self.at += plain;
            let run = &self.text[plain_start..self.at];
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Ok(FormKind::String(if unescaped.is_empty() {
                    run.into()
                } else {
                    unescaped.push_str(run);
                    unescaped.into()
                }));
            }
            unescaped.push_str(run);
            match token::escape(&self.text[self.at..]) {
                Ok((c, len)) => {
                    unescaped.push(c);
                    self.at += len;
                    plain_start = self.at;
                }
                Err(token::EscapeFault::TextEnds) => return Err(self.error(start, start + 1, Kind::UnclosedString)),
                Err(token::EscapeFault::Bad { len, kind }) => return Err(self.error(self.at, self.at + len, kind)),
            }
        }
    }
}

/// The first form that equals one before it, after that one.
fn duplicate<'f, I: Iterator<Item = &'f Form>>(count: usize, forms: impl Fn() -> I) -> Option<(&'f Form, &'f Form)> {
    const FEW: usize = 16;
    if count < 2 {
        return None;
    }
    if count <= FEW && forms().all(|form| form.as_keyword().is_some()) {
        return forms().enumerate().find_map(|(i, second)| {
            forms().take(i).find(|first| first.as_keyword() == second.as_keyword()).map(|first| (first, second))
        });
    }
    let mut sorted: Vec<(Value, &Form)> = forms().map(|form| (form.to_value(), form)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted
        .windows(2)
        .filter_map(|pair| match pair {
            [(a, first), (b, second)] if a == b => Some((*first, *second)),
            _ => None,
        })
        .min_by_key(|(_, second)| second.span)
}
