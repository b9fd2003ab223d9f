//! The rebase primitive: what a synchroniser does to a store, inside one SQLite transaction.
//!
//! [`Store::pass`] opens a [`Pass`]; [`Pass::rebase`] takes main back to a root, applies what came in exactly as it was
//! sent, and re-applies the local changes on top, each as one new transaction under its old origin: applied, or empty
//! where all of it was true already, or a carrier where it cannot make sense any more. The rules are in `docs/sync.md`.

mod carry;
mod copies;
mod definitions;
mod foreign;
mod images;
mod incoming;
mod operations;
mod policy;
mod reapply;
mod settled;

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use tolstoy_edn::Keyword;
use tolstoy_env::Env;
use uuid::Uuid;

use crate::core::Working;
use crate::core::sqlite::read_uuid;
use crate::error::{Error, Result};
use crate::functions::Functions;
use crate::log::read::Timeline;
use crate::log::rewind::{Emptied, Rewound};
use crate::log::{Overwrite, Reason, read};
use crate::schema::Schema;
use crate::store::Store;
use crate::types::Entid;

use copies::Copies;
pub use foreign::{Foreign, Incoming};
pub(crate) use policy::add_difference;

/// Where a main transaction stands in a synced log. The store keeps it and does not interpret it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The transaction's id there.
    pub id: Uuid,
    /// The log's chain digest at it.
    pub digest: [u8; 32],
}

/// A change that a rebase displaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplacedChange {
    /// Its carrier.
    pub tx: Entid,
    /// Its origin.
    pub origin: Uuid,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub detail: String,
}

/// What a rebase did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebased {
    /// Incoming transactions applied.
    pub applied: u64,
    /// Datoms in them.
    pub applied_datoms: u64,
    /// Where the local changes went that were moved off main, if there were any.
    pub side: Option<Timeline>,
    /// Local changes that became transactions with facts.
    pub reapplied: u64,
    /// Local changes that became transactions without facts: all of it was true already, or a merge policy left standing
    /// what is in the log.
    pub empty: u64,
    /// Local changes that main already had under their origin.
    pub known: u64,
    /// Local changes that became carriers, those that were carriers before left out.
    pub displaced: Vec<DisplacedChange>,
    /// Carriers that were moved along.
    pub carried: u64,
    /// Entities that local changes had allocated and that have another number now: from, to.
    pub renamed: Vec<(Entid, Entid)>,
    /// Cardinality-one values that both sides had changed, and what stands now.
    pub overwritten: Vec<Overwrite>,
    /// The id that this file has as a device from now on, where it turned out to be a copy of another file or to have been
    /// put back from a backup: the log has changes of its device that it never wrote.
    pub new_device: Option<Uuid>,
}

/// The local changes of a merge, moved off main.
struct Side<'s> {
    timeline: Timeline,
    /// The transaction they begin after.
    root: Entid,
    /// The next free user entid at the root: what lies below existed there.
    root_next: Entid,
    /// The schema at the end of them.
    schema: &'s Schema,
    /// Attributes whose local definition gives way where the log has another.
    theirs: &'s [Keyword],
    /// The entities that each of them deleted whole.
    emptied: &'s HashMap<Entid, Vec<Emptied>>,
}

/// A store inside one pass of a synchroniser.
pub struct Pass<'p, 'c> {
    working: &'p mut Working<'c>,
    env: &'p Env,
    functions: &'p Functions,
}

impl Store {
    /// Runs `pass` inside one SQLite transaction: all that it does is kept, durably, when it succeeds, and none of it
    /// when it fails.
    ///
    /// # Errors
    /// What `pass` returns, and failures of the file.
    pub fn pass<T, E: From<Error>>(&mut self, pass: impl FnOnce(&mut Pass<'_, '_>) -> Result<T, E>) -> Result<T, E> {
        let functions = self.functions.clone();
        self.write(|working, env, _| pass(&mut Pass { working, env, functions: &functions }))
    }

    /// Where a main transaction stands in the synced log, if it is known to be there.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn position(&self, tx: Entid) -> Result<Option<Position>> {
        position(&self.sql, tx)
    }

    /// Whether some main transaction is known to stand at this place in the synced log. Reads all places.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn has_position(&self, position: Position) -> Result<bool> {
        let mut statement = self.sql.prepare_cached("SELECT 1 FROM chain WHERE id = ?1 AND digest = ?2")?;
        Ok(statement.exists((position.id.as_bytes(), position.digest))?)
    }

    /// The newest main transaction that is known to be in the synced log.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn last_positioned(&self) -> Result<Option<Entid>> {
        Ok(self.sql.query_row("SELECT max(tx) FROM chain", [], |r| r.get(0))?)
    }

    /// What a synchroniser noted under this name.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn note(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let mut statement = self.sql.prepare_cached("SELECT value FROM meta WHERE key = 'sync.' || ?1")?;
        Ok(statement.query_row([name], |r| r.get(0)).optional()?)
    }
}

impl Pass<'_, '_> {
    /// The newest transaction on main.
    pub fn basis(&self) -> Entid {
        self.working.basis.tx
    }

    /// The main transaction that the change with this origin became.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn by_origin(&self, origin: Uuid) -> Result<Option<Entid>> {
        read::by_origin(self.working.sql, origin)
    }

    /// Where a main transaction stands in the synced log, if it is known to be there.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn position(&self, tx: Entid) -> Result<Option<Position>> {
        position(self.working.sql, tx)
    }

    /// Forgets that any main transaction after `tx` is in the synced log.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn forget_positions(&mut self, tx: Entid) -> Result<()> {
        self.working.sql.prepare_cached("DELETE FROM chain WHERE tx > ?1")?.execute([tx])?;
        Ok(())
    }

    /// Notes `value` under this name, or forgets it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn set_note(&mut self, name: &str, value: Option<&[u8]>) -> Result<()> {
        let sql = self.working.sql;
        match value {
            Some(value) => {
                sql.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('sync.' || ?1, ?2)", (name, value))?
            }
            None => sql.execute("DELETE FROM meta WHERE key = 'sync.' || ?1", [name])?,
        };
        Ok(())
    }

    /// Notes that a main transaction is in the synced log, and where.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn set_position(&mut self, tx: Entid, position: Position) -> Result<()> {
        let mut statement =
            self.working.sql.prepare_cached("INSERT OR REPLACE INTO chain (tx, id, digest) VALUES (?1, ?2, ?3)")?;
        statement.execute((tx, position.id.as_bytes(), position.digest))?;
        Ok(())
    }

    /// Makes main the history up to `root`, then `incoming` exactly as sent, then the local changes above `root` again.
    /// Without local changes nothing is moved and this is a fast-forward. The bootstrap always stays: a root below it
    /// means that what comes in begins with a bootstrap. Where both sides defined an attribute of `theirs`, and differently,
    /// the log's definition stands, and the local one is displaced with all that depends on it.
    ///
    /// # Errors
    /// `Damaged` where an incoming transaction does not fit the ones before it; `Definitions` where both sides defined
    /// an attribute beside `theirs` in ways that contradict; what `incoming` yields; failures of the file. The pass must
    /// fail then.
    pub fn rebase<I, T, E>(&mut self, root: Entid, theirs: &[Keyword], incoming: I) -> Result<Rebased, E>
    where
        I: IntoIterator<Item = Result<(T, Position), E>>,
        T: Into<Incoming>,
        E: From<Error>,
    {
        let root = root.max(Entid::TX0);
        let mut rebased = Rebased::default();
        let local_schema = self.working.schema.clone();
        let root_next = read::next_entid_at(self.working.sql, root).map_err(E::from)?;
        let rewound = self.working.rewind(root).map_err(|f| E::from(f.into()))?;
        rebased.side = rewound.as_ref().map(|rewound| rewound.side);
        let mut seen = match rebased.side {
            Some(timeline) => Some(incoming::Seen::new(self.working, timeline, root, root_next).map_err(E::from)?),
            None => None,
        };
        let mut copies = Copies::default();
        for item in incoming {
            let (transaction, position) = item?;
            let transaction = transaction.into();
            if let Incoming::Own(transaction) = &transaction {
                copies.look(self.working, transaction).map_err(E::from)?;
            }
            let tx = self.working.take_in(&transaction, seen.as_mut()).map_err(E::from)?;
            self.set_position(tx, position).map_err(E::from)?;
            rebased.applied += 1;
            rebased.applied_datoms += transaction.changes().len() as u64;
        }
        if let (Some(Rewound { side: timeline, emptied }), Some(seen)) = (rewound, seen) {
            let side = Side { timeline, root, root_next, schema: &local_schema, theirs, emptied: &emptied };
            reapply::reapply(self.working, self.functions, &side, seen, &mut rebased).map_err(E::from)?;
        }
        rebased.new_device = copies.settle(self.working, self.env).map_err(E::from)?;
        Ok(rebased)
    }
}

fn position(sql: &Connection, tx: Entid) -> Result<Option<Position>> {
    let mut statement = sql.prepare_cached("SELECT id, digest FROM chain WHERE tx = ?1")?;
    let mut rows = statement.query([tx])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let digest: Vec<u8> = row.get(1)?;
    let digest = digest.try_into().map_err(|_| Error::damaged("a chain digest in the store is not 32 bytes"))?;
    Ok(Some(Position { id: read_uuid(row.get_ref(0)?)?, digest }))
}
