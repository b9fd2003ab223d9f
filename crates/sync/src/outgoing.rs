//! What the store has, in the log's terms: transaction ids, chunks, pushes.

use bytes::Bytes;
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, End, Frame, Generation, Push, Seq, Transaction, TrnId, derive_trn, encode_frame,
    limits,
};
use tolstoy_store::{Entid, Position, Store, Timeline, log};
use uuid::Uuid;

use crate::chunk;
use crate::error::Result;

/// A push goes out when it has this many bytes.
const FULL: usize = 8 << 20;
/// Chunks of a transaction with more bytes than this go ahead of its push.
const AHEAD: usize = limits::MAX_PUSH - (8 << 20);
/// Transactions read from the store at a time.
const BATCH: usize = 64;

/// A place in the log that the store knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tx: Entid,
    pub(crate) id: TrnId,
    pub(crate) chain: ChainDigest,
}

impl Place {
    pub(crate) const ROOT: Self = Self { tx: Entid::TX0, id: TrnId::ROOT, chain: ChainDigest::ZERO };

    /// The place of a transaction that is known to be in the log.
    pub(crate) fn of(store: &Store, tx: Entid) -> Result<Option<Self>> {
        if tx == Entid::TX0 {
            return Ok(Some(Self::ROOT));
        }
        let position = store.position(tx)?;
        Ok(position.map(|p| Self { tx, id: TrnId(p.id), chain: ChainDigest(p.digest) }))
    }

    pub(crate) fn position(&self) -> Position {
        Position { id: self.id.0, digest: self.chain.0 }
    }

    pub(crate) fn seq(&self) -> Seq {
        Seq(u64::try_from(self.tx.get() - Entid::TX0.get()).unwrap_or(0))
    }
}

/// The places at distances 0, 1, 2, 4, 8 ... below the newest that is known to be in the log, newest first.
pub(crate) fn have(store: &Store, synced: Entid) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut distance = 0;
    while synced.plus(-distance) > Entid::TX0 && places.len() < limits::MAX_CANDIDATES {
        places.extend(Place::of(store, synced.plus(-distance))?);
        distance = if distance == 0 { 1 } else { distance * 2 };
    }
    Ok(places)
}

/// A store's transaction as the log has it.
pub(crate) struct Minted {
    pub(crate) place: Place,
    pub(crate) chunks: Vec<(ChunkId, Bytes)>,
}

/// The transaction that follows `parent`, in the log's terms.
pub(crate) fn mint(parent: &Place, transaction: &log::Transaction) -> Result<Minted> {
    let chunks = chunk::cut(log::codec::version(transaction), transaction.origin.id, &log::codec::encode(transaction))?;
    let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
    let id = derive_trn(parent.id, &ids);
    let place = Place { tx: transaction.tx, id, chain: parent.chain.extend(id, &ids) };
    Ok(Minted { place, chunks })
}

/// One push.
pub(crate) struct Outgoing {
    /// Chunks to upload before it.
    pub(crate) ahead: Vec<(ChunkId, Bytes)>,
    pub(crate) body: Bytes,
    /// Where each transaction will stand, with its origin.
    pub(crate) places: Vec<(Place, Uuid)>,
}

/// The first push of what the store has above `after`: as many transactions as make it full.
pub(crate) fn outgoing(store: &Store, after: Place, generation: Option<Generation>) -> Result<Outgoing> {
    let mut expect: Vec<TrnId> = have(store, after.tx)?.iter().map(|p| p.id).collect();
    if expect.is_empty() {
        expect.push(TrnId::ROOT);
    }
    let mut body = Vec::new();
    encode_frame(&Frame::Push(Push { generation, expect }), &mut body);
    let mut push = Outgoing { ahead: Vec::new(), body: Bytes::new(), places: Vec::new() };
    let mut at = after;
    'full: loop {
        let batch = store.transactions(Timeline::MAIN, at.tx, BATCH)?;
        for transaction in &batch {
            let minted = mint(&at, transaction)?;
            let bytes: usize = minted.chunks.iter().map(|(_, bytes)| bytes.len()).sum();
            if !push.places.is_empty() && body.len() + bytes > FULL {
                break 'full;
            }
            encode(&mut body, &mut push.ahead, &at, &minted, bytes);
            at = minted.place;
            push.places.push((at, transaction.origin.id));
        }
        if batch.len() < BATCH {
            break;
        }
    }
    encode_frame(&Frame::End(End { count: push.places.len() as u64, chain: at.chain }), &mut body);
    push.body = body.into();
    Ok(push)
}

fn encode(body: &mut Vec<u8>, ahead: &mut Vec<(ChunkId, Bytes)>, parent: &Place, minted: &Minted, bytes: usize) {
    let chunks = minted.chunks.iter().map(|(id, _)| *id).collect();
    let transaction = Transaction { id: minted.place.id, seq: minted.place.seq(), parent: parent.id, chunks };
    encode_frame(&Frame::Transaction(transaction), body);
    for (id, bytes_of) in &minted.chunks {
        if bytes > AHEAD {
            ahead.push((*id, bytes_of.clone()));
        } else {
            encode_frame(&Frame::Chunk(Chunk { id: *id, bytes: bytes_of.clone() }), body);
        }
    }
}
