//! A file of each format that was ever written opens for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tolstoy_hub::service::{Collector, GcStep, Policy, Service};
use tolstoy_hub::storage::{Finding, Listener, SqliteOptions, SqliteReader, SqliteStorage, backup, fsck, restore};
use tolstoy_proto::{LogState, TrnId, paths};

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
    for format in [1, 2, 3] {
        let hub = TestHub::start_in(copied(format)).await;
        check(&hub).await;
        if format > 2 {
            check_tasks(&hub).await;
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
    // Formats 1 and 2 hold the same, and become the same.
    let newest = copied(2);
    sweep(newest.path());
    let newest = dump(&newest.path().join("hub.db"));
    let old = without_tasks(&newest);
    let was = dump_of(2);
    let format = |lines: &[String], n: i64| lines.iter().position(|line| *line == format!("Integer({n})"));
    assert_eq!((format(&old, 3), format(&was, 2)), (Some(1), Some(1)));
    assert_eq!((&old[2..], old.len()), (&was[2..], was.len()));
    for format in [1, 2] {
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
        assert_eq!(dump(&file), newest);
        assert_eq!((findings(directory.path()), survey()), (vec![], before));
        // So is a backup, however old.
        let restored = TempDir::new().unwrap();
        restore(&copy, restored.path(), &mut |_, _| {}).unwrap();
        assert_eq!(findings(restored.path()), [""; 0]);
        sweep(restored.path());
        assert_eq!(dump(&restored.path().join("hub.db")), newest);
    }
}

/// What is in a dump of format 3 that no dump of format 2 has, left out.
fn without_tasks(dump: &[String]) -> Vec<String> {
    let new = ["task", "node", "task_by_id", "node_roots", "sqlite_autoindex_node_1"];
    let is_new = |line: &&String| new.iter().any(|name| line.starts_with(&format!("Text(\"{name}\") ")));
    dump.iter().filter(|line| !is_new(line)).cloned().collect()
}

/// The format is still what the fixture's is: the same requests make the same tables. Run with `REGENERATE_FIXTURES=1` to
/// write the file, which is done once for each new format and never again.
#[tokio::test]
async fn what_is_written_now_is_format_3() {
    let hub = TestHub::start().await;
    fill(&hub).await;
    fill_tasks(&hub).await;
    let hub = hub.restart().await;
    let directory = hub.directory;
    hub.handle.stop().await.unwrap();
    let path = directory.path().to_owned();
    tokio::task::spawn_blocking(move || sweep(&path)).await.unwrap();
    let written = directory.path().join("hub.db");
    if std::env::var_os("REGENERATE_FIXTURES").is_some() {
        fs::copy(&written, fixture(3)).unwrap();
    }
    assert_eq!(findings(directory.path()), [""; 0]);
    assert_eq!(dump(&written), dump_of(3));
    let hub = TestHub::start_in(directory).await;
    check(&hub).await;
    check_tasks(&hub).await;
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
