//! Re-applying local changes on a new base.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::bootstrap::entids::TX_INSTANT;
use crate::core::{Failure, Header, Plan, Working};
use crate::error::Result;
use crate::functions::Functions;
use crate::log::codec::Extra;
use crate::log::read::Timeline;
use crate::log::rewind::Emptied;
use crate::log::{Displaced, Operation, Overwrite, Reason, Stands, Transaction, read};
use crate::rebase::definitions::{AllMade, GivenUp, Local, give_way};
use crate::rebase::images::{Batches, Birth, Image, Images, own_birth};
use crate::rebase::incoming::Seen;
use crate::rebase::policy::Met;
use crate::rebase::{DisplacedChange, Rebased, Side, carry, operations};
use crate::schema::{Schema, Unique};
use crate::types::{Change, Entid, Value};

/// Why a change is displaced.
#[derive(Debug)]
pub(super) struct Why {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

/// One merge in progress.
pub(super) struct InProgress<'m, 'c> {
    pub(super) working: &'m mut Working<'c>,
    functions: &'m Functions,
    pub(super) images: Images,
    pub(super) root: Entid,
    /// The last transaction that came in.
    pub(super) incoming_end: Entid,
    /// Cardinality-one values that came in, with the value that the local side had last of what is in the log: that at the root, or what a change
    /// of its own left that main had already.
    pub(super) changed: HashMap<(Entid, Entid), Option<Value>>,
    /// What local changes meet, for attributes with a merge policy.
    pub(super) contests: HashMap<(Entid, Entid), Met>,
    /// Cardinality-one values that local changes have set by now.
    replaced: HashSet<(Entid, Entid)>,
    /// Values that operations of local changes have updated by now, as the first of them found them.
    pub(super) operated: operations::Values,
    /// Entities that the incoming side deleted whole.
    deleted: HashSet<Entid>,
    /// Entities that each local change deleted whole.
    emptied: &'m HashMap<Entid, Vec<Emptied>>,
    /// Local transactions whose definitions gave way.
    gave_way: HashMap<Entid, Why>,
    /// What the log's definition of an attribute said of its meaning when it was made, by the local transaction that made the same.
    restated: HashMap<Entid, Vec<Change>>,
    rebased: &'m mut Rebased,
}

/// A local change in terms of the new base, or why it cannot be said in them.
enum Rewritten {
    Change { says: Vec<Change>, operations: Vec<Operation> },
    Displaced(Why),
}

/// Re-applies the local changes of `side`, in order, on main as the incoming transactions left it.
pub(super) fn reapply(
    working: &mut Working<'_>,
    functions: &Functions,
    side: &Side<'_>,
    seen: Seen,
    rebased: &mut Rebased,
) -> Result<()> {
    let mut given_up = GivenUp::default();
    let (images, local) = loop {
        let mut images = Images::new(side.root, side.root_next);
        for (e, birth) in &given_up.attributes {
            images.set(*e, Image::None(*birth));
        }
        let local = images.look_ahead(working, side)?;
        // Who an entity is may depend on an attribute that gives way.
        if !give_way(working, &images, side, &seen.made, &local, &mut given_up)? {
            break (images, local);
        }
    };
    let Seen { changed, retracted, made, .. } = seen;
    let mut deleted = HashSet::new();
    for e in retracted {
        if !working.exists(e)? {
            deleted.insert(e);
        }
    }
    let (root, incoming_end) = (side.root, working.basis.tx);
    let restated = restated(&images, &local, made);
    let (contests, replaced) = (HashMap::new(), HashSet::new());
    let gave_way = given_up.makers;
    let mut merge = InProgress {
        working,
        functions,
        images,
        root,
        incoming_end,
        changed,
        contests,
        replaced,
        operated: HashMap::new(),
        deleted,
        emptied: side.emptied,
        gave_way,
        restated,
        rebased,
    };
    let mut batches = Batches::new(side.timeline, side.root);
    while let Some(batch) = batches.next(merge.working.sql)? {
        for local in &batch {
            merge.one(local)?;
        }
    }
    merge.rebased.renamed = merge.images.renamed();
    Ok(())
}

/// What the log's definitions said when they were made, by the local transactions that made the same attributes, in order.
fn restated(images: &Images, local: &Local, mut incoming: AllMade) -> HashMap<Entid, Vec<Change>> {
    let mut restated: HashMap<Entid, Vec<Change>> = HashMap::new();
    for (e, made) in &local.made {
        if let Some(Image::Is(main)) = images.get(*e).filter(|_| images.is_unified(*e))
            && let Some(theirs) = incoming.remove(&main)
        {
            restated.entry(made.tx).or_default().extend(theirs.said);
        }
    }
    restated.values_mut().for_each(|said| said.sort());
    restated
}

impl InProgress<'_, '_> {
    fn one(&mut self, local: &Transaction) -> Result<()> {
        if let Some(known) = read::by_origin(self.working.sql, local.origin.id)? {
            self.rebased.known += 1;
            return self.note_base(known);
        }
        if let Some(displaced) = &local.displaced {
            let moved = carry::again(&self.images, displaced);
            let tx = self.carry(local, moved)?;
            // It was a carrier to whoever mentions it.
            self.images.set(local.tx, Image::Is(tx));
            self.rebased.carried += 1;
            return Ok(());
        }
        if let Some(why) = self.gave_way.remove(&local.tx) {
            return self.displace(local, why);
        }
        match self.attempt(local)? {
            None => Ok(()),
            Some(why) => self.displace(local, why),
        }
    }

    /// Main had a local change already: what came in on top of it came in on what that left, and not on the root.
    fn note_base(&mut self, known: Entid) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let transaction = read::transaction(self.working.sql, Timeline::MAIN, known)?;
        // Of a value that is replaced the retraction comes before the assertion.
        for change in transaction.iter().flat_map(|t| &t.changes) {
            if let Some(base) = self.changed.get_mut(&(change.e, change.a)) {
                *base = change.added.then(|| change.v.clone());
            }
        }
        Ok(())
    }

    /// Applies the change, or undoes every trace of the attempt and says why it cannot be applied.
    fn attempt(&mut self, local: &Transaction) -> Result<Option<Why>> {
        let before = (Arc::clone(&self.working.schema), self.working.basis);
        let sql = self.working.sql;
        sql.prepare_cached("SAVEPOINT change")?.execute([])?;
        let mut allocated = Vec::new();
        let why = self.try_apply(local, &mut allocated)?;
        if why.is_some() {
            sql.prepare_cached("ROLLBACK TO change")?.execute([])?;
            (self.working.schema, self.working.basis) = before;
            for e in allocated {
                self.images.forget(e);
            }
        }
        sql.prepare_cached("RELEASE change")?.execute([])?;
        Ok(why)
    }

    fn try_apply(&mut self, local: &Transaction, allocated: &mut Vec<Entid>) -> Result<Option<Why>> {
        let fresh = self.working.basis.next;
        self.images.set(local.tx, Image::Is(self.working.next_tx()));
        allocated.push(local.tx);
        let (mut changes, operations) = match self.rewrite(local, allocated)? {
            Rewritten::Change { says, operations } => (says, operations),
            Rewritten::Displaced(why) => return Ok(Some(why)),
        };
        if let Some(why) = self.touches_deleted(&changes, &operations)? {
            return Ok(Some(why));
        }
        if let Some(why) = self.settled_meanwhile(&changes, &operations)? {
            return Ok(Some(why));
        }
        changes.sort();
        changes.dedup();
        let said = changes.clone();
        self.leave_out_gone(&mut changes)?;
        self.leave_out_altered(local, &mut changes);
        if let Some(theirs) = self.restated.get(&local.tx) {
            // What the log's definition said too, it has said; if it is not so any more, it was altered since.
            changes.retain(|c| theirs.binary_search(c).is_err());
        }
        let mut before = self.overwritten_before(local);
        let decided = match self.decide(&said, &before)? {
            Ok(decided) => decided,
            Err(why) => return Ok(Some(why)),
        };
        before.retain(|o| !decided.is_moot(o));
        changes.retain(|c| !decided.values.contains_key(&(c.e, c.a)));
        changes.extend(decided.values.iter().filter_map(|((e, a), v)| Some(Change::add(*e, *a, v.clone()?))));
        let produced = match operations::run(self.working, self.functions, &operations, &said)? {
            Ok(produced) => produced,
            Err(why) => return Ok(Some(why)),
        };
        changes.extend(produced.iter().map(|p| p.change.clone()));
        // Operations add to what the change states, and a policy may leave nothing of the identity in it.
        if !(produced.is_empty() && decided.values.is_empty())
            && let Some(why) = self.touches_deleted(&changes, &operations)?
        {
            return Ok(Some(why));
        }
        let instant = self.working.instant_for(local.origin.authored);
        changes.push(Change::add(self.working.next_tx(), TX_INSTANT, Value::Instant(instant)));
        let plan = match self.working.plan(changes, fresh) {
            Ok(plan) => plan,
            Err(failure) => return self.why(failure).map(Some),
        };
        if let Some(why) = self.leaves_skeleton(local, &plan)? {
            return Ok(Some(why));
        }
        if !operations.is_empty()
            && let Some(idle) = operations::idle(fresh..self.working.basis.next, &plan)
        {
            return Ok(Some(operations::why(self.working, &idle)));
        }
        let operated = operations::found(&plan, &produced);
        let settled = |place: &(Entid, Entid)| operated.contains_key(place) || decided.values.contains_key(place);
        let (mut overwritten, replaced) = self.overwrites(&plan, &said, settled);
        overwritten.extend_from_slice(&decided.overwritten);
        let (all_overwritten, news) = recorded(before, overwritten);
        let facts = plan.effects.len() - 1;
        let own = (self.working.next_tx(), TX_INSTANT);
        let done = plan.effects.iter().map(|x| &x.change).filter(|c| (c.e, c.a) != own);
        let said = if operations.is_empty() && done.eq(&said) { None } else { Some(said) };
        let entids = self.images.runs(local);
        let extra = Extra { entids, operations, overwritten: all_overwritten, displaced: None, said };
        let header = Header { instant, origin: local.origin, extra };
        if let Err(failure) = self.working.write(&header, plan) {
            return self.why(failure).map(Some);
        }
        self.replaced.extend(replaced);
        self.note_decided(&decided);
        for (place, found) in operated {
            self.operated.entry(place).or_insert(found);
        }
        self.rebased.overwritten.extend(news);
        if facts == 0 {
            self.rebased.empty += 1;
        } else {
            self.rebased.reapplied += 1;
        }
        Ok(None)
    }

    /// What the change says with every entity replaced by its image, in every position. Entities that this change
    /// allocated and that have no image yet get one.
    fn rewrite(&mut self, local: &Transaction, allocated: &mut Vec<Entid>) -> Result<Rewritten> {
        let mentioned = |c: &Change| [Some(c.e), Some(c.a), c.v.as_ref_entid()].into_iter().flatten();
        let mut unknown = BTreeSet::new();
        let operated = local.operations.iter().flat_map(Operation::mentions);
        for e in local.statement().flat_map(mentioned).chain(operated) {
            match self.images.get(e) {
                Some(Image::Is(_)) => {}
                Some(Image::None(birth)) => {
                    let detail = format!("it mentions an entity that the displaced change {} allocated", birth.origin);
                    return Ok(Rewritten::Displaced(Why { reason: Reason::Depends, detail }));
                }
                None => {
                    unknown.insert(e);
                }
            }
        }
        for e in unknown {
            let image = self.working.allocate()?;
            self.images.set(e, Image::Is(image));
            allocated.push(e);
        }
        let image = |e: Entid| match self.images.get(e) {
            Some(Image::Is(image)) => image,
            _ => e,
        };
        let rewrite = |c: &Change| Change {
            e: image(c.e),
            a: image(c.a),
            v: c.v.as_ref_entid().map_or_else(|| c.v.clone(), |to| Value::Ref(image(to))),
            added: c.added,
        };
        Ok(Rewritten::Change {
            says: local.statement().map(rewrite).collect(),
            operations: local.operations.iter().map(|o| o.map(image)).collect(),
        })
    }

    /// A retraction of what is not true any more has no effect, whatever became of its attribute.
    fn leave_out_gone(&self, changes: &mut Vec<Change>) -> Result<()> {
        let mut stays = Vec::with_capacity(changes.len());
        for change in changes.drain(..) {
            if change.added || self.working.asserted(change.e, change.a, &change.v)?.is_some() {
                stays.push(change);
            }
        }
        *changes = stays;
        Ok(())
    }

    /// An attribute that the change made, and that an earlier merge found to be the log's, is an old one by now. Of its meaning
    /// the log has said what was so at the root; what is not so any more came in altered.
    fn leave_out_altered(&self, local: &Transaction, changes: &mut Vec<Change>) {
        let made = |e: Entid| {
            self.images.is_old(e) && local.entids.iter().any(|r| r.current <= e && e < r.current.plus(r.count))
        };
        changes.retain(|c| {
            let at_root = || self.changed.get(&(c.e, c.a)).and_then(Option::as_ref);
            !(c.added && Schema::gives_meaning(c.a) && at_root() == Some(&c.v) && made(c.e))
        });
    }

    /// An assertion on, or a ref to, an entity that the other side deleted whole has no place, unless the change states
    /// anew which entity it means; nor has an operation that mentions it.
    fn touches_deleted(&self, changes: &[Change], operations: &[Operation]) -> Result<Option<Why>> {
        if self.deleted.is_empty() {
            return Ok(None);
        }
        let identity = |a| self.working.schema.attribute(a).is_some_and(|d| d.unique() == Some(Unique::Identity));
        let restated: HashSet<Entid> = changes.iter().filter(|c| c.added && identity(c.a)).map(|c| c.e).collect();
        let added = || changes.iter().filter(|c| c.added);
        let edited = added().map(|c| (c.e, "edits"));
        let referred = added().filter_map(|c| c.v.as_ref_entid()).map(|e| (e, "refers to"));
        let operated = operations.iter().flat_map(Operation::mentions).map(|e| (e, "operates on"));
        for (e, verb) in edited.chain(referred).chain(operated) {
            if self.deleted.contains(&e) && !restated.contains(&e) && !self.working.exists(e)? {
                let detail = format!("it {verb} entity {e}, which the other side deleted");
                return Ok(Some(Why { reason: Reason::Deleted, detail }));
            }
        }
        Ok(None)
    }

    /// A change that deleted an entity whole, of which the other side said more meanwhile: to delete only what its author knew would
    /// leave a skeleton, or refs to nothing.
    fn leaves_skeleton(&self, local: &Transaction, plan: &Plan) -> Result<Option<Why>> {
        let retracts = |e: Entid, a: Entid, v: &Value| {
            plan.effects.iter().any(|x| !x.change.added && (x.change.e, x.change.a, &x.change.v) == (e, a, v))
        };
        for Emptied { e, referred } in self.emptied.get(&local.tx).into_iter().flatten() {
            let Some(Image::Is(e)) = self.images.get(*e) else { continue };
            let stays = self.working.facts_about(e)?.iter().any(|(a, v)| !retracts(e, *a, v));
            let to_it = Value::Ref(e);
            let dangles = || -> Result<bool> {
                Ok(self.working.refs_to(e)?.iter().any(|(from, a)| !retracts(*from, *a, &to_it)))
            };
            let verb = match (stays, referred) {
                (true, _) => "edited",
                (false, false) if dangles()? => "refers to",
                _ => continue,
            };
            let detail = format!("it deletes entity {e}, which the other side {verb} meanwhile");
            return Ok(Some(Why { reason: Reason::Deleted, detail }));
        }
        Ok(None)
    }

    /// Values that both sides changed and that this plan sets, and their places, those left out that are settled: an
    /// operation takes what it finds into account and overwrites nothing, and a policy has decided already. What the plan retracts and the
    /// change did not say was set by the other side, or kept by it where a local change that retracted it was displaced.
    fn overwrites(
        &self,
        plan: &Plan,
        said: &[Change],
        settled: impl Fn(&(Entid, Entid)) -> bool,
    ) -> (Vec<Overwrite>, Vec<(Entid, Entid)>) {
        let schema = plan.schema.as_ref().unwrap_or(&self.working.schema);
        let mut overwritten = Vec::new();
        let mut replaced = Vec::new();
        for group in plan.effects.chunk_by(|x, y| (x.change.e, x.change.a) == (y.change.e, y.change.a)) {
            let Some(Change { e, a, v, .. }) = group.iter().map(|x| &x.change).find(|c| c.added) else { continue };
            let place = (*e, *a);
            if schema.attribute(*a).is_none_or(|d| !d.is_one()) || self.replaced.contains(&place) || settled(&place) {
                continue;
            }
            let retracted = || group.iter().filter(|x| !x.change.added);
            let mut entry = |base: Option<Value>, incoming: Option<Value>| {
                let (local, stands) = (v.clone(), Stands::Local);
                overwritten.push(Overwrite { e: *e, a: *a, base, incoming, local, stands });
            };
            for gone in retracted().filter(|x| said.binary_search(&x.change).is_err()) {
                let replaced = gone.was.map(|tx| (gone.change.v.clone(), tx));
                let found = self.operated.get(&place);
                // Else only local operations made it another value than the change says.
                if found.is_none_or(|found| self.came_in(place, found.as_ref())) {
                    let found = found.unwrap_or(&replaced).as_ref();
                    entry(self.base_of(place, found), found.map(|(value, _)| value.clone()));
                }
            }
            if retracted().next().is_none()
                && let Some(base) = self.base_of(place, None)
            {
                entry(Some(base), None);
            }
            replaced.push(place);
        }
        (overwritten, replaced)
    }

    /// What the change overwrote in earlier merges, in entities of the new base.
    fn overwritten_before(&self, local: &Transaction) -> Vec<Overwrite> {
        let is = |e: Entid| match self.images.get(e) {
            Some(Image::Is(image)) => Some(image),
            _ => None,
        };
        let value = |v: &Value| v.as_ref_entid().map_or_else(|| Some(v.clone()), |e| is(e).map(Value::Ref));
        let moved = |o: &Overwrite| {
            let (base, incoming) = (o.base.as_ref().and_then(value), o.incoming.as_ref().and_then(value));
            let stands = match &o.stands {
                Stands::Local => Stands::Local,
                Stands::Instead(result) => Stands::Instead(result.as_ref().and_then(value)),
            };
            Some(Overwrite { e: is(o.e)?, a: is(o.a)?, base, incoming, local: value(&o.local)?, stands })
        };
        local.overwritten.iter().filter_map(moved).collect()
    }

    fn why(&self, failure: Failure) -> Result<Why> {
        match failure {
            Failure::Error(error) => Err(error),
            Failure::Refused(refusal) => Ok(operations::why(self.working, &refusal)),
        }
    }

    /// Writes the carrier of a change that cannot be applied. What it allocated has no image from here on.
    fn displace(&mut self, local: &Transaction, why: Why) -> Result<()> {
        let Why { reason, detail } = why;
        let displaced = carry::first(&self.images, local, reason, detail.clone());
        for run in &local.entids {
            for n in 0..run.count {
                let (e, authored) = (run.current.plus(n), run.authored.plus(n));
                if self.images.get(e).is_none() {
                    self.images.set(e, Image::None(Birth { origin: local.origin.id, authored }));
                }
            }
        }
        let tx = self.carry(local, displaced)?;
        self.rebased.displaced.push(DisplacedChange { tx, origin: local.origin.id, reason, detail });
        Ok(())
    }

    fn carry(&mut self, local: &Transaction, displaced: Displaced) -> Result<Entid> {
        self.images.set(local.tx, Image::None(own_birth(local)));
        let instant = self.working.instant_for(local.origin.authored);
        let own = Change::add(self.working.next_tx(), TX_INSTANT, Value::Instant(instant));
        let plan = self.working.plan(vec![own], self.working.basis.next)?;
        let entids = self.images.runs(local);
        let extra = Extra { entids, displaced: Some(displaced), ..Extra::default() };
        Ok(self.working.write(&Header { instant, origin: local.origin, extra }, plan)?)
    }
}

/// What a change overwrote in all merges, and what of it is news: what an earlier merge recorded, and main has by now, is the same
/// overwrite.
fn recorded(mut before: Vec<Overwrite>, now: Vec<Overwrite>) -> (Vec<Overwrite>, Vec<Overwrite>) {
    let place = |o: &Overwrite| (o.e, o.a, o.incoming.clone());
    let mut places: HashMap<_, usize> = HashMap::new();
    for (n, overwrite) in before.iter().enumerate() {
        places.entry(place(overwrite)).or_insert(n);
    }
    let mut news = Vec::new();
    for overwrite in now {
        let next = before.len();
        match before.get_mut(*places.entry(place(&overwrite)).or_insert(next)) {
            // The policy was another then.
            Some(same) if same.local == overwrite.local && same.stands != overwrite.stands => {
                same.stands = overwrite.stands;
                news.push(same.clone());
            }
            Some(_) => {}
            None => {
                news.push(overwrite.clone());
                before.push(overwrite);
            }
        }
    }
    (before, news)
}
