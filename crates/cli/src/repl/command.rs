//! What can be typed: commands that begin with a dot, queries, and transactions.

use std::path::PathBuf;

use tolstoy_edn::{Form, Limits, read_all};

use crate::args;
use crate::error::{Failure, Kind};
use crate::text::Source;

/// A command's names, the long one first, its arguments, and what it does.
pub(super) struct Entry {
    pub(super) names: &'static [&'static str],
    pub(super) arguments: &'static str,
    pub(super) about: &'static str,
}

const fn entry(names: &'static [&'static str], arguments: &'static str, about: &'static str) -> Entry {
    Entry { names, arguments, about }
}

/// All commands.
pub(super) const COMMANDS: [Entry; 14] = [
    entry(&["help", "h"], "[COMMAND]", "this list, or what one command does"),
    entry(&["exit", "e", "quit"], "", "leave; Ctrl-D does too"),
    entry(&["open"], "FILE", "work on the store in a file, made where it is missing"),
    entry(&["close"], "", "go on with a new store in memory"),
    entry(&["schema"], "", "list the attributes"),
    entry(&["log"], "[N]", "list the newest N transactions, 10 where N is not given"),
    entry(&["import", "i"], "FILE", "run the transactions of a file"),
    entry(&["transact", "t"], "EDN", "run a transaction; a bare vector of forms does too"),
    entry(&["query", "q"], "QUERY [INPUT...]", "answer a query; a bare vector that begins with :find does too"),
    entry(&["query_prepared"], "QUERY [INPUT...]", "the same as .query, which keeps what it prepared"),
    entry(&["explain_query", "eq"], "QUERY [INPUT...]", "show the SQL of a query, and how SQLite goes about it"),
    entry(&["timer"], "on|off", "say how long each entry takes"),
    entry(&["sync"], "[URL LOG-UUID|new]", "sync with a log on a hub; without arguments, with the last one"),
    entry(&["cache"], "", "there is nothing to fill: SQLite keeps what is read often in memory"),
];

/// An entry, understood.
#[derive(Debug)]
pub(super) enum Command {
    Help(Option<String>),
    Exit,
    Open(PathBuf),
    Close,
    Schema,
    Log(u32),
    Import(PathBuf),
    Transact(Form),
    Query { text: String, inputs: Vec<Form> },
    Explain { text: String, inputs: Vec<Form> },
    Timer(bool),
    Sync { url: Option<String>, log: Option<String> },
    Cache,
}

/// Whether an entry is whole, or goes on in the next line.
pub(super) fn is_whole(text: &str) -> bool {
    let edn = match split(text) {
        Some((name, rest)) => match find(name) {
            Some("transact" | "query" | "query_prepared" | "explain_query") => rest,
            _ => return true,
        },
        None => text,
    };
    !matches!(read_all(edn, &Limits::default()), Err(error) if error.is_incomplete())
}

/// Understands an entry: one command, or any number of forms.
pub(super) fn parse(source: &Source) -> Result<Vec<Command>, Failure> {
    match split(&source.text) {
        Some((name, rest)) => Ok(vec![dotted(source, name, rest)?]),
        None => forms(source, 0)?.into_iter().map(|form| bare(source, form)).collect(),
    }
}

/// The name after the dot, and the rest.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start().strip_prefix('.')?;
    Some(text.split_once(char::is_whitespace).unwrap_or((text, "")))
}

/// The long name of a command.
fn find(name: &str) -> Option<&'static str> {
    COMMANDS.iter().find(|c| c.names.contains(&name)).and_then(|c| c.names.first().copied())
}

/// The forms of an entry from a byte on, at the places that they have in the whole entry.
fn forms(source: &Source, from: usize) -> Result<Vec<Form>, Failure> {
    read_all(&padded(&source.text, from, source.text.len()), &Limits::default()).map_err(|e| Failure::read(source, &e))
}

/// A part of a text, with spaces before it so that the places in it are those of the whole.
fn padded(text: &str, from: usize, to: usize) -> String {
    let line_breaks_kept = text.bytes().take(from).map(|b| if b == b'\n' { '\n' } else { ' ' });
    line_breaks_kept.chain(text.get(from..to).unwrap_or_default().chars()).collect()
}

fn dotted(source: &Source, name: &str, rest: &str) -> Result<Command, Failure> {
    let Some(found) = find(name) else { return Err(unknown(name)) };
    let from = source.text.len() - rest.len();
    let words: Vec<&str> = rest.split_whitespace().collect();
    let command = match (found, words.as_slice()) {
        ("help", []) => Command::Help(None),
        ("help", [name]) => Command::Help(Some(name.trim_start_matches('.').to_owned())),
        ("exit", []) => Command::Exit,
        ("open", [_, ..]) => Command::Open(path(rest)),
        ("close", []) => Command::Close,
        ("schema", []) => Command::Schema,
        ("log", []) => Command::Log(10),
        ("log", [n]) => Command::Log(args::transactions(n).map_err(|_| usage(found))?),
        ("import", [_, ..]) => Command::Import(path(rest)),
        ("transact", [_, ..]) => match <[Form; 1]>::try_from(forms(source, from)?) {
            Ok([form]) => Command::Transact(form),
            Err(_) => return Err(usage(found)),
        },
        ("query" | "query_prepared", [_, ..]) => {
            let (text, inputs) = query(source, from, found)?;
            Command::Query { text, inputs }
        }
        ("explain_query", [_, ..]) => {
            let (text, inputs) = query(source, from, found)?;
            Command::Explain { text, inputs }
        }
        ("timer", ["on"]) => Command::Timer(true),
        ("timer", ["off"]) => Command::Timer(false),
        ("sync", []) => Command::Sync { url: None, log: None },
        ("sync", [url]) => Command::Sync { url: Some((*url).to_owned()), log: None },
        ("sync", [url, log]) => Command::Sync { url: Some((*url).to_owned()), log: Some((*log).to_owned()) },
        ("cache", _) => Command::Cache,
        _ => return Err(usage(found)),
    };
    Ok(command)
}

fn query(source: &Source, from: usize, name: &str) -> Result<(String, Vec<Form>), Failure> {
    let mut forms = forms(source, from)?.into_iter();
    let query = forms.next().ok_or_else(|| usage(name))?;
    Ok((text_of(source, &query), forms.collect()))
}

fn text_of(source: &Source, form: &Form) -> String {
    padded(&source.text, form.span.start as usize, form.span.end as usize)
}

fn bare(source: &Source, form: Form) -> Result<Command, Failure> {
    let is_find = |form: &Form| form.as_keyword().is_some_and(|k| k.as_str() == "find");
    let asks = form.as_vector().and_then(<[Form]>::first).is_some_and(is_find)
        || form.as_map().is_some_and(|pairs| pairs.iter().any(|(key, _)| is_find(key)));
    if asks {
        return Ok(Command::Query { text: text_of(source, &form), inputs: Vec::new() });
    }
    if form.as_vector().is_some() {
        return Ok(Command::Transact(form));
    }
    let what = form.kind.describe();
    let failure = Failure::at(Kind::Input, source, form.span, &format!("{what} is neither a query nor a transaction"));
    let word = source.text.trim().trim_start_matches([':', '\\', '/']);
    Err(match nearest(word) {
        Some(name) => failure.hint(format!("commands begin with a dot: .{name}")),
        None if form.as_map().is_some() => failure.hint("a transaction is a vector of forms: [{...}]"),
        None => failure.hint("`.help` lists what can be typed"),
    })
}

/// A path as typed: it may have spaces, and quotes around it.
fn path(rest: &str) -> PathBuf {
    let rest = rest.trim();
    PathBuf::from(rest.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(rest))
}

/// How a command is used.
pub(super) fn usage_of(entry: &Entry) -> String {
    let names: Vec<_> = entry.names.iter().map(|name| format!(".{name}")).collect();
    format!("{} {}", names.join(", "), entry.arguments).trim_end().to_owned()
}

fn usage(name: &str) -> Failure {
    let usage = COMMANDS.iter().find(|c| c.names.first() == Some(&name)).map(usage_of).unwrap_or_default();
    Failure::new(Kind::Usage, format!(".{name} is used so: {usage}"))
}

pub(super) fn unknown(name: &str) -> Failure {
    let failure = Failure::new(Kind::Usage, format!("there is no command .{name}"));
    match nearest(name) {
        Some(near) => failure.hint(format!("did you mean .{near}? `.help` lists all commands")),
        None => failure.hint("`.help` lists all commands"),
    }
}

/// The command whose name is most like this one, if one is.
fn nearest(name: &str) -> Option<&'static str> {
    let names = COMMANDS.iter().flat_map(|c| c.names);
    names
        .map(|known| (strsim::jaro_winkler(known, name), *known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|x, y| x.0.total_cmp(&y.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse_one(text: &str) -> Result<Command, Failure> {
        parse(&Source::new("<input>", text)).map(|mut commands| commands.pop().unwrap())
    }

    #[test]
    fn entries_go_on_until_their_brackets_close() {
        for (text, whole) in [
            ("", true),
            ("[:find ?x", false),
            ("[:find ?x\n :where [?x :a \"]\"]]", true),
            (".t [", false),
            (".t [\n]", true),
            (".open [", true),
            ("\"abc", false),
            ("[}", true),
            ("; only a comment", true),
        ] {
            assert_eq!(is_whole(text), whole, "{text:?}");
        }
    }

    #[test]
    fn short_names_and_bare_forms_are_understood() {
        assert!(matches!(parse_one(".t []"), Ok(Command::Transact(_))));
        assert!(matches!(parse_one("[]"), Ok(Command::Transact(_))));
        assert!(matches!(parse_one("{:find [?x] :where [[?x :a]]}"), Ok(Command::Query { .. })));
        assert!(matches!(parse_one(".eq [:find ?x]"), Ok(Command::Explain { .. })));
        assert!(matches!(parse_one("  .e "), Ok(Command::Exit)));
        assert!(matches!(parse_one(".open my file.db"), Ok(Command::Open(p)) if p.as_os_str() == "my file.db"));
        match parse_one(".q [:find ?x :in ?y] \"so\" 1") {
            Ok(Command::Query { text, inputs }) => {
                assert_eq!(text, "   [:find ?x :in ?y]");
                assert_eq!(inputs.len(), 2);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_understood_is_answered_with_what_may_be_meant() {
        let hint = |text| parse_one(text).unwrap_err().hint.unwrap_or_default();
        assert_eq!(hint(".transac []"), "did you mean .transact? `.help` lists all commands");
        assert_eq!(hint(":help"), "commands begin with a dot: .help");
        assert_eq!(hint("quit"), "commands begin with a dot: .quit");
        assert_eq!(hint("{:a 1}"), "a transaction is a vector of forms: [{...}]");
        assert_eq!(parse_one(".timer").unwrap_err().message, ".timer is used so: .timer on|off");
    }
}
