//! The settings in force, as a settings file.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::{Given, Kind, declared};
use crate::error::{self, Failure};

/// The widest line of a comment.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Settings of `tolstoy serve`. Each is also a flag of the same name, and an environment variable: --stall-timeout 30s,
# TOLSTOY_STALL_TIMEOUT=30s. A flag beats the environment, which beats this file.
";

/// A settings file that says what these matches say, with the meaning, the default and the origin of each value.
///
/// # Errors
/// Where a value is no text, and so cannot be in the file.
pub(crate) fn document(matches: &ArgMatches, given: &Given) -> Result<String, Failure> {
    let mut text = HEAD.to_owned();
    for arg in declared() {
        let key = arg.get_long().unwrap_or_default();
        let kind = Kind::of(&arg);
        text.push('\n');
        let meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
        comment(&mut text, &meaning);
        let default = arg.get_default_values().first().and_then(|default| default.to_str());
        let source = origin(&arg, matches, given);
        let stands = match (default, &source) {
            (Some(default), None) => format!("default: {}", written(kind, default)),
            (Some(default), Some(source)) => format!("default: {}; this is from {source}", written(kind, default)),
            (None, None) => "this is the default".to_owned(),
            (None, Some(source)) => format!("this is from {source}"),
        };
        let value = matches.get_raw(arg.get_id().as_str()).and_then(Iterator::last);
        match value.map(|value| value.to_str().ok_or(value)) {
            Some(Ok(value)) => {
                comment(&mut text, &stands);
                let _ = writeln!(text, "{key} = {}", written(kind, value));
            }
            Some(Err(value)) => {
                let message = format!("{key}: {} is not UTF-8 text", value.display());
                return Err(
                    Failure::new(error::Kind::Usage, message).hint("a settings file is UTF-8: choose another name")
                );
            }
            None => comment(&mut text, &format!("{key} is not set")),
        }
    }
    Ok(text)
}

/// Where the value is from; none where it is the default.
fn origin(arg: &Arg, matches: &ArgMatches, given: &Given) -> Option<String> {
    match matches.value_source(arg.get_id().as_str())? {
        ValueSource::CommandLine => Some(format!("--{}", arg.get_long()?)),
        ValueSource::EnvVariable => Some(format!("${}", arg.get_env()?.to_str()?)),
        _ => given.place(arg),
    }
}

/// A value as TOML writes it.
pub(super) fn written(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Switch => text.to_owned(),
        // A flag may be given +7, which is no number in TOML's eyes before 7 is.
        Kind::Number => text.parse::<u64>().map_or_else(|_| text.to_owned(), |number| number.to_string()),
        Kind::Text => toml::Value::String(text.to_owned()).to_string(),
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
