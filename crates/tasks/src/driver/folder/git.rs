//! Commits, through the program `git`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::names;
use crate::TaskId;
use crate::driver::Trouble;

/// Commits these tasks' files, and that the others were removed, and nothing else that is staged. A folder outside any work tree
/// has nothing to commit to, and nothing is done.
pub(super) fn commit(root: &Path, tasks: &[TaskId], removed: &[String]) -> Result<(), Trouble> {
    let trouble = |why: String| Trouble { place: "git".to_owned(), why };
    match run(root, &["rev-parse", "--is-inside-work-tree"], &[]) {
        Ok(inside) if inside.trim() == "true" => {}
        Ok(_) => return Ok(()),
        Err(Failure::NotRun(why)) => return Err(trouble(why)),
        Err(Failure::Said(_)) => return Ok(()),
    }
    let tracked = if removed.is_empty() {
        String::new()
    } else {
        let literal: Vec<String> = removed.iter().map(|name| format!(":(literal){name}")).collect();
        let arguments: Vec<&str> =
            ["ls-files", "-z", "--"].into_iter().chain(literal.iter().map(String::as_str)).collect();
        run(root, &arguments, &[]).map_err(|e| trouble(e.to_string()))?
    };
    let own = tasks.iter().map(|id| names::of_task(*id));
    let gone = tracked.split('\0').filter(|name| !name.is_empty()).map(str::to_owned);
    let mut paths: Vec<String> = own.chain(gone).collect();
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        return Ok(());
    }
    let from_input = ["--pathspec-from-file=-", "--pathspec-file-nul"];
    let add: Vec<&str> = ["--literal-pathspecs", "add", "-A"].into_iter().chain(from_input).collect();
    run(root, &add, &paths).map_err(|e| trouble(format!("what was written could not be added: {e}")))?;
    let staged = run(root, &["diff", "--cached", "--quiet"], &[]);
    if staged.is_ok() {
        return Ok(());
    }
    let message = match if tasks.is_empty() { paths.len() } else { tasks.len() } {
        1 => "tasks: 1 changed".to_owned(),
        n => format!("tasks: {n} changed"),
    };
    let commit: Vec<&str> =
        ["--literal-pathspecs", "commit", "-q", "-m", &message].into_iter().chain(from_input).collect();
    match run(root, &commit, &paths) {
        Ok(_) => Ok(()),
        Err(Failure::Said(text)) if text.contains("nothing to commit") || text.contains("no changes added") => Ok(()),
        Err(e) => Err(trouble(format!("what was written could not be committed: {e}"))),
    }
}

enum Failure {
    NotRun(String),
    Said(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::NotRun(text) | Self::Said(text)) = self;
        f.write_str(text.trim())
    }
}

/// Runs git with these paths on its standard input, and gives what it prints.
fn run(root: &Path, arguments: &[&str], paths: &[String]) -> Result<String, Failure> {
    let not_run = |e: std::io::Error| Failure::NotRun(format!("`git` cannot be run: {e}"));
    let mut child = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    if let Some(mut input) = child.stdin.take() {
        // Git reads all of them before it prints; where it ends early, its status says so.
        let _ = input.write_all(paths.join("\0").as_bytes());
    }
    let output = child.wait_with_output().map_err(not_run)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(Failure::Said(format!("{text}{}", String::from_utf8_lossy(&output.stderr))))
    }
}
