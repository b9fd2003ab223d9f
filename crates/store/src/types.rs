//! Entids, values, datoms and what names a change.

use std::fmt;
use std::sync::Arc;

use tolstoy_edn::{Instant, Keyword};
use uuid::Uuid;

/// An entity's number. Partitions: below 65,536 the schema's own, below 268,435,456 the user's, from there transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entid(i64);

impl Entid {
    /// The bootstrap transaction, the first of every store.
    pub const TX0: Self = Self(0x1000_0000);
    /// The first entity of the user partition.
    pub const USER0: Self = Self(0x1_0000);

    /// The entity with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The entity `n` places further on.
    pub const fn plus(self, n: i64) -> Self {
        Self(self.0.saturating_add(n))
    }

    /// Whether it lies in the transaction partition.
    pub const fn is_tx(self) -> bool {
        self.0 >= Self::TX0.0
    }

    /// Whether it lies in the user partition.
    pub const fn is_user(self) -> bool {
        self.0 >= Self::USER0.0 && self.0 < Self::TX0.0
    }
}

impl fmt::Display for Entid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A floating-point number that can be a fact: not NaN, and zero has no sign. Infinities are allowed.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Double(f64);

impl Double {
    /// The number as a fact, or `None` for NaN.
    pub fn new(number: f64) -> Option<Self> {
        (!number.is_nan()).then_some(Self(if number == 0.0 { 0.0 } else { number }))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Double {}

#[allow(clippy::derive_ord_xor_partial_ord, reason = "a Double is never NaN, so the partial order is total")]
impl Ord for Double {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl std::hash::Hash for Double {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// The type of an attribute's values. Its number is the entid of the type's ident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// `:db.type/ref`: another entity.
    Ref = 23,
    /// `:db.type/keyword`.
    Keyword = 24,
    /// `:db.type/long`: a signed 64-bit integer.
    Long = 25,
    /// `:db.type/double`: see [`Double`].
    Double = 26,
    /// `:db.type/string`.
    String = 27,
    /// `:db.type/uuid`.
    Uuid = 28,
    /// `:db.type/uri`.
    Uri = 29,
    /// `:db.type/boolean`.
    Boolean = 30,
    /// `:db.type/instant`: microseconds.
    Instant = 31,
    /// `:db.type/bytes`.
    Bytes = 32,
}

impl ValueType {
    /// All types, in the order of their entids.
    pub const ALL: [Self; 10] = [
        Self::Ref,
        Self::Keyword,
        Self::Long,
        Self::Double,
        Self::String,
        Self::Uuid,
        Self::Uri,
        Self::Boolean,
        Self::Instant,
        Self::Bytes,
    ];

    /// The type whose ident has this entid.
    pub fn from_entid(entid: Entid) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.entid() == entid)
    }

    /// The entid of the type's ident.
    pub const fn entid(self) -> Entid {
        Entid(self as i64)
    }

    /// Whether its values can be added up.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Long | Self::Double)
    }

    /// Whether of two values of it one is the larger, in a sense that people agree on.
    pub const fn is_measure(self) -> bool {
        matches!(self, Self::Long | Self::Double | Self::Instant)
    }

    /// The type's name without namespace, such as `long`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ref => "ref",
            Self::Keyword => "keyword",
            Self::Long => "long",
            Self::Double => "double",
            Self::String => "string",
            Self::Uuid => "uuid",
            Self::Uri => "uri",
            Self::Boolean => "boolean",
            Self::Instant => "instant",
            Self::Bytes => "bytes",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":db.type/{}", self.name())
    }
}

/// A fact's value. Values of one type are ordered as SQLite orders them, so that a log has one order everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Another entity.
    Ref(Entid),
    /// A keyword.
    Keyword(Keyword),
    /// An integer.
    Long(i64),
    /// A floating-point number.
    Double(Double),
    /// A text.
    String(Arc<str>),
    /// A UUID.
    Uuid(Uuid),
    /// A URI, kept as the text it was given as.
    Uri(Arc<str>),
    /// True or false.
    Boolean(bool),
    /// A point in time.
    Instant(Instant),
    /// Opaque bytes.
    Bytes(Arc<[u8]>),
}

impl Value {
    /// The value's type.
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::Ref(_) => ValueType::Ref,
            Self::Keyword(_) => ValueType::Keyword,
            Self::Long(_) => ValueType::Long,
            Self::Double(_) => ValueType::Double,
            Self::String(_) => ValueType::String,
            Self::Uuid(_) => ValueType::Uuid,
            Self::Uri(_) => ValueType::Uri,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Instant(_) => ValueType::Instant,
            Self::Bytes(_) => ValueType::Bytes,
        }
    }

    /// The entity it refers to, where it is a ref.
    pub const fn as_ref_entid(&self) -> Option<Entid> {
        match self {
            Self::Ref(e) => Some(*e),
            _ => None,
        }
    }

    /// The keyword, where it is one.
    pub const fn as_keyword(&self) -> Option<&Keyword> {
        match self {
            Self::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    /// The value as EDN: refs as integers, URIs and bytes as `#uri "..."` and `#bytes "hex"`.
    pub fn to_edn(&self) -> tolstoy_edn::Value {
        use tolstoy_edn::Value as Edn;
        let tagged = |tag: &str, text: String| match tolstoy_edn::Symbol::parse(tag) {
            Some(tag) => Edn::Tagged(tag, Box::new(Edn::String(text.into()))),
            None => Edn::String(text.into()),
        };
        match self {
            Self::Ref(e) => Edn::Integer(e.get()),
            Self::Keyword(k) => Edn::Keyword(k.clone()),
            Self::Long(n) => Edn::Integer(*n),
            Self::Double(x) => Edn::Float(x.get()),
            Self::String(s) => Edn::String(s.clone()),
            Self::Uuid(u) => Edn::Uuid(*u),
            Self::Uri(s) => tagged("uri", s.to_string()),
            Self::Boolean(b) => Edn::Boolean(*b),
            Self::Instant(t) => Edn::Instant(*t),
            Self::Bytes(b) => tagged("bytes", b.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_edn().fmt(f)
    }
}

/// One fact, asserted or retracted by a transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datom {
    /// The entity.
    pub e: Entid,
    /// The attribute.
    pub a: Entid,
    /// The value.
    pub v: Value,
    /// The transaction.
    pub tx: Entid,
    /// True where asserted, false where retracted.
    pub added: bool,
}

/// A datom before its transaction has a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// The entity.
    pub e: Entid,
    /// The attribute.
    pub a: Entid,
    /// The value.
    pub v: Value,
    /// True to assert, false to retract.
    pub added: bool,
}

impl Change {
    /// An assertion.
    pub const fn add(e: Entid, a: Entid, v: Value) -> Self {
        Self { e, a, v, added: true }
    }

    /// A retraction.
    pub const fn retract(e: Entid, a: Entid, v: Value) -> Self {
        Self { e, a, v, added: false }
    }

    /// The datom it becomes in a transaction.
    pub fn at(self, tx: Entid) -> Datom {
        Datom { e: self.e, a: self.a, v: self.v, tx, added: self.added }
    }
}

impl Ord for Change {
    /// The order of datoms within a transaction: by entity and attribute, retractions first, then by value.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.e, self.a, self.added, &self.v).cmp(&(other.e, other.a, other.added, &other.v))
    }
}

impl PartialOrd for Change {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What names a change for ever: given when it is first committed in a store, kept across every rebase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The change's id.
    pub id: Uuid,
    /// The store file that it was first committed in.
    pub device: Uuid,
    /// When that was, by its transaction's instant.
    pub authored: Instant,
}
