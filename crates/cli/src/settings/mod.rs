//! The settings of a hub and of a daemon; those of tasks are declared beside their commands. [`Settings`] and [`DaemonSettings`] declare each once: its name, meaning, type and
//! default. All else follows from the declaration: the flag, the key of the settings file (which is the flag's name), the
//! document of `--print-config`.
//!
//! A setting's value is that of its flag, else of its environment variable, else of the file, else its default. The file's
//! values are checked, and then stand where the defaults stood, so that clap does the rest.

mod daemon;
mod document;
mod file;
mod tables;
mod units;

use std::any::TypeId;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory};
use tolstoy_hub::service::{Policy, Threshold, VersionThreshold};
use tolstoy_hub::{Options, Rate, SqliteOptions, TlsOptions};

use crate::args::Cli;
use crate::error::{self, Failure};

pub(crate) use daemon::{DAEMON, DaemonSettings};
pub(crate) use document::document;
pub(crate) use file::Given;
pub(crate) use tables::{Entries, tables};
pub(crate) use units::Period;
use units::Size;

/// The settings of `tolstoy serve`.
///
/// To add one: a field with its meaning, its type and its default; `env` is `TOLSTOY_` and the field's name. A number, a
/// `bool`, anything that parses from a text, or a list of texts will do. No `requires` and no `conflicts_with`: clap does not see what a file
/// says, so such rules are checked where the settings are used. A setting that may be absent is an `Option`. Then
/// `packaging/tolstoy.toml` is made anew, as a test says.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "TOLSTOY_LISTEN", hide_env = true, help_heading = REACH)]
    #[arg(default_value = "127.0.0.1:7410", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Ask for no token, beyond this machine too: anyone who reaches the address reads and writes every log
    #[arg(long, value_name = "true|false", env = "TOLSTOY_OPEN", hide_env = true, help_heading = REACH)]
    #[arg(default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) open: bool,
    /// Ask for a token even where none was made yet, and on this machine too
    #[arg(long, value_name = "true|false", env = "TOLSTOY_REQUIRE_TOKEN", hide_env = true, help_heading = REACH)]
    #[arg(default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) require_token: bool,
    /// How often the hub looks whether tokens were made or revoked
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_TOKEN_POLL", hide_env = true, help_heading = REACH)]
    #[arg(default_value_t = Period(hub().token_poll))]
    pub(crate) token_poll: Period,
    /// Speak TLS with the certificate in this file, in PEM, with those that lead to it
    #[arg(long, value_name = "FILE", env = "TOLSTOY_TLS_CERT", hide_env = true, help_heading = REACH)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", env = "TOLSTOY_TLS_KEY", hide_env = true, help_heading = REACH)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate of the hub's own, made once and kept in its data; clients know it by the fingerprint
    /// that is printed
    #[arg(long, value_name = "true|false", env = "TOLSTOY_TLS_SELF_SIGNED", hide_env = true, help_heading = REACH)]
    #[arg(default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) tls_self_signed: bool,
    /// Names or addresses that the hub's own certificate is for, besides this machine's; several with commas between
    #[arg(long, value_name = "NAME", env = "TOLSTOY_TLS_NAME", hide_env = true, help_heading = REACH)]
    #[arg(value_delimiter = ',')]
    pub(crate) tls_name: Vec<String>,
    /// A proxy in front of the hub does TLS, and says in X-Forwarded-For or Forwarded who asks
    #[arg(long, value_name = "true|false", env = "TOLSTOY_BEHIND_PROXY", hide_env = true, help_heading = REACH)]
    #[arg(default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) behind_proxy: bool,
    /// The directory for the hub's data, made where it is missing; by default tolstoy/hub among your data, such as
    /// ~/.local/share/tolstoy/hub
    #[arg(long, value_name = "DIR", env = "TOLSTOY_DATA", hide_env = true, help_heading = DATA)]
    pub(crate) data: Option<PathBuf>,
    /// Where less is free on the disk of the data, /readyz answers 503
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_MIN_DISK_FREE", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = Size(hub().min_disk_free))]
    pub(crate) min_disk_free: Size,
    /// How much a log may hold: chunks, transactions and snapshots; further pushes are refused
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_QUOTA_BYTES", hide_env = true, help_heading = DATA)]
    pub(crate) quota_bytes: Option<Size>,
    /// How many transactions a log may hold; further pushes are refused
    #[arg(long, value_name = "N", env = "TOLSTOY_QUOTA_TRANSACTIONS", hide_env = true, help_heading = DATA)]
    #[arg(value_parser = clap::value_parser!(u64))]
    pub(crate) quota_transactions: Option<u64>,
    /// How long after a log's last upload its garbage is collected
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_GARBAGE_AFTER", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = Period(hub().policy.garbage_after))]
    pub(crate) garbage_after: Period,
    /// How long the collector of garbage rests between two passes
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_GARBAGE_REST", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = Period(hub().gc_rest))]
    pub(crate) garbage_rest: Period,
    /// How large a snapshot may be
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_SNAPSHOT_LIMIT", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = Size(hub().policy.snapshot_limit))]
    pub(crate) snapshot_limit: Size,
    /// After how many bytes since the last snapshot another would be good to have, as the clients are told
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_SNAPSHOT_LOW_BYTES", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = Size(hub().policy.snapshot_low.bytes))]
    pub(crate) snapshot_low_bytes: Size,
    /// After how many transactions since the last snapshot another would be good to have
    #[arg(long, value_name = "N", env = "TOLSTOY_SNAPSHOT_LOW_TRANSACTIONS", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().policy.snapshot_low.transactions)]
    pub(crate) snapshot_low_transactions: u64,
    /// After how many bytes since the last snapshot another is needed
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_SNAPSHOT_HIGH_BYTES", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = Size(hub().policy.snapshot_high.bytes))]
    pub(crate) snapshot_high_bytes: Size,
    /// After how many transactions since the last snapshot another is needed
    #[arg(long, value_name = "N", env = "TOLSTOY_SNAPSHOT_HIGH_TRANSACTIONS", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().policy.snapshot_high.transactions)]
    pub(crate) snapshot_high_transactions: u64,
    /// After how many versions since the last snapshot a client of TaskChampion's is told that another would be good to have; at
    /// half as many again it is needed
    #[arg(long, value_name = "N", env = "TOLSTOY_SNAPSHOT_VERSIONS", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().policy.snapshot_versions.versions)]
    pub(crate) snapshot_versions: u64,
    /// After how many days it is told so
    #[arg(long, value_name = "N", env = "TOLSTOY_SNAPSHOT_DAYS", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().policy.snapshot_versions.days)]
    pub(crate) snapshot_days: u64,
    /// What is told on standard error: a level (error, warn, info, debug, trace), or levels of parts, such as
    /// `info,tolstoy_hub=debug`. At info, each request is a line
    #[arg(long, value_name = "FILTER", env = "TOLSTOY_LOG", hide_env = true, help_heading = TELLING)]
    #[arg(default_value = "warn")]
    pub(crate) log: String,
    /// How it is told: as text for people, or as JSON, an object on each line
    #[arg(long, value_name = "text|json", env = "TOLSTOY_LOG_FORMAT", hide_env = true, help_heading = TELLING)]
    #[arg(default_value_t = LogFormat::Text, value_enum, hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
    /// How many connections are served at the same time; who comes later waits
    #[arg(long, value_name = "N", env = "TOLSTOY_CONNECTIONS", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().connections, value_parser = positive)]
    pub(crate) connections: usize,
    /// How many connections one address may have at the same time; further ones are closed
    #[arg(long, value_name = "N", env = "TOLSTOY_CONNECTIONS_PER_ADDRESS", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().connections_per_address, value_parser = positive)]
    pub(crate) connections_per_address: usize,
    /// How many requests are under way at the same time; further ones are answered 503
    #[arg(long, value_name = "N", env = "TOLSTOY_REQUESTS", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().requests, value_parser = positive)]
    pub(crate) requests: usize,
    /// How many requests one connection has under way at the same time over HTTP/2
    #[arg(long, value_name = "N", env = "TOLSTOY_HTTP2_STREAMS", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().http2_streams, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) http2_streams: u32,
    /// How many requests a second each token may send, ten times as many at once; 0: no limit
    #[arg(long, value_name = "N", env = "TOLSTOY_TOKEN_RATE", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().token_rate.map_or(0, |rate| rate.per_second))]
    pub(crate) token_rate: u32,
    /// How many requests a second each address may send, ten times as many at once; 0: no limit
    #[arg(long, value_name = "N", env = "TOLSTOY_ADDRESS_RATE", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().address_rate.map_or(0, |rate| rate.per_second))]
    pub(crate) address_rate: u32,
    /// How much memory request bodies may take together, large ones left out
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_BODY_MEMORY", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Size::from(hub().body_memory))]
    pub(crate) body_memory: Size,
    /// How many large request bodies (over 256 KiB) are taken at the same time, each of up to 32 MiB of memory
    #[arg(long, value_name = "N", env = "TOLSTOY_LARGE_BODIES", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().large_bodies, value_parser = positive)]
    pub(crate) large_bodies: usize,
    /// How many snapshots arrive at the same time, each in a file beside the data
    #[arg(long, value_name = "N", env = "TOLSTOY_SNAPSHOT_UPLOADS", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().snapshot_uploads, value_parser = positive)]
    pub(crate) snapshot_uploads: usize,
    /// How much memory answers may take together, from when they are read until they are sent
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_ANSWER_MEMORY", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Size::from(hub().answer_memory))]
    pub(crate) answer_memory: Size,
    /// How many long answers (pulls over 384 KiB, snapshots, lists) are given at the same time
    #[arg(long, value_name = "N", env = "TOLSTOY_STREAMS", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().streams, value_parser = positive)]
    pub(crate) streams: usize,
    /// How many requests wait for a log to change, at the same time; further ones are answered 503
    #[arg(long, value_name = "N", env = "TOLSTOY_WAITS", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = hub().waits, value_parser = positive)]
    pub(crate) waits: usize,
    /// How long a TLS handshake may take
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_HANDSHAKE_TIMEOUT", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Period(hub().handshake_timeout))]
    pub(crate) handshake_timeout: Period,
    /// How long a connection stays open without a request
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_IDLE_TIMEOUT", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Period(hub().idle_timeout))]
    pub(crate) idle_timeout: Period,
    /// How long a request's head may take to arrive
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_HEADER_TIMEOUT", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Period(hub().header_timeout))]
    pub(crate) header_timeout: Period,
    /// How long a client may take for the next 16 KiB of a body or its end, and for taking anything of an answer
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_STALL_TIMEOUT", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Period(hub().stall_timeout))]
    pub(crate) stall_timeout: Period,
    /// How much a client must send of a body, or take of an answer, each second while others wait for its place, measured
    /// over --stall-timeout
    #[arg(long, value_name = "SIZE", env = "TOLSTOY_MIN_RATE", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Size(hub().min_rate))]
    pub(crate) min_rate: Size,
    /// How long the requests under way may take to end once the hub stops
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_DRAIN", hide_env = true, help_heading = LIMITS)]
    #[arg(default_value_t = Period(hub().drain))]
    pub(crate) drain: Period,
    /// How many connections to the database read at the same time
    #[arg(long, value_name = "N", env = "TOLSTOY_READERS", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().sqlite.readers, value_parser = positive)]
    pub(crate) readers: usize,
    /// How many writes may wait; further ones are answered 503
    #[arg(long, value_name = "N", env = "TOLSTOY_QUEUE", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().sqlite.queue, value_parser = positive)]
    pub(crate) queue: usize,
    /// How many writes share one commit at most
    #[arg(long, value_name = "N", env = "TOLSTOY_BATCH", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().sqlite.batch, value_parser = positive)]
    pub(crate) batch: usize,
    /// How many pages (8 KiB) the write-ahead log takes before they are moved into the database file
    #[arg(long, value_name = "N", env = "TOLSTOY_CHECKPOINT_PAGES", hide_env = true, help_heading = DATA)]
    #[arg(default_value_t = hub().sqlite.checkpoint_pages, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) checkpoint_pages: u32,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

const REACH: &str = "Who reaches it";
const DATA: &str = "Data";
const TELLING: &str = "What it tells";
const LIMITS: &str = "Limits";

/// The hub's own defaults, which are the settings'.
fn hub() -> Options {
    Options::default()
}

impl Settings {
    /// As the hub takes them.
    ///
    /// # Errors
    /// Where two settings contradict each other.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        Ok(Options {
            open: self.open,
            require_token: self.require_token,
            behind_proxy: self.behind_proxy,
            tls: self.tls()?,
            token_poll: self.token_poll.0,
            token_rate: Rate::per_second(self.token_rate),
            address_rate: Rate::per_second(self.address_rate),
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            http2_streams: self.http2_streams,
            requests: self.requests,
            handshake_timeout: self.handshake_timeout.0,
            idle_timeout: self.idle_timeout.0,
            body_memory: self.body_memory.in_memory(),
            large_bodies: self.large_bodies,
            snapshot_uploads: self.snapshot_uploads,
            answer_memory: self.answer_memory.in_memory(),
            streams: self.streams,
            waits: self.waits,
            min_rate: self.min_rate.0,
            header_timeout: self.header_timeout.0,
            stall_timeout: self.stall_timeout.0,
            drain: self.drain.0,
            min_disk_free: self.min_disk_free.0,
            gc_rest: self.garbage_rest.0,
            policy: self.policy(),
            sqlite: SqliteOptions {
                readers: self.readers,
                queue: self.queue,
                batch: self.batch,
                checkpoint_pages: self.checkpoint_pages,
                ..SqliteOptions::default()
            },
        })
    }

    fn policy(&self) -> Policy {
        Policy {
            quota_bytes: self.quota_bytes.map(|size| size.0),
            quota_transactions: self.quota_transactions,
            garbage_after: self.garbage_after.0,
            snapshot_low: Threshold { bytes: self.snapshot_low_bytes.0, transactions: self.snapshot_low_transactions },
            snapshot_high: Threshold {
                bytes: self.snapshot_high_bytes.0,
                transactions: self.snapshot_high_transactions,
            },
            snapshot_versions: VersionThreshold { versions: self.snapshot_versions, days: self.snapshot_days },
            snapshot_limit: self.snapshot_limit.0,
        }
    }

    fn tls(&self) -> Result<Option<TlsOptions>, Failure> {
        let contrary = |message| Err(Failure::new(error::Kind::Usage, message));
        match (&self.tls_cert, &self.tls_key, self.tls_self_signed) {
            (Some(_), None, _) => contrary("tls-cert is of no use without tls-key, the file of its private key"),
            (None, Some(_), _) => contrary("tls-key is of no use without tls-cert, the file of its certificate"),
            (Some(_), Some(_), true) => contrary("tls-cert and tls-self-signed are two certificates: one is needed"),
            (_, _, false) if !self.tls_name.is_empty() => {
                contrary("tls-name is about the hub's own certificate: it needs tls-self-signed")
            }
            (Some(certificate), Some(key), false) => {
                Ok(Some(TlsOptions::Files { certificate: certificate.clone(), key: key.clone() }))
            }
            (None, None, true) => Ok(Some(TlsOptions::SelfSigned { names: self.own_names() })),
            (None, None, false) => Ok(None),
        }
    }

    /// The names that a certificate of the hub's own is for.
    fn own_names(&self) -> Vec<String> {
        let mut names = self.tls_name.clone();
        let listen = self.listen.ip();
        if !listen.is_unspecified() {
            names.push(listen.to_string());
        }
        // Where the system tells the machine's name in no file, it can be said.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        if !host.trim().is_empty() {
            names.push(host.trim().to_owned());
        }
        names.sort();
        names.dedup();
        names
    }
}

/// A command that has settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surface {
    /// Its name.
    pub(crate) command: &'static str,
    pub(crate) declare: fn(Command) -> Command,
    /// The keys of the file that are no settings, which whoever reads the file looks at for himself.
    pub(crate) tables: &'static [&'static str],
    /// A setting with its value, as an example.
    pub(crate) example: (&'static str, &'static str),
}

/// `tolstoy serve`.
pub(crate) const HUB: Surface =
    Surface { command: "serve", declare: Settings::augment_args, tables: &[], example: ("stall-timeout", "30s") };

impl Surface {
    /// The arguments that are settings, in the order of their declaration.
    pub(crate) fn declared(&self) -> Vec<Arg> {
        let command = (self.declare)(Command::new("settings"));
        command.get_arguments().filter(|arg| arg.get_long().is_some()).cloned().collect()
    }

    /// The command line once more, with what the file says where the defaults were; and with this change.
    ///
    /// # Errors
    /// Where clap does not take it.
    pub(crate) fn with_file(
        &self,
        given: &Given,
        change: impl FnOnce(Command) -> Command,
    ) -> Result<ArgMatches, Failure> {
        let mut command = Cli::command().mut_subcommand(self.command, |command| given.stand_in(change(command)));
        let matches = command.try_get_matches_from_mut(crate::arguments()).map_err(misused)?;
        let matches = matches.subcommand_matches(self.command).cloned();
        matches.ok_or_else(|| Failure::new(error::Kind::Usage, format!("these are no arguments of {}", self.command)))
    }
}

/// Arguments that clap takes without the file, but not with it.
pub(crate) fn misused(error: clap::Error) -> Failure {
    let text = error.to_string();
    Failure::new(error::Kind::Usage, text.lines().next().unwrap_or_default().trim_start_matches("error: "))
}

/// How a setting is written in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Number,
    Text,
    /// Texts.
    List,
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        let parsed = arg.get_value_parser().type_id();
        if matches!(arg.get_action(), ArgAction::Append) {
            Self::List
        } else if parsed == TypeId::of::<bool>() {
            Self::Switch
        } else if [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<u32>()].iter().any(|id| parsed == *id) {
            Self::Number
        } else {
            Self::Text
        }
    }

    /// What a value of this kind is called.
    fn wanted(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Number => "a number",
            Self::Text => "a text in quotes",
            Self::List => "an array of texts",
        }
    }
}

/// An address to listen on; names such as `localhost` are looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| "an address and a port are needed, such as 127.0.0.1:7410".to_owned())
}

/// A number of things of which there must be one.
fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number from 1 on is needed".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_setting_is_a_variable_and_says_what_it_means() {
        for arg in [HUB, DAEMON].iter().flat_map(Surface::declared) {
            let long = arg.get_long().unwrap();
            assert_eq!(arg.get_id().as_str().replace('_', "-"), long);
            let variable = format!("TOLSTOY_{}", arg.get_id().as_str().to_uppercase());
            assert_eq!(arg.get_env().unwrap(), variable.as_str());
            assert!(arg.get_help().is_some(), "{long}");
            assert!(arg.get_help_heading().is_some(), "{long}");
            assert!(arg.get_default_values().len() <= 1, "{long}");
            let plain = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
            assert!(plain, "{long}: a switch takes `=false` too, or nothing could take back what a file says");
        }
    }
}
