//! The settings file of a daemon: its pairs. What stands above them is the business of [`crate::settings`].

use std::path::{Path, PathBuf};

use crate::args::Access;
use crate::commands::sync::Target;
use crate::commands::task::usual_place;
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::settings::{DAEMON, Entries, Given, tables};
use crate::text::Source;

use super::pair::{Pair, StorePair};
use super::place::{Base, Place};

/// A settings file that was read.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says above its pairs.
    pub(crate) given: Given,
    pub(crate) pairs: Vec<Pair>,
    /// The part of its text that says which pairs there are.
    pub(crate) text: String,
}

/// The file that is meant where none is said.
///
/// # Errors
/// Where there is no home directory.
pub(crate) fn default_path() -> Result<PathBuf, Failure> {
    dirs::config().map(|dir| dir.join("daemon.toml")).ok_or_else(|| {
        Failure::new(Kind::Usage, "there is no home directory to find settings in")
            .hint("name the file: `tolstoy daemon --config FILE`")
    })
}

impl Config {
    /// Reads a settings file.
    ///
    /// # Errors
    /// Where it cannot be read, or says something wrongly: with line, column and reason.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let source = Source::of_file(path)
            .map_err(|failure| failure.hint("`tolstoy daemon --print-config` prints a settings file to begin with"))?;
        let given = Given::parse(&source, &DAEMON)?;
        let directory = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
        let base = Base { directory: directory.unwrap_or_default(), home: dirs::home() };
        let pairs = tables(&source, |entries| pairs(entries, &base))?;
        if pairs.is_empty() {
            let name = path.display();
            return Err(Failure::new(Kind::Input, format!("{name}: it names no pair to keep in step")).hint(HOW));
        }
        let text = source.text.find("[[").and_then(|at| source.text.get(at..)).unwrap_or_default().to_owned();
        Ok(Self { path: path.to_owned(), given, pairs, text })
    }
}

const HOW: &str = "a pair is [[tasks]] with a line such as with = [\"~/Sync/tasks/\"], or [[store]] with path = \"people.db\"; \
                   docs/daemon.md has it all";

fn pairs(entries: &Entries<'_>, base: &Base) -> Result<Vec<Pair>, Failure> {
    let mut pairs: Vec<Pair> = Vec::new();
    for (head, table) in entries.tables("tasks")? {
        for pair in tasks(&table, head.clone(), base)? {
            add(&mut pairs, pair, &table, head.clone())?;
        }
    }
    for (head, table) in entries.tables("store")? {
        let pair = store(&table, head.clone(), base)?;
        add(&mut pairs, pair, &table, head)?;
    }
    Ok(pairs)
}

/// Adds a pair, whose sides no other pair has.
fn add(pairs: &mut Vec<Pair>, pair: Pair, table: &Entries<'_>, head: std::ops::Range<usize>) -> Result<(), Failure> {
    let is_same = |other: &Pair| match (other, &pair) {
        (Pair::Store(one), Pair::Store(other)) => one.path == other.path,
        _ => {
            let ([a, b], [c, d]) = (other.sides(), pair.sides());
            (a == c && b == d) || (a == d && b == c)
        }
    };
    if pairs.iter().any(is_same) {
        let [here, there] = pair.sides();
        return Err(table.fail(head, &format!("{here} with {there} is a pair already")));
    }
    pairs.push(pair);
    Ok(())
}

fn tasks(table: &Entries<'_>, head: std::ops::Range<usize>, base: &Base) -> Result<Vec<Pair>, Failure> {
    let access = access(table, base)?;
    table.only(&["place", "with", "commit", "token-file", "trust", "ca", "token-in-clear"])?;
    let place = |text: &str| Place::parse(text, base, &access);
    // An address may hold a password by mistake.
    let here = match table.text("place", place).map_err(unseen)? {
        Some(place) if !place.is_local() => {
            return Err(
                table.fail_at("place", "place: this is the side on this machine; what is elsewhere stands in `with`")
            );
        }
        Some(place) => place,
        None => {
            let here = place(&usual_place()?.to_string_lossy()).map_err(|why| table.fail(head.clone(), &why))?;
            if !here.is_local() {
                let message = "place: `tolstoy task` keeps the tasks on a hub: name a place on this machine";
                return Err(table.fail(head, message));
            }
            here
        }
    };
    let with = table.texts("with", place).map_err(unseen)?.unwrap_or_default();
    if with.is_empty() {
        return Err(table.fail(head, "with: an array of the places to keep it in step with is needed"));
    }
    if with.iter().any(|there| there.key().is_some() && there.key() == here.key()) {
        return Err(table.fail_at("with", "with: a place is in step with itself already"));
    }
    let mut hubs: Vec<&str> = with.iter().filter_map(Place::hub).collect();
    hubs.dedup();
    if access != Access::default() && hubs.len() != 1 {
        let message =
            "a token and a certificate are for one hub, which `with` names: each hub has a [[tasks]] of its own";
        return Err(table.fail_at("with", message));
    }
    let commit = table.switch("commit")?;
    Ok(with.into_iter().map(|there| Pair::Tasks { here: here.clone(), there, commit }).collect())
}

/// What it takes to speak to a closed hub.
fn access(table: &Entries<'_>, base: &Base) -> Result<Access, Failure> {
    if table.has("token") {
        let message = "token: a secret is not written here: token-file names the file that holds it";
        return Err(unseen(table.fail_at("token", message)));
    }
    let file = |key| table.text(key, |text| base.path(text));
    let access = Access {
        token_file: file("token-file")?,
        trust: table.text("trust", |text| text.parse().map_err(|e: tolstoy_proto::BadFingerprint| e.to_string()))?,
        ca: file("ca")?,
        token_in_clear: table.switch("token-in-clear")?,
    };
    if access.trust.is_some() && access.ca.is_some() {
        return Err(table.fail_at("ca", "ca and trust are two ways to know the hub: one is enough"));
    }
    Ok(access)
}

fn store(table: &Entries<'_>, head: std::ops::Range<usize>, base: &Base) -> Result<Pair, Failure> {
    let access = access(table, base)?;
    if table.has("key") {
        let message = "key: a secret is not written here: key-file names the file that holds it";
        return Err(unseen(table.fail_at("key", message)));
    }
    table.only(&["path", "url", "log", "token-file", "trust", "ca", "token-in-clear", "key-file"])?;
    let file = |key| table.text(key, |text| base.path(text));
    let Some(path) = file("path")? else { return Err(table.fail(head, "path: the file of the store is needed")) };
    let read = |url: Option<&str>, log: Option<&str>| Target::parse(url, log).map_err(|failure| failure.message);
    // An address may hold a password by mistake.
    let url = table.text("url", |text| read(Some(text), None).map(|_| text.to_owned())).map_err(unseen)?;
    let log = table.text("log", |text| match read(None, Some(text))? {
        target if target.is_new() => {
            Err("a log is begun with `tolstoy sync DB URL new`, which prints its UUID".to_owned())
        }
        _ => Ok(text.to_owned()),
    })?;
    let target = Target::parse(url.as_deref(), log.as_deref())?;
    Ok(Pair::Store(StorePair { path, target, access, key_file: file("key-file")? }))
}

/// A mistake in a line that is not to be shown.
fn unseen(failure: Failure) -> Failure {
    Failure { picture: None, ..failure }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn told(text: &str) -> String {
        let base = Base { directory: "/etc/tolstoy".into(), home: Some("/home/ann".into()) };
        let source = Source::new("daemon.toml", text);
        let read = Given::parse(&source, &DAEMON).and_then(|_| tables(&source, |entries| pairs(entries, &base)));
        match read {
            Ok(pairs) => pairs
                .iter()
                .map(|pair| {
                    let [here, there] = pair.sides();
                    format!("{}: {here} with {there}\n", pair.kind())
                })
                .collect(),
            Err(failure) => [Some(failure.message), failure.picture, failure.hint.map(|hint| format!("  {hint}"))]
                .into_iter()
                .flatten()
                .map(|text| format!("{text}\n"))
                .collect(),
        }
    }

    #[test]
    fn it_says_what_is_kept_in_step_with_what() {
        let log = "c707b728-8be4-452c-a3bd-d3adde5df51c";
        let hub = format!("[[tasks]]\nplace = \"t/\"\nwith = [\"https://hub/1/logs/{log}\"]\ntoken-file = \"t\"\n");
        let text = "retry = \"5m\"\n[[tasks]]\nplace = \"~/tasks.db\"\nwith = [\"~/Sync/tasks/\", \"../shared\"]\n\n\
                    [[store]]\npath = '~/people.db'\n\n[[store]]\npath = \"/srv/x.db\"\nurl = \"http://127.0.0.1:7410/\"\n\
                    log = \"c707b728-8be4-452c-a3bd-d3adde5df51c\"\ntoken-file = \"~/t\"\n";
        insta::assert_snapshot!(told(&format!("{text}{hub}")), @r"
        tasks: /home/ann/tasks.db with /home/ann/Sync/tasks
        tasks: /home/ann/tasks.db with /etc/tolstoy/../shared
        tasks: /etc/tolstoy/t with https://hub/1/logs/c707b728-8be4-452c-a3bd-d3adde5df51c
        store: /home/ann/people.db with its log
        store: /srv/x.db with the log c707b728-8be4-452c-a3bd-d3adde5df51c at http://127.0.0.1:7410
        ");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let texts = [
            "rerty = \"5m\"",
            "task = 1",
            "[tasks]\nwith = [\"a\"]",
            "tasks = 7",
            "[[tasks]]\nplace = \"a\"",
            "[[tasks]]\nplace = \"a\"\nwith = \"b\"",
            "[[tasks]]\nplace = \"a\"\nwith = [\"b\", 7]",
            "[[tasks]]\nplace = \"a\"\nwith = [\"b\", \"a/\"]",
            "[[tasks]]\nplace = \"a\"\nwith = [\"b\"]\n[[tasks]]\nplace = \"b\"\nwith = [\"a\"]",
            "[[tasks]]\nplace = \"a\"\nwiht = [\"b\"]",
            "[[tasks]]\nplace = \"\"\nwith = [\"b\"]",
            "[[tasks]]\nplace = \"a\"\nwith = [\"b\"]\ncommit = \"yes\"",
            "[[store]]\nurl = \"http://127.0.0.1:7410\"",
            "[[store]]\npath = \"a\"\nurl = \"127.0.0.1\"",
            "[[store]]\npath = \"a\"\nurl = \"https://me:swordfish@hub\"",
            "[[store]]\npath = \"a\"\nlog = \"mine\"",
            "[[store]]\npath = \"a\"\nlog = \"new\"",
            "[[store]]\npath = \"a\"\ntrust = \"AB\"",
            "[[store]]\npath = \"a\"\ntoken = \"tol_swordfish\"",
            "[[store]]\npath = \"a\"\n[[store]]\npath = \"a\"",
            "[[tasks]]\nwith = [\"https://hub\"]",
            "[[tasks]]\nwith = [\"https://me:swordfish@hub/1/logs/c707b728-8be4-452c-a3bd-d3adde5df51c\"]",
            "[[tasks]]\nwith = [\"https://me:swordfish@hub\"]",
            "[[tasks]]\nplace = \"https://hub/1/logs/c707b728-8be4-452c-a3bd-d3adde5df51c\"\nwith = [\"a\"]",
            "[[tasks]]\nplace = \"a\"\nwith = [\"b\"]\ntoken-file = \"t\"",
            "[[tasks]]\nplace = \"a\"\nwith = [\"b\"]\ntoken = \"tol_swordfish\"",
        ];
        let told: Vec<String> = texts.iter().map(|text| told(text)).collect();
        assert!(!told.concat().contains("swordfish"));
        insta::assert_snapshot!(told.concat(), @r#"
        daemon.toml:1:1: there is no setting rerty
          rerty = "5m"
          ^^^^^
          did you mean retry? `tolstoy daemon --print-config` lists all
        daemon.toml:1:1: there is no setting task
          task = 1
          ^^^^
          did you mean tasks? `tolstoy daemon --print-config` lists all
        daemon.toml:1:1: tasks is written as tables, each under a line [[tasks]]
          [tasks]
          ^^^^^^^
        daemon.toml:1:9: tasks is written as tables, each under a line [[tasks]]
          tasks = 7
                  ^
        daemon.toml:1:1: with: an array of the places to keep it in step with is needed
          [[tasks]]
          ^^^^^^^^^
        daemon.toml:3:8: with takes an array of texts, not a text
        daemon.toml:3:14: with takes an array of texts, not a number
        daemon.toml:3:8: with: a place is in step with itself already
          with = ["b", "a/"]
                 ^^^^^^^^^^^
        daemon.toml:4:1: /etc/tolstoy/b with /etc/tolstoy/a is a pair already
          [[tasks]]
          ^^^^^^^^^
        daemon.toml:3:1: there is no key wiht here
          wiht = ["b"]
          ^^^^
          did you mean with?
        daemon.toml:2:9: place: a path is needed
        daemon.toml:4:10: commit takes true or false, not a text
          commit = "yes"
                   ^^^^^
        daemon.toml:1:1: path: the file of the store is needed
          [[store]]
          ^^^^^^^^^
        daemon.toml:3:7: url: "127.0.0.1" is not the address of a hub: it begins with http:// or https:// and a host, such as http://127.0.0.1:7410
        daemon.toml:3:7: url: the address of a hub holds no name and no password
        daemon.toml:3:7: log: "mine" is no UUID, and logs are named by UUIDs
          log = "mine"
                ^^^^^^
        daemon.toml:3:7: log: a log is begun with `tolstoy sync DB URL new`, which prints its UUID
          log = "new"
                ^^^^^
        daemon.toml:3:9: trust: a fingerprint is the 64 hex digits of a certificate's SHA-256, with or without colons, as the hub prints it
          trust = "AB"
                  ^^^^
        daemon.toml:3:9: token: a secret is not written here: token-file names the file that holds it
        daemon.toml:3:1: /etc/tolstoy/a with its log is a pair already
          [[store]]
          ^^^^^^^^^
        daemon.toml:2:9: with: "https://hub" names no log on that hub
        daemon.toml:2:9: with: the address of a hub holds no name and no password
        daemon.toml:2:9: with: the address of a hub holds no name and no password
        daemon.toml:2:9: place: this is the side on this machine; what is elsewhere stands in `with`
          place = "https://hub/1/logs/c707b728-8be4-452c-a...
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        daemon.toml:3:8: a token and a certificate are for one hub, which `with` names: each hub has a [[tasks]] of its own
          with = ["b"]
                 ^^^^^
        daemon.toml:4:9: token: a secret is not written here: token-file names the file that holds it
        "#);
    }
}
