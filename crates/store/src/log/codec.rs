//! A transaction as bytes: the payload of native chunks, drawn in `docs/format.md`. One transaction has one payload.

use rmp::encode as to;
use tolstoy_edn::{Instant, Keyword};
use uuid::Uuid;

use crate::bootstrap::{self, entids::TX_INSTANT};
use crate::error::{Error, Result};
use crate::log::{Displaced, EntidRun, Operation, Overwrite, Reason, Transaction, Unbound};
use crate::types::{Change, Double, Entid, Origin, Value, ValueType};

mod operations;

/// What a transaction has beside its header and datoms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) entids: Vec<EntidRun>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) overwritten: Vec<Overwrite>,
    pub(crate) displaced: Option<Displaced>,
    pub(crate) said: Option<Vec<Change>>,
}

/// How many entities one transaction can allocate.
pub const MAX_ENTIDS: i64 = 1 << 24;

/// The longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 256 << 20;

/// No fewer bytes than these changes take in a payload.
pub(crate) fn size_bound<'c>(changes: impl Iterator<Item = &'c Change>) -> usize {
    // The array, two entids, `added`.
    const FIXED: usize = 1 + 9 + 9 + 1;
    changes.map(|c| FIXED + value_bound(&c.v)).sum()
}

/// No fewer bytes than these operations, and what is stated beside them, take in a payload.
pub(crate) fn intent_bound<'c>(operations: &[Operation], said: impl Iterator<Item = &'c Change>) -> usize {
    operations::size_bound(operations) + size_bound(said)
}

/// No fewer bytes than a value takes with its type.
fn value_bound(v: &Value) -> usize {
    // The type, and the header of the value or its number.
    const FIXED: usize = 1 + 9;
    FIXED
        + match v {
            Value::Keyword(k) => k.as_str().len(),
            Value::String(s) | Value::Uri(s) => s.len(),
            Value::Bytes(b) => b.len(),
            Value::Uuid(_) => 16,
            _ => 0,
        }
}

/// The version of the native chunks that hold the transaction: the least that can say it, so that older programs read
/// whatever they can understand.
pub fn version(transaction: &Transaction) -> u8 {
    let least = if transaction.operates() { 2 } else { 1 };
    transaction.mentions().map(bootstrap::version_of).fold(least, u8::max)
}

/// The transaction's payload.
pub fn encode(transaction: &Transaction) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(64 + 32 * transaction.changes.len()));
    out.array(10);
    out.bin(transaction.origin.id.as_bytes());
    out.bin(transaction.origin.device.as_bytes());
    out.int(transaction.origin.authored.as_micros());
    out.entid(transaction.tx);
    out.runs(&transaction.entids);
    out.changes(&transaction.changes);
    out.operations(&transaction.operations);
    out.overwrites(&transaction.overwritten);
    out.displaced(transaction.displaced.as_ref());
    out.said(transaction.said.as_deref());
    out.0
}

/// The transaction that a payload holds.
///
/// # Errors
/// `Damaged` where the bytes are not the one payload of a transaction.
pub fn decode(payload: &[u8]) -> Result<Transaction> {
    let mut from = Reader(payload);
    from.array_of(10)?;
    let (id, device) = (from.uuid()?, from.uuid()?);
    let origin = Origin { id, device, authored: Instant::from_micros(from.int()?) };
    let tx = Entid::new(from.int()?);
    let entids = from.runs()?;
    let changes = from.changes()?;
    let operations = from.operations()?;
    let overwritten = from.overwrites()?;
    let displaced = from.displaced()?;
    let said = from.said()?;
    from.end()?;
    let instant = own_instant(tx, &changes)?;
    let transaction = Transaction { tx, instant, origin, entids, operations, overwritten, displaced, said, changes };
    let ordered = |changes: &[Change]| changes.is_sorted_by(|x, y| x < y);
    let ordered = ordered(&transaction.changes) && transaction.said.as_deref().is_none_or(ordered);
    if !ordered || encode(&transaction) != payload {
        return Err(Error::damaged("the transaction is not in its canonical form"));
    }
    if !transaction.operations.is_empty() && transaction.said.is_none() {
        return Err(Error::damaged("the transaction has operations and does not tell what is stated beside them"));
    }
    Ok(transaction)
}

fn own_instant(tx: Entid, changes: &[Change]) -> Result<Instant> {
    let mut own = changes.iter().filter(|c| c.e == tx && c.a == TX_INSTANT);
    match (own.next(), own.next()) {
        (Some(Change { v: Value::Instant(instant), added: true, .. }), None) => Ok(*instant),
        _ => Err(Error::damaged(format!("transaction {tx} does not state its instant once"))),
    }
}

pub(crate) fn encode_extra(extra: &Extra) -> Option<Vec<u8>> {
    if *extra == Extra::default() {
        return None;
    }
    let mut out = Writer(Vec::new());
    out.array(5);
    out.runs(&extra.entids);
    out.operations(&extra.operations);
    out.overwrites(&extra.overwritten);
    out.displaced(extra.displaced.as_ref());
    out.said(extra.said.as_deref());
    Some(out.0)
}

pub(crate) fn decode_extra(bytes: Option<&[u8]>) -> Result<Extra> {
    let Some(bytes) = bytes else { return Ok(Extra::default()) };
    let mut from = Reader(bytes);
    from.array_of(5)?;
    let extra = Extra {
        entids: from.runs()?,
        operations: from.operations()?,
        overwritten: from.overwrites()?,
        displaced: from.displaced()?,
        said: from.said()?,
    };
    from.end()?;
    Ok(extra)
}

/// The bytes of `[e, a, vt, v, tx]`, as the facts digest takes them in.
pub(crate) fn fact_bytes(e: Entid, a: Entid, v: &Value, tx: Entid) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(48));
    out.array(5);
    out.entid(e);
    out.entid(a);
    out.entid(v.value_type().entid());
    out.value(v);
    out.entid(tx);
    out.0
}

/// Writes to a vector, which never fails.
struct Writer(Vec<u8>);

impl Writer {
    fn array(&mut self, len: usize) {
        let _ = to::write_array_len(&mut self.0, u32::try_from(len).unwrap_or(u32::MAX));
    }

    fn int(&mut self, n: i64) {
        let _ = to::write_sint(&mut self.0, n);
    }

    fn entid(&mut self, e: Entid) {
        self.int(e.get());
    }

    fn bin(&mut self, bytes: &[u8]) {
        let _ = to::write_bin(&mut self.0, bytes);
    }

    fn str(&mut self, text: &str) {
        let _ = to::write_str(&mut self.0, text);
    }

    fn nil(&mut self) {
        let _ = to::write_nil(&mut self.0);
    }

    fn value(&mut self, v: &Value) {
        match v {
            Value::Ref(e) => self.entid(*e),
            Value::Keyword(k) => self.str(k.as_str()),
            Value::Long(n) => self.int(*n),
            Value::Double(x) => {
                let _ = to::write_f64(&mut self.0, x.get());
            }
            Value::String(s) | Value::Uri(s) => self.str(s),
            Value::Uuid(u) => self.bin(u.as_bytes()),
            Value::Boolean(b) => {
                let _ = to::write_bool(&mut self.0, *b);
            }
            Value::Instant(t) => self.int(t.as_micros()),
            Value::Bytes(b) => self.bin(b),
        }
    }

    fn changes(&mut self, changes: &[Change]) {
        self.array(changes.len());
        for Change { e, a, v, added } in changes {
            self.array(5);
            self.entid(*e);
            self.entid(*a);
            self.entid(v.value_type().entid());
            self.value(v);
            let _ = to::write_bool(&mut self.0, *added);
        }
    }

    fn runs(&mut self, runs: &[EntidRun]) {
        self.array(runs.len());
        for run in runs {
            self.array(3);
            self.entid(run.authored);
            self.entid(run.current);
            self.int(run.count);
        }
    }

    fn optional(&mut self, v: Option<&Value>) {
        match v {
            Some(v) => {
                self.array(2);
                self.entid(v.value_type().entid());
                self.value(v);
            }
            None => self.nil(),
        }
    }

    fn overwrites(&mut self, overwritten: &[Overwrite]) {
        self.array(overwritten.len());
        for o in overwritten {
            self.array(5);
            self.entid(o.e);
            self.entid(o.a);
            self.optional(o.base.as_ref());
            self.optional(o.incoming.as_ref());
            self.optional(Some(&o.local));
        }
    }

    fn said(&mut self, said: Option<&[Change]>) {
        match said {
            Some(said) => self.changes(said),
            None => self.nil(),
        }
    }

    fn displaced(&mut self, displaced: Option<&Displaced>) {
        let Some(displaced) = displaced else { return self.nil() };
        self.array(5);
        self.str(displaced.reason.word());
        self.str(&displaced.detail);
        self.array(displaced.unbound.len());
        for unbound in &displaced.unbound {
            self.array(3);
            self.entid(unbound.entid);
            self.bin(unbound.origin.as_bytes());
            self.entid(unbound.authored);
        }
        self.changes(&displaced.changes);
        self.operations(&displaced.operations);
    }
}

/// Reads from a slice. No length that the bytes claim is allocated before as many bytes are there.
struct Reader<'b>(&'b [u8]);

fn malformed<E: std::fmt::Display>(e: E) -> Error {
    Error::damaged(format!("the transaction's bytes are malformed: {e}"))
}

impl<'b> Reader<'b> {
    /// The length of an array. Each element takes a byte at least, so a longer claim than that is refused.
    fn array(&mut self) -> Result<usize> {
        let len = rmp::decode::read_array_len(&mut self.0).map_err(malformed)? as usize;
        if len > self.0.len() { Err(malformed("an array is longer than its bytes")) } else { Ok(len) }
    }

    fn array_of(&mut self, len: usize) -> Result<()> {
        match self.array()? {
            found if found == len => Ok(()),
            found => Err(malformed(format!("an array of {found} where one of {len} belongs"))),
        }
    }

    fn int(&mut self) -> Result<i64> {
        rmp::decode::read_int(&mut self.0).map_err(malformed)
    }

    fn entid(&mut self) -> Result<Entid> {
        self.int().map(Entid::new)
    }

    fn take(&mut self, len: u32) -> Result<&'b [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(len as usize).ok_or_else(|| malformed("a value is longer than its bytes"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn bin(&mut self) -> Result<&'b [u8]> {
        let len = rmp::decode::read_bin_len(&mut self.0).map_err(malformed)?;
        self.take(len)
    }

    fn str(&mut self) -> Result<&'b str> {
        let len = rmp::decode::read_str_len(&mut self.0).map_err(malformed)?;
        std::str::from_utf8(self.take(len)?).map_err(malformed)
    }

    fn uuid(&mut self) -> Result<Uuid> {
        Uuid::from_slice(self.bin()?).map_err(malformed)
    }

    fn nil(&mut self) -> Result<bool> {
        let is = self.0.first() == Some(&0xc0);
        if is {
            self.take(1)?;
        }
        Ok(is)
    }

    fn value(&mut self) -> Result<Value> {
        let vt = ValueType::from_entid(self.entid()?).ok_or_else(|| malformed("a value of an unknown type"))?;
        Ok(match vt {
            ValueType::Ref => Value::Ref(self.entid()?),
            ValueType::Keyword => {
                let text = self.str()?;
                let keyword = Keyword::parse(text).filter(|k| k.as_str() == text);
                Value::Keyword(keyword.ok_or_else(|| malformed("a keyword that is none"))?)
            }
            ValueType::Long => Value::Long(self.int()?),
            ValueType::Double => {
                let number = rmp::decode::read_f64(&mut self.0).map_err(malformed)?;
                Value::Double(Double::new(number).ok_or_else(|| malformed("a double that is no number"))?)
            }
            ValueType::String => Value::String(self.str()?.into()),
            ValueType::Uuid => Value::Uuid(self.uuid()?),
            ValueType::Uri => Value::Uri(self.str()?.into()),
            ValueType::Boolean => Value::Boolean(rmp::decode::read_bool(&mut self.0).map_err(malformed)?),
            ValueType::Instant => Value::Instant(Instant::from_micros(self.int()?)),
            ValueType::Bytes => Value::Bytes(self.bin()?.into()),
        })
    }

    fn optional(&mut self) -> Result<Option<Value>> {
        if self.nil()? {
            return Ok(None);
        }
        self.array_of(2)?;
        self.value().map(Some)
    }

    /// An array of arrays, each of `width` fields.
    fn rows<T>(&mut self, width: usize, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let len = self.array()?;
        let mut rows = Vec::new();
        for _ in 0..len {
            self.array_of(width)?;
            rows.push(read(self)?);
        }
        Ok(rows)
    }

    fn changes(&mut self) -> Result<Vec<Change>> {
        self.rows(5, |from| {
            let (e, a) = (from.entid()?, from.entid()?);
            let v = from.value()?;
            let added = rmp::decode::read_bool(&mut from.0).map_err(malformed)?;
            Ok(Change { e, a, v, added })
        })
    }

    fn runs(&mut self) -> Result<Vec<EntidRun>> {
        let runs =
            self.rows(3, |from| Ok(EntidRun { authored: from.entid()?, current: from.entid()?, count: from.int()? }))?;
        let mut left = MAX_ENTIDS;
        let mut next = Entid::USER0;
        for EntidRun { authored, current, count } in &runs {
            // What was allocated lies in the user partition; what it turned out to be may be any entity.
            let allocated = *authored >= next && authored.plus(*count) <= Entid::TX0;
            let entities = current.get() > 0 && current.get().checked_add(*count).is_some();
            if !(1..=left).contains(count) || !allocated || !entities {
                return Err(malformed("its runs of entities are not in order, or leave the user partition"));
            }
            left -= count;
            next = authored.plus(*count);
        }
        let continues =
            |x: &EntidRun, y: &EntidRun| (x.authored.plus(x.count), x.current.plus(x.count)) == (y.authored, y.current);
        if runs.windows(2).any(|pair| matches!(pair, [x, y] if continues(x, y))) {
            return Err(malformed("one run of entities is cut in two"));
        }
        Ok(runs)
    }

    fn overwrites(&mut self) -> Result<Vec<Overwrite>> {
        self.rows(5, |from| {
            let (e, a) = (from.entid()?, from.entid()?);
            let (base, incoming) = (from.optional()?, from.optional()?);
            let local = from.optional()?.ok_or_else(|| malformed("an overwriting value is missing"))?;
            Ok(Overwrite { e, a, base, incoming, local })
        })
    }

    fn displaced(&mut self) -> Result<Option<Displaced>> {
        if self.nil()? {
            return Ok(None);
        }
        self.array_of(5)?;
        let word = self.str()?;
        let reason = Reason::ALL.into_iter().find(|r| r.word() == word);
        let reason = reason.ok_or_else(|| malformed(format!("the reason {word:?} is not known")))?;
        let detail = self.str()?.to_owned();
        let unbound =
            self.rows(3, |from| Ok(Unbound { entid: from.entid()?, origin: from.uuid()?, authored: from.entid()? }))?;
        let (changes, operations) = (self.changes()?, self.operations()?);
        Ok(Some(Displaced { reason, detail, unbound, changes, operations }))
    }

    fn said(&mut self) -> Result<Option<Vec<Change>>> {
        if self.nil()? { Ok(None) } else { self.changes().map(Some) }
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed("bytes are left over")) }
    }
}

#[cfg(test)]
mod tests;
