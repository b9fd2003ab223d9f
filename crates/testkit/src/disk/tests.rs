use rusqlite::{Connection, OpenFlags};

use super::*;

const FILE: &str = "/data/test.db";

fn open(disk: &Disk) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags_and_vfs(FILE, flags, disk.vfs()).unwrap()
}

fn in_wal(disk: &Disk, synchronous: &str) -> Connection {
    let connection = open(disk);
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", synchronous).unwrap();
    connection
}

fn rows(connection: &Connection) -> Option<i64> {
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).ok()
}

/// Inserts rows one by one; gives after which operation each was told to be durable.
fn insert(disk: &Disk, connection: &Connection, n: usize) -> Vec<usize> {
    connection.execute_batch("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB)").unwrap();
    (0..n)
        .map(|_| {
            connection.execute("INSERT INTO t (b) VALUES (randomblob(3000))", []).unwrap();
            disk.operations()
        })
        .collect()
}

/// At how many operations a cut loses a row that was told to be durable, or damages the file.
fn losses(disk: &Disk, told: &[usize], lies: bool) -> usize {
    let mut replay = disk.replay(lies);
    let mut lost = 0;
    for at in 0..=replay.operations() {
        replay.forward(at);
        let survivor = Disk::holding(replay.cut(at as u64));
        let connection = open(&survivor);
        let durable = told.iter().filter(|told| **told <= at).count() as i64;
        let found = rows(&connection);
        let check: String = connection.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap_or_default();
        let one_more = (durable..=durable + 1).contains(&found.unwrap_or(0));
        if check != "ok" || !one_more {
            lost += 1;
        }
    }
    lost
}

#[test]
fn connections_share_a_database_and_its_locks() {
    let disk = Disk::new();
    let writer = in_wal(&disk, "FULL");
    insert(&disk, &writer, 3);
    let reader = open(&disk);
    assert_eq!(rows(&reader), Some(3));
    reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
    assert_eq!(rows(&reader), Some(3));
    writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO t (b) VALUES (x'00')").unwrap();
    let other = open(&disk);
    let busy = other.execute_batch("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(busy.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!((rows(&reader), rows(&other)), (Some(3), Some(4)));
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(rows(&reader), Some(4));
}

#[test]
fn many_threads_write_one_database() {
    let disk = Disk::new();
    insert(&disk, &in_wal(&disk, "NORMAL"), 0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let connection = in_wal(&disk, "NORMAL");
                connection.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
                for _ in 0..50 {
                    connection.execute("INSERT INTO t (b) VALUES (x'00')", []).unwrap();
                    assert!(rows(&connection).unwrap() > 0);
                }
            });
        }
    });
    assert_eq!(rows(&open(&disk)), Some(200));
}

#[test]
fn in_wal_a_synced_commit_is_durable_and_an_unsynced_one_is_not() {
    for (synchronous, durable) in [("FULL", true), ("OFF", false)] {
        let disk = Disk::new();
        let connection = in_wal(&disk, synchronous);
        connection.pragma_update(None, "wal_autocheckpoint", 8).unwrap();
        let told = insert(&disk, &connection, 20);
        drop(connection);
        assert_eq!(losses(&disk, &told, false) == 0, durable, "{synchronous}");
        assert!(losses(&disk, &told, true) > 0);
    }
}

#[test]
fn with_a_rollback_journal_only_extra_is_durable() {
    for (synchronous, durable) in [("EXTRA", true), ("FULL", false)] {
        let disk = Disk::new();
        let connection = open(&disk);
        connection.pragma_update(None, "synchronous", synchronous).unwrap();
        let told = insert(&disk, &connection, 10);
        drop(connection);
        assert_eq!(losses(&disk, &told, false) == 0, durable, "{synchronous}");
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    for refusal in [Refusal::Growth, Refusal::Writes] {
        let disk = Disk::new();
        let connection = in_wal(&disk, "FULL");
        insert(&disk, &connection, 3);
        disk.fill(2, refusal);
        let full = (0..5).find_map(|_| connection.execute("INSERT INTO t (b) VALUES (randomblob(9000))", []).err());
        assert_eq!(full.unwrap().sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
        let before = rows(&connection);
        assert!(disk.free() > 0);
        insert(&disk, &connection, 1);
        assert_eq!(rows(&connection), before.map(|n| n + 1));
    }
}

#[test]
fn a_sync_that_fails_is_told_and_what_it_was_for_is_lost() {
    let disk = Disk::new();
    let connection = in_wal(&disk, "FULL");
    insert(&disk, &connection, 3);
    disk.fail_sync(0);
    assert!(connection.execute("INSERT INTO t (b) VALUES (x'00')", []).is_err());
    let mut replay = disk.replay(false);
    replay.forward(replay.operations());
    assert!((0..20).all(|seed| rows(&open(&Disk::holding(replay.cut(seed)))) == Some(3)));
    insert(&disk, &connection, 1);
    assert_eq!(rows(&connection), Some(4));
}
