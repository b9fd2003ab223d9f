//! The JSON form's own parts.

/// Serde for bytes as base64 text.
pub(super) mod base64_bytes {
    use std::borrow::Cow;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::frame) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(in crate::frame) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(serde::de::Error::custom)
    }
}

/// Finds where the elements of a JSON array end, byte by byte, without reading them.
#[derive(Debug, Clone)]
pub(super) enum Scanner {
    /// Before the opening bracket.
    Outside,
    /// Before an element; the first may be missing.
    Between { first: bool },
    /// Within an element.
    Within { depth: u32, text: Text },
    /// After an element: a comma or the closing bracket.
    After,
    /// After the closing bracket.
    Closed,
}

/// Where a scanner is with respect to strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Outside,
    Inside,
    Escaped,
}

/// What a byte was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing of an element.
    Skip,
    /// A part of an element.
    Part,
    /// The last byte of an element.
    Last,
}

impl Scanner {
    pub(super) fn step(&mut self, byte: u8) -> Result<Seen, &'static str> {
        if !matches!(self, Self::Within { .. }) && byte.is_ascii_whitespace() {
            return Ok(Seen::Skip);
        }
        match (&mut *self, byte) {
            (Self::Outside, b'[') => *self = Self::Between { first: true },
            (Self::Outside, _) => return Err("a stream of frames in JSON is one array"),
            (Self::Between { first: true }, b']') | (Self::After, b']') => *self = Self::Closed,
            (Self::Between { .. }, b'{') => {
                *self = Self::Within { depth: 1, text: Text::Outside };
                return Ok(Seen::Part);
            }
            (Self::Between { .. }, _) => return Err("a frame in JSON is an object"),
            (Self::After, b',') => *self = Self::Between { first: false },
            (Self::After, _) => return Err("expected a comma or a closing bracket after the frame"),
            (Self::Closed, _) => return Err("nothing may follow the array of frames"),
            (Self::Within { depth, text }, _) => {
                let closed = within(depth, text, byte);
                if closed {
                    *self = Self::After;
                }
                return Ok(if closed { Seen::Last } else { Seen::Part });
            }
        }
        Ok(Seen::Skip)
    }
}

/// Goes on within an element; true where it ends.
fn within(depth: &mut u32, text: &mut Text, byte: u8) -> bool {
    match (*text, byte) {
        (Text::Escaped, _) => *text = Text::Inside,
        (Text::Inside, b'\\') => *text = Text::Escaped,
        (Text::Inside, b'"') => *text = Text::Outside,
        (Text::Inside, _) => {}
        (Text::Outside, b'"') => *text = Text::Inside,
        (Text::Outside, b'{' | b'[') => *depth = depth.saturating_add(1),
        (Text::Outside, b'}' | b']') => *depth = depth.saturating_sub(1),
        (Text::Outside, _) => {}
    }
    *depth == 0
}
