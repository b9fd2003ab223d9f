//! How a log's transactions are written into chunks. A log is in one format from its first transaction on, and its first
//! chunk shows which.
//!
//! A transaction is put aside as it arrives, long before the store is touched. So each chunk is [checked](Format::check)
//! when it comes, the chunks of a transaction are [joined](Format::join) when the last one is there, and what they say is
//! [decoded](Format::decode) when its turn has come, inside the pass that applies it.

pub(crate) mod native;

use bytes::Bytes;
use tolstoy_proto::{Chunk, ChunkId, Seq, Transaction, derive_trn};
use tolstoy_store::{Entid, Position, log};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::outgoing::{Minted, Place};
use crate::spool::Spooled;

use native::BadChunk;

/// What a log is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tolstoy's own: `docs/format.md`.
    Native,
}

/// The chunks of one transaction, joined.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// The version of the format that they have.
    pub(crate) version: u8,
    /// The change that it is, as its chunks say.
    pub(crate) origin: Uuid,
    /// What [`Format::decode`] takes.
    pub(crate) payload: Vec<u8>,
}

impl Format {
    /// The format of the log whose first chunk this is.
    ///
    /// # Errors
    /// Where it is in none that is known.
    pub(crate) fn of(first: &[u8]) -> Result<Self> {
        if first.starts_with(&native::MAGIC) { Ok(Self::Native) } else { Err(BadChunk::Foreign.into()) }
    }

    /// The place in the log's chain of the store's transaction with this number.
    pub(crate) fn seq(&self, tx: Entid) -> Seq {
        match self {
            // The bootstrap is in every store and in no native log.
            Self::Native => Seq(u64::try_from(tx.get() - Entid::TX0.get()).unwrap_or(0)),
        }
    }

    /// Writes the store's transaction that follows `parent` in the log.
    ///
    /// # Errors
    /// Where the format cannot say it.
    pub(crate) fn mint(&self, parent: &Place, transaction: &log::Transaction) -> Result<Minted> {
        self.mint_payload(parent, transaction, &log::codec::encode(transaction))
    }

    /// The same, where the payload is encoded already.
    ///
    /// # Errors
    /// Where the format cannot say it.
    pub(crate) fn mint_payload(
        &self,
        parent: &Place,
        transaction: &log::Transaction,
        payload: &[u8],
    ) -> Result<Minted> {
        let chunks = match self {
            Self::Native => native::cut(log::codec::version(transaction), transaction.origin.id, payload)?,
        };
        let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
        let id = derive_trn(parent.id, &ids);
        let place = Place { tx: transaction.tx, id, chain: parent.chain.extend(id, &ids) };
        Ok(Minted { place, chunks })
    }

    /// Checks what can be known of a transaction before its chunks arrive.
    ///
    /// # Errors
    /// Where it cannot be one in this format.
    pub(crate) fn check_head(&self, transaction: &Transaction) -> Result<()> {
        let most = match self {
            Self::Native => native::MAX_PIECES,
        };
        match transaction.chunks.len() {
            0 => Err(Error::Format(format!("the log's transaction {} has no chunks", transaction.id))),
            some if some > most => Err(BadChunk::TooLong.into()),
            _ => Ok(()),
        }
    }

    /// Checks the chunk at place `at` of a transaction, so that nothing is kept that leads to nothing.
    ///
    /// # Errors
    /// Where it cannot be that.
    pub(crate) fn check(&self, transaction: &Transaction, at: usize, chunk: &Chunk) -> Result<()> {
        match self {
            Self::Native => {
                if !chunk.id.is_digest() {
                    return Err(BadChunk::Foreign.into());
                }
                if !chunk.id.matches(&chunk.bytes) {
                    return Err(Error::Damaged(format!("the bytes of the chunk {} are not its own", chunk.id)));
                }
                // So that no more than a payload is ever held.
                native::piece(&chunk.bytes, at, transaction.chunks.len())?;
                Ok(())
            }
        }
    }

    /// Joins all chunks of a transaction.
    ///
    /// # Errors
    /// Where they do not fit together.
    pub(crate) fn join(&self, _: &Transaction, chunks: &[Bytes]) -> Result<Joined> {
        match self {
            Self::Native => Ok(native::join(chunks)?),
        }
    }

    /// The transaction that was put aside.
    ///
    /// # Errors
    /// Where it says nothing that is a transaction.
    pub(crate) fn decode(&self, spooled: &Spooled) -> Result<(log::Transaction, Position)> {
        let Joined { version, origin, payload } = &spooled.chunks;
        let (transaction, needs) = match self {
            Self::Native => {
                let transaction = log::codec::decode(payload)?;
                let needs = log::codec::version(&transaction);
                (transaction, needs)
            }
        };
        if needs != *version {
            return Err(Error::Damaged("the chunks of a transaction have another version than it needs".to_owned()));
        }
        if transaction.origin.id != *origin {
            return Err(Error::Damaged("the chunks of a transaction name another change".to_owned()));
        }
        Ok((transaction, Position { id: spooled.id.0, digest: spooled.digest.0 }))
    }
}
