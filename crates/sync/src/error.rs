//! What can go wrong with a sync, in few kinds.

use tolstoy_proto::{ErrorBody, LogState};
use tolstoy_store::Entid;

use crate::transport::TransportError;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The hub cannot be reached, or the connection broke: try again later. What arrived whole was taken in.
    Offline,
    /// Others wrote to the log each time before this store could: try again.
    Contended,
    /// The log is in another life than the one this store synced with: it was wiped or begun anew. Nothing was changed.
    Generation,
    /// The log cannot be read by this version: another format, or a newer one.
    Format,
    /// The log's format cannot say a change that the store has: see the message. Nothing was changed, nothing was sent.
    Unsayable,
    /// The log contradicts itself or this store. Nothing was changed.
    Damaged,
    /// The hub refused the request; the message is its own.
    Refused,
    /// The hub's certificate is not one that is trusted. Nothing was sent.
    Untrusted,
    /// The log is encrypted and the key that it takes was not given, or the other way round. Nothing was changed.
    Key,
    /// The store failed; the source is a [`tolstoy_store::Error`].
    Store,
}

/// A sync that did not succeed. Passes that were complete before stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The way to the hub failed.
    #[error("{0}")]
    Transport(#[from] TransportError),
    /// The race for HEAD was lost too often.
    #[error("others wrote to the log {rounds} times in a row before this store could; try again")]
    Contended {
        /// How often.
        rounds: u32,
    },
    /// The log's generation is not the one that this store synced with.
    #[error("{}; nothing was changed", what_became(state))]
    Generation {
        /// The log's state now.
        state: Box<LogState>,
    },
    /// The log's new life was to be joined, and there is none.
    #[error("the log on the hub is empty, so there is nothing to adopt; nothing was changed")]
    NothingToAdopt,
    /// The log was to be filled again, and it is not empty.
    #[error(
        "the log on the hub has a new life of {transactions} transactions, which reseeding would destroy; nothing was changed"
    )]
    NotEmpty {
        /// How many.
        transactions: u64,
    },
    /// The log's format.
    #[error("{0}")]
    Format(String),
    /// The log's encryption.
    #[error("{0}")]
    Key(String),
    /// A change that the log's format cannot say.
    #[error(
        "the log is in the original client's format, which cannot say what this store's transaction {tx} holds: {what}"
    )]
    Unsayable {
        /// The transaction.
        tx: Entid,
        /// What it holds.
        what: String,
    },
    /// The log's content.
    #[error("{0}")]
    Damaged(String),
    /// The hub's refusal.
    #[error("the hub refused: {}", .0.message)]
    Refused(Box<ErrorBody>),
    /// The store.
    #[error("{0}")]
    Store(#[from] tolstoy_store::Error),
    /// Spooling what comes in failed.
    #[error("what came in could not be put aside: {0}")]
    Spool(#[from] std::io::Error),
}

fn what_became(state: &LogState) -> String {
    match state.seq.0 {
        0 => "the log on the hub was wiped since the last sync".to_owned(),
        n => format!("the log on the hub was wiped and begun anew since the last sync, with {n} transactions"),
    }
}

/// The result of a sync.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Transport(TransportError::Protocol(_)) => ErrorKind::Damaged,
            Self::Transport(TransportError::Untrusted(_)) => ErrorKind::Untrusted,
            Self::Transport(_) => ErrorKind::Offline,
            Self::Contended { .. } => ErrorKind::Contended,
            Self::Generation { .. } | Self::NothingToAdopt | Self::NotEmpty { .. } => ErrorKind::Generation,
            Self::Format(_) => ErrorKind::Format,
            Self::Key(_) => ErrorKind::Key,
            Self::Unsayable { .. } => ErrorKind::Unsayable,
            Self::Damaged(_) => ErrorKind::Damaged,
            Self::Refused(_) => ErrorKind::Refused,
            Self::Store(_) | Self::Spool(_) => ErrorKind::Store,
        }
    }
}

impl Error {
    /// Whether what came in is the cause: it is damaged, or not of this version.
    pub(crate) fn is_of_what_came_in(&self) -> bool {
        use tolstoy_store::ErrorKind as Store;
        match self {
            Self::Damaged(_) | Self::Format(_) => true,
            Self::Store(e) => matches!(e.kind(), Store::Damaged | Store::NewerFormat),
            _ => false,
        }
    }
}

impl From<crate::format::native::BadChunk> for Error {
    fn from(bad: crate::format::native::BadChunk) -> Self {
        use crate::format::native::BadChunk as B;
        match bad {
            B::Foreign | B::Newer { .. } | B::TooLong => Self::Format(bad.to_string()),
            B::Pieces(_) => Self::Damaged(bad.to_string()),
        }
    }
}

impl From<crate::format::sealed::BadSeal> for Error {
    fn from(bad: crate::format::sealed::BadSeal) -> Self {
        use crate::format::sealed::BadSeal as B;
        match bad {
            B::Clear | B::NoKey { .. } | B::Failed => Self::Key(bad.to_string()),
            B::Newer { .. } => Self::Format(bad.to_string()),
            B::OldKey { .. } | B::Altered => Self::Damaged(bad.to_string()),
        }
    }
}

impl From<tolstoy_proto::FrameError> for Error {
    fn from(e: tolstoy_proto::FrameError) -> Self {
        Self::Transport(TransportError::Protocol(e.to_string()))
    }
}

impl From<tolstoy_env::NoEntropy> for Error {
    fn from(e: tolstoy_env::NoEntropy) -> Self {
        Self::Store(e.into())
    }
}
