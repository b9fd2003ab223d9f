//! The command line.

mod conflicts;
mod daemon;
mod generate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tolstoy_edn::Keyword;
use tolstoy_hub::auth::{Rights, TokenId};
use tolstoy_proto::taskchampion::ClientId;
use tolstoy_proto::{Fingerprint, LogId};

use crate::commands::task::args::Task;
use crate::error::EXIT_CODES;
use crate::settings::{Period, Settings};
pub(crate) use conflicts::*;
pub(crate) use daemon::*;
pub(crate) use generate::*;

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
    // It has many settings.
    Serve(Box<Serve>),
    Token(Token),
    Repl(Repl),
    Transact(Transact),
    Query(Query),
    Schema(Schema),
    Log(Log),
    Import(Import),
    Sync(Sync),
    Status(Status),
    Conflicts(Conflicts),
    Key(Key),
    Task(Box<Task>),
    Daemon(Box<Daemon>),
    Backup(Backup),
    Restore(Restore),
    Fsck(Fsck),
    Gc(Gc),
    Completions(Completions),
    Man(Man),
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
///
/// Each setting is a flag, an environment variable (--stall-timeout is TOLSTOY_STALL_TIMEOUT) and a key of the settings
/// file (`stall-timeout = "30s"`). A flag beats the environment, which beats the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy serve
  tolstoy serve --listen 127.0.0.1:0 --data ./hub     a free port; the line printed tells which
  tolstoy token create --data ./hub --name phone      then the hub asks for tokens, here too
  tolstoy serve --data ./hub --listen 0.0.0.0:7410 --tls-self-signed
  tolstoy serve --listen 0.0.0.0:7410 --open          for a network that you trust
  tolstoy serve --print-config > hub.toml             a settings file to begin with
  tolstoy serve --config hub.toml")]
pub(crate) struct Serve {
    /// The settings file, in TOML; TOLSTOY_CONFIG names it too
    #[arg(short, long, value_name = "FILE", env = "TOLSTOY_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings in force as a settings file, with the meaning and the origin of each, and do nothing else
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Tell more on standard error: -v is `--log info`, -vv also each decision, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Make, list and revoke the tokens of a hub
///
/// Once a token was made, the hub asks for one, on this machine too, and answers nobody without; also when the last is
/// revoked. A hub that runs takes in each change within about a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy token create --name phone > phone.token       its owner syncs with --token-file phone.token
  tolstoy token create --taskchampion --name phone      an id for `task config sync.server.client_id`
  tolstoy token create --log 0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e --rights read --expires 90d
  tolstoy token list
  tolstoy token revoke k3j2h4g5")]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) what: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Create(TokenCreate),
    List(TokenList),
    Revoke(TokenRevoke),
}

/// Make a token and print it: this once, since the hub keeps only its digest
#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    #[command(flatten)]
    pub(crate) data: HubData,
    /// A log that it is for; may be repeated [default: all logs, those to come too]
    #[arg(long, value_name = "UUID", value_parser = log_id)]
    pub(crate) log: Vec<LogId>,
    /// Let a client of TaskChampion's in, such as Taskwarrior: print a new client id for it, or make this one known, which
    /// opens that client's log and nothing else
    #[arg(long, value_name = "CLIENT_ID", value_parser = client_id, num_args = 0..=1, conflicts_with = "log")]
    pub(crate) taskchampion: Option<Option<ClientId>>,
    /// What it allows, with commas: read (pull), write (push, and read), admin (delete a log; with all logs: metrics)
    #[arg(long, value_name = "RIGHTS", default_value = "read,write")]
    pub(crate) rights: Rights,
    /// For how long it is valid, such as 12h, 90d, 8w or 1y, or until when, such as 2027-01-31 [default: for ever]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    /// What you call it, for the list
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// List the tokens: all but the secrets, which nobody has but their holders
#[derive(Debug, Args)]
pub(crate) struct TokenList {
    #[command(flatten)]
    pub(crate) data: HubData,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Make tokens worth nothing, from about a second later on
#[derive(Debug, Args)]
pub(crate) struct TokenRevoke {
    /// The tokens' ids, as in the list; they stand behind tol_ in the tokens
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: Vec<TokenId>,
    #[command(flatten)]
    pub(crate) data: HubData,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Where a hub's data is.
#[derive(Debug, Args)]
pub(crate) struct HubData {
    /// The hub's data directory [default: as for `tolstoy serve`]
    #[arg(long, value_name = "DIR", env = "TOLSTOY_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
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
  tolstoy log people.db --timelines                   which side timelines there are
  tolstoy log people.db --timeline 1                  what the first merge moved off the main line
  tolstoy log people.db --timeline 1 --json > 1.json  the same, for a program or to be kept")]
pub(crate) struct Log {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The newest N only
    #[arg(short = 'n', long, value_name = "N", value_parser = transactions)]
    pub(crate) limit: Option<u32>,
    /// List the side timelines instead: what merges moved off the main line, as it was before
    #[arg(long, conflicts_with_all = ["limit", "timeline"])]
    pub(crate) timelines: bool,
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
  tolstoy sync people.db http://hub.example:7410      the same log, at another address
  tolstoy sync people.db http://127.0.0.1:7410 new --format original      Mentat can join it
  tolstoy sync people.db https://hub.example:7410 new --token-file phone.token --trust 5A:0B:...
  tolstoy sync people.db --reseed                     the log was wiped: fill it again from this store")]
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
    /// Where both sides defined this attribute, and differently, let the log's definition stand: this store's own, and all that
    /// depends on it, is displaced. May stand several times
    #[arg(long, value_name = ":ATTR", value_parser = attribute)]
    pub(crate) theirs: Vec<Keyword>,
    /// The file with the log's keys, where it is encrypted; with `new`, the log is. Remembered; the keys themselves never are
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Where the log was wiped and begun anew: join its new life. What this store has and it lacks is re-applied on top
    #[arg(long, conflicts_with = "reseed")]
    pub(crate) adopt: bool,
    /// Where the log was wiped and is empty: fill it again with this store's whole history
    #[arg(long)]
    pub(crate) reseed: bool,
    /// What a log that is still empty is begun in; remembered until then. A log that there is goes on in its own format
    /// [default: native]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<LogFormat>,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The keyword that names an attribute.
fn attribute(text: &str) -> Result<Keyword, String> {
    let keyword = text.strip_prefix(':').and_then(Keyword::parse);
    keyword.ok_or_else(|| format!("{text:?} is no attribute's name, such as :person/name"))
}

/// Say where a store stands: what its log lacks, what it lacks of the log, and what to do
///
/// Asks the hub, and changes nothing there or here. Where the hub cannot be reached it says so, and what the store knows by
/// itself. It exits with 0 whatever it finds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy status people.db
  tolstoy status people.db --offline --json")]
pub(crate) struct Status {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// Do not ask the hub
    #[arg(long)]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Make and show the keys of encrypted logs
///
/// A log that is begun with a key file is encrypted on this device: its hub can neither read it nor write to it. All
/// devices of the log need the file. Which logs are encrypted is chosen when they begin.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy key create people.key
  tolstoy sync people.db https://hub.example:7410 new --key-file people.key
  tolstoy key create people.key --passphrase     a file that can be made again on the next device
  tolstoy key rotate people.key                  a device was lost: give the new file to the others")]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) what: KeyCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    Create(KeyCreate),
    Rotate(KeyRotate),
    Show(KeyShow),
}

/// Make a key file
#[derive(Debug, Args)]
pub(crate) struct KeyCreate {
    /// The new file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Make the key from a passphrase, which is asked for, or is a line of standard input
    #[arg(long)]
    pub(crate) passphrase: bool,
}

/// Add a newer key to a key file
///
/// What is pushed from then on is sealed with it; the older keys stay, since they open what is there. Who has only the older
/// file can read nothing that comes later, and what they write is not believed once something sealed with the new key is there.
#[derive(Debug, Args)]
pub(crate) struct KeyRotate {
    /// The key file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Make the key from a passphrase, which is asked for, or is a line of standard input
    #[arg(long)]
    pub(crate) passphrase: bool,
}

/// List the keys in a key file, without showing them
#[derive(Debug, Args)]
pub(crate) struct KeyShow {
    /// The key file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Show the keys' ids in this log, as messages about it have them
    #[arg(long, value_name = "UUID", value_parser = log_id)]
    pub(crate) log: Option<LogId>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What a log is written in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Tolstoy's own, which can say everything
    Native,
    /// The original client's (Mozilla Mentat's Tolstoy), so that such clients can join
    Original,
}

/// What it takes to speak to a closed hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "A closed hub")]
pub(crate) struct Access {
    /// The file that holds the token; a store remembers it, and never the token itself [default: the token in $TOLSTOY_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Trust the hub whose certificate has this fingerprint, which the hub prints when it starts; a store remembers it
    #[arg(long, value_name = "SHA256", conflicts_with = "ca")]
    pub(crate) trust: Option<Fingerprint>,
    /// Trust hubs whose certificate leads to one in this file, in PEM; a store remembers it
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Send the token over plain http:// too: for a network that encrypts by itself, such as a VPN; a store remembers it
    #[arg(long)]
    pub(crate) token_in_clear: bool,
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
    /// How long after a log's last upload: a number with s, m, h or d. Where the hub has another `garbage-after`, say the same
    #[arg(long, value_name = "PERIOD", default_value = "7d", env = "TOLSTOY_GARBAGE_AFTER")]
    pub(crate) after: Period,
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
            Self::Demo(_) | Self::Serve(_) | Self::Completions(_) | Self::Man(_) => false,
            Self::Token(Token { what }) => match what {
                TokenCommand::Create(args) => args.output.json,
                TokenCommand::List(args) => args.output.json,
                TokenCommand::Revoke(args) => args.output.json,
            },
            Self::Repl(args) => args.output.json,
            Self::Transact(args) => args.output.json,
            Self::Query(args) => args.output.json,
            Self::Schema(args) => args.output.json,
            Self::Log(args) => args.output.json,
            Self::Import(args) => args.output.json,
            Self::Sync(args) => args.output.json,
            Self::Status(args) => args.output.json,
            Self::Conflicts(args) => args.json(),
            Self::Key(Key { what }) => match what {
                KeyCommand::Create(_) | KeyCommand::Rotate(_) => false,
                KeyCommand::Show(args) => args.output.json,
            },
            Self::Task(args) => args.json(),
            Self::Daemon(args) => args.json(),
            Self::Backup(args) => args.output.json,
            Self::Restore(args) => args.output.json,
            Self::Fsck(args) => args.output.json,
            Self::Gc(args) => args.output.json,
        }
    }
}

/// A log's name.
fn log_id(text: &str) -> Result<LogId, String> {
    text.to_ascii_lowercase()
        .parse()
        .map_err(|_| "logs are named by UUIDs, as `tolstoy sync DB URL new` prints them".to_owned())
}

fn client_id(text: &str) -> Result<ClientId, String> {
    let bad = |_| {
        "a client's id is a UUID, as `task config sync.server.client_id` has it; none: a new one is made".to_owned()
    };
    text.to_ascii_lowercase().parse().map_err(bad)
}

/// How many transactions to list.
pub(crate) fn transactions(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "a number of transactions is needed, such as 10".to_owned())
}
