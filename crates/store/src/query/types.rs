//! Sets of value types: what a variable may hold.

use std::fmt;

use crate::types::ValueType;

/// A set of value types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeSet(u16);

impl TypeSet {
    pub(crate) const ALL: Self = Self::of(&ValueType::ALL);
    pub(crate) const REF: Self = Self::of(&[ValueType::Ref]);
    /// Types whose values compare by size whichever of them they are.
    pub(crate) const NUMBERS: Self = Self::of(&[ValueType::Long, ValueType::Double]);
    /// Types whose order means something to people.
    pub(crate) const ORDERED: Self =
        Self::of(&[ValueType::Long, ValueType::Double, ValueType::Instant, ValueType::String]);

    pub(crate) const fn of(types: &[ValueType]) -> Self {
        let (mut bits, mut n) = (0, 0);
        while n < types.len() {
            bits |= Self::bit(types[n]);
            n += 1;
        }
        Self(bits)
    }

    /// Types have the entids 23 to 32.
    const fn bit(value_type: ValueType) -> u16 {
        1 << (value_type as u8 - ValueType::Ref as u8)
    }

    pub(crate) const fn contains(self, value_type: ValueType) -> bool {
        self.0 & Self::bit(value_type) != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The set's one type, if it has exactly one.
    pub(crate) fn single(self) -> Option<ValueType> {
        let mut types = self.iter();
        types.next().filter(|_| types.next().is_none())
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ValueType> {
        ValueType::ALL.into_iter().filter(move |t| self.contains(*t))
    }

    /// The types that values of these types can be compared with: their own, and all numbers where one is a number.
    pub(crate) const fn comparable(self) -> Self {
        if self.and(Self::NUMBERS).is_none() { self } else { self.or(Self::NUMBERS) }
    }
}

impl From<ValueType> for TypeSet {
    fn from(value_type: ValueType) -> Self {
        Self(Self::bit(value_type))
    }
}

/// The type as people say it: "a string".
pub(crate) const fn a(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Ref => "an entity",
        ValueType::Keyword => "a keyword",
        ValueType::Long => "a long",
        ValueType::Double => "a double",
        ValueType::String => "a string",
        ValueType::Uuid => "a UUID",
        ValueType::Uri => "a URI",
        ValueType::Boolean => "a boolean",
        ValueType::Instant => "an instant",
        ValueType::Bytes => "bytes",
    }
}

impl fmt::Display for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("a value of any type");
        }
        let types: Vec<_> = self.iter().map(a).collect();
        match types.split_last() {
            None => f.write_str("nothing"),
            Some((last, [])) => f.write_str(last),
            Some((last, others)) => write!(f, "{} or {last}", others.join(", ")),
        }
    }
}
