//! The original client's log: each datom a chunk, drawn in `docs/format.md`. What a transaction of ours has beside its
//! datoms travels as a further key of its first chunk.

mod datom;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tolstoy_edn::Instant;
use tolstoy_proto::{ChunkId, TrnId, limits, parse_uuid};
use tolstoy_store::bootstrap::{self, entids};
use tolstoy_store::{Change, Entid, EntidRun, Foreign, Incoming, Transaction, Value, ValueType, log};
use uuid::Uuid;

use super::{Joined, native};
use crate::error::Error;
use datom::{Datom, Key};

/// What every chunk begins with.
pub(crate) const OPENS: u8 = b'{';
/// Chunks of a transaction at most.
pub(crate) const MAX_CHUNKS: usize = limits::MAX_TRANSACTION_CHUNKS;
/// The next free number of the schema's partition, to whom the original's bootstrap is all there is.
const DB_NEXT: i64 = 41;
/// Bytes that say how long a chunk is, where the chunks of a transaction are joined.
const LENGTH: usize = 4;

/// The version of a transaction that the original wrote, who knows no others.
pub(crate) const VERSION: u8 = 1;

/// Why chunks are not a transaction in the original's format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadChunks {
    /// One is no datom.
    #[error("one of its chunks is no datom: {0}")]
    Datom(String),
    /// They do not belong together.
    #[error("its chunks do not belong together: {0}")]
    Together(&'static str),
    /// What we add to a transaction is of a newer version.
    #[error("it holds a payload of format {0}, this version knows formats up to {known}; update Tolstoy", known = native::VERSION)]
    Newer(u8),
    /// What we add to a transaction cannot be read.
    #[error("{0}")]
    Payload(tolstoy_store::Error),
}

impl BadChunks {
    /// The error about the log's transaction with this id.
    pub(crate) fn of(self, id: TrnId) -> Error {
        match self {
            Self::Payload(error) => error.into(),
            Self::Together(_) => Error::Damaged(format!("the log's transaction {id} contradicts itself: {self}")),
            Self::Datom(_) | Self::Newer(_) => {
                Error::Format(format!("the log's transaction {id} cannot be read: {self}"))
            }
        }
    }
}

/// Why a transaction cannot be said in the original's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsayable {
    /// JSON has no infinity.
    #[error("an infinite double")]
    Infinite,
    /// RFC 3339 has years of four digits.
    #[error("an instant outside the years 0000 to 9999, {0}")]
    Year(Instant),
    /// The original has no values of this type.
    #[error("the type {0}")]
    Type(ValueType),
    /// The original's sync ends for good once it has such an attribute.
    #[error("a full-text attribute")]
    FullText,
    /// The original takes the attributes of a transaction for what they were before it.
    #[error("facts of an attribute that the same transaction defines")]
    OwnAttribute,
    /// It has more datoms than a transaction may have chunks.
    #[error("more than {MAX_CHUNKS} datoms in a transaction")]
    Chunks,
    /// A chunk is longer than a chunk may be.
    #[error("a value, or a displaced change, that takes more than {} MiB", limits::MAX_CHUNK >> 20)]
    Long,
}

/// Writes a transaction that follows `parent` in the log; `next` is the next free number of the user partition after it.
///
/// # Errors
/// Where the format cannot say it.
pub(crate) fn write(parent: TrnId, of: &Transaction, next: Entid) -> Result<Vec<(ChunkId, Bytes)>, Unsayable> {
    let (datoms, mut key) = if of.tx == Entid::TX0 {
        // The built-ins that the original lacks are in every store, and in no log.
        (of.changes.iter().filter(|c| !mentions_further(c)).cloned().collect(), None)
    } else if is_foreign(of) {
        let mut stated: Vec<Change> = of.statement().cloned().collect();
        stated.extend(of.changes.iter().filter(|c| is_instant(c, of.tx)).cloned());
        stated.sort();
        (stated, Some(Key::Again { origin: of.origin.id.hyphenated().to_string() }))
    } else {
        of.changes.iter().try_for_each(check_definition)?;
        check_attributes(&of.changes)?;
        let (beside, datoms) = of.changes.iter().cloned().partition::<Vec<_>, _>(mentions_further);
        let kept = datoms.iter().filter(|c| is_instant(c, of.tx)).cloned();
        let mut rest = Transaction { changes: beside.into_iter().chain(kept).collect(), ..of.clone() };
        rest.changes.sort();
        let payload = STANDARD.encode(log::codec::encode(&rest));
        (datoms, Some(Key::Own { version: log::codec::version(of), payload }))
    };
    if datoms.len() > MAX_CHUNKS {
        return Err(Unsayable::Chunks);
    }
    let mut partitions = Some(datom::partitions(of.tx, next));
    let mut chunks = Vec::with_capacity(datoms.len());
    for (at, change) in (0..).zip(&datoms) {
        let datom = Datom { partitions: partitions.take(), tolstoy: key.take(), ..Datom::of(change, of.tx)? };
        let bytes = datom.bytes();
        if bytes.len() > limits::MAX_CHUNK {
            return Err(Unsayable::Long);
        }
        chunks.push((chunk_id(parent, at, &bytes), bytes.into()));
    }
    Ok(chunks)
}

/// Whether the original wrote the transaction, and it is still what it was: then it can be told again as it was told.
fn is_foreign(of: &Transaction) -> bool {
    let unmoved = |run: &EntidRun| run.authored == run.current;
    of.origin.device.is_nil()
        && of.origin.authored == of.instant
        && of.overwritten.is_empty()
        && of.operations.is_empty()
        && of.displaced.is_none()
        && of.entids.iter().all(unmoved)
}

/// Whether the original has no number for an entity that the datom mentions: one of our further built-ins.
fn mentions_further(change: &Change) -> bool {
    let further = |e: Entid| (DB_NEXT..Entid::USER0.get()).contains(&e.get());
    further(change.e) || further(change.a) || change.v.as_ref_entid().is_some_and(further)
}

fn is_instant(change: &Change, tx: Entid) -> bool {
    change.e == tx && change.a == entids::TX_INSTANT
}

/// An attribute that the original could not have must not reach it.
fn check_definition(Change { a, v, added, .. }: &Change) -> Result<(), Unsayable> {
    match v {
        Value::Ref(to) if *a == entids::VALUE_TYPE => match ValueType::from_entid(*to) {
            Some(unknown @ (ValueType::Uri | ValueType::Bytes)) => Err(Unsayable::Type(unknown)),
            _ => Ok(()),
        },
        Value::Boolean(true) if *a == entids::FULLTEXT && *added => Err(Unsayable::FullText),
        _ => Ok(()),
    }
}

/// No attribute may be defined, or given another cardinality, and be used.
fn check_attributes(changes: &[Change]) -> Result<(), Unsayable> {
    let defines = |c: &&Change| c.added && (c.a == entids::VALUE_TYPE || c.a == entids::CARDINALITY);
    let defined: HashSet<Entid> = changes.iter().filter(defines).map(|c| c.e).collect();
    let used = !defined.is_empty() && changes.iter().any(|c| c.added && defined.contains(&c.a));
    if used { Err(Unsayable::OwnAttribute) } else { Ok(()) }
}

/// The id of a chunk that we write: it binds the chunk's bytes to their place in the log.
fn chunk_id(parent: TrnId, at: u32, bytes: &[u8]) -> ChunkId {
    let id = uuid_of(&[b"tolstoy chunk 1\n", parent.as_bytes(), &at.to_be_bytes(), bytes]);
    // A UUID's text is a chunk id.
    id.hyphenated().to_string().parse().unwrap_or_else(|_| ChunkId::of(bytes))
}

/// The origin of a change that the original wrote.
fn foreign_origin(id: TrnId) -> Uuid {
    uuid_of(&[b"tolstoy original 1\n", id.as_bytes()])
}

fn uuid_of(parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// Joins the chunks of a transaction, and tells the origin of its change.
///
/// # Errors
/// Where the first is no first chunk, or the ids are not those that its writer gave them.
pub(crate) fn join(id: TrnId, parent: TrnId, ids: &[ChunkId], chunks: &[Bytes]) -> Result<Joined, BadChunks> {
    let first = chunks.first().ok_or(BadChunks::Together("there are none"))?;
    let first = Datom::read(first).map_err(BadChunks::Datom)?;
    let (version, origin) = match &first.tolstoy {
        None if first.tx == Entid::TX0.get() => (VERSION, bootstrap::ORIGIN.id),
        None => (VERSION, foreign_origin(id)),
        Some(Key::Again { origin }) => (VERSION, parse_uuid(origin).map_err(|e| BadChunks::Datom(e.to_string()))?),
        Some(own @ Key::Own { version, .. }) => {
            let bound = |(at, (id, bytes)): (u32, (&ChunkId, &Bytes))| *id == chunk_id(parent, at, bytes);
            if !(0..).zip(ids.iter().zip(chunks)).all(bound) {
                return Err(BadChunks::Together("the bytes of one are not its own"));
            }
            (*version, payload(own)?.origin.id)
        }
    };
    let mut joined = Vec::with_capacity(chunks.iter().map(|c| LENGTH + c.len()).sum());
    for chunk in chunks {
        // limits::MAX_CHUNK is far below 2^32.
        joined.extend_from_slice(&u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_be_bytes());
        joined.extend_from_slice(chunk);
    }
    Ok(Joined { version, origin, payload: joined })
}

/// The transaction that our key holds, without the datoms that are chunks.
fn payload(key: &Key) -> Result<Transaction, BadChunks> {
    let Key::Own { version, payload } = key else { return Err(BadChunks::Together("there is no payload")) };
    if !(1..=native::VERSION).contains(version) {
        return Err(BadChunks::Newer(*version));
    }
    let bytes = STANDARD.decode(payload).map_err(|e| BadChunks::Datom(e.to_string()))?;
    log::codec::decode(&bytes).map_err(BadChunks::Payload)
}

/// The transaction that the joined chunks are; `origin` is the one that [`join`] told.
///
/// # Errors
/// Where they do not belong together.
pub(crate) fn read(origin: Uuid, mut joined: &[u8]) -> Result<Incoming, BadChunks> {
    let mut head: Option<(i64, Option<Key>)> = None;
    let mut changes = Vec::new();
    while let Some((len, rest)) = joined.split_first_chunk::<LENGTH>() {
        let (chunk, rest) = rest
            .split_at_checked(u32::from_be_bytes(*len) as usize)
            .ok_or(BadChunks::Together("the last is cut short"))?;
        joined = rest;
        let mut datom = Datom::read(chunk).map_err(BadChunks::Datom)?;
        match &head {
            None if datom.partitions.is_none() => return Err(BadChunks::Together("the first has no partitions")),
            None => head = Some((datom.tx, datom.tolstoy.take())),
            Some((tx, _)) if *tx != datom.tx => {
                return Err(BadChunks::Together("their datoms are of different transactions"));
            }
            Some(_) => {}
        }
        changes.push(datom.change().map_err(BadChunks::Datom)?);
    }
    let Some((tx, key)) = head else { return Err(BadChunks::Together("there are none")) };
    let tx = Entid::new(tx);
    match key {
        None if tx == Entid::TX0 => Ok(Incoming::Bootstrap(changes)),
        Some(own @ Key::Own { .. }) => Ok(own_transaction(payload(&own)?, tx, changes)?.into()),
        Some(Key::Again { .. }) | None => Ok(Incoming::Foreign(Foreign { tx, origin, changes })),
    }
}

/// A transaction of ours: what its payload holds, and its datoms.
fn own_transaction(rest: Transaction, tx: Entid, mut changes: Vec<Change>) -> Result<Transaction, BadChunks> {
    if rest.tx != tx {
        return Err(BadChunks::Together("the payload is of another transaction"));
    }
    if !changes.is_sorted_by(|x, y| x < y) {
        return Err(BadChunks::Together("the datoms are not in order"));
    }
    let (own, beside): (Vec<_>, Vec<_>) = rest.changes.iter().cloned().partition(|c| is_instant(c, tx));
    if !changes.iter().filter(|c| is_instant(c, tx)).eq(&own) {
        return Err(BadChunks::Together("the payload has another instant"));
    }
    if changes.iter().any(mentions_further) || !beside.iter().all(mentions_further) {
        return Err(BadChunks::Together("a datom is on the wrong side"));
    }
    changes.extend(beside);
    changes.sort();
    Ok(Transaction { changes, ..rest })
}
