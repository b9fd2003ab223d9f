//! Taskwarrior's tasks: its JSON both ways, and the replica of its version 3.

use crate::task::Tasks;

/// Made by `interop/replica`, with TaskChampion's own crate.
const REPLICA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/taskchampion.sqlite3");

/// What `task export` of Taskwarrior 3 prints.
const EXPORTED: &str = r#"[
{"id":1,"description":"Buy milk","due":"20991126T093000Z","entry":"20261124T080000Z","modified":"20261125T080000Z","priority":"H","project":"Home.Kitchen","status":"pending","uuid":"296d835e-8f85-4224-8f36-c612cad1b9f8","annotations":[{"entry":"20261124T160000Z","description":"the oat one"}],"tags":["home","shop"],"depends":["8c4fed9c-c0d2-40c2-936d-36fc44e084a0"],"estimate":3.5,"urgency":15.2},
{"id":0,"description":"Get money","end":"20261124T160000Z","entry":"20261124T080000Z","modified":"20261124T160000Z","status":"completed","uuid":"8c4fed9c-c0d2-40c2-936d-36fc44e084a0","urgency":0}
]"#;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Without what Taskwarrior computes.
fn stored(text: &str) -> serde_json::Value {
    let mut tasks = json(text);
    for task in tasks.as_array_mut().unwrap() {
        for name in ["id", "urgency"] {
            task.as_object_mut().unwrap().remove(name);
        }
    }
    tasks.as_array_mut().unwrap().sort_by_key(|task| task["uuid"].to_string());
    tasks
}

#[test]
fn an_export_comes_in_whole_and_goes_out_as_it_came() {
    let tasks = Tasks::new();
    tasks.room.write("tasks.json", EXPORTED);
    assert_eq!(tasks.ok(&["import", "tasks.json"]), "tasks.json: 2 tasks\n");
    let listed = tasks.ok(&["list", "--columns", "due,project,description,tags"]);
    assert!(listed.contains("2099-11-26 09:30   Home.Kitchen   Buy milk      +home +shop"), "{listed}");
    assert_eq!(stored(&tasks.ok(&["export", "--format", "taskwarrior"])), stored(EXPORTED));
    // Twice is once; and through another place, by our own documents.
    let before = tasks.ok(&["export"]);
    tasks.ok(&["import", "--format", "taskwarrior", "tasks.json"]);
    assert_eq!(tasks.ok(&["export"]), before);
    tasks.room.write("ours.json", &before);
    tasks.ok(&["--at", "folder/", "import", "ours.json"]);
    assert_eq!(stored(&tasks.ok(&["--at", "folder", "export", "--format", "taskwarrior"])), stored(EXPORTED));
}

#[test]
fn a_later_export_is_an_edit_that_others_meet() {
    let tasks = Tasks::new();
    tasks.room.write("tasks.json", EXPORTED);
    tasks.ok(&["import", "tasks.json"]);
    let id = json(&tasks.ok(&["list", "--json"]))[0]["id"].as_str().unwrap().to_owned();
    tasks.ok(&["modify", &id, "Buy rice milk"]);
    let later = EXPORTED.replace("\"priority\":\"H\",", "").replace("20261125T080000Z", "20261125T090000Z");
    // One object, and objects to a line, are understood too.
    let first = later.lines().nth(1).unwrap();
    tasks.room.write("later.json", first.trim_end_matches(','));
    tasks.ok(&["import", "later.json"]);
    tasks.room.write("lines.json", &format!("{first}\n{}\n", later.lines().nth(2).unwrap()));
    assert_eq!(tasks.ok(&["import", "lines.json"]), "lines.json: 2 tasks\n");
    let shown = json(&tasks.ok(&["show", &id, "--json"]));
    assert_eq!((shown["description"].as_str(), shown.get("priority")), (Some("Buy rice milk"), None), "{shown}");
}

#[test]
fn what_is_none_of_taskwarrior_s_is_said() {
    let mut tasks = Tasks::new();
    for (name, text) in [
        ("cut.json", "[{\"uuid\":"),
        ("text.json", "\"milk\""),
        ("empty.json", ""),
        ("no-uuid.json", "[{\"uuid\":\"296d835e\",\"description\":\"x\"}]"),
        ("tags.json", "[{\"uuid\":\"296d835e-8f85-4224-8f36-c612cad1b9f8\",\"tags\":{}}]"),
    ] {
        tasks.room.write(name, text);
        tasks.tell(&["import", name]);
    }
    tasks.tell(&["import"]);
    tasks.tell(&["import", "tags.json", "--format", "todo.txt"]);
    tasks.tell(&["import", "tags.json", "--format", "tolstoy"]);
    tasks.tell(&["import", "tags.json", "--taskchampion", "x"]);
    insta::assert_snapshot!("taskwarrior-refusals", tasks.told);
    assert_eq!(tasks.ok(&["list", "@all"]), "0 tasks\n");
}

#[test]
fn a_replica_of_taskwarrior_3_is_read_and_not_written() {
    let mut tasks = Tasks::new();
    std::fs::create_dir(tasks.room.path("task")).unwrap();
    let replica = tasks.room.path("task/taskchampion.sqlite3");
    std::fs::copy(REPLICA, &replica).unwrap();
    let before = std::fs::read(&replica).unwrap();
    tasks.tell(&["import", "--taskchampion", "task"]);
    tasks.tell(&["list", "@all", "--columns", "state,due,project,description,tags"]);
    tasks.tell(&["export", "--format", "taskwarrior"]);
    tasks.tell(&["import", "--taskchampion", "task/taskchampion.sqlite3"]);
    insta::assert_snapshot!("taskchampion-import", tasks.told);
    assert_eq!(std::fs::read(&replica).unwrap(), before);
}

#[test]
fn a_replica_in_use_is_read_as_it_stands() {
    let tasks = Tasks::new();
    let replica = tasks.room.path("taskchampion.sqlite3");
    std::fs::copy(REPLICA, &replica).unwrap();
    let writer = rusqlite::Connection::open(&replica).unwrap();
    writer.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    let add =
        "INSERT INTO tasks (uuid, data) VALUES ('57cd2c0f-0000-4b0e-9a36-0d6b7a0c1e2f', '{\"description\":\"new\"}')";
    writer.execute("BEGIN IMMEDIATE", []).unwrap();
    writer.execute(add, []).unwrap();
    assert!(tasks.ok(&["import", "--taskchampion", "taskchampion.sqlite3"]).ends_with("5 tasks\n"));
    writer.execute("COMMIT", []).unwrap();
    assert!(tasks.ok(&["import", "--taskchampion", "taskchampion.sqlite3"]).ends_with("6 tasks\n"));
}

#[test]
fn what_is_no_replica_is_said() {
    let mut tasks = Tasks::new();
    tasks.room.write(
        "text.sqlite3",
        "no database, but long enough that SQLite has a look at it, which it does from a hundred bytes on, or so",
    );
    tasks.ok(&["--at", "store.db", "add", "x"]);
    let replica = tasks.room.path("newer.sqlite3");
    std::fs::copy(REPLICA, &replica).unwrap();
    let newer = rusqlite::Connection::open(&replica).unwrap();
    newer.execute("UPDATE version SET major = 1", []).unwrap();
    let damaged = tasks.room.path("damaged.sqlite3");
    std::fs::copy(REPLICA, &damaged).unwrap();
    rusqlite::Connection::open(&damaged).unwrap().execute("UPDATE tasks SET data = '{\"due\":7}'", []).unwrap();
    for name in ["none.sqlite3", ".", "text.sqlite3", "store.db", "newer.sqlite3", "damaged.sqlite3"] {
        tasks.tell(&["import", "--taskchampion", name]);
    }
    insta::assert_snapshot!("taskchampion-refusals", tasks.told);
}

/// What Taskwarrior's settings say where these tasks are shared.
fn settings(url: &str, secret: &str) -> String {
    format!(
        "data.location=~/.task\nsync.server.url={url}\nsync.server.client_id={CLIENT}\nsync.encryption_secret={secret}\n"
    )
}

const CLIENT: &str = "296d835e-8f85-4224-8f36-c612cad1b9f8";

/// With TaskChampion's own replicas: `interop/tests/shared.rs`.
#[test]
fn tasks_are_shared_by_taskwarrior_s_settings() {
    let mut tasks = Tasks::new();
    let hub = tasks.room.hub();
    tasks.room.write("vera.rc", &settings(&hub.url, "ours alone"));
    tasks.add(&["Buy milk"]);
    let place = "taskchampion:vera.rc";
    assert_eq!(tasks.ok(&["sync", place]), format!("{place}: 0 tasks came, 1 task went\n"));
    // Another machine, with the same settings.
    assert_eq!(tasks.ok(&["--at", "phone.db", "sync", place]), format!("{place}: 1 task came, 0 tasks went\n"));
    tasks.ok(&["--at", place, "add", "+home", "Paint the fence"]);
    assert!(tasks.ok(&["--at", place, "list"]).ends_with("2 tasks\n"));
    for machine in [&["--at", "phone.db", "sync", place][..], &["sync", place]] {
        assert_eq!(tasks.ok(machine), format!("{place}: 1 task came, 0 tasks went\n"));
        assert_eq!(tasks.ok(machine), format!("{place}: nothing to do\n"));
    }
    let refused = tasks.run(&["move", "--from", place, "--to", "other.db"]);
    assert!(refused.code == 4 && refused.err.contains("--keep copies the tasks"), "{refused}");
    tasks.ok(&["move", "--from", place, "--to", "other.db", "--keep"]);
    assert!(tasks.ok(&["--at", "other.db", "list"]).ends_with("2 tasks\n"));
    drop(hub);
    assert_eq!(tasks.run(&["sync", place]).code, 5);
}

#[test]
fn settings_that_will_not_do_are_told_and_never_repeated() {
    let mut tasks = Tasks::new();
    let hub = tasks.room.hub();
    tasks.add(&["Buy milk"]);
    let good = settings(&hub.url, "ours alone");
    tasks.room.write("good.rc", &good);
    tasks.ok(&["sync", "taskchampion:good.rc"]);
    tasks.room.write("guessed.rc", &settings(&hub.url, "guessed"));
    tasks.room.write("empty.rc", "");
    tasks.room.write("id.rc", &good.replace(CLIENT, "hunter2"));
    tasks.room.write("url.rc", &good.replace("http", "gopher"));
    let mut told = String::new();
    for file in ["guessed.rc", "empty.rc", "id.rc", "url.rc", "missing.rc", ""] {
        let ran = tasks.run(&["sync", &format!("taskchampion:{file}")]);
        for secret in ["guessed ", "ours alone", "hunter2", CLIENT] {
            assert!(!ran.err.contains(secret) && !ran.out.contains(secret), "{ran}");
        }
        told.push_str(&format!("{file}: exit code {}\n{}\n", ran.code, ran.err));
    }
    insta::assert_snapshot!("taskchampion-place-refusals", told);
    assert_eq!(tasks.ok(&["sync", "taskchampion:good.rc"]), "taskchampion:good.rc: nothing to do\n");
}
