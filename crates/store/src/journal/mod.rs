//! The journal: what merges did not do as it was meant, and what became of it since. `docs/sync.md` says what an entry is.
//!
//! Nothing of it is stored. An entry is a transaction of main, its settlement a fact, and all else follows from the facts.

mod propose;
mod settle;

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use crate::bootstrap::entids::JOURNAL_SETTLES;
use crate::core::Working;
use crate::core::sqlite::{listed_in, read_uuid};
use crate::error::{Error, ErrorKind, Result};
use crate::log::read::{self, Timeline};
use crate::log::{Displaced, Operation, Overwrite, Stands, Transaction};
use crate::schema::Merge;
use crate::store::Store;
use crate::types::{Entid, Value};

pub use propose::Proposal;
pub use settle::Settling;
pub(crate) use settle::settled_between;

/// Transactions read at a time.
const PAGE: usize = 64;

/// What a merge did not do as it was meant: a change that was displaced, or values that both sides had changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The transaction that it is; its origin is the entry's id.
    pub transaction: Transaction,
    /// Of the values that both sides changed, what became of each.
    pub values: Vec<Lost>,
    /// Where a displaced change would say something about an entity that the log has, what stands now.
    pub touches: Vec<Touched>,
    /// The transactions that settled it.
    pub settled_by: Vec<Entid>,
}

/// The values that an entity has for an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The entity.
    pub e: Entid,
    /// The attribute.
    pub a: Entid,
    /// The values, in order.
    pub now: Vec<Value>,
}

/// A value that both sides of a merge changed, and what became of it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What the merge met, and what it left.
    pub overwrite: Overwrite,
    /// The values that stand now, in order.
    pub now: Vec<Value>,
    /// Whether somebody has to look at it.
    pub standing: Standing,
}

/// Whether somebody has to look at a value that both sides changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The attribute's merge policy puts it before somebody.
    Waits,
    /// What the merge left still stands.
    Noted,
    /// It has changed since.
    Moot,
}

/// Whether somebody has to look at an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has settled it.
    Waits,
    /// It is told, and nothing is expected.
    Noted,
    /// All its values have changed since.
    Moot,
    /// A transaction settled it.
    Settled,
}

impl State {
    /// The word that stands for it in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waits => "waiting",
            Self::Noted => "noted",
            Self::Moot => "moot",
            Self::Settled => "settled",
        }
    }
}

impl Lost {
    /// The value that the merge did not let stand: the local one or, where that stands, the one that came in. `None` where
    /// that side had retracted it.
    pub const fn value(&self) -> Option<&Value> {
        match self.overwrite.stands {
            Stands::Local => self.overwrite.incoming.as_ref(),
            Stands::Instead(_) => Some(&self.overwrite.local),
        }
    }
}

impl Entry {
    /// What names it, on every device and after every rebase.
    pub const fn id(&self) -> Uuid {
        self.transaction.origin.id
    }

    /// Whether somebody has to look at it.
    pub fn state(&self) -> State {
        let any = |standing| self.values.iter().any(|v| v.standing == standing);
        if !self.settled_by.is_empty() {
            State::Settled
        } else if self.transaction.displaced.is_some() || any(Standing::Waits) {
            State::Waits
        } else if any(Standing::Noted) {
            State::Noted
        } else {
            State::Moot
        }
    }
}

impl Store {
    /// Shows `see` all entries of the journal, oldest first, as they are at one moment, at which it may also ask the store for more. A
    /// few of them are in memory at a time, and beside them the ids of those that are settled.
    ///
    /// # Errors
    /// What `see` returns, and where the file cannot be read.
    pub fn journal<E: From<Error>>(&self, mut see: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        self.read(|working| working.journal(&mut see))
    }

    /// How many entries of the journal wait.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn waiting(&self) -> Result<u64> {
        let mut waiting = 0;
        self.journal(|entry| {
            waiting += u64::from(entry.state() == State::Waits);
            Ok::<_, Error>(())
        })?;
        Ok(waiting)
    }

    /// The entries whose ids begin so, in the order of their ids.
    ///
    /// # Errors
    /// `Input` where that is no beginning of an id.
    pub fn entries(&self, id: &str) -> Result<Vec<Entry>> {
        let (first, last) = range(id).ok_or_else(|| {
            let message = format!("{id:?} is no beginning of an entry's id, which is a UUID");
            Error::new(ErrorKind::Input, message)
        })?;
        self.read(|working| {
            let mut entries = Vec::new();
            let mut settled = None;
            for tx in read::by_origins(working.sql, first, last)? {
                let Some(head) = read::head_of(working.sql, tx)?.filter(is_entry) else { continue };
                if settled.is_none() {
                    settled = Some(Settled::read(working)?);
                }
                if let Some(settled) = &settled {
                    entries.push(working.entry(head, settled)?);
                }
            }
            Ok(entries)
        })
    }
}

/// All settlements that stand: what is settled, and by which transactions.
struct Settled(HashMap<Uuid, Vec<Entid>>);

impl Settled {
    fn read(working: &Working<'_>) -> Result<Self> {
        let indexed = working.schema.attribute(JOURNAL_SETTLES).is_some_and(|d| d.indexed());
        let all = format!("SELECT e, v FROM datoms WHERE a = ?1 AND {} ORDER BY e", listed_in(indexed));
        let mut statement = working.sql.prepare_cached(&all)?;
        let mut rows = statement.query([JOURNAL_SETTLES])?;
        let mut settled: HashMap<Uuid, Vec<Entid>> = HashMap::new();
        while let Some(row) = rows.next()? {
            let by: Entid = row.get(0)?;
            if by.is_tx() {
                settled.entry(read_uuid(row.get_ref(1)?)?).or_default().push(by);
            }
        }
        Ok(Self(settled))
    }

    fn by(&self, origin: Uuid) -> Vec<Entid> {
        self.0.get(&origin).cloned().unwrap_or_default()
    }
}

/// Whether a merge did not do all of the transaction as it was meant.
fn is_entry(transaction: &Transaction) -> bool {
    transaction.displaced.is_some() || !transaction.overwritten.is_empty()
}

impl Working<'_> {
    fn journal<E: From<Error>>(&self, see: &mut impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        let settled = Settled::read(self).map_err(E::from)?;
        let mut after = Entid::TX0;
        loop {
            let page = read::perhaps_entries(self.sql, after, PAGE).map_err(E::from)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.tx;
            for head in page.into_iter().filter(is_entry) {
                see(self.entry(head, &settled).map_err(E::from)?)?;
            }
        }
    }

    /// The entry with this id, if there is one.
    fn entry_of(&self, origin: Uuid) -> Result<Option<Entry>> {
        let Some(tx) = read::by_origin(self.sql, origin)? else { return Ok(None) };
        let head = read::head_of(self.sql, tx)?.filter(is_entry);
        head.map(|head| self.entry(head, &Settled::read(self)?)).transpose()
    }

    fn entry(&self, head: Transaction, settled: &Settled) -> Result<Entry> {
        let transaction = read::with_changes(self.sql, Timeline::MAIN, head)?;
        let values = transaction.overwritten.iter().map(|o| self.lost(o)).collect::<Result<_>>()?;
        let settled_by = settled.by(transaction.origin.id);
        let touches = transaction.displaced.as_ref().map_or(Ok(Vec::new()), |d| self.touched(d))?;
        Ok(Entry { transaction, values, touches, settled_by })
    }

    fn touched(&self, displaced: &Displaced) -> Result<Vec<Touched>> {
        let stated = displaced.changes.iter().map(|c| (c.e, c.a));
        let updated = displaced.operations.iter().filter_map(|operation| match operation {
            Operation::Update { e, a, .. } => Some((*e, *a)),
            Operation::Call { .. } | Operation::Unknown { .. } => None,
        });
        let places: BTreeSet<(Entid, Entid)> = stated.chain(updated).collect();
        let known = places.into_iter().filter(|(e, a)| e.get() >= 0 && a.get() >= 0);
        known.map(|(e, a)| Ok(Touched { e, a, now: self.in_order(e, a)? })).collect()
    }

    fn in_order(&self, e: Entid, a: Entid) -> Result<Vec<Value>> {
        let mut now: Vec<Value> = self.values(e, a)?.into_iter().map(|(v, _)| v).collect();
        now.sort();
        Ok(now)
    }

    fn lost(&self, overwrite: &Overwrite) -> Result<Lost> {
        let now = self.in_order(overwrite.e, overwrite.a)?;
        let stands = overwrite.result().map_or(now.is_empty(), |left| now.contains(left));
        let policy = self.schema.attribute(overwrite.a).and_then(|d| d.merge());
        let standing = match overwrite.stands {
            _ if !stands => Standing::Moot,
            Stands::Instead(_) if policy == Some(Merge::Journal) => Standing::Waits,
            _ => Standing::Noted,
        };
        Ok(Lost { overwrite: overwrite.clone(), now, standing })
    }
}

/// The first and the last UUID that begins with this text, hyphens left out.
fn range(prefix: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    let missing = 32_usize.checked_sub(digits.chars().count())?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let fill = |digit: &str| u128::from_str_radix(&format!("{digits}{}", digit.repeat(missing)), 16).ok();
    Some((Uuid::from_u128(fill("0")?), Uuid::from_u128(fill("f")?)))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn an_id_may_be_given_by_its_beginning() {
        let text = |id: &str| range(id).map(|(first, last)| (first.to_string(), last.to_string()));
        let [zeros, last] = ["1234abcd-5000-0000-0000-000000000000", "1234abcd-5fff-ffff-ffff-ffffffffffff"];
        assert_eq!(text("1234ABCD-5"), Some((zeros.to_owned(), last.to_owned())));
        assert_eq!(text(zeros), Some((zeros.to_owned(), zeros.to_owned())));
        for none in ["", "-", "12g4", "1234abcd-5000-0000-0000-0000000000001", "é"] {
            assert_eq!(text(none), None, "{none}");
        }
    }
}
