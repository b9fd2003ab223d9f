//! Connections for reading.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::failed;
use super::txn::Txn;
use crate::storage::{ReadRules, StorageError};

/// A few connections; who finds none free waits for one.
#[derive(Debug)]
pub(super) struct Readers {
    count: usize,
    state: Mutex<State>,
    /// Somebody may have a connection now.
    freed: Condvar,
    /// A connection came back.
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    free: Vec<Connection>,
    /// Nobody gets a connection.
    paused: bool,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let (count, state) = (connections.len(), State { free: connections, paused: false });
        Self { count, state: Mutex::new(state), freed: Condvar::new(), returned: Condvar::new() }
    }

    pub(super) fn read(&self, rules: &mut ReadRules<'_>) -> Result<(), StorageError> {
        let borrowed = Borrowed { connection: Some(self.take()), readers: self };
        let Some(connection) = &borrowed.connection else { return Err(StorageError::Closed) };
        connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed)?;
        rules(&Txn::reading(connection))
    }

    /// Has reads that come wait, and waits for those under way, so long at most; none where they take longer. Reads go on
    /// when the pause is dropped.
    pub(super) fn pause(&self, patience: Duration) -> Option<Paused<'_>> {
        let until = Instant::now() + patience;
        let mut state = self.state();
        state.paused = true;
        let paused = Paused(self);
        while state.free.len() < self.count {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Before the pause ends, which takes it too.
                drop(state);
                return None;
            }
            (state, _) = self.returned.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        Some(paused)
    }

    fn take(&self) -> Connection {
        let mut state = self.state();
        loop {
            if !state.paused
                && let Some(connection) = state.free.pop()
            {
                return connection;
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody reads until this is dropped.
pub(super) struct Paused<'a>(&'a Readers);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.state().paused = false;
        self.0.freed.notify_all();
    }
}

/// A connection that goes back, out of its snapshot, however its use ends.
struct Borrowed<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !connection.is_autocommit() {
            // A read that cannot be ended is ended by the next BEGIN's failure, which its caller sees.
            let _ = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        }
        self.readers.state().free.push(connection);
        self.readers.freed.notify_one();
        self.readers.returned.notify_one();
    }
}
