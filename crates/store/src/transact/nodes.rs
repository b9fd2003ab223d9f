//! Entities that a transaction names but whose numbers are not known yet.

use std::collections::HashMap;

use tolstoy_edn::Span;

use crate::types::{Entid, Value};

/// Whether an entid is provisional: it stands for an entity of [`Nodes`]. No store has an entity with a negative number.
pub(super) fn is_provisional(e: Entid) -> bool {
    e.get() < 0
}

/// What a value refers to, if that is a provisional entity.
pub(super) fn provisional_ref(v: &Value) -> Option<Entid> {
    v.as_ref_entid().filter(|e| is_provisional(*e))
}

/// The entities of one transaction that have no number yet, each under a provisional, negative entid. Several may turn
/// out to be one entity, or one that the store has; [`Nodes::current`] follows that.
#[derive(Default)]
pub(super) struct Nodes<'f> {
    nodes: Vec<Node<'f>>,
    tempids: HashMap<&'f str, Entid>,
}

struct Node<'f> {
    /// What it was found to be: another node, or an entity.
    is: Option<Entid>,
    /// The term whose unique value showed which entity of the store it is.
    shown_by: Option<usize>,
    tempid: Option<&'f str>,
    span: Span,
}

impl<'f> Nodes<'f> {
    /// A new entity without a name, such as a map's without `:db/id`.
    pub(super) fn anonymous(&mut self, span: Span) -> Entid {
        self.push(None, span)
    }

    /// The entity of a tempid.
    pub(super) fn tempid(&mut self, name: &'f str, span: Span) -> Entid {
        if let Some(e) = self.tempids.get(name) {
            return *e;
        }
        let e = self.push(Some(name), span);
        self.tempids.insert(name, e);
        e
    }

    fn push(&mut self, tempid: Option<&'f str>, span: Span) -> Entid {
        self.nodes.push(Node { is: None, shown_by: None, tempid, span });
        Entid::new(-i64::try_from(self.nodes.len()).unwrap_or(i64::MAX))
    }

    fn index(e: Entid) -> Option<usize> {
        usize::try_from(e.get().checked_neg()?.checked_sub(1)?).ok()
    }

    fn node(&self, e: Entid) -> Option<&Node<'f>> {
        self.nodes.get(Self::index(e)?)
    }

    fn step(&self, e: Entid) -> Option<Entid> {
        self.node(e)?.is
    }

    /// What the entity is as far as known: a number, or the provisional entid that stands for all that are one with it.
    pub(super) fn current(&mut self, e: Entid) -> Entid {
        let mut at = e;
        while let Some(next) = self.step(at) {
            // Halves the path, so that long chains of unifications stay cheap. The last node keeps the step to a number.
            if let Some(further) = self.step(next).filter(|e| is_provisional(*e)) {
                self.set(at, further);
                at = further;
            } else {
                at = next;
            }
        }
        at
    }

    /// Records that a provisional entity, itself current, is `other`.
    pub(super) fn set(&mut self, e: Entid, other: Entid) {
        if let Some(node) = Self::index(e).and_then(|i| self.nodes.get_mut(i)) {
            node.is = Some(other);
        }
    }

    /// Records which term showed what a provisional entity, itself current, is.
    pub(super) fn set_shown_by(&mut self, e: Entid, term: usize) {
        if let Some(node) = Self::index(e).and_then(|i| self.nodes.get_mut(i)) {
            node.shown_by = Some(term);
        }
    }

    /// The term that showed which entity of the store this one is.
    pub(super) fn shown_by(&self, e: Entid) -> Option<usize> {
        let mut at = e;
        loop {
            let node = self.node(at)?;
            match node.is {
                Some(next) if is_provisional(next) => at = next,
                _ => return node.shown_by,
            }
        }
    }

    /// For messages: the tempid, or that it is a map's.
    pub(super) fn describe(&self, e: Entid) -> String {
        match self.node(e).and_then(|n| n.tempid) {
            Some(name) => format!("the tempid {name:?}"),
            None => "the entity of this map".to_owned(),
        }
    }

    /// Where it is first mentioned.
    pub(super) fn span(&self, e: Entid) -> Span {
        self.node(e).map(|n| n.span).unwrap_or_default()
    }

    /// All provisional entids, in the order they were made.
    pub(super) fn all(&self) -> impl Iterator<Item = Entid> + use<> {
        (1..=i64::try_from(self.nodes.len()).unwrap_or(i64::MAX)).map(|n| Entid::new(-n))
    }

    /// All tempids with their provisional entids.
    pub(super) fn tempids(&self) -> Vec<(&'f str, Entid)> {
        self.tempids.iter().map(|(name, e)| (*name, *e)).collect()
    }
}
