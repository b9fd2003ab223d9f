//! Tokens: what a keyword, symbol, number, character or escape says.

use uuid::Uuid;

use crate::error::ReadErrorKind as Kind;
use crate::name::visible;
use crate::number::{Number, parse_number};
use crate::{Form, FormKind, Instant, Keyword, NameFault, Symbol};

/// Whether an ASCII byte continues a token. Tokens end at whitespace, commas, brackets, strings and comments.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    static CLASS: [bool; 256] = {
        let mut class = [false; 256];
        let mut byte = 0x21;
        while byte < 0x80 {
            class[byte] = !matches!(byte as u8, b',' | b';' | b'"' | b'(' | b')' | b'[' | b']' | b'{' | b'}');
            byte += 1;
        }
        // Control characters that are no whitespace stay in the token, so that the message shows them.
        let mut byte = 0;
        while byte < 0x20 {
            class[byte] = !matches!(byte as u8, b'\t'..=b'\r' | 0x1c..=0x1f);
            byte += 1;
        }
        class
    };
    CLASS[byte as usize]
}

/// The token as a message shows it: a long one is cut.
pub(crate) fn shown(token: &str) -> String {
    const MOST: usize = 40;
    match token.char_indices().nth(MOST) {
        None => visible(token),
        Some((end, _)) => format!("{}...", visible(&token[..end])),
    }
}

/// The keywords read last. Data repeats its few attributes, which so share one text; a slot holds the latest keyword of
/// its hash, so the size is fixed whatever is read.
pub(crate) struct KeywordCache(Vec<Option<Keyword>>);

impl Default for KeywordCache {
    fn default() -> Self {
        Self(vec![None; Self::SLOTS])
    }
}

impl KeywordCache {
    const SLOTS: usize = 256;

    /// The keyword of that token, which has no colon.
    pub(crate) fn keyword(&mut self, token: &str) -> Result<Keyword, NameFault> {
        let hash = token.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let slot = (hash ^ (hash >> 16)) as usize % Self::SLOTS;
        match self.0.get_mut(slot) {
            Some(Some(cached)) if cached.as_str() == token => Ok(cached.clone()),
            Some(slot) => Ok(slot.insert(Keyword::from_token(token)?).clone()),
            None => Keyword::from_token(token),
        }
    }
}

pub(crate) fn symbol_or_number(token: &str) -> Result<FormKind, Kind> {
    match token {
        "nil" => return Ok(FormKind::Nil),
        "true" => return Ok(FormKind::Boolean(true)),
        "false" => return Ok(FormKind::Boolean(false)),
        _ => {}
    }
    if let [b'0'..=b'9', ..] | [b'+' | b'-' | b'.', b'0'..=b'9', ..] = token.as_bytes() {
        return match parse_number(token) {
            Ok(Number::Integer(number)) => Ok(FormKind::Integer(number)),
            Ok(Number::Big(number)) => Ok(FormKind::BigInteger(number)),
            Ok(Number::Float(number)) => Ok(FormKind::Float(number)),
            Ok(Number::Decimal(number)) => Ok(FormKind::Decimal(number)),
            Err(fault) => Err(Kind::BadNumber { token: shown(token), fault }),
        };
    }
    Symbol::from_token(token).map(FormKind::Symbol).map_err(|fault| Kind::BadSymbol { token: shown(token), fault })
}

/// The character that `\` and this token name.
pub(crate) fn character(token: &str) -> Option<char> {
    let mut chars = token.chars();
    let first = chars.next()?;
    if chars.as_str().is_empty() {
        return Some(first);
    }
    match token {
        "newline" => Some('\n'),
        "return" => Some('\r'),
        "space" => Some(' '),
        "tab" => Some('\t'),
        "formfeed" => Some('\x0c'),
        "backspace" => Some('\x08'),
        _ => match token.strip_prefix('u') {
            Some(digits) if digits.len() == 4 => char::from_u32(hex4(digits)?),
            _ => None,
        },
    }
}

/// The number of the four hex digits with which the text begins.
fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

pub(crate) enum EscapeFault {
    /// The text ends before the escape does.
    TextEnds,
    /// The first `len` bytes are no escape.
    Bad { len: usize, kind: Kind },
}

/// The character for the escape that begins this text (with its backslash), and the length of the escape.
pub(crate) fn escape(text: &str) -> Result<(char, usize), EscapeFault> {
    let c = match text.chars().nth(1).ok_or(EscapeFault::TextEnds)? {
        't' => '\t',
        'r' => '\r',
        'n' => '\n',
        'b' => '\x08',
        'f' => '\x0c',
        '\\' => '\\',
        '"' => '"',
        'u' => return unicode_escape(text),
        other => {
            let len = 1 + other.len_utf8();
            return Err(EscapeFault::Bad { len, kind: Kind::BadEscape { escape: shown(&text[..len]) } });
        }
    };
    Ok((c, 2))
}

fn unicode_escape(text: &str) -> Result<(char, usize), EscapeFault> {
    const LEN: usize = "\\u0000".len();
    let Some(unit) = text.get(2..).and_then(hex4) else {
        let digits = text.bytes().skip(2).take(4).take_while(u8::is_ascii_hexdigit).count();
        let len = 2 + digits;
        if len == text.len() {
            return Err(EscapeFault::TextEnds);
        }
        return Err(EscapeFault::Bad { len, kind: Kind::BadEscape { escape: shown(&text[..len]) } });
    };
    if let Some(c) = char::from_u32(unit) {
        return Ok((c, LEN));
    }
    let second = text.get(LEN..).and_then(|rest| rest.strip_prefix("\\u")).and_then(hex4);
    match (unit, second) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(code).map(|c| (c, 2 * LEN))
        }
        _ => None,
    }
    .ok_or(EscapeFault::Bad { len: LEN, kind: Kind::LoneSurrogate })
}

/// What a message says of a form that a tag does not fit.
fn found(form: &Form) -> String {
    match form.as_str() {
        Some(text) => format!("\"{}\"", shown(text)),
        None => form.kind.describe().to_owned(),
    }
}

/// What `#inst` makes of the form after it.
pub(crate) fn instant(form: &Form) -> Result<FormKind, Kind> {
    match form.as_str().and_then(Instant::parse_rfc3339) {
        Some(instant) => Ok(FormKind::Instant(instant)),
        None => Err(Kind::BadInstant { found: found(form) }),
    }
}

/// What `#uuid` makes of the form after it: only the usual 36 characters, in either case.
pub(crate) fn uuid(form: &Form) -> Result<FormKind, Kind> {
    const HYPHENATED: usize = 36;
    match form.as_str().filter(|text| text.len() == HYPHENATED).map(Uuid::try_parse) {
        Some(Ok(uuid)) => Ok(FormKind::Uuid(uuid)),
        _ => Err(Kind::BadUuid { found: found(form) }),
    }
}
