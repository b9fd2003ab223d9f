//! The tables of a settings file, each key looked at with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Kind;
use super::file::{called, nearest, spanned};
use crate::error::{self, Failure};
use crate::text::Source;

/// The entries of a table, in the order of the file: so that its first mistake is told, not that of the first key in the
/// alphabet.
pub(crate) struct Entries<'t> {
    source: &'t Source,
    entries: Vec<(&'t str, Range<usize>, &'t Spanned<DeValue<'t>>)>,
}

impl<'t> Entries<'t> {
    pub(super) fn of(source: &'t Source, table: &'t DeTable<'t>) -> Self {
        let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.as_ref().as_ref(), key.span(), value)).collect();
        entries.sort_by_key(|(_, place, _)| place.start);
        Self { source, entries }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'t str, Range<usize>, &'t Spanned<DeValue<'t>>)> {
        self.entries.iter().cloned()
    }

    /// The tables of an array of tables, `[[name]]`, each with the place of its head.
    ///
    /// # Errors
    /// Where something else is under that name.
    pub(crate) fn tables(&self, name: &str) -> Result<Vec<(Range<usize>, Self)>, Failure> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let wrong =
            |span: Range<usize>| self.fail(span, &format!("{name} is written as tables, each under a line [[{name}]]"));
        let DeValue::Array(values) = value.get_ref() else { return Err(wrong(value.span())) };
        let table = |value: &'t Spanned<DeValue<'t>>| match value.get_ref() {
            DeValue::Table(table) => Ok((value.span(), Self::of(self.source, table))),
            _ => Err(wrong(value.span())),
        };
        values.iter().map(table).collect()
    }

    /// Refuses a key that is none of these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        for (key, place, _) in &self.entries {
            if !known.contains(key) {
                let failure = self.fail(place.clone(), &format!("there is no key {key} here"));
                return Err(match nearest(known.iter().copied(), key) {
                    Some(near) => failure.hint(format!("did you mean {near}?")),
                    None => failure.hint(format!("the keys are {}", known.join(", "))),
                });
            }
        }
        Ok(())
    }

    /// Whether something is under this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A text under this key, as `read` takes it.
    pub(crate) fn text<T>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => {
                read(text).map(Some).map_err(|why| self.fail(value.span(), &format!("{key}: {why}")))
            }
            other => Err(self.wrong(key, Kind::Text, value, other)),
        }
    }

    /// The texts under this key, each as `read` takes it.
    pub(crate) fn texts<T>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Failure> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let DeValue::Array(values) = value.get_ref() else {
            return Err(self.wrong(key, Kind::List, value, value.get_ref()));
        };
        let one = |value: &'t Spanned<DeValue<'t>>| match value.get_ref() {
            DeValue::String(text) => read(text).map_err(|why| self.fail(value.span(), &format!("{key}: {why}"))),
            other => Err(self.wrong(key, Kind::List, value, other)),
        };
        values.iter().map(one).collect::<Result<_, _>>().map(Some)
    }

    /// Whether this key says `true`.
    pub(crate) fn switch(&self, key: &str) -> Result<bool, Failure> {
        match self.get(key).map(|value| (value, value.get_ref())) {
            None => Ok(false),
            Some((_, DeValue::Boolean(on))) => Ok(*on),
            Some((value, other)) => Err(self.wrong(key, Kind::Switch, value, other)),
        }
    }

    /// A mistake at this place.
    pub(crate) fn fail(&self, place: Range<usize>, message: &str) -> Failure {
        Failure::at(error::Kind::Input, self.source, spanned(&place), message)
    }

    /// A mistake in what this key says.
    pub(crate) fn fail_at(&self, key: &str, message: &str) -> Failure {
        self.fail(self.get(key).map(Spanned::span).unwrap_or_default(), message)
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries.iter().find(|(known, _, _)| *known == key).map(|(_, _, value)| *value)
    }

    fn wrong(&self, key: &str, kind: Kind, value: &Spanned<DeValue<'_>>, is: &DeValue<'_>) -> Failure {
        self.fail(value.span(), &format!("{key} takes {}, not {}", kind.wanted(), called(is)))
    }
}

/// Reads the tables of a settings file with `read`.
///
/// # Errors
/// Those of `read`, and where it is not TOML.
pub(crate) fn tables<T>(source: &Source, read: impl FnOnce(&Entries<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
    let document = DeTable::parse(&source.text).map_err(|error| {
        Failure::at(error::Kind::Input, source, spanned(&error.span().unwrap_or_default()), error.message())
    })?;
    read(&Entries::of(source, document.get_ref()))
}
