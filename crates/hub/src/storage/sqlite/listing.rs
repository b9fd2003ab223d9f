//! Which lists hold the names of a life's committed transactions, and of the chunks that came with them.
//!
//! > The lists are of consecutive transactions, the oldest first, without a gap, from the listing's first transaction on. The
//! > transactions after them have their records in their blocks. Levels of lists never ascend. So the oldest [`FAN_IN`] of a level are neighbours, and become one of the next level.

use tolstoy_proto::Seq;

use super::pack::{Unpack, damaged, put_number};
use crate::storage::StorageError;

/// How many lists of a level become one of the next.
pub(super) const FAN_IN: usize = 4;

/// Records of a row: as many as fill a page.
pub(super) const ROW_RECORDS: u64 = 400;

/// Bits of a row's number that say which of its list it is.
pub(super) const PLACE_BITS: u32 = 24;

/// The number of no list.
pub(super) const MOST_LISTS: i64 = 1 << (63 - PLACE_BITS);

/// More rows than a list has.
const MOST_ROWS: u64 = 1 << PLACE_BITS;

/// A level that is not reached: each takes four lists of the one before.
const MOST_LEVELS: u64 = 32;

/// More lists than a life has.
const MOST_OF_A_LIFE: usize = 4096;

/// What is known of where a life's names are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// The first transaction whose names are in lists. Those before it were written when there were none, and theirs are in
    /// `name`.
    pub(super) first: Seq,
    /// Whether there may be transactions whose ids do not derive from their parents and chunks.
    pub(super) any_chosen: bool,
    pub(super) lists: Vec<List>,
    /// At most one for each level, whose inputs are the oldest lists of that level.
    pub(super) merges: Vec<Merge>,
    /// Rows of lists that became others.
    pub(super) dead: Vec<Dead>,
}

/// The names of consecutive transactions, in order, in rows of [`ROW_RECORDS`] but for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    /// How many merges it took.
    pub(super) level: u64,
    /// Its number, which no other list has.
    pub(super) nr: i64,
    pub(super) transactions: u64,
    pub(super) records: u64,
}

impl List {
    pub(super) fn rows(&self) -> u64 {
        self.records.div_ceil(ROW_RECORDS)
    }

    /// Whether a list can be so: what is damaged is not gone by.
    fn is_possible(&self) -> bool {
        let (transactions, rows) = (1..=u64::from(u32::MAX), 1..MOST_ROWS);
        is_number(self.nr)
            && self.level < MOST_LEVELS
            && transactions.contains(&self.transactions)
            && rows.contains(&self.rows())
    }
}

/// Lists that become one, of which some rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merge {
    /// The inputs'.
    pub(super) level: u64,
    /// The number of the list that they become.
    pub(super) nr: i64,
    /// How many records of each input it has.
    pub(super) taken: [u64; FAN_IN],
}

impl Merge {
    pub(super) fn written(&self) -> u64 {
        self.taken.iter().fold(0, |sum, taken| sum.saturating_add(*taken))
    }
}

fn is_number(nr: i64) -> bool {
    (1..MOST_LISTS).contains(&nr)
}

/// Rows of a list that are still to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dead {
    pub(super) nr: i64,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Neighbours that become one list.
pub(super) type Inputs = [(Seq, List); FAN_IN];

impl Listing {
    pub(super) fn new(first: Seq, any_chosen: bool) -> Self {
        Self { first, any_chosen, lists: Vec::new(), merges: Vec::new(), dead: Vec::new() }
    }

    /// The lists, each with the place of its first transaction.
    pub(super) fn placed(&self) -> Vec<(Seq, List)> {
        let mut next = self.first;
        let mut placed = Vec::with_capacity(self.lists.len());
        for list in &self.lists {
            placed.push((next, *list));
            next = Seq(next.0.saturating_add(list.transactions));
        }
        placed
    }

    /// The place after the last transaction that has its names in lists.
    pub(super) fn end(&self) -> Seq {
        Seq(self.lists.iter().fold(self.first.0, |end, list| end.saturating_add(list.transactions)))
    }

    /// The oldest lists of a level, where they are as many as are merged, and have no more than one list can.
    pub(super) fn inputs(&self, level: u64) -> Option<Inputs> {
        let mut of_level = self.placed().into_iter().filter(|(_, list)| list.level == level);
        let mut next = || of_level.next();
        let inputs = [next()?, next()?, next()?, next()?];
        let sum = |of: fn(&List) -> u64| inputs.iter().fold(0, |sum: u64, (_, list)| sum.saturating_add(of(list)));
        let merged = List {
            level: level + 1,
            nr: 1,
            transactions: sum(|list| list.transactions),
            records: sum(|list| list.records),
        };
        merged.is_possible().then_some(inputs)
    }

    /// The lowest level with lists to merge, and these.
    pub(super) fn to_merge(&self) -> Option<(u64, Inputs)> {
        let mut levels: Vec<u64> = self.lists.iter().map(|list| list.level).collect();
        levels.dedup();
        levels.into_iter().rev().find_map(|level| Some((level, self.inputs(level)?)))
    }

    /// Puts the list that the inputs of a merge became in their place. Their rows are to be removed.
    pub(super) fn is_merged(&mut self, merge: Merge, inputs: &Inputs) {
        let Some(at) = self.lists.iter().position(|list| list.level == merge.level) else { return };
        let sum = |of: fn(&List) -> u64| inputs.iter().fold(0, |sum: u64, (_, list)| sum.saturating_add(of(list)));
        let (transactions, records) = (sum(|list| list.transactions), sum(|list| list.records));
        let list = List { level: merge.level + 1, nr: merge.nr, transactions, records };
        self.lists.splice(at..at + FAN_IN, [list]);
        self.merges.retain(|other| other.level != merge.level);
        self.dead.extend(inputs.iter().map(|(_, list)| Dead { nr: list.nr, from: 0, to: list.rows() }));
    }

    /// The life has ended: all rows are to be removed.
    pub(super) fn is_ended(&mut self) {
        self.dead.extend(self.lists.drain(..).map(|list| Dead { nr: list.nr, from: 0, to: list.rows() }));
        let written = |merge: Merge| Dead { nr: merge.nr, from: 0, to: merge.written().div_ceil(ROW_RECORDS) };
        self.dead.extend(self.merges.drain(..).map(written));
    }

    /// The numbers of all lists that have rows, or had some.
    pub(super) fn numbers(&self) -> impl Iterator<Item = i64> {
        let merging = self.merges.iter().map(|merge| merge.nr);
        self.lists.iter().map(|list| list.nr).chain(merging).chain(self.dead.iter().map(|dead| dead.nr))
    }

    pub(super) fn pack_lists(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for List { level, nr, transactions, records } in &self.lists {
            put_numbers(&mut out, &[*level, nr.cast_unsigned(), *transactions, *records]);
        }
        out
    }

    pub(super) fn pack_merges(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for Merge { level, nr, taken } in &self.merges {
            put_numbers(&mut out, &[*level, nr.cast_unsigned()]);
            put_numbers(&mut out, taken);
        }
        out
    }

    pub(super) fn pack_dead(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for Dead { nr, from, to } in &self.dead {
            put_numbers(&mut out, &[nr.cast_unsigned(), *from, *to]);
        }
        out
    }

    /// Reads what the three functions above packed.
    pub(super) fn unpack(
        first: Seq,
        any_chosen: bool,
        lists: &[u8],
        merges: &[u8],
        dead: &[u8],
    ) -> Result<Self, StorageError> {
        let mut listing = Self::new(first, any_chosen);
        let mut rest = Unpack(lists);
        while !rest.is_empty() {
            let (level, nr, transactions, records) = (rest.number()?, rest.row()?, rest.number()?, rest.number()?);
            listing.lists.push(List { level, nr, transactions, records });
        }
        let mut rest = Unpack(merges);
        while !rest.is_empty() {
            let (level, nr) = (rest.number()?, rest.row()?);
            let mut taken = [0; FAN_IN];
            for taken in &mut taken {
                *taken = rest.number()?;
            }
            listing.merges.push(Merge { level, nr, taken });
        }
        let mut rest = Unpack(dead);
        while !rest.is_empty() {
            listing.dead.push(Dead { nr: rest.row()?, from: rest.number()?, to: rest.number()? });
        }
        if listing.is_possible() { Ok(listing) } else { Err(damaged()) }
    }

    fn is_possible(&self) -> bool {
        let is_dead = |dead: &Dead| is_number(dead.nr) && dead.from <= dead.to && dead.to < MOST_ROWS;
        self.first > Seq::ROOT
            && self.lists.len() <= MOST_OF_A_LIFE
            && self.lists.iter().all(List::is_possible)
            && self.lists.is_sorted_by(|older, newer| older.level >= newer.level)
            && self.merges.iter().all(|merge| self.is_merge(merge))
            && self.dead.iter().all(is_dead)
    }

    /// Whether it is the one of its level, of lists that are there, and has whole rows of their records.
    fn is_merge(&self, merge: &Merge) -> bool {
        let Some(inputs) = self.inputs(merge.level) else { return false };
        is_number(merge.nr)
            && self.merges.iter().filter(|other| other.level == merge.level).count() == 1
            && merge.taken.iter().zip(&inputs).all(|(taken, (_, list))| *taken <= list.records)
            && merge.written() > 0
            && merge.written().is_multiple_of(ROW_RECORDS)
    }
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| put_number(out, *number));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(level: u64, nr: i64) -> List {
        List { level, nr, transactions: 16 << (2 * level), records: 32 << (2 * level) }
    }

    #[test]
    fn the_oldest_of_a_level_become_one_of_the_next() {
        let mut listing = Listing::new(Seq(5), false);
        listing.lists = vec![list(2, 9), list(0, 1), list(0, 2), list(0, 3)];
        assert_eq!(listing.to_merge(), None);
        listing.lists.extend([list(0, 4), list(0, 5)]);
        let (level, inputs) = listing.to_merge().unwrap();
        assert_eq!((level, inputs[0]), (0, (Seq(5 + 256), list(0, 1))));
        let merge = Merge { level, nr: 10, taken: [32; FAN_IN] };
        listing.merges.push(merge);
        let end = listing.end();
        listing.is_merged(merge, &inputs);
        assert_eq!(listing.lists, [list(2, 9), list(1, 10), list(0, 5)]);
        assert_eq!((listing.end(), listing.merges.len()), (end, 0));
        assert_eq!(
            listing.dead.iter().map(|dead| (dead.nr, dead.to)).collect::<Vec<_>>(),
            [(1, 1), (2, 1), (3, 1), (4, 1)]
        );
        assert_eq!(listing.numbers().collect::<Vec<_>>(), [9, 10, 5, 1, 2, 3, 4]);
        listing.is_ended();
        assert_eq!((listing.lists.len(), listing.dead.len()), (0, 7));
    }

    #[test]
    fn what_is_packed_is_read_again_and_what_is_damaged_refused() {
        let mut listing = Listing::new(Seq(1), true);
        listing.lists = vec![list(3, 1 << 30), list(1, 7), list(1, 8), list(1, 9), list(1, 10), list(1, 11)];
        listing.merges = vec![Merge { level: 1, nr: 12, taken: [128, 128, 100, 44] }];
        listing.dead = vec![Dead { nr: 3, from: 1, to: 5 }];
        let [lists, merges, dead] = [listing.pack_lists(), listing.pack_merges(), listing.pack_dead()];
        assert_eq!(Listing::unpack(Seq(1), true, &lists, &merges, &dead), Ok(listing.clone()));
        assert!(Listing::unpack(Seq(1), true, &lists[1..], &[], &[]).is_err());
        assert!(Listing::unpack(Seq(1), true, &[], &merges[..3], &[]).is_err());
        for impossible in [
            List { level: 77, ..list(0, 1) },
            List { nr: MOST_LISTS, ..list(0, 1) },
            List { nr: -1, ..list(0, 1) },
            List { transactions: 1 << 32, ..list(0, 1) },
            List { records: 1 << 63, ..list(0, 1) },
            List { records: 0, ..list(0, 1) },
        ] {
            let lists = Listing { lists: vec![impossible], ..listing.clone() }.pack_lists();
            assert_eq!(Listing::unpack(Seq(1), true, &lists, &[], &[]), Err(damaged()), "{impossible:?}");
        }
        let merge =
            |taken| Listing { merges: vec![Merge { taken, ..listing.merges[0] }], ..listing.clone() }.pack_merges();
        assert!(Listing::unpack(Seq(1), true, &[], &merge([u64::MAX; FAN_IN]), &[]).is_err());
        let dead = |to| Listing { dead: vec![Dead { nr: 1, from: 3, to }], ..listing.clone() }.pack_dead();
        assert!(Listing::unpack(Seq(1), true, &[], &[], &dead(2)).is_err());
        assert!(Listing::unpack(Seq(1), true, &[], &[], &dead(1 << 24)).is_err());
        assert!(Listing::unpack(Seq(0), true, &[], &[], &[]).is_err());
        listing.lists.reverse();
        assert!(Listing::unpack(Seq(1), true, &listing.pack_lists(), &[], &[]).is_err(), "levels that ascend");
    }

    #[test]
    fn lists_that_one_cannot_tell_of_stay() {
        let mut listing = Listing::new(Seq(1), false);
        listing.lists = vec![List { transactions: 1 << 30, records: 400, ..list(9, 1) }; FAN_IN];
        assert_eq!(listing.to_merge(), None);
        listing.lists.extend([list(0, 1); FAN_IN]);
        assert_eq!(listing.to_merge().map(|(level, _)| level), Some(0));
    }
}
