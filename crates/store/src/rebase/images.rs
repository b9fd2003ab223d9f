//! The one map of a merge: what each entity that local changes allocated is on the new base.
//!
//! An entity has up to three numbers. **Authored** is the one it had when its change was first committed; it never changes
//! and, with the change's origin, names the entity for ever ([`Birth`]). **Current** is the one it has in the local changes
//! as they stand on the side timeline. Its **image** is the one it has on the new base, if it is there at all.
//!
//! An example. At the root, 65,540 is the next free number. Locally a change allocated 65,540 (Vera) and 65,541 (Oleg).
//! The incoming changes made 65,540 somebody called Vera, and 65,541 somebody called Anna. Then
//!
//! - whoever has a number below 65,540 is **old**: it is itself on both sides;
//! - local 65,540 is **unified**: its name shows that it is main's 65,540, which is **joined**;
//! - local 65,541 is nobody on main: it gets the fresh number 65,542 when its change is re-applied;
//! - had main had that change already, under its origin, the change would be **known**, and its entities' images those
//!   that main's version lists for the same authored numbers.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;
use uuid::Uuid;

use crate::core::Working;
use crate::error::Result;
use crate::log::read::{self, Timeline};
use crate::log::{EntidRun, Transaction};
use crate::rebase::operations;
use crate::schema::{Schema, Unique};
use crate::types::{Change, Entid, Value};

/// Who allocated an entity that the new base does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Birth {
    pub(super) origin: Uuid,
    /// The number it had when it was authored; 0 for the origin's own transaction entity.
    pub(super) authored: Entid,
}

/// What a local entity is on the new base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Image {
    /// This entity.
    Is(Entid),
    /// Nothing: the change that allocated it was displaced.
    None(Birth),
}

/// The images of a merge's local entities.
#[derive(Debug)]
pub(super) struct Images {
    root: Entid,
    root_next: Entid,
    map: HashMap<Entid, Image>,
    /// Entities that local changes allocate and that turned out to be entities of main, and these.
    unified: HashSet<Entid>,
    joined: HashSet<Entid>,
}

/// What local changes say about identities.
#[derive(Debug, Default)]
struct Identities {
    /// New entities that take one, in order, each with the transaction it does so in.
    claims: Vec<(Entid, Change)>,
    /// The first new entity that takes each.
    first: HashMap<(Entid, Value), Entid>,
    /// Identities that are taken from an entity, each with the transactions that do so, and the entity.
    freed: HashMap<(Entid, Value), Vec<(Entid, Entid)>>,
}

impl Images {
    pub(super) fn new(root: Entid, root_next: Entid) -> Self {
        Self { root, root_next, map: HashMap::new(), unified: HashSet::new(), joined: HashSet::new() }
    }

    /// Whether the entity existed at the root, and so is itself on both sides.
    pub(super) fn is_old(&self, e: Entid) -> bool {
        if e.is_tx() { e <= self.root } else { e < self.root_next }
    }

    /// The entity's image, if it is known by now.
    pub(super) fn get(&self, e: Entid) -> Option<Image> {
        if self.is_old(e) { Some(Image::Is(e)) } else { self.map.get(&e).copied() }
    }

    pub(super) fn set(&mut self, e: Entid, image: Image) {
        self.map.insert(e, image);
    }

    pub(super) fn forget(&mut self, e: Entid) {
        self.map.remove(&e);
    }

    /// Whether a local entity is an entity of main by an identity that both took.
    pub(super) fn is_unified(&self, local: Entid) -> bool {
        self.unified.contains(&local)
    }

    /// Whether main had the entity, and local changes took it for a new one.
    pub(super) fn is_joined(&self, image: Entid) -> bool {
        self.joined.contains(&image)
    }

    /// Main has this local change already: its entities are what they became there.
    fn note_known(&mut self, local: &Transaction, main: &Transaction) {
        let became: HashMap<Entid, Entid> = expand(&main.entids).collect();
        for (authored, current) in expand(&local.entids) {
            let image = became
                .get(&authored)
                .map_or(Image::None(Birth { origin: local.origin.id, authored }), |e| Image::Is(*e));
            if !self.is_old(current) {
                self.map.entry(current).or_insert(image);
            }
        }
        // What a change means by its own transaction is not its carrier; what later ones mean by its carrier is.
        let displaced_there = main.displaced.is_some() && local.displaced.is_none();
        let own = if displaced_there { Image::None(own_birth(local)) } else { Image::Is(main.tx) };
        self.map.insert(local.tx, own);
    }

    /// The runs of a re-applied change: of the entities it allocated when it was authored, those that have an image.
    pub(super) fn runs(&self, of: &Transaction) -> Vec<EntidRun> {
        let mut pairs: Vec<(Entid, Entid)> = expand(&of.entids)
            .filter_map(|(authored, current)| match self.get(current) {
                Some(Image::Is(image)) => Some((authored, image)),
                _ => None,
            })
            .collect();
        pairs.sort();
        compress(&pairs)
    }

    /// All local entities whose number changed, by their old number.
    pub(super) fn renamed(&self) -> Vec<(Entid, Entid)> {
        let mut renamed: Vec<_> = self
            .map
            .iter()
            .filter_map(|(from, image)| match image {
                Image::Is(to) if to != from && !from.is_tx() => Some((*from, *to)),
                _ => None,
            })
            .collect();
        renamed.sort();
        renamed
    }

    /// Reads all local changes once and settles what can be settled before any is re-applied: what main
    /// already has by origin, and which entities are one with an entity of main because they take, anywhere in
    /// the local changes, an identity that main has given, and that no local change took away before.
    pub(super) fn look_ahead(&mut self, working: &Working<'_>, side: Timeline, local_schema: &Schema) -> Result<()> {
        let mut identities = Identities::default();
        let mut batches = Batches::new(side, self.root);
        while let Some(batch) = batches.next(working.sql)? {
            for local in batch {
                self.look_at(working, local, local_schema, &mut identities)?;
            }
        }
        while self.unify(working, &mut identities)? {}
        Ok(())
    }

    fn look_at(
        &mut self,
        working: &Working<'_>,
        local: Transaction,
        local_schema: &Schema,
        identities: &mut Identities,
    ) -> Result<()> {
        let identity = |schema: &Schema, a| schema.attribute(a).is_some_and(|d| d.unique() == Some(Unique::Identity));
        let names = |a| identity(local_schema, a) || self.is_old(a) && identity(&working.schema, a);
        let known = match read::by_origin(working.sql, local.origin.id)? {
            Some(tx) => read::transaction(working.sql, Timeline::MAIN, tx)?,
            None => None,
        };
        if local.displaced.is_none() {
            for change in operations::stated_or_produced(&local).filter(|c| names(c.a)) {
                let identity = (change.a, change.v.clone());
                if !change.added {
                    identities.freed.entry(identity).or_default().push((local.tx, change.e));
                } else if !self.is_old(change.e) && !change.e.is_tx() {
                    // Of several new entities that take it one after the other, only the first can be main's.
                    let first = *identities.first.entry(identity).or_insert(change.e);
                    if first == change.e && known.is_none() {
                        identities.claims.push((local.tx, change.clone()));
                    }
                }
            }
        }
        if let Some(main) = known {
            self.note_known(&local, &main);
        }
        Ok(())
    }

    /// One round over the claims that are left; true where it learned something, so that another may learn more.
    fn unify(&mut self, working: &Working<'_>, identities: &mut Identities) -> Result<bool> {
        let mut learned = false;
        let mut left = Vec::new();
        for (tx, claim) in std::mem::take(&mut identities.claims) {
            if self.get(claim.e).is_some() {
                continue;
            }
            // Whom local changes took the identity from is, to their author, somebody else.
            let freed = identities.freed.get(&(claim.a, claim.v.clone()));
            let was =
                |e: Entid| freed.into_iter().flatten().any(|(at, x)| *at <= tx && self.get(*x) == Some(Image::Is(e)));
            match self.claimed(working, &claim)?.filter(|e| !was(*e)) {
                Some(e) => {
                    self.set(claim.e, Image::Is(e));
                    self.unified.insert(claim.e);
                    self.joined.insert(e);
                    learned = true;
                }
                None => left.push((tx, claim)),
            }
        }
        identities.claims = left;
        Ok(learned)
    }

    fn claimed(&self, working: &Working<'_>, claim: &Change) -> Result<Option<Entid>> {
        let Some(Image::Is(a)) = self.get(claim.a) else { return Ok(None) };
        if working.schema.attribute(a).is_none_or(|d| d.unique() != Some(Unique::Identity)) {
            return Ok(None);
        }
        let v = match &claim.v {
            Value::Ref(to) => match self.get(*to) {
                Some(Image::Is(to)) => Value::Ref(to),
                _ => return Ok(None),
            },
            v => v.clone(),
        };
        let Some(holder) = working.holder(a, &v)? else { return Ok(None) };
        // Who had it at the root had it on both sides, and is not who took it on one.
        let given = working.asserted(holder, a, &v)?.is_some_and(|tx| tx > self.root);
        Ok(given.then_some(holder))
    }
}

/// The birth of a change's own transaction entity.
pub(super) fn own_birth(of: &Transaction) -> Birth {
    Birth { origin: of.origin.id, authored: Entid::new(0) }
}

/// The transactions of a side timeline, a few of them in memory at a time.
pub(super) struct Batches {
    timeline: Timeline,
    after: Entid,
}

impl Batches {
    const SIZE: usize = 64;

    pub(super) fn new(timeline: Timeline, root: Entid) -> Self {
        Self { timeline, after: root }
    }

    /// The next transactions, in order; `None` after the last.
    pub(super) fn next(&mut self, sql: &Connection) -> Result<Option<Vec<Transaction>>> {
        let batch = read::transactions(sql, self.timeline, self.after, Self::SIZE)?;
        let Some(last) = batch.last() else { return Ok(None) };
        self.after = last.tx;
        Ok(Some(batch))
    }
}

/// All pairs (authored, current) of runs.
fn expand(runs: &[EntidRun]) -> impl Iterator<Item = (Entid, Entid)> + '_ {
    runs.iter().flat_map(|run| (0..run.count).map(|n| (run.authored.plus(n), run.current.plus(n))))
}

/// The maximal runs of pairs that ascend by authored number.
fn compress(pairs: &[(Entid, Entid)]) -> Vec<EntidRun> {
    let mut runs: Vec<EntidRun> = Vec::new();
    for (authored, current) in pairs {
        match runs.last_mut() {
            Some(run) if run.authored.plus(run.count) == *authored && run.current.plus(run.count) == *current => {
                run.count += 1;
            }
            _ => runs.push(EntidRun { authored: *authored, current: *current, count: 1 }),
        }
    }
    runs
}
