use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;
use tolstoy_proto::{ChunkId, Generation, LogId, TrnId, derive_trn};
use uuid::Uuid;

use super::super::DATABASE;
use super::super::fsck::tests::check as check_file;
use super::*;
use crate::storage::conformance::write;
use crate::storage::{Committed, ReadTxn, SqliteOptions, SqliteStorage, Storage, WriteTxn};

fn open(directory: &Path) -> Arc<dyn Storage> {
    Arc::new(SqliteStorage::open(directory, &SqliteOptions::default()).unwrap())
}

const LOG: LogId = LogId(Uuid::from_u128(7));

fn begin(storage: &Arc<dyn Storage>) -> Life {
    write(storage, |txn| txn.begin_life(LOG, Generation { id: Uuid::nil(), number: 1 }))
}

/// Appends a transaction with a chunk of its own, and every tenth with one that others have too. Its id derives unless one
/// is given.
fn append(txn: &mut dyn WriteTxn, life: Life, chosen: Option<TrnId>) -> Result<TrnId, StorageError> {
    let tip = txn.tip(life)?;
    let seq = tip.seq.next();
    let mut chunks = vec![own(seq)];
    if seq.0.is_multiple_of(10) {
        chunks.push(Bytes::from_static(b"shared"));
    }
    let ids: Vec<ChunkId> = chunks.iter().map(|bytes| ChunkId::of(bytes)).collect();
    for (id, bytes) in ids.iter().zip(&chunks) {
        txn.put_chunk(life, id, bytes)?;
    }
    let id = chosen.unwrap_or_else(|| derive_trn(tip.id, &ids));
    let chain = tip.chain.extend(id, &ids);
    txn.append(life, &Committed { id, seq, parent: tip.id, chunks: ids, chain })?;
    Ok(id)
}

fn own(seq: Seq) -> Bytes {
    Bytes::copy_from_slice(format!("chunk of {seq}").as_bytes())
}

fn read<R>(storage: &Arc<dyn Storage>, rules: impl Fn(&dyn ReadTxn) -> Result<R, StorageError>) -> R {
    let mut found = None;
    storage
        .read(&mut |txn| {
            found = Some(rules(txn)?);
            Ok(())
        })
        .unwrap();
    found.unwrap()
}

/// The listing as the file has it.
fn listing(directory: &Path, life: Life) -> Listing {
    let connection = Connection::open(directory.join(DATABASE)).unwrap();
    Txn::reading(&connection).read_listing(life).unwrap().unwrap()
}

fn findings(directory: &Path) -> Vec<String> {
    check_file(directory).1
}

/// All names lead where they must, and others nowhere.
fn check(storage: &Arc<dyn Storage>, life: Life, ids: &[TrnId]) {
    read(storage, |txn| {
        for (seq, id) in (1..).map(Seq).zip(ids) {
            assert_eq!(txn.committed(life, *id)?.map(|trn| trn.seq), Some(seq));
            assert_eq!(txn.chunk(life, &ChunkId::of(&own(seq)))?, Some(own(seq)));
            assert!(!txn.is_committed(life, TrnId(Uuid::from_u64_pair(1, seq.0)))?);
            assert!(!txn.has_chunk(life, &ChunkId::of(&seq.0.to_be_bytes()))?);
        }
        Ok(())
    });
}

#[test]
fn every_name_leads_to_its_transaction_however_many_there_are() {
    let directory = TempDir::new().unwrap();
    let mut storage = open(directory.path());
    let life = begin(&storage);
    let mut ids = Vec::new();
    let (mut highest, mut merging, mut dying) = (0, 0, 0);
    let jobs = [(400, 1), (60, 16), (5, 300), (70, 7), (300, 1), (9, 290), (20, 50)];
    for (at, (jobs, each)) in jobs.into_iter().enumerate() {
        for _ in 0..jobs {
            ids.extend(write(&storage, move |txn| {
                (0..each).map(|_| append(txn, life, None)).collect::<Result<Vec<_>, _>>()
            }));
            if ids.len() > LISTED as usize {
                let listing = listing(directory.path(), life);
                highest = highest.max(listing.lists.first().map_or(0, |list| list.level));
                merging += usize::from(!listing.merges.is_empty());
                dying += usize::from(!listing.dead.is_empty());
                assert!(listing.lists.len() <= 4 * FAN_IN, "{listing:?}");
            }
        }
        check(&storage, life, &ids);
        assert_eq!(findings(directory.path()), [""; 0]);
        if at == 3 {
            drop(storage);
            storage = open(directory.path());
        }
    }
    assert!(highest > 1 && merging > 0 && dying > 0, "{highest} {merging} {dying}");
    assert!(read(&storage, |txn| txn.all_derive(life)));
    assert_eq!(read(&storage, |txn| txn.chunk(life, &ChunkId::of(b"shared"))), Some(Bytes::from_static(b"shared")));

    write(&storage, |txn| txn.end_life(LOG));
    assert_eq!(findings(directory.path()), [""; 0]);
    for _ in 0..3 {
        assert!(write(&storage, |txn| txn.sweep(7)).more);
    }
    // A number of the lists that are being removed is not given to another log's.
    let other =
        write(&storage, |txn| txn.begin_life(LogId(Uuid::from_u128(8)), Generation { id: Uuid::nil(), number: 1 }));
    let others: Vec<TrnId> = (0..20)
        .flat_map(|_| {
            write(&storage, move |txn| (0..100).map(|_| append(txn, other, None)).collect::<Result<Vec<_>, _>>())
        })
        .collect();
    while write(&storage, |txn| txn.sweep(7)).more {}
    check(&storage, other, &others);
    assert_eq!(findings(directory.path()), [""; 0]);
    write(&storage, |txn| txn.end_life(LogId(Uuid::from_u128(8))));
    while write(&storage, |txn| txn.sweep(50)).more {}
    drop(storage);
    let connection = Connection::open(directory.path().join(DATABASE)).unwrap();
    for table in ["list", "listing", "block", "name", "run"] {
        let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

/// A transaction with so many small chunks, named by their numbers and its own.
fn append_many(txn: &mut dyn WriteTxn, life: Life, count: u64) -> Result<(), StorageError> {
    let tip = txn.tip(life)?;
    let seq = tip.seq.next();
    let mut ids = Vec::new();
    for n in 0..count {
        let bytes = Bytes::copy_from_slice(format!("{n} of {seq}").as_bytes());
        ids.push(ChunkId::of(&bytes));
        txn.put_chunk(life, &ChunkId::of(&bytes), &bytes)?;
    }
    let id = derive_trn(tip.id, &ids);
    let chain = tip.chain.extend(id, &ids);
    txn.append(life, &Committed { id, seq, parent: tip.id, chunks: ids, chain })
}

#[test]
fn transactions_of_very_unlike_sizes_leave_few_lists_and_little_in_blocks() {
    let directory = TempDir::new().unwrap();
    let storage = open(directory.path());
    let life = begin(&storage);
    let (mut sizes, mut most) = (Vec::new(), 0);
    // Many chunks, then few; and now and then one with many among those with few.
    for (jobs, each, chunks) in [(40, 1, 900), (300, 16, 1), (50, 1, 40), (60, 40, 0), (3, 1, 1000), (700, 16, 1)] {
        for job in 0..jobs {
            let chunks = if job % 50 == 49 { 700 } else { chunks };
            sizes.extend(std::iter::repeat_n(chunks, each));
            write(&storage, move |txn| (0..each).try_for_each(|_| append_many(txn, life, chunks)));
        }
        let listing = listing(directory.path(), life);
        most = most.max(listing.lists.len());
        let left = sizes.len() as u64 - (listing.end().0 - 1);
        assert!(left < LISTED, "{left} transactions are in no list");
        let unlisted = sizes[sizes.len() - left as usize..].iter().map(|chunks| chunks + 1).sum::<u64>();
        // What the tail has comes to it.
        assert!(unlisted < ROW_RECORDS + 1024 + 256, "{unlisted} names are in no list");
    }
    assert!(most <= 24, "{most} lists");
    read(&storage, |txn| {
        for (seq, chunks) in (1_u64..).zip(&sizes) {
            for n in [0, chunks / 2, chunks.saturating_sub(1)].iter().filter(|n| *n < chunks) {
                let bytes = Bytes::copy_from_slice(format!("{n} of {seq}").as_bytes());
                assert_eq!(txn.chunk(life, &ChunkId::of(&bytes))?, Some(bytes));
            }
        }
        Ok(())
    });
    assert_eq!(findings(directory.path()), [""; 0]);
}

#[test]
fn a_job_of_many_transactions_makes_blocks_as_it_goes() {
    let directory = TempDir::new().unwrap();
    let storage = open(directory.path());
    let life = begin(&storage);
    write(&storage, move |txn| append(txn, life, None));
    let known = ChunkId::of(&own(Seq(1)));
    // Each looks for its chunk, so that each has a run of its own.
    write(&storage, move |txn| {
        for _ in 0..3000 {
            let tip = txn.tip(life)?;
            let id = derive_trn(tip.id, &[known]);
            let chain = tip.chain.extend(id, &[known]);
            txn.append(life, &Committed { id, seq: tip.seq.next(), parent: tip.id, chunks: vec![known], chain })?;
        }
        Ok(())
    });
    let connection = Connection::open(directory.path().join(DATABASE)).unwrap();
    let blocks: i64 = connection.query_row("SELECT count(*) FROM block", [], |row| row.get(0)).unwrap();
    assert!(blocks >= 11, "{blocks} blocks of 3,000 transactions");
    assert_eq!(findings(directory.path()), [""; 0]);
}

/// Of two logs in each job, some of them deleted and begun anew, and where some jobs fail.
#[test]
fn a_job_that_fails_leaves_the_lists_as_they_were() {
    let directory = TempDir::new().unwrap();
    let storage = open(directory.path());
    let log = |n: u128| LogId(Uuid::from_u128(n));
    let generation = |number| Generation { id: Uuid::nil(), number };
    let mut lives = [1, 2].map(|n| write(&storage, move |txn| txn.begin_life(log(n), generation(1))));
    let mut ids = [Vec::new(), Vec::new()];
    for job in 0..500_u64 {
        let (fails, ends) = (job % 3 == 1, job % 100 > 97);
        let (tell, told) = std::sync::mpsc::channel();
        let before = lives;
        let outcome = crate::storage::conformance::try_write(&storage, move |txn| {
            let mut lives = before;
            let mut appended = [Vec::new(), Vec::new()];
            for round in 0..2 {
                for (life, appended) in lives.iter().zip(&mut appended) {
                    for _ in 0..5 + round {
                        appended.push(append(txn, *life, None)?);
                    }
                }
            }
            if ends {
                txn.end_life(log(2))?;
                lives[1] = txn.begin_life(log(2), generation(job + 2))?;
                appended[1].clear();
            }
            tell.send((lives, appended)).unwrap();
            if fails { Err(StorageError::Failed("for the test".to_owned())) } else { Ok(()) }
        });
        assert_eq!(outcome.is_err(), fails);
        // A batch that failed is run once more, job by job.
        let (now, appended) = told.iter().last().unwrap();
        if !fails {
            lives = now;
            if ends {
                ids[1].clear();
            }
            ids.iter_mut().zip(appended).for_each(|(ids, appended)| ids.extend(appended));
        }
        if job % 50 == 0 {
            for (life, ids) in lives.into_iter().zip(&ids) {
                check(&storage, life, ids);
                // Of one that is all in its tail it need not be known.
                assert!(ids.len() < 32 || write(&storage, move |txn| txn.all_derive(life)));
            }
            assert_eq!(findings(directory.path()), [""; 0]);
        }
    }
    assert!(listing(directory.path(), lives[0]).lists[0].level > 0);
    while write(&storage, |txn| txn.sweep(40)).more {}
    assert_eq!(findings(directory.path()), [""; 0]);
}

#[test]
fn ids_that_somebody_chose_are_known_of() {
    let chosen = |n| TrnId(Uuid::from_u64_pair(2, n));
    // In the tail when it is listed for the first time; after that; and after the writer has forgotten it.
    for (before, reopen) in [(3, false), (3, true), (200, false), (200, true)] {
        let directory = TempDir::new().unwrap();
        let mut storage = open(directory.path());
        let life = begin(&storage);
        let more = |storage: &Arc<dyn Storage>, count| {
            (0..count).map(|_| write(storage, move |txn| append(txn, life, None))).collect::<Vec<_>>()
        };
        let again = |storage: Arc<dyn Storage>| {
            drop(storage);
            open(directory.path())
        };
        let mut ids = more(&storage, before);
        assert!(write(&storage, move |txn| txn.all_derive(life)));
        ids.push(write(&storage, move |txn| append(txn, life, Some(chosen(1)))));
        assert!(!write(&storage, move |txn| txn.all_derive(life)));
        if reopen {
            storage = again(storage);
            assert!(!write(&storage, move |txn| txn.all_derive(life)));
        }
        ids.extend(more(&storage, 300));
        storage = again(storage);
        assert!(!write(&storage, move |txn| txn.all_derive(life)));
        ids.push(write(&storage, move |txn| append(txn, life, Some(chosen(2)))));
        check(&storage, life, &ids);
        assert_eq!(findings(directory.path()), [""; 0]);
    }
    // Where none is, that is known again as soon as the log is not all in its tail.
    let directory = TempDir::new().unwrap();
    let storage = open(directory.path());
    let life = begin(&storage);
    for _ in 0..8 {
        write(&storage, move |txn| append(txn, life, None));
    }
    drop(storage);
    let storage = open(directory.path());
    for _ in 0..12 {
        write(&storage, move |txn| append(txn, life, None));
    }
    drop(storage);
    assert!(write(&open(directory.path()), move |txn| txn.all_derive(life)));
}

#[test]
fn a_record_says_what_it_was_made_of() {
    let print = print_of(b"a key");
    let record = record(print, Seq(100), Seq(100 + 70_000));
    assert_eq!((has_print(&record), leads_to(&record, Seq(100))), (print, Seq(70_100)));
    assert_eq!(expected(10, &[0; RECORD]), 0);
    assert_eq!(expected(10, &[255; RECORD]), 9);
    assert_eq!(expected(0, &[255; RECORD]), 0);
}
