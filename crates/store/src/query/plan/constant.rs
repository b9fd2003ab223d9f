//! Values as they are written, and what they mean where they stand.

use std::sync::Arc;

use tolstoy_edn::{Keyword, Value as Edn};

use crate::error::{Error, Result};
use crate::query::algebra::Expr;
use crate::query::ast::Constant;
use crate::query::types::{TypeSet, a};
use crate::schema::{Attribute, Schema};
use crate::suggest::did_you_mean;
use crate::transact::scalar::{exact_double, from_hex};
use crate::types::{Double, Entid, Value, ValueType};

/// Lookup refs within lookup refs. Each is a subquery.
const MAX_LOOKUP_DEPTH: usize = 8;

/// The types that a written value can have. Its place says which of them it has.
pub(crate) fn candidates(constant: &Constant) -> Result<TypeSet> {
    use ValueType as T;
    let types: &[T] = match &constant.value {
        Edn::Boolean(_) => &[T::Boolean],
        Edn::Integer(_) => &[T::Long, T::Double, T::Ref],
        Edn::Float(x) if !x.is_nan() => &[T::Double],
        Edn::String(_) => &[T::String, T::Uri],
        Edn::Keyword(_) => &[T::Keyword, T::Ref],
        Edn::Instant(_) => &[T::Instant],
        Edn::Uuid(_) => &[T::Uuid],
        Edn::Tagged(tag, inner) => match (tag.as_str(), &**inner) {
            ("uri", Edn::String(_)) => &[T::Uri],
            ("bytes", Edn::String(_)) => &[T::Bytes],
            _ => &[],
        },
        value if lookup_ref(value).is_some() => &[T::Ref],
        _ => &[],
    };
    if types.is_empty() {
        let message = format!(
            "{} is not a value that a fact can have, and not a lookup ref such as [:person/name \"Ivan\"]",
            short(&constant.value)
        );
        return Err(Error::input(constant.span, message));
    }
    Ok(TypeSet::of(types))
}

/// The type that a written value has where its place allows several.
const fn natural(value: &Edn) -> Option<ValueType> {
    match value {
        Edn::Integer(_) => Some(ValueType::Long),
        Edn::String(_) => Some(ValueType::String),
        Edn::Keyword(_) => Some(ValueType::Keyword),
        _ => None,
    }
}

/// What type a written value has at first sight, for messages.
pub(crate) fn at_first_sight(constant: &Constant) -> Result<TypeSet> {
    natural(&constant.value).map_or_else(|| candidates(constant), |t| Ok(t.into()))
}

/// Attribute and value of `(lookup-ref a v)` or `[a v]`.
fn lookup_ref(value: &Edn) -> Option<(&Edn, &Edn)> {
    match value {
        Edn::Vector(items) => match items.as_slice() {
            [a @ (Edn::Keyword(_) | Edn::Integer(_)), v] => Some((a, v)),
            _ => None,
        },
        Edn::List(items) => match items.as_slice() {
            [Edn::Symbol(name), a, v] if name.as_str() == "lookup-ref" => Some((a, v)),
            _ => None,
        },
        _ => None,
    }
}

/// What a written value means in a place that takes values of these types.
pub(crate) fn resolve(constant: &Constant, wanted: TypeSet, schema: &Schema) -> Result<(ValueType, Expr)> {
    resolve_at(constant, wanted, schema, 0)
}

/// The same for a value that has to be known before the query runs, which a lookup ref is not.
pub(crate) fn resolve_value(constant: &Constant, wanted: TypeSet, schema: &Schema) -> Result<Value> {
    match resolve(constant, wanted, schema)? {
        (_, Expr::Value(value)) => Ok(value),
        _ => {
            let message = "a lookup ref cannot be given in a collection or a relation: give the entity, or its value";
            Err(Error::input(constant.span, message))
        }
    }
}

fn resolve_at(constant: &Constant, wanted: TypeSet, schema: &Schema, depth: usize) -> Result<(ValueType, Expr)> {
    let possible = candidates(constant)?.and(wanted);
    let chosen = natural(&constant.value).filter(|t| possible.contains(*t)).or_else(|| possible.iter().next());
    let Some(chosen) = chosen else {
        let is = at_first_sight(constant)?;
        let message = format!("{wanted} is needed here, not {}, which is {is}", short(&constant.value));
        return Err(Error::input(constant.span, message));
    };
    let value = match (chosen, &constant.value) {
        (ValueType::Ref, value) => return Ok((chosen, resolve_entity(constant, value, schema, depth)?)),
        (ValueType::Long, Edn::Integer(n)) => Some(Value::Long(*n)),
        (ValueType::Double, Edn::Integer(n)) => {
            let exact = exact_double(*n).map_err(|e| Error::input(constant.span, e))?;
            Some(Value::Double(exact))
        }
        (ValueType::Double, Edn::Float(x)) => Double::new(*x).map(Value::Double),
        (ValueType::Boolean, Edn::Boolean(b)) => Some(Value::Boolean(*b)),
        (ValueType::Keyword, Edn::Keyword(k)) => Some(Value::Keyword(k.clone())),
        (ValueType::String, Edn::String(s)) => Some(Value::String(Arc::clone(s))),
        (ValueType::Uri, Edn::String(s)) => Some(Value::Uri(Arc::clone(s))),
        (ValueType::Instant, Edn::Instant(t)) => Some(Value::Instant(*t)),
        (ValueType::Uuid, Edn::Uuid(u)) => Some(Value::Uuid(*u)),
        (ValueType::Uri, Edn::Tagged(_, inner)) => inner.as_str().map(|s| Value::Uri(s.into())),
        (ValueType::Bytes, Edn::Tagged(_, inner)) => {
            let bytes = inner.as_str().and_then(from_hex).ok_or_else(|| {
                Error::input(constant.span, "#bytes stands before a string of hex digits, two a byte")
            })?;
            Some(Value::Bytes(bytes.into()))
        }
        _ => None,
    };
    let value = value.ok_or_else(|| {
        Error::input(constant.span, format!("{} cannot be written as {}", short(&constant.value), a(chosen)))
    })?;
    Ok((chosen, Expr::Value(value)))
}

fn resolve_entity(constant: &Constant, value: &Edn, schema: &Schema, depth: usize) -> Result<Expr> {
    match value {
        Edn::Integer(n) => Ok(Expr::Value(Value::Ref(Entid::new(*n)))),
        Edn::Keyword(ident) => match schema.entid(ident) {
            Some(entid) => Ok(Expr::Value(Value::Ref(entid))),
            None => {
                let known = schema.idents();
                let meant = did_you_mean(ident.as_str(), known.iter().map(|(k, _)| k.as_str()), ":");
                Err(Error::input(constant.span, format!("no entity has the ident {ident}{meant}")))
            }
        },
        value => {
            let Some((a, v)) = lookup_ref(value) else {
                return Err(Error::input(constant.span, format!("{} names no entity", short(value))));
            };
            if depth >= MAX_LOOKUP_DEPTH {
                return Err(Error::input(constant.span, "lookup refs are nested too deeply here"));
            }
            let at = |value: &Edn| Constant { value: value.clone(), span: constant.span };
            let (entid, attribute) = attribute(&at(a), schema)?;
            if attribute.unique().is_none() {
                let message = format!("a lookup ref needs a unique attribute, and {} is none", schema.name(entid));
                return Err(Error::input(constant.span, message));
            }
            let (_, v) = resolve_at(&at(v), attribute.value_type().into(), schema, depth + 1)?;
            Ok(Expr::Lookup(entid, Box::new(v)))
        }
    }
}

/// The attribute that a written value names.
pub(crate) fn attribute<'s>(constant: &Constant, schema: &'s Schema) -> Result<(Entid, &'s Attribute)> {
    let entid = match &constant.value {
        Edn::Integer(n) => Some(Entid::new(*n)),
        Edn::Keyword(ident) => schema.entid(ident),
        other => {
            let message = format!("an attribute is a keyword such as :person/name, not {}", short(other));
            return Err(Error::input(constant.span, message));
        }
    };
    if let Some((entid, attribute)) = entid.and_then(|e| schema.attribute(e).map(|a| (e, a))) {
        return Ok((entid, attribute));
    }
    let attributes = schema.attributes();
    let names = attributes.iter().filter_map(|(e, _)| schema.ident(*e)).map(Keyword::as_str);
    let meant = constant.value.as_keyword().map(|ident| did_you_mean(ident.as_str(), names, ":")).unwrap_or_default();
    Err(Error::input(constant.span, format!("{} is not an attribute{meant}", constant.value)))
}

/// A value for a message, cut where it is long.
pub(crate) fn short(value: &Edn) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain("...".chars()).collect() }
}
