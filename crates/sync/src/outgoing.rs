//! What the store has, in the log's terms: transaction ids, chunks, pushes.

use bytes::Bytes;
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, End, Frame, Generation, Push, Transaction, TrnId, derive_trn, encode_frame, limits,
};
use tolstoy_store::{Entid, Position, Store, Timeline};
use uuid::Uuid;

use crate::error::Result;
use crate::format::Format;

/// A push goes out when it has this many bytes.
const FULL: usize = 8 << 20;
/// Chunks of a transaction with more bytes than this go ahead of its push.
const AHEAD: usize = limits::MAX_PUSH - (8 << 20);
/// Bytes that a chunk adds to a push beside its own: its id twice, and its frame.
const OVERHEAD: usize = 2 * limits::MAX_CHUNK_ID + 32;
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
    /// The place of a transaction that is known to be in the log, or the root's.
    pub(crate) fn of(store: &Store, format: &Format, tx: Entid) -> Result<Option<Self>> {
        if tx == format.root().tx {
            return Ok(Some(format.root()));
        }
        let position = store.position(tx)?;
        Ok(position.map(|p| Self { tx, id: TrnId(p.id), chain: ChainDigest(p.digest) }))
    }

    /// The place of the newest transaction that is known to be in the log, or the root's.
    pub(crate) fn newest(store: &Store) -> Result<Self> {
        let root = Format::noted(store)?.unwrap_or(Format::Native).root();
        let Some(tx) = store.last_positioned()? else { return Ok(root) };
        let position = store.position(tx)?;
        Ok(position.map_or(root, |p| Self { tx, id: TrnId(p.id), chain: ChainDigest(p.digest) }))
    }

    pub(crate) fn position(&self) -> Position {
        Position { id: self.id.0, digest: self.chain.0 }
    }
}

/// The places at distances 0, 1, 2, 4, 8 ... below the newest that is known to be in the log, newest first.
pub(crate) fn have(store: &Store, format: &Format, synced: Entid) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut distance = 0;
    while synced.plus(-distance) > format.root().tx && places.len() < limits::MAX_CANDIDATES {
        places.extend(Place::of(store, format, synced.plus(-distance))?);
        distance = if distance == 0 { 1 } else { distance * 2 };
    }
    Ok(places)
}

/// A store's transaction as the log has it.
pub(crate) struct Minted {
    pub(crate) place: Place,
    pub(crate) chunks: Vec<(ChunkId, Bytes)>,
}

impl Minted {
    /// The transaction with these chunks that follows `parent`.
    pub(crate) fn after(parent: &Place, tx: Entid, chunks: Vec<(ChunkId, Bytes)>) -> Self {
        let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
        let id = derive_trn(parent.id, &ids);
        Self { place: Place { tx, id, chain: parent.chain.extend(id, &ids) }, chunks }
    }
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
pub(crate) fn outgoing(
    store: &Store,
    format: &Format,
    after: Place,
    generation: Option<Generation>,
) -> Result<Outgoing> {
    let mut expect: Vec<TrnId> = have(store, format, after.tx)?.iter().map(|p| p.id).collect();
    if expect.is_empty() {
        expect.push(TrnId::ROOT);
    }
    let mut body = Vec::new();
    encode_frame(&Frame::Push(Push { generation, expect }), &mut body);
    let mut push = Outgoing { ahead: Vec::new(), body: Bytes::new(), places: Vec::new() };
    let mut at = after;
    let mut seq = format.seq(store, after.tx)?;
    'full: loop {
        let batch = store.transactions(Timeline::MAIN, at.tx, BATCH)?;
        for transaction in &batch {
            let minted = format.mint(store, &at, transaction)?;
            let bytes: usize = minted.chunks.iter().map(|(_, bytes)| bytes.len() + OVERHEAD).sum();
            // No client of the original's can begin to sync with a log that holds the bootstrap alone.
            if at.tx > after.tx.max(Entid::TX0) && body.len() + bytes > FULL {
                break 'full;
            }
            let chunks = minted.chunks.iter().map(|(id, _)| *id).collect();
            let id = minted.place.id;
            seq = seq.next();
            encode_frame(&Frame::Transaction(Transaction { id, seq, parent: at.id, chunks }), &mut body);
            if bytes > AHEAD {
                push.ahead.extend(minted.chunks);
            } else {
                for (id, bytes) in minted.chunks {
                    encode_frame(&Frame::Chunk(Chunk { id, bytes }), &mut body);
                }
            }
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
