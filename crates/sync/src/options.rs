//! What a sync needs of its caller, and what it tells him meanwhile.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tolstoy_edn::Keyword;
use tolstoy_env::Env;

use crate::engine::OtherLife;
use crate::format::NewLog;
use crate::key::Keyring;

/// How to pause: given by the caller, who owns the runtime and the time.
pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Told how many transactions have arrived, or were sent, so far.
pub type Told = Arc<dyn Fn(Progress) + Send + Sync>;

/// How far a sync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many transactions arrived.
    Received(u64),
    /// So many bytes of a snapshot arrived.
    Snapshot {
        /// How many.
        received: u64,
        /// Of how many.
        of: u64,
    },
    /// So many transactions are in the snapshot that is being made.
    Packed {
        /// How many.
        done: u64,
        /// Of how many.
        of: u64,
    },
    /// So many transactions that arrived were applied.
    Applied {
        /// How many.
        done: u64,
        /// Of how many.
        of: u64,
    },
    /// So many transactions were sent.
    Sent {
        /// How many.
        done: u64,
        /// Of how many.
        of: u64,
    },
}

/// Bytes that a sync usually takes in at most: 64 GiB. A hub that compresses can send as much for next to nothing.
pub const MAX_BYTES: u64 = 64 << 30;

/// Bytes that it takes in at most where they are put aside in memory: 1 GiB.
pub const IN_MEMORY: u64 = 1 << 30;

/// What a sync needs of its caller.
#[derive(Clone)]
pub struct Options {
    /// Randomness, for the pauses between retries.
    pub env: Env,
    /// How to pause.
    pub sleep: Sleep,
    /// Told of progress, if anybody wants to know.
    pub told: Option<Told>,
    /// After how many lost races in a row to give up.
    pub max_conflicts: u32,
    /// How often to ask again for the rest of a stream that was cut before anything new arrived.
    pub max_cuts: u32,
    /// How often to ask again, for each request, where the hub says that it has no time now.
    pub max_waits: u32,
    /// The longest pause that the hub may ask for; where it asks for a longer one the sync ends.
    pub max_wait: Duration,
    /// Attributes whose definition in the log stands where the store has another; the store's own is displaced.
    pub theirs: Vec<Keyword>,
    /// What the log is begun in, where it is still empty.
    pub new_log: NewLog,
    /// Where what comes in is put aside when it is long; in memory where there is none. The store's own folder is good.
    pub spool_dir: Option<PathBuf>,
    /// Bytes that one sync takes in at most, with nothing compressed, and that a snapshot may hold. Where more come the sync ends, and
    /// nothing is changed. Without a `spool_dir` it is [`IN_MEMORY`] at most.
    pub max_bytes: u64,
    /// Whether a store that is empty may begin with a snapshot. It is believed in nothing that the log does not say.
    pub takes_snapshots: bool,
    /// Whether a snapshot is made where the hub asks for one: when everything is synced, and where new devices need it or
    /// it costs little. What goes wrong with it is in the report, and no error.
    pub makes_snapshots: bool,
    /// What to do where the log was wiped or begun anew.
    pub other_life: OtherLife,
    /// The keys of the log, where it is encrypted. A log that these begin is encrypted, and one that is not is refused.
    pub keys: Option<Arc<Keyring>>,
}

impl Options {
    /// The usual options.
    pub fn new(env: Env, sleep: Sleep) -> Self {
        Self {
            env,
            sleep,
            told: None,
            max_conflicts: 10,
            max_cuts: 3,
            max_waits: 5,
            max_wait: Duration::from_secs(60),
            theirs: Vec::new(),
            new_log: NewLog::default(),
            spool_dir: None,
            max_bytes: MAX_BYTES,
            takes_snapshots: true,
            makes_snapshots: true,
            other_life: OtherLife::Stop,
            keys: None,
        }
    }

    /// The usual options, with the pauses of tokio's timer.
    pub fn on_tokio(env: Env) -> Self {
        Self::new(env, Arc::new(|pause| Box::pin(tokio::time::sleep(pause))))
    }

    /// Bytes that are taken in at most.
    pub(crate) fn most(&self) -> u64 {
        if self.spool_dir.is_some() { self.max_bytes } else { self.max_bytes.min(IN_MEMORY) }
    }

    pub(crate) fn tell(&self, progress: Progress) {
        if let Some(told) = &self.told {
            told(progress);
        }
    }
}
