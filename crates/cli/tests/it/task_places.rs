//! Tasks between places: `sync`, `move`, and commits of a folder.

use std::process::Command;

use crate::task::Tasks;

#[test]
fn places_are_brought_in_step() {
    let mut tasks = Tasks::new();
    tasks.add(&["Buy milk"]);
    tasks.ok(&["--at", "stick/", "add", "Paint the fence"]);
    for args in [
        &["sync", "stick", "other.db"][..],
        &["sync", "stick", "other.db"],
        &["--at", "other.db", "list", "--columns", "description"],
        &["sync"],
        &["--at", "stick", "sync", "stick/"],
    ] {
        tasks.tell(args);
    }
    insta::assert_snapshot!("task-sync", tasks.told);
    let (a, b) = (tasks.ok(&["--at", "stick", "export"]), tasks.ok(&["--at", "other.db", "export"]));
    assert_eq!(a, b);
    let told: serde_json::Value = serde_json::from_str(&tasks.ok(&["sync", "stick", "--json"])).unwrap();
    assert_eq!(
        (told[0]["in_step"].as_bool(), told[0]["came"].as_array().map(Vec::len)),
        (Some(true), Some(0)),
        "{told}"
    );
}

#[test]
fn one_place_that_fails_keeps_no_other_back() {
    let mut tasks = Tasks::new();
    tasks.add(&["Buy milk"]);
    tasks.room.write("stick", "no folder");
    let ran = tasks.run(&["sync", "stick", "good/", "not/mounted/"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "good/: 0 tasks came, 1 task went\n"), "{ran}");
    assert!(ran.err.contains("stick: ") && ran.err.contains("not/mounted/: there is no directory not"), "{ran}");
    assert!(!tasks.room.path("not").exists());
}

#[test]
fn edits_of_one_task_on_both_sides_are_told() {
    let mut tasks = Tasks::new();
    let id = tasks.add(&["Buy milk"]);
    tasks.ok(&["sync", "stick/"]);
    tasks.ok(&["modify", &id, "Buy oat milk"]);
    tasks.ok(&["--at", "stick", "modify", &id, "Buy rice milk"]);
    let ran = tasks.run(&["sync", "stick"]);
    assert!(ran.code == 0 && ran.err.contains("both sides changed description"), "{ran}");
    let lost = "lost in a conflict: description \"Buy oat milk\"";
    assert!(tasks.ok(&["show", &id]).contains(lost));
    // A place that had no such task changed nothing of it, and has the whole of it.
    assert_eq!(tasks.run(&["--at", "other.db", "sync", "stick"]).err, "created other.db\n");
    assert!(tasks.ok(&["--at", "other.db", "show", &id]).contains(lost));
}

#[test]
fn a_move_changes_where_the_tasks_live() {
    let mut tasks = Tasks::new();
    let milk = tasks.ok(&["--at", "folder/", "add", "Buy milk"]);
    tasks.ok(&["--at", "folder/", "add", "Paint the fence"]);
    tasks.ok(&["--at", "new.db", "add", "Its own"]);
    for args in [
        &["move", "--from", "folder", "--to", "copy/", "--keep"][..],
        &["move", "--from", "folder", "--to", "new.db"],
        &["--at", "folder/", "move", "--from", "folder", "--to", "new.db"],
        &["--at", "folder", "list"],
        &["--at", "new.db", "list", "--columns", "description"],
        &["move", "--from", "nothing.db", "--to", "new.db"],
        &["move", "--from", "new.db", "--to", "new.db"],
        &["move", "--from", "new.db"],
    ] {
        tasks.tell(args);
    }
    insta::assert_snapshot!("task-move", tasks.told);
    assert!(tasks.room.path(&format!("folder/moved/{}.json", milk.trim())).is_file());
    assert!(!tasks.room.path("nothing.db").exists());
    // Back again: the store lets go of the facts, and its log keeps them.
    let told = tasks.ok(&["move", "--from", "new.db", "--to", "folder", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["released"].as_array().map(Vec::len), Some(3), "{told}");
    assert_eq!(tasks.ok(&["--at", "new.db", "list", "@all"]), "0 tasks\n");
    assert!(tasks.room.ok(&["log", "new.db"]).contains("Buy milk"));
    assert!(tasks.ok(&["--at", "folder", "list"]).ends_with("3 tasks\n"));
}

#[test]
fn a_store_of_a_log_is_emptied_only_by_who_means_all_its_stores() {
    let tasks = Tasks::new();
    let hub = tasks.room.hub();
    tasks.ok(&["--at", "laptop.db", "add", "Buy milk"]);
    tasks.room.ok(&["sync", "laptop.db", &hub.url, "new"]);
    let refused = tasks.run(&["move", "--from", "laptop.db", "--to", "folder/"]);
    assert_eq!(refused.code, 4, "{refused}");
    assert!(refused.err.contains("--keep copies the tasks, --everywhere takes them out"), "{refused}");
    assert!(!tasks.room.path("folder").exists());
    tasks.ok(&["move", "--from", "laptop.db", "--to", "folder/", "--keep"]);
    assert!(tasks.ok(&["--at", "laptop.db", "list"]).ends_with("1 task\n"));
    tasks.ok(&["move", "--from", "laptop.db", "--to", "folder/", "--everywhere"]);
    assert_eq!(tasks.ok(&["--at", "laptop.db", "list", "@all"]), "0 tasks\n");
}

#[test]
fn a_folder_in_a_git_work_tree_is_committed_where_that_is_set() {
    let tasks = Tasks::new();
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(tasks.room.path("")).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "-q"]);
    git(&["config", "user.name", "Vera"]);
    git(&["config", "user.email", "vera@example.org"]);
    let with_path = |args: &[&str], variable: Option<&str>| {
        let mut command = tasks.room.command(&[&["task", "--at", "folder/"], args].concat());
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(variable.map(|value| ("TOLSTOY_TASK_COMMIT", value)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let commits = || git(&["log", "--all", "--format=%s"]).lines().count();
    with_path(&["add", "not committed"], None);
    assert_eq!(commits(), 0);
    with_path(&["--commit", "add", "committed"], None);
    assert_eq!(commits(), 1);
    with_path(&["add", "by the environment"], Some("true"));
    assert_eq!(commits(), 2);
    with_path(&["--commit=false", "add", "not this one"], Some("true"));
    assert_eq!(commits(), 2);
    with_path(&["--commit", "move", "--from", "folder", "--to", "tasks.db"], None);
    assert!(commits() > 2);
    assert_eq!(git(&["ls-files", "folder"]), "", "what moved is in the history alone");
}

#[test]
fn a_hub_is_a_place_to_sync_with_and_to_move_to() {
    let mut tasks = Tasks::new();
    let hub = tasks.room.hub();
    tasks.add(&["Buy milk"]);
    let log = format!("{}/1/logs/0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e", hub.url);
    assert_eq!(
        tasks.ok(&["sync", &log, "stick/"]),
        format!("{log}: 0 tasks came, 1 task went\nstick/: 0 tasks came, 1 task went\n")
    );
    tasks.ok(&["--at", &log, "add", "Paint the fence"]);
    assert_eq!(
        tasks.ok(&["sync", "stick", &log]),
        format!("stick: 0 tasks came, 1 task went\n{log}: 1 task came, 0 tasks went\n")
    );
    tasks.ok(&["--at", "other.db", "add", "Bake a cake"]);
    tasks.ok(&["move", "--from", "other.db", "--to", &log]);
    assert_eq!(tasks.ok(&["--at", "other.db", "list", "@all"]), "0 tasks\n");
    assert!(tasks.ok(&["--at", &log, "list"]).ends_with("3 tasks\n"));
    let refused = tasks.run(&["move", "--from", &log, "--to", "other.db"]);
    assert!(refused.code == 4 && refused.err.contains("--keep copies the tasks"), "{refused}");
    tasks.ok(&["move", "--from", &log, "--to", "other.db", "--keep"]);
    assert!(tasks.ok(&["--at", "other.db", "list"]).ends_with("3 tasks\n"));
    // A hub that is away is told of, and keeps no other back.
    drop(hub);
    let ran = tasks.run(&["sync", &log, "late/"]);
    assert_eq!((ran.code, ran.out.as_str()), (5, "late/: 0 tasks came, 2 tasks went\n"), "{ran}");
}

#[test]
fn a_sync_begins_a_log_and_tells_its_address() {
    let tasks = Tasks::new();
    let hub = tasks.room.hub();
    tasks.ok(&["add", "Buy milk"]);
    let new = format!("{}/1/logs/new", hub.url);
    let ran = tasks.run(&["sync", &new]);
    let place = ran.err.trim_end().strip_prefix("new log; on another device: tolstoy task sync ").unwrap_or_default();
    assert_eq!((ran.code, &ran.out), (0, &format!("{place}: 0 tasks came, 1 task went\n")), "{ran}");
    assert_eq!(tasks.ok(&["--at", "other.db", "sync", place]), format!("{place}: 1 task came, 0 tasks went\n"));
    let json = tasks.run(&["sync", "--json", &format!("{new}/")]);
    let told: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let another = told[0]["place"].as_str().unwrap();
    assert!(json.err.is_empty() && another != place && another != new, "{json}");
    assert!(tasks.ok(&["--at", another, "list"]).contains("Buy milk"));
    // Elsewhere it is not known which log is meant.
    let ran = tasks.run(&["--at", &new, "list"]);
    assert!(ran.code == 2 && ran.err.contains("`tolstoy task sync URL/1/logs/new` makes a log"), "{ran}");
    // Where nothing was begun, nothing is said of it.
    let ran = tasks.run(&["sync", "http://127.0.0.1:1/1/logs/new"]);
    assert!(ran.code == 5 && !ran.err.contains("new log"), "{ran}");
}
