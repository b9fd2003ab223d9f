//! What comes in is put aside, checked and whole, before the store is touched.

use std::cmp::Ordering;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::SpooledTempFile;
use tolstoy_proto::{ChainDigest, ChunkId, Form, Frame, FrameDecoder, Seq, Snapshot, Start, Transaction, TrnId};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::format::native::{self, BadChunk};
use crate::format::sealed::BadSeal;
use crate::format::{Admitted, Format, Joined};
use crate::key::KeyNumber;
use crate::options::Progress;
use crate::snapshot::{Arrived, Aside};
use crate::transport::{Begin, Body, TransportError};

/// What is kept in memory before a file is used.
const IN_MEMORY: usize = 4 << 20;

/// Bytes of a transaction's chunks at most, so that no more is ever held.
const MAX_BYTES: usize = native::MAX_PAYLOAD + native::MAX_PIECES * native::HEADER;

/// The transactions of one stream, in order: each one's id, the chain digest at it, and what its chunks hold; before them the
/// snapshot that the stream began with, if it did.
pub(crate) struct Spool {
    dir: Option<PathBuf>,
    /// Bytes that it takes in at most.
    most: u64,
    file: SpooledTempFile,
    snapshot: Option<Arrived>,
    /// What the log is written in, once that is known.
    format: Option<Format>,
    start: Option<Start>,
    /// The key of the newest transaction, where they are sealed: no older one may come after it.
    key: Option<KeyNumber>,
    /// The end of what is spooled.
    at: (TrnId, Seq, ChainDigest),
    count: u64,
    bytes: u64,
}

/// A transaction taken from the spool.
pub(crate) struct Spooled {
    pub(crate) id: TrnId,
    pub(crate) digest: ChainDigest,
    pub(crate) chunks: Joined,
    /// The key that it was sealed with, if it was.
    pub(crate) key: Option<KeyNumber>,
}

/// Said where more came than is taken in.
pub(crate) fn too_long(most: u64) -> String {
    format!("it is more than {most} bytes, which is the most that is taken in (`max_bytes` of the options)")
}

/// How a stream came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// With its last frame.
    Whole,
    /// Before that. What is whole until there is kept; of a snapshot that is not whole, nothing is.
    Cut {
        /// Whether it was cut within a snapshot.
        in_snapshot: bool,
    },
    /// It was left where its snapshot turned out to be of no use.
    NoSnapshot(String),
}

/// A snapshot that arrives.
struct Arriving {
    told: Snapshot,
    aside: Aside,
}

/// A transaction of which not all chunks have arrived.
struct Partial {
    transaction: Transaction,
    chunks: Vec<Bytes>,
    /// Bytes of the chunks.
    bytes: usize,
}

impl Spool {
    /// An empty spool of so many bytes at most, for a log in this format, if that is known. What does not fit into memory goes to a nameless file in
    /// `dir`, if there is one.
    pub(crate) fn new(dir: Option<&Path>, most: u64, format: Option<Format>) -> Self {
        let file = match dir {
            Some(dir) => tempfile::spooled_tempfile_in(IN_MEMORY, dir),
            None => SpooledTempFile::new(usize::MAX),
        };
        Self {
            dir: dir.map(Path::to_owned),
            most,
            file,
            snapshot: None,
            format,
            start: None,
            key: None,
            at: (TrnId::ROOT, Seq::ROOT, ChainDigest::ZERO),
            count: 0,
            bytes: 0,
        }
    }

    /// What the log is written in, once that is known.
    pub(crate) fn format(&self) -> Option<&Format> {
        self.format.as_ref()
    }

    /// The key of the newest transaction, where they are sealed.
    pub(crate) fn key(&self) -> Option<KeyNumber> {
        self.key
    }

    /// The stream's first frame, once it arrived.
    pub(crate) fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// The snapshot that is before the transactions.
    pub(crate) fn snapshot(&self) -> Option<&Arrived> {
        self.snapshot.as_ref()
    }

    /// How many transactions there are, those in the snapshot left out.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether anything that is whole is there.
    pub(crate) fn is_begun(&self) -> bool {
        self.count > 0 || self.snapshot.is_some()
    }

    /// How many bytes arrived.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The newest transaction that is whole.
    pub(crate) fn last(&self) -> TrnId {
        self.at.0
    }

    /// Takes in a stream that was asked to begin like this. A further stream must go on where this one was cut.
    pub(crate) async fn fill<B: Body>(
        &mut self,
        body: &mut B,
        begin: Begin,
        told: impl Fn(Progress),
    ) -> Result<Filled> {
        let mut decoder = FrameDecoder::new(Form::MessagePack);
        let (mut partial, mut arriving) = (None::<Partial>, None::<Arriving>);
        let mut started = false;
        let before = self.count;
        loop {
            let piece = match body.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) | Err(TransportError::Broken(_) | TransportError::Unreachable(_)) => {
                    return Ok(Filled::Cut { in_snapshot: arriving.is_some() });
                }
                Err(e) => return Err(e.into()),
            };
            self.bytes += piece.len() as u64;
            if self.bytes > self.most {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, too_long(self.most)).into());
            }
            decoder.feed(&piece);
            while let Some(frame) = decoder.next_frame()? {
                match frame {
                    Frame::Start(start) if !started => {
                        self.begin(start)?;
                        started = true;
                    }
                    Frame::Snapshot(snapshot)
                        if started && begin == Begin::Snapshot && self.may_begin_with(&arriving) =>
                    {
                        arriving = Some(Arriving { told: snapshot, aside: Aside::new(self.dir.as_deref()) });
                    }
                    Frame::Piece(piece) => {
                        let Arriving { told: snapshot, aside } =
                            arriving.as_mut().ok_or_else(|| protocol("a piece belongs to no snapshot"))?;
                        aside.write_all(&piece.bytes)?;
                        told(Progress::Snapshot { received: aside.bytes(), of: snapshot.bytes });
                    }
                    Frame::Transaction(transaction) if started && partial.is_none() && arriving.is_none() => {
                        self.check_link(&transaction)?;
                        partial = Some(Partial { transaction, chunks: Vec::new(), bytes: 0 });
                    }
                    Frame::Chunk(arrived) => self.take_chunk(partial.as_mut(), arrived)?,
                    Frame::End(end) if started && partial.is_none() && arriving.is_none() => {
                        if end.chain != self.at.2 || end.count != self.count - before {
                            return Err(Error::Damaged("the stream does not end as the transactions in it do".into()));
                        }
                        return Ok(Filled::Whole);
                    }
                    _ => return Err(protocol("a frame is out of place")),
                }
                match arriving.take() {
                    Some(on_its_way) => match on_its_way.aside.bytes().cmp(&on_its_way.told.bytes) {
                        Ordering::Less => arriving = Some(on_its_way),
                        Ordering::Equal => {
                            if let Err(why) = self.keep_snapshot(on_its_way) {
                                return Ok(Filled::NoSnapshot(why.to_string()));
                            }
                        }
                        Ordering::Greater => return Err(protocol("a snapshot is longer than it was said to be")),
                    },
                    None => {
                        if let Some(whole) = partial.take_if(|p| p.chunks.len() == p.transaction.chunks.len()) {
                            self.keep(&whole)?;
                            told(Progress::Received(self.count));
                        }
                    }
                }
            }
        }
    }

    /// A stream that begins at the root may have a snapshot in front of everything.
    fn may_begin_with(&self, arriving: &Option<Arriving>) -> bool {
        self.at.0 == TrnId::ROOT && arriving.is_none() && !self.is_begun()
    }

    fn keep_snapshot(&mut self, Arriving { told, aside }: Arriving) -> Result<()> {
        let blob = aside.done();
        if blob.digest() != told.digest {
            return Err(Error::Damaged(format!(
                "the snapshot's bytes have the digest {}, not {}",
                blob.digest(),
                told.digest
            )));
        }
        let arrived = Arrived { told, blob };
        let format = match &self.format {
            Some(format) => format.clone(),
            None => arrived.format()?,
        };
        (self.at, self.format) = ((told.id, told.seq, told.chain), Some(format));
        self.snapshot = Some(arrived);
        Ok(())
    }

    fn begin(&mut self, start: Start) -> Result<()> {
        let here = (start.from, start.from_seq, start.from_chain);
        if !self.is_begun() {
            self.at = here;
            self.start = Some(start);
        } else if here != self.at {
            return Err(protocol("the stream does not go on where the one before was cut"));
        }
        Ok(())
    }

    fn check_link(&self, transaction: &Transaction) -> Result<()> {
        if transaction.parent != self.at.0 || transaction.seq != self.at.1.next() {
            return Err(protocol("a transaction does not follow the one before"));
        }
        if transaction.chunks.is_empty() {
            return Err(Error::Format(format!("the log's transaction {} has no chunks", transaction.id)));
        }
        self.format.as_ref().map_or(Ok(()), |format| format.check_head(transaction))
    }

    /// Takes the chunk that comes next, if it is that of the transaction.
    fn take_chunk(&mut self, partial: Option<&mut Partial>, arrived: tolstoy_proto::Chunk) -> Result<()> {
        let Partial { transaction, chunks, bytes } =
            partial.ok_or_else(|| protocol("a chunk belongs to no transaction"))?;
        let expected: Option<&ChunkId> = transaction.chunks.get(chunks.len());
        if expected != Some(&arrived.id) {
            return Err(Error::Format("the log names one chunk twice, which no client of this format does".into()));
        }
        let format = match &self.format {
            Some(format) => format,
            None => {
                let format = self.format.insert(Format::of(&arrived.bytes)?);
                format.check_head(transaction)?;
                format
            }
        };
        let Admitted { bytes: kept, key } = format.admit(transaction, chunks.len(), &arrived)?;
        if let Some(number) = key.filter(|key| self.key > Some(*key)) {
            return Err(BadSeal::OldKey { number }.into());
        }
        self.key = key;
        *bytes += kept.len();
        if *bytes > MAX_BYTES {
            return Err(BadChunk::TooLong.into());
        }
        chunks.push(kept);
        Ok(())
    }

    fn keep(&mut self, whole: &Partial) -> Result<()> {
        let Partial { transaction, chunks, .. } = whole;
        let format = self.format.as_ref().ok_or_else(|| protocol("a transaction without chunks"))?;
        let Joined { version, origin, payload } = format.join(transaction, chunks)?;
        let digest = self.at.2.extend(transaction.id, &transaction.chunks);
        let len = u32::try_from(payload.len()).map_err(|_| Error::from(BadChunk::TooLong))?;
        self.file.write_all(transaction.id.as_bytes())?;
        self.file.write_all(&digest.0)?;
        self.file.write_all(&[version])?;
        self.file.write_all(origin.as_bytes())?;
        self.file.write_all(&self.key.map_or(0, |key| key.0).to_be_bytes())?;
        self.file.write_all(&len.to_be_bytes())?;
        self.file.write_all(&payload)?;
        self.at = (transaction.id, transaction.seq, digest);
        self.count += 1;
        Ok(())
    }

    /// Reads the transactions from the first on.
    pub(crate) fn read(&mut self) -> Result<impl Iterator<Item = Result<Spooled>> + '_> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut from = BufReader::with_capacity(1 << 16, &mut self.file);
        Ok((0..self.count).map(move |_| read_one(&mut from).map_err(Error::from)))
    }
}

fn read_one(from: &mut impl Read) -> io::Result<Spooled> {
    let (mut id, mut digest, mut version, mut origin) = ([0; 16], [0; 32], [0; 1], [0; 16]);
    let (mut key, mut len) = ([0; 2], [0; 4]);
    from.read_exact(&mut id)?;
    from.read_exact(&mut digest)?;
    from.read_exact(&mut version)?;
    from.read_exact(&mut origin)?;
    from.read_exact(&mut key)?;
    from.read_exact(&mut len)?;
    let mut payload = vec![0; u32::from_be_bytes(len) as usize];
    from.read_exact(&mut payload)?;
    let chunks = Joined { version: u8::from_be_bytes(version), origin: Uuid::from_bytes(origin), payload };
    let key = Some(KeyNumber(u16::from_be_bytes(key))).filter(|key| key.0 > 0);
    Ok(Spooled { id: TrnId::from_bytes(id), digest: ChainDigest(digest), chunks, key })
}

fn protocol(what: &str) -> Error {
    TransportError::Protocol(what.to_owned()).into()
}
