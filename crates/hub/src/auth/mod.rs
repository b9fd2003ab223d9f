//! Tokens: who may do what on which logs.
//!
//! [`TokenFile`] keeps them in the data directory, for the people who make and revoke them; the running hub reads the file
//! through `LiveTokens` whenever it changes. `routes::guard` asks both questions of a request: whose it is (a
//! [`Principal`]), and whether that one may.

mod file;
mod live;
mod rights;
mod secret;

use std::collections::BTreeSet;
use std::sync::Arc;

use tolstoy_edn::Instant;
use tolstoy_proto::LogId;

pub(crate) use file::give_to_owner_of;
pub use file::{NewToken, TokenError, TokenFile};
pub(crate) use live::LiveTokens;
pub use rights::{BadRights, Right, Rights};
pub use secret::{BadTokenId, Secret, TokenId};

use secret::Digest;

/// What a token opens. The secret itself is nowhere: only its digest is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name for lists and logs; part of its text, and no secret.
    pub id: TokenId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// What it allows.
    pub rights: Rights,
    /// On which logs.
    pub logs: Logs,
    /// When it was made.
    pub created: Instant,
    /// From when on it is worth nothing; never where there is none.
    pub expires: Option<Instant>,
    digest: Digest,
}

impl Token {
    /// Whether it is worth nothing any more.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Logs that a token covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logs {
    /// All, those that come later too.
    All,
    /// These. They need not exist.
    Only(BTreeSet<LogId>),
}

impl Logs {
    /// Whether the log is among them.
    pub fn cover(&self, log: LogId) -> bool {
        match self {
            Self::All => true,
            Self::Only(logs) => logs.contains(&log),
        }
    }
}

/// Whose a request is, worked out once for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Somebody on this machine, who needs no token: the hub listens on loopback alone, and has no tokens.
    Loopback,
    /// Anybody: the hub's owner said that it is open.
    Open,
    /// Who holds this token.
    Token(Arc<Token>),
}

impl Principal {
    /// What it is called in logs and lists: its token's name, or the token's id where it has none. Others have no name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Loopback | Self::Open => None,
            Self::Token(token) => Some(token.name.as_deref().unwrap_or(token.id.as_str())),
        }
    }

    /// The id of its token, which is no secret.
    pub fn token(&self) -> Option<&TokenId> {
        match self {
            Self::Loopback | Self::Open => None,
            Self::Token(token) => Some(&token.id),
        }
    }

    /// Whether it may know of the log at all.
    pub fn covers(&self, log: LogId) -> bool {
        match self {
            Self::Loopback | Self::Open => true,
            Self::Token(token) => token.logs.cover(log),
        }
    }

    /// The log that its token is for, where that is exactly one.
    pub fn own_log(&self) -> Option<LogId> {
        match self {
            Self::Token(token) => match &token.logs {
                Logs::Only(logs) if logs.len() == 1 => logs.first().copied(),
                Logs::Only(_) | Logs::All => None,
            },
            Self::Loopback | Self::Open => None,
        }
    }

    /// Whether it has the right on the logs that it covers.
    pub fn has(&self, right: Right) -> bool {
        match self {
            Self::Loopback | Self::Open => true,
            Self::Token(token) => token.rights.has(right),
        }
    }

    /// Whether it may see what is about all logs: their list, the metrics.
    pub fn oversees(&self) -> bool {
        match self {
            Self::Loopback | Self::Open => true,
            Self::Token(token) => token.logs == Logs::All && token.rights.has(Right::Admin),
        }
    }
}
