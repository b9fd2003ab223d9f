//! What comes in is put aside, checked and whole, before the store is touched.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use tempfile::SpooledTempFile;
use tolstoy_proto::{ChainDigest, ChunkId, Form, Frame, FrameDecoder, Seq, Start, Transaction, TrnId};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::format::native::{self, BadChunk};
use crate::format::sealed::BadSeal;
use crate::format::{Admitted, Format, Joined};
use crate::key::KeyNumber;
use crate::transport::{Body, TransportError};

/// What is kept in memory before a file is used.
const IN_MEMORY: usize = 4 << 20;

/// Bytes of a transaction's chunks at most, so that no more is ever held.
const MAX_BYTES: usize = native::MAX_PAYLOAD + native::MAX_PIECES * native::HEADER;

/// The transactions of one stream, in order: each one's id, the chain digest at it, and what its chunks hold.
pub(crate) struct Spool {
    file: SpooledTempFile,
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

/// A transaction of which not all chunks have arrived.
struct Partial {
    transaction: Transaction,
    chunks: Vec<Bytes>,
    /// Bytes of the chunks.
    bytes: usize,
}

impl Spool {
    /// An empty spool for a log in this format, if that is known. What does not fit into memory goes to a nameless file in
    /// `dir`, if there is one.
    pub(crate) fn new(dir: Option<&Path>, format: Option<Format>) -> Self {
        let file = match dir {
            Some(dir) => tempfile::spooled_tempfile_in(IN_MEMORY, dir),
            None => SpooledTempFile::new(usize::MAX),
        };
        Self {
            file,
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

    /// How many transactions there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes arrived.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The newest transaction that is whole.
    pub(crate) fn last(&self) -> TrnId {
        self.at.0
    }

    /// Takes in a stream. True where it came to its end; false where it was cut, and what is whole until there is kept.
    /// A further stream must go on where this one was cut.
    pub(crate) async fn fill<B: Body>(&mut self, body: &mut B, mut told: impl FnMut(u64)) -> Result<bool> {
        let mut decoder = FrameDecoder::new(Form::MessagePack);
        let mut partial = None;
        let mut started = false;
        let before = self.count;
        loop {
            let piece = match body.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) | Err(TransportError::Broken(_) | TransportError::Unreachable(_)) => return Ok(false),
                Err(e) => return Err(e.into()),
            };
            self.bytes += piece.len() as u64;
            decoder.feed(&piece);
            while let Some(frame) = decoder.next_frame()? {
                match frame {
                    Frame::Start(start) if !started => {
                        self.begin(start)?;
                        started = true;
                    }
                    Frame::Transaction(transaction) if started && partial.is_none() => {
                        self.check_link(&transaction)?;
                        partial = Some(Partial { transaction, chunks: Vec::new(), bytes: 0 });
                    }
                    Frame::Chunk(arrived) => self.take_chunk(partial.as_mut(), arrived)?,
                    Frame::End(end) if started && partial.is_none() => {
                        if end.chain != self.at.2 || end.count != self.count - before {
                            return Err(Error::Damaged("the stream does not end as the transactions in it do".into()));
                        }
                        return Ok(true);
                    }
                    _ => return Err(protocol("a frame is out of place")),
                }
                if let Some(whole) = partial.take_if(|p| p.chunks.len() == p.transaction.chunks.len()) {
                    self.keep(&whole)?;
                    told(self.count);
                }
            }
        }
    }

    fn begin(&mut self, start: Start) -> Result<()> {
        match &self.start {
            Some(_) if start.from != self.at.0 || start.from_chain != self.at.2 => {
                Err(protocol("the stream does not go on where the one before was cut"))
            }
            Some(_) => Ok(()),
            None => {
                self.at = (start.from, start.from_seq, start.from_chain);
                self.start = Some(start);
                Ok(())
            }
        }
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
