//! Syncs a store with a log on a hub, by rebase.
//!
//! [`engine`] decides: a state machine without I/O. [`sync()`] carries out what it decides, on a [`tolstoy_store::Store`]
//! and a [`Transport`]. The four cases and the merge are explained in `docs/sync.md`.

mod carry_out;
pub mod engine;
mod error;
mod format;
mod outgoing;
mod remote;
mod report;
mod snapshot;
mod spool;
pub mod transport;

pub use carry_out::{Options, Progress, Sleep, Told, sync};
pub use error::{Error, ErrorKind, Result};
pub use remote::{BadUrl, Remote, normalize_url};
pub use report::{Offered, Outcome, PassReport, SyncReport};
pub use snapshot::Blob;
pub use transport::{
    Access, Answer, BadToken, BearerToken, Begin, Body, HttpTransport, MemoryTransport, NoCertificates, Transport,
    TransportError, Trust,
};
