use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tolstoy_proto::Generation;
use uuid::Uuid;

use super::*;
use crate::storage::conformance::write;
use crate::storage::{
    Committed, Pending, Snapshot, SqliteOptions, SqliteStorage, Storage, StorageError, Tip, WriteTxn,
};

/// What a check found, line by line, and what it looked at.
#[derive(Default)]
struct Heard(Vec<String>);

impl Listener for Heard {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding.to_string());
    }

    fn done(&mut self, logs: u64, of: u64) {
        assert!(logs <= of);
    }
}

pub(in super::super) fn check(path: &Path) -> (Checked, Vec<String>) {
    let mut heard = Heard::default();
    let checked = fsck(path, &mut heard).unwrap();
    assert_eq!(checked.findings as usize, heard.0.len());
    (checked, heard.0)
}

fn log(n: u8) -> LogId {
    LogId::from_bytes([n; 16])
}

fn trn(n: u8) -> TrnId {
    TrnId::from_bytes([n; 16])
}

fn begin(storage: &Arc<dyn Storage>, n: u8) -> Life {
    let generation = Generation { id: Uuid::from_u128(n.into()), number: 1 };
    write(storage, move |txn| txn.begin_life(log(n), generation))
}

fn sized(n: u8, size: usize) -> (ChunkId, Bytes) {
    let bytes = Bytes::from(vec![n; size]);
    (ChunkId::of(&bytes), bytes)
}

/// Commits a transaction that names these chunks; those that are given with bytes come with it.
fn commit(
    txn: &mut dyn WriteTxn,
    life: Life,
    n: u8,
    new: &[(ChunkId, Bytes)],
    known: &[ChunkId],
) -> Result<Tip, StorageError> {
    let tip = txn.tip(life)?;
    for (id, bytes) in new {
        txn.put_chunk(life, id, bytes)?;
    }
    let chunks: Vec<ChunkId> = new.iter().map(|(id, _)| *id).chain(known.iter().copied()).collect();
    let chain = tip.chain.extend(trn(n), &chunks);
    let committed = Committed { id: trn(n), seq: tip.seq.next(), parent: tip.id, chunks, chain };
    txn.append(life, &committed)?;
    Ok(committed.tip())
}

/// A hub's data with everything in it: log 1 with small, large and shared chunks, a chunk and a pending transaction
/// that nobody committed, and a snapshot; log 2 deleted and not swept.
fn filled() -> TempDir {
    let directory = TempDir::new().unwrap();
    let sqlite = Arc::new(SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap());
    let storage: Arc<dyn Storage> = sqlite.clone();
    let (one, two) = (begin(&storage, 1), begin(&storage, 2));
    for n in 1..=20 {
        write(&storage, move |txn| {
            commit(txn, one, n, &[sized(n, 30)], &[])?;
            commit(txn, two, n, &[sized(n, 20_000)], &[])
        });
    }
    let tip = write(&storage, move |txn| commit(txn, one, 21, &[sized(21, 20_000), sized(22, 5)], &[sized(1, 30).0]));
    write(&storage, move |txn| commit(txn, one, 22, &[], &[sized(21, 20_000).0, sized(2, 30).0]));
    let plain: (ChunkId, Bytes) = ("plain".parse().unwrap(), Bytes::from_static(b"plain"));
    write(&storage, move |txn| {
        txn.put_chunk(one, &plain.0, &plain.1)?;
        let pending = Pending { id: trn(30), parent: trn(22), seq: Seq(23), base: Seq(22), chunks: vec![plain.0] };
        txn.put_pending(one, &pending)
    });
    let blob: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    write(&storage, move |txn| {
        let digest = tolstoy_proto::BlobDigest::of(&blob).0;
        let id = txn.begin_snapshot(one, &Snapshot { tip, digest, bytes: blob.len() as u64 })?;
        for (place, piece) in (0..).zip(blob.chunks(crate::storage::PIECE)) {
            txn.put_piece(id, place, &Bytes::copy_from_slice(piece))?;
        }
        assert!(txn.end_snapshot(one, id)?);
        Ok(())
    });
    write(&storage, |txn| txn.end_life(log(2)));
    sqlite.close();
    directory
}

#[test]
fn sound_data_is_sound() {
    let directory = filled();
    let (checked, findings) = check(directory.path());
    assert_eq!(findings, [""; 0]);
    let Checked { logs, transactions, pending, chunks, snapshots, bytes, .. } = checked;
    assert_eq!((logs, transactions, pending, chunks, snapshots), (1, 22, 1, 23, 1));
    assert_eq!(bytes, 20 * 30 + 20_000 + 5 + 5 + 300_000);
    // A file by itself, as a backup is; and while a hub runs.
    let copy = directory.path().join("copy.db");
    crate::storage::backup(directory.path(), &copy, &mut |_, _| {}).unwrap();
    assert_eq!(check(&copy), (checked, vec![]));
    let running = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
    assert_eq!(check(directory.path()), (checked, vec![]));
    drop(running);
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap());
    write(&storage, |txn| {
        while txn.sweep(10)?.more {}
        Ok(())
    });
    assert_eq!(check(directory.path()), (checked, vec![]));
}

/// The text with the log's name, and with digests cut.
fn short(finding: &str) -> String {
    let words = finding.split(' ').map(|word| {
        let hex = word.trim_end_matches([',', ':', ';']);
        if hex.len() == 64 { word.replace(hex, &format!("{}..", &hex[..6])) } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ").replace(&log(1).to_string(), "ONE")
}

#[test]
fn each_damage_is_told_with_its_place() {
    let directory = filled();
    // Numbers in a run's bytes are found by what stands before them.
    let damages: &[(&str, &str)] = &[
        (
            "a bit of a chunk in a run",
            "UPDATE run SET frames = CAST(replace(frames, x'0303030303', x'0303030403') AS BLOB) WHERE nr = 5",
        ),
        (
            "a bit of a chunk in a row of its own",
            "UPDATE chunk SET bytes = CAST(x'ff' || substr(bytes, 2) AS BLOB) WHERE nr = 21",
        ),
        ("a lost run", "DELETE FROM run WHERE nr = 5"),
        ("a run cut short", "UPDATE run SET frames = substr(frames, 1, 50) WHERE nr = 5"),
        ("a run of another log", "UPDATE run SET log = 7 WHERE nr = 5"),
        ("another base", "UPDATE run SET base = zeroblob(32) WHERE nr = 5"),
        (
            "runs exchanged",
            "UPDATE run SET nr = nr + 1000; UPDATE run SET nr = CASE nr WHEN 1001 THEN 3 WHEN 1003 THEN 1 ELSE nr - 1000 END",
        ),
        (
            "a parent",
            "UPDATE run SET frames = CAST(replace(frames, x'a6706172656e74c410' || zeroblob(0) || x'04040404', x'a6706172656e74c41005040404') AS BLOB) WHERE nr = 9",
        ),
        ("a place", "UPDATE run SET frames = CAST(replace(frames, x'a373657103', x'a373657104') AS BLOB) WHERE nr = 5"),
        ("a lost chunk", "DELETE FROM chunk WHERE nr = 21"),
        (
            "a place in another chunk's row",
            "UPDATE run SET places = CAST(replace(places, x'2c', x'2e') AS BLOB) WHERE nr = 42",
        ),
        ("HEAD", "UPDATE log SET head = zeroblob(16) WHERE id = x'01010101010101010101010101010101'"),
        ("the chain digest", "UPDATE log SET chain = zeroblob(32) WHERE id = x'01010101010101010101010101010101'"),
        ("the tail", "UPDATE log SET tail = substr(tail, 1, 10) WHERE id = x'01010101010101010101010101010101'"),
        ("the figures", "UPDATE log SET bytes = bytes + 1 WHERE generation IS NOT NULL"),
        ("a lost block", "DELETE FROM block WHERE log = 1"),
        ("a block elsewhere", "UPDATE block SET first = 2 WHERE log = 1"),
        ("a lost name", "UPDATE block SET names = substr(names, 21) WHERE log = 1"),
        (
            "a wrong name",
            "UPDATE block SET names = CAST(substr(names, 1, 19) || x'0f' || substr(names, 21) AS BLOB) WHERE log = 1",
        ),
        (
            "a name too many",
            "UPDATE block SET names = CAST(names || x'ffffffffffffffffffffffffffffffffffffffff' AS BLOB) WHERE log = 1",
        ),
        ("names that cannot be read", "UPDATE block SET names = substr(names, 1, 30) WHERE log = 1"),
        ("a lost name of a chunk in a row of its own", "DELETE FROM name WHERE log = 1 AND at = 43"),
        ("a wrong name of a chunk in a row of its own", "UPDATE name SET at = 41 WHERE log = 1 AND at = 43"),
        ("where names are, damaged", "UPDATE listing SET lists = x'01' WHERE log = 1"),
        ("where a deleted log's names are, damaged", "UPDATE listing SET dead = x'01' WHERE log = 2"),
        ("ids that are said to derive", "UPDATE listing SET chosen = 0 WHERE log = 1"),
        ("a list of nobody", "INSERT INTO list VALUES (9 << 24, zeroblob(20))"),
        (
            "lists of nobody, far away",
            "INSERT INTO list VALUES (9223372036854775807, zeroblob(20)), (-9223372036854775808, zeroblob(20))",
        ),
        ("a listing of no life", "INSERT INTO listing VALUES (77, 1, 0, x'', x'', x'')"),
        ("a pending transaction's chunk", "UPDATE pending SET chunks = x'05706c61696e7f'"),
        ("a pending transaction's place", "UPDATE pending SET chunks = x'05706c61696e2b'"),
        ("a pending transaction's base", "UPDATE pending SET base = 99"),
        ("a pending transaction that cannot be read", "UPDATE pending SET chunks = x'ff'"),
        ("a loose chunk's count", "UPDATE loose SET named = 3"),
        ("a loose chunk's row", "UPDATE loose SET chunk = 1"),
        ("a removal of nothing", "INSERT INTO dying VALUES (1, zeroblob(16), 1)"),
        ("a removal past the end", "INSERT INTO dying SELECT log, id, 99 FROM pending"),
        ("a removal that took nothing back", "INSERT INTO dying SELECT log, id, length(chunks) FROM pending"),
        ("a snapshot's bytes", "UPDATE piece SET bytes = CAST(x'ff' || substr(bytes, 2) AS BLOB) WHERE at & 1"),
        ("a snapshot's piece", "DELETE FROM piece WHERE at & 1"),
        ("a snapshot's transaction", "UPDATE snapshot SET trn = zeroblob(16)"),
        ("pieces of nothing", "INSERT INTO piece VALUES (9 << 24, x'00')"),
        ("a run of nobody", "INSERT INTO run (log, first, base, places, frames) VALUES (1, 9, zeroblob(32), x'', x'')"),
        ("a chunk of nobody", "INSERT INTO chunk (log, bytes) VALUES (1, x'00')"),
        ("rows of no life", "INSERT INTO pending VALUES (77, zeroblob(16), zeroblob(16), 1, 0, x'')"),
        ("a life that nobody sweeps", "DELETE FROM ended"),
    ];
    insta::assert_snapshot!(told(&directory.path().join(DATABASE), damages), @r#"
        a bit of a chunk in a run
          log ONE, transaction 3 (03030304-0303-0303-0403-030303040303), chunk c57238.., row 5 of run: its bytes have another SHA-256
          log ONE, transaction 3 (03030304-0303-0303-0403-030303040303), row 5 of run: it has no name
          log ONE, transaction 4, row 7 of run: the chain digest before it is f5f237.., and it says dccbf2..
          log ONE, transaction 4 (04040404-0404-0404-0404-040404040404), row 7 of run: its parent is 03030303-0303-0303-0303-030303030303, and the transaction before it 03030304-0303-0303-0403-030303040303
          and 1 more
        a bit of a chunk in a row of its own
          log ONE, chunk 44819c.., row 21 of chunk: its bytes have another SHA-256
        a lost run
          log ONE, transaction 3, row 5 of run: the row is lost
          log ONE, transaction 4, row 7 of run: the chain digest before it is 516164.., and it says dccbf2..
          log ONE, transaction 4 (04040404-0404-0404-0404-040404040404), row 7 of run: its parent is 03030303-0303-0303-0303-030303030303, and the transaction before it 02020202-0202-0202-0202-020202020202
          log ONE: of its names, 2 lead to nothing
          and 1 more
        a run cut short
          log ONE, transaction 3, row 5 of run: it cannot be read: a column of the database is damaged
          log ONE, row 5 of run: it holds 0 transactions, and must hold 1
          log ONE, transaction 4, row 7 of run: the chain digest before it is 516164.., and it says dccbf2..
          log ONE, transaction 4 (04040404-0404-0404-0404-040404040404), row 7 of run: its parent is 03030303-0303-0303-0303-030303030303, and the transaction before it 02020202-0202-0202-0202-020202020202
          and 2 more
        a run of another log
          log ONE, row 5 of run: it says that it belongs to row 7 of log
        another base
          log ONE, transaction 3, row 5 of run: the chain digest before it is 516164.., and it says 000000..
          log ONE, transaction 4, row 7 of run: the chain digest before it is fe2d31.., and it says dccbf2..
        runs exchanged
          log ONE, row 1 of run: it says that it begins with transaction 2, and must with 1
          log ONE, transaction 1, row 1 of run: the chain digest before it is 000000.., and it says f3c03e..
          log ONE, transaction 1 (02020202-0202-0202-0202-020202020202), row 1 of run: it says that its place is 2
          log ONE, transaction 1 (02020202-0202-0202-0202-020202020202), row 1 of run: its parent is ONE, and the transaction before it 00000000-0000-0000-0000-000000000000
          and 13 more
        a parent
          log ONE, transaction 5 (05050505-0505-0505-0505-050505050505), row 9 of run: its parent is 05040404-0404-0404-0404-040404040404, and the transaction before it 04040404-0404-0404-0404-040404040404
        a place
          log ONE, transaction 3 (03030303-0303-0303-0303-030303030303), row 5 of run: it says that its place is 4
        a lost chunk
          log ONE, transaction 21 (15151515-1515-1515-1515-151515151515), chunk 44819c.., row 41 of run: its bytes are lost
          log ONE, transaction 22 (16161616-1616-1616-1616-161616161616), chunk 44819c.., row 42 of run: its bytes are lost
          log ONE, chunk 44819c.., row 21 of chunk: the row is lost
          log ONE: its row says that it holds 324615 bytes, and it holds 304615
        a place in another chunk's row
          log ONE, transaction 22 (16161616-1616-1616-1616-161616161616), chunk 44819c.., row 42 of run: it is said to be in row 22 of chunk, and its name does not lead there
        HEAD
          log ONE: HEAD is said to be 00000000-0000-0000-0000-000000000000 at 22 with chain digest 5df372.., and the chain ends with 16161616-1616-1616-1616-161616161616 at 22 with 5df372..
        the chain digest
          log ONE: HEAD is said to be 16161616-1616-1616-1616-161616161616 at 22 with chain digest 000000.., and the chain ends with 16161616-1616-1616-1616-161616161616 at 22 with 5df372..
        the tail
          log ONE: its tail cannot be read: a column of the database is damaged; nothing else of it is checked
        the figures
          log ONE: its row says that it holds 324616 bytes, and it holds 324615
        a lost block
          log ONE, row 42 of run: it says that it begins with transaction 22, and must with 1
          log ONE, transaction 1, row 42 of run: the chain digest before it is 000000.., and it says 901c2f..
          log ONE, transaction 1 (16161616-1616-1616-1616-161616161616), row 42 of run: it says that its place is 22
          log ONE, transaction 1 (16161616-1616-1616-1616-161616161616), row 42 of run: its parent is 15151515-1515-1515-1515-151515151515, and the transaction before it 00000000-0000-0000-0000-000000000000
          and 26 more
        a block elsewhere
          log ONE: a block begins with transaction 2, and must with 1
          log ONE, transaction 1 (ONE), row 1 of run: it has no name
          log ONE, transaction 1 (ONE), chunk 5cc7f7.., row 1 of run: it has no name
          log ONE, transaction 2 (02020202-0202-0202-0202-020202020202), row 3 of run: it has no name
          and 42 more
        a lost name
          log ONE, transaction 15 (0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f), row 29 of run: it has no name
        a wrong name
          log ONE, transaction 15 (0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f), row 29 of run: it has no name
          log ONE: of its names, 1 lead to nothing
        a name too many
          log ONE: of its names, 1 lead to nothing
        names that cannot be read
          log ONE, transaction 1 (ONE), row 1 of run: its name cannot be read, nor others perhaps: a column of the database is damaged
          log ONE: what follows cannot be read: a column of the database is damaged
        a lost name of a chunk in a row of its own
          log ONE, transaction 21 (15151515-1515-1515-1515-151515151515), chunk 44819c.., row 41 of run: it is said to be in row 21 of chunk, and its name does not lead there
          log ONE, transaction 22 (16161616-1616-1616-1616-161616161616), chunk 44819c.., row 42 of run: it is said to be in row 21 of chunk, and its name does not lead there
          log ONE: its row says that it holds 324615 bytes, and it holds 304615
          log ONE, row 21 of chunk: nothing leads to it
        a wrong name of a chunk in a row of its own
          log ONE, transaction 21 (15151515-1515-1515-1515-151515151515), chunk 44819c.., row 41 of run: it is said to be in row 21 of chunk, and its name does not lead there
          log ONE, transaction 22 (16161616-1616-1616-1616-161616161616), chunk 44819c.., row 42 of run: it is said to be in row 21 of chunk, and its name does not lead there
          log ONE, chunk 44819c.., row 20 of chunk: it says that it belongs to row 2 of log
          log ONE, chunk 44819c.., row 20 of chunk: its bytes have another SHA-256
          and 1 more
        where names are, damaged
          log ONE, row 1 of listing: what tells of its names cannot be read: a column of the database is damaged; nothing else of it is checked
        where a deleted log's names are, damaged
          row 2 of ended: what tells of this deleted log's names cannot be read: the storage failed: a column of the database is damaged
        ids that are said to derive
          log ONE, transaction 1 (ONE), row 1 of run: it is said that all ids derive, and its id does not
          log ONE, transaction 2 (02020202-0202-0202-0202-020202020202), row 3 of run: it is said that all ids derive, and its id does not
          log ONE, transaction 3 (03030303-0303-0303-0303-030303030303), row 5 of run: it is said that all ids derive, and its id does not
          log ONE, transaction 4 (04040404-0404-0404-0404-040404040404), row 7 of run: it is said that all ids derive, and its id does not
          and 18 more
        a list of nobody
          row 150994944 of list: nothing tells of its list
        lists of nobody, far away
          row -9223372036854775808 of list: nothing tells of its list
          row 9223372036854775807 of list: nothing tells of its list
        a listing of no life
          row 77 of log: rows of listing belong to it, and it is neither a living log nor one that is swept
        a pending transaction's chunk
          log ONE, pending transaction 1e1e1e1e-1e1e-1e1e-1e1e-1e1e1e1e1e1e, chunk plain: its bytes are lost
          log ONE, chunk plain, row 22 of chunk: it is noted that pending transactions name it 1 times, and they do 0 times
        a pending transaction's place
          log ONE, pending transaction 1e1e1e1e-1e1e-1e1e-1e1e-1e1e1e1e1e1e, chunk plain: it is said to be in row 21 of chunk, and its name does not lead there
          log ONE, chunk plain, row 22 of chunk: it is noted that pending transactions name it 1 times, and they do 0 times
        a pending transaction's base
          log ONE, pending transaction 1e1e1e1e-1e1e-1e1e-1e1e-1e1e1e1e1e1e: it says that it grows from transaction 99, which is not there
        a pending transaction that cannot be read
          log ONE, pending transaction 1e1e1e1e-1e1e-1e1e-1e1e-1e1e1e1e1e1e: its chunks cannot be read: a column of the database is damaged
          log ONE, chunk plain, row 22 of chunk: it is noted that pending transactions name it 1 times, and they do 0 times
          log ONE: its row says that it holds 324615 bytes, and it holds 324510
        a loose chunk's count
          log ONE, chunk plain, row 22 of chunk: it is noted that pending transactions name it 3 times, and they do 1 times
        a loose chunk's row
          log ONE, chunk plain, row 1 of chunk: it is noted as uploaded, and its name leads elsewhere
          log ONE, chunk plain, row 1 of chunk: it is noted that pending transactions name it 1 times, and they do 0 times
        a removal of nothing
          log ONE, pending transaction 00000000-0000-0000-0000-000000000000: it is said to be removed step by step, and is not there
        a removal past the end
          log ONE, pending transaction 1e1e1e1e-1e1e-1e1e-1e1e-1e1e1e1e1e1e: its chunks cannot be read: a column of the database is damaged
          log ONE, chunk plain, row 22 of chunk: it is noted that pending transactions name it 1 times, and they do 0 times
          log ONE: its row says that it holds 324615 bytes, and it holds 324510
        a removal that took nothing back
          log ONE, chunk plain, row 22 of chunk: it is noted that pending transactions name it 1 times, and they do 0 times
          log ONE: its row says that it holds 324615 bytes, and it holds 324610
        a snapshot's bytes
          log ONE, row 1 of snapshot: its bytes have another SHA-256
        a snapshot's piece
          log ONE, row 1 of snapshot: piece 1 is lost
          log ONE, row 1 of snapshot: it has 262144 bytes, and must have 300000
        a snapshot's transaction
          log ONE, row 1 of snapshot: no transaction 00000000-0000-0000-0000-000000000000 with its chain digest is at 21
        pieces of nothing
          row 9 of snapshot: pieces belong to it, and it is not there
        a run of nobody
          log ONE, row 43 of run: nothing leads to it
        a chunk of nobody
          log ONE, row 23 of chunk: nothing leads to it
        rows of no life
          row 77 of log: rows of pending belong to it, and it is neither a living log nor one that is swept
        a life that nobody sweeps
          row 2 of run: nothing leads to it
          row 4 of run: nothing leads to it
          row 6 of run: nothing leads to it
          row 8 of run: nothing leads to it
          and 39 more
        "#);
}

/// What is found of each of these damages.
fn told(of: &Path, damages: &[(&str, &str)]) -> String {
    let mut all = String::new();
    for (name, sql) in damages {
        let copy = TempDir::new().unwrap();
        let file = copy.path().join(DATABASE);
        fs::copy(of, &file).unwrap();
        let connection = Connection::open(&file).unwrap();
        let before = connection.total_changes();
        connection.execute_batch(sql).unwrap();
        assert!(connection.total_changes() > before, "{name} changes nothing");
        drop(connection);
        let (_, findings) = check(copy.path());
        assert!(!findings.is_empty(), "{name} is not found");
        all += &format!("{name}\n");
        for finding in findings.iter().take(4) {
            all += &format!("  {}\n", short(finding));
        }
        if findings.len() > 4 {
            all += &format!("  and {} more\n", findings.len() - 4);
        }
    }
    all
}

#[test]
fn a_page_that_sqlite_cannot_read_is_told() {
    let directory = filled();
    let file = directory.path().join(DATABASE);
    let mut bytes = fs::read(&file).unwrap();
    // The last pages hold the snapshot's pieces and the pages of the largest trees.
    let pages = bytes.len() / 8192;
    for page in [pages / 2, pages / 2 + 1, pages / 2 + 2] {
        bytes[page * 8192..(page + 1) * 8192].fill(0x5a);
    }
    fs::write(&file, bytes).unwrap();
    let (checked, findings) = check(directory.path());
    assert!(checked.findings > 0);
    assert!(findings.iter().any(|finding| finding.starts_with("the file: SQLite: ")), "{findings:?}");
}

/// The document of a task, with its hash.
fn kept_task(id: &str, description: &str) -> (tolstoy_tasks::TaskId, crate::storage::KeptTask) {
    let text = format!(r#"{{"id":"{id}","description":"{description}"}}"#);
    let hash = tolstoy_tasks::Document::parse(&text).unwrap().hash();
    (id.parse().unwrap(), crate::storage::KeptTask { hash, text })
}

#[test]
fn what_is_wrong_with_tasks_is_told() {
    let findings = |damage: &str| {
        let directory = TempDir::new().unwrap();
        let sqlite = Arc::new(SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap());
        let storage: Arc<dyn Storage> = sqlite.clone();
        let life = begin(&storage, 1);
        write(&storage, move |txn| {
            for (id, task) in [kept_task("pb67wndxge8293xd", "milk"), kept_task("zx6zrs3z46b8e5pg", "bread")] {
                txn.put_task(life, id, &task)?;
            }
            Ok(())
        });
        sqlite.close();
        let connection = Connection::open(directory.path().join(DATABASE)).unwrap();
        connection.execute_batch(damage).unwrap();
        drop(connection);
        let (checked, findings) = check(directory.path());
        (checked.tasks, findings.iter().map(|finding| short(finding)).collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(findings(""), (2, String::new()));
    for (damage, told) in [
        (
            "UPDATE task SET document = CAST(replace(document, 'milk', 'silk') AS BLOB) WHERE nr = 1",
            "log ONE, task pb67wndxge8293xd, row 1 of task: its hash is ",
        ),
        ("UPDATE task SET document = x'7b' WHERE nr = 1", "its document cannot be read: line 1, column 2: "),
        ("UPDATE task SET document = x'ff' WHERE nr = 1", "its document is no text"),
        ("UPDATE task SET id = 'px6zrs3z46b8e5pg' WHERE nr = 1", "its document is that of pb67wndxge8293xd"),
        ("UPDATE task SET id = '../x' WHERE nr = 1", "\"../x\" is no task's id"),
        (
            "INSERT INTO task SELECT 3, log, id, hash, document FROM task WHERE nr = 1",
            "row 3 of task: it is there twice",
        ),
        ("DELETE FROM task WHERE nr = 1", "the node of the tasks \"p\" says that they are 1 with the digest "),
        ("DELETE FROM task WHERE nr = 1", "its row says that it holds "),
        ("DELETE FROM node WHERE prefix = 'zx'", "log ONE: there is no node of the tasks \"zx\""),
        (
            "UPDATE node SET digest = zeroblob(32) WHERE prefix = ''",
            "says that they are 2 with the digest 000000.., and they are 2",
        ),
        ("UPDATE node SET log = 99 WHERE prefix = 'zx'", "rows of node belong to it, and it is neither"),
        ("UPDATE task SET log = 99 WHERE nr = 2", "rows of task belong to it, and it is neither"),
    ] {
        let (_, findings) = findings(damage);
        assert!(findings.contains(told), "{damage}:\n{findings}");
    }
}

#[test]
fn each_damage_of_lists_is_told_with_its_place() {
    let directory = TempDir::new().unwrap();
    let sqlite = Arc::new(SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap());
    let storage: Arc<dyn Storage> = sqlite.clone();
    let one = begin(&storage, 1);
    let file = directory.path().join(DATABASE);
    let listing = || {
        let connection = Connection::open(&file).unwrap();
        Txn::reading(&connection).read_listing(one).unwrap().unwrap_or_else(|| Listing::new(Seq(1), false))
    };
    // Until some rows of a merge are written.
    while listing().merges.is_empty() {
        write(&storage, move |txn| {
            for _ in 0..16 {
                let (tip, chunk) = (txn.tip(one)?, ChunkId::of(&txn.tip(one)?.seq.0.to_be_bytes()));
                let seq = tip.seq.next();
                txn.put_chunk(one, &chunk, &Bytes::copy_from_slice(&tip.seq.0.to_be_bytes()))?;
                let id = tolstoy_proto::derive_trn(tip.id, &[chunk]);
                let chain = tip.chain.extend(id, &[chunk]);
                txn.append(one, &Committed { id, seq, parent: tip.id, chunks: vec![chunk], chain })?;
            }
            Ok(())
        });
    }
    sqlite.close();
    assert_eq!(check(directory.path()).1, [""; 0]);
    let listing = listing();
    let (list, merge) = (listing.lists[1], listing.merges[0]);
    let (first, last) = (row_of(list.nr, 0), row_of(list.nr, list.rows()));
    let written = row_of(merge.nr, 0);
    let mut longer = listing.clone();
    longer.lists.last_mut().unwrap().transactions += 500;
    let mut other = listing.clone();
    other.merges[0].taken.swap(0, 1);
    let mut of_nothing = listing.clone();
    of_nothing.merges[0].level = 7;
    let mut twice = listing.clone();
    twice.merges[0].nr = list.nr;
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let merges = |listing: &Listing| format!("UPDATE listing SET merges = x'{}'", hex(listing.pack_merges()));
    let damages = [
        ("a lost row", format!("DELETE FROM list WHERE at = {first}")),
        ("a row too many", format!("INSERT INTO list VALUES ({last}, zeroblob(20))")),
        ("a row cut short", format!("UPDATE list SET names = substr(names, 1, 200) WHERE at = {first}")),
        (
            "names out of order",
            format!("UPDATE list SET names = CAST(x'ff' || substr(names, 2) AS BLOB) WHERE at = {first}"),
        ),
        (
            "a name that leads elsewhere",
            format!(
                "UPDATE list SET names = CAST(substr(names, 1, 19) || x'77' || substr(names, 21) AS BLOB) WHERE at = {first}"
            ),
        ),
        ("lists that go too far", format!("UPDATE listing SET lists = x'{}'", hex(longer.pack_lists()))),
        (
            "a merge's row",
            format!(
                "UPDATE list SET names = CAST(substr(names, 1, 19) || x'77' || substr(names, 21) AS BLOB) WHERE at = {written}"
            ),
        ),
        ("a merge of other names", merges(&other)),
        ("a merge of nothing", merges(&of_nothing)),
        ("a merge into what is merged", merges(&twice)),
    ];
    let damages: Vec<(&str, &str)> = damages.iter().map(|(name, sql)| (*name, sql.as_str())).collect();
    insta::assert_snapshot!(told(&file, &damages), @r#"
        a lost row
          log ONE, transaction 193 (c28b673f-ff7e-80ed-b8dd-306c176d866c), row 193 of run: its name cannot be read, nor others perhaps: row 0 of list 2 is lost
          log ONE, row 33554432 of list: it cannot be read: row 0 of list 2 is lost
          log ONE, row 1 of listing: of the names of what is merged, list 5 is said to have [212, 193, 199, 196], and has [212, 0, 199, 196]
        a row too many
          log ONE, row 33554433 of list: its list has no row so far back
        a row cut short
          log ONE, transaction 193 (c28b673f-ff7e-80ed-b8dd-306c176d866c), row 193 of run: it has no name
          log ONE, transaction 193 (c28b673f-ff7e-80ed-b8dd-306c176d866c), chunk e25d20.., row 193 of run: it has no name
          log ONE, transaction 194 (dcbb3fa7-b538-802c-adeb-b2e029f72739), row 194 of run: it has no name
          log ONE, transaction 194 (dcbb3fa7-b538-802c-adeb-b2e029f72739), chunk 2fb066.., row 194 of run: it has no name
          and 373 more
        names out of order
          log ONE, transaction 242 (a932ea92-f65d-8419-b111-8dcfa7a4ce0a), chunk 436eec.., row 242 of run: it has no name
          log ONE, transaction 279 (0e5ccc5c-ba86-8c46-8d8b-c71b7add90e0), chunk c8166c.., row 279 of run: it has no name
          log ONE, row 33554432 of list: its names are not in order
          log ONE: of its names, 2 lead to nothing
          and 1 more
        a name that leads elsewhere
          log ONE, transaction 279 (0e5ccc5c-ba86-8c46-8d8b-c71b7add90e0), chunk c8166c.., row 279 of run: it has no name
          log ONE: of its names, 1 lead to nothing
          log ONE, row 1 of listing: of the names of what is merged, list 5 is said to have [212, 193, 199, 196], and has [212, 192, 199, 196]
        lists that go too far
          log ONE, row 1 of listing: its lists tell of transactions up to 1269, and its blocks end before 769
        a merge's row
          log ONE, row 1 of listing: of the names of what is merged, list 5 is said to have [212, 193, 199, 196], and has [212, 192, 199, 196]
        a merge of other names
          log ONE, row 1 of listing: of the names of what is merged, list 5 is said to have [193, 212, 199, 196], and has [212, 193, 199, 196]
        a merge of nothing
          log ONE, row 1 of listing: what tells of its names cannot be read: a column of the database is damaged; nothing else of it is checked
        a merge into what is merged
          log ONE, row 1 of listing: it tells of list 2, and that is told of twice
          log ONE, row 33554432 of list: it has 384 names, and must have 400
          log ONE, row 33554433 of list: it cannot be read: row 1 of list 2 is lost
          row 83886080 of list: nothing tells of its list
        "#);
}

#[test]
fn each_damage_of_older_names_is_told_with_its_place() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub-v3-blocks.db");
    let damages = [
        ("a lost name of a transaction", "DELETE FROM name WHERE log = 1 AND at = 6"),
        ("a wrong name of a transaction", "UPDATE name SET at = 8 WHERE log = 1 AND at = 6"),
        ("a lost name of a chunk", "DELETE FROM name WHERE log = 2 AND substr(key, 1, 1) = x'00' AND at = 6"),
        ("a wrong name of a chunk", "UPDATE name SET at = 8 WHERE log = 2 AND substr(key, 1, 1) = x'00' AND at = 6"),
        ("a name too many", "INSERT INTO name VALUES (1, x'0177777777777777777777777777777777', 3)"),
    ];
    insta::assert_snapshot!(told(&file, &damages), @r#"
        a lost name of a transaction
          log 00000000-0000-4000-8000-000000000002, transaction 6 (22220000-0000-4000-8000-000000000006), row 6 of run: it has no name
        a wrong name of a transaction
          log 00000000-0000-4000-8000-000000000002, transaction 6 (22220000-0000-4000-8000-000000000006), row 6 of run: its name leads to transaction 8
          log 00000000-0000-4000-8000-000000000002: of its names, 1 lead to nothing
        a lost name of a chunk
          log 00000000-0000-4000-8000-000000000001, transaction 3 (d6711446-b628-8fbc-a0d1-6138fede6dc9), chunk 2a12af.., row 41 of run: it has no name
        a wrong name of a chunk
          log 00000000-0000-4000-8000-000000000001, transaction 3 (d6711446-b628-8fbc-a0d1-6138fede6dc9), chunk 2a12af.., row 41 of run: its name leads to transaction 4, where it is not
          log 00000000-0000-4000-8000-000000000001: of its names, 1 lead to nothing
        a name too many
          log 00000000-0000-4000-8000-000000000002: of its names, 1 lead to nothing
        "#);
}
