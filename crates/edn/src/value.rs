//! EDN values without positions.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use uuid::Uuid;

use crate::{BigInteger, Decimal, Instant, Keyword, Symbol};

/// An EDN value.
///
/// Equality, order and hash agree with one another:
/// - Values of different kinds are never equal (`1`, `1N`, `1.0` and `1M` are four values), and are ordered by kind, in
///   the order of the variants here.
/// - Floats are ordered numerically; `-0.0` is below `0.0` and not equal to it; NaN equals itself and is above all.
/// - Maps are equal where they hold the same pairs, whatever their order. Their order is total: by size, and then
///   arbitrary. All other collections compare element by element.
///
/// Any value can be built by hand. The ones that do not read back are a [`Value::Map`] with a key twice, and a
/// [`Value::Tagged`] whose tag does not begin with a letter or is `inst` or `uuid`.
#[derive(Debug, Clone)]
pub enum Value {
    /// `nil`
    Nil,
    /// `true`, `false`
    Boolean(bool),
    /// `-1`
    Integer(i64),
    /// `1N`, and integers beyond 64 bits
    BigInteger(BigInteger),
    /// `1.5`, `1e9`, `##Inf`, `##-Inf`, `##NaN`
    Float(f64),
    /// `1.50M`
    Decimal(Decimal),
    /// `\a`, `\newline`
    Char(char),
    /// `"text"`
    String(Arc<str>),
    /// `?person`
    Symbol(Symbol),
    /// `:person/name`
    Keyword(Keyword),
    /// `(1 2)`
    List(Vec<Value>),
    /// `[1 2]`
    Vector(Vec<Value>),
    /// `#{1 2}`
    Set(BTreeSet<Value>),
    /// `{:a 1}`, the pairs in the order they were read
    Map(Vec<(Value, Value)>),
    /// `#inst "2026-11-21T20:02:00Z"`
    Instant(Instant),
    /// `#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`
    Uuid(Uuid),
    /// `#my/tag value`: any tag but `inst` and `uuid`, kept with the value it stands before
    Tagged(Symbol, Box<Value>),
}

impl Value {
    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if this is one of 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The keyword, if this is one.
    pub fn as_keyword(&self) -> Option<&Keyword> {
        match self {
            Self::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    /// The elements, if this is a vector.
    pub fn as_vector(&self) -> Option<&[Value]> {
        match self {
            Self::Vector(elements) => Some(elements),
            _ => None,
        }
    }

    /// The pairs, if this is a map.
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        match self {
            Self::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Boolean(_) => 1,
            Self::Integer(_) => 2,
            Self::BigInteger(_) => 3,
            Self::Float(_) => 4,
            Self::Decimal(_) => 5,
            Self::Char(_) => 6,
            Self::String(_) => 7,
            Self::Symbol(_) => 8,
            Self::Keyword(_) => 9,
            Self::List(_) => 10,
            Self::Vector(_) => 11,
            Self::Set(_) => 12,
            Self::Map(_) => 13,
            Self::Instant(_) => 14,
            Self::Uuid(_) => 15,
            Self::Tagged(..) => 16,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::BigInteger(a), Self::BigInteger(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => one_nan(*a).total_cmp(&one_nan(*b)),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::Char(a), Self::Char(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Symbol(a), Self::Symbol(b)) => a.cmp(b),
            (Self::Keyword(a), Self::Keyword(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) | (Self::Vector(a), Self::Vector(b)) => a.cmp(b),
            (Self::Set(a), Self::Set(b)) => a.cmp(b),
            (Self::Map(a), Self::Map(b)) => compare_maps(a, b),
            (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Tagged(a_tag, a), Self::Tagged(b_tag, b)) => a_tag.cmp(b_tag).then_with(|| a.cmp(b)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Self::Nil => {}
            Self::Boolean(v) => v.hash(state),
            Self::Integer(v) => v.hash(state),
            Self::BigInteger(v) => v.hash(state),
            Self::Float(v) => one_nan(*v).to_bits().hash(state),
            Self::Decimal(v) => v.hash(state),
            Self::Char(v) => v.hash(state),
            Self::String(v) => v.hash(state),
            Self::Symbol(v) => v.hash(state),
            Self::Keyword(v) => v.hash(state),
            Self::List(v) | Self::Vector(v) => v.hash(state),
            Self::Set(v) => v.hash(state),
            Self::Map(v) => (v.len(), digest(v)).hash(state),
            Self::Instant(v) => v.hash(state),
            Self::Uuid(v) => v.hash(state),
            Self::Tagged(tag, v) => (tag, v).hash(state),
        }
    }
}

/// All NaNs are one; positive, so that the total order puts it above infinity.
fn one_nan(float: f64) -> f64 {
    if float.is_nan() { f64::NAN } else { float }
}

/// A number that equal maps share, whatever the order of their pairs.
fn digest(pairs: &[(Value, Value)]) -> u64 {
    pairs.iter().fold(0, |sum: u64, pair| {
        let mut hasher = DefaultHasher::new();
        pair.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}

/// The digests settle all but equal maps (and collisions). Sorting both sides first would be the plain way, but where maps
/// are keys of maps, each comparison in a sort would sort again, which is exponential in the depth.
fn compare_maps(a: &[(Value, Value)], b: &[(Value, Value)]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| digest(a).cmp(&digest(b))).then_with(|| sorted(a).cmp(&sorted(b)))
}

fn sorted(pairs: &[(Value, Value)]) -> Vec<&(Value, Value)> {
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort();
    pairs
}

macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from! {
    bool => Boolean,
    i64 => Integer,
    BigInteger => BigInteger,
    f64 => Float,
    Decimal => Decimal,
    char => Char,
    &str => String,
    String => String,
    Arc<str> => String,
    Symbol => Symbol,
    Keyword => Keyword,
    Vec<Value> => Vector,
    BTreeSet<Value> => Set,
    Instant => Instant,
    Uuid => Uuid,
}
