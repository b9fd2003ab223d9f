//! What users did, as the oracle wrote it down when they did it.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;
use tolstoy_store::{Change, Entid, Store, TxReport};
use uuid::Uuid;

use super::names::{Meant, Name, View, Who, facts_of};

/// A change as it was when it was committed.
#[derive(Debug, Clone)]
pub struct Authored {
    /// Its origin.
    pub origin: Uuid,
    /// The device it was committed on.
    pub device: Uuid,
    /// Its instant.
    pub instant: Instant,
    /// The number of its transaction there and then.
    pub tx: Entid,
    /// Its datoms, without its instant, as their author meant them.
    pub meant: Vec<Meant>,
    /// Its datoms as they were.
    pub changes: Vec<Change>,
    /// The numbers of the entities that it allocated.
    pub allocated: BTreeSet<Entid>,
    /// The changes that its author had in the store.
    pub seen: BTreeSet<Uuid>,
    /// What was transacted.
    pub text: String,
}

/// All changes ever committed, by origin.
#[derive(Debug, Default)]
pub struct History {
    changes: BTreeMap<Uuid, Authored>,
}

impl History {
    /// Writes down what a user just committed; `view` is what the store was before, and is brought up to date.
    ///
    /// # Errors
    /// Where the report, the log and the numbering rules disagree.
    pub fn note(&mut self, view: &mut View, store: &Store, report: &TxReport, text: &str) -> Result<(), String> {
        let read = store.transaction(report.tx).map_err(|e| e.to_string())?;
        let transaction = read.ok_or("the transaction that was just committed is not in the log")?;
        if !transaction.datoms().eq(report.datoms.iter().cloned())
            || (transaction.instant, transaction.origin) != (report.instant, report.origin)
            || transaction.origin.device != store.device()
            || transaction.origin.authored != transaction.instant
            || transaction.displaced.is_some()
            || !transaction.overwritten.is_empty()
        {
            return Err(format!("the report {report:?} is not what the log holds: {transaction:?}"));
        }
        // Worked out from the numbers themselves, and only then compared with what the store says of itself.
        let high = view.facts.high();
        let seen = view.origins().collect();
        let changes: Vec<Change> = facts_of(&transaction).cloned().collect();
        let allocated: BTreeSet<Entid> = changes
            .iter()
            .flat_map(|c| [Some(c.e), c.v.as_ref_entid()])
            .flatten()
            .filter(|e| e.is_user() && *e > high)
            .collect();
        let said: BTreeSet<Entid> =
            transaction.entids.iter().flat_map(|r| (0..r.count).map(|n| r.authored.plus(n))).collect();
        if said != allocated || transaction.entids.iter().any(|r| r.authored != r.current) {
            return Err(format!("a new change allocated {allocated:?}, and says that it was {said:?}"));
        }
        view.take_in(transaction)?;
        let meant = changes.iter().map(|c| meant(view, c)).collect::<Result<_, _>>()?;
        let authored = Authored {
            origin: report.origin.id,
            device: report.origin.device,
            instant: report.instant,
            tx: report.tx,
            meant,
            changes,
            allocated,
            seen,
            text: text.to_owned(),
        };
        match self.changes.insert(report.origin.id, authored) {
            None => Ok(()),
            Some(_) => Err("two changes have one origin".to_owned()),
        }
    }

    /// All changes.
    pub fn changes(&self) -> impl Iterator<Item = &Authored> {
        self.changes.values()
    }

    /// The change with this origin.
    pub fn get(&self, origin: Uuid) -> Option<&Authored> {
        self.changes.get(&origin)
    }

    /// Whether a change allocated the entity with this name.
    pub fn knows(&self, name: &Name) -> bool {
        self.get(name.origin).is_some_and(|c| {
            [Name::OWN, Name::CARRIER].contains(&name.authored) || c.allocated.contains(&name.authored)
        })
    }
}

fn meant(view: &View, c: &Change) -> Result<Meant, String> {
    let to: Option<Who> = c.v.as_ref_entid().map(|to| view.who(to)).transpose()?;
    Ok(Meant { e: view.who(c.e)?, a: view.who(c.a)?, v: c.v.clone(), to, added: c.added })
}
