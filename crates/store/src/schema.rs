//! The schema and the idents, cached from the datoms that define them.

use std::collections::HashMap;
use std::fmt;

use tolstoy_edn::Keyword;

use crate::bootstrap::entids;
use crate::types::{Change, Entid, Value, ValueType};

/// How many values an attribute may have on one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// `:db.cardinality/one`: a new value replaces the old.
    One,
    /// `:db.cardinality/many`: a set of values.
    Many,
}

impl Cardinality {
    /// The cardinality whose ident has this entid.
    pub(crate) const fn from_entid(entid: Entid) -> Option<Self> {
        match entid {
            entids::CARDINALITY_ONE => Some(Self::One),
            entids::CARDINALITY_MANY => Some(Self::Many),
            _ => None,
        }
    }
}

/// What the value of a unique attribute means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unique {
    /// `:db.unique/value`: no two entities have it; asserting a taken one is refused.
    Value,
    /// `:db.unique/identity`: it names its entity; asserting a taken one is a statement about that entity.
    Identity,
}

impl Unique {
    /// The uniqueness whose ident has this entid.
    pub(crate) const fn from_entid(entid: Entid) -> Option<Self> {
        match entid {
            entids::UNIQUE_VALUE => Some(Self::Value),
            entids::UNIQUE_IDENTITY => Some(Self::Identity),
            _ => None,
        }
    }
}

/// What becomes of a value that both sides of a merge changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Merge {
    /// `:db.merge/last`: the re-applied local value stands, as without a policy.
    Last,
    /// `:db.merge/first`: what is in the log stands.
    First,
    /// `:db.merge/max`: the larger one stands.
    Max,
    /// `:db.merge/min`: the smaller one stands.
    Min,
    /// `:db.merge/sum`: what the local change added to what it replaced is added to what is in the log.
    Sum,
    /// `:db.merge/journal`: what is in the log stands, and the local value waits in the journal.
    Journal,
}

impl Merge {
    /// All policies.
    pub const ALL: [Self; 6] = [Self::Last, Self::First, Self::Max, Self::Min, Self::Sum, Self::Journal];

    /// The policy whose ident has this entid.
    pub(crate) fn from_entid(entid: Entid) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.entid() == entid)
    }

    const fn entid(self) -> Entid {
        match self {
            Self::Last => entids::MERGE_LAST,
            Self::First => entids::MERGE_FIRST,
            Self::Max => entids::MERGE_MAX,
            Self::Min => entids::MERGE_MIN,
            Self::Sum => entids::MERGE_SUM,
            Self::Journal => entids::MERGE_JOURNAL,
        }
    }

    /// The policy's name without namespace, such as `last`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::First => "first",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sum => "sum",
            Self::Journal => "journal",
        }
    }

    /// Whether it makes sense of values of this type.
    pub(crate) const fn fits(self, value_type: ValueType) -> bool {
        match self {
            Self::Last | Self::First | Self::Journal => true,
            Self::Max | Self::Min => matches!(value_type, ValueType::Long | ValueType::Double | ValueType::Instant),
            Self::Sum => matches!(value_type, ValueType::Long | ValueType::Double),
        }
    }
}

/// What is stated about an entity with schema attributes. It can be used as an attribute once its type and cardinality
/// are stated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attribute {
    value_type: Option<ValueType>,
    cardinality: Option<Cardinality>,
    unique: Option<Unique>,
    index: bool,
    component: bool,
    fulltext: bool,
    no_history: bool,
    merge: Option<Merge>,
}

impl Attribute {
    /// The type of its values; `Ref` while none is stated, which no usable attribute is.
    pub fn value_type(&self) -> ValueType {
        self.value_type.unwrap_or(ValueType::Ref)
    }

    /// How many values it may have on one entity.
    pub fn cardinality(&self) -> Cardinality {
        self.cardinality.unwrap_or(Cardinality::One)
    }

    /// Whether it holds one value at most on an entity.
    pub fn is_one(&self) -> bool {
        self.cardinality() == Cardinality::One
    }

    /// What uniqueness its values have.
    pub const fn unique(&self) -> Option<Unique> {
        self.unique
    }

    /// Whether its values can be looked up by value: stated, or implied by uniqueness or full text.
    pub const fn indexed(&self) -> bool {
        self.index || self.unique.is_some() || self.fulltext
    }

    /// Whether `:db/index true` is stated.
    pub(crate) const fn states_index(&self) -> bool {
        self.index
    }

    /// Whether its values are parts of the entity, retracted with it.
    pub const fn is_component(&self) -> bool {
        self.component
    }

    /// Whether its values are texts to be searched.
    pub const fn fulltext(&self) -> bool {
        self.fulltext
    }

    /// Whether its past values are of no interest.
    pub const fn no_history(&self) -> bool {
        self.no_history
    }

    /// What becomes of a value that both sides of a merge changed, where that is stated; [`Merge::Last`] where it is not.
    pub const fn merge(&self) -> Option<Merge> {
        self.merge
    }

    /// Whether type and cardinality are stated, so that facts may use it.
    pub const fn is_usable(&self) -> bool {
        self.value_type.is_some() && self.cardinality.is_some()
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether two definitions of one attribute mean different facts: another type, cardinality, uniqueness, or another
    /// answer to whether values are components or full text. What only speeds up or annotates does not count.
    pub fn contradicts(&self, other: &Self) -> bool {
        (self.value_type, self.cardinality, self.unique, self.component, self.fulltext)
            != (other.value_type, other.cardinality, other.unique, other.component, other.fulltext)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cardinality = match self.cardinality() {
            Cardinality::One => "one",
            Cardinality::Many => "many",
        };
        write!(f, "{} {cardinality}", self.value_type())?;
        match self.unique {
            Some(Unique::Identity) => f.write_str(" unique-identity")?,
            Some(Unique::Value) => f.write_str(" unique-value")?,
            None => {}
        }
        for (is, word) in [
            (self.index && self.unique.is_none(), " index"),
            (self.component, " component"),
            (self.fulltext, " fulltext"),
            (self.no_history, " no-history"),
        ] {
            if is {
                f.write_str(word)?;
            }
        }
        self.merge.map_or(Ok(()), |merge| write!(f, " merge-{}", merge.name()))
    }
}

/// All idents and attributes of a store at one point.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    attributes: HashMap<Entid, Attribute>,
    by_ident: HashMap<Keyword, Entid>,
    by_entid: HashMap<Entid, Keyword>,
}

impl Schema {
    /// The attribute with this entid, if facts may use it.
    pub fn attribute(&self, entid: Entid) -> Option<&Attribute> {
        self.attributes.get(&entid).filter(|a| a.is_usable())
    }

    /// What is stated about an attribute, also while it is not yet usable.
    pub(crate) fn definition(&self, entid: Entid) -> Option<&Attribute> {
        self.attributes.get(&entid)
    }

    /// The entity that has this ident.
    pub fn entid(&self, ident: &Keyword) -> Option<Entid> {
        self.by_ident.get(ident).copied()
    }

    /// The entity's ident.
    pub fn ident(&self, entid: Entid) -> Option<&Keyword> {
        self.by_entid.get(&entid)
    }

    /// The entity's ident, or its number, for messages.
    pub fn name(&self, entid: Entid) -> String {
        self.ident(entid).map_or_else(|| entid.to_string(), ToString::to_string)
    }

    /// All usable attributes, by entid.
    pub fn attributes(&self) -> Vec<(Entid, &Attribute)> {
        let mut all: Vec<_> = self.attributes.iter().filter(|(_, a)| a.is_usable()).map(|(e, a)| (*e, a)).collect();
        all.sort_by_key(|(e, _)| *e);
        all
    }

    /// All idents, in order.
    pub fn idents(&self) -> Vec<(&Keyword, Entid)> {
        let mut all: Vec<_> = self.by_ident.iter().map(|(k, e)| (k, *e)).collect();
        all.sort();
        all
    }

    /// Whether a datom of this attribute says something about the schema or the idents.
    pub(crate) fn concerns(a: Entid) -> bool {
        use entids::*;
        [IDENT, VALUE_TYPE, CARDINALITY, UNIQUE, INDEX, IS_COMPONENT, FULLTEXT, NO_HISTORY, MERGE].contains(&a)
    }

    /// Whether two definitions contradict where they differ in this.
    pub(crate) fn gives_meaning(a: Entid) -> bool {
        use entids::*;
        [VALUE_TYPE, CARDINALITY, UNIQUE, IS_COMPONENT, FULLTEXT].contains(&a)
    }

    /// Takes in what a datom states. Of a retraction only the removal is taken in: apply retractions before assertions.
    pub(crate) fn apply(&mut self, change: &Change) {
        let (e, added) = (change.e, change.added);
        if change.a == entids::IDENT {
            if let Value::Keyword(ident) = &change.v {
                self.apply_ident(e, ident, added);
            }
            return;
        }
        if !Self::concerns(change.a) {
            return;
        }
        let attribute = self.attributes.entry(e).or_default();
        let flag = added && change.v == Value::Boolean(true);
        let named = change.v.as_ref_entid().filter(|_| added);
        match change.a {
            entids::VALUE_TYPE => attribute.value_type = named.and_then(ValueType::from_entid),
            entids::CARDINALITY => attribute.cardinality = named.and_then(Cardinality::from_entid),
            entids::UNIQUE => attribute.unique = named.and_then(Unique::from_entid),
            entids::INDEX => attribute.index = flag,
            entids::IS_COMPONENT => attribute.component = flag,
            entids::FULLTEXT => attribute.fulltext = flag,
            entids::NO_HISTORY => attribute.no_history = flag,
            entids::MERGE => attribute.merge = named.and_then(Merge::from_entid),
            _ => {}
        }
        if attribute.is_empty() {
            self.attributes.remove(&e);
        }
    }

    fn apply_ident(&mut self, e: Entid, ident: &Keyword, added: bool) {
        if added {
            self.by_ident.insert(ident.clone(), e);
            self.by_entid.insert(e, ident.clone());
        } else {
            if self.by_ident.get(ident) == Some(&e) {
                self.by_ident.remove(ident);
            }
            if self.by_entid.get(&e) == Some(ident) {
                self.by_entid.remove(&e);
            }
        }
    }
}

#[cfg(test)]
mod tests;
