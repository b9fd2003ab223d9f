//! What the binary says of itself.

use crate::room::Room;

const COMMANDS: [&str; 21] = [
    "demo",
    "serve",
    "token",
    "repl",
    "transact",
    "query",
    "schema",
    "log",
    "import",
    "sync",
    "status",
    "conflicts",
    "key",
    "task",
    "daemon",
    "backup",
    "restore",
    "fsck",
    "gc",
    "completions",
    "man",
];

#[test]
fn each_command_explains_itself() {
    let room = Room::new();
    insta::assert_snapshot!("help", room.ok(&["help"]));
    for command in COMMANDS {
        insta::assert_snapshot!(format!("help-{command}"), room.ok(&["help", command]));
        assert!(room.ok(&[command, "-h"]).starts_with(room.ok(&["help", command]).split('\n').next().unwrap()));
    }
    let journal: Vec<String> =
        ["show", "apply", "drop", "export"].iter().map(|what| room.ok(&["help", "conflicts", what])).collect();
    insta::assert_snapshot!("help-conflicts-each", journal.join("\n"));
    let tasks = ["add", "modify", "done", "snooze", "list", "next", "show", "export", "import", "sync", "move"];
    let tasks: Vec<String> = tasks.iter().map(|what| room.ok(&["help", "task", what])).collect();
    insta::assert_snapshot!("help-task-each", tasks.join("\n"));
    assert!(room.ok(&["help"]).contains("Exit codes:"));
    assert!(room.ok(&["--version"]).starts_with("tolstoy 0."));
}

#[test]
fn the_help_lists_all_commands() {
    let listed = Room::new().ok(&["-h"]);
    for command in COMMANDS {
        assert!(listed.contains(&format!("\n  {command} ")), "{command}");
    }
}
