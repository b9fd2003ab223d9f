//! A snapshot: a log up to one of its transactions, as one blob. Drawn in `docs/format.md`.
//!
//! It holds the payloads of the log's transactions and nothing that follows from them. Who takes it writes them into chunks
//! again, and so arrives at the ids and the chain digest of the log, or does not; and applies them as he would apply them
//! from the log itself. So a snapshot need not be believed in anything.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;
use tolstoy_proto::coding::{Compressor, Decompressor};
use tolstoy_proto::{BlobDigest, ChainDigest, Seq, Snapshot, TrnId};
use tolstoy_store::{Incoming, Position, Store, Timeline, log};

use crate::error::{Error, Result};
use crate::format::Format;
use crate::format::sealed::BadSeal;
use crate::format::sealed::snapshot::{OpenSnapshot, SealSnapshot};
use crate::key::KeyNumber;
use crate::outgoing::Place;
use crate::spool::too_long;

/// What every snapshot in clear begins with.
const MAGIC: [u8; 4] = *b"TLSN";
/// The version of the format.
const VERSION: u8 = 1;

/// Kinds of records.
const END: u8 = 0;
const TRANSACTION: u8 = 1;
const KEY: u8 = 2;

/// What is kept in memory before a file is used.
const IN_MEMORY: usize = 4 << 20;
/// Bytes of records that are compressed at a time.
const BLOCK: usize = 1 << 20;
/// How hard they are compressed: a snapshot is made once, and read by every new device.
const LEVEL: i32 = 6;
/// Transactions read from the store at a time.
const BATCH: usize = 256;
/// Bytes of a piece that is sent.
const PIECE: usize = 64 << 10;

/// A snapshot's bytes, put aside. Clones are the same bytes.
#[derive(Clone)]
pub struct Blob {
    file: Arc<Mutex<SpooledTempFile>>,
    digest: BlobDigest,
    bytes: u64,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes, {})", self.bytes, self.digest)
    }
}

impl Blob {
    /// The SHA-256 of the bytes.
    pub const fn digest(&self) -> BlobDigest {
        self.digest
    }

    /// How many bytes there are.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes from `at` on, at most 64 KiB; empty at the end.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn piece(&self, at: u64) -> io::Result<Bytes> {
        let mut piece = vec![0; PIECE];
        let read = self.read_at(at, &mut piece)?;
        piece.truncate(read);
        Ok(piece.into())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.read(into)
    }

    /// The bytes from the first on.
    fn reader(&self) -> impl BufRead + use<> {
        BufReader::with_capacity(PIECE, FromBegin { blob: self.clone(), at: 0 })
    }
}

struct FromBegin {
    blob: Blob,
    at: u64,
}

impl Read for FromBegin {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read_at(self.at, into)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Bytes on their way into a [`Blob`].
pub(crate) struct Aside {
    file: SpooledTempFile,
    hash: Sha256,
    bytes: u64,
}

impl Aside {
    /// What does not fit into memory goes to a nameless file in `dir`, if there is one.
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        let file = match dir {
            Some(dir) => tempfile::spooled_tempfile_in(IN_MEMORY, dir),
            None => SpooledTempFile::new(usize::MAX),
        };
        Self { file, hash: Sha256::new(), bytes: 0 }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn done(self) -> Blob {
        let Self { file, hash, bytes } = self;
        Blob { file: Arc::new(Mutex::new(file)), digest: BlobDigest(hash.finalize().into()), bytes }
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What stands between the records and the blob.
enum Sealing<'k, W> {
    Clear(W),
    Sealed(SealSnapshot<'k, W>),
}

/// The one way out of here for the bytes of a snapshot that stands for `id`.
fn seal<W: Write>(format: &Format, id: TrnId, out: W) -> io::Result<Sealing<'_, W>> {
    match format {
        Format::Native | Format::Original => Ok(Sealing::Clear(out)),
        Format::Sealed(keys) => SealSnapshot::new(keys, id, out).map(Sealing::Sealed),
    }
}

/// The one way in.
fn open<'f>(format: &'f Format, id: TrnId, blob: &Blob) -> io::Result<Box<dyn BufRead + 'f>> {
    let from = blob.reader();
    Ok(match format {
        Format::Native | Format::Original => Box::new(from),
        Format::Sealed(keys) => Box::new(BufReader::with_capacity(PIECE, OpenSnapshot::new(keys, id, from)?)),
    })
}

impl<W: Write> Sealing<'_, W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Clear(out) => out.write_all(bytes),
            Self::Sealed(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Clear(out) => Ok(out),
            Self::Sealed(out) => out.finish(),
        }
    }
}

/// Makes the snapshot that stands for the log up to a transaction of it that the store has. `told` hears how many
/// transactions are in it so far.
///
/// # Errors
/// Where the store or the file fails, and where the store's transactions do not give the log's ids.
pub(crate) fn make(
    store: &Store,
    format: &Format,
    up_to: &Place,
    dir: Option<&Path>,
    told: impl Fn(u64),
) -> Result<Blob> {
    let mut out = Maker::new(seal(format, up_to.id, Aside::new(dir))?)?;
    let keys = format.keys();
    let (mut keys, mut at, mut count) = (keys.as_slice(), format.root(), 0);
    if let Some(first) = keys.first() {
        out.key(*first)?;
    }
    while at.tx < up_to.tx {
        let left = usize::try_from(up_to.tx.get() - at.tx.get()).unwrap_or(BATCH);
        let batch = store.transactions(Timeline::MAIN, at.tx, left.min(BATCH))?;
        if batch.is_empty() {
            break;
        }
        for transaction in &batch {
            let payload = log::codec::encode(transaction);
            let known = store.position(transaction.tx)?;
            at = loop {
                let place = format.mint_payload(&at, transaction, &payload, keys.first().copied())?.place;
                if Some(place.position()) == known {
                    break place;
                }
                // Written after the key was replaced, if the ids are those of a newer one.
                let [_, newer @ ..] = keys else { return Err(other_ids()) };
                keys = newer;
                out.key(*newer.first().ok_or_else(other_ids)?)?;
            };
            out.transaction(&payload)?;
            count += 1;
        }
        told(count);
    }
    if at != *up_to {
        return Err(other_ids());
    }
    Ok(out.end(count, at.chain)?.done())
}

fn other_ids() -> Error {
    Error::Damaged("the log's ids are not the ones that its transactions give".to_owned())
}

/// Writes records.
struct Maker<'k, W> {
    out: Sealing<'k, W>,
    compressor: Compressor,
    block: Vec<u8>,
    coded: Vec<u8>,
}

impl<'k, W: Write> Maker<'k, W> {
    fn new(mut out: Sealing<'k, W>) -> io::Result<Self> {
        out.write_all(&[MAGIC.as_slice(), &[VERSION, 0]].concat())?;
        Ok(Self { out, compressor: Compressor::new(LEVEL)?, block: Vec::new(), coded: Vec::new() })
    }

    fn key(&mut self, number: KeyNumber) -> io::Result<()> {
        self.block.push(KEY);
        self.block.extend_from_slice(&number.0.to_be_bytes());
        Ok(())
    }

    fn transaction(&mut self, payload: &[u8]) -> io::Result<()> {
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
        self.block.push(TRANSACTION);
        self.block.extend_from_slice(&len.to_be_bytes());
        self.block.extend_from_slice(payload);
        if self.block.len() >= BLOCK {
            self.compressor.add(&self.block, &mut self.coded)?;
            self.out.write_all(&self.coded)?;
            self.block.clear();
            self.coded.clear();
        }
        Ok(())
    }

    fn end(mut self, count: u64, chain: ChainDigest) -> io::Result<W> {
        self.block.push(END);
        self.block.extend_from_slice(&count.to_be_bytes());
        self.block.extend_from_slice(&chain.0);
        self.compressor.end(&self.block, &mut self.coded)?;
        self.out.write_all(&self.coded)?;
        self.out.finish()
    }
}

/// A snapshot that arrived whole, with the bytes that its digest stands for.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) told: Snapshot,
    pub(crate) blob: Blob,
}

impl Arrived {
    /// The format of the log that it stands for.
    ///
    /// # Errors
    /// Where it is in none that is known.
    pub(crate) fn format(&self) -> Result<Format> {
        match self.blob.piece(0)?.starts_with(&MAGIC) {
            true => Ok(Format::Native),
            false => Err(unknown_format()),
        }
    }

    /// The snapshot's transactions, each with its place in the log. After the last one it is checked that they lead to where
    /// the hub says; so nothing may be kept of them before the end. None of them is sealed with an older key than `newest`,
    /// or than the one before; `newest` follows.
    ///
    /// # Errors
    /// Where it is none that this version can read; as an item, also where it is damaged or of another log.
    pub(crate) fn transactions<'f>(
        &self,
        format: &'f Format,
        newest: &'f Cell<Option<KeyNumber>>,
        most: u64,
    ) -> Result<impl Iterator<Item = Result<(Incoming, Position)>> + use<'f>> {
        let records = Records::new(open(format, self.told.id, &self.blob).map_err(unreadable)?, most)?;
        let mut reading = Reading { records, format, newest, key: None, told: self.told, at: format.root(), count: 0 };
        let mut over = false;
        Ok(std::iter::from_fn(move || {
            if over {
                return None;
            }
            let item = reading.next().transpose();
            over = !matches!(item, Some(Ok(_)));
            item
        }))
    }
}

/// A snapshot that is being read.
struct Reading<'f> {
    records: Records<Box<dyn BufRead + 'f>>,
    format: &'f Format,
    /// The newest key that the log was seen to be sealed with.
    newest: &'f Cell<Option<KeyNumber>>,
    /// The key of the transactions that follow.
    key: Option<KeyNumber>,
    told: Snapshot,
    at: Place,
    count: u64,
}

impl Reading<'_> {
    fn next(&mut self) -> Result<Option<(Incoming, Position)>> {
        loop {
            match self.records.next()? {
                Record::Key(number) => {
                    if !self.format.keys().contains(&number) {
                        return Err(damaged("it names a key that the log does not have"));
                    }
                    if self.newest.get() > Some(number) {
                        return Err(BadSeal::OldKey { number }.into());
                    }
                    self.newest.set(Some(number));
                    self.key = Some(number);
                }
                Record::Transaction(payload) => return self.transaction(&payload).map(Some),
                Record::End { count, chain } => {
                    let is_whole = (count, chain) == (self.count, self.at.chain);
                    let is_told =
                        (self.told.id, self.told.seq, self.told.chain) == (self.at.id, Seq(self.count), self.at.chain);
                    return match is_whole && is_told {
                        true => Ok(None),
                        false => Err(damaged("its transactions are not those of the log")),
                    };
                }
            }
        }
    }

    fn transaction(&mut self, payload: &[u8]) -> Result<(Incoming, Position)> {
        let transaction = log::codec::decode(payload)?;
        if transaction.tx != self.at.tx.plus(1) {
            return Err(damaged("a transaction does not follow the one before"));
        }
        self.at = self.format.mint_payload(&self.at, &transaction, payload, self.key)?.place;
        self.count += 1;
        Ok((transaction.into(), self.at.position()))
    }
}

fn damaged(what: &str) -> Error {
    Error::Damaged(format!("the snapshot is damaged: {what}"))
}

fn unknown_format() -> Error {
    Error::Format("the snapshot is in a format that this version does not know".to_owned())
}

enum Record {
    Key(KeyNumber),
    Transaction(Vec<u8>),
    End { count: u64, chain: ChainDigest },
}

/// Reads records. Memory is taken for what is there, whatever lengths say.
struct Records<R> {
    from: Inflating<R>,
    /// Bytes of transactions that may still come, and that may come in all.
    left: u64,
    most: u64,
}

impl<R: BufRead> Records<R> {
    fn new(mut from: R, most: u64) -> Result<Self> {
        let mut header = [0; 6];
        from.read_exact(&mut header).map_err(unreadable)?;
        let [magic @ .., version, flags] = header;
        if magic != MAGIC {
            return Err(unknown_format());
        }
        if (version, flags) != (VERSION, 0) {
            return Err(Error::Format(format!(
                "the snapshot has format {version} (flags {flags}), this version knows format {VERSION}; update Tolstoy"
            )));
        }
        Ok(Self { from: Inflating::new(from)?, left: most, most })
    }

    fn next(&mut self) -> Result<Record> {
        match self.array()? {
            [TRANSACTION] => {
                let len = u32::from_be_bytes(self.array()?);
                if len as usize > log::codec::MAX_PAYLOAD {
                    return Err(damaged("a transaction is longer than one can be"));
                }
                self.left = self.left.checked_sub(len.into()).ok_or_else(|| damaged(&too_long(self.most)))?;
                let mut payload = Vec::new();
                (&mut self.from).take(len.into()).read_to_end(&mut payload).map_err(unreadable)?;
                match payload.len() == len as usize {
                    true => Ok(Record::Transaction(payload)),
                    false => Err(damaged("it ends within a transaction")),
                }
            }
            [KEY] => Ok(Record::Key(KeyNumber(u16::from_be_bytes(self.array()?)))),
            [END] => {
                let (count, chain) = (u64::from_be_bytes(self.array()?), ChainDigest(self.array()?));
                match self.from.read(&mut [0]).map_err(unreadable)? {
                    0 => Ok(Record::End { count, chain }),
                    _ => Err(damaged("something follows its end")),
                }
            }
            [other] => Err(Error::Format(format!(
                "the snapshot holds records of kind {other}, which this version does not know; update Tolstoy"
            ))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

/// What cannot be read of a snapshot is damaged, unless it is the file that fails.
fn unreadable(e: io::Error) -> Error {
    if let Some(bad) = e.get_ref().and_then(|inner| inner.downcast_ref::<BadSeal>()) {
        return damaged(&bad.to_string());
    }
    match e.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
        io::ErrorKind::InvalidData => damaged(&e.to_string()),
        _ => Error::Spool(e),
    }
}

/// Undoes the compression.
struct Inflating<R> {
    from: R,
    /// None at the end of the frame.
    decompressor: Option<Decompressor>,
    plain: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Inflating<R> {
    fn new(from: R) -> io::Result<Self> {
        // As long as it is: who reads it bounds what he keeps of it.
        Ok(Self { from, decompressor: Some(Decompressor::new(usize::MAX)?), plain: Vec::new(), at: 0 })
    }

    /// The next bytes; none at the end.
    fn refill(&mut self) -> io::Result<()> {
        let invalid = |e| io::Error::new(io::ErrorKind::InvalidData, e);
        self.plain.clear();
        self.at = 0;
        while let Some(decompressor) = &mut self.decompressor {
            let coded = self.from.fill_buf()?;
            let (is_last, mut rest) = (coded.is_empty(), coded);
            self.plain.extend_from_slice(decompressor.step(&mut rest).map_err(invalid)?);
            let read = coded.len() - rest.len();
            self.from.consume(read);
            if !self.plain.is_empty() {
                return Ok(());
            }
            if is_last {
                return self.decompressor.take().map_or(Ok(()), |d| d.finish().map_err(invalid));
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Inflating<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.plain.len() {
            self.refill()?;
        }
        let left = self.plain.get(self.at..).unwrap_or_default();
        let read = left.len().min(into.len());
        if let (Some(into), Some(left)) = (into.get_mut(..read), left.get(..read)) {
            into.copy_from_slice(left);
        }
        self.at += read;
        Ok(read)
    }
}
