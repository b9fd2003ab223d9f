//! One chunk of the original's: a datom as a JSON object, drawn in `docs/format.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tolstoy_edn::{Instant, Keyword};
use tolstoy_store::{Change, Double, Entid, Value, ValueType};

use super::Unsayable;

/// The chunk's keys, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Datom {
    /// Of a transaction's first chunk, its partitions.
    #[serde(default)]
    pub(super) partitions: Option<BTreeMap<String, Partition>>,
    pub(super) e: i64,
    pub(super) a: i64,
    pub(super) v: Tagged,
    pub(super) tx: i64,
    pub(super) added: bool,
    /// Of a transaction's first chunk, what a store of ours adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tolstoy: Option<Key>,
}

/// A partition of entids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Partition {
    start: i64,
    end: i64,
    allow_excision: bool,
    next_entid_to_allocate: i64,
}

/// Our own key, which the original ignores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Key {
    /// The transaction is ours: its payload, without the datoms that are chunks.
    Own {
        /// The version of the payload.
        version: u8,
        /// The payload, in base64.
        payload: String,
    },
    /// The transaction is the original's, told again: the origin it always had.
    Again {
        /// That origin: 36 characters.
        origin: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Tagged {
    Ref(i64),
    Boolean(bool),
    Long(i64),
    Double(f64),
    Instant(String),
    String(String),
    Keyword { namespace: Option<String>, name: String },
    Uuid(String),
}

/// The partitions right after transaction `tx`, where `next` is the next free number of the user partition.
pub(super) fn partitions(tx: Entid, next: Entid) -> BTreeMap<String, Partition> {
    let (user, first_tx) = (Entid::USER0.get(), Entid::TX0.get());
    let part = |name: &str, start, end, allow_excision, next_entid_to_allocate| {
        (name.to_owned(), Partition { start, end, allow_excision, next_entid_to_allocate })
    };
    BTreeMap::from([
        part(":db.part/db", 0, user - 1, false, super::DB_NEXT),
        part(":db.part/tx", first_tx, i64::MAX, false, tx.plus(1).get()),
        part(":db.part/user", user, first_tx - 1, true, next.get()),
    ])
}

impl Datom {
    /// The datom that a change becomes in transaction `tx`.
    pub(super) fn of(change: &Change, tx: Entid) -> Result<Self, Unsayable> {
        let Change { e, a, v, added } = change;
        let v = Tagged::of(v)?;
        Ok(Self { partitions: None, e: e.get(), a: a.get(), v, tx: tx.get(), added: *added, tolstoy: None })
    }

    /// The chunk that says it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        // Writing to a vector does not fail, and all keys of the maps are texts.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a chunk.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| e.to_string())
    }

    /// The change that it is.
    pub(super) fn change(self) -> Result<Change, String> {
        let v = self.v.value()?;
        Ok(Change { e: Entid::new(self.e), a: Entid::new(self.a), v, added: self.added })
    }
}

impl Tagged {
    fn of(v: &Value) -> Result<Self, Unsayable> {
        Ok(match v {
            Value::Ref(e) => Self::Ref(e.get()),
            Value::Boolean(b) => Self::Boolean(*b),
            Value::Long(n) => Self::Long(*n),
            Value::Double(x) if x.get().is_finite() => Self::Double(x.get()),
            Value::Double(_) => return Err(Unsayable::Infinite),
            Value::Instant(t) => Self::Instant(instant(*t)?),
            Value::String(s) => Self::String(s.to_string()),
            Value::Keyword(k) => {
                Self::Keyword { namespace: k.namespace().map(str::to_owned), name: k.name().to_owned() }
            }
            Value::Uuid(u) => Self::Uuid(u.hyphenated().to_string()),
            Value::Uri(_) => return Err(Unsayable::Type(ValueType::Uri)),
            Value::Bytes(_) => return Err(Unsayable::Type(ValueType::Bytes)),
        })
    }

    fn value(self) -> Result<Value, String> {
        let none = |what: &str, text: &str| {
            let shown: String = text.chars().take(80).collect();
            format!("{shown:?} is no {what}")
        };
        Ok(match self {
            Self::Ref(e) => Value::Ref(Entid::new(e)),
            Self::Boolean(b) => Value::Boolean(b),
            Self::Long(n) => Value::Long(n),
            Self::Double(x) => Value::Double(Double::new(x).ok_or("a double is no number")?),
            Self::Instant(text) => Value::Instant(read_instant(&text).ok_or_else(|| none("instant", &text))?),
            Self::String(s) => Value::String(s.into()),
            Self::Keyword { namespace, name } => {
                let keyword = Keyword::new(namespace.as_deref(), &name);
                Value::Keyword(keyword.ok_or_else(|| none("name of a keyword", &name))?)
            }
            Self::Uuid(text) => Value::Uuid(tolstoy_proto::parse_uuid(&text).map_err(|_| none("UUID", &text))?),
        })
    }
}

/// The instant as RFC 3339, which has years of four digits only.
fn instant(t: Instant) -> Result<String, Unsayable> {
    let text = t.to_string();
    if text.starts_with(['+', '-']) { Err(Unsayable::Year(t)) } else { Ok(text) }
}

/// Reads a date, a time and `Z`, nothing left out.
fn read_instant(text: &str) -> Option<Instant> {
    let whole =
        text.len() >= "2026-11-21T20:02:31Z".len() && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    whole.then(|| Instant::parse_rfc3339(text)).flatten()
}
