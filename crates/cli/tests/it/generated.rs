//! What is made of the definitions of arguments: completions of shells, and manual pages.

use std::collections::BTreeSet;
use std::process::Command;

use crate::room::Room;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

#[test]
fn each_shell_gets_completions_for_both_names() {
    let room = Room::new();
    for shell in SHELLS {
        let whole = room.ok(&["completions", shell]);
        assert!(
            whole.contains("tolstoy") && whole.contains("conflicts") && whole.contains("tls-self-signed"),
            "{shell}"
        );
        let task = room.ok(&["completions", shell, "--for", "task"]);
        assert!(task.contains("snooze") && task.contains("taskchampion"), "{shell}");
        assert!(!task.contains("tls-self-signed"), "{shell}: the link has the commands of tasks alone");
    }
    let refused = room.run(&["completions", "csh"]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.err.contains("bash, elvish, fish, powershell, zsh"), "{refused}");
}

#[cfg(unix)]
#[test]
fn bash_completes_with_them() {
    let room = Room::new();
    for (name, typed, wanted) in [
        ("tolstoy", "tolstoy ta", "task"),
        ("tolstoy", "tolstoy task mo", "modify\nmove"),
        ("task", "task mo", "modify\nmove"),
        ("task", "task export --fo", "--format"),
    ] {
        room.write("completions.sh", &room.ok(&["completions", "bash", "--for", name]));
        let words: Vec<String> = typed.split(' ').map(|word| format!("'{word}'")).collect();
        let script = format!(
            ". ./completions.sh; COMP_WORDS=({}); COMP_CWORD={}; \"_{name}\" {name} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).current_dir(room.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut found: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().split_whitespace().collect();
        found.sort_unstable();
        assert_eq!(found.join("\n"), wanted, "{typed}");
    }
}

#[test]
fn each_command_has_a_page() {
    let room = Room::new();
    let told = room.ok(&["man", "pages"]);
    let names = std::fs::read_dir(room.path("pages")).unwrap();
    let pages: BTreeSet<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(told, format!("pages: {} pages\n", pages.len()));
    for page in ["tolstoy.1", "tolstoy-sync.1", "tolstoy-token-create.1", "tolstoy-task-move.1", "task.1", "task-add.1"]
    {
        assert!(pages.contains(page), "{page} is not among {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(room.path(&format!("pages/{page}"))).unwrap();
        let name = page.trim_end_matches(".1");
        assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{page}");
        assert!(text.contains(&format!("\n{}", name.replace('-', "\\-"))), "{page} does not say its name");
    }
    // Once more is no failure, a file in the way is.
    room.ok(&["man", "pages"]);
    room.write("file", "");
    let refused = room.run(&["man", "file"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err.contains("file:"), "{refused}");
}
