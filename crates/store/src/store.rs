//! The store: one SQLite file, opened.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest, Sha256};
use tolstoy_edn::Keyword;
use tolstoy_env::Env;
use uuid::Uuid;

use crate::core::sqlite::{self, Found};
use crate::core::{Basis, Failure, Working, migrate};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Functions;
use crate::log::read::Timeline;
use crate::log::{Transaction, codec, read};
use crate::schema::Schema;
use crate::types::{Datom, Entid, ValueType};

/// An open store. One process may hold several of one file; each notices what the others wrote.
#[derive(Debug)]
pub struct Store {
    pub(crate) sql: Connection,
    pub(crate) env: Env,
    pub(crate) functions: Functions,
    schema: Arc<Schema>,
    basis: Basis,
    device: Uuid,
    /// The format of the file when it was last looked at.
    format: i64,
    /// SQLite's counter of changes made by others, as of `schema` and `basis`.
    version: i64,
}

/// How a store's file is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Whether a store is made where the file is missing or empty.
    pub create: bool,
    /// The SQLite VFS that holds the file, by its registered name; none: SQLite's own. For tests, whose disks fail.
    pub vfs: Option<String>,
}

/// How far a timeline reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first transaction.
    pub first: Entid,
    /// Its last one.
    pub last: Entid,
    /// How many it has.
    pub transactions: u64,
}

impl Store {
    /// Opens the store in a file. One of an older format is brought to the newest.
    ///
    /// # Errors
    /// `Storage` where the file is missing or cannot be read, `NotAStore`, `NewerFormat`.
    pub fn open(path: &Path, env: Env) -> Result<Self> {
        Self::open_as_it_is(path, env)?.in_newest_format()
    }

    /// Opens the store in a file to read it. Where the file or its directory cannot be written, what another process writes
    /// meanwhile is not noticed. A file of an older format stays in it.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_to_read(path: &Path, env: Env) -> Result<Self> {
        let error = match Self::open_as_it_is(path, env.clone()) {
            Err(error) if error.kind() == ErrorKind::Storage && sqlite::is_whole(path) => error,
            result => return result,
        };
        let Ok(sql) = sqlite::connect_unchanging(path) else { return Err(error) };
        match sqlite::inspect(&sql, &path.display().to_string()) {
            Ok(Found::Store) => Self::load(sql, env),
            _ => Err(error),
        }
    }

    fn open_as_it_is(path: &Path, env: Env) -> Result<Self> {
        if path.try_exists().is_ok_and(|exists| !exists) {
            return Err(Error::new(ErrorKind::Storage, format!("{}: there is no such file", path.display())));
        }
        Self::connect(path, env, &StoreOptions::default())
    }

    /// Opens the store in a file in this way. One of an older format is brought to the newest.
    ///
    /// # Errors
    /// As for [`Store::open`]; `Storage` where the file cannot be made.
    pub fn open_with(path: &Path, env: Env, options: &StoreOptions) -> Result<Self> {
        Self::connect(path, env, options)?.in_newest_format()
    }

    fn connect(path: &Path, env: Env, options: &StoreOptions) -> Result<Self> {
        let sql = sqlite::connect(path, options)?;
        let name = path.display().to_string();
        match sqlite::inspect(&sql, &name)? {
            Found::Store => Self::to_write(sql, env),
            Found::Empty if options.create => Self::fill(sql, env),
            Found::Empty => Err(Error::new(ErrorKind::NotAStore, format!("{name}: the file is empty, not a store"))),
        }
    }

    /// Opens the store in a file, which is made where it is missing or empty.
    ///
    /// # Errors
    /// As for [`Store::open`]; `Storage` where the file cannot be made.
    pub fn open_or_create(path: &Path, env: Env) -> Result<Self> {
        Self::open_with(path, env, &StoreOptions { create: true, ..StoreOptions::default() })
    }

    /// A new store in memory.
    ///
    /// # Errors
    /// Where the environment gives no random bytes.
    pub fn in_memory(env: Env) -> Result<Self> {
        let sql = Connection::open_in_memory()?;
        sqlite::inspect(&sql, "memory")?;
        Self::fill(sql, env)
    }

    fn fill(mut sql: Connection, env: Env) -> Result<Self> {
        sqlite::prepare_for_writing(&sql)?;
        let device = env.uuid()?;
        let transaction = sql.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have filled it since it was looked at.
        if let Found::Empty = sqlite::inspect(&transaction, "the new store")? {
            Working::create(&transaction, device)?;
        }
        transaction.commit()?;
        Self::load(sql, env)
    }

    fn to_write(sql: Connection, env: Env) -> Result<Self> {
        sqlite::prepare_for_writing(&sql)?;
        Self::load(sql, env)
    }

    fn in_newest_format(mut self) -> Result<Self> {
        if self.format < sqlite::FORMAT {
            self.write(|_, _, _| Ok::<_, Error>(()))?;
        }
        Ok(self)
    }

    fn load(sql: Connection, env: Env) -> Result<Self> {
        // Before the load: what others write in between is noticed by the next look at the counter.
        let version = data_version(&sql)?;
        let (schema, basis, device, format) = {
            let snapshot = sql.unchecked_transaction()?;
            let Working { schema, basis, device, .. } = Working::load(&snapshot)?;
            (schema, basis, device, sqlite::format(&snapshot)?)
        };
        Ok(Self { sql, env, functions: Functions::default(), schema, basis, device, format, version })
    }

    /// Runs `write` inside one SQLite transaction. What it did is kept, durably, when it succeeds; when it fails, the
    /// file and this store are as before. A file of an older format is brought to the newest in the same transaction.
    pub(crate) fn write<T, E>(
        &mut self,
        write: impl FnOnce(&mut Working<'_>, &Env, Uuid) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        let sql = self.sql.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| E::from(e.into()))?;
        let version = data_version(&sql).map_err(E::from)?;
        if self.format < sqlite::FORMAT {
            migrate::migrate(&sql).map_err(|f| E::from(f.into()))?;
        }
        let mut working = if version == self.version && self.format == sqlite::FORMAT {
            Working { sql: &sql, schema: Arc::clone(&self.schema), basis: self.basis, device: self.device }
        } else {
            Working::load(&sql).map_err(E::from)?
        };
        let device = working.device;
        let result = write(&mut working, &self.env, device)?;
        let Working { schema, basis, device, .. } = working;
        sql.commit().map_err(|e| E::from(e.into()))?;
        (self.schema, self.basis, self.device) = (schema, basis, device);
        (self.version, self.format) = (version, sqlite::FORMAT);
        Ok(result)
    }

    /// Runs `read` on one snapshot of the file, with the schema that holds in it: others may have written since
    /// [`Store::refresh`], and a schema of another moment would lead to indexes that the facts are not in. A read within a read
    /// sees the same moment.
    pub(crate) fn read<T, E: From<Error>>(&self, read: impl FnOnce(&Working<'_>) -> Result<T, E>) -> Result<T, E> {
        let outermost = self.sql.is_autocommit();
        let snapshot =
            outermost.then(|| self.sql.unchecked_transaction()).transpose().map_err(|e| E::from(e.into()))?;
        let working = if data_version(&self.sql).map_err(E::from)? == self.version {
            Working { sql: &self.sql, schema: Arc::clone(&self.schema), basis: self.basis, device: self.device }
        } else {
            Working::load(&self.sql).map_err(E::from)?
        };
        let result = read(&working);
        drop(snapshot);
        result
    }

    /// Shows each current value of an attribute that is a text, with its entity, in the order of the entities. Nothing of it is
    /// kept, so this is the quickest way through very many.
    ///
    /// # Errors
    /// `Storage` where the file cannot be read. An attribute that there is not has no values.
    pub fn each_text(&self, attribute: &str, mut show: impl FnMut(Entid, &str)) -> Result<()> {
        self.read(|working| {
            let name = Keyword::parse(attribute.trim_start_matches(':'));
            let Some(a) = name.and_then(|name| working.schema.entid(&name)) else { return Ok(()) };
            // Each half is the condition of an index.
            let mut statement = working.sql.prepare_cached(
                "SELECT e, v, vt FROM datoms WHERE a = ?1 AND avet IS NULL
                 UNION ALL SELECT e, v, vt FROM datoms WHERE a = ?1 AND avet = 1 ORDER BY e",
            )?;
            let mut rows = statement.query([a])?;
            while let Some(row) = rows.next()? {
                if row.get::<_, Entid>(2)? == ValueType::String.entid()
                    && let ValueRef::Text(text) = row.get_ref(1)?
                {
                    show(row.get(0)?, str::from_utf8(text).map_err(|_| Error::damaged("a text is not UTF-8"))?);
                }
            }
            Ok(())
        })
    }

    /// Takes in what other processes have written, if they have.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn refresh(&mut self) -> Result<()> {
        let version = data_version(&self.sql)?;
        if version != self.version {
            let sql = self.sql.transaction()?;
            let Working { schema, basis, device, .. } = Working::load(&sql)?;
            drop(sql);
            (self.schema, self.basis, self.device, self.version) = (schema, basis, device, version);
        }
        Ok(())
    }

    /// The schema and the idents, as of the last write or [`Store::refresh`].
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The newest transaction on main, as of the last write or [`Store::refresh`].
    pub fn basis(&self) -> Entid {
        self.basis.tx
    }

    /// The id of this file as a device: the `device` of origins that begin here.
    pub const fn device(&self) -> Uuid {
        self.device
    }

    /// A transaction of main.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn transaction(&self, tx: Entid) -> Result<Option<Transaction>> {
        self.read(|working| read::transaction(working.sql, Timeline::MAIN, tx))
    }

    /// The first `limit` transactions of a timeline after `after`, in order. `Entid::TX0` leaves out the bootstrap.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn transactions(&self, timeline: Timeline, after: Entid, limit: usize) -> Result<Vec<Transaction>> {
        read::transactions(&self.sql, timeline, after, limit)
    }

    /// How many transactions main has up to this one, the bootstrap among them. Counts them.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn count_up_to(&self, tx: Entid) -> Result<u64> {
        let mut count = self.sql.prepare_cached("SELECT count(*) FROM transactions WHERE timeline = 0 AND tx <= ?1")?;
        Ok(count.query_row([tx], |r| r.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The next free entid of the user partition right after a main transaction: one past the highest that main
    /// mentioned until then.
    ///
    /// # Errors
    /// Where main has no such transaction, or the file cannot be read.
    pub fn next_entid_at(&self, tx: Entid) -> Result<Entid> {
        read::next_entid_at(&self.sql, tx)
    }

    /// The main transaction that the change with this origin became.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn by_origin(&self, origin: Uuid) -> Result<Option<Entid>> {
        read::by_origin(&self.sql, origin)
    }

    /// The side timelines, oldest first: what rebases moved off main.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn side_timelines(&self) -> Result<Vec<Timeline>> {
        let mut statement =
            self.sql.prepare("SELECT DISTINCT timeline FROM transactions WHERE timeline > 0 ORDER BY timeline")?;
        let timelines = statement.query_map([], |r| r.get(0).map(Timeline))?.collect::<Result<_, _>>()?;
        Ok(timelines)
    }

    /// How far a timeline reaches; `None` where there is no such timeline. Counts its transactions.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn extent(&self, timeline: Timeline) -> Result<Option<Extent>> {
        let mut statement =
            self.sql.prepare_cached("SELECT min(tx), max(tx), count(*) FROM transactions WHERE timeline = ?1")?;
        let (first, last, count): (Option<Entid>, Option<Entid>, i64) =
            statement.query_row([timeline.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        let ends = first.zip(last);
        Ok(ends.map(|(first, last)| Extent { first, last, transactions: count.unsigned_abs() }))
    }

    /// All current facts, the bootstrap's included, in the order (e, a, v). Reads every datom.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn datoms(&self) -> Result<Vec<Datom>> {
        let mut statement = self.sql.prepare("SELECT e, a, v, vt, tx FROM datoms ORDER BY e, a, v")?;
        let mut rows = statement.query([])?;
        let mut datoms = Vec::new();
        while let Some(row) = rows.next()? {
            let v = sqlite::read_value(row.get(3)?, row.get_ref(2)?)?;
            datoms.push(Datom { e: row.get(0)?, a: row.get(1)?, v, tx: row.get(4)?, added: true });
        }
        Ok(datoms)
    }

    /// The facts digest: SHA-256 over the current datoms, bootstrap left out. Two stores with equal digests hold the same
    /// facts with the same entids and transaction numbers. Reads every datom.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn facts_digest(&self) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        hash.update(b"tolstoy facts 1\n");
        let mut statement = self.sql.prepare("SELECT e, a, v, vt, tx FROM datoms WHERE tx > ?1 ORDER BY e, a, v")?;
        let mut rows = statement.query([Entid::TX0])?;
        while let Some(row) = rows.next()? {
            let v = sqlite::read_value(row.get(3)?, row.get_ref(2)?)?;
            hash.update(codec::fact_bytes(row.get(0)?, row.get(1)?, &v, row.get(4)?));
        }
        Ok(hash.finalize().into())
    }
}

fn data_version(sql: &Connection) -> Result<i64> {
    Ok(sql.prepare_cached("PRAGMA data_version")?.query_row([], |r| r.get(0))?)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(error) => error,
            Failure::Refused(refusal) => Self::new(ErrorKind::Refused, refusal.explain(&Schema::default())),
        }
    }
}
