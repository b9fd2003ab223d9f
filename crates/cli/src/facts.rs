//! Facts as text for people.

use tolstoy_store::{Entid, Schema, Value};

use crate::error::Failure;
use crate::ui::{ADDED, GONE, Ui};

/// A value; refs to what has an ident are shown as that.
pub(crate) fn value(schema: &Schema, value: &Value) -> String {
    match value {
        Value::Ref(e) => schema.name(*e),
        other => other.to_string(),
    }
}

/// A value that may be missing.
pub(crate) fn optional(schema: &Schema, v: Option<&Value>) -> String {
    v.map_or_else(|| "nothing".to_owned(), |v| value(schema, v))
}

/// Facts in columns: `+ 65537 :person/name "Ivan"`.
pub(crate) fn list<'f>(
    ui: &mut Ui,
    schema: &Schema,
    facts: impl Iterator<Item = (Entid, Entid, &'f Value, bool)>,
) -> Result<(), Failure> {
    let rows: Vec<_> =
        facts.map(|(e, a, v, added)| (schema.name(e), schema.name(a), value(schema, v), added)).collect();
    let width = |column: fn(&(String, String, String, bool)) -> &String| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or_default()
    };
    let (entity_width, attribute_width) = (width(|row| &row.0), width(|row| &row.1));
    for (e, a, v, added) in &rows {
        let (style, sign) = if *added { (ADDED, '+') } else { (GONE, '-') };
        let text = ui.paint(style, format!("{sign} {e:entity_width$} {a:attribute_width$} {v}"));
        ui.line(format!("  {text}"))?;
    }
    Ok(())
}

/// `1 transaction`, `2 transactions`.
pub(crate) fn count(n: impl Into<u64>, noun: &str) -> String {
    let n = n.into();
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
