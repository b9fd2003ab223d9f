//! Waiting for a log to change.

use std::time::Duration;

use tokio::time::sleep;
use tolstoy_proto::LogState;
use tolstoy_store::Store;

use crate::error::Result;
use crate::outgoing::Place;
use crate::transport::HttpTransport;

/// How long a hub is let wait for a change of the log.
const WATCH: Duration = Duration::from_secs(50);
/// A hub that answers at once, whatever it is asked, is not asked at once again.
const REST: Duration = Duration::from_millis(250);

/// What a store knows its log to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synced(Place);

impl Synced {
    /// What this store knows, since its last sync.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn of(store: &Store) -> Result<Self> {
        Place::newest(store).map(Self)
    }
}

/// Returns when the log is not what the store knows it to be. `heard` is called each time that the hub said it still is.
///
/// # Errors
/// Where the hub cannot be reached, refuses, or answers with no state: then a sync is the way to find out.
pub async fn log_changes(transport: &mut HttpTransport, synced: &Synced, mut heard: impl FnMut()) -> Result<()> {
    let same = |state: &LogState| state.head == synced.0.id && state.chain == synced.0.chain;
    let mut known = None;
    loop {
        match transport.watch(known.as_deref(), WATCH).await? {
            Some((state, _)) if !same(&state) => return Ok(()),
            Some((_, tag)) => known = Some(tag),
            None => sleep(REST).await,
        }
        heard();
    }
}
