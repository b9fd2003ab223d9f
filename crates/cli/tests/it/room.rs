//! A directory of its own for a test, and the binary run in it.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A directory that disappears with the value. Commands run in it, and find no configuration elsewhere.
pub(crate) struct Room {
    directory: TempDir,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}exit {}", self.out, self.err, self.code)
    }
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// A room with a store of people: Ivan, who is 30, and Olga.
    pub(crate) fn with_people() -> Self {
        let room = Self::new();
        room.write("people.edn", PEOPLE);
        let ran = room.run(&["import", "people.db", "people.edn"]);
        assert_eq!((ran.code, ran.err.as_str()), (0, "created people.db\n"), "{ran}");
        room
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tolstoy"));
        command.args(args).current_dir(self.directory.path()).env_clear().env("HOME", self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command with this text on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must succeed, and gives its output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran}");
        ran.out
    }

    /// Runs a command that must succeed and print one JSON value on one line.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let out = self.ok(args);
        assert_eq!(out.matches('\n').count(), 1, "{out:?}");
        assert!(out.ends_with('\n'), "{out:?}");
        serde_json::from_str(&out).unwrap()
    }

    /// All that is in a store: its log and its facts.
    pub(crate) fn contents(&self, db: &str) -> (String, String) {
        let facts = self.ok(&["query", "--json", db, "[:find ?e ?a ?v ?tx :where [?e ?a ?v ?tx] :order ?e ?a ?tx]"]);
        (self.ok(&["log", "--json", db]), facts)
    }

    /// Starts a hub in this room.
    pub(crate) fn hub(&self) -> Hub {
        Hub::start(self, &["serve", "--listen", "127.0.0.1:0", "--data", "hub"])
    }

    /// The text with this room's path replaced.
    pub(crate) fn tidy(&self, text: &str) -> String {
        tidy(&text.replace(&self.directory.path().display().to_string(), "ROOM"))
    }
}

/// A store of people, as a file to import.
pub(crate) const PEOPLE: &str = r#"
[{:db/ident :person/name
  :db/valueType :db.type/string
  :db/cardinality :db.cardinality/one
  :db/unique :db.unique/identity
  :db/doc "what they are called"}
 {:db/ident :person/email
  :db/valueType :db.type/string
  :db/cardinality :db.cardinality/one
  :db/unique :db.unique/value}
 {:db/ident :person/age
  :db/valueType :db.type/long
  :db/cardinality :db.cardinality/one}
 {:db/ident :person/friend
  :db/valueType :db.type/ref
  :db/cardinality :db.cardinality/many}]
[{:db/id "ivan" :person/name "Ivan" :person/age 30 :person/email "ivan@example.org"}
 {:person/name "Olga" :person/friend "ivan"}]
"#;

/// A running hub; it is killed with the value.
pub(crate) struct Hub {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    pub(crate) url: String,
}

impl Hub {
    pub(crate) fn start(room: &Room, args: &[&str]) -> Self {
        let mut child = room.command(args).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ").unwrap_or_default().to_owned();
        if url.is_empty() {
            child.wait().unwrap();
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            panic!("the hub did not start: {line}{err}");
        }
        Self { child, out, url }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: "TERM", "INT".
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended: its exit code, and what else it printed on both outputs.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text with what differs from run to run replaced: UUIDs, instants, ports of this machine, sizes in bytes.
pub(crate) fn tidy(text: &str) -> String {
    let text = words(text, |c| c.is_ascii_hexdigit() || c == '-', |w| uuid(w).then(|| "UUID".to_owned()));
    let text =
        words(&text, |c| c.is_ascii_alphanumeric() || "-:.".contains(c), |w| instant(w).then(|| "INSTANT".to_owned()));
    let text = ports(&text);
    let mut out = Vec::new();
    for line in text.split('\n') {
        let words: Vec<&str> = line.split(' ').collect();
        let replaced = words.iter().enumerate().map(|(i, word)| {
            let is_size = words.get(i + 1) == Some(&"bytes") && word.parse::<u64>().is_ok();
            if is_size { "N" } else { word }
        });
        out.push(replaced.collect::<Vec<_>>().join(" "));
    }
    out.join("\n")
}

/// Replaces the ports that the system chose.
fn ports(text: &str) -> String {
    let mut pieces = text.split("127.0.0.1:");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let (port, rest) = piece.split_at(digits);
        let chosen = port.parse::<u16>().is_ok_and(|port| port >= 10000);
        out.push_str(&format!("127.0.0.1:{}{rest}", if chosen { "PORT" } else { port }));
    }
    out
}

/// Replaces words, which are as long as all their characters are of one kind.
fn words(text: &str, of: impl Fn(char) -> bool, replace: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if of(c) {
            word.push(c);
            continue;
        }
        out.push_str(&replace(&word).unwrap_or_else(|| word.clone()));
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn uuid(word: &str) -> bool {
    word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

fn instant(word: &str) -> bool {
    word.len() >= 20 && word.ends_with('Z') && word.get(10..11) == Some("T") && word.starts_with("20")
}

/// Whether files can be written where the permissions forbid it, as the superuser can.
pub(crate) fn permissions_do_not_bind(directory: &Path) -> bool {
    let probe = directory.join("probe");
    let can = std::fs::write(&probe, "").is_ok();
    let _ = std::fs::remove_file(&probe);
    can
}
