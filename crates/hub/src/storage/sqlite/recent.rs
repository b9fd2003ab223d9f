//! What the writer remembers of the logs that were written last, from job to job: a push to one of them looks up
//! its ids at most.
//!
//! > What is remembered is what the writer's connection would read. Nobody else changes the file, which is locked; each job
//! > gives back the ends that it took, as it wrote them; and where a batch is not kept, all is forgotten.

use std::collections::HashMap;

use tolstoy_proto::{Generation, LogId};

use super::end::End;
use crate::storage::Life;

/// Logs in the younger half. A log takes up to 3 KiB.
const REMEMBERED: usize = 2048;

/// The ends of chains, of bounded number: where the young half is full, the old one is forgotten, with those in it that
/// nobody asked for since.
#[derive(Debug, Default)]
pub(super) struct Recent {
    young: Half,
    old: Half,
}

#[derive(Debug, Default)]
struct Half {
    ends: HashMap<Life, End>,
    lives: HashMap<LogId, Life>,
}

impl Half {
    fn find(&self, log: LogId) -> Option<(Life, Generation)> {
        let life = self.lives.get(&log)?;
        self.ends.get(life).map(|end| (end.life, end.generation))
    }

    fn take(&mut self, life: Life) -> Option<End> {
        let end = self.ends.remove(&life)?;
        self.lives.remove(&end.log);
        Some(end)
    }
}

impl Recent {
    /// The log's life and generation, where it is remembered.
    pub(super) fn find(&self, log: LogId) -> Option<(Life, Generation)> {
        self.young.find(log).or_else(|| self.old.find(log))
    }

    /// The end of the life's chain, where it is remembered. Who changes it gives it back, or a life that has ended does not
    /// come back.
    pub(super) fn take(&mut self, life: Life) -> Option<End> {
        self.young.take(life).or_else(|| self.old.take(life))
    }

    /// Remembers an end that is as its row.
    pub(super) fn put(&mut self, end: End) {
        if self.young.ends.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.lives.insert(end.log, end.life);
        self.young.ends.insert(end.life, end);
    }

    /// What was remembered may not be in the file.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use tolstoy_proto::Seq;
    use uuid::Uuid;

    use super::*;
    use crate::storage::{Tip, Usage};

    fn end(n: u64, seq: u64) -> End {
        let generation = Generation { id: Uuid::nil(), number: n };
        let tip = Tip { seq: Seq(seq), ..Tip::ROOT };
        End::new(Life(n.cast_signed()), log(n), generation, tip, Usage::default(), Vec::new())
    }

    fn log(n: u64) -> LogId {
        LogId(Uuid::from_u128(n.into()))
    }

    #[test]
    fn who_is_busy_is_remembered_and_the_others_are_bounded() {
        let mut recent = Recent::default();
        recent.put(end(0, 0));
        let most = 3 * REMEMBERED as u64;
        for n in 1..=most {
            recent.put(end(n, 0));
            let busy = recent.take(Life(0)).unwrap();
            assert_eq!(busy.tip.seq, Seq(n - 1));
            assert!(recent.find(log(0)).is_none());
            recent.put(end(0, n));
        }
        assert_eq!(recent.find(log(0)).unwrap().0, Life(0));
        assert!(recent.find(log(1)).is_none() && recent.take(Life(1)).is_none());
        assert_eq!(recent.find(log(most)).unwrap().1.number, most);
        for half in [&recent.young, &recent.old] {
            assert!(half.ends.len() <= REMEMBERED && half.lives.len() == half.ends.len());
        }
        recent.forget();
        assert!(recent.find(log(most)).is_none());
    }
}
