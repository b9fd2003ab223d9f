//! How a log's transactions are written into chunks. A log is in one format from its first transaction on, and its first
//! chunk shows which.
//!
//! A transaction is put aside as it arrives, long before the store is touched. So each chunk is [admitted](Format::admit)
//! when it comes, the chunks of a transaction are [joined](Format::join) when the last one is there, and what they say is
//! [decoded](Format::decode) when its turn has come, inside the pass that applies it.

pub(crate) mod native;
pub(crate) mod original;
pub(crate) mod sealed;

use std::sync::Arc;

use bytes::Bytes;
use tolstoy_proto::{ChainDigest, Chunk, ChunkId, Seq, Transaction, TrnId, derive_trn};
use tolstoy_store::{Entid, Incoming, Pass, Position, Store, Timeline, log};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::key::{KeyNumber, Keyring};
use crate::outgoing::{Minted, Place};
use crate::spool::Spooled;

use native::BadChunk;
use sealed::BadSeal;

/// Transactions read from the store at a time.
const BATCH: usize = 64;

/// What a log is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tolstoy's own: `docs/format.md`.
    Native,
    /// The same, encrypted with these keys.
    Sealed(Arc<Keyring>),
    /// The original client's, which it and we can write to.
    Original,
}

/// A chunk as it is kept until the others of its transaction are there.
pub(crate) struct Admitted {
    /// In clear.
    pub(crate) bytes: Bytes,
    /// The key that it was sealed with, if it was.
    pub(crate) key: Option<KeyNumber>,
}

/// What a log that is still empty is begun in. A log that others began goes on in its own format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewLog {
    /// Tolstoy's own format.
    #[default]
    Native,
    /// The original client's format.
    Original,
}

impl NewLog {
    /// What was chosen for a log that this store begins.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn of(store: &Store) -> Result<Self> {
        Ok(if store.note(NEW_LOG_NOTE)?.is_some() { Self::Original } else { Self::Native })
    }

    /// Chooses it for whenever the store comes to begin a log: that is not before it has changes.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn remember(self, store: &mut Store) -> Result<()> {
        let word: Option<&[u8]> = (self == Self::Original).then_some(b"original");
        Ok(store.pass(|pass| pass.set_note(NEW_LOG_NOTE, word))?)
    }
}

impl From<NewLog> for Format {
    fn from(begun_in: NewLog) -> Self {
        match begun_in {
            NewLog::Native => Self::Native,
            NewLog::Original => Self::Original,
        }
    }
}

/// Under which name a store notes what it would begin a log in.
const NEW_LOG_NOTE: &str = "new-log";
/// Under which name a store notes what its log is written in. A native log has no note.
const NOTE: &str = "format";

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
        match first {
            [original::OPENS, ..] => Ok(Self::Original),
            _ if first.starts_with(&native::MAGIC) => Ok(Self::Native),
            _ if first.starts_with(&sealed::MAGIC) => {
                Err(Error::Key("the log is encrypted, and no key was given".to_owned()))
            }
            _ => Err(BadChunk::Foreign.into()),
        }
    }

    /// The format of the log that the store is known to be in.
    ///
    /// # Errors
    /// Where the store cannot be read, or a newer version noted another format.
    pub(crate) fn noted(store: &Store) -> Result<Option<Self>> {
        if store.last_positioned()?.is_none() {
            return Ok(None);
        }
        match store.note(NOTE)?.as_deref() {
            None => Ok(Some(Self::Native)),
            Some(b"original") => Ok(Some(Self::Original)),
            Some(_) => Err(Error::Format("the store's log is in a format that this version does not know".to_owned())),
        }
    }

    /// Notes it.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(crate) fn note(&self, pass: &mut Pass<'_, '_>) -> Result<()> {
        let word: Option<&[u8]> = match self {
            Self::Native | Self::Sealed(_) => None,
            Self::Original => Some(b"original"),
        };
        Ok(pass.set_note(NOTE, word)?)
    }

    /// The place that the log grows from: it has nothing yet, and the store's first transaction follows.
    pub(crate) const fn root(&self) -> Place {
        // The bootstrap is in every store and in no native log; one of the original's begins with it.
        let tx = match self {
            Self::Native | Self::Sealed(_) => Entid::TX0,
            Self::Original => Entid::TX0.plus(-1),
        };
        Place { tx, id: TrnId::ROOT, chain: ChainDigest::ZERO }
    }

    /// The place in the log's chain of the store's transaction with this number.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn seq(&self, store: &Store, tx: Entid) -> Result<Seq> {
        match self {
            Self::Native | Self::Sealed(_) => Ok(Seq(u64::try_from(tx.get() - Entid::TX0.get()).unwrap_or(0))),
            // The original leaves numbers out.
            Self::Original => Ok(Seq(store.count_up_to(tx)?)),
        }
    }

    /// Writes the store's transaction that follows `parent` in the log.
    ///
    /// # Errors
    /// Where the format cannot say it.
    pub(crate) fn mint(&self, store: &Store, parent: &Place, transaction: &log::Transaction) -> Result<Minted> {
        match self {
            Self::Native | Self::Sealed(_) => {
                self.mint_payload(parent, transaction, &log::codec::encode(transaction), self.newest_key())
            }
            Self::Original => {
                let next = store.next_entid_at(transaction.tx)?;
                let chunks = original::write(parent.id, transaction, next)
                    .map_err(|what| Error::Unsayable { tx: transaction.tx, what: what.to_string() })?;
                Ok(Minted::after(parent, transaction.tx, chunks))
            }
        }
    }

    /// The newest key, where the log is sealed.
    fn newest_key(&self) -> Option<KeyNumber> {
        self.keys().last().copied()
    }

    /// The keys that the log may be sealed with, in the order in which they replace one another; none where it is not.
    pub(crate) fn keys(&self) -> Vec<KeyNumber> {
        match self {
            Self::Native | Self::Original => Vec::new(),
            Self::Sealed(keys) => keys.ids().map(|(number, _)| number).collect(),
        }
    }

    /// Writes the transaction that follows `parent` in the log, whose payload is this; with this key, where the log is
    /// sealed.
    ///
    /// # Errors
    /// Where the format cannot say it, or has no such payloads.
    pub(crate) fn mint_payload(
        &self,
        parent: &Place,
        transaction: &log::Transaction,
        payload: &[u8],
        key: Option<KeyNumber>,
    ) -> Result<Minted> {
        let mut chunks = native::cut(log::codec::version(transaction), transaction.origin.id, payload)?;
        match self {
            Self::Native => {}
            Self::Sealed(keys) => {
                let key = key.and_then(|number| keys.numbered(number)).ok_or(BadSeal::Failed)?;
                for (index, (id, bytes)) in (0..).zip(&mut chunks) {
                    *bytes = sealed::seal_chunk(keys, key, parent.id, index, bytes)?;
                    *id = ChunkId::of(bytes);
                }
            }
            Self::Original => return Err(Error::Format("the original's format has no such payloads".to_owned())),
        }
        Ok(Minted::after(parent, transaction.tx, chunks))
    }

    /// Whether the format can say all that the store has above `after`, so that nothing is sent or changed where it cannot.
    ///
    /// # Errors
    /// Where it cannot; where the store cannot be read.
    pub(crate) fn check_sayable(&self, store: &Store, after: Entid) -> Result<()> {
        if *self != Self::Original {
            return Ok(());
        }
        let mut at = Place { tx: after, ..self.root() };
        loop {
            let batch = store.transactions(Timeline::MAIN, at.tx, BATCH)?;
            let Some(last) = batch.last() else { return Ok(()) };
            for transaction in &batch {
                self.mint(store, &at, transaction)?;
            }
            at.tx = last.tx;
        }
    }

    /// Checks what can be known of a transaction before its chunks arrive.
    ///
    /// # Errors
    /// Where it cannot be one in this format.
    pub(crate) fn check_head(&self, transaction: &Transaction) -> Result<()> {
        let most = match self {
            Self::Native | Self::Sealed(_) => native::MAX_PIECES,
            Self::Original => original::MAX_CHUNKS,
        };
        // The name of a parent stands for all that is before it only where it is made from that.
        if matches!(self, Self::Sealed(_)) && derive_trn(transaction.parent, &transaction.chunks) != transaction.id {
            let message = format!(
                "the transaction {} of the encrypted log has not the name that its chunks give",
                transaction.id
            );
            return Err(Error::Damaged(message));
        }
        match transaction.chunks.len() {
            0 => Err(Error::Format(format!("the log's transaction {} has no chunks", transaction.id))),
            some if some > most => Err(BadChunk::TooLong.into()),
            _ => Ok(()),
        }
    }

    /// Checks the chunk at place `at` of a transaction, so that nothing is kept that leads to nothing. A chunk that was
    /// sealed is opened.
    ///
    /// # Errors
    /// Where it cannot be that.
    pub(crate) fn admit(&self, transaction: &Transaction, at: usize, chunk: &Chunk) -> Result<Admitted> {
        if let Self::Original = self {
            if chunk.bytes.first() != Some(&original::OPENS) || !chunk.id.matches(&chunk.bytes) {
                return Err(Error::Format(format!("the log's chunk {} is not in the original's format", chunk.id)));
            }
            return Ok(Admitted { bytes: chunk.bytes.clone(), key: None });
        }
        if !chunk.id.is_digest() {
            return Err(BadChunk::Foreign.into());
        }
        if !chunk.id.matches(&chunk.bytes) {
            return Err(Error::Damaged(format!("the bytes of the chunk {} are not its own", chunk.id)));
        }
        let admitted = match self {
            Self::Native | Self::Original => Admitted { bytes: chunk.bytes.clone(), key: None },
            Self::Sealed(keys) => {
                let index = u32::try_from(at).map_err(|_| BadChunk::TooLong)?;
                let (bytes, key) = sealed::open_chunk(keys, transaction.parent, index, &chunk.bytes)?;
                Admitted { bytes, key: Some(key) }
            }
        };
        // So that no more than a payload is ever held.
        native::piece(&admitted.bytes, at, transaction.chunks.len())?;
        Ok(admitted)
    }

    /// Joins all chunks of a transaction.
    ///
    /// # Errors
    /// Where they do not fit together.
    pub(crate) fn join(&self, transaction: &Transaction, chunks: &[Bytes]) -> Result<Joined> {
        match self {
            Self::Native | Self::Sealed(_) => Ok(native::join(chunks)?),
            Self::Original => {
                let Transaction { id, parent, chunks: ids, .. } = transaction;
                original::join(*id, *parent, ids, chunks).map_err(|bad| bad.of(*id))
            }
        }
    }

    /// The transaction that was put aside.
    ///
    /// # Errors
    /// Where it says nothing that is a transaction.
    pub(crate) fn decode(&self, spooled: &Spooled) -> Result<(Incoming, Position)> {
        let Joined { version, origin, payload } = &spooled.chunks;
        let incoming = match self {
            Self::Native | Self::Sealed(_) => log::codec::decode(payload)?.into(),
            Self::Original => original::read(*origin, payload).map_err(|bad| bad.of(spooled.id))?,
        };
        let needs = match &incoming {
            Incoming::Own(transaction) => log::codec::version(transaction),
            Incoming::Foreign(_) | Incoming::Bootstrap(_) => original::VERSION,
        };
        if needs != *version {
            return Err(Error::Damaged("the chunks of a transaction have another version than it needs".to_owned()));
        }
        if incoming.origin() != *origin {
            return Err(Error::Damaged("the chunks of a transaction name another change".to_owned()));
        }
        Ok((incoming, Position { id: spooled.id.0, digest: spooled.digest.0 }))
    }
}
