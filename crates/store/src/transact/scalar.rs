//! Literals as values of an attribute's type.

use tolstoy_edn::{Form, FormKind};

use crate::types::{Double, Value, ValueType};

/// The literal as a value of this type, which is not `Ref`; `Err` holds the reason for people, empty where the literal
/// is simply of another type.
pub(super) fn scalar(value_type: ValueType, form: &Form) -> Result<Value, String> {
    let other = String::new();
    Ok(match (value_type, &form.kind) {
        (ValueType::Keyword, FormKind::Keyword(k)) => Value::Keyword(k.clone()),
        (ValueType::Long, FormKind::Integer(n)) => Value::Long(*n),
        (ValueType::Double, FormKind::Float(x)) => {
            Value::Double(Double::new(*x).ok_or_else(|| "##NaN cannot be a fact".to_owned())?)
        }
        (ValueType::Double, FormKind::Integer(n)) => Value::Double(exact_double(*n)?),
        (ValueType::String, FormKind::String(s)) => Value::String(s.clone()),
        (ValueType::Uuid, FormKind::Uuid(u)) => Value::Uuid(*u),
        (ValueType::Uri, FormKind::String(s)) => Value::Uri(s.clone()),
        (ValueType::Boolean, FormKind::Boolean(b)) => Value::Boolean(*b),
        (ValueType::Instant, FormKind::Instant(t)) => Value::Instant(*t),
        (ValueType::Uri, FormKind::Tagged(tag, text)) if tag.as_str() == "uri" => match &text.kind {
            FormKind::String(s) => Value::Uri(s.clone()),
            _ => return Err("#uri stands before a string".to_owned()),
        },
        (ValueType::Bytes, FormKind::Tagged(tag, hex)) if tag.as_str() == "bytes" => {
            let bytes = hex.as_str().and_then(from_hex);
            Value::Bytes(
                bytes.ok_or_else(|| "#bytes stands before a string of hex digits, two a byte".to_owned())?.into(),
            )
        }
        _ => return Err(other),
    })
}

/// The literal as a value of the type that it is written in; `Err` as for [`scalar`].
pub(super) fn literal(form: &Form) -> Result<Value, String> {
    let value_type = match &form.kind {
        FormKind::Keyword(_) => ValueType::Keyword,
        FormKind::Integer(_) => ValueType::Long,
        FormKind::Float(_) => ValueType::Double,
        FormKind::String(_) => ValueType::String,
        FormKind::Uuid(_) => ValueType::Uuid,
        FormKind::Boolean(_) => ValueType::Boolean,
        FormKind::Instant(_) => ValueType::Instant,
        FormKind::Tagged(tag, _) if tag.as_str() == "uri" => ValueType::Uri,
        FormKind::Tagged(tag, _) if tag.as_str() == "bytes" => ValueType::Bytes,
        _ => return Err(String::new()),
    };
    scalar(value_type, form)
}

/// The double that is this integer, or why there is none.
pub(crate) fn exact_double(n: i64) -> Result<Double, String> {
    let x = n as f64;
    let exact = x as i128 == i128::from(n);
    Double::new(x).filter(|_| exact).ok_or_else(|| format!("{n} is too long for a double: write it with a point"))
}

/// The bytes that hex digits stand for.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
