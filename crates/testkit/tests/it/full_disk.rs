//! The disk runs out of space under a hub, at every write; and its syncs fail.

use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tolstoy_hub::service::{Answer, HeadOutcome, PushOutcome, PutOutcome, Service, SnapshotUpload, Upload};
use tolstoy_hub::storage::StorageError;
use tolstoy_hub::{Hub, HubHandle, Options, SqliteOptions};
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{ChunkId, ErrorBody, ErrorKind, Form, FrameEncoder, LogId, LogState, derive_trn, media, paths};
use tolstoy_testkit::disk::{Disk, Refusal};
use tolstoy_testkit::world::env;

use crate::load::{DiskHub, check_database, collect, log, push, walk};
use crate::long;

/// What a client asks for.
#[derive(Debug, Clone)]
enum Ask {
    /// Transactions of one chunk of so many bytes each.
    Push(LogId, Vec<usize>),
    /// A chunk and a transaction in the 0.1 way, then HEAD.
    Upload(LogId, usize),
    Delete(LogId),
}

/// A script that grows every part of the file, and moves the write-ahead log into it some times.
fn script() -> Vec<Vec<Ask>> {
    let push = |n: u64, sizes: &[usize]| Ask::Push(log(n), sizes.to_vec());
    vec![
        vec![push(1, &[100])],
        vec![push(1, &[90; 30]), push(2, &[60_000]), push(3, &[100]), push(4, &[10])],
        vec![Ask::Upload(log(1), 9_000)],
        vec![push(2, &[300, 40_000, 8_000])],
        vec![Ask::Delete(log(3))],
        vec![push(3, &[120_000]), push(4, &[20; 40])],
        vec![Ask::Upload(log(4), 50), push(1, &[7_000])],
        vec![Ask::Delete(log(2))],
        vec![push(2, &[30_000]), push(1, &[100])],
    ]
}

fn content(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + salt * 13 + n / 250) as u8).collect()
}

/// What was asked for, and what it must lead to.
enum Asked {
    Push(Answer<PushOutcome>, LogState),
    Rest(Answer<()>),
    Upload(LogId, usize),
}

fn ask(service: &Service, ask: &Ask, salt: usize) -> Asked {
    match ask {
        Ask::Push(log, sizes) => {
            let transactions: Vec<_> =
                sizes.iter().enumerate().map(|(n, len)| vec![content(*len, salt * 100 + n)]).collect();
            let push = push(&service.info(*log).unwrap(), &transactions);
            Asked::Push(service.push(*log, Upload::from_frames(push.frames).unwrap()), push.after)
        }
        Ask::Upload(log, len) => Asked::Upload(*log, *len),
        Ask::Delete(log) => Asked::Rest(service.delete(*log)),
    }
}

fn answer(service: &Service, asked: Asked, salt: usize) -> Result<(), StorageError> {
    match asked {
        Asked::Push(answer, after) => match answer.wait()? {
            PushOutcome::Done(state, _) => assert_eq!((state.head, state.chain), (after.head, after.chain)),
            other => panic!("{other:?}"),
        },
        Asked::Rest(answer) => answer.wait()?,
        Asked::Upload(log, len) => {
            let (bytes, parent) = (Bytes::from(content(len, salt)), service.info(log)?.head);
            let chunk = ChunkId::of(&bytes);
            let id = derive_trn(parent, &[chunk]);
            assert_eq!(service.v0_put_chunk(log, chunk, bytes).wait()?, PutOutcome::Done);
            let new = NewTransaction { parent, chunks: vec![chunk] };
            assert_eq!(service.v0_put_transaction(log, id, new).wait()?, PutOutcome::Done);
            assert_eq!(service.v0_put_head(log, id).wait()?, HeadOutcome::Done);
        }
    }
    Ok(())
}

fn states(service: &Service) -> Vec<LogState> {
    (1..=4).map(|n| walk(service, log(n)).unwrap()).collect()
}

/// Plays the script. What is refused is asked for again once `relieve` has made it possible; gives how often that was.
fn play(hub: &DiskHub, relieve: &dyn Fn(&StorageError)) -> usize {
    let mut refused = 0;
    for (n, batch) in script().iter().enumerate() {
        let before = states(&hub.service);
        let asked: Vec<_> = hub.at_once(|service| batch.iter().map(|each| ask(service, each, n)).collect());
        let results: Vec<_> = asked.into_iter().map(|asked| answer(&hub.service, asked, n)).collect();
        for (each, result) in batch.iter().zip(results) {
            let Err(error) = result else { continue };
            refused += 1;
            let (Ask::Push(of, _) | Ask::Upload(of, _) | Ask::Delete(of)) = each;
            // Everything can be read, and the log is where it was: an upload may have begun its generation.
            let now = states(&hub.service);
            let (at, was) = (0..).zip(&before).find(|(n, _)| log(n + 1) == *of).unwrap();
            assert_eq!((now[at as usize].head, now[at as usize].chain), (was.head, was.chain), "{each:?}");
            relieve(&error);
            answer(&hub.service, ask(&hub.service, each, n), n).unwrap();
        }
    }
    refused
}

fn heads(states: &[LogState]) -> Vec<impl PartialEq + std::fmt::Debug> {
    states.iter().map(|state| (state.head, state.seq, state.chain)).collect()
}

/// What is there when nothing fails, and how many writes and syncs that takes.
fn undisturbed(directory: &Path) -> (Vec<LogState>, u64, u64) {
    let disk = Disk::new();
    let hub = DiskHub::open(&disk, directory, 1).unwrap();
    let (writes, syncs) = (disk.writes(), disk.syncs());
    assert_eq!(play(&hub, &|_| ()), 0);
    (states(&hub.service), disk.writes() - writes, disk.syncs() - syncs)
}

#[test]
fn a_disk_that_is_full_at_any_write_refuses_and_recovers() {
    let directory = TempDir::new().unwrap();
    let (expected, writes, _) = undisturbed(directory.path());
    let step = if long() { 1 } else { 3 };
    let (mut refused, mut runs) = (0, 0);
    for refusal in [Refusal::Growth, Refusal::Writes] {
        for n in (0..writes).step_by(step) {
            let disk = Disk::new();
            let hub = DiskHub::open(&disk, directory.path(), 1).unwrap();
            disk.fill(n, refusal);
            refused += play(&hub, &|error| {
                assert!(matches!(error, StorageError::Full(_)), "{refusal:?} at {n}: {error}");
                // While it is full, it stays so, and reads go on.
                assert!(disk.free() > 0);
            });
            assert_eq!(heads(&states(&hub.service)), heads(&expected), "{refusal:?} at {n}");
            disk.free();
            hub.close();
            check_database(&disk, directory.path()).unwrap();
            let again = DiskHub::open(&disk, directory.path(), 2).unwrap();
            assert_eq!(heads(&states(&again.service)), heads(&expected), "{refusal:?} at {n}");
            runs += 1;
        }
    }
    println!("{runs} runs, {refused} refusals");
    assert!(refused > runs / 2, "{refused} of {runs}");
}

/// Half a snapshot, which nobody sees, is removed when there is space again: at the moment it failed there was none.
#[test]
fn a_snapshot_that_a_full_disk_cuts_short_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("hub.db");
    let mut halved = 0;
    for n in 0.. {
        let disk = Disk::new();
        let hub = DiskHub::open(&disk, directory.path(), 1).unwrap();
        let pushed = push(&LogState::EMPTY, &[vec![content(100, 1)]]);
        hub.service.push(log(1), Upload::from_frames(pushed.frames).unwrap()).wait().unwrap();
        // Of several jobs: some of its pieces are there when it fails.
        let mut upload = SnapshotUpload::new(None).unwrap();
        upload.take(&content(3_000_000, 2)).unwrap();
        disk.fill(n * 40, Refusal::Writes);
        let kept = hub.service.keep_snapshot(log(1), pushed.after.head, upload);
        if kept.is_ok() {
            break;
        }
        assert!(matches!(kept, Err(StorageError::Full(_))), "{kept:?}");
        let count = |sql: &str| -> i64 {
            let connection =
                Connection::open_with_flags_and_vfs(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, disk.vfs()).unwrap();
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        disk.free();
        halved += usize::from(count("SELECT count(*) FROM piece") > 0);
        collect(&hub.service);
        assert_eq!(count("SELECT count(*) FROM snapshot") + count("SELECT count(*) FROM piece"), 0, "full at {n}");
        hub.close();
        check_database(&disk, directory.path()).unwrap();
    }
    assert!(halved > 2, "{halved} were halved");
}

#[test]
fn a_hub_opens_on_a_full_disk_or_says_why_not() {
    let directory = TempDir::new().unwrap();
    let writes = {
        let disk = Disk::new();
        DiskHub::open(&disk, directory.path(), 1).unwrap().close();
        disk.writes()
    };
    let mut refused = 0;
    for n in 0..=writes {
        let disk = Disk::new();
        disk.fill(n, Refusal::Writes);
        match DiskHub::open(&disk, directory.path(), 1) {
            Ok(hub) => hub.close(),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().starts_with("cannot open "), "{error}");
            }
        }
        disk.free();
        let hub = DiskHub::open(&disk, directory.path(), 1).unwrap();
        assert_eq!(play(&hub, &|_| ()), 0);
    }
    assert!(refused > 0);
}

/// A sync that fails is told to whoever waited for it, and nothing that was acknowledged depends on it.
#[test]
fn a_sync_that_fails_at_any_time_loses_nothing_acknowledged() {
    let directory = TempDir::new().unwrap();
    let (expected, _, syncs) = undisturbed(directory.path());
    let mut refused = 0;
    for n in 0..syncs {
        let disk = Disk::new();
        let hub = DiskHub::open(&disk, directory.path(), 1).unwrap();
        disk.fail_sync(n);
        refused += play(&hub, &|error| assert!(matches!(error, StorageError::Failed(_)), "{error}"));
        assert_eq!(heads(&states(&hub.service)), heads(&expected), "sync {n}");
        // The power fails before anything is put in order.
        let mut replay = disk.replay(false);
        replay.forward(replay.operations());
        hub.close();
        for seed in 0..4 {
            let survivor = Disk::holding(replay.cut(n * 4 + seed));
            let after = DiskHub::open(&survivor, directory.path(), 1).unwrap();
            assert_eq!(heads(&states(&after.service)), heads(&expected), "sync {n}, cut {seed}");
            after.close();
            check_database(&survivor, directory.path()).unwrap();
        }
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn over_http_a_full_disk_is_507_and_reads_go_on() {
    let (disk, directory) = (Disk::new(), TempDir::new().unwrap());
    let sqlite = SqliteOptions { vfs: Some(disk.vfs().to_owned()), ..SqliteOptions::default() };
    let hub = Hub::open(directory.path(), env(1, 50), Options { sqlite, ..Options::default() }).unwrap();
    let handle = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", handle.url());
    let send = async |onto: &LogState, bytes: usize| {
        let pushed = push(onto, &[vec![content(bytes, 1)]]);
        let mut encoder = FrameEncoder::new(Form::MessagePack);
        let mut body = Vec::new();
        pushed.frames.iter().for_each(|frame| encoder.encode(frame, &mut body));
        let request = client.post(url(&paths::push(log(1)))).header("content-type", media::MSGPACK).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    };
    let state = async || -> LogState {
        let bytes = client.get(url(&paths::log(log(1)))).send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    assert_eq!(send(&LogState::EMPTY, 100).await.0, 200);
    let before = state().await;
    disk.fill(0, Refusal::Growth);
    // Short ones, and one that is put aside in a file first.
    for bytes in [100, 100_000, 2_000_000] {
        let (status, body) = send(&before, bytes).await;
        let error: ErrorBody = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, error.error), (507, ErrorKind::Full), "{}", error.message);
        assert!(error.message.contains("disk is full"), "{}", error.message);
        assert_eq!(state().await, before);
    }
    let put = client.put(url(&format!("{}/chunks/more", paths::v0_base(log(1))))).body("more").send().await.unwrap();
    assert_eq!(put.status(), 507);
    assert_eq!(client.get(url(&paths::pull(log(1), &[]))).send().await.unwrap().status(), 200);
    assert!(disk.free() >= 4);
    for bytes in [2_000_000, 100] {
        let before = state().await;
        assert_eq!(send(&before, bytes).await.0, 200);
        assert_eq!(state().await.seq, before.seq.next());
    }
    handle.stop().await.unwrap();
    check_database(&disk, directory.path()).unwrap();
}
