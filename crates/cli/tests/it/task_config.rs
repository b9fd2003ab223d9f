//! The settings of tasks, columns and colours.

use crate::task::Tasks;

fn with(tasks: &Tasks, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = tasks.room.command(&[&["task"], args].concat());
    let output = command.env("TZ", "UTC").envs(variables.iter().copied()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    tasks.tidy(&text)
}

#[test]
fn the_settings_in_force_are_a_settings_file() {
    let tasks = Tasks::new();
    let first = with(&tasks, &["--print-config"], &[]);
    insta::assert_snapshot!("task-config", first);
    tasks.room.write("tasks.toml", &tasks.ok(&["--print-config"]));
    let second = tasks.ok(&["--config", "tasks.toml", "--print-config"]);
    assert_eq!(second.matches("this is from tasks.toml:").count(), 6, "{second}");
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let mut tasks = Tasks::new();
    std::fs::create_dir_all(tasks.room.path(".config/tolstoy")).unwrap();
    tasks.add(&["due:2099-01-01", "size:3", "Buy milk"]);
    tasks.room.write(
        ".config/tolstoy/tasks.toml",
        "score = \"value(size)\"\nlist-columns = [\"description\", \"size\"]\nnext-columns = [\"score\", \"description\"]\n",
    );
    let told = |args: &[&str], variables: &[(&str, &str)]| with(&tasks, args, variables);
    let list = [("TOLSTOY_TASK_LIST_COLUMNS", "size,id")];
    insta::assert_snapshot!(
        "task-settings-order",
        [
            told(&["list"], &[]),
            told(&["list"], &list),
            told(&["--list-columns", "due", "list"], &list),
            told(&["--list-columns", "due", "list", "--columns", "description,nothing"], &list),
            told(&["next"], &[]),
            told(&["next", "--score", "2"], &[]),
            told(&["next"], &[("TOLSTOY_TASK_SCORE", "7")]),
        ]
        .join("\n")
    );
}

#[test]
fn the_place_may_be_set() {
    let tasks = Tasks::new();
    tasks.room.write("tasks.toml", &format!("place = \"{}/\"\n", tasks.room.path("folder").display()));
    let id = tasks.ok(&["--config", "tasks.toml", "add", "Buy milk"]);
    assert!(tasks.room.path(&format!("folder/{}.json", id.trim())).is_file());
    assert!(tasks.ok(&["--place", "folder", "list"]).contains("Buy milk"));
    assert_eq!(tasks.ok(&["--config", "tasks.toml", "--at", "folder/", "list", "@done"]), "0 tasks\n");
    // The home directory is the room.
    tasks.room.write("tasks.toml", "place = \"~/folder/\"\n");
    assert!(tasks.ok(&["--config", "tasks.toml", "list"]).contains("Buy milk"));
    assert!(tasks.ok(&["--at=~/folder", "list"]).contains("Buy milk"));
}

#[test]
fn a_mistyped_place_is_told_of_and_not_made() {
    let tasks = Tasks::new();
    for command in [
        &["list"][..],
        &["next"],
        &["tags"],
        &["export"],
        &["show", "pb6"],
        &["done", "pb6"],
        &["modify", "pb6", "x"],
        &["delete", "pb6"],
        &["snooze", "pb6", "fri"],
        &["undo"],
    ] {
        for place in ["fodler/", "tsaks.db"] {
            let ran = tasks.run(&[&["--at", place], command].concat());
            let told = ran.err.contains(&format!("{place}: there is no such folder or store"));
            assert!(ran.code == 1 && told && !tasks.room.path(place).exists(), "{command:?}: {ran}");
        }
    }
    // Those that bring tasks make it.
    assert_eq!(tasks.run(&["--at", "folder/", "add", "Buy milk"]).err, "created folder/\n");
    assert_eq!(tasks.ok(&["--at", "copy.db", "sync", "folder/"]), "folder/: 1 task came, 0 tasks went\n");
}

#[test]
fn bad_settings_are_told_with_their_place() {
    let tasks = Tasks::new();
    let told = |text: &str| {
        tasks.room.write("tasks.toml", text);
        let ran = tasks.run(&["--config", "tasks.toml", "list"]);
        assert!(ran.code == 3 && ran.out.is_empty(), "{ran}");
        ran.err
    };
    insta::assert_snapshot!(
        "task-settings-refusals",
        [
            told("\nscroe = \"1\"\n"),
            told("score = \"urgency\"\n"),
            told("score = 7\n"),
            told("list-columns = \"id\"\n"),
            told("list-columns = [\"id\", \"a b\"]\n"),
            told("colours = [\"@overdue\"]\n"),
            told("colours = [\"@opne = red\"]\n"),
            told("colours = [\"@open = crimson\"]\n"),
            told("place = \n"),
            told("commit = \"yes\"\n"),
        ]
        .join("\n")
    );
    let missing = tasks.run(&["--config", "none.toml", "list"]);
    assert_eq!(
        (missing.code, missing.err.contains("`tolstoy task --print-config` prints a settings file")),
        (1, true),
        "{missing}"
    );
    let wrong = tasks.run(&["list", "--columns", "a b"]);
    assert_eq!((wrong.code, wrong.err.contains("is no column")), (2, true), "{wrong}");
}

#[test]
fn what_is_over_is_seen_to_be() {
    let mut tasks = Tasks::new();
    let ids: Vec<String> = ["milk", "fence", "cake", "rent"].iter().map(|what| tasks.add(&[what])).collect();
    tasks.ok(&["done", &ids[0]]);
    tasks.ok(&["delete", &ids[1]]);
    tasks.ok(&["modify", &ids[2], &format!("blocked_by:{}", ids[3])]);
    tasks.ok(&["modify", &ids[3], "due:2020-01-01"]);
    insta::assert_snapshot!(
        "task-states",
        [
            with(&tasks, &["list", "@all"], &[]),
            with(&tasks, &["list"], &[]),
            with(&tasks, &["list", "@all", "--columns", "id,state,blocked,description"], &[]),
        ]
        .join("\n")
    );
}

#[test]
fn colours_go_by_rules_and_as_the_environment_says() {
    let mut tasks = Tasks::new();
    tasks.add(&["due:2020-01-01", "late"]);
    tasks.add(&["+work", "for work"]);
    let shown = |variables: &[(&str, &str)]| with(&tasks, &["list"], variables).replace('\u{1b}', "ESC");
    let plain = shown(&[]);
    assert!(!plain.contains("ESC"), "a pipe has no colours: {plain}");
    let forced = [("CLICOLOR_FORCE", "1")];
    insta::assert_snapshot!("task-colours", shown(&forced));
    let rules = [("CLICOLOR_FORCE", "1"), ("TOLSTOY_TASK_COLOURS", "+work = bold on-bright-blue; /late/ = underline")];
    insta::assert_snapshot!("task-colour-rules", shown(&rules));
    for off in [
        [("CLICOLOR_FORCE", "0"), ("A", "b")],
        [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
        [("CLICOLOR", "1"), ("A", "b")],
    ] {
        assert_eq!(shown(&off), plain);
    }
}
