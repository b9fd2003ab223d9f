//! Syncs a store with a log on a hub, by rebase.
//!
//! [`engine`] decides: a state machine without I/O. [`sync()`] carries out what it decides, on a [`tolstoy_store::Store`]
//! and a [`Transport`]. The four cases and the merge are explained in `docs/sync.md`.
//!
//! Three ways to use it:
//!
//! - [`sync_blocking`], where an application syncs now and then and may wait for it;
//! - [`sync()`], where it has a tokio runtime. The future may be dropped at any await: store and log are each whole then, and
//!   the next sync goes on;
//! - [`Syncer`], a thread that keeps a store in step and tells what happens.
//!
//! ```no_run
//! use tolstoy_env::Env;
//! use tolstoy_store::Store;
//! use tolstoy_sync::{HttpTransport, Options, Remote, sync_blocking};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let env = Env::system();
//! let mut store = Store::open_or_create("notes.db".as_ref(), env.clone())?;
//! let log = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e".parse()?;
//! let remote = Remote { url: "http://127.0.0.1:7410".to_owned(), log };
//! remote.remember(&mut store)?;
//! let mut hub = HttpTransport::new(remote)?;
//! let report = sync_blocking(&mut store, &mut hub, &Options::on_tokio(env))?;
//! println!("{:?}", report.passes);
//! # Ok(())
//! # }
//! ```

mod background;
mod blocking;
mod carry_out;
pub mod engine;
mod error;
mod follow;
mod format;
mod key;
mod options;
mod outgoing;
mod remote;
mod report;
mod snapshot;
mod spool;
mod status;
mod taskchampion;
mod tasks;
pub mod transport;

pub use background::{Happened, Pair, Syncer};
pub use blocking::HubError;
pub use carry_out::{sync, sync_blocking};
pub use engine::OtherLife;
pub use error::{Error, ErrorKind, Result};
pub use follow::{Synced, log_changes};
pub use format::NewLog;
pub use key::{BadKeys, KeyId, KeyNumber, Keyring, NoKey, Secret, Secrets};
pub use options::{IN_MEMORY, MAX_BYTES, Options, Progress, Sleep, Told};
pub use remote::{BadUrl, Remote, normalize_url};
pub use report::{Offered, Outcome, PassReport, SyncReport};
pub use snapshot::Blob;
pub use status::{LocalStatus, LogStatus, Relation, local_status, log_status};
pub use taskchampion::{EncryptionSecret, TaskChampionDriver, TaskChampionError};
pub use tasks::{HubDriver, tasks_change};
pub use transport::{
    Access, Answer, BadToken, BearerToken, Begin, Body, HttpTransport, MemoryTransport, NoCertificates, Transport,
    TransportError, Trust,
};
