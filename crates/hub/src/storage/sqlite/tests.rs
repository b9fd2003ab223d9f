use std::sync::mpsc;
use std::sync::{Arc, Barrier};

use bytes::Bytes;
use tempfile::TempDir;
use tolstoy_proto::{ChunkId, Generation, LogId, TrnId};
use uuid::Uuid;

use super::*;
use crate::storage::{Committed, LogRow, Pending, WriteTxn};

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
    let tables = ["log", "run", "block", "name", "chunk", "pending", "loose", "ended", "snapshot", "piece", "list"];
    assert_eq!(tables.map(rows), [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
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
        format!("{} has format 7, and this version knows formats up to 4: use a newer version", file.display())
    );

    fs::remove_dir_all(directory.path()).unwrap();
    fs::write(directory.path(), "a file where the directory should be").unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Io { .. })));
    fs::remove_file(directory.path()).unwrap();
}

/// What is known of a log: its row, and where it lives HEAD, what it holds, and the ids that are asked for.
fn known(txn: &dyn crate::storage::ReadTxn, log: LogId, ids: &[TrnId]) -> Result<String, StorageError> {
    let row = txn.log(log)?;
    let LogRow::Living(life, _) = row else { return Ok(format!("{row:?}")) };
    let (tip, usage) = (txn.tip(life)?, txn.usage(life)?);
    let pending: Vec<bool> = ids.iter().map(|id| Ok(txn.pending(life, *id)?.is_some())).collect::<Result<_, _>>()?;
    let committed: Vec<bool> = ids.iter().map(|id| txn.is_committed(life, *id)).collect::<Result<_, _>>()?;
    Ok(format!("{row:?} {tip:?} {usage:?} {pending:?} {committed:?}"))
}

/// Changes a log somehow, under the number of the step.
fn change(txn: &mut dyn WriteTxn, log: LogId, step: u8, kind: u8) -> Result<(), StorageError> {
    let life = match txn.log(log)? {
        LogRow::Living(life, _) => life,
        LogRow::Never | LogRow::Ended(_) => txn.begin_life(log, Generation { id: Uuid::nil(), number: step.into() })?,
    };
    let bytes = Bytes::from(vec![step; 100]);
    let chunk = ChunkId::of(&bytes);
    let (tip, id) = (txn.tip(life)?, TrnId::from_bytes([step; 16]));
    match kind {
        0 => txn.end_life(log),
        1 => txn.put_chunk(life, &chunk, &bytes),
        2 => {
            txn.put_chunk(life, &chunk, &bytes)?;
            let (parent, seq) = (tip.id, tip.seq.next());
            txn.put_pending(life, &Pending { id, parent, seq, base: tip.seq, chunks: vec![chunk] })
        }
        3 => match txn.pending_after(life, None, 1)?.pop() {
            Some(pending) => txn.remove_pending(life, pending.id, 1).map(|_| ()),
            None => Ok(()),
        },
        4 => match txn.loose_after(life, None, 1)?.pop() {
            Some(loose) => txn.remove_loose(life, &loose.id),
            None => Ok(()),
        },
        _ => {
            txn.put_chunk(life, &chunk, &bytes)?;
            let chain = tip.chain.extend(id, &[chunk]);
            txn.append(life, &Committed { id, seq: tip.seq.next(), parent: tip.id, chunks: vec![chunk], chain })?;
            txn.stamp(life, i64::from(step) * 1_000_000, "somebody")
        }
    }
}

#[test]
fn the_writer_remembers_what_the_file_says_whatever_fails() {
    let (storage, _directory) = empty();
    let (ends, ended) = mpsc::channel();
    let run = |rules: Rules| {
        storage.write(Box::new(Job { number: 0, rules, ends: ends.clone() }));
        ended.recv().unwrap().1
    };
    let ids: Arc<[TrnId]> = (1..=250).map(|n| TrnId::from_bytes([n; 16])).collect();
    let log = |n: u32| LogId::from_bytes([n as u8; 16]);
    let mut state = 12345_u32;
    let mut draw = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut failures = 0;
    for step in 1..=250 {
        let (one, other) = (log(draw(3)), log(draw(3)));
        // One change of eight is a delete.
        let kinds = [draw(8) as u8, draw(8) as u8];
        let fails = draw(3) == 0;
        failures += u32::from(fails);
        let outcome = run(Box::new(move |txn| {
            change(txn, one, step, kinds[0])?;
            if one != other {
                change(txn, other, step, kinds[1])?;
            }
            if fails { Err(StorageError::Failed("for the test".to_owned())) } else { Ok(()) }
        }));
        assert_eq!(outcome.is_err(), fails, "{outcome:?}");
        for n in 0..3 {
            let ((tell, told), asked) = (mpsc::channel(), ids.clone());
            run(Box::new(move |txn| {
                tell.send(known(txn, log(n), &asked)?).unwrap();
                Ok(())
            }))
            .unwrap();
            let mut read = String::new();
            storage
                .read(&mut |txn| {
                    read = known(txn, log(n), &ids)?;
                    Ok(())
                })
                .unwrap();
            assert_eq!(told.recv().unwrap(), read, "step {step}");
        }
    }
    assert!(failures > 50);
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

#[test]
fn a_long_write_ahead_log_of_before_is_moved_though_every_write_fails() {
    let (before, after) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let write = |storage: &SqliteStorage, rules: Rules| {
        let (ends, ended) = mpsc::channel();
        storage.write(Box::new(Job { number: 0, rules, ends }));
        ended.recv().unwrap().1
    };
    let storage = open(before.path()).unwrap();
    for n in 0..100 {
        write(&storage, Box::new(begin(n))).unwrap();
    }
    // As a hub leaves it that is killed.
    for name in ["hub.db", "hub.db-wal"] {
        fs::copy(before.path().join(name), after.path().join(name)).unwrap();
    }
    let killed = after.path().join(DATABASE);
    let options = SqliteOptions { readers: 1, checkpoint_pages: 8, ..SqliteOptions::default() };
    let storage = SqliteStorage::open(after.path(), &options).unwrap();
    let written = fs::metadata(&killed).unwrap().modified().unwrap();
    // The second begins when all has been done that follows the first.
    for _ in 0..2 {
        let full = || StorageError::Full("no room".to_owned());
        assert_eq!(write(&storage, Box::new(move |_| Err(full()))), Err(full()));
    }
    assert_ne!(fs::metadata(&killed).unwrap().modified().unwrap(), written, "nothing was moved into the file");
}
