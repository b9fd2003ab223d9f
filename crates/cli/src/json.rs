//! Values as JSON: keywords (`":a/b"`), instants (RFC 3339), UUIDs and URIs are strings, refs are integers, bytes are
//! hexadecimal, infinite doubles are `"Infinity"` and `"-Infinity"`.

use serde_json::{Map, Number, Value as Json};
use tolstoy_edn::Value as Edn;
use tolstoy_store::{Change, Datom, Entid, Schema, Value};

/// A stored value.
pub(crate) fn value(value: &Value) -> Json {
    edn(&value.to_edn())
}

/// An EDN value.
pub(crate) fn edn(value: &Edn) -> Json {
    let list = |values: &[Edn]| Json::Array(values.iter().map(edn).collect());
    match value {
        Edn::Nil => Json::Null,
        Edn::Boolean(v) => Json::Bool(*v),
        Edn::Integer(v) => Json::from(*v),
        Edn::Float(v) => Number::from_f64(*v).map_or_else(|| Json::String(no_number(*v).to_owned()), Json::Number),
        Edn::BigInteger(v) => Json::String(v.as_str().to_owned()),
        Edn::Decimal(v) => Json::String(v.as_str().to_owned()),
        Edn::Char(v) => Json::String(v.to_string()),
        Edn::String(v) => Json::String(v.to_string()),
        Edn::Symbol(v) => Json::String(v.to_string()),
        Edn::Keyword(v) => Json::String(v.to_string()),
        Edn::List(v) | Edn::Vector(v) => list(v),
        Edn::Set(v) => Json::Array(v.iter().map(edn).collect()),
        Edn::Map(pairs) => Json::Object(pairs.iter().map(|(k, v)| (key(k), edn(v))).collect::<Map<_, _>>()),
        Edn::Instant(v) => Json::String(v.to_string()),
        Edn::Uuid(v) => Json::String(v.hyphenated().to_string()),
        Edn::Tagged(_, v) => edn(v),
    }
}

fn key(value: &Edn) -> String {
    match value {
        Edn::String(text) => text.to_string(),
        other => other.to_string(),
    }
}

fn no_number(float: f64) -> &'static str {
    if float.is_nan() {
        "NaN"
    } else if float > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// An attribute: its ident, or its number where it has none.
pub(crate) fn attribute(schema: &Schema, a: Entid) -> Json {
    schema.ident(a).map_or_else(|| Json::from(a.get()), |ident| Json::String(ident.to_string()))
}

/// A datom: `[e, a, v, tx, added]`.
pub(crate) fn datom(schema: &Schema, datom: &Datom) -> Json {
    let Datom { e, a, v, tx, added } = datom;
    Json::Array(vec![e.get().into(), attribute(schema, *a), value(v), tx.get().into(), (*added).into()])
}

/// A change that has no transaction of its own: `[e, a, v, added]`.
pub(crate) fn change(schema: &Schema, change: &Change) -> Json {
    let Change { e, a, v, added } = change;
    Json::Array(vec![e.get().into(), attribute(schema, *a), value(v), (*added).into()])
}
