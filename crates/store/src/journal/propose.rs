//! What applying an entry would transact, as forms that a person can read and change.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::{Keyword, Symbol, Value as Edn};
use uuid::Uuid;

use crate::bootstrap::entids::IDENT;
use crate::core::Working;
use crate::core::sqlite::read_value;
use crate::error::Result;
use crate::journal::{Entry, Lost, Settled, Standing};
use crate::log::read::{self, Timeline};
use crate::log::{Displaced, Operation, Unbound, Update};
use crate::rebase::add_difference;
use crate::schema::{Merge, Unique};
use crate::store::Store;
use crate::types::{Change, Entid, Value};

/// The longest text by which an entity is named; a number says less, and is shorter.
const LONGEST_NAME: usize = 100;

/// What applying an entry would transact beside its settlement.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The forms, as `docs/transact.md` has them.
    pub forms: Vec<Edn>,
    /// Why they cannot be transacted as they are, a sentence for each cause. Empty where nothing is known against it; the
    /// facts may still refuse it.
    pub obstacles: Vec<String>,
    /// Texts that stand among the forms for entities that have to be named first.
    pub(super) blanks: Vec<String>,
}

impl Proposal {
    /// The forms as a transaction, a line for each.
    pub fn to_text(&self) -> String {
        let forms: Vec<String> = self.forms.iter().map(ToString::to_string).collect();
        format!("[{}]", forms.join("\n "))
    }
}

impl Store {
    /// What applying an entry would transact, by the facts as they are.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn proposal(&self, entry: &Entry) -> Result<Proposal> {
        self.read(|working| propose(working, entry))
    }
}

/// What applying an entry would transact.
pub(super) fn propose(working: &Working<'_>, entry: &Entry) -> Result<Proposal> {
    let mut proposing = Proposing {
        working,
        origin: entry.id(),
        names: BTreeMap::new(),
        idents: BTreeMap::new(),
        obstacles: BTreeSet::new(),
        blanks: Vec::new(),
    };
    let forms = match &entry.transaction.displaced {
        Some(displaced) => proposing.displaced(displaced)?,
        None => proposing.values(&entry.values)?,
    };
    if forms.is_empty() {
        proposing.obstacles.insert(match &entry.transaction.displaced {
            Some(_) => "nothing is left to be done of it".to_owned(),
            None => "all its values have changed since".to_owned(),
        });
    }
    let Proposing { obstacles, blanks, .. } = proposing;
    Ok(Proposal { forms, obstacles: obstacles.into_iter().collect(), blanks })
}

/// The first digits of an entry's id.
fn short(origin: Uuid) -> String {
    origin.simple().to_string().chars().take(8).collect()
}

struct Proposing<'w, 'c> {
    working: &'w Working<'c>,
    origin: Uuid,
    /// What stands for each entity.
    names: BTreeMap<Entid, Edn>,
    /// Idents that the change gives to entities that it makes.
    idents: BTreeMap<Entid, Keyword>,
    obstacles: BTreeSet<String>,
    blanks: Vec<String>,
}

impl Proposing<'_, '_> {
    fn displaced(&mut self, displaced: &Displaced) -> Result<Vec<Edn>> {
        let (mut changes, operations) = self.still_meant(displaced)?;
        // First who is new, in the order in which the change made them.
        changes.sort_by_key(|c| (c.e.get() >= 0, c.e.get().abs()));
        let idents = changes.iter().filter(|c| c.added && c.a == IDENT && c.e.get() < 0);
        self.idents = idents.filter_map(|c| Some((c.e, c.v.as_keyword()?.clone()))).collect();
        self.name_new(&displaced.unbound);
        let own = self.origin;
        for unbound in displaced.unbound.iter().filter(|u| u.origin != own) {
            let is_mentioned = changes.iter().any(|c| mentions(c, unbound.entid))
                || operations.iter().any(|o| o.mentions().contains(&unbound.entid));
            if is_mentioned {
                let name = self.outside(unbound)?;
                self.names.insert(unbound.entid, name);
            }
        }
        self.name_old(&changes, &operations)?;
        let mut forms = Vec::new();
        for change in &changes {
            forms.push(self.form(change));
        }
        for operation in &operations {
            if let Operation::Unknown { kind, .. } = operation {
                self.obstacles.insert(format!("it has an operation of a newer version, {kind:?}: update Tolstoy"));
            }
            forms.push(operation.to_edn_with(|e| self.in_operation(e)));
        }
        Ok(forms)
    }

    fn values(&mut self, values: &[Lost]) -> Result<Vec<Edn>> {
        let mut changes = Vec::new();
        for lost in values.iter().filter(|lost| lost.standing != Standing::Moot) {
            let (e, a) = (lost.overwrite.e, lost.overwrite.a);
            match lost.value() {
                Some(value) => changes.push(Change::add(e, a, value.clone())),
                None => changes.extend(lost.now.iter().map(|now| Change::retract(e, a, now.clone()))),
            }
        }
        self.name_old(&changes, &[])?;
        Ok(changes.iter().map(|change| self.form(change)).collect())
    }

    /// The change without what is true already, what it replaces, and what it retracts and is gone. What it adds to a sum is an
    /// operation.
    fn still_meant(&self, displaced: &Displaced) -> Result<(Vec<Change>, Vec<Operation>)> {
        let mut changes = Vec::new();
        let mut operations = displaced.operations.clone();
        for group in displaced.changes.chunk_by(|x, y| (x.e, x.a) == (y.e, y.a)) {
            let (retracts, adds) = group.split_at(group.partition_point(|c| !c.added));
            let attribute = group.first().and_then(|c| self.working.schema.attribute(c.a)).filter(|d| d.is_one());
            let replaces = attribute.is_some() && !adds.is_empty();
            if let (Some(attribute), [Change { e, a, v, .. }]) = (attribute, adds)
                && attribute.merge() == Some(Merge::Sum)
                && e.get() >= 0
                && let Some(by) = add_difference(None, v, retracts.first().map(|c| &c.v))
            {
                operations.push(Operation::Update { e: *e, a: *a, update: Update::Inc(by) });
                continue;
            }
            for change in group.iter().filter(|c| c.added || !replaces) {
                let is_true = self.working.asserted(change.e, change.a, &change.v)?.is_some();
                if is_true != change.added {
                    changes.push(change.clone());
                }
            }
        }
        Ok((changes, operations))
    }

    /// Names for the entities that the change made itself.
    fn name_new(&mut self, unbound: &[Unbound]) {
        let own = unbound.iter().filter(|u| u.origin == self.origin);
        let mut n = 0;
        for Unbound { entid, authored, .. } in own {
            let name = if authored.get() == 0 {
                let this = Symbol::parse("transaction-tx").map(Edn::Symbol);
                Edn::List(this.into_iter().collect())
            } else {
                n += 1;
                Edn::String(format!("new{n}").into())
            };
            self.names.insert(*entid, name);
        }
    }

    /// Names for the entities of main. What is said about one that was deleted would make a skeleton of it.
    fn name_old(&mut self, changes: &[Change], operations: &[Operation]) -> Result<()> {
        let is_identity = |a| self.working.schema.attribute(a).is_some_and(|d| d.unique() == Some(Unique::Identity));
        let restated: BTreeSet<Entid> = changes.iter().filter(|c| c.added && is_identity(c.a)).map(|c| c.e).collect();
        let added = changes.iter().filter(|c| c.added).flat_map(|c| [Some(c.e), c.v.as_ref_entid()]).flatten();
        let needed: BTreeSet<Entid> = added.chain(operations.iter().flat_map(Operation::mentions)).collect();
        let gone = changes.iter().filter(|c| !c.added).flat_map(|c| [Some(c.e), c.v.as_ref_entid()]).flatten();
        let all: BTreeSet<Entid> = needed.iter().copied().chain(gone).filter(|e| e.get() >= 0).collect();
        for e in all {
            if e.is_user() && needed.contains(&e) && !restated.contains(&e) && !self.working.exists(e)? {
                self.obstacles.insert(format!(
                    "it mentions entity {e}, which was deleted: state its identity again too, or put another in its place"
                ));
            }
            let name = self.known(e)?;
            self.names.insert(e, name);
        }
        Ok(())
    }

    /// An entity of main by its ident, or by a unique value, or by its number.
    fn known(&self, e: Entid) -> Result<Edn> {
        if let Some(ident) = self.working.schema.ident(e) {
            return Ok(Edn::Keyword(ident.clone()));
        }
        let mut statement =
            self.working.sql.prepare_cached("SELECT a, v, vt FROM datoms WHERE e = ?1 AND uniq = 1 ORDER BY a, v")?;
        let mut rows = statement.query([e])?;
        while let Some(row) = rows.next()? {
            let v = read_value(row.get(2)?, row.get_ref(1)?)?;
            if let Some(named) = self.lookup(row.get(0)?, &v) {
                return Ok(named);
            }
        }
        Ok(Edn::Integer(e.get()))
    }

    /// The lookup ref with this value, where a person can read it.
    fn lookup(&self, a: Entid, v: &Value) -> Option<Edn> {
        let ident = self.working.schema.ident(a).filter(|_| v.as_ref_entid().is_none())?;
        let v = v.to_edn();
        (v.to_string().chars().count() <= LONGEST_NAME).then(|| Edn::Vector(vec![Edn::Keyword(ident.clone()), v]))
    }

    /// An entity that another displaced change made.
    fn outside(&mut self, unbound: &Unbound) -> Result<Edn> {
        let Unbound { origin, authored, .. } = *unbound;
        let settled = Settled::read(self.working)?.by(origin);
        if authored.get() == 0 {
            // What is said about a change is true of the one that it was applied as.
            if let Some(by) = settled.last() {
                return Ok(Edn::Integer(by.get()));
            }
            let what = format!("the transaction of the displaced change {}", short(origin));
            return Ok(self.blank(unbound, &what, "apply that first, then put the one that did it"));
        }
        let known = self.identities_of(unbound)?;
        let holders: BTreeSet<Entid> = known.iter().filter_map(|(_, holder)| *holder).collect();
        let first = known.iter().find(|(_, holder)| holder.is_some()).or(known.first());
        let Some((name, _)) = first.filter(|_| holders.len() < 2) else {
            let what = format!(
                "an entity that the displaced change {} made, and no identity tells which it is",
                short(origin)
            );
            let first = if settled.is_empty() { "apply that first, then " } else { "" };
            return Ok(self.blank(unbound, &what, &format!("{first}put the entity")));
        };
        if holders.is_empty() {
            let first = if settled.is_empty() { "apply that first, or " } else { "" };
            self.obstacles.insert(format!(
                "it mentions the entity {name} that the displaced change {} made, and there is none: {first}put another in its place",
                short(origin)
            ));
        }
        Ok(name.clone())
    }

    /// The identities that another displaced change gave to an entity that it made, each with who has it now.
    fn identities_of(&self, unbound: &Unbound) -> Result<Vec<(Edn, Option<Entid>)>> {
        let Some(tx) = read::by_origin(self.working.sql, unbound.origin)? else { return Ok(Vec::new()) };
        let carrier = read::transaction(self.working.sql, Timeline::MAIN, tx)?;
        let Some(displaced) = carrier.and_then(|t| t.displaced) else { return Ok(Vec::new()) };
        let same = |u: &&Unbound| (u.origin, u.authored) == (unbound.origin, unbound.authored);
        let Some(there) = displaced.unbound.iter().find(same) else { return Ok(Vec::new()) };
        let mut identities = Vec::new();
        for Change { a, v, .. } in displaced.changes.iter().filter(|c| c.added && c.e == there.entid) {
            let attribute = self.working.schema.attribute(*a);
            let name = match v {
                Value::Keyword(ident) if *a == IDENT => Some(Edn::Keyword(ident.clone())),
                _ if attribute.is_some_and(|d| d.unique() == Some(Unique::Identity)) => self.lookup(*a, v),
                _ => None,
            };
            if let Some(name) = name {
                identities.push((name, self.working.holder(*a, v)?));
            }
        }
        Ok(identities)
    }

    /// A text in the place of what cannot be named, and what is to be done about that.
    fn blank(&mut self, unbound: &Unbound, what: &str, then: &str) -> Edn {
        let name = format!("{} of {}", unbound.authored, unbound.origin);
        self.obstacles.insert(format!("it mentions {what}: {then} in the place of {name:?}"));
        self.blanks.push(name.clone());
        Edn::String(name.into())
    }

    fn form(&mut self, change: &Change) -> Edn {
        let operation = keyword(if change.added { "db/add" } else { "db/retract" });
        let a = self.attribute(change.a);
        let v = change.v.as_ref_entid().map_or_else(|| change.v.to_edn(), |to| self.name(to));
        Edn::Vector(vec![operation, self.name(change.e), a, v])
    }

    fn name(&self, e: Entid) -> Edn {
        self.names.get(&e).cloned().unwrap_or(Edn::Integer(e.get()))
    }

    fn in_operation(&self, e: Entid) -> Edn {
        self.idents.get(&e).map_or_else(|| self.name(e), |ident| Edn::Keyword(ident.clone()))
    }

    /// The keyword of an attribute: no other name can stand in its place.
    fn attribute(&mut self, a: Entid) -> Edn {
        let ident = self.idents.get(&a).or_else(|| self.working.schema.ident(a)).cloned();
        match (ident, self.names.get(&a)) {
            (Some(ident), _) => Edn::Keyword(ident),
            (None, Some(Edn::Keyword(ident))) => Edn::Keyword(ident.clone()),
            (None, name) => {
                if a.get() < 0 {
                    self.obstacles.insert("it states something by an attribute that has no name here".to_owned());
                }
                name.cloned().unwrap_or(Edn::Integer(a.get()))
            }
        }
    }
}

fn mentions(change: &Change, e: Entid) -> bool {
    [Some(change.e), Some(change.a), change.v.as_ref_entid()].contains(&Some(e))
}

fn keyword(text: &str) -> Edn {
    Keyword::parse(text).map_or_else(|| Edn::String(text.into()), Edn::Keyword)
}
