//! Operations as bytes: each an array of its kind's word and its fields, each of which tells its form by its first byte.

use rmp::Marker;

use super::{Reader, Writer, malformed};
use crate::error::Result;
use crate::log::operation::{Field, Operation};
use crate::types::Value;

/// No fewer bytes than the operations take in a payload.
pub(crate) fn size_bound(operations: &[Operation]) -> usize {
    // The header of an array or a string.
    const HEADER: usize = 5;
    let value = |v: &Value| 1 + super::value_bound(v);
    let field = |field: Field| match field {
        Field::Entity(_) => 9,
        Field::Value(v) => v.as_ref().map_or(1, value),
        Field::Name(name) => HEADER + name.len(),
        Field::Values(values) => HEADER + values.iter().map(value).sum::<usize>(),
    };
    let one = |operation: &Operation| {
        let (kind, fields) = operation.parts();
        HEADER + HEADER + kind.len() + fields.into_iter().map(field).sum::<usize>()
    };
    HEADER + operations.iter().map(one).sum::<usize>()
}

impl Writer {
    pub(super) fn operations(&mut self, operations: &[Operation]) {
        self.array(operations.len());
        for operation in operations {
            let (kind, fields) = operation.parts();
            self.array(1 + fields.len());
            self.str(kind);
            for field in &fields {
                self.field(field);
            }
        }
    }

    fn field(&mut self, field: &Field) {
        match field {
            Field::Entity(e) => self.entid(*e),
            Field::Value(v) => self.optional(v.as_ref()),
            Field::Name(name) => self.str(name),
            Field::Values(values) => {
                self.array(values.len());
                for v in values {
                    self.optional(Some(v));
                }
            }
        }
    }
}

impl Reader<'_> {
    pub(super) fn operations(&mut self) -> Result<Vec<Operation>> {
        let len = self.array()?;
        let mut operations = Vec::new();
        for _ in 0..len {
            operations.push(self.operation()?);
        }
        Ok(operations)
    }

    fn operation(&mut self) -> Result<Operation> {
        let parts = self.array()?;
        let kind = self.str()?;
        let mut fields = Vec::new();
        for _ in 1..parts {
            fields.push(self.field()?);
        }
        Operation::from_parts(kind, fields)
            .ok_or_else(|| malformed(format!("the operation {kind:?} does not have its fields")))
    }

    fn field(&mut self) -> Result<Field> {
        Ok(match self.marker() {
            Some(Marker::Null) => Field::Value(self.optional()?),
            Some(marker) if is_string(marker) => Field::Name(self.str()?.to_owned()),
            Some(marker) if is_array(marker) => self.value_or_values()?,
            _ => Field::Entity(self.entid()?),
        })
    }

    /// A value is an array that begins with a number, its type; several are an array of such arrays.
    fn value_or_values(&mut self) -> Result<Field> {
        let len = self.array()?;
        if len > 0 && !self.marker().is_some_and(is_array) {
            return match len {
                2 => Ok(Field::Value(Some(self.value()?))),
                _ => Err(malformed("a value that is not a type and what is of it")),
            };
        }
        let mut values = Vec::new();
        for _ in 0..len {
            values.push(self.optional()?.ok_or_else(|| malformed("a value is missing"))?);
        }
        Ok(Field::Values(values))
    }

    fn marker(&self) -> Option<Marker> {
        self.0.first().map(|byte| Marker::from_u8(*byte))
    }
}

fn is_string(marker: Marker) -> bool {
    matches!(marker, Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32)
}

fn is_array(marker: Marker) -> bool {
    matches!(marker, Marker::FixArray(_) | Marker::Array16 | Marker::Array32)
}
