//! The settings in force, as a settings file.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::{Given, Kind, Surface};
use crate::error::{self, Failure};

/// The widest line of a comment.
const WIDTH: usize = 100;

fn head(surface: &Surface) -> String {
    let (command, (name, value)) = (surface.command, surface.example);
    let declared = surface.declared();
    let arg = declared.iter().find(|arg| arg.get_long() == Some(name));
    let variable = arg.and_then(Arg::get_env).and_then(|name| name.to_str()).unwrap_or_default();
    format!(
        "\
# Settings of `tolstoy {command}`. Each is also a flag of the same name, and an environment variable: --{name} {value},
# {variable}={value}. A flag beats the environment, which beats this file.
"
    )
}

/// A settings file that says what these matches say, with the meaning, the default and the origin of each value.
///
/// # Errors
/// Where a value is no text, and so cannot be in the file.
pub(crate) fn document(surface: &Surface, matches: &ArgMatches, given: &Given) -> Result<String, Failure> {
    let mut text = head(surface);
    for arg in surface.declared() {
        let key = arg.get_long().unwrap_or_default();
        let kind = Kind::of(&arg);
        text.push('\n');
        let meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
        comment(&mut text, &meaning);
        let defaults: Vec<&str> = arg.get_default_values().iter().filter_map(|default| default.to_str()).collect();
        let default = (kind == Kind::List || !defaults.is_empty()).then(|| written(kind, &defaults));
        let source = origin(&arg, matches, given);
        let stands = match (default, &source) {
            (Some(default), None) => format!("default: {default}"),
            (Some(default), Some(source)) => format!("default: {default}; this is from {source}"),
            (None, None) => "this is the default".to_owned(),
            (None, Some(source)) => format!("this is from {source}"),
        };
        let mut values = Vec::new();
        for value in matches.get_raw(arg.get_id().as_str()).into_iter().flatten() {
            values.push(value.to_str().ok_or_else(|| {
                let message = format!("{key}: {} is not UTF-8 text", value.display());
                Failure::new(error::Kind::Usage, message).hint("a settings file is UTF-8: choose another name")
            })?);
        }
        if values.is_empty() && kind != Kind::List {
            comment(&mut text, &format!("{key} is not set"));
        } else {
            comment(&mut text, &stands);
            let _ = writeln!(text, "{key} = {}", written(kind, &values));
        }
    }
    Ok(text)
}

/// Where the value is from; none where it is the default.
fn origin(arg: &Arg, matches: &ArgMatches, given: &Given) -> Option<String> {
    match matches.value_source(arg.get_id().as_str()) {
        Some(ValueSource::CommandLine) => Some(format!("--{}", arg.get_long()?)),
        Some(ValueSource::EnvVariable) => Some(format!("${}", arg.get_env()?.to_str()?)),
        _ => given.place(arg),
    }
}

/// A value as TOML writes it; of several the last, but for lists.
pub(super) fn written(kind: Kind, texts: &[&str]) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = texts.last().copied().unwrap_or_default();
    match kind {
        Kind::Switch => text.to_owned(),
        // A flag may be given +7, which TOML would write 7.
        Kind::Number => text.parse::<u64>().map_or_else(|_| text.to_owned(), |number| number.to_string()),
        Kind::Text => quoted(text),
        Kind::List => format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
    }
}

/// Adds the text as a comment, over as many lines as it needs.
fn comment(to: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
            to.push_str(&line);
            to.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    to.push_str(&line);
    to.push('\n');
}
