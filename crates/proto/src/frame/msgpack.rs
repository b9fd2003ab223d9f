//! Frames in MessagePack.

use bytes::Bytes;
use rmp::Marker;
use uuid::Uuid;

use super::{Chunk, End, Frame, Piece, Push, Start, Transaction};
use crate::digest::ChainDigest;
use crate::ids::{ChunkId, Seq, TrnId};
use crate::limits::{MAX_CANDIDATES, MAX_DEPTH, MAX_TRANSACTION_CHUNKS};
use crate::snapshot::{BlobDigest, Snapshot};
use crate::state::{Generation, LogState};

/// Writes the frame of a transaction.
pub(super) fn write_transaction(id: TrnId, seq: Seq, parent: TrnId, chunks: &[ChunkId], out: &mut Vec<u8>) {
    let mut w = Writer(out);
    w.map(1);
    w.transaction(id, seq, parent, chunks);
}

/// Writes the frame of a chunk.
pub(super) fn write_chunk(id: &ChunkId, bytes: &[u8], out: &mut Vec<u8>) {
    let mut w = Writer(out);
    w.map(1);
    w.chunk(id, bytes);
}

/// Writes the frame of a piece of a snapshot.
pub(super) fn write_piece(bytes: &[u8], out: &mut Vec<u8>) {
    let mut w = Writer(out);
    w.map(1);
    w.piece(bytes);
}

pub(super) fn write_frame(frame: &Frame, out: &mut Vec<u8>) {
    let mut w = Writer(out);
    w.map(1);
    match frame {
        Frame::Start(start) => {
            w.text("start");
            w.map(4);
            w.text("state");
            w.state(&start.state);
            w.text("from");
            w.bin(start.from.as_bytes());
            w.text("from_seq");
            w.uint(start.from_seq.0);
            w.text("from_chain");
            w.bin(&start.from_chain.0);
        }
        Frame::Push(push) => {
            w.text("push");
            w.map(2);
            w.text("generation");
            w.generation(push.generation.as_ref());
            w.text("expect");
            w.array(push.expect.len());
            push.expect.iter().for_each(|id| w.bin(id.as_bytes()));
        }
        Frame::Transaction(trn) => w.transaction(trn.id, trn.seq, trn.parent, &trn.chunks),
        Frame::Chunk(chunk) => w.chunk(&chunk.id, &chunk.bytes),
        Frame::Snapshot(snapshot) => {
            w.text("snapshot");
            w.map(5);
            w.text("id");
            w.bin(snapshot.id.as_bytes());
            w.text("seq");
            w.uint(snapshot.seq.0);
            w.text("chain");
            w.bin(&snapshot.chain.0);
            w.text("digest");
            w.bin(&snapshot.digest.0);
            w.text("bytes");
            w.uint(snapshot.bytes);
        }
        Frame::Piece(piece) => w.piece(&piece.bytes),
        Frame::End(end) => {
            w.text("end");
            w.map(2);
            w.text("count");
            w.uint(end.count);
            w.text("chain");
            w.bin(&end.chain.0);
        }
    }
}

/// Reads the one frame that these bytes are. A chunk's bytes are a slice of them where that wastes little.
pub(super) fn read_frame(bytes: &Bytes) -> Result<Frame, String> {
    let mut r = Reader { rest: bytes };
    if r.map()? != 1 {
        return Err("a frame is a map with one entry".to_owned());
    }
    let frame = match r.text()? {
        "start" => Frame::Start(read_start(&mut r)?),
        "push" => Frame::Push(read_push(&mut r)?),
        "transaction" => Frame::Transaction(read_transaction(&mut r)?),
        "chunk" => Frame::Chunk(read_chunk(&mut r, bytes)?),
        "snapshot" => Frame::Snapshot(read_snapshot(&mut r)?),
        "piece" => Frame::Piece(read_piece(&mut r, bytes)?),
        "end" => Frame::End(read_end(&mut r)?),
        other => return Err(format!("the kind {other:?} is not known")),
    };
    if !r.rest.is_empty() {
        return Err(format!("{} bytes follow the frame's map", r.rest.len()));
    }
    Ok(frame)
}

/// Reads the frame of a transaction.
pub(super) fn read_transaction_frame(bytes: &[u8]) -> Result<Transaction, String> {
    let mut r = Reader { rest: bytes };
    begin_frame(&mut r, "transaction")?;
    read_transaction(&mut r)
}

/// Reads the frame of a chunk.
pub(super) fn read_chunk_frame(bytes: &[u8]) -> Result<(ChunkId, &[u8]), String> {
    let mut r = Reader { rest: bytes };
    begin_frame(&mut r, "chunk")?;
    read_chunk_parts(&mut r)
}

fn begin_frame(r: &mut Reader<'_>, kind: &str) -> Result<(), String> {
    match (r.map()?, r.text()?) {
        (1, found) if found == kind => Ok(()),
        (_, found) => Err(format!("expected the frame of a {kind}, found {found:?}")),
    }
}

/// Goes through a map's entries; a field that the reader does not know is skipped.
fn fields<'a>(
    r: &mut Reader<'a>,
    mut field: impl FnMut(&str, &mut Reader<'a>) -> Result<bool, String>,
) -> Result<(), String> {
    for _ in 0..r.map()? {
        let name = r.text()?;
        if !field(name, r).map_err(|reason| format!("{name}: {reason}"))? {
            r.skip(MAX_DEPTH)?;
        }
    }
    Ok(())
}

/// Sets a field's place and says that the field is known.
fn set<T>(place: &mut Option<T>, value: T) -> Result<bool, String> {
    *place = Some(value);
    Ok(true)
}

fn need<T>(place: Option<T>, name: &str) -> Result<T, String> {
    place.ok_or_else(|| format!("{name} is missing"))
}

fn read_start(r: &mut Reader<'_>) -> Result<Start, String> {
    let (mut state, mut from, mut from_seq, mut from_chain) = (None, None, None, None);
    fields(r, |name, r| match name {
        "state" => set(&mut state, read_state(r)?),
        "from" => set(&mut from, r.trn()?),
        "from_seq" => set(&mut from_seq, Seq(r.uint()?)),
        "from_chain" => set(&mut from_chain, r.chain()?),
        _ => Ok(false),
    })?;
    Ok(Start {
        state: need(state, "state")?,
        from: need(from, "from")?,
        from_seq: need(from_seq, "from_seq")?,
        from_chain: need(from_chain, "from_chain")?,
    })
}

fn read_state(r: &mut Reader<'_>) -> Result<LogState, String> {
    let (mut generation, mut head, mut seq, mut chain) = (None, None, None, None);
    fields(r, |name, r| match name {
        "generation" => set(&mut generation, read_generation(r)?),
        "head" => set(&mut head, r.trn()?),
        "seq" => set(&mut seq, Seq(r.uint()?)),
        "chain" => set(&mut chain, r.chain()?),
        _ => Ok(false),
    })?;
    Ok(LogState {
        generation: need(generation, "generation")?,
        head: need(head, "head")?,
        seq: need(seq, "seq")?,
        chain: need(chain, "chain")?,
    })
}

fn read_generation(r: &mut Reader<'_>) -> Result<Option<Generation>, String> {
    if r.nil() {
        return Ok(None);
    }
    let (mut id, mut number) = (None, None);
    fields(r, |name, r| match name {
        "id" => set(&mut id, r.uuid()?),
        "number" => set(&mut number, r.uint()?),
        _ => Ok(false),
    })?;
    Ok(Some(Generation { id: need(id, "id")?, number: need(number, "number")? }))
}

fn read_push(r: &mut Reader<'_>) -> Result<Push, String> {
    let (mut generation, mut expect) = (None, None);
    fields(r, |name, r| match name {
        "generation" => set(&mut generation, read_generation(r)?),
        "expect" => set(&mut expect, r.list(MAX_CANDIDATES, Reader::trn)?),
        _ => Ok(false),
    })?;
    Ok(Push { generation: generation.flatten(), expect: need(expect, "expect")? })
}

fn read_transaction(r: &mut Reader<'_>) -> Result<Transaction, String> {
    let (mut id, mut seq, mut parent, mut chunks) = (None, None, None, None);
    fields(r, |name, r| match name {
        "id" => set(&mut id, r.trn()?),
        "seq" => set(&mut seq, Seq(r.uint()?)),
        "parent" => set(&mut parent, r.trn()?),
        "chunks" => set(&mut chunks, r.list(MAX_TRANSACTION_CHUNKS, Reader::chunk_id)?),
        _ => Ok(false),
    })?;
    Ok(Transaction {
        id: need(id, "id")?,
        seq: need(seq, "seq")?,
        parent: need(parent, "parent")?,
        chunks: need(chunks, "chunks")?,
    })
}

fn read_chunk(r: &mut Reader<'_>, whole: &Bytes) -> Result<Chunk, String> {
    let (id, bytes) = read_chunk_parts(r)?;
    Ok(Chunk { id, bytes: kept(bytes, whole) })
}

fn read_chunk_parts<'a>(r: &mut Reader<'a>) -> Result<(ChunkId, &'a [u8]), String> {
    let (mut id, mut bytes) = (None, None);
    fields(r, |name, r| match name {
        "id" => set(&mut id, r.chunk_id()?),
        "bytes" => set(&mut bytes, r.bin()?),
        _ => Ok(false),
    })?;
    Ok((need(id, "id")?, need(bytes, "bytes")?))
}

/// A part of a frame's bytes. A slice keeps the whole frame in memory, so that it must be most of it.
fn kept(bytes: &[u8], whole: &Bytes) -> Bytes {
    if bytes.len() >= whole.len() / 2 { whole.slice_ref(bytes) } else { Bytes::copy_from_slice(bytes) }
}

fn read_snapshot(r: &mut Reader<'_>) -> Result<Snapshot, String> {
    let (mut id, mut seq, mut chain, mut digest, mut bytes) = (None, None, None, None, None);
    fields(r, |name, r| match name {
        "id" => set(&mut id, r.trn()?),
        "seq" => set(&mut seq, Seq(r.uint()?)),
        "chain" => set(&mut chain, r.chain()?),
        "digest" => set(&mut digest, r.chain().map(|digest| BlobDigest(digest.0))?),
        "bytes" => set(&mut bytes, r.uint()?),
        _ => Ok(false),
    })?;
    Ok(Snapshot {
        id: need(id, "id")?,
        seq: need(seq, "seq")?,
        chain: need(chain, "chain")?,
        digest: need(digest, "digest")?,
        bytes: need(bytes, "bytes")?,
    })
}

fn read_piece(r: &mut Reader<'_>, whole: &Bytes) -> Result<Piece, String> {
    let mut bytes = None;
    fields(r, |name, r| match name {
        "bytes" => set(&mut bytes, r.bin()?),
        _ => Ok(false),
    })?;
    Ok(Piece { bytes: kept(need(bytes, "bytes")?, whole) })
}

fn read_end(r: &mut Reader<'_>) -> Result<End, String> {
    let (mut count, mut chain) = (None, None);
    fields(r, |name, r| match name {
        "count" => set(&mut count, r.uint()?),
        "chain" => set(&mut chain, r.chain()?),
        _ => Ok(false),
    })?;
    Ok(End { count: need(count, "count")?, chain: need(chain, "chain")? })
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn marker(&mut self, marker: Marker) {
        self.0.push(marker.to_u8());
    }

    /// A length in the shortest of the widths that its markers have. No length here reaches 2^32: the limits are far
    /// below.
    fn length(&mut self, n: usize, one: Option<Marker>, two: Marker, four: Marker) {
        match (u8::try_from(n), u16::try_from(n), one) {
            (Ok(n), _, Some(one)) => {
                self.marker(one);
                self.0.push(n);
            }
            (_, Ok(n), _) => {
                self.marker(two);
                self.0.extend(n.to_be_bytes());
            }
            _ => {
                self.marker(four);
                self.0.extend(u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
    }

    /// The head of a map of fewer than 16 entries.
    fn map(&mut self, entries: u8) {
        self.marker(Marker::FixMap(entries & 15));
    }

    fn array(&mut self, n: usize) {
        match u8::try_from(n) {
            Ok(n @ 0..16) => self.marker(Marker::FixArray(n)),
            _ => self.length(n, None, Marker::Array16, Marker::Array32),
        }
    }

    fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(n @ 0..32) => self.marker(Marker::FixStr(n)),
            _ => self.length(text.len(), Some(Marker::Str8), Marker::Str16, Marker::Str32),
        }
        self.0.extend_from_slice(text.as_bytes());
    }

    fn bin(&mut self, bytes: &[u8]) {
        self.length(bytes.len(), Some(Marker::Bin8), Marker::Bin16, Marker::Bin32);
        self.0.extend_from_slice(bytes);
    }

    fn transaction(&mut self, id: TrnId, seq: Seq, parent: TrnId, chunks: &[ChunkId]) {
        self.text("transaction");
        self.map(4);
        self.text("id");
        self.bin(id.as_bytes());
        self.text("seq");
        self.uint(seq.0);
        self.text("parent");
        self.bin(parent.as_bytes());
        self.text("chunks");
        self.array(chunks.len());
        chunks.iter().for_each(|id| self.text(id.as_str()));
    }

    fn chunk(&mut self, id: &ChunkId, bytes: &[u8]) {
        self.text("chunk");
        self.map(2);
        self.text("id");
        self.text(id.as_str());
        self.text("bytes");
        self.bin(bytes);
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.text("piece");
        self.map(1);
        self.text("bytes");
        self.bin(bytes);
    }

    fn uint(&mut self, n: u64) {
        if let Ok(n @ 0..128) = u8::try_from(n) {
            self.marker(Marker::FixPos(n));
        } else if let Ok(n) = u8::try_from(n) {
            self.marker(Marker::U8);
            self.0.push(n);
        } else if let Ok(n) = u16::try_from(n) {
            self.marker(Marker::U16);
            self.0.extend(n.to_be_bytes());
        } else if let Ok(n) = u32::try_from(n) {
            self.marker(Marker::U32);
            self.0.extend(n.to_be_bytes());
        } else {
            self.marker(Marker::U64);
            self.0.extend(n.to_be_bytes());
        }
    }

    fn generation(&mut self, generation: Option<&Generation>) {
        let Some(generation) = generation else { return self.marker(Marker::Null) };
        self.map(2);
        self.text("id");
        self.bin(generation.id.as_bytes());
        self.text("number");
        self.uint(generation.number);
    }

    fn state(&mut self, state: &LogState) {
        self.map(4);
        self.text("generation");
        self.generation(state.generation.as_ref());
        self.text("head");
        self.bin(state.head.as_bytes());
        self.text("seq");
        self.uint(state.seq.0);
        self.text("chain");
        self.bin(&state.chain.0);
    }
}

/// Reads MessagePack values from the front of a slice. It never allocates by what a length says, only by what is there.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or("the frame ends within a value")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the frame ends within a value".to_owned())
    }

    fn marker(&mut self) -> Result<Marker, String> {
        self.array_of::<1>().map(|[byte]| Marker::from_u8(byte))
    }

    fn u8(&mut self) -> Result<u64, String> {
        self.array_of::<1>().map(|[byte]| u64::from(byte))
    }

    fn u16(&mut self) -> Result<u64, String> {
        self.array_of().map(|bytes| u64::from(u16::from_be_bytes(bytes)))
    }

    fn u32(&mut self) -> Result<u64, String> {
        self.array_of().map(|bytes| u64::from(u32::from_be_bytes(bytes)))
    }

    fn nil(&mut self) -> bool {
        let nil = self.rest.first().is_some_and(|byte| Marker::from_u8(*byte) == Marker::Null);
        if nil {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        nil
    }

    fn map(&mut self) -> Result<u64, String> {
        match self.marker()? {
            Marker::FixMap(n) => Ok(n.into()),
            Marker::Map16 => self.u16(),
            Marker::Map32 => self.u32(),
            other => Err(expected("a map", other)),
        }
    }

    fn array(&mut self) -> Result<u64, String> {
        match self.marker()? {
            Marker::FixArray(n) => Ok(n.into()),
            Marker::Array16 => self.u16(),
            Marker::Array32 => self.u32(),
            other => Err(expected("an array", other)),
        }
    }

    fn list<T>(&mut self, max: usize, item: impl Fn(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let n = usize::try_from(self.array()?).unwrap_or(usize::MAX);
        if n > max {
            return Err(format!("{n} ids; at most {max} are allowed"));
        }
        // An id has at least two bytes.
        let mut items = Vec::with_capacity(n.min(self.rest.len() / 2));
        for _ in 0..n {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let n = match self.marker()? {
            Marker::FixStr(n) => n.into(),
            Marker::Str8 => self.u8()?,
            Marker::Str16 => self.u16()?,
            Marker::Str32 => self.u32()?,
            other => return Err(expected("text", other)),
        };
        let bytes = self.take(usize::try_from(n).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| "the text is not UTF-8".to_owned())
    }

    fn bin(&mut self) -> Result<&'a [u8], String> {
        let n = match self.marker()? {
            Marker::Bin8 => self.u8()?,
            Marker::Bin16 => self.u16()?,
            Marker::Bin32 => self.u32()?,
            other => return Err(expected("bytes", other)),
        };
        self.take(usize::try_from(n).unwrap_or(usize::MAX))
    }

    fn uint(&mut self) -> Result<u64, String> {
        match self.marker()? {
            Marker::FixPos(n) => Ok(n.into()),
            Marker::U8 => self.u8(),
            Marker::U16 => self.u16(),
            Marker::U32 => self.u32(),
            Marker::U64 => self.array_of().map(u64::from_be_bytes),
            other => Err(expected("an unsigned integer", other)),
        }
    }

    fn uuid(&mut self) -> Result<Uuid, String> {
        let bytes: [u8; 16] = self.bin()?.try_into().map_err(|_| "a UUID has 16 bytes".to_owned())?;
        Ok(Uuid::from_bytes(bytes))
    }

    fn trn(&mut self) -> Result<TrnId, String> {
        self.uuid().map(TrnId)
    }

    fn chain(&mut self) -> Result<ChainDigest, String> {
        let bytes: [u8; 32] = self.bin()?.try_into().map_err(|_| "a digest has 32 bytes".to_owned())?;
        Ok(ChainDigest(bytes))
    }

    fn chunk_id(&mut self) -> Result<ChunkId, String> {
        self.text()?.parse::<ChunkId>().map_err(|bad| bad.to_string())
    }

    /// Goes past one value of any kind, at most `depth` deep.
    fn skip(&mut self, depth: usize) -> Result<(), String> {
        let Some(depth) = depth.checked_sub(1) else { return Err("values nest too deep".to_owned()) };
        let (bytes, values) = match self.marker()? {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => (0, 0),
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 => (2, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixStr(n) => (n.into(), 0),
            Marker::Str8 | Marker::Bin8 => (self.u8()?, 0),
            Marker::Str16 | Marker::Bin16 => (self.u16()?, 0),
            Marker::Str32 | Marker::Bin32 => (self.u32()?, 0),
            Marker::FixExt1 => (2, 0),
            Marker::FixExt2 => (3, 0),
            Marker::FixExt4 => (5, 0),
            Marker::FixExt8 => (9, 0),
            Marker::FixExt16 => (17, 0),
            Marker::Ext8 => (self.u8()? + 1, 0),
            Marker::Ext16 => (self.u16()? + 1, 0),
            Marker::Ext32 => (self.u32()? + 1, 0),
            Marker::FixArray(n) => (0, n.into()),
            Marker::Array16 => (0, self.u16()?),
            Marker::Array32 => (0, self.u32()?),
            Marker::FixMap(n) => (0, 2 * u64::from(n)),
            Marker::Map16 => (0, 2 * self.u16()?),
            Marker::Map32 => (0, 2 * self.u32()?),
            Marker::Reserved => return Err("the byte 0xc1 is no value".to_owned()),
        };
        self.take(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        (0..values).try_for_each(|_| self.skip(depth))
    }
}

fn expected(what: &str, found: Marker) -> String {
    format!("expected {what}, found {found:?}")
}
