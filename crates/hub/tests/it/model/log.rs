//! What a log is, said as simply as it can be.

use std::collections::BTreeMap;

/// 0 is the root.
pub(super) type Trn = u8;
pub(super) type Chunk = u8;
/// A transaction: its id, and its chunks.
pub(super) type Entry = (Trn, Vec<Chunk>);

/// What a snapshot holds: so often this byte.
pub(super) type Blob = (u8, u64);

/// What a log may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) transactions: u64,
}

/// A log.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    pub(super) limits: Option<Limits>,
    /// How many lives it had, this one too.
    pub(super) lives: u64,
    pub(super) alive: bool,
    /// What is committed, in order.
    pub(super) chain: Vec<Entry>,
    /// What is not: each with its parent and chunks.
    pub(super) pending: BTreeMap<Trn, (Trn, Vec<Chunk>)>,
    /// Each chunk has one byte.
    pub(super) chunks: BTreeMap<Chunk, u8>,
    /// By place in the chain, from 1: the last two.
    pub(super) snapshots: BTreeMap<usize, Blob>,
}

/// A push: what the client believes is there, and what it adds.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub(super) generation: Option<u64>,
    pub(super) base: Vec<Entry>,
    pub(super) added: Vec<Entry>,
    pub(super) sent: BTreeMap<Chunk, u8>,
}

/// What a transaction weighs: its chunks' names have 7 characters.
fn weight(chunks: &[Chunk]) -> u64 {
    100 + 7 * chunks.len() as u64
}

impl Push {
    /// What the log would hold more, if nothing of it were there.
    fn weight(&self) -> u64 {
        self.added.iter().map(|(_, chunks)| weight(chunks)).sum::<u64>() + self.sent.len() as u64
    }
}

impl Log {
    /// What it holds, as its quota counts.
    pub(super) fn bytes(&self) -> u64 {
        let pending = self.pending.values().map(|(_, chunks)| weight(chunks));
        let chain = self.chain.iter().map(|(_, chunks)| weight(chunks));
        let taken = |chunk: &Chunk| self.chain.iter().any(|(_, chunks)| chunks.contains(chunk));
        let chunks = self.chunks.keys().map(|chunk| if taken(chunk) { 1 } else { 101 });
        pending.chain(chain).chain(chunks).chain(self.snapshots.values().map(|(_, len)| *len)).sum()
    }

    /// Whether it may not hold so much more.
    fn is_over(&self, bytes: u64, transactions: usize) -> bool {
        let count = (self.chain.len() + transactions) as u64;
        self.limits.is_some_and(|limits| {
            transactions > 0 && count > limits.transactions || self.bytes() + bytes > limits.bytes
        })
    }

    pub(super) fn head(&self) -> Trn {
        self.chain.last().map_or(0, |(id, _)| *id)
    }

    pub(super) fn life(&self) -> Option<u64> {
        self.alive.then_some(self.lives)
    }

    fn begin(&mut self) {
        self.lives += u64::from(!self.alive);
        self.alive = true;
    }

    /// The rows of the table in `docs/protocol.md`, in its order.
    pub(super) fn push(&mut self, push: &Push) -> &'static str {
        let all = [push.base.clone(), push.added.clone()].concat();
        let onto = push.base.last().map_or(0, |(id, _)| *id);
        let here = |chunk: &Chunk| self.chunks.contains_key(chunk) || push.sent.contains_key(chunk);
        match () {
            () if push.generation.is_some() && push.generation != self.life() => "generation",
            () if onto != self.head() && !push.added.is_empty() && all == self.chain => "repeated",
            () if onto != self.head() => "conflict",
            () if !push.added.iter().flat_map(|(_, chunks)| chunks).all(here) => "missing chunks",
            () if self.takes(push) => "id taken",
            () if push.base != self.chain => "chain mismatch",
            () if push.added.is_empty() => "nothing",
            () if self.is_over(push.weight(), push.added.len()) => "quota",
            () => {
                self.begin();
                push.sent.iter().for_each(|(id, byte)| _ = self.chunks.entry(*id).or_insert(*byte));
                self.commit(push.added.clone());
                "done"
            }
        }
    }

    /// Whether an id of the push is that of something else.
    fn takes(&self, push: &Push) -> bool {
        let mut parent = self.head();
        push.sent.iter().any(|(id, byte)| self.chunks.get(id).is_some_and(|here| here != byte))
            || push.added.iter().any(|(id, chunks)| {
                let parent = std::mem::replace(&mut parent, *id);
                self.chain.iter().any(|(here, _)| here == id)
                    || self.pending.get(id).is_some_and(|here| *here != (parent, chunks.clone()))
            })
    }

    fn commit(&mut self, added: Vec<Entry>) {
        self.pending.retain(|id, _| !added.iter().any(|(new, _)| new == id));
        self.chain.extend(added);
    }

    pub(super) fn put_chunk(&mut self, id: Chunk, byte: u8) -> &'static str {
        match self.chunks.get(&id) {
            Some(here) if *here != byte => "conflict",
            Some(_) => "again",
            None if self.is_over(101, 0) => "quota",
            None => {
                self.begin();
                self.chunks.insert(id, byte);
                "done"
            }
        }
    }

    pub(super) fn put_transaction(&mut self, id: Trn, parent: Trn, chunks: &[Chunk]) -> &'static str {
        let new = (parent, chunks.to_vec());
        match self.known(id) {
            Some(here) if here == new => "again",
            Some(_) => "conflict",
            None if id == 0 => "conflict",
            None if !chunks.iter().all(|chunk| self.chunks.contains_key(chunk)) => "unknown chunk",
            None => {
                let Some(branch) = self.branch(parent) else { return "conflict" };
                if self.is_over(weight(chunks), branch.len() + 1) {
                    return "quota";
                }
                self.begin();
                self.pending.insert(id, new);
                "done"
            }
        }
    }

    /// A transaction that is here, with its parent.
    fn known(&self, id: Trn) -> Option<(Trn, Vec<Chunk>)> {
        let committed = self.chain.iter().position(|(here, _)| *here == id).map(|at| {
            let parent = at.checked_sub(1).map_or(0, |before| self.chain[before].0);
            (parent, self.chain[at].1.clone())
        });
        committed.or_else(|| self.pending.get(&id).cloned())
    }

    /// What is pending from HEAD to this one; none where it does not grow from HEAD.
    fn branch(&self, last: Trn) -> Option<Vec<Entry>> {
        if last == self.head() {
            return Some(Vec::new());
        }
        let (parent, chunks) = self.pending.get(&last)?;
        let mut branch = self.branch(*parent)?;
        branch.push((last, chunks.clone()));
        Some(branch)
    }

    pub(super) fn put_head(&mut self, id: Trn) -> &'static str {
        let has_children = self.pending.values().any(|(parent, _)| *parent == id);
        match self.branch(id) {
            Some(branch) if branch.is_empty() => "again",
            Some(branch) if !has_children => {
                self.commit(branch);
                "done"
            }
            _ => "conflict",
        }
    }

    pub(super) fn delete(&mut self) -> &'static str {
        let done = if self.alive { "done" } else { "nothing" };
        *self = Self { lives: self.lives, limits: self.limits, ..Self::default() };
        done
    }

    pub(super) fn put_snapshot(&mut self, id: Trn, blob: Blob) -> &'static str {
        let Some(place) = self.chain.iter().position(|(here, _)| *here == id).map(|at| at + 1) else {
            return "unknown transaction";
        };
        if self.snapshots.get(&place) == Some(&blob) {
            return "again";
        }
        let mut after = self.clone();
        after.snapshots.insert(place, blob);
        while after.snapshots.len() > 2 {
            after.snapshots.pop_first();
        }
        match () {
            () if !after.snapshots.contains_key(&place) => "late",
            () if after.is_over(0, 0) => "quota",
            () => {
                *self = after;
                "done"
            }
        }
    }

    /// How much of the chain lies below the first of these that is in it.
    pub(super) fn root(&self, from: &[Trn]) -> usize {
        let at = |id: &Trn| self.chain.iter().position(|(here, _)| here == id);
        from.iter().take_while(|id| **id != 0).find_map(at).map_or(0, |at| at + 1)
    }
}
