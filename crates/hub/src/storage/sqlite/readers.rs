//! Connections for reading.

use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;

use super::failed;
use super::txn::Txn;
use crate::storage::{ReadRules, StorageError};

/// A few connections; who finds none free waits for one.
#[derive(Debug)]
pub(super) struct Readers {
    free: Mutex<Vec<Connection>>,
    freed: Condvar,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self { free: Mutex::new(connections), freed: Condvar::new() }
    }

    pub(super) fn read(&self, rules: &mut ReadRules<'_>) -> Result<(), StorageError> {
        let borrowed = Borrowed { connection: Some(self.take()), readers: self };
        let Some(connection) = &borrowed.connection else { return Err(StorageError::Closed) };
        connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed)?;
        rules(&Txn::reading(connection))
    }

    fn take(&self) -> Connection {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match free.pop() {
                Some(connection) => return connection,
                None => free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        }
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
        self.readers.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.readers.freed.notify_one();
    }
}
