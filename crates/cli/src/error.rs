//! Every way in which a command can fail, with its word for programs, its exit code and its hint for people. This is the
//! one place that knows them; `docs/cli.md` shows the table.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::string::FromUtf8Error;

use tolstoy_edn::{ReadError, Span, locate, render_error};
use tolstoy_hub::auth::{TokenError, TokenFile};
use tolstoy_hub::storage::{CopyError, StorageError};
use tolstoy_hub::{Exposed, OpenError, ServeError, TlsError};
use tolstoy_store as store;
use tolstoy_sync as sync;

use crate::text::Source;

/// What a program can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The arguments make no command.
    Usage,
    /// The store has synced with nothing yet.
    NoRemote,
    /// A text is malformed, or names what does not exist.
    Input,
    /// The schema or the facts forbid it.
    Refused,
    /// The hub does not do it.
    HubRefused,
    /// There is no such file.
    Missing,
    /// The file is not a store.
    NotAStore,
    /// The file was made by a newer version.
    NewerFormat,
    /// What is stored contradicts itself.
    Damaged,
    /// The disk, the file system or SQLite failed.
    Storage,
    /// The address or the data directory is taken.
    InUse,
    /// The demo did not come out as it should.
    Demo,
    /// No daemon runs.
    NoDaemon,
    /// A pair of the daemon's waits for something that may pass.
    Waiting,
    /// A pair of the daemon's needs somebody.
    Stuck,
    /// The hub cannot be reached.
    Offline,
    /// Something answers, and it is no hub.
    NotAHub,
    /// The hub's certificate is not one that is trusted.
    Untrusted,
    /// Two definitions of one attribute contradict.
    Definitions,
    /// The log was wiped or begun anew.
    Generation,
    /// The store holds the history of another log.
    OtherLog,
    /// The log is in a format that this version cannot read.
    Format,
    /// The log is encrypted and its key is not given, or the other way round.
    Key,
    /// The log's format cannot say what the store holds.
    Unsayable,
    /// Another process is writing to the store.
    Busy,
    /// Others write to the log all the time.
    Contended,
    /// Ctrl-C.
    Interrupted,
    /// Whoever reads the output has gone. Not a failure: nothing is left to say.
    Closed,
}

impl Kind {
    /// All kinds, in the order of their exit codes.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 27] = [
        Self::Missing,
        Self::NotAStore,
        Self::NewerFormat,
        Self::Damaged,
        Self::Storage,
        Self::InUse,
        Self::Demo,
        Self::NoDaemon,
        Self::Usage,
        Self::NoRemote,
        Self::Input,
        Self::Refused,
        Self::HubRefused,
        Self::Offline,
        Self::NotAHub,
        Self::Untrusted,
        Self::Waiting,
        Self::Definitions,
        Self::Generation,
        Self::OtherLog,
        Self::Format,
        Self::Key,
        Self::Unsayable,
        Self::Stuck,
        Self::Busy,
        Self::Contended,
        Self::Interrupted,
    ];

    /// The word in `{"error": ...}`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::NoRemote => "no-remote",
            Self::Input => "input",
            Self::Refused => "refused",
            Self::HubRefused => "hub-refused",
            Self::Missing => "missing",
            Self::NotAStore => "not-a-store",
            Self::NewerFormat => "newer-format",
            Self::Damaged => "damaged",
            Self::Storage => "storage",
            Self::InUse => "in-use",
            Self::Demo => "demo",
            Self::NoDaemon => "no-daemon",
            Self::Waiting => "waiting",
            Self::Stuck => "stuck",
            Self::Offline => "offline",
            Self::NotAHub => "not-a-hub",
            Self::Untrusted => "untrusted",
            Self::Definitions => "definitions",
            Self::Generation => "generation",
            Self::OtherLog => "other-log",
            Self::Format => "format",
            Self::Key => "key",
            Self::Unsayable => "unsayable",
            Self::Busy => "busy",
            Self::Contended => "contended",
            Self::Interrupted => "interrupted",
            Self::Closed => "closed",
        }
    }

    /// The process's exit code; [`EXIT_CODES`] says what they mean.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Missing
            | Self::NotAStore
            | Self::NewerFormat
            | Self::Damaged
            | Self::Storage
            | Self::InUse
            | Self::Demo
            | Self::NoDaemon => 1,
            Self::Usage | Self::NoRemote => 2,
            Self::Input => 3,
            Self::Refused | Self::HubRefused => 4,
            Self::Offline | Self::NotAHub | Self::Untrusted | Self::Waiting => 5,
            Self::Definitions
            | Self::Generation
            | Self::OtherLog
            | Self::Format
            | Self::Key
            | Self::Unsayable
            | Self::Stuck => 6,
            Self::Busy | Self::Contended => 7,
            Self::Interrupted => 130,
        }
    }
}

/// The exit codes, for the long help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done; also where whoever read the output went away
    1  a file, the disk, an address or the demo failed
    2  the arguments make no command
    3  a text is malformed, or names what does not exist
    4  the schema, the facts or the hub refuse it
    5  the hub cannot be reached, or is not trusted
    6  the sync stopped before it changed anything: you have to decide something
    7  others are writing: try again
  130  interrupted";

/// The text without the numbers that the operating system gives its errors: the words before them say the same.
fn without_numbers(message: &str) -> String {
    let mut pieces = message.split(" (os error ");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(piece.split_once(')').map_or(piece, |(_, rest)| rest));
    }
    text
}

/// A command that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What and where, on one line.
    pub(crate) message: String,
    /// The line at fault, with carets below.
    pub(crate) picture: Option<String>,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// Whether it was told already, and only the exit code is left.
    pub(crate) told: bool,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: without_numbers(&message.into()), picture: None, hint: None, told: false }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failure at a place in a text.
    pub(crate) fn at(kind: Kind, source: &Source, span: Span, message: &str) -> Self {
        let mut place = locate(&source.text, span.start);
        let rendered = render_error("", &source.text, span, message);
        // Of an empty line there is nothing to show.
        let picture = rendered.strip_prefix(&format!(":{place}: {message}\n"));
        let picture = picture.filter(|p| p.lines().next().is_some_and(|line| !line.trim().is_empty()));
        place.line = place.line.saturating_add(source.lines_before);
        Self { picture: picture.map(str::to_owned), ..Self::new(kind, format!("{}:{place}: {message}", source.name)) }
    }

    /// A text that is not EDN.
    pub(crate) fn read(source: &Source, error: &ReadError) -> Self {
        Self::at(Kind::Input, source, error.span, &error.kind.to_string())
    }

    /// Bytes that are no text; so many lines of the same input stand before them.
    pub(crate) fn not_utf8(name: &str, error: &FromUtf8Error, lines_before: u32) -> Self {
        let valid = error.utf8_error().valid_up_to();
        let text = error.as_bytes().get(..valid).map(String::from_utf8_lossy).unwrap_or_default();
        let mut place = locate(&text, u32::try_from(valid).unwrap_or(u32::MAX));
        place.line = place.line.saturating_add(lines_before);
        Self::new(Kind::Input, format!("{name}:{place}: this is not UTF-8 text"))
            .hint("EDN is UTF-8: save the text in that encoding")
    }

    /// A file or a stream that is not a store, and failed.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::new(Kind::Missing, format!("{what}: there is no such file")),
            _ => Self::new(Kind::Storage, format!("{what}: {error}")),
        }
    }

    /// Output that cannot be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Kind::Closed, "the output was closed"),
            _ => Self::io("standard output", error),
        }
    }

    /// A file that is not there.
    pub(crate) fn no_store(db: &Path) -> Self {
        let db = db.display();
        Self::new(Kind::Missing, format!("{db}: there is no such file"))
            .hint(format!("`tolstoy transact {db} '[...]'` makes a store, and so do import, repl and sync with a URL"))
    }

    /// A store that cannot be opened.
    pub(crate) fn opening(db: &Path, error: &store::Error) -> Self {
        let shown = db.display();
        if db.is_dir() {
            return Self::new(Kind::NotAStore, format!("{shown}: this is a directory, and a store is a file"))
                .hint(format!("name a file in it, such as {}", db.join("people.db").display()));
        }
        match db.parent() {
            Some(parent) if parent != Path::new("") && parent.try_exists().is_ok_and(|exists| !exists) => {
                let parent = parent.display();
                Self::new(Kind::Missing, format!("{shown}: there is no directory {parent}"))
                    .hint("make it first, or name a file elsewhere")
            }
            _ => Self::store(db, None, error),
        }
    }

    /// A store that failed, or refused a text.
    pub(crate) fn store(db: &Path, source: Option<&Source>, error: &store::Error) -> Self {
        use store::ErrorKind as K;
        let kind = match error.kind() {
            K::Input => Kind::Input,
            K::Refused | K::Full => Kind::Refused,
            K::NotAStore => Kind::NotAStore,
            K::NewerFormat => Kind::NewerFormat,
            K::Busy => Kind::Busy,
            K::Damaged => Kind::Damaged,
            K::Definitions => Kind::Definitions,
            _ => Kind::Storage,
        };
        let message = error.to_string();
        let failure = match (source, error.span()) {
            (Some(source), Some(span)) => Self::at(kind, source, span, &message),
            (Some(source), None) if matches!(kind, Kind::Input | Kind::Refused) => {
                Self::new(kind, format!("{}: {message}", source.name))
            }
            _ => {
                let db = db.display().to_string();
                let named = message.starts_with(&db);
                Self::new(kind, if named { message } else { format!("{db}: {message}") })
            }
        };
        match kind {
            Kind::NotAStore => failure.hint("a store is a file that tolstoy made; name another file"),
            Kind::NewerFormat => {
                failure.hint(concat!("this is tolstoy ", env!("CARGO_PKG_VERSION"), "; get a newer one"))
            }
            Kind::Busy => failure.hint("try again when the other process is done"),
            Kind::Damaged => failure
                .hint("restore it from a backup, or fetch the log into a new file: `tolstoy sync NEW.db URL LOG`"),
            Kind::Storage => failure.hint("check that the directory exists, has room, and that you may write there"),
            Kind::Definitions => failure.hint(format!(
                "`tolstoy sync {} --theirs :ATTR` takes the log's definition and puts this store's own aside; or give this \
                 store's another name, then sync again",
                db.display()
            )),
            _ => failure,
        }
    }

    /// An entry of the journal that is not there, or is not the only one.
    pub(crate) fn entry(db: &Path, id: &str, found: &[String]) -> Self {
        let db = db.display();
        if found.is_empty() {
            return Self::new(Kind::Input, format!("{db}: no entry of the journal has an id that begins with {id}"))
                .hint(format!("`tolstoy conflicts {db} --all` lists the ids"));
        }
        Self::new(Kind::Input, format!("{db}: {id} is the beginning of several ids: {}", found.join(", ")))
            .hint("give more of the id")
    }

    /// A text that cannot name an entry of the journal.
    pub(crate) fn no_id(db: &Path, error: &store::Error) -> Self {
        let failure = Self::store(db, None, error);
        match failure.kind {
            Kind::Input => failure.hint(format!("`tolstoy conflicts {} --all` lists the ids", db.display())),
            _ => failure,
        }
    }

    /// An entry of the journal that was settled before.
    pub(crate) fn settled(db: &Path, id: &str, by: &str) -> Self {
        Self::new(Kind::Refused, format!("{}: {id} is settled already, by transaction {by}", db.display()))
            .hint("`apply --again` does it nevertheless")
    }

    /// An entry of the journal that cannot be applied as it is.
    pub(crate) fn inapplicable(db: &Path, id: &str, error: &store::Error) -> Self {
        let failure = Self::store(db, None, error);
        let db = db.display();
        match failure.kind {
            Kind::Input | Kind::Refused => failure.hint(format!(
                "nothing was changed; `tolstoy conflicts show {db} {id} --edn > FILE` writes out what it would do: change that, and \
                 `tolstoy conflicts apply {db} {id} --edit FILE`; or drop it"
            )),
            _ => failure,
        }
    }

    /// A file that is not written over.
    pub(crate) fn exists(path: &Path) -> Self {
        Self::new(Kind::InUse, format!("{} is there already", path.display())).hint("name a file that is not there yet")
    }

    /// A sync that did not succeed.
    pub(crate) fn sync(db: &Path, remote: &sync::Remote, error: &sync::Error) -> Self {
        use sync::{ErrorKind as K, TransportError as T};
        let url = &remote.url;
        match error {
            sync::Error::Transport(T::Protocol(_)) => Self::new(Kind::NotAHub, format!("{url}: {error}"))
                .hint("check the address; a browser shows a hub's greeting there"),
            sync::Error::Transport(T::Untrusted(_)) => Self::new(Kind::Untrusted, format!("{url}: {error}")).hint(
                "nothing was sent; compare with what the hub printed when it started (certificate ...): `--trust SHA256` \
                 trusts that one, `--ca FILE` one that vouches for it",
            ),
            sync::Error::Refused(body) => Self::refused_by_hub(url, body),
            sync::Error::Store(error) => Self::store(db, None, error),
            sync::Error::Spool(error) => Self::io(&format!("{}: spooling what came in", db.display()), error)
                .hint("check that there is room beside the store"),
            error => {
                let (kind, hint) = match error.kind() {
                    K::Offline if url.starts_with("https://") => (
                        Kind::Offline,
                        "is the hub running, does it speak TLS (https://), and is the address right? Nothing is lost: sync again later",
                    ),
                    K::Offline => (
                        Kind::Offline,
                        "is the hub running (`tolstoy serve`), and is the address right? Nothing is lost: sync again later",
                    ),
                    K::Contended => (Kind::Contended, "nothing is lost: sync again later"),
                    K::Generation => (Kind::Generation, other_life_hint(error)),
                    K::Key => (
                        Kind::Key,
                        "nothing was changed; `--key-file FILE` names the file with the log's keys, which its other devices have",
                    ),
                    K::Format => (Kind::Format, "a newer tolstoy may read it; nothing was changed"),
                    K::Unsayable => (
                        Kind::Unsayable,
                        "nothing was changed; only a log in Tolstoy's own format holds it, begun by a file that has not synced yet: `tolstoy sync FILE URL new`",
                    ),
                    _ => (Kind::Damaged, "nothing was changed; sync the log into a new file and compare"),
                };
                Self::new(kind, error.to_string()).hint(hint)
            }
        }
    }

    fn refused_by_hub(url: &str, body: &tolstoy_proto::ErrorBody) -> Self {
        use tolstoy_proto::ErrorKind as K;
        // On one line, so that no hub can make its words look like ours.
        let said = body.message.replace(['\n', '\r'], " ");
        let message = format!("{url}: the hub refused ({}): {said}", body.error);
        match body.error {
            K::Busy | K::Timeout => Self::new(Kind::Contended, message).hint("sync again later"),
            K::Quota => Self::new(Kind::HubRefused, message)
                .hint("ask the hub's owner for more room, or delete logs that nobody needs"),
            K::Full => Self::new(Kind::HubRefused, message).hint("make room on the hub's disk"),
            K::RateLimited => Self::new(Kind::Contended, message).hint("sync again later"),
            K::Unauthorized => Self::new(Kind::HubRefused, message).hint(
                "its owner makes tokens with `tolstoy token create`; give yours with --token-file FILE, or in $TOLSTOY_TOKEN",
            ),
            K::NotFound => Self::new(Kind::HubRefused, message)
                .hint("ask the hub's owner which logs your token covers; a new log needs one that covers all"),
            K::Forbidden => Self::new(Kind::HubRefused, message)
                .hint("a hub without tokens answers only to localhost and 127.0.0.1; with tokens, its owner gives out their rights"),
            K::Internal => Self::new(Kind::HubRefused, message).hint("the hub's own log says why"),
            K::ChainMismatch => {
                Self::new(Kind::Damaged, message).hint("sync the log into a new file, and compare; nothing was changed")
            }
            _ => Self::new(Kind::HubRefused, message),
        }
    }

    /// A hub whose data cannot be opened.
    pub(crate) fn hub_data(error: &OpenError) -> Self {
        let (kind, hint) = match error {
            OpenError::Tokens(error) => return Self::tokens(error),
            OpenError::Tls(error) => return Self::tls(error),
            OpenError::InUse { .. } => (Kind::InUse, "a hub there can serve any number of logs"),
            OpenError::Newer { .. } => {
                (Kind::NewerFormat, concat!("this is tolstoy ", env!("CARGO_PKG_VERSION"), "; get a newer one"))
            }
            OpenError::NoHub { .. } => (Kind::Missing, "name the directory that `tolstoy serve --data DIR` was given"),
            OpenError::NotAHub { .. } => (Kind::NotAStore, "name another directory: `tolstoy serve --data DIR`"),
            OpenError::Io { .. } | OpenError::Database { .. } => {
                (Kind::Storage, "check that the directory may be written, or name another: `tolstoy serve --data DIR`")
            }
        };
        Self::new(kind, error.to_string()).hint(hint)
    }

    /// A hub's data that cannot be read or written.
    pub(crate) fn hub_storage(data: &Path, error: &StorageError) -> Self {
        let kind = if matches!(error, StorageError::Busy) { Kind::Busy } else { Kind::Storage };
        Self::new(kind, format!("{}: {error}", data.display()))
            .hint("`tolstoy fsck DATA` says whether the data is sound")
    }

    /// A backup that was not made, or not restored.
    pub(crate) fn copy(error: &CopyError) -> Self {
        let failure = |kind, hint: &str| Self::new(kind, error.to_string()).hint(hint);
        match error {
            CopyError::Open(error @ OpenError::NotAHub { .. }) => {
                Self::hub_data(error).hint("a backup is a file that `tolstoy backup` made")
            }
            CopyError::Open(error @ OpenError::InUse { .. }) => {
                Self::hub_data(error).hint("a backup is restored into a new directory")
            }
            CopyError::Open(error) => Self::hub_data(error),
            CopyError::Exists(_) => failure(Kind::InUse, "name a file that is not there yet"),
            CopyError::NotEmpty(_) => failure(Kind::InUse, "name a directory that is not there yet"),
            CopyError::NotWhole(_) => {
                failure(Kind::Input, "`tolstoy backup DATA FILE` makes a whole copy, also while a hub serves")
            }
            CopyError::Damaged { .. } => failure(Kind::Damaged, "take an older backup; nothing was restored"),
            CopyError::Io { path, source } => Self::io(&path.display().to_string(), source)
                .hint("check that it exists, has room, and that you may write there"),
        }
    }

    /// A hub that cannot listen.
    pub(crate) fn listen(address: SocketAddr, error: &io::Error) -> Self {
        let (message, hint) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                format!("{address} is taken by another process"),
                "another hub may run there already; `--listen 127.0.0.1:0` takes a free port",
            ),
            _ => (
                format!("cannot listen on {address}: {error}"),
                "`--listen` takes an address of this machine and a port that is free for you, such as 127.0.0.1:7410",
            ),
        };
        Self::new(Kind::InUse, message).hint(hint)
    }

    /// Tokens that cannot be read or changed.
    pub(crate) fn tokens(error: &TokenError) -> Self {
        let (kind, hint) = match error {
            TokenError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                (Kind::Missing, "name the hub's data directory: `--data DIR`")
            }
            TokenError::Io { .. } => {
                (Kind::Storage, "use the account that the hub runs under, and check that there is room")
            }
            TokenError::Damaged { .. } => (
                Kind::Damaged,
                "bring it back from a backup; or remove it and make new tokens: until there is one, a hub on loopback asks for none",
            ),
            TokenError::Newer { .. } => {
                (Kind::NewerFormat, concat!("this is tolstoy ", env!("CARGO_PKG_VERSION"), "; get a newer one"))
            }
            TokenError::KnownClient(_) => (
                Kind::Input,
                "nothing is to be done; to make it known anew, with other rights, revoke that token first",
            ),
            TokenError::BadName => return Self::new(Kind::Usage, error.to_string()),
            TokenError::NoEntropy(_) => return Self::new(Kind::Storage, error.to_string()),
        };
        Self::new(kind, error.to_string()).hint(hint)
    }

    fn tls(error: &TlsError) -> Self {
        let (kind, hint) = match error {
            TlsError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                (Kind::Missing, "--tls-cert and --tls-key name files in PEM; --tls-self-signed needs none")
            }
            TlsError::Io { .. } => (Kind::Storage, "the account that the hub runs under must be able to read it"),
            TlsError::Bad { .. } => {
                (Kind::Input, "--tls-cert and --tls-key name files in PEM; --tls-self-signed needs none")
            }
            TlsError::Mismatch { .. } => (Kind::Input, "give the certificate and the key that were made together"),
            TlsError::Make(_) => (Kind::Usage, "--tls-name takes a host's name or an address, without a port"),
        };
        Self::new(kind, error.to_string()).hint(hint)
    }

    /// A hub that would be more open than somebody said.
    pub(crate) fn exposed(error: &Exposed, data: &Path) -> Self {
        let token = format!("make a token: `tolstoy token create --data {}`", data.display());
        let tls = "say how TLS is done: --tls-self-signed, or --tls-cert FILE --tls-key FILE, or --behind-proxy where a proxy in front does it";
        let open = "or say --open, and anyone who reaches the address reads and writes every log";
        let hint = match error {
            Exposed::NoTokensNoTls(_) => format!("{token}; and {tls}; {open}"),
            Exposed::NoTokens(_) | Exposed::ProxyNoTokens => format!("{token}; {open}"),
            Exposed::NoTls(_) => tls.to_owned(),
            Exposed::OpenWithTokens => {
                format!(
                    "leave --open out; or, if strangers shall read and write all, remove {}",
                    TokenFile::of(data).path().display()
                )
            }
        };
        Self::new(Kind::Usage, error.to_string()).hint(hint)
    }

    /// A hub that does not serve.
    pub(crate) fn serve(error: &ServeError) -> Self {
        match error {
            ServeError::Tls(error) => Self::tls(error),
            ServeError::Exposed(_) => Self::new(Kind::Usage, error.to_string()),
            ServeError::Io(_) => Self::new(Kind::Storage, error.to_string()),
        }
    }
}

/// What to do where the log is in another life.
fn other_life_hint(error: &sync::Error) -> &'static str {
    match error {
        sync::Error::NothingToAdopt => "`--reseed` fills it again with this store's whole history",
        sync::Error::NotEmpty { .. } => {
            "`--adopt` joins it, and re-applies on top what this store has and it lacks; or its owner deletes it first"
        }
        sync::Error::Generation { state } if state.seq.0 == 0 => {
            "`tolstoy sync DB --reseed` fills it again with this store's whole history; this store keeps the facts it has"
        }
        _ => {
            "`tolstoy sync DB --adopt` joins it, and re-applies on top what this store has and it lacks; to have it alone, sync it into a new file"
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_documents_list_every_kind_and_code() {
        let table = include_str!("../../../docs/cli.md");
        for kind in Kind::ALL {
            let code = kind.exit_code();
            let row = table.lines().find(|line| line.starts_with(&format!("| {code} |"))).unwrap();
            assert!(row.contains(&format!("`{}`", kind.word())), "{kind:?} is not in {row}");
            assert!(EXIT_CODES.lines().any(|line| line.trim_start().starts_with(&format!("{code}  "))), "{code}");
        }
    }

    #[test]
    fn numbers_of_the_operating_system_are_left_out() {
        assert_eq!(without_numbers("x: refused (os error 111), gone (os error 2)"), "x: refused, gone");
        assert_eq!(without_numbers("plain (text)"), "plain (text)");
    }
}
