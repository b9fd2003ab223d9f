//! The judgement over a log that everybody agreed on, against what users committed.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;
use tolstoy_store::{Change, Entid, Overwrite, Transaction, Update, Value};
use uuid::Uuid;

use super::claims::Claim;
use super::facts::{Facts, core, gives_meaning, show};
use super::history::{Authored, History};
use super::intents::{Act, At, Intent, outcome};
use super::names::{Meant, Name, Who, facts_of, names};
use super::policies::{Demand, Places, places};
use super::settled::settlements;

/// What the judged log held, for coverage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Numbers that were allocated for different entities on different devices.
    pub colliding_entids: u64,
    /// Idents that several devices gave to new entities of different numbers.
    pub differing_attributes: u64,
    /// Mentions of entities whose allocation was displaced, by changes that did not allocate them.
    pub refs_into_displaced: u64,
    /// Facts that users retracted.
    pub retractions: u64,
    /// Carriers, by the word of their reason.
    pub displaced: BTreeMap<&'static str, u64>,
    /// Values that overwrote concurrent ones, as far as the oracle demanded that they are listed.
    pub overwritten: u64,
    /// Operations that were done.
    pub operations: u64,
    /// Of them, functions that took from a counter.
    pub calls: u64,
    /// Values that only increments made, each the sum of them.
    pub counters: u64,
    /// Values that a merge policy decided otherwise than the change said, by its word.
    pub policies: BTreeMap<&'static str, u64>,
    /// Definitions that were displaced since the log has another.
    pub gave_way: u64,
    /// Entities that a change deleted whole.
    pub deleted: u64,
    /// Entries of the journal that are settled.
    pub settled: u64,
    /// Changes that apply an entry which another device had settled, and so were displaced.
    pub settled_elsewhere: u64,
    /// Entities that were one with an entity of another device.
    pub unified: u64,
    /// Of them, those that took the identity in a later change than the one that allocated them.
    pub unified_late: u64,
}

/// Judges a log against the history.
///
/// The entity correspondence is verified, not trusted. What each number meant to its author was written down in names (the
/// change that brought the entity into being, and the number it had there). The log's `entids` claim an entity for each
/// name; the claim is accepted if every change, read in names, is accounted for under it, and if it gives one entity to
/// several names only where those names took the same unique identity. A claim that passes both is, up to a renaming that
/// no fact can tell, the true one.
///
/// # Errors
/// What was lost, doubled, made up or misplaced.
pub fn judge(log: &[Transaction], history: &History) -> Result<Verdict, String> {
    let mut judge = Judge::new(log, history)?;
    judge.origins(log)?;
    let mut rest = log.iter();
    let bootstrap = rest.next().ok_or("the log has no bootstrap")?;
    let mut facts = Facts::default();
    facts.apply(bootstrap)?;
    let mut previous = bootstrap.instant;
    for transaction in rest {
        judge
            .transaction(transaction, &mut facts, previous)
            .map_err(|what| format!("transaction {} of {}: {what}", transaction.tx, transaction.origin.id))?;
        previous = transaction.instant;
    }
    judge.unifications(&facts)?;
    judge.sums(&facts)?;
    judge.verdict.settled = settlements(log, &facts)?;
    judge.count();
    Ok(judge.verdict)
}

/// The facts that a transaction takes back, with the transactions that asserted them.
type Replaced = BTreeMap<(Entid, Entid, Value), Entid>;

pub(super) struct Judge<'h> {
    pub(super) history: &'h History,
    /// Who each name is in this log.
    pub(super) is: BTreeMap<Name, Entid>,
    pub(super) carriers: BTreeSet<Uuid>,
    /// Each main transaction's origin.
    pub(super) origin_of: BTreeMap<Entid, Uuid>,
    /// What the increments of a value add up to.
    counters: BTreeMap<(Entid, Entid), i64>,
    /// The values of which more was said than increments.
    touched: BTreeSet<(Entid, Entid)>,
    /// The entities that were deleted whole, each by which change.
    pub(super) deleted: BTreeMap<Entid, Uuid>,
    /// Who asserted a value of a unique identity.
    pub(super) claims: BTreeMap<(Entid, Value), Vec<Claim<'h>>>,
    /// What became of values.
    pub(super) places: Places,
    /// Who first said what of an attribute's meaning.
    meanings: BTreeMap<Change, Uuid>,
    pub(super) verdict: Verdict,
}

impl<'h> Judge<'h> {
    fn new(log: &[Transaction], history: &'h History) -> Result<Self, String> {
        let mut is = BTreeMap::new();
        let mut carriers = BTreeSet::new();
        for transaction in log.iter().skip(1) {
            for (name, e) in names(transaction) {
                if !history.knows(&name) {
                    return Err(format!("{} claims {name:?}, which nobody allocated", transaction.tx));
                }
                if is.insert(name, e).is_some() {
                    return Err(format!("{name:?} is two entities"));
                }
            }
            if transaction.displaced.is_some() {
                carriers.insert(transaction.origin.id);
            } else {
                is.insert(Name { origin: transaction.origin.id, authored: Name::CARRIER }, transaction.tx);
            }
        }
        let origin_of = log.iter().map(|t| (t.tx, t.origin.id)).collect();
        Ok(Self {
            history,
            is,
            carriers,
            origin_of,
            counters: BTreeMap::new(),
            touched: BTreeSet::new(),
            deleted: BTreeMap::new(),
            claims: BTreeMap::new(),
            places: Places::default(),
            meanings: BTreeMap::new(),
            verdict: Verdict::default(),
        })
    }

    /// Every origin occurs once, and nothing else does.
    fn origins(&self, log: &[Transaction]) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for transaction in log.iter().skip(1) {
            if !found.insert(transaction.origin.id) {
                return Err(format!("the change {} is in the log twice", transaction.origin.id));
            }
        }
        for authored in self.history.changes() {
            if !found.contains(&authored.origin) && !self.history.is_forgiven(&authored.origin) {
                return Err(format!("the change {} is lost: {}", authored.origin, authored.text));
            }
        }
        for authored in self.history.changes().filter(|c| found.contains(&c.origin)) {
            for number in &authored.allocated {
                let name = Name { origin: authored.origin, authored: *number };
                if !self.is.contains_key(&name) && !self.carriers.contains(&authored.origin) {
                    return Err(format!("the applied change {} has no entity for {number}", authored.origin));
                }
            }
        }
        Ok(())
    }

    fn transaction(&mut self, t: &Transaction, facts: &mut Facts, previous: Instant) -> Result<(), String> {
        let history = self.history;
        let authored = history.get(t.origin.id).ok_or("nobody committed it")?;
        if (t.origin.device, t.origin.authored) != (authored.device, authored.instant) {
            return Err("its device or its authored instant is not the one it had".to_owned());
        }
        let instant = authored.instant.max(Instant::from_micros(previous.as_micros() + 1));
        if t.instant != instant {
            return Err(format!("its instant is {:?} and should be {instant:?}", t.instant));
        }
        let said = self.said(authored)?;
        let identifying: BTreeSet<Entid> = said.iter().map(|(_, c)| c.a).filter(|a| facts.identifies(*a)).collect();
        let replaced: Replaced =
            facts_of(t).filter_map(|c| Some(((c.e, c.a, c.v.clone()), facts.asserted(c.e, c.a, &c.v)?))).collect();
        let produced = if t.displaced.is_some() { BTreeSet::new() } else { self.produced(authored, facts)? };
        let skeleton = self.skeleton(authored, &said, facts);
        if t.displaced.is_none() {
            other_type(&said, facts)?;
        }
        let demands = if t.displaced.is_some() { Vec::new() } else { self.demands(authored, facts)? };
        let (before, operations) = (places(t, facts), self.operates_on(authored)?);
        facts.apply(t)?;
        self.places.take_in(t, before, facts, &operations);
        let retracted = facts_of(t).filter(|c| !c.added).map(|c| c.e);
        self.deleted.extend(retracted.filter(|e| !facts.exists(*e)).map(|e| (e, authored.origin)));
        for (meant, change) in said {
            if identifying.contains(&change.a) || facts.identifies(change.a) {
                self.note_claim(authored, meant, change);
            }
        }
        match &t.displaced {
            Some(displaced) => self.carrier(t, displaced, authored, facts),
            None => skeleton
                .map_or(Ok(()), Err)
                .and_then(|()| self.is_deleted_whole(authored, facts))
                .and_then(|()| self.applied(t, authored, (&replaced, &produced, &demands), facts)),
        }
        .map_err(|what| format!("{what}\n  authored: {}", authored.text))
    }

    /// The entity that its author meant, in this log; none where its allocation was displaced.
    pub(super) fn entity(&self, who: &Who) -> Result<Option<Entid>, String> {
        let named = match who {
            Who::Core(e) => return Ok(Some(*e)),
            Who::Named(names) => names,
        };
        let images: BTreeSet<Option<Entid>> = named.iter().map(|name| self.is.get(name).copied()).collect();
        match (images.len(), images.first()) {
            (1, Some(image)) => Ok(*image),
            _ => Err(format!("{named:?} were one entity to the author, and now are {images:?}")),
        }
    }

    /// The change in entities of this log; none where it mentions one that this log does not have.
    pub(super) fn image(&self, meant: &Meant) -> Result<Option<Change>, String> {
        let (e, a) = (self.entity(&meant.e)?, self.entity(&meant.a)?);
        let v = match &meant.to {
            Some(to) => self.entity(to)?.map(Value::Ref),
            None => Some(meant.v.clone()),
        };
        Ok(match (e, a, v) {
            (Some(e), Some(a), Some(v)) => Some(Change { e, a, v, added: meant.added }),
            _ => None,
        })
    }

    fn applied(
        &mut self,
        t: &Transaction,
        authored: &Authored,
        (replaced, produced, demands): (&Replaced, &BTreeSet<Change>, &[Demand]),
        after: &Facts,
    ) -> Result<(), String> {
        let mut expected = BTreeSet::new();
        for meant in &authored.meant {
            let image = self.image(meant)?;
            expected.insert(image.ok_or("it was applied, though it mentions an entity that was displaced")?);
        }
        self.count_up(t, authored, produced)?;
        expected.extend(produced.iter().cloned());
        let whole = !self.history.is_worn(authored);
        // Two values that were found to be one entity: what the change replaced one by the other with is stated.
        let restated = |c: &Change| !c.added && expected.contains(&Change { added: true, ..c.clone() });
        // Two made one definition, each for itself; what became of the first since is not undone by the second.
        let made_alike = |c: &Change| c.added && self.meanings.get(c).is_some_and(|by| !authored.seen.contains(by));
        let decided = |c: &Change| demands.iter().any(|d| d.is_about(c));
        for change in expected.iter().filter(|c| whole && !restated(c) && !made_alike(c) && !decided(c)) {
            if after.holds(change.e, change.a, &change.v) != change.added {
                return Err(format!("{} was committed, and is not so after it", show(change)));
            }
        }
        for done in facts_of(t) {
            let replaces = |c: &Change| c.added && (c.e, c.a) == (done.e, done.a) && after.is_one(c.a);
            let implied = done.added
                && (done.a, &done.v) == (core::INDEX, &Value::Boolean(true))
                && expected.iter().any(|c| c.e == done.e);
            let by_policy = demands.iter().any(|d| d.explains(done, self.history));
            if !expected.contains(done) && !implied && !by_policy && (done.added || !expected.iter().any(replaces)) {
                return Err(format!("it does {}, which nobody committed", show(done)));
            }
        }
        self.overwrites(t, authored, &expected, (replaced, demands), after)?;
        self.decided(t, demands, after)?;
        for said in facts_of(t).filter(|c| c.added && gives_meaning(c.a)) {
            self.meanings.entry(said.clone()).or_insert(t.origin.id);
        }
        Ok(())
    }

    /// What its author asserted, as far as it can be said in entities of this log.
    fn said(&self, authored: &'h Authored) -> Result<Vec<(&'h Meant, Change)>, String> {
        let mut said = Vec::new();
        for meant in authored.meant.iter().filter(|m| m.added) {
            said.extend(self.image(meant)?.map(|change| (meant, change)));
        }
        Ok(said)
    }

    /// An operation in entities of this log; none where it mentions one that this log does not have.
    pub(super) fn act(&self, intent: &Intent) -> Result<Option<At>, String> {
        let (e, a) = (self.entity(&intent.e)?, self.entity(&intent.a)?);
        Ok(e.zip(a).map(|(e, a)| (e, a, intent.act.clone())))
    }

    /// What the operations of a change must come to on the facts before it.
    fn produced(&self, authored: &Authored, before: &Facts) -> Result<BTreeSet<Change>, String> {
        let mut updates = Vec::new();
        for intent in &authored.intents {
            updates
                .push(self.act(intent)?.ok_or("it was applied, though it operates on an entity that was displaced")?);
        }
        outcome(before, &updates).map_err(|why| format!("it was applied, and {why}"))
    }

    /// Adds up the increments of counters, and notes what else was said of a value.
    fn count_up(&mut self, t: &Transaction, authored: &Authored, produced: &BTreeSet<Change>) -> Result<(), String> {
        self.touched.extend(facts_of(t).filter(|c| !produced.contains(*c)).map(|c| (c.e, c.a)));
        for intent in &authored.intents {
            self.verdict.operations += 1;
            match self.act(intent)? {
                Some((e, a, Act::Update(Update::Inc(Value::Long(n))))) => {
                    *self.counters.entry((e, a)).or_default() += n;
                }
                Some((e, a, Act::Take(n))) => {
                    self.verdict.calls += 1;
                    *self.counters.entry((e, a)).or_default() -= n;
                }
                Some((e, a, _)) => drop(self.touched.insert((e, a))),
                None => {}
            }
        }
        Ok(())
    }

    /// Every value that only increments made is the sum of them.
    fn sums(&mut self, facts: &Facts) -> Result<(), String> {
        for ((e, a), sum) in self.counters.iter().filter(|(place, _)| !self.touched.contains(place)) {
            let held = facts.values(*e, *a).next();
            if held != Some(&Value::Long(*sum)) {
                return Err(format!("[{e} {a}] was to be incremented by {sum} in all, and is {held:?}"));
            }
            self.verdict.counters += 1;
        }
        Ok(())
    }

    /// A value that somebody else set, whom the author had not seen, is not replaced in silence.
    fn overwrites(
        &mut self,
        t: &Transaction,
        authored: &Authored,
        expected: &BTreeSet<Change>,
        (replaced, demands): (&Replaced, &[Demand]),
        after: &Facts,
    ) -> Result<(), String> {
        for Overwrite { e, a, local, .. } in &t.overwritten {
            if !expected.contains(&Change::add(*e, *a, local.clone())) {
                return Err(format!("it says that it overwrote [{e} {a}] with {local}, which it did not set"));
            }
        }
        for gone in facts_of(t).filter(|c| !c.added && after.is_one(c.a) && !expected.contains(*c)) {
            let set_by = replaced.get(&(gone.e, gone.a, gone.v.clone())).and_then(|tx| self.origin_of.get(tx));
            let other = set_by.and_then(|origin| self.history.get(*origin));
            let Some(other) = other.filter(|o| o.author != authored.author) else { continue };
            // What an operation made of a value is another one on each base.
            if self.operates(other, gone)? || self.knew(authored, gone)? || demands.iter().any(|d| d.adds_up(gone)) {
                continue;
            }
            let listed = t.overwritten.iter().any(|o| {
                (o.e, o.a, &o.incoming) == (gone.e, gone.a, &Some(gone.v.clone()))
                    && expected.contains(&Change::add(o.e, o.a, o.local.clone()))
            });
            if !listed {
                return Err(format!(
                    "it replaces {}, which {} set meanwhile, and does not say so, but {:?}; it does {:?}",
                    show(gone),
                    other.origin,
                    t.overwritten,
                    facts_of(t).map(show).collect::<Vec<_>>()
                ));
            }
            self.verdict.overwritten += 1;
        }
        Ok(())
    }

    /// Where a change has operations, as far as that can be said in entities of this log.
    fn operates_on(&self, change: &Authored) -> Result<Vec<(Entid, Entid)>, String> {
        let mut places = Vec::new();
        for intent in &change.intents {
            places.extend(self.act(intent)?.map(|(e, a, _)| (e, a)));
        }
        Ok(places)
    }

    /// Whether a change has an operation that made this fact what it is.
    fn operates(&self, change: &Authored, fact: &Change) -> Result<bool, String> {
        for intent in &change.intents {
            if self.act(intent)?.is_some_and(|(e, a, _)| (e, a) == (fact.e, fact.a)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the author of a change had the fact that it replaced, about what the author took for the entity.
    fn knew(&self, authored: &Authored, gone: &Change) -> Result<bool, String> {
        let mut about = BTreeSet::new();
        for meant in authored.meant.iter().filter(|m| m.added) {
            if self.entity(&meant.e)? == Some(gone.e) && self.entity(&meant.a)? == Some(gone.a) {
                about.insert(&meant.e);
            }
        }
        let same = |who: &Who| about.iter().any(|w| w.may_be(who));
        for seen in authored.seen.iter().filter_map(|origin| self.history.get(*origin)) {
            for meant in seen.meant.iter().filter(|m| m.added && same(&m.e)) {
                if self.image(meant)?.is_some_and(|c| (c.e, c.a, &c.v) == (gone.e, gone.a, &gone.v)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn count(&mut self) {
        let mut by_number: BTreeMap<Entid, BTreeSet<Entid>> = BTreeMap::new();
        for (name, e) in self.is.iter().filter(|(name, _)| name.authored.get() > 0) {
            by_number.entry(name.authored).or_default().insert(*e);
        }
        self.verdict.colliding_entids = by_number.values().filter(|images| images.len() > 1).count() as u64;
        let mut by_ident: BTreeMap<&Value, BTreeSet<Entid>> = BTreeMap::new();
        for authored in self.history.changes() {
            self.verdict.retractions += authored.changes.iter().filter(|c| !c.added).count() as u64;
            for c in
                authored.changes.iter().filter(|c| c.a == core::IDENT && c.added && authored.allocated.contains(&c.e))
            {
                by_ident.entry(&c.v).or_default().insert(c.e);
            }
        }
        self.verdict.differing_attributes = by_ident.values().filter(|numbers| numbers.len() > 1).count() as u64;
    }
}

/// Stands for an entity of the bootstrap among names.
pub(super) fn core_name(e: Entid) -> Name {
    Name { origin: Uuid::nil(), authored: e }
}

/// Whether a change that was applied defines an attribute of which the log says already that it has another type: that has to
/// stop a sync, or give way.
fn other_type(said: &[(&Meant, Change)], before: &Facts) -> Result<(), String> {
    for (_, named) in said.iter().filter(|(_, c)| c.a == core::IDENT) {
        let own =
            said.iter().find(|(_, c)| (c.e, c.a) == (named.e, core::VALUE_TYPE)).and_then(|(_, c)| c.v.as_ref_entid());
        let [holder] = before.holders(core::IDENT, &named.v)[..] else { continue };
        let (Some(own), Some(theirs)) = (own, before.value_type(holder)) else { continue };
        if own != theirs {
            return Err(format!("it defines {} with the type {own}, and the log has it with {theirs}", named.v));
        }
    }
    Ok(())
}
