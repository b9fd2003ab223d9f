//! The settings file: TOML, a key for each setting.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use tolstoy_edn::Span;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::tables::Entries;
use super::{Kind, Surface};
use crate::error::{self, Failure};
use crate::text::Source;

/// What a settings file says, checked.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The file's name.
    name: String,
    values: Vec<Value>,
}

/// A setting's value as the flag would be given it.
#[derive(Debug)]
struct Value {
    key: String,
    /// One; as many as there are for a list.
    texts: Vec<String>,
    line: u32,
}

impl Given {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it cannot be read, is not TOML, or says what no setting takes.
    pub(crate) fn read(path: &Path, surface: &Surface) -> Result<Self, Failure> {
        let source = Source::of_file(path).map_err(|failure| {
            let command = surface.command;
            failure.hint(format!("`tolstoy {command} --print-config` prints a settings file to begin with"))
        })?;
        Self::parse(&source, surface)
    }

    /// Reads a settings file's text.
    ///
    /// # Errors
    /// Where it is not TOML, or says what no setting takes. What its tables say is not looked at.
    pub(crate) fn parse(source: &Source, surface: &Surface) -> Result<Self, Failure> {
        let (name, value) = surface.example;
        let document = DeTable::parse(&source.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            Failure::at(error::Kind::Input, source, spanned(&span), error.message())
                .hint(format!("settings are lines of TOML such as `{name} = \"{value}\"`"))
        })?;
        let entries = Entries::of(source, document.get_ref());
        let mut values = Vec::new();
        for (key, place, value) in entries.iter() {
            if !surface.tables.contains(&key) {
                values.push(check(source, surface, key, place, value)?);
            }
        }
        Ok(Self { name: source.name.clone(), values })
    }

    /// The command with these values where its defaults were.
    pub(crate) fn stand_in(&self, command: Command) -> Command {
        self.values.iter().fold(command, |command, value| {
            let texts = value.texts.clone();
            command.mut_arg(value.key.replace('-', "_"), |arg| arg.default_values(texts))
        })
    }

    /// Where the file says something about this setting: its name and the line.
    pub(super) fn place(&self, arg: &Arg) -> Option<String> {
        let value = self.values.iter().find(|value| Some(value.key.as_str()) == arg.get_long())?;
        Some(format!("{}:{}", self.name, value.line))
    }
}

/// One entry of the file.
fn check(
    source: &Source,
    surface: &Surface,
    key: &str,
    place: Range<usize>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Value, Failure> {
    let at = |span: &Range<usize>, message: &str| Failure::at(error::Kind::Input, source, spanned(span), message);
    let settings = surface.declared();
    let Some(arg) = settings.iter().find(|arg| arg.get_long() == Some(key)) else {
        let failure = at(&place, &format!("there is no setting {key}"));
        let known = settings.iter().filter_map(Arg::get_long).chain(surface.tables.iter().copied());
        let command = surface.command;
        return Err(match nearest(known, key) {
            Some(near) => failure.hint(format!("did you mean {near}? `tolstoy {command} --print-config` lists all")),
            None => failure.hint(format!("`tolstoy {command} --print-config` lists all settings")),
        });
    };
    let kind = Kind::of(arg);
    let wrong = |place: &Range<usize>, other: &DeValue<'_>| {
        let failure = at(place, &format!("{key} takes {}, not {}", kind.wanted(), called(other)));
        match example(arg) {
            None if kind == Kind::List => failure.hint(format!("such as {key} = [\"one\", \"two\"]")),
            Some(example) => failure.hint(format!("such as {example}")),
            None => failure,
        }
    };
    let texts = match (kind, value.get_ref()) {
        (Kind::Switch, DeValue::Boolean(on)) => vec![on.to_string()],
        (Kind::List, DeValue::Array(values)) => values
            .iter()
            .map(|value| match value.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                other => Err(wrong(&value.span(), other)),
            })
            .collect::<Result<_, _>>()?,
        (Kind::Number, DeValue::Integer(number)) => vec![
            decimal(number)
                .ok_or_else(|| at(&value.span(), &format!("{key}: this number is larger than any that is taken")))?,
        ],
        (Kind::Text, DeValue::String(text)) => vec![text.to_string()],
        (_, other) => return Err(wrong(&value.span(), other)),
    };
    if let Some(reason) = texts.iter().find_map(|text| refusal(surface, key, text)) {
        return Err(at(&value.span(), &format!("{key}: {reason}")));
    }
    let before = source.text.get(..place.start).unwrap_or_default();
    let line = u32::try_from(before.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1);
    Ok(Value { key: key.to_owned(), texts, line })
}

/// Why the setting does not take this value, in the words that the flag would have.
fn refusal(surface: &Surface, key: &str, text: &str) -> Option<String> {
    let command = (surface.declare)(Command::new("settings"));
    let error = command.try_get_matches_from(["settings".to_owned(), format!("--{key}={text}")]).err()?;
    match error.kind() {
        ErrorKind::ValueValidation => Some(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
        ErrorKind::InvalidValue => match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(known)) if !known.is_empty() => {
                Some(format!("one of {} is needed", known.join(", ")))
            }
            _ => Some("a value is needed".to_owned()),
        },
        // What the environment says wrongly is told when it is its turn.
        _ => None,
    }
}

/// A default, as an example of what is taken.
fn example(arg: &Arg) -> Option<String> {
    let default = arg.get_default_values().first()?.to_str()?;
    Some(format!("{} = {}", arg.get_long()?, super::document::written(Kind::of(arg), &[default])))
}

pub(super) fn called(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The number in decimal digits; TOML knows other notations too.
fn decimal(number: &DeInteger<'_>) -> Option<String> {
    i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}

/// The name that is most like this one, if one is.
pub(super) fn nearest<'s>(known: impl Iterator<Item = &'s str>, key: &str) -> Option<&'s str> {
    let key = key.to_lowercase().replace('_', "-");
    known
        .map(|known| (strsim::jaro_winkler(known, &key), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|x, y| x.0.total_cmp(&y.0))
        .map(|(_, known)| known)
}

pub(super) fn spanned(range: &Range<usize>) -> Span {
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { start: at(range.start), end: at(range.end) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> String {
        match Given::parse(&Source::new("hub.toml", text), &crate::settings::HUB) {
            Ok(given) => {
                given.values.iter().map(|v| format!("{}: {}={}\n", v.line, v.key, v.texts.join(" "))).collect()
            }
            Err(failure) => format!("{}\n{}", failure.message, failure.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn what_it_says_is_what_the_flags_would_be_given() {
        let text = "# mine\nopen = true\n\nqueue = 1_000\nbatch = 0x10\ndrain = '1m'\nlog = \"\"\"\ninfo\"\"\"\n\
                    tls-name = ['a', \"b\"]\n";
        assert_eq!(told(text), "2: open=true\n4: queue=1000\n5: batch=16\n6: drain=1m\n7: log=info\n9: tls-name=a b\n");
        assert_eq!(told(""), "");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let told = [
            "listen = \"127.0.0.1:1\"\ndrian = \"1m\"\n",
            "stall_timeout = \"30s\"",
            "zzz = 1",
            "[limits]\nqueue = 1",
            "queue = \"many\"",
            "queue = 0",
            "queue = 170141183460469231731687303715884105728",
            "drain = 30",
            "drain = \"30\"",
            "body-memory = \"64MB\"",
            "open = \"yes\"",
            "listen = [\"a\", \"b\"]",
            "listen = \"here\"",
            "data = 1979-05-27",
            "tls-name = \"hub\"",
            "tls-name = [\"hub\", 7]",
            "queue = 1\nqueue = 2",
            "queue = \n",
            "que ue = 1",
        ]
        .map(told);
        insta::assert_snapshot!(told.join("\n"), @r#"
        hub.toml:2:1: there is no setting drian
        did you mean drain? `tolstoy serve --print-config` lists all
        hub.toml:1:1: there is no setting stall_timeout
        did you mean stall-timeout? `tolstoy serve --print-config` lists all
        hub.toml:1:1: there is no setting zzz
        `tolstoy serve --print-config` lists all settings
        hub.toml:1:2: there is no setting limits
        `tolstoy serve --print-config` lists all settings
        hub.toml:1:9: queue takes a number, not a text
        such as queue = 4096
        hub.toml:1:9: queue: a whole number from 1 on is needed

        hub.toml:1:9: queue: this number is larger than any that is taken

        hub.toml:1:9: drain takes a text in quotes, not a number
        such as drain = "10s"
        hub.toml:1:9: drain: a duration is a whole number and a unit, such as 90d, 12h, 5m, 30s or 250ms

        hub.toml:1:15: body-memory: a size is a whole number and a unit (B, KiB, MiB, GiB or TiB), such as 64MiB

        hub.toml:1:8: open takes true or false, not a text
        such as open = false
        hub.toml:1:10: listen takes a text in quotes, not an array
        such as listen = "127.0.0.1:7410"
        hub.toml:1:10: listen: an address and a port are needed, such as 127.0.0.1:7410

        hub.toml:1:8: data takes a text in quotes, not a date or time

        hub.toml:1:12: tls-name takes an array of texts, not a text
        such as tls-name = ["one", "two"]
        hub.toml:1:20: tls-name takes an array of texts, not a number
        such as tls-name = ["one", "two"]
        hub.toml:2:1: duplicate key
        settings are lines of TOML such as `stall-timeout = "30s"`
        hub.toml:1:9: string values must be quoted, expected literal string
        settings are lines of TOML such as `stall-timeout = "30s"`
        hub.toml:1:5: key with no value, expected `=`
        settings are lines of TOML such as `stall-timeout = "30s"`
        "#);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(.|\n|=|\"|\\[|[a-z]){0,60}") {
            told(&text);
        }
    }
}
