use std::sync::mpsc;
use std::sync::{Arc, Barrier};

use bytes::Bytes;
use tempfile::TempDir;
use tolstoy_proto::{Generation, LogId};
use uuid::Uuid;

use super::*;
use crate::storage::{LogRow, WriteTxn};

fn open(directory: &Path) -> Result<SqliteStorage, OpenError> {
    SqliteStorage::open(directory, &SqliteOptions { readers: 2, ..SqliteOptions::default() })
}

fn empty() -> (Arc<dyn Storage>, TempDir) {
    let directory = TempDir::new().unwrap();
    (Arc::new(open(directory.path()).unwrap()), directory)
}

crate::storage_conformance!(empty());

type Rules = Box<dyn FnMut(&mut dyn WriteTxn) -> Result<(), StorageError> + Send>;

/// A job that does this, and sends its number and its end.
struct Job<F> {
    number: u8,
    rules: F,
    ends: mpsc::Sender<(u8, Result<(), StorageError>)>,
}

impl<F: FnMut(&mut dyn WriteTxn) -> Result<(), StorageError> + Send> WriteJob for Job<F> {
    fn run(&mut self, txn: &mut dyn WriteTxn) -> Result<(), StorageError> {
        (self.rules)(txn)
    }

    fn done(self: Box<Self>, result: Result<(), StorageError>) {
        self.ends.send((self.number, result)).unwrap();
    }
}

fn begin(number: u8) -> impl FnMut(&mut dyn WriteTxn) -> Result<(), StorageError> + Send {
    move |txn| {
        txn.begin_life(LogId::from_bytes([number; 16]), Generation { id: Uuid::nil(), number: 1 })?;
        Ok(())
    }
}

#[test]
fn one_bad_job_of_a_batch_fails_alone() {
    let directory = TempDir::new().unwrap();
    let storage = open(directory.path()).unwrap();
    let (ends, ended) = mpsc::channel();
    let gate = Arc::new(Barrier::new(2));
    // The first job holds the writer until the others wait, so that they are one batch.
    let waits = gate.clone();
    let mut held = false;
    let hold = move |_: &mut dyn WriteTxn| {
        if !std::mem::replace(&mut held, true) {
            waits.wait();
        }
        Ok(())
    };
    storage.write(Box::new(Job { number: 0, rules: hold, ends: ends.clone() }));
    storage.write(Box::new(Job { number: 1, rules: begin(1), ends: ends.clone() }));
    let mut fail = begin(2);
    let doomed = move |txn: &mut dyn WriteTxn| {
        fail(txn)?;
        Err(StorageError::Full("for the test".to_owned()))
    };
    storage.write(Box::new(Job { number: 2, rules: doomed, ends: ends.clone() }));
    let panics = |_: &mut dyn WriteTxn| -> Result<(), StorageError> { panic!("for the test") };
    storage.write(Box::new(Job { number: 3, rules: panics, ends: ends.clone() }));
    storage.write(Box::new(Job { number: 4, rules: begin(4), ends }));
    gate.wait();
    let ends: Vec<_> = ended.iter().collect();
    assert_eq!(
        ends,
        [
            (0, Ok(())),
            (1, Ok(())),
            (2, Err(StorageError::Full("for the test".to_owned()))),
            (3, Err(StorageError::Failed("a write job panicked".to_owned()))),
            (4, Ok(())),
        ]
    );
    let mut living = Vec::new();
    storage
        .read(&mut |txn| {
            living =
                (0..6).filter(|n| matches!(txn.log(LogId::from_bytes([*n; 16])), Ok(LogRow::Living(..)))).collect();
            Ok(())
        })
        .unwrap();
    assert_eq!(living, [1, 4]);
}

#[test]
fn a_full_queue_and_a_closed_storage_refuse() {
    let directory = TempDir::new().unwrap();
    let options = SqliteOptions { queue: 1, ..SqliteOptions::default() };
    let storage = SqliteStorage::open(directory.path(), &options).unwrap();
    let (ends, ended) = mpsc::channel();
    let (entered, inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let hold = move |_: &mut dyn WriteTxn| {
        entered.send(()).unwrap();
        released.recv().unwrap();
        Ok(())
    };
    storage.write(Box::new(Job { number: 0, rules: hold, ends: ends.clone() }));
    inside.recv().unwrap();
    storage.write(Box::new(Job { number: 1, rules: begin(1), ends: ends.clone() }));
    storage.write(Box::new(Job { number: 2, rules: begin(2), ends: ends.clone() }));
    assert_eq!(ended.recv().unwrap(), (2, Err(StorageError::Busy)));
    release.send(()).unwrap();
    assert_eq!(ended.recv().unwrap(), (0, Ok(())));
    assert_eq!(ended.recv().unwrap(), (1, Ok(())));
    storage.close();
    storage.write(Box::new(Job { number: 3, rules: begin(3), ends }));
    assert!(ended.recv().is_err(), "the job is dropped unanswered");
}

#[test]
fn closing_leaves_one_file_and_the_directory_free() {
    let (directory, other) = (TempDir::new().unwrap(), Bytes::from_static(b"x"));
    let id = tolstoy_proto::ChunkId::of(&other);
    let storage = open(directory.path()).unwrap();
    let (ends, ended) = mpsc::channel();
    let rules = move |txn: &mut dyn WriteTxn| {
        let life = txn.begin_life(LogId::from_bytes([1; 16]), Generation { id: Uuid::nil(), number: 1 })?;
        txn.put_chunk(life, &id, &other)
    };
    storage.write(Box::new(Job { number: 0, rules, ends }));
    ended.recv().unwrap().1.unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::InUse { .. })));
    storage.close();
    let wal = directory.path().join("hub.db-wal");
    assert!(!wal.exists() || fs::metadata(&wal).unwrap().len() == 0);
    drop(storage);
    assert!(open(directory.path()).is_ok());
}

#[test]
fn a_deleted_log_leaves_nothing_but_its_tombstone() {
    let (storage, directory) = empty();
    crate::storage::conformance::a_long_chain_is_whole_from_every_place(&storage);
    let (ends, ended) = mpsc::channel();
    let run = |number: u8, rules: Rules| {
        storage.write(Box::new(Job { number, rules, ends: ends.clone() }));
        ended.recv().unwrap().1.unwrap();
    };
    for n in [1, 2] {
        run(n, Box::new(move |txn| txn.end_life(LogId::from_bytes([n; 16]))));
    }
    run(
        3,
        Box::new(|txn| {
            while txn.sweep(50)?.more {}
            Ok(())
        }),
    );
    drop(storage);
    let connection = Connection::open(directory.path().join(DATABASE)).unwrap();
    let rows = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let tables = ["log", "run", "block", "name", "chunk", "pending", "loose", "ended", "snapshot", "piece"];
    assert_eq!(tables.map(rows), [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn the_space_of_deleted_logs_goes_back() {
    let (storage, directory) = empty();
    let (ends, ended) = mpsc::channel();
    let run = |rules: Rules| {
        storage.write(Box::new(Job { number: 0, rules, ends: ends.clone() }));
        ended.recv().unwrap().1.unwrap();
    };
    run(Box::new(|txn| {
        let life = txn.begin_life(LogId::from_bytes([1; 16]), Generation { id: Uuid::nil(), number: 1 })?;
        for n in 0..40u8 {
            let bytes = Bytes::from(vec![n; 1 << 20]);
            txn.put_chunk(life, &tolstoy_proto::ChunkId::of(&bytes), &bytes)?;
        }
        txn.end_life(LogId::from_bytes([1; 16]))
    }));
    run(Box::new(|txn| {
        while txn.sweep(50)?.more {}
        assert!(txn.totals()?.free > 40 << 20);
        while txn.give_back(100)? > 0 {}
        let left = txn.totals()?;
        assert!(left.free <= 1025 * 8192 && left.file < 12 << 20, "{left:?}");
        Ok(())
    }));
    drop(storage);
    assert!(fs::metadata(directory.path().join(DATABASE)).unwrap().len() < 12 << 20);
}

#[test]
fn what_is_no_hub_or_too_new_is_refused() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(DATABASE);
    fs::write(&file, "not a database at all, but long enough to be looked at as one. ".repeat(20)).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is not a hub's database", file.display()));

    fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::NotAHub { .. })));

    fs::remove_file(&file).unwrap();
    drop(open(directory.path()).unwrap());
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} has format 7, and this version knows formats up to 2: use a newer version", file.display())
    );

    fs::remove_dir_all(directory.path()).unwrap();
    fs::write(directory.path(), "a file where the directory should be").unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Io { .. })));
    fs::remove_file(directory.path()).unwrap();
}

#[test]
fn a_disk_without_space_is_told_from_other_failures() {
    let of = |code| failed(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
    assert!(matches!(of(rusqlite::ffi::SQLITE_FULL), StorageError::Full(_)));
    assert!(matches!(of(rusqlite::ffi::SQLITE_IOERR_SHMSIZE), StorageError::Full(_)));
    assert!(matches!(of(rusqlite::ffi::SQLITE_IOERR_WRITE), StorageError::Failed(_)));
    assert!(matches!(of(rusqlite::ffi::SQLITE_IOERR_FSYNC), StorageError::Failed(_)));
}

/// Writes so many chunks of 64 KiB while somebody always reads; gives the most that the write-ahead log had.
fn longest_wal_under_readers(storage: &Arc<SqliteStorage>, chunks: u32) -> u64 {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    let life = {
        let (found, life) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        let rules = move |txn: &mut dyn WriteTxn| {
            let generation = Generation { id: Uuid::nil(), number: 1 };
            found.send(txn.begin_life(LogId::from_bytes([1; 16]), generation)?).unwrap();
            Ok(())
        };
        storage.write(Box::new(Job { number: 0, rules, ends }));
        ended.recv().unwrap().1.unwrap();
        life.recv().unwrap()
    };
    let (stop, reads) = (AtomicBool::new(false), AtomicU32::new(0));
    // Each reads until the other does, too: there is no moment at which nobody reads.
    let turn = AtomicU32::new(0);
    std::thread::scope(|threads| {
        for n in 0..2 {
            let (stop, turn, reads) = (&stop, &turn, &reads);
            threads.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let begun = turn.fetch_add(1, Ordering::SeqCst);
                    let read = storage.read(&mut |txn| {
                        txn.log(LogId::from_bytes([n + 1; 16]))?;
                        // Not for ever: where the other is kept from reading, this one ends.
                        for _ in 0..20 {
                            if turn.load(Ordering::SeqCst) > begun + 1 {
                                break;
                            }
                            std::thread::sleep(std::time::Duration::from_millis(1));
                        }
                        Ok(())
                    });
                    read.unwrap();
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut longest = 0;
        for n in 0..chunks {
            let bytes = Bytes::from([&n.to_be_bytes()[..], &[7; 64 << 10]].concat());
            let (ends, ended) = mpsc::channel();
            let id = tolstoy_proto::ChunkId::of(&bytes);
            let rules = move |txn: &mut dyn WriteTxn| txn.put_chunk(life, &id, &bytes);
            storage.write(Box::new(Job { number: 0, rules, ends }));
            ended.recv().unwrap().1.unwrap();
            longest = longest.max(storage.file_sizes().unwrap().1);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reads.load(Ordering::Relaxed) > 10);
        longest
    })
}

#[test]
fn the_write_ahead_log_stays_short_though_somebody_always_reads() {
    let directory = TempDir::new().unwrap();
    let small = SqliteOptions { readers: 2, checkpoint_pages: 32, wal_limit: 1 << 20, ..SqliteOptions::default() };
    let storage = Arc::new(SqliteStorage::open(directory.path(), &small).unwrap());
    let longest = longest_wal_under_readers(&storage, 200);
    assert!(longest < 4 << 20, "{longest} bytes, of 13 MiB that were written");
}

#[test]
fn a_reader_elsewhere_holds_nobody_up() {
    let directory = TempDir::new().unwrap();
    let small = SqliteOptions { readers: 2, checkpoint_pages: 32, wal_limit: 1 << 20, ..SqliteOptions::default() };
    let storage = Arc::new(SqliteStorage::open(directory.path(), &small).unwrap());
    let other = open_for_reading(&directory.path().join(DATABASE), &small).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM log").unwrap();
    // As a backup does: the log grows meanwhile, and what is written and read goes on.
    assert!(longest_wal_under_readers(&storage, 100) > 4 << 20);
    other.execute_batch("COMMIT").unwrap();
}
