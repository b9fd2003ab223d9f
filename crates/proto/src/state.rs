//! What a log's state is.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::ChainDigest;
use crate::ids::{Seq, TrnId};

/// A life of a log. It begins with the first write; a delete ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// Names this life; no other life of any log has it.
    #[serde(with = "crate::ids::uuid_text")]
    pub id: Uuid,
    /// 1 for the first life, one more for each further one.
    pub number: u64,
}

/// A log's state, which every `/1` answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// None where the log was never written, or was deleted.
    pub generation: Option<Generation>,
    /// The newest committed transaction; the root where there is none.
    pub head: TrnId,
    /// HEAD's place.
    pub seq: Seq,
    /// The chain digest at HEAD.
    pub chain: ChainDigest,
}

impl LogState {
    /// The state of a log that was never written, or was deleted.
    pub const EMPTY: Self = Self { generation: None, head: TrnId::ROOT, seq: Seq::ROOT, chain: ChainDigest::ZERO };

    /// As the value of the header field [`media::STATE`](crate::media::STATE), for answers whose body does not carry it:
    /// `generation=UUID/NUMBER; head=UUID; seq=N; chain=HEX`, with `generation=none` where there is none.
    pub fn to_field(&self) -> String {
        let generation = self.generation.map_or_else(|| "none".to_owned(), |g| format!("{}/{}", g.id, g.number));
        format!("generation={generation}; head={}; seq={}; chain={}", self.head, self.seq, self.chain)
    }

    /// From the value of that field; parts that are not known are passed over. None where it is malformed.
    pub fn from_field(field: &str) -> Option<Self> {
        let part = |name: &str| field.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        let generation = match part("generation")? {
            "none" => None,
            text => {
                let (id, number) = text.split_once('/')?;
                Some(Generation { id: crate::ids::parse_uuid(id).ok()?, number: number.parse().ok()? })
            }
        };
        Some(Self {
            generation,
            head: part("head")?.parse().ok()?,
            seq: Seq(part("seq")?.parse().ok()?),
            chain: part("chain")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_a_field() {
        let generation = Generation { id: Uuid::from_u128(5), number: 3 };
        let state = LogState {
            generation: Some(generation),
            head: TrnId(Uuid::from_u128(7)),
            seq: Seq(9),
            chain: ChainDigest([1; 32]),
        };
        for state in [state, LogState::EMPTY] {
            assert_eq!(LogState::from_field(&state.to_field()), Some(state));
            assert_eq!(LogState::from_field(&format!("new=1; {};more=2", state.to_field())), Some(state));
        }
        for bad in ["", "generation=none", "generation=x/1; head=1", &state.to_field()[..100]] {
            assert_eq!(LogState::from_field(bad), None, "{bad}");
        }
    }
}
