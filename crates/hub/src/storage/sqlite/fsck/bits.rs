//! A set of row numbers, a bit for each.

/// Rows are numbered from 1 without large gaps, so that a set of a hundred million takes 12 MiB.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// Numbers beyond what a hub reaches: only damage mentions them.
    far: std::collections::BTreeSet<i64>,
}

/// Rows that have a bit.
const NEAR: i64 = 1 << 30;

impl Bits {
    /// False where it was there already.
    pub(super) fn insert(&mut self, row: i64) -> bool {
        let Some((word, bit)) = place(row) else { return self.far.insert(row) };
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        match self.words.get_mut(word) {
            Some(bits) => {
                let is_new = *bits & bit == 0;
                *bits |= bit;
                is_new
            }
            None => false,
        }
    }

    pub(super) fn contains(&self, row: i64) -> bool {
        match place(row) {
            Some((word, bit)) => self.words.get(word).is_some_and(|bits| bits & bit != 0),
            None => self.far.contains(&row),
        }
    }
}

fn place(row: i64) -> Option<(usize, u64)> {
    if !(0..NEAR).contains(&row) {
        return None;
    }
    usize::try_from(row / 64).ok().map(|word| (word, 1 << (row % 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_it_once() {
        let mut bits = Bits::default();
        for row in [1, 2, 64, 1000, -1, i64::MAX] {
            assert!(!bits.contains(row));
            assert!(bits.insert(row));
            assert!(bits.contains(row) && !bits.insert(row));
        }
        assert!(!bits.contains(3) && !bits.contains(0));
    }
}
