//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::error::EXIT_CODES;

const BEGIN: &str = "\
Begin with:
  tolstoy demo                      two devices, one hub, explained as it goes
  tolstoy repl people.db            type `.help`
  tolstoy transact people.db '[{:db/ident :person/name :db/valueType :db.type/string
                                :db/cardinality :db.cardinality/one}]'
  tolstoy transact people.db '[{:person/name \"Ivan\"}]'
  tolstoy query people.db '[:find ?name :where [_ :person/name ?name]]'

`tolstoy help COMMAND` explains a command; `tolstoy --help` also lists the exit codes.";

/// Local-first data that syncs: facts in a file of yours, in step with your other devices through a hub of yours.
#[derive(Debug, Parser)]
#[command(
    name = "tolstoy",
    version,
    arg_required_else_help = true,
    after_help = BEGIN,
    after_long_help = format!("{BEGIN}\n\n{EXIT_CODES}"),
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, one file each in `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Serve(Serve),
    Repl(Repl),
    Transact(Transact),
    Query(Query),
    Schema(Schema),
    Log(Log),
    Import(Import),
    Sync(Sync),
    Backup(Backup),
    Restore(Restore),
    Fsck(Fsck),
    Gc(Gc),
}

/// Show two devices sync through a hub, in a temporary directory, explained as it goes
///
/// Runs this very program several times: a hub on a free port, and two clients with different schemas and facts. Shows
/// each command before it runs it, checks that both clients end with the same facts, and fails where they do not.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Leave the directory with both stores and the hub's data behind
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Run a hub: a server that keeps logs for stores to sync with
///
/// Prints one line, `listening on http://ADDRESS:PORT`, when it is ready. Ctrl-C and SIGTERM let the requests under way
/// end, and then it exits with 0; a second one ends it at once. What it acknowledged is on the disk in either case.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy serve
  tolstoy serve --listen 127.0.0.1:0 --data ./hub     a free port; the line printed tells which
  tolstoy serve --listen 0.0.0.0:7410 --open          for a network that you trust")]
pub(crate) struct Serve {
    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7410", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// The directory for the hub's data, made where it is missing [default: tolstoy/hub among your data, such as
    /// ~/.local/share/tolstoy/hub]
    #[arg(long, value_name = "DIR", env = "TOLSTOY_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// Listen beyond this machine too: whoever reaches the port may read and write every log
    #[arg(long)]
    pub(crate) open: bool,
    /// Tell more on standard error: -v what happens, -vv every request
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Tell exactly this on standard error, as in RUST_LOG: `info,tolstoy_hub=trace`
    #[arg(long, value_name = "FILTER", env = "TOLSTOY_LOG", hide_env_values = true, conflicts_with = "verbose")]
    pub(crate) log: Option<String>,
}

/// Talk to a store: transactions, queries and more, as you type
///
/// A vector that begins with :find is a query, another vector is a transaction, and a word that begins with a dot is a
/// command: `.help` lists them. An entry goes on over several lines until its brackets close. Without DB the store is in
/// memory. Input may come from a pipe: then there is no prompt, a failed command does not stop the others, and the exit
/// code is that of the first that failed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy repl people.db
  tolstoy repl people.db < script.edn
  tolstoy repl -i people.edn -q '[:find ?n :where [_ :person/name ?n]]' --no-tty < /dev/null")]
pub(crate) struct Repl {
    /// The store, made where it is missing
    #[arg(value_name = "DB")]
    pub(crate) db: Option<PathBuf>,
    /// The store, made where it is missing
    #[arg(short = 'd', value_name = "DB", conflicts_with = "db")]
    pub(crate) database: Option<PathBuf>,
    /// Answer this query first; -q, -t and -i may be repeated and run in the order given
    #[arg(short, long, value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// Run this transaction first
    #[arg(short, long, value_name = "EDN")]
    pub(crate) transact: Vec<String>,
    /// Import this file first
    #[arg(short, long, value_name = "FILE")]
    pub(crate) import: Vec<String>,
    /// No prompt, no line editing, no colours, even on a terminal
    #[arg(long)]
    pub(crate) no_tty: bool,
    /// Neither read nor write the history of earlier sessions
    #[arg(long)]
    pub(crate) no_history: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Run one transaction, and print what it did
///
/// A transaction is one vector of forms; all of it becomes fact or none. DB is made where it is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy transact people.db '[{:person/name \"Ivan\" :person/age 30}]'
  tolstoy transact people.db '[[:db/add (lookup-ref :person/email \"i@x.org\") :person/age 31]]'
  tolstoy transact people.db @people.edn
  tolstoy schema other.db | tolstoy transact people.db -")]
pub(crate) struct Transact {
    /// The store, made where it is missing
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The transaction: EDN, @FILE, or - for standard input
    #[arg(value_name = "EDN|@FILE|-", allow_hyphen_values = true)]
    pub(crate) edn: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Answer a query
///
/// On a terminal the answer is a table, otherwise EDN. As JSON, rows are an array of arrays, `[?x ...]` is an array,
/// `[?x ?y]` an array or null, `?x .` the bare value or null.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy query people.db '[:find ?name ?age :where [?p :person/name ?name] [?p :person/age ?age]]'
  tolstoy query people.db '[:find ?p . :in ?name :where [?p :person/name ?name]]' '\"Ivan\"'
  tolstoy query --json people.db @adults.edn 18")]
pub(crate) struct Query {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The query: EDN, @FILE, or - for standard input
    #[arg(value_name = "QUERY|@FILE|-", allow_hyphen_values = true)]
    pub(crate) query: String,
    /// The values of the query's :in, each EDN: a text is written '"so"'
    #[arg(value_name = "INPUT", allow_hyphen_values = true)]
    pub(crate) inputs: Vec<String>,
    /// EDN, also on a terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) edn: bool,
    /// Print the SQL that answers the query and how SQLite goes about it, instead of the answer
    #[arg(long, conflicts_with_all = ["edn", "json"])]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// List the attributes of a store
///
/// On a terminal as a table, otherwise as a transaction that defines them in another store.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy schema people.db
  tolstoy schema people.db | tolstoy transact other.db -")]
pub(crate) struct Schema {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// List the attributes that every store has, too
    #[arg(long)]
    pub(crate) all: bool,
    /// EDN, also on a terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) edn: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// List the transactions of a store, oldest first
///
/// Each with its instant, the id it keeps for ever (its origin) and its facts: + became true, - ceased to be. Changes that
/// a sync displaced, and values that it overwrote, stand beside them. What every store begins with is left out.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy log people.db --limit 3
  tolstoy log people.db --timeline 1     what the first merge moved off the main line")]
pub(crate) struct Log {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The newest N only
    #[arg(short = 'n', long, value_name = "N", value_parser = transactions)]
    pub(crate) limit: Option<u32>,
    /// A side timeline: transactions as they were before a merge moved them
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) timeline: i64,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Run the transactions of files
///
/// A file holds one vector of forms, or several: each is a transaction. All files are read before anything is done; each
/// transaction is durable when the next one begins, and where one is refused, the message says what was done before it.
/// DB is made where it is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy import people.db schema.edn people.edn
  generate-people | tolstoy import people.db -")]
pub(crate) struct Import {
    /// The store, made where it is missing
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The files, in order; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Sync a store with a log on a hub
///
/// Afterwards both have what either had. The address and the log are remembered, so that later `tolstoy sync DB` is
/// enough. All devices that sync with one log share their facts; `new` makes a new log and prints its id for the others.
/// With a URL, DB is made where it is missing: a new device.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy sync people.db http://127.0.0.1:7410 new
  tolstoy sync phone.db http://127.0.0.1:7410 0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e
  tolstoy sync people.db
  tolstoy sync people.db http://hub.example:7410      the same log, at another address")]
pub(crate) struct Sync {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The hub's address, with or without /0.1 [default: the one of the last sync]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The log's UUID, or `new` [default: the one of the last sync]
    #[arg(value_name = "LOG-UUID", requires = "url")]
    pub(crate) log: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Copy a hub's data into one file, also while the hub serves
///
/// The copy is the data as it is when the command begins: all logs with their chunks, pending transactions, snapshots, and
/// the tombstones of deleted logs. Tokens, certificates and configuration are files of their own and are not in it. It
/// appears under its name when it is whole and on the disk, and never over another file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy backup /var/lib/tolstoy /backup/hub-2026-11-21.db
  tolstoy fsck /backup/hub-2026-11-21.db     a backup can be checked as it is")]
pub(crate) struct Backup {
    /// The hub's data directory
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    /// The new file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Make a hub's data directory from a backup
///
/// The directory must be empty or missing. The logs go on in the generations they had, with the HEAD of then: stores
/// that have more supply the rest when they sync; what no store has is lost.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The new data directory
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Check a hub's data: hash every chunk and snapshot, walk every chain
///
/// Says exactly what is wrong where, one line each, and changes nothing. It may run beside a hub: it sees the data as it is
/// when it begins, and until it ends the write-ahead log keeps what is pushed meanwhile. Exits with 0 where all is well, with 1 (`damaged`) where
/// something is wrong.
#[derive(Debug, Args)]
pub(crate) struct Fsck {
    /// The hub's data directory, or a backup
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Remove what nobody can reach any more from a hub's data
///
/// A running hub does so by itself. Dead are pending transactions that can no longer become HEAD, and chunks that no other
/// transaction names, once the last upload to their log is long enough ago; and what deleted logs left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy gc /var/lib/tolstoy --dry-run
  tolstoy gc /var/lib/tolstoy --after 12h")]
pub(crate) struct Gc {
    /// The hub's data directory
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    /// Show what would be removed, and change nothing; also beside a running hub
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long after a log's last upload: a number with s, m, h or d
    #[arg(long, value_name = "PERIOD", default_value = "7d", value_parser = period)]
    pub(crate) after: Duration,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// Print JSON: one value on one line; an error is an object with error, message and hint on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

impl Command {
    /// Whether the output, errors included, is JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Demo(_) | Self::Serve(_) => false,
            Self::Repl(args) => args.output.json,
            Self::Transact(args) => args.output.json,
            Self::Query(args) => args.output.json,
            Self::Schema(args) => args.output.json,
            Self::Log(args) => args.output.json,
            Self::Import(args) => args.output.json,
            Self::Sync(args) => args.output.json,
            Self::Backup(args) => args.output.json,
            Self::Restore(args) => args.output.json,
            Self::Fsck(args) => args.output.json,
            Self::Gc(args) => args.output.json,
        }
    }
}

/// An address to listen on; names such as `localhost` are looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| "an address and a port are needed, such as 127.0.0.1:7410".to_owned())
}

/// A time such as 90s, 30m, 12h or 7d.
fn period(text: &str) -> Result<Duration, String> {
    let wrong = || "a number and a unit are needed, such as 90s, 30m, 12h or 7d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// How many transactions to list.
pub(crate) fn transactions(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "a number of transactions is needed, such as 10".to_owned())
}
