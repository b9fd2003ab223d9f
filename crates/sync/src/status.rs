//! Where a store and its log stand to one another, without changing either.

use tolstoy_proto::{Form, Frame, FrameDecoder, LogState, Start, TrnId};
use tolstoy_store::{Entid, Position, Store};

use crate::carry_out::known_generation;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::outgoing::{self, Place};
use crate::transport::{Answer, Begin, Body, Transport, TransportError};

/// What a store knows by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalStatus {
    /// Transactions on main, the bootstrap left out.
    pub transactions: u64,
    /// Of them, those that the log is not known to have.
    pub ahead: u64,
    /// The chain digest at the newest that the log is known to have. Two devices with the same have the same log up to there.
    pub chain: [u8; 32],
}

/// What the log is, seen from a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// The log's state.
    pub state: LogState,
    /// How the two stand.
    pub relation: Relation,
}

/// How a log stands to what a store knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The log has all that the store knows it to have, and so many transactions more.
    Ahead(u64),
    /// The log lost this many transactions: its hub was restored from a backup. The next sync supplies them.
    Lost(u64),
    /// The log lost some transactions and has others in their place. The next sync merges.
    Forked {
        /// At most so many that the store knows to have been in it.
        lost: u64,
        /// At most so many in their place.
        others: u64,
    },
    /// The log is in another life than the store knows: it was wiped, or begun anew.
    OtherLife,
}

/// Tells where the store stands, by what it knows itself.
///
/// # Errors
/// Where it cannot be read.
pub fn local_status(store: &Store) -> Result<LocalStatus> {
    let count = |from: Entid, to: Entid| u64::try_from(to.get() - from.get()).unwrap_or(0);
    let (place, basis) = (Place::newest(store)?, store.basis());
    let synced = place.tx.max(Entid::TX0);
    Ok(LocalStatus { transactions: count(Entid::TX0, basis), ahead: count(synced, basis), chain: place.chain.0 })
}

/// Asks the hub how the log stands to what the store knows of it. Costs one request, whose answer is not read to its end.
///
/// # Errors
/// Where the hub cannot be reached or refuses, or where the log's history is not the one that the store has.
pub async fn log_status<T: Transport>(store: &Store, transport: &mut T) -> Result<LogStatus> {
    let format = Format::noted(store)?.unwrap_or(Format::Native);
    let (synced, root) = (Place::newest(store)?.tx, format.root());
    let have = outgoing::have(store, &format, synced)?;
    let from: Vec<TrnId> = have.iter().map(|place| place.id).collect();
    let start = match transport.pull(&from, Begin::Transactions).await? {
        Answer::Stream(body) => first_frame(body).await?,
        Answer::Refused(body) | Answer::Later { body, .. } => return Err(Error::Refused(Box::new(body))),
        _ => return Err(TransportError::Protocol("its answer is to another question".to_owned()).into()),
    };
    let state = start.state;
    let log = |relation| Ok(LogStatus { state, relation });
    if known_generation(store)?.is_some_and(|known| state.generation != Some(known)) {
        return log(Relation::OtherLife);
    }
    let found = have.iter().chain([&root]).find(|place| place.id == start.from);
    let found = found.ok_or_else(|| TransportError::Protocol("it starts where nobody asked it to".to_owned()))?;
    if start.from_chain != found.chain {
        return Err(Error::Damaged("the log's history is not the one that this store has of it".to_owned()));
    }
    let above = state.seq.0.saturating_sub(start.from_seq.0);
    // The ids that were asked for lie apart: between the one found and the next newer one the two may still be the same.
    let below = u64::try_from(synced.get() - found.tx.get()).unwrap_or(0);
    let head = Position { id: state.head.0, digest: state.chain.0 };
    log(match (below, above) {
        (0, more) => Relation::Ahead(more),
        (below, above) if state.seq.0 == 0 || store.has_position(head)? => Relation::Lost(below.saturating_sub(above)),
        (below, above) => Relation::Forked { lost: below, others: above },
    })
}

async fn first_frame<B: Body>(mut body: B) -> Result<Start> {
    let mut decoder = FrameDecoder::new(Form::MessagePack);
    while let Some(piece) = body.next().await? {
        decoder.feed(&piece);
        match decoder.next_frame()? {
            Some(Frame::Start(start)) => return Ok(start),
            Some(_) => return Err(TransportError::Protocol("a frame is out of place".to_owned()).into()),
            None => {}
        }
    }
    Err(TransportError::Broken("the answer was cut".to_owned()).into())
}
