//! A push as it arrives: checked frame by frame, held in memory while it is small, in a file when it is not.
//!
//! All that can be said without the log is said here, so that the write that follows is short and cannot fail halfway.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use super::id_key::{IdKey, id_key};
use crate::storage::weight;
use tolstoy_proto::limits::{MAX_LEFT_OUT, MAX_PUSH_FRAMES, MAX_PUSH_TRANSACTIONS};
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, End, Form, Frame, FrameDecoder, Push, Seq, Transaction, TrnId, derive_trn,
    encode_frame,
};

/// Bytes of frames that an upload holds in memory before it moves to a file.
const IN_MEMORY: usize = 256 << 10;

/// Why frames are no push. The same again will be refused again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUpload {
    /// The frames are not in the order of a push, or contradict each other.
    #[error("{0}")]
    Malformed(String),
    /// A chunk's content id is not that of its bytes.
    #[error("chunk {0}: the id is a SHA-256, and not that of the bytes")]
    WrongDigest(ChunkId),
}

/// Why an upload failed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The frames are no push.
    #[error(transparent)]
    Bad(#[from] BadUpload),
    /// The file that holds a long push could not be written.
    #[error("the push could not be put aside: {0}")]
    Io(#[from] io::Error),
}

fn malformed(reason: impl Into<String>) -> UploadError {
    UploadError::Bad(BadUpload::Malformed(reason.into()))
}

/// Takes the frames of one push.
#[derive(Debug)]
pub struct Uploader {
    push: Option<Push>,
    /// Ids of the transactions so far.
    ids: Vec<TrnId>,
    last: Option<(TrnId, Seq)>,
    /// Whether all these ids derive from their transactions' parents and chunks.
    all_derive: bool,
    /// Chunks that were named so far.
    named: HashSet<IdKey>,
    /// Named by the newest transaction, for the first time, in order; those up to `next` were sent or passed over.
    fresh: Vec<ChunkId>,
    next: usize,
    /// Passed over: they must be on the hub.
    absent: Vec<ChunkId>,
    /// Whether the id of any chunk that was sent is no content id.
    plain: bool,
    frames: u64,
    /// What the log would hold more, if nothing of it were here.
    weight: u64,
    end: Option<End>,
    spool: Spool,
}

impl Uploader {
    /// Takes a push. One that is longer than a few hundred KiB goes to a file without a name in `directory`; without a
    /// directory it stays in memory.
    pub fn new(directory: Option<Arc<Path>>) -> Self {
        Self {
            push: None,
            ids: Vec::new(),
            last: None,
            all_derive: true,
            named: HashSet::new(),
            fresh: Vec::new(),
            next: 0,
            absent: Vec::new(),
            plain: false,
            frames: 0,
            weight: 0,
            end: None,
            spool: Spool::Memory { frames: Vec::new(), bytes: 0, directory },
        }
    }

    /// Takes the next frame. Writes to a file when the push is long.
    ///
    /// # Errors
    /// Where the frame cannot come here in a push, or the file cannot be written. The push is lost then.
    pub fn accept(&mut self, frame: Frame) -> Result<(), UploadError> {
        self.frames += 1;
        if self.frames > MAX_PUSH_FRAMES {
            return Err(malformed(format!("a push has at most {MAX_PUSH_FRAMES} frames: push in parts")));
        }
        match (&frame, &self.push) {
            (_, _) if self.end.is_some() => return Err(malformed("nothing may follow the end of a push")),
            (Frame::Push(push), None) => {
                self.push = Some(push.clone());
                return Ok(());
            }
            (Frame::End(end), Some(_)) => {
                self.pass_over()?;
                self.end = Some(*end);
                return Ok(());
            }
            (Frame::Transaction(trn), Some(push)) => {
                let parent = self.last.map_or_else(|| push.expected_head(), |(id, _)| id);
                self.weight += weight(&trn.chunks);
                self.transaction(trn, parent)?;
            }
            (Frame::Chunk(chunk), Some(_)) => {
                self.weight += chunk.bytes.len() as u64;
                self.chunk(chunk)?;
            }
            (_, None) => return Err(malformed("the first frame of a push is push")),
            (Frame::Start(_) | Frame::Push(_) | Frame::Snapshot(_) | Frame::Piece(_), Some(_)) => {
                return Err(malformed("a push has transactions, chunks and an end after its first frame"));
            }
        }
        self.spool.add(frame)?;
        Ok(())
    }

    fn transaction(&mut self, trn: &Transaction, parent: TrnId) -> Result<(), UploadError> {
        self.pass_over()?;
        let id = trn.id;
        if id == TrnId::ROOT {
            return Err(malformed("the root is no transaction: it cannot be pushed"));
        }
        // Each id may have to be looked for within the write.
        if self.ids.len() == MAX_PUSH_TRANSACTIONS {
            return Err(malformed(format!("a push has at most {MAX_PUSH_TRANSACTIONS} transactions: push in parts")));
        }
        if trn.parent != parent {
            return Err(malformed(format!("the parent of {id} is {}, and must be {parent}", trn.parent)));
        }
        let expected = self.last.map_or_else(|| Seq(trn.seq.0.max(1)), |(_, seq)| seq.next());
        if trn.seq != expected {
            return Err(malformed(format!("the seq of {id} is {}, and must be {expected}", trn.seq)));
        }
        for chunk in &trn.chunks {
            if self.named.insert(id_key(chunk)) {
                self.fresh.push(*chunk);
            }
        }
        self.all_derive = self.all_derive && id == derive_trn(parent, &trn.chunks);
        self.ids.push(id);
        self.last = Some((id, trn.seq));
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<(), UploadError> {
        let id = chunk.id;
        let rest = self.fresh.get(self.next..).unwrap_or_default();
        let Some(skipped) = rest.iter().position(|fresh| *fresh == id) else {
            return Err(malformed(format!(
                "chunk {id} must follow the transaction that first names it, in the order it names them, once"
            )));
        };
        self.absent.extend(rest.iter().take(skipped));
        self.next += skipped + 1;
        if !id.is_digest() {
            self.plain = true;
        } else if !id.matches(&chunk.bytes) {
            return Err(BadUpload::WrongDigest(id).into());
        }
        Ok(())
    }

    /// The newest transaction has no more chunks: what was not sent must be on the hub.
    fn pass_over(&mut self) -> Result<(), UploadError> {
        self.absent.extend(self.fresh.iter().skip(self.next));
        self.fresh.clear();
        self.next = 0;
        // Each is looked for within the write.
        if self.absent.len() > MAX_LEFT_OUT {
            return Err(malformed("the push leaves out too many chunks: push in parts"));
        }
        Ok(())
    }

    /// The whole push.
    ///
    /// # Errors
    /// Where frames are missing or contradict each other, or the file cannot be written.
    pub fn finish(self) -> Result<Upload, UploadError> {
        let (Some(push), Some(end)) = (self.push, self.end) else {
            return Err(malformed("the push was cut: it has no end"));
        };
        let count = u64::try_from(self.ids.len()).unwrap_or(u64::MAX);
        if end.count != count {
            return Err(malformed(format!("the end says {} transactions, and {count} came", end.count)));
        }
        let mut ids = self.ids;
        ids.sort_unstable();
        if let Some([id, _]) = ids.array_windows().find(|[one, next]| one == next) {
            return Err(malformed(format!("transaction {id} is in the push twice")));
        }
        let Self { absent, plain, last, all_derive, weight, spool, .. } = self;
        Ok(Upload { push, ids, last, all_derive, absent, plain, weight, end, spool: spool.finish()? })
    }
}

/// A whole push, checked as far as it can be without the log.
#[derive(Debug)]
pub struct Upload {
    pub(super) push: Push,
    pub(super) ids: Vec<TrnId>,
    /// The last transaction and its place.
    pub(super) last: Option<(TrnId, Seq)>,
    /// Whether the ids of all its transactions derive from their parents and chunks.
    pub(super) all_derive: bool,
    pub(super) absent: Vec<ChunkId>,
    /// Whether the id of any chunk that was sent is no content id.
    pub(super) plain: bool,
    pub(super) weight: u64,
    pub(super) end: End,
    spool: Spool,
}

impl Upload {
    /// The push that these frames are, held in memory.
    ///
    /// # Errors
    /// Where they are no push.
    pub fn from_frames(frames: impl IntoIterator<Item = Frame>) -> Result<Self, BadUpload> {
        let mut uploader = Uploader::new(None);
        let upload = frames.into_iter().try_for_each(|frame| uploader.accept(frame)).and_then(|()| uploader.finish());
        upload.map_err(|error| match error {
            UploadError::Bad(bad) => bad,
            UploadError::Io(error) => BadUpload::Malformed(error.to_string()),
        })
    }

    /// Goes through the transactions and chunks, in order.
    pub(super) fn replay<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(&Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.spool {
            Spool::Memory { frames, .. } => frames.iter().try_for_each(each),
            Spool::File(file) => {
                let file = file.get_mut();
                file.rewind()?;
                replay_file(file, &mut each)
            }
        }
    }

    /// Whether the first transaction's place is the one after this.
    pub(super) fn follows(&self, seq: Seq) -> bool {
        self.last.is_none_or(|(_, last)| last.0.checked_sub(self.ids.len() as u64) == Some(seq.0))
    }

    /// The chain digest after the push, on a chain whose digest is `base`.
    pub(super) fn chain_on(&mut self, base: ChainDigest) -> io::Result<ChainDigest> {
        let mut chain = base;
        self.replay(|frame| {
            if let Frame::Transaction(trn) = frame {
                chain = chain.extend(trn.id, &trn.chunks);
            }
            Ok::<_, io::Error>(())
        })?;
        Ok(chain)
    }
}

fn replay_file<E: From<io::Error>>(file: &File, each: &mut impl FnMut(&Frame) -> Result<(), E>) -> Result<(), E> {
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut file = BufReader::new(file);
    let mut decoder = FrameDecoder::new(Form::MessagePack);
    let mut piece = vec![0; 64 << 10];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        decoder.feed(piece.get(..n).unwrap_or_default());
        while let Some(frame) = decoder.next_frame().map_err(damaged)? {
            each(&frame)?;
        }
    }
}

/// Frames put aside.
#[derive(Debug)]
enum Spool {
    Memory {
        frames: Vec<Frame>,
        /// What they weigh in memory, roughly.
        bytes: usize,
        directory: Option<Arc<Path>>,
    },
    File(BufWriter<File>),
}

impl Spool {
    fn add(&mut self, frame: Frame) -> io::Result<()> {
        match self {
            Self::Memory { frames, bytes, directory } => {
                *bytes += held(&frame);
                frames.push(frame);
                if let Some(directory) = directory
                    && *bytes > IN_MEMORY
                {
                    let mut file = BufWriter::with_capacity(64 << 10, tempfile::tempfile_in(directory)?);
                    for frame in frames.drain(..) {
                        write_frame(&mut file, &frame)?;
                    }
                    *self = Self::File(file);
                }
                Ok(())
            }
            Self::File(file) => write_frame(file, &frame),
        }
    }

    fn finish(mut self) -> io::Result<Self> {
        if let Self::File(file) = &mut self {
            file.flush()?;
        }
        Ok(self)
    }
}

fn write_frame(file: &mut BufWriter<File>, frame: &Frame) -> io::Result<()> {
    let mut bytes = Vec::new();
    encode_frame(frame, &mut bytes);
    file.write_all(&bytes)
}

fn held(frame: &Frame) -> usize {
    size_of::<Frame>()
        + match frame {
            Frame::Transaction(trn) => trn.chunks.len() * size_of::<ChunkId>(),
            Frame::Chunk(chunk) => 2 * chunk.bytes.len(),
            Frame::Start(_) | Frame::Push(_) | Frame::Snapshot(_) | Frame::Piece(_) | Frame::End(_) => 0,
        }
}
