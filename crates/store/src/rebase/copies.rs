//! Noticing that this file is a copy, or was put back from a backup.
//!
//! Both show in the same way: the log has changes of this file's device that this file never wrote. From then on two files
//! would write as one device. So this one becomes a device of its own.

use std::collections::HashSet;

use tolstoy_env::Env;
use uuid::Uuid;

use crate::core::Working;
use crate::core::sqlite::read_uuid;
use crate::error::Result;
use crate::log::{Transaction, read};

/// Looks at what comes in, until it is known to be written elsewhere in this device's name.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// This device's changes on side timelines, once they were needed.
    own: Option<HashSet<Uuid>>,
    found: bool,
}

impl Copies {
    /// Takes in an incoming transaction before it is applied, and after local changes were moved off main.
    pub(super) fn look(&mut self, working: &Working<'_>, incoming: &Transaction) -> Result<()> {
        if self.found || incoming.origin.device != working.device {
            return Ok(());
        }
        if read::by_origin(working.sql, incoming.origin.id)?.is_some() {
            return Ok(());
        }
        if self.own.is_none() {
            self.own = Some(moved_off(working)?);
        }
        self.found = self.own.as_ref().is_none_or(|own| !own.contains(&incoming.origin.id));
        Ok(())
    }

    /// Makes the file another device where it turned out to be a copy, and gives the new id.
    pub(super) fn settle(&self, working: &mut Working<'_>, env: &Env) -> Result<Option<Uuid>> {
        if !self.found {
            return Ok(None);
        }
        let device = env.uuid()?;
        working.sql.execute("UPDATE meta SET value = ?1 WHERE key = 'device'", [device.as_bytes()])?;
        working.device = device;
        Ok(Some(device))
    }
}

/// The changes of this device that rebases moved off main.
fn moved_off(working: &Working<'_>) -> Result<HashSet<Uuid>> {
    let mut statement =
        working.sql.prepare_cached("SELECT origin FROM transactions WHERE timeline > 0 AND device = ?1")?;
    let mut rows = statement.query([working.device.as_bytes()])?;
    let mut own = HashSet::new();
    while let Some(row) = rows.next()? {
        own.insert(read_uuid(row.get_ref(0)?)?);
    }
    Ok(own)
}
