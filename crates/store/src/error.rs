//! What can go wrong with a store, in few kinds.

use std::fmt;

use tolstoy_edn::Span;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text given is malformed, or names something that does not exist: mend the text. The store is unchanged.
    Input,
    /// The text is well-formed, but the facts or the schema forbid it: change it or the facts. The store is unchanged.
    Refused,
    /// The file is not a store.
    NotAStore,
    /// The file or the log was written by a newer version: update Tolstoy.
    NewerFormat,
    /// Another process holds the file: try again.
    Busy,
    /// The disk, the file system or SQLite failed: see the message.
    Storage,
    /// What is stored contradicts itself: restore it, or sync it anew.
    Damaged,
    /// Two sides defined one attribute in ways that contradict: let the log's definition stand (`theirs` of
    /// [`Pass::rebase`](crate::Pass::rebase)), or give the local attribute another name. Nothing was changed.
    Definitions,
    /// What was asked is more than a store can hold.
    Full,
}

/// A failed operation: what, where and, where it helps, what to do next.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    span: Option<Span>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of an operation on a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with this message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), span: None, source: None }
    }

    pub(crate) fn input(span: Span, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message).at(span)
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    /// The same error, at this place in the text unless it has a place already.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// What the caller can do.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where in the text given the cause lies, if it lies there.
    pub const fn span(&self) -> Option<Span> {
        self.span
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as C;
        let (kind, message) = match e.sqlite_error_code() {
            Some(C::NotADatabase) => (ErrorKind::NotAStore, "the file is not a store".to_owned()),
            Some(C::DatabaseBusy | C::DatabaseLocked) => {
                (ErrorKind::Busy, "another process is writing to the store; try again".to_owned())
            }
            Some(C::DatabaseCorrupt) => (ErrorKind::Damaged, "the store's file is damaged".to_owned()),
            Some(C::ReadOnly) => (ErrorKind::Storage, "the store cannot be written: it is read-only".to_owned()),
            Some(C::DiskFull) => (ErrorKind::Storage, "the disk is full".to_owned()),
            Some(C::CannotOpen) => (ErrorKind::Storage, "the file cannot be opened".to_owned()),
            _ => (ErrorKind::Storage, format!("SQLite failed: {e}")),
        };
        Self { kind, message, span: None, source: Some(Box::new(e)) }
    }
}

impl From<tolstoy_edn::ReadError> for Error {
    fn from(e: tolstoy_edn::ReadError) -> Self {
        Self { kind: ErrorKind::Input, message: e.kind.to_string(), span: Some(e.span), source: Some(Box::new(e)) }
    }
}

impl From<tolstoy_env::NoEntropy> for Error {
    fn from(e: tolstoy_env::NoEntropy) -> Self {
        Self { kind: ErrorKind::Storage, message: e.to_string(), span: None, source: Some(Box::new(e)) }
    }
}
