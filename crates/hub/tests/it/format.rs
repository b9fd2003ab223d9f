//! A file of each format that was ever written opens for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tolstoy_hub::service::{Collector, GcStep, Policy, Service};
use tolstoy_hub::storage::{Finding, Listener, SqliteOptions, SqliteReader, SqliteStorage, backup, fsck, restore};
use tolstoy_proto::{Frame, LogId, LogState, TrnId, paths};
use uuid::Uuid;

use crate::common::{Pushing, TestHub, check_stream, env, log, texts};

fn fixture(format: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/hub-v{format}.db"))
}

/// Writes what the fixtures hold: a log with large, small and shared chunks, a pending transaction, a plain chunk, a
/// deleted log, and one in its second life.
async fn fill(hub: &TestHub) {
    let push =
        Pushing::onto(&LogState::EMPTY).text("one").chunks(&[&[7; 9000], b"small"]).chunks(&[b"one"]).chunks(&[]);
    // The third transaction names a chunk that the first sent.
    let mut push = push;
    push.frames.remove(6);
    let state = hub.push(log(1), &push).await.state();
    assert_eq!(hub.put(&format!("{}/chunks/plain", paths::v0_base(log(1))), "plain").await.status, 201);
    let body = json!({"parent": state.head, "chunks": ["plain"]}).to_string();
    assert_eq!(hub.put(&paths::v0_transaction(log(1), TrnId(log(9).0)), body).await.status, 201);
    for n in [2, 3, 3] {
        let push = Pushing::onto(&LogState::EMPTY).text("gone");
        assert_eq!(hub.push(log(n), &push).await.status, 200);
        assert_eq!(hub.delete(&paths::log(log(n))).await.status, 204);
    }
    assert_eq!(hub.push(log(3), &Pushing::onto(&LogState::EMPTY).text("third life")).await.status, 200);
}

/// Writes what the fixtures hold from format 3 on: tasks, in a log with transactions, in one without, and in a deleted one.
async fn fill_tasks(hub: &TestHub) {
    for n in [1, 4, 5] {
        for (id, description) in [(TASK, "milk"), (TASK, "oat milk"), ("zx6zrs3z46b8e5pg", "bread")] {
            let body = json!({"client_state": {"id": id, "description": description}}).to_string();
            assert_eq!(hub.send("POST", &paths::task(log(n), id), body).await.status, 200);
        }
    }
    assert_eq!(hub.delete(&paths::log(log(5))).await.status, 204);
}

/// Writes what the fixtures hold from format 4 on: a log with so many transactions that lists of their names were merged.
async fn fill_lists(hub: &TestHub) {
    for n in 0..LISTED / 16 {
        let state = hub.state(log(6)).await;
        let push = (0..16).fold(Pushing::onto(&state), |push, k| push.text(&format!("{n} {k}")));
        assert_eq!(hub.push(log(6), &push).await.status, 200);
    }
}

/// Transactions of that log.
const LISTED: usize = 832;

/// What a hub with that log must show.
async fn check_lists(hub: &TestHub) {
    let all = hub.pull(log(6), &[]).await;
    check_stream(&all);
    let ids: Vec<TrnId> = all.iter().filter_map(transaction).collect();
    assert_eq!(ids.len(), LISTED);
    for at in (0..LISTED).step_by(13) {
        let rest = hub.pull(log(6), &[ids[at]]).await;
        assert_eq!(rest.iter().filter_map(transaction).collect::<Vec<_>>(), ids[at + 1..]);
    }
}

const TASK: &str = "pb67wndxge8293xd";

/// What a hub with these tasks must show.
async fn check_tasks(hub: &TestHub) {
    for (n, tasks) in [(1, 2), (4, 2), (5, 0)] {
        let hashes = hub.get(&paths::hashes(log(n))).await.json();
        assert_eq!(hashes.as_object().unwrap().len(), tasks, "{n}");
    }
    let task = hub.send("POST", &paths::task(log(1), TASK), r#"{"client_state":null}"#).await.json();
    assert_eq!(task["server_state"]["description"], "oat milk");
}

/// What a hub on a fixture, or on a file filled now, must show.
async fn check(hub: &TestHub) {
    let stream = hub.pull(log(1), &[]).await;
    check_stream(&stream);
    let large = String::from_utf8(vec![7; 9000]).unwrap();
    assert_eq!(texts(&stream), [vec!["one".to_owned()], vec![large, "small".to_owned()], vec![], vec![]]);
    assert_eq!(hub.state(log(2)).await, LogState::EMPTY);
    let third = hub.state(log(3)).await;
    assert_eq!((third.generation.unwrap().number, third.seq.0), (3, 1));
    // It goes on: the pending transaction can be committed, the deleted log lives again.
    let head = json!({"head": TrnId(log(9).0)}).to_string();
    assert_eq!(hub.put(&paths::v0_head(log(1)), head).await.status, 204);
    let stream = hub.pull(log(1), &[]).await;
    check_stream(&stream);
    assert_eq!(texts(&stream).last().unwrap(), &["plain"]);
    let again = hub.push(log(2), &Pushing::onto(&LogState::EMPTY).text("again")).await.state();
    assert_eq!(again.generation.unwrap().number, 2);
}

fn copied(format: u32) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::copy(fixture(format), directory.path().join("hub.db")).unwrap();
    directory
}

#[tokio::test]
async fn each_format_opens() {
    for format in [1, 2, 3, 4] {
        let hub = TestHub::start_in(copied(format)).await;
        check(&hub).await;
        if format > 2 {
            check_tasks(&hub).await;
        }
        if format > 3 {
            check_lists(&hub).await;
        }
    }
}

/// What `tolstoy fsck` says.
fn findings(path: &Path) -> Vec<String> {
    struct Findings(Vec<String>);
    impl Listener for Findings {
        fn found(&mut self, finding: Finding) {
            self.0.push(finding.to_string());
        }
        fn done(&mut self, _: u64, _: u64) {}
    }
    let mut findings = Findings(Vec::new());
    fsck(path, &mut findings).unwrap();
    findings.0
}

#[test]
fn an_older_format_is_read_as_it_is_and_brought_up_to_date_when_it_is_opened() {
    // Formats 1 and 2 hold the same, and become the same; so do 3 and 4, which hold tasks too.
    let newest = |format| {
        let directory = copied(format);
        sweep(directory.path());
        dump(&directory.path().join("hub.db"))
    };
    let [from_2, from_3] = [2, 3].map(newest);
    let without = |dump: &[String], tables: &[&str]| -> Vec<String> {
        let is_of = |line: &&String| tables.iter().any(|name| line.starts_with(&format!("Text(\"{name}\") ")));
        // The version is the second line.
        dump.iter().enumerate().filter(|(at, line)| *at != 1 && !is_of(line)).map(|(_, line)| line.clone()).collect()
    };
    let lists = ["list", "listing", "block"];
    let tasks = ["task", "node", "task_by_id", "node_roots", "sqlite_autoindex_node_1"];
    assert_eq!(without(&from_2, &[&lists[..], &tasks].concat()), without(&dump_of(2), &["block"]));
    assert_eq!(without(&from_3, &lists), without(&dump_of(3), &["block"]));
    assert_eq!(schema(&from_2), schema(&from_3));
    assert_eq!(schema(&from_3), schema(&dump_of(4)));
    for (format, newest) in [(1, &from_2), (2, &from_2), (3, &from_3)] {
        let directory = copied(format);
        let file = directory.path().join("hub.db");
        assert_eq!(findings(directory.path()), [""; 0]);
        let survey = || {
            let reader = SqliteReader::open(directory.path()).unwrap();
            let policy = Policy { garbage_after: std::time::Duration::ZERO, ..Policy::default() };
            Service::new(Arc::new(reader), env()).with_policy(policy).survey().unwrap()
        };
        let before = survey();
        let copy = directory.path().join("copy.db");
        backup(directory.path(), &copy, &mut |_, _| {}).unwrap();
        assert_eq!(dump(&copy), dump_of(format), "a look changes nothing");
        sweep(directory.path());
        assert_eq!(dump(&file), *newest);
        assert_eq!((findings(directory.path()), survey()), (vec![], before));
        // So is a backup, however old.
        let restored = TempDir::new().unwrap();
        restore(&copy, restored.path(), &mut |_, _| {}).unwrap();
        assert_eq!(findings(restored.path()), [""; 0]);
        sweep(restored.path());
        assert_eq!(dump(&restored.path().join("hub.db")), *newest);
    }
}

/// What a dump says of tables and indexes.
fn schema(dump: &[String]) -> Vec<&String> {
    dump.iter().filter(|line| line.contains("CREATE ") || line.starts_with("Text(\"sqlite_")).collect()
}

/// A log of the prototype's API with chosen ids and chunks in rows of their own, and one of a store's, each with blocks.
#[tokio::test]
async fn logs_whose_names_are_in_one_tree_go_on() {
    let directory = TempDir::new().unwrap();
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub-v3-blocks.db");
    fs::copy(&file, directory.path().join("hub.db")).unwrap();
    assert_eq!(findings(directory.path()), [""; 0]);
    let hub = TestHub::start_in(directory).await;
    let log = |n: u128| LogId(Uuid::from_u128((4 << 76) | (8 << 60) | n));
    for (n, count) in [(1_u128, 51), (2, 40)] {
        let before = hub.pull(log(n), &[]).await;
        check_stream(&before);
        let mut ids: Vec<TrnId> = before.iter().filter_map(transaction).collect();
        assert_eq!(ids.len(), count);
        for _ in 0..30 {
            let state = hub.state(log(n)).await;
            let push = (0..10).fold(Pushing::onto(&state), |push, k| push.text(&format!("{} {k}", state.seq)));
            ids.extend(push.frames.iter().filter_map(transaction));
            assert_eq!(hub.push(log(n), &push).await.status, 200);
        }
        // Each is found, and none can come again.
        for (at, id) in ids.iter().enumerate() {
            let rest = hub.pull(log(n), &[*id]).await;
            assert_eq!(rest.iter().filter_map(transaction).collect::<Vec<_>>(), ids[at + 1..]);
        }
        let again = Pushing::onto(&hub.state(log(n)).await).transaction(ids[5], vec![], vec![]);
        let again = hub.push(log(n), &again).await;
        assert_eq!((again.status, again.error()), (409, "id-taken".to_owned()));
        // A chunk that came before is here.
        let Some(Frame::Chunk(first)) = before.iter().find(|frame| matches!(frame, Frame::Chunk(_))) else { panic!() };
        let id = TrnId(Uuid::from_u128(77));
        let push = Pushing::onto(&hub.state(log(n)).await).transaction(id, vec![first.id], vec![]);
        assert_eq!(hub.push(log(n), &push).await.status, 200);
    }
    let old = hub.get(&format!("{}/chunks/plain-7", paths::v0_base(log(2)))).await;
    assert_eq!((old.status, old.text()), (200, "chunk 7".to_owned()));
    let directory = hub.directory;
    hub.handle.stop().await.unwrap();
    assert_eq!(findings(directory.path()), [""; 0]);
}

fn transaction(frame: &Frame) -> Option<TrnId> {
    match frame {
        Frame::Transaction(trn) => Some(trn.id),
        _ => None,
    }
}

/// The format is still what the fixture's is: the same requests make the same tables. Run with `REGENERATE_FIXTURES=1` to
/// write the file, which is done once for each new format and never again.
#[tokio::test]
async fn what_is_written_now_is_format_4() {
    let hub = TestHub::start().await;
    fill(&hub).await;
    fill_tasks(&hub).await;
    fill_lists(&hub).await;
    let hub = hub.restart().await;
    let directory = hub.directory;
    hub.handle.stop().await.unwrap();
    let path = directory.path().to_owned();
    tokio::task::spawn_blocking(move || sweep(&path)).await.unwrap();
    let written = directory.path().join("hub.db");
    if std::env::var_os("REGENERATE_FIXTURES").is_some() {
        fs::copy(&written, fixture(4)).unwrap();
    }
    assert_eq!(findings(directory.path()), [""; 0]);
    assert_eq!(dump(&written), dump_of(4));
    let hub = TestHub::start_in(directory).await;
    check(&hub).await;
    check_tasks(&hub).await;
    check_lists(&hub).await;
}

/// Removes what deleted logs left, which a running hub does at times of its own.
fn sweep(directory: &Path) {
    let storage = SqliteStorage::open(directory, &SqliteOptions::default()).unwrap();
    let mut collector = Collector::new(Service::new(Arc::new(storage), env()), Arc::default());
    while collector.step().unwrap() == GcStep::More {}
}

/// The same of a fixture. Of a copy: SQLite makes files beside what it reads.
fn dump_of(format: u32) -> Vec<String> {
    dump(&copied(format).path().join("hub.db"))
}

/// The file's format, schema and rows, as text.
fn dump(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut lines = Vec::new();
    let mut query = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<String> =
                (0..columns).map(|i| format!("{:?}", row.get::<_, rusqlite::types::Value>(i).unwrap())).collect();
            lines.push(values.join(" "));
        }
    };
    query("PRAGMA application_id");
    query("PRAGMA user_version");
    query("SELECT name, sql FROM sqlite_schema ORDER BY name");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut names = connection.prepare(tables).unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in names {
        query(&format!("SELECT * FROM {table} ORDER BY 1"));
    }
    lines
}
