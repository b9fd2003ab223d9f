//! What is known of one property.

use std::cmp::Ordering;

use crate::clock::{Clock, Stamp, Sum};
use crate::json::Json;

/// How many stamps of a property are kept.
pub(crate) const KEPT: usize = 16;

/// What is known of the value that was stamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// It was not replaced knowingly. None: the property was removed.
    Value(Option<Json>),
    /// Someone who knew it wrote another.
    Replaced,
}

/// What a document says of a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Replaced,
    LeftOut,
    Value,
}

/// What a document says of the value that was stamped.
#[derive(Debug)]
pub(crate) enum Told {
    Replaced,
    /// Its value is left out: it is the one that stands, if that has this sum.
    LeftOut,
    Value(Option<Json>),
}

impl Told {
    const fn kind(&self) -> Kind {
        match self {
            Self::Replaced => Kind::Replaced,
            Self::LeftOut => Kind::LeftOut,
            Self::Value(_) => Kind::Value,
        }
    }
}

/// The newest stamps of a property, newest first; never empty. The first is that of the value that stands.
///
/// Invariant: the first cell is a value, since whoever replaces a value has a newer stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History(Vec<(Stamp, Cell)>);

impl History {
    /// A property with one value.
    pub(crate) fn of(clock: Clock, value: Option<Json>) -> Self {
        let sum = Sum::of(value.as_ref());
        Self(vec![(Stamp { clock, sum }, Cell::Value(value))])
    }

    /// What a document says of a property: the stamps that it has, in any order, that among them of the value that stood
    /// there, as replaced, and the value that stands there. A client without clocks, at `updated_at`, may have put it there.
    pub(crate) fn read(
        mut told: Vec<(Stamp, Told)>,
        newest: Option<&Stamp>,
        value: Option<Json>,
        updated_at: Clock,
    ) -> Self {
        let sum = Sum::of(value.as_ref());
        // The newest first, and what is said again left out: a document may list many thousands, and the value that stands is
        // copied for those alone that are kept.
        told.sort_by(|(a, one), (b, other)| b.cmp(a).then(one.kind().cmp(&other.kind())));
        told.dedup_by(|(a, one), (b, other)| a == b && one.kind() == other.kind() && one.kind() != Kind::Value);
        let mut history = Self(Vec::new());
        for (stamp, told) in told {
            if history.0.len() == KEPT && history.0.last().is_some_and(|(last, _)| stamp < *last) {
                break;
            }
            let cell = match told {
                Told::Value(value) => Cell::Value(value),
                Told::LeftOut if value.is_some() && stamp.sum == sum => Cell::Value(value.clone()),
                // What was left out was equal to what stood, which someone changed who does not know of journals.
                Told::LeftOut | Told::Replaced => Cell::Replaced,
            };
            history.add(stamp, cell);
        }
        let Some((last, _)) = history.0.first().cloned() else { return Self::of(updated_at, value) };
        if newest == Some(&last) && last.sum == sum {
            history.0.first_mut().into_iter().for_each(|(_, cell)| *cell = Cell::Value(value.clone()));
        } else {
            let clock = last.clock.next_foreign(updated_at.instant).unwrap_or_else(|_| {
                // At the end of time nothing can be newer than the last stamp, so this takes its place.
                history.0.retain(|(stamp, _)| stamp.clock != last.clock);
                last.clock
            });
            history.0.insert(0, (Stamp { clock, sum }, Cell::Value(value)));
        }
        history.0.truncate(KEPT);
        history
    }

    /// Takes in a stamp. Of one that is there, replaced counts more than a value, and of two values that with the larger
    /// canonical form.
    fn add(&mut self, stamp: Stamp, cell: Cell) {
        match self.0.binary_search_by(|(there, _)| stamp.cmp(there)) {
            Err(place) => self.0.insert(place, (stamp, cell)),
            Ok(place) => {
                if let Some((_, there)) = self.0.get_mut(place)
                    && rank(&cell, there) == Ordering::Greater
                {
                    *there = cell;
                }
            }
        }
    }

    /// The join of what two documents know.
    pub(crate) fn join(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        for (stamp, cell) in &other.0 {
            joined.add(stamp.clone(), cell.clone());
        }
        joined.0.truncate(KEPT);
        joined
    }

    /// Writes a value knowingly: what stands is replaced.
    pub(crate) fn replace(&mut self, clock: Clock, value: Option<Json>) {
        if let Some((_, cell)) = self.0.first_mut() {
            *cell = Cell::Replaced;
        }
        let sum = Sum::of(value.as_ref());
        self.0.insert(0, (Stamp { clock, sum }, Cell::Value(value)));
        self.0.truncate(KEPT);
    }

    /// The value that stands; none where the property was removed.
    pub(crate) fn stands(&self) -> Option<&Json> {
        match self.0.first() {
            Some((_, Cell::Value(value))) => value.as_ref(),
            _ => None,
        }
    }

    /// The stamp of the value that stands.
    pub(crate) fn newest(&self) -> Option<&Stamp> {
        self.0.first().map(|(stamp, _)| stamp)
    }

    /// Whether nothing is known but one value, by a client without clocks, at this time.
    pub(crate) fn is_foreign_at(&self, clock: &Clock) -> bool {
        matches!(&*self.0, [(stamp, Cell::Value(Some(_)))] if stamp.clock == *clock)
    }

    /// The stamps that `_clocks` lists, newest first: of what stands, and of what was replaced.
    pub(crate) fn clocks(&self) -> impl Iterator<Item = &Stamp> {
        let rest = self.0.iter().skip(1).filter(|(_, cell)| *cell == Cell::Replaced);
        self.0.iter().take(1).chain(rest).map(|(stamp, _)| stamp)
    }

    /// The values that were lost, newest first.
    pub(crate) fn lost(&self) -> impl Iterator<Item = (&Stamp, Option<&Json>)> {
        self.0.iter().skip(1).filter_map(|(stamp, cell)| match cell {
            Cell::Value(value) => Some((stamp, value.as_ref())),
            Cell::Replaced => None,
        })
    }
}

fn rank(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Replaced, Cell::Replaced) => Ordering::Equal,
        (Cell::Replaced, _) => Ordering::Greater,
        (_, Cell::Replaced) => Ordering::Less,
        (Cell::Value(a), Cell::Value(b)) => {
            let canonical = |value: &Option<Json>| value.as_ref().map(Json::canonical);
            canonical(a).cmp(&canonical(b))
        }
    }
}
