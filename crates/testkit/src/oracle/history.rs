//! What users did, as the oracle wrote it down when they did it.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;
use tolstoy_proto::{ChainDigest, TrnId};
use tolstoy_store::{Change, Entid, Operation, Store, Transaction, TxReport};
use uuid::Uuid;

use super::intents::{Intent, acts, outcome};
use super::names::{Meant, Name, View, Who, facts_of};

/// A change as it was when it was committed.
#[derive(Debug, Clone)]
pub struct Authored {
    /// Its origin.
    pub origin: Uuid,
    /// Who committed it: devices as the simulation numbers them, whatever they call themselves.
    pub author: usize,
    /// The device it was committed on, as that called itself then.
    pub device: Uuid,
    /// When it was authored: its instant, or the last that there is.
    pub instant: Instant,
    /// The number of its transaction there and then.
    pub tx: Entid,
    /// Its datoms, as their author meant them, without its instant and what its operations came to.
    pub meant: Vec<Meant>,
    /// Its operations, as their author meant them.
    pub intents: Vec<Intent>,
    /// Its datoms as they were.
    pub changes: Vec<Change>,
    /// The entities of which something was known to its author, among those that it makes a statement about or refers to.
    pub known: BTreeSet<Entid>,
    /// The numbers of the entities that it allocated.
    pub allocated: BTreeSet<Entid>,
    /// The entities that it left without any fact.
    pub emptied: Vec<Emptied>,
    /// The changes that its author had in the store.
    pub seen: BTreeSet<Uuid>,
    /// What was transacted.
    pub text: String,
}

/// An entity that a change left without any fact.
#[derive(Debug, Clone)]
pub struct Emptied {
    /// Whom.
    pub who: Who,
    /// Whether facts that refer to it were left.
    pub referred: bool,
}

/// The last instant that anybody can say: of the year 9999.
const LAST_AUTHORED: i64 = 253_402_300_799_999_999;

/// All changes ever committed, by origin.
#[derive(Debug, Default)]
pub struct History {
    changes: BTreeMap<Uuid, Authored>,
    worn: BTreeSet<Uuid>,
    forgiven: BTreeSet<Uuid>,
    /// The change of each transaction of the log, by its id there.
    positions: BTreeMap<Uuid, Uuid>,
}

impl History {
    /// Writes down what a user just committed; `view` is what the store was before, and is brought up to date. Where it is
    /// known which `operations` the user meant, the log holds these.
    ///
    /// # Errors
    /// Where the report, the log and the numbering rules disagree.
    pub fn note(
        &mut self,
        author: usize,
        view: &mut View,
        store: &Store,
        report: &TxReport,
        text: &str,
        operations: Option<&[Operation]>,
    ) -> Result<(), String> {
        let read = store.transaction(report.tx).map_err(|e| e.to_string())?;
        let transaction = read.ok_or("the transaction that was just committed is not in the log")?;
        if !transaction.datoms().eq(report.datoms.iter().cloned())
            || (transaction.instant, transaction.origin) != (report.instant, report.origin)
            || transaction.origin.device != store.device()
        {
            return Err(format!("the report {report:?} is not what the log holds: {transaction:?}"));
        }
        self.note_found(author, view, transaction, text, operations)
    }

    /// Writes down a transaction that a user committed, and whose report nobody saw.
    ///
    /// # Errors
    /// Where it is not what a user commits.
    pub fn note_found(
        &mut self,
        author: usize,
        view: &mut View,
        transaction: Transaction,
        text: &str,
        operations: Option<&[Operation]>,
    ) -> Result<(), String> {
        if operations.is_some_and(|meant| meant != transaction.operations) {
            return Err(format!("the user meant {operations:?}, and the log holds {:?}", transaction.operations));
        }
        if transaction.origin.authored != transaction.instant.min(Instant::from_micros(LAST_AUTHORED))
            || transaction.displaced.is_some()
            || !transaction.overwritten.is_empty()
        {
            return Err(format!("a change was just committed, and the log holds {transaction:?}"));
        }
        let (origin, instant, tx) = (transaction.origin, transaction.origin.authored, transaction.tx);
        // Worked out from the numbers themselves, and only then compared with what the store says of itself.
        let high = view.facts.high();
        let seen = view.origins().collect();
        let changes: Vec<Change> = facts_of(&transaction).cloned().collect();
        let plain = plainly(view, &transaction, &changes)?;
        let acts = acts(&transaction.operations);
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
        let mentioned = changes.iter().filter(|c| c.added).flat_map(|c| [Some(c.e), c.v.as_ref_entid()]).flatten();
        let known = mentioned.filter(|e| e.is_user() && view.facts.exists(*e)).collect();
        view.take_in(transaction)?;
        let retracted: BTreeSet<Entid> = changes.iter().filter(|c| !c.added && c.e.is_user()).map(|c| c.e).collect();
        let emptied = retracted.into_iter().filter(|e| !view.facts.exists(*e));
        let emptied = emptied.map(|e| Ok(Emptied { who: view.who(e)?, referred: view.facts.is_referred_to(e) }));
        let emptied = emptied.collect::<Result<_, String>>()?;
        let meant = plain.iter().map(|c| meant(view, c)).collect::<Result<_, _>>()?;
        let intent = |(e, a, act)| Ok::<_, String>(Intent { e: view.who(e)?, a: view.who(a)?, act });
        let intents = acts.into_iter().map(intent).collect::<Result<_, _>>()?;
        let authored = Authored {
            origin: origin.id,
            author,
            device: origin.device,
            instant,
            tx,
            meant,
            intents,
            changes,
            known,
            allocated,
            emptied,
            seen,
            text: text.to_owned(),
        };
        match self.changes.insert(origin.id, authored) {
            None => Ok(()),
            Some(_) => Err("two changes have one origin".to_owned()),
        }
    }

    /// Writes down what a sync moved on a device that is not the author's: changes that the log had lost. They are known
    /// there as the log had them, without what was true already when they got there, and with what they replaced then.
    pub fn note_moved(&mut self, moved: &[Transaction], mover: usize) {
        let of_others = |origin: &Uuid| self.changes.get(origin).is_none_or(|change| change.author != mover);
        let worn: Vec<Uuid> = moved.iter().map(|t| t.origin.id).filter(of_others).collect();
        self.worn.extend(worn);
    }

    /// Writes down the ids that changes have in the log.
    pub fn acknowledge(&mut self, positions: impl IntoIterator<Item = (Uuid, Uuid)>) {
        self.positions.extend(positions);
    }

    /// The changes that are in a log, as far as devices told.
    pub fn acknowledged(&self, chain: &[(TrnId, ChainDigest)]) -> BTreeSet<Uuid> {
        chain.iter().filter_map(|(id, _)| self.positions.get(&id.0).copied()).collect()
    }

    /// The changes that are not among these.
    pub fn missing_from(&self, there: &BTreeSet<Uuid>) -> Vec<Uuid> {
        self.changes.keys().filter(|origin| !there.contains(origin) && !self.is_forgiven(origin)).copied().collect()
    }

    /// Writes down that a backup took the last copy of a change with it: it may come again, and need not.
    pub fn forgive(&mut self, origin: Uuid) {
        self.forgiven.insert(origin);
    }

    /// Whether a backup took the last copy of a change with it.
    pub fn is_forgiven(&self, origin: &Uuid) -> bool {
        self.forgiven.contains(origin)
    }

    /// The changes that were moved by others than their authors.
    pub fn worn(&self) -> &BTreeSet<Uuid> {
        &self.worn
    }

    /// Whether a change, or one that allocated an entity in it, was moved by others than its author.
    pub(super) fn is_worn(&self, authored: &Authored) -> bool {
        let whos = authored.meant.iter().flat_map(|m| [Some(&m.e), Some(&m.a), m.to.as_ref()]).flatten();
        let worn = |who: &Who| matches!(who, Who::Named(names) if names.iter().any(|n| self.worn.contains(&n.origin)));
        self.worn.contains(&authored.origin) || whos.into_iter().any(worn)
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

/// What a new change states plainly: its datoms, but for what its operations came to, which is what they had to.
fn plainly(view: &View, transaction: &Transaction, changes: &[Change]) -> Result<Vec<Change>, String> {
    let operations = acts(&transaction.operations);
    if operations.len() != transaction.operations.len() {
        // What a function comes to that is not known here is its program's to say.
        return Ok(transaction.said.clone().unwrap_or_else(|| changes.to_vec()));
    }
    let Some(said) = transaction.said.as_ref().filter(|_| !operations.is_empty()) else { return Ok(changes.to_vec()) };
    let produced = outcome(&view.facts, &operations)?;
    let all: BTreeSet<&Change> = said.iter().chain(&produced).collect();
    if !changes.iter().collect::<BTreeSet<_>>().is_subset(&all) || !produced.iter().all(|c| changes.contains(c)) {
        return Err(format!(
            "{operations:?} should come to {produced:?} beside {said:?}, and the change is {changes:?}"
        ));
    }
    Ok(said.clone())
}

fn meant(view: &View, c: &Change) -> Result<Meant, String> {
    let to: Option<Who> = c.v.as_ref_entid().map(|to| view.who(to)).transpose()?;
    Ok(Meant { e: view.who(c.e)?, number: c.e, a: view.who(c.a)?, v: c.v.clone(), to, added: c.added })
}
