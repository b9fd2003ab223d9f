//! Taking transactions off main again: the facts become what they were before them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::core::sqlite::read_value;
use crate::core::write::flags;
use crate::core::{Failure, Working, read_basis};
use crate::error::{Error, Result};
use crate::log::read::Timeline;
use crate::schema::Schema;
use crate::types::{Change, Entid};

/// What was moved off main.
#[derive(Debug)]
pub(crate) struct Rewound {
    /// Where it is now.
    pub(crate) side: Timeline,
    /// The entities that each transaction deleted whole.
    pub(crate) emptied: HashMap<Entid, Vec<Emptied>>,
}

/// An entity of which a transaction left no fact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Emptied {
    pub(crate) e: Entid,
    /// Whether it let facts stand that refer to it.
    pub(crate) referred: bool,
}

impl Working<'_> {
    /// Moves all transactions after `root` off main onto a new side timeline, and undoes them. Without such
    /// transactions nothing happens and there is no timeline.
    pub(crate) fn rewind(&mut self, root: Entid) -> Result<Option<Rewound>, Failure> {
        if root >= self.basis.tx {
            return Ok(None);
        }
        // Not number by number: in a log of the original client's, numbers may be left out.
        let sql = self.sql;
        let mut before = sql.prepare_cached("SELECT max(tx) FROM transactions WHERE timeline = 0 AND tx < ?1")?;
        let (mut tx, mut emptied) = (self.basis.tx, HashMap::new());
        while tx > root {
            let undone = self.undo_list(tx)?;
            let of_it = self.emptied(&undone)?;
            if !of_it.is_empty() {
                emptied.insert(tx, of_it);
            }
            self.undo(tx, &undone)?;
            tx = before.query_row([tx], |r| r.get(0))?;
        }
        let side: i64 =
            self.sql.query_row("SELECT coalesce(max(timeline), 0) + 1 FROM transactions", [], |r| r.get(0))?;
        for table in ["transactions", "log"] {
            let move_off = format!("UPDATE {table} SET timeline = ?1 WHERE timeline = 0 AND tx > ?2");
            self.sql.prepare_cached(&move_off)?.execute((side, root))?;
        }
        self.sql.prepare_cached("DELETE FROM chain WHERE tx > ?1")?.execute([root])?;
        self.basis = read_basis(self.sql)?.ok_or_else(|| Error::damaged("main has no transactions left"))?;
        Ok(Some(Rewound { side: Timeline(side), emptied }))
    }

    /// The entities that main's newest transaction, which did this, deleted whole.
    fn emptied(&self, done: &[(Change, Option<Entid>)]) -> Result<Vec<Emptied>> {
        let retracted: BTreeSet<Entid> = done.iter().filter(|(c, _)| !c.added).map(|(c, _)| c.e).collect();
        let mut emptied = Vec::new();
        for e in retracted {
            if !self.exists(e)? {
                emptied.push(Emptied { e, referred: !self.refs_to(e)?.is_empty() });
            }
        }
        Ok(emptied)
    }

    /// Undoes main's newest transaction: what it asserted goes, then what it retracted comes back.
    fn undo(&mut self, tx: Entid, undone: &[(Change, Option<Entid>)]) -> Result<(), Failure> {
        {
            let mut delete = self.sql.prepare_cached("DELETE FROM datoms WHERE e = ?1 AND a = ?2 AND v = ?3")?;
            for (change, _) in undone.iter().filter(|(c, _)| c.added) {
                if delete.execute((change.e, change.a, &change.v))? != 1 {
                    return Err(Error::damaged(format!("a fact that transaction {tx} asserted is missing")).into());
                }
            }
        }
        self.undo_schema(undone)?;
        let mut insert = self
            .sql
            .prepare_cached("INSERT INTO datoms (e, a, v, vt, tx, avet, uniq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for (change, was) in undone.iter().filter(|(c, _)| !c.added) {
            let (avet, uniq) = flags(&self.schema, change.a);
            insert.execute((change.e, change.a, &change.v, change.v.value_type().entid(), was, avet, uniq))?;
        }
        Ok(())
    }

    fn undo_list(&self, tx: Entid) -> Result<Vec<(Change, Option<Entid>)>> {
        let mut statement =
            self.sql.prepare_cached("SELECT e, a, v, vt, added, was FROM log WHERE timeline = 0 AND tx = ?1")?;
        let mut rows = statement.query([tx])?;
        let mut undone = Vec::new();
        while let Some(row) = rows.next()? {
            let v = read_value(row.get(3)?, row.get_ref(2)?)?;
            undone.push((Change { e: row.get(0)?, a: row.get(1)?, v, added: row.get(4)? }, row.get(5)?));
        }
        Ok(undone)
    }

    fn undo_schema(&mut self, undone: &[(Change, Option<Entid>)]) -> Result<(), Failure> {
        if !undone.iter().any(|(c, _)| Schema::concerns(c.a)) {
            return Ok(());
        }
        let before = Arc::clone(&self.schema);
        let schema = Arc::make_mut(&mut self.schema);
        for added in [true, false] {
            for (change, _) in undone.iter().filter(|(c, _)| c.added == added) {
                schema.apply(&Change { added: !added, ..change.clone() });
            }
        }
        self.reflag(&before)
    }
}

#[cfg(test)]
mod tests;
