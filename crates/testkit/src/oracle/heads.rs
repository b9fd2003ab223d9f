//! What was seen of a log's HEAD: it must be one chain, and it only moves forward.

use std::collections::BTreeMap;

use tolstoy_proto::{ChainDigest, LogState, TrnId};

/// The heads that clients were told of, in the order in which the hub told them: an answer tells the state at one moment
/// between its request and its arrival, so that this order is one in real time too.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    /// Each place that HEAD was seen at.
    seen: BTreeMap<u64, (TrnId, ChainDigest)>,
    last: u64,
}

impl Heads {
    /// A client is told this state.
    ///
    /// # Errors
    /// Where HEAD moved back, or is another than it was at the same place.
    pub fn saw(&mut self, state: &LogState) -> Result<(), String> {
        let (seq, head) = (state.seq.0, (state.head, state.chain));
        if seq < self.last {
            return Err(format!("HEAD was seen at {}, and later at {seq}", self.last));
        }
        self.last = seq;
        match self.seen.insert(seq, head) {
            Some(before) if before != head => {
                Err(format!("HEAD was seen at {seq} as {}, and later as {}", before.0, head.0))
            }
            _ => Ok(()),
        }
    }

    /// A backup was restored, in which HEAD is at this place: what was seen above it is gone.
    pub fn restored(&mut self, seq: u64) {
        self.seen.retain(|at, _| *at <= seq);
        self.last = self.last.min(seq);
    }

    /// Whether every HEAD that was seen is in the chain, at its place.
    ///
    /// # Errors
    /// Which one is not.
    pub fn check(&self, chain: &[(TrnId, ChainDigest)]) -> Result<(), String> {
        let root = (TrnId::ROOT, ChainDigest::ZERO);
        for (seq, head) in &self.seen {
            let at = usize::try_from(*seq).unwrap_or(usize::MAX);
            let found = at.checked_sub(1).map_or(Some(&root), |at| chain.get(at));
            if found != Some(head) {
                return Err(format!("HEAD was seen at {seq} as {}, which is not in the chain", head.0));
            }
        }
        Ok(())
    }

    /// How many heads were seen.
    pub fn count(&self) -> u64 {
        self.seen.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolstoy_proto::Seq;
    use uuid::Uuid;

    fn state(seq: u64, id: u128) -> LogState {
        LogState { seq: Seq(seq), head: TrnId(Uuid::from_u128(id)), ..LogState::EMPTY }
    }

    #[test]
    fn a_head_that_moves_back_or_aside_is_noticed() {
        let mut heads = Heads::default();
        heads.saw(&state(1, 1)).unwrap();
        heads.saw(&state(3, 3)).unwrap();
        assert!(heads.clone().saw(&state(2, 2)).is_err());
        assert!(heads.clone().saw(&state(3, 4)).is_err());
        heads.restored(1);
        heads.saw(&state(2, 5)).unwrap();
        let chain = [1, 5].map(|id| (TrnId(Uuid::from_u128(id)), ChainDigest::ZERO));
        assert_eq!(heads.check(&chain), Ok(()));
        assert!(heads.check(&chain[..1]).is_err());
    }
}
