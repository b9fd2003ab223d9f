//! The file: opening, reopening, sharing, and what is not a store.

use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use tolstoy_env::Env;
use tolstoy_store::{ErrorKind, Store};

use crate::common::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A copy of a fixture: opening one may leave files beside it.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::copy(fixture(name), &path).unwrap();
    (dir, path)
}

fn refuses(path: &Path) -> (ErrorKind, String) {
    let (open, create) = (
        Store::open(path, Env::repeatable(3)).unwrap_err(),
        Store::open_or_create(path, Env::repeatable(3)).unwrap_err(),
    );
    assert_eq!((open.kind(), open.to_string()), (create.kind(), create.to_string()));
    let dir = path.parent().unwrap().display().to_string();
    (open.kind(), open.to_string().replace(&dir, "DIR"))
}

/// What the fixture was made of.
const FIXTURE: [&str; 3] = [
    PEOPLE,
    r#"[{:db/id "i" :person/email "ivan@x" :person/name "Ivan" :person/alias ["a" "b"] :person/home {:home/street "s"}}
        {:person/email "petr@x" :person/friend "i" :person/age 40}]"#,
    r#"[{:person/email "petr@x" :person/age 41} [:db/retractEntity [:person/email "ivan@x"]]
        [:db/add (transaction-tx) :db/txInstant #inst "2026-04-01T00:00:00.000001Z"]]"#,
];

/// Every version's file opens for ever. To make the file of a new format:
/// `TOLSTOY_NEW_FIXTURE=crates/store/tests/fixtures/store-vN.db cargo nextest run -p tolstoy-store fixture`.
fn the_fixture_opens(name: &str) {
    let expected = store_with(&FIXTURE);
    let (_dir, path) = copy(name);
    let mut store = Store::open(&path, Env::repeatable(9)).unwrap();
    assert_eq!(format_of(&path), 2);
    assert_eq!(whole_log(&store), whole_log(&expected));
    assert_eq!(store.facts_digest().unwrap(), expected.facts_digest().unwrap());
    assert_eq!(store.datoms().unwrap(), expected.datoms().unwrap());
    assert_eq!(store.schema(), expected.schema());
    assert_eq!(store.device(), expected.device());
    assert_eq!(
        effects(&mut store, r#"[{:person/email "petr@x" :person/age 42} {:person/email "new@x"}]"#),
        "- 65550 :person/age 41\n+ 65550 :person/age 42\n+ 65551 :person/email \"new@x\""
    );
    drop(store);
    let again = Store::open(&path, Env::repeatable(9)).unwrap();
    assert_eq!(whole_log(&again)[..4], whole_log(&expected)[..]);
}

fn whole_log(store: &Store) -> Vec<tolstoy_store::Transaction> {
    store.transactions(tolstoy_store::Timeline::MAIN, tolstoy_store::Entid::new(0), 100).unwrap()
}

/// SQLite's `user_version`.
fn format_of(path: &Path) -> i64 {
    let sql = rusqlite::Connection::open(path).unwrap();
    sql.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap()
}

#[test]
fn the_fixture_of_format_1_opens_and_becomes_format_2() {
    the_fixture_opens("store-v1.db");
}

#[test]
fn the_fixture_of_format_2_opens() {
    if let Some(path) = std::env::var_os("TOLSTOY_NEW_FIXTURE") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        let mut store = Store::open_or_create(&path, Env::repeatable(1)).unwrap();
        FIXTURE.iter().for_each(|text| drop(must(&mut store, text)));
    }
    the_fixture_opens("store-v2.db");
}

#[test]
fn a_store_of_format_1_is_read_as_it_is() {
    let (_dir, path) = copy("store-v1.db");
    let expected = store_with(&FIXTURE);
    let merge = tolstoy_edn::Keyword::parse("db/merge").unwrap();
    {
        let mut store = Store::open_to_read(&path, Env::repeatable(9)).unwrap();
        assert_eq!(store.facts_digest().unwrap(), expected.facts_digest().unwrap());
        assert_eq!(store.schema().entid(&merge), None);
        // A refusal leaves it as it is too.
        refused(&mut store, "[[:db/add 65550 :person/nothing 1]]");
        assert_eq!(store.transaction(tolstoy_store::Entid::TX0).unwrap().unwrap().changes.len(), 95);
    }
    assert_eq!(format_of(&path), 1);
    // The first write brings it to the newest format, and another store on the file notices.
    let mut store = Store::open_to_read(&path, Env::repeatable(9)).unwrap();
    let mut other = Store::open_to_read(&path, Env::repeatable(10)).unwrap();
    must(&mut store, r#"[{:person/email "new@x"}]"#);
    assert_eq!(format_of(&path), 2);
    assert!(store.schema().entid(&merge).is_some());
    must(&mut other, r#"[{:person/email "newer@x"}]"#);
    store.refresh().unwrap();
    assert_eq!(store.schema(), other.schema());
    assert_eq!(whole_log(&store)[..4], whole_log(&expected)[..]);
}

/// As in a read-only directory, where SQLite cannot make its files beside the store.
#[cfg(unix)]
#[test]
fn a_store_of_format_1_that_cannot_be_written_can_be_read() {
    let (dir, path) = copy("store-v1.db");
    std::os::unix::fs::symlink("nowhere", dir.path().join("store-v1.db-shm")).unwrap();
    let store = Store::open_to_read(&path, Env::repeatable(2)).unwrap();
    assert_eq!(store.facts_digest().unwrap(), store_with(&FIXTURE).facts_digest().unwrap());
}

/// The tables and indexes of a file.
fn tables(path: &Path) -> Vec<String> {
    let sql = rusqlite::Connection::open(path).unwrap();
    let mut statement = sql.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    statement.query_map([], |r| r.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// A format that changed without a new number would make files that other versions misread. The one thing that a file of it may lack
/// is the index of the journal, which says nothing of its own.
#[test]
fn the_fixtures_have_the_tables_of_a_new_store() {
    for fixture in ["store-v1.db", "store-v2.db"] {
        let (dir, path) = copy(fixture);
        let new = dir.path().join("new.db");
        Store::open_or_create(&new, Env::repeatable(1)).unwrap();
        let (mut old, mut new) = (tables(&path), tables(&new));
        let all = new.clone();
        new.retain(|sql| !sql.starts_with("CREATE INDEX journal "));
        assert_eq!(new.len() + 1, all.len());
        assert_eq!(old, new);
        if fixture == "store-v1.db" {
            Store::open(&path, Env::repeatable(1)).unwrap();
            old = tables(&path);
            assert_eq!(old, all);
        }
    }
}

/// A file without the index is read as well, and one with it does not read its whole log to find the journal.
#[test]
fn the_journal_is_found_by_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    Store::open_or_create(&path, Env::repeatable(1)).unwrap();
    let sql = rusqlite::Connection::open(&path).unwrap();
    let query = "SELECT extra FROM transactions INDEXED BY journal WHERE timeline = 0 AND substr(extra, -3) <> x'90c0c0' AND tx > 9 ORDER BY tx";
    let plan: String = sql.query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |r| r.get(3)).unwrap();
    assert_eq!(plan, "SEARCH transactions USING INDEX journal (timeline=? AND tx>?)");
    let (_dir, old) = copy("store-v2.db");
    assert_eq!(Store::open(&old, Env::repeatable(1)).unwrap().waiting().unwrap(), 0);
}

#[test]
fn a_store_reopens_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let (digest, schema, device, basis) = {
        let mut store = Store::open_or_create(&path, Env::repeatable(1)).unwrap();
        for text in FIXTURE {
            must(&mut store, text);
        }
        (store.facts_digest().unwrap(), store.schema().clone(), store.device(), store.basis())
    };
    let mut store = Store::open(&path, Env::repeatable(2)).unwrap();
    assert_eq!(store.facts_digest().unwrap(), digest);
    assert_eq!((store.schema(), store.device(), store.basis()), (&schema, device, basis));
    assert_eq!(must(&mut store, r#"[{:db/id "x" :person/age 1}]"#).tempids["x"].get(), 65551);
}

#[test]
fn a_store_goes_from_thread_to_thread() {
    let mut store = store_with(&[PEOPLE]);
    let elsewhere = std::thread::spawn(move || {
        must(&mut store, "[{:person/age 7}]");
        store
    });
    let age = elsewhere.join().unwrap().query("[:find ?a . :where [_ :person/age ?a]]", &[]).unwrap();
    assert_eq!(age.to_edn().to_string(), "7");
}

#[test]
fn two_stores_on_one_file_notice_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let mut one = Store::open_or_create(&path, Env::repeatable(1)).unwrap();
    let mut other = Store::open(&path, Env::repeatable(2)).unwrap();
    assert_eq!(one.device(), other.device());
    must(&mut one, PEOPLE);
    // The other one's transaction uses the attributes and follows with the next numbers.
    let report = must(&mut other, r#"[{:db/id "i" :person/email "ivan@x"}]"#);
    assert_eq!((report.tx, report.tempids["i"].get()), (tolstoy_store::Entid::TX0.plus(2), 65548));
    assert_eq!(must(&mut one, r#"[{:db/id "i" :person/email "ivan@x"}]"#).tempids["i"].get(), 65548);

    must(&mut one, "[[:db/add :person/age :db/ident :person/years]]");
    assert!(other.schema().entid(&tolstoy_edn::Keyword::parse("person/years").unwrap()).is_none());
    other.refresh().unwrap();
    assert_eq!((one.schema(), one.basis()), (other.schema(), other.basis()));
    // A refusal after a look at the newer state leaves no trace either.
    must(&mut one, "[[:db/add :person/years :db/ident :person/age]]");
    refused(&mut other, "[{:person/years 3}]");
    other.refresh().unwrap();
    assert_eq!((one.schema(), one.basis()), (other.schema(), other.basis()));
    assert_eq!(one.facts_digest().unwrap(), other.facts_digest().unwrap());
}

/// Facts are listed in one index or the other, by the schema of their moment.
#[test]
fn a_query_goes_by_the_schema_of_its_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let mut one = Store::open_or_create(&path, Env::repeatable(1)).unwrap();
    must(&mut one, PEOPLE);
    must(&mut one, "[{:person/email \"ivan@x\" :person/age 40}]");
    let other = Store::open(&path, Env::repeatable(2)).unwrap();
    let ages = |s: &Store| s.query("[:find [?a ...] :where [_ :person/age ?a]]", &[]).unwrap().to_edn().to_string();
    assert_eq!(ages(&other), "[40]");
    must(&mut one, "[[:db/add :person/age :db/index true]]");
    assert_eq!(ages(&other), "[40]");
    must(&mut one, "[[:db/add :person/age :db/ident :person/years]]");
    assert_eq!(other.query("[:find ?a . :where [_ :person/years ?a]]", &[]).unwrap().to_edn().to_string(), "40");
    assert_eq!(other.query("[:find ?a . :where [_ :person/age ?a]]", &[]).unwrap_err().kind(), ErrorKind::Input);
}

/// SQLite cannot make its files beside the store, as in a read-only directory. It follows no links to them.
#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("100% ?#.db");
    let digest = {
        let mut store = Store::open_or_create(&path, Env::repeatable(1)).unwrap();
        FIXTURE.iter().for_each(|text| drop(must(&mut store, text)));
        store.facts_digest().unwrap()
    };
    std::os::unix::fs::symlink("nowhere", dir.path().join("100% ?#.db-shm")).unwrap();
    assert_eq!(Store::open(&path, Env::repeatable(2)).unwrap_err().kind(), ErrorKind::Storage);

    let mut store = Store::open_to_read(&path, Env::repeatable(2)).unwrap();
    assert_eq!(store.facts_digest().unwrap(), digest);
    let ages = store.query("[:find [?a ...] :where [_ :person/age ?a]]", &[]).unwrap();
    assert_eq!(ages.to_edn().to_string(), "[41]");
    let refused = store.transact_str("[]").unwrap_err();
    assert_eq!(
        (refused.kind(), refused.to_string().as_str()),
        (ErrorKind::Storage, "the store cannot be written: it is read-only")
    );

    // Facts that are only in the write-ahead log would be missed.
    fs::write(dir.path().join("100% ?#.db-wal"), "frames").unwrap();
    assert_eq!(Store::open_to_read(&path, Env::repeatable(3)).unwrap_err().kind(), ErrorKind::Storage);
}

#[test]
fn the_originals_database_is_not_a_store() {
    let (_dir, path) = copy("mentat-v1.db");
    let before = fs::read(&path).unwrap();
    let (kind, message) = refuses(&path);
    assert_eq!(kind, ErrorKind::NotAStore);
    assert_snapshot!(message, @"DIR/mentat-v1.db: the file is not a Tolstoy store");
    assert_eq!(fs::read(&path).unwrap(), before, "the file was written to");
}

#[test]
fn a_newer_format_is_refused_with_its_number() {
    let (_dir, path) = copy("store-v1.db");
    // SQLite's user_version: four bytes, big-endian, at offset 60 of the file.
    let mut bytes = fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&7_u32.to_be_bytes());
    fs::write(&path, bytes).unwrap();
    let (kind, message) = refuses(&path);
    assert_eq!(kind, ErrorKind::NewerFormat);
    assert_snapshot!(message, @"DIR/store-v1.db: the store has format 7, this version knows formats up to 2; update Tolstoy");
}

#[test]
fn other_files_are_not_stores() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("notes.txt");
    fs::write(&text, "Dear diary, this is no database. ".repeat(100)).unwrap();
    let (kind, message) = refuses(&text);
    assert_eq!(kind, ErrorKind::NotAStore);
    assert_snapshot!(message, @"DIR/notes.txt: the file is not a store");

    let missing = Store::open(&dir.path().join("missing.db"), Env::repeatable(1)).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Storage);
    assert!(missing.to_string().ends_with("missing.db: there is no such file"));
    let unreachable = Store::open_or_create(&dir.path().join("no/such/dir/s.db"), Env::repeatable(1)).unwrap_err();
    assert_eq!(unreachable.kind(), ErrorKind::Storage);

    let empty = dir.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    assert_eq!(Store::open(&empty, Env::repeatable(1)).unwrap_err().kind(), ErrorKind::NotAStore);
    Store::open_or_create(&empty, Env::repeatable(1)).unwrap();
    Store::open(&empty, Env::repeatable(1)).unwrap();
}
