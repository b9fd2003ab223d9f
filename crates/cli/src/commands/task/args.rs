//! The arguments of `tolstoy task`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Args, Command, Subcommand, ValueEnum};

use super::columns::Column;
use super::settings::TaskSettings;
use crate::args::{Access, Output};

/// Keep tasks: in a store of their own, in a folder with a file for each, or on a hub
///
/// Words say what a task is like: +tag, -tag, due:DATE, wait:DATE, snooze:DATE, recur:LENGTH, NAME:VALUE for any other property,
/// NAME: to remove it; the rest is the description. The same kind of words, with @STATE, `or` and `not`, are a filter. Dates are
/// 2026-11-25, 2026-11-25T09:30, now, tomorrow, fri, next friday, eod, eow, eom, eoy, 3d, 2w, 1mo.
/// Called by the name `task`, through a link, the program is this command.
///
/// Each setting is a flag, an environment variable and a key of the settings file; --print-config lists them. A flag beats
/// the environment, which beats the file.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  tolstoy task add due:eod +home Buy milk
  tolstoy task list +home due.before:eow
  tolstoy task done pb6
  tolstoy task add due:fri recur:1w Water the plants
  tolstoy task --at ~/Dropbox/tasks/ list
  tolstoy task --at https://hub.example/1/logs/0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e list
  tolstoy task sync ~/Dropbox/tasks/
  tolstoy task sync taskchampion:~/.taskrc     share tasks with Taskwarrior 3, as its settings say
  tolstoy task import --taskchampion ~/.task
  tolstoy task --print-config > ~/.config/tolstoy/tasks.toml")]
pub(crate) struct Task {
    /// The settings file, in TOML; TOLSTOY_TASK_CONFIG names it too [default: tasks.toml where tolstoy looks for settings]
    #[arg(short, long, value_name = "FILE", env = "TOLSTOY_TASK_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings in force as a settings file, with the meaning and the origin of each, and do nothing else
    #[arg(long)]
    pub(crate) print_config: bool,
    #[command(flatten)]
    pub(crate) settings: TaskSettings,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(subcommand)]
    pub(crate) what: Option<TaskCommand>,
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    Add(Add),
    Modify(Modify),
    /// Mark tasks as done; one that recurs comes back at its next time
    Done(Chosen),
    /// Mark tasks as deleted; a mark that travels, and can be taken back
    Delete(Chosen),
    Snooze(Snooze),
    List(List),
    Next(Next),
    Show(Show),
    Tags(Tags),
    Undo(Undo),
    Export(Export),
    Import(Import),
    Sync(SyncWith),
    Move(Move),
}

/// Make a task
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What it is like
    #[arg(value_name = "WORD", required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
}

/// Change a task
#[derive(Debug, Args)]
pub(crate) struct Modify {
    /// The beginning of its id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// What is to change
    #[arg(value_name = "WORD", required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
}

/// Which tasks
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// The beginnings of their ids
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
}

/// Put a task off
#[derive(Debug, Args)]
pub(crate) struct Snooze {
    /// The beginning of its id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Until when
    #[arg(value_name = "DATE", required = true, allow_hyphen_values = true)]
    pub(crate) until: Vec<String>,
}

/// List tasks, by due date; the open ones, where no state is asked for
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which
    #[arg(value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) filter: Vec<String>,
    /// What is shown of each, with commas: id, state, score, blocked, or the name of any property [default: the setting list-columns]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<Column>>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// List the tasks that can be done now, the most urgent first
#[derive(Debug, Args)]
pub(crate) struct Next {
    /// Which
    #[arg(value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) filter: Vec<String>,
    /// What is urgent: an expression over the task (docs/tasks.md) [default: the setting score]
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) score: Option<String>,
    /// What is shown of each, as for list [default: the setting next-columns]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<Column>>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Print tasks as a JSON array; all, where no state is asked for
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Which
    #[arg(value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) filter: Vec<String>,
    /// Whose JSON: our documents, or Taskwarrior's, as its `task import` reads it
    #[arg(
        long,
        value_enum,
        value_name = "tolstoy|taskwarrior",
        default_value = "tolstoy",
        hide_possible_values = true
    )]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Whose JSON tasks are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Documents, as in `docs/tasks.md`.
    Tolstoy,
    /// Taskwarrior's.
    Taskwarrior,
}

/// Show all of a task, and what was lost of it in conflicts
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The beginning of its id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// List the tags of open tasks, with how many have each
#[derive(Debug, Args)]
pub(crate) struct Tags {
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Take back the last command that changed tasks in this place; again, the one before
#[derive(Debug, Args)]
pub(crate) struct Undo {}

/// Take in tasks: each is resolved with what is here, so that twice is as good as once
///
/// What `tolstoy task export` prints, and what Taskwarrior's `task export` prints; or the replica that Taskwarrior 3 keeps, which may
/// be in use. What Taskwarrior knows and we have no use for is kept, and goes out again with `export --format taskwarrior`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy task import tasks.json
  task export | tolstoy task import -            from Taskwarrior
  tolstoy task import --taskchampion ~/.task     the same without it")]
pub(crate) struct Import {
    /// The file, or - for standard input
    #[arg(value_name = "FILE|-", required_unless_present = "taskchampion")]
    pub(crate) file: Option<PathBuf>,
    /// Whose JSON it is [default: recognised by the uuids of Taskwarrior's tasks]
    #[arg(long, value_enum, value_name = "tolstoy|taskwarrior", hide_possible_values = true)]
    pub(crate) format: Option<Format>,
    /// A replica of Taskwarrior 3: taskchampion.sqlite3, or its directory. It is read, and not written
    #[arg(long, value_name = "PATH", conflicts_with_all = ["file", "format"])]
    pub(crate) taskchampion: Option<PathBuf>,
}

/// Bring the tasks here in step with other places, once
///
/// What either side lacks, or has otherwise, goes there; edits of one task on both sides become one, and nothing is lost.
#[derive(Debug, Args)]
#[command(name = "sync")]
#[command(after_help = "\
Examples:
  tolstoy task sync ~/Dropbox/tasks/
  tolstoy task sync taskchampion:~/.taskrc     share tasks with Taskwarrior 3, as its settings say
  tolstoy task --at tasks.db sync /media/stick/tasks/ other.db
  tolstoy task --token-file t.token sync https://hub.example/1/logs/new      begins a log there
  tolstoy task --token-file t.token sync https://hub.example/1/logs/0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e")]
pub(crate) struct SyncWith {
    /// The other places: folders, the files of stores, logs on hubs (URL/1/logs/LOG), what Taskwarrior syncs (taskchampion:TASKRC); files and folders are made where they are missing
    #[arg(value_name = "PLACE", required = true)]
    pub(crate) places: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Move all tasks from one place to another
///
/// Copies them, reads the target to see that it has all, and only then has the source let go: a folder puts the files into its
/// directory `moved`, a store retracts the facts, which its log keeps. Whatever interrupts it, nothing is lost, and the same command goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy task move --from ~/Dropbox/tasks/ --to ~/tasks.db
  tolstoy task move --from tasks.db --to copy/ --keep")]
pub(crate) struct Move {
    /// The place that has the tasks
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: PathBuf,
    /// The place that gets them, made where it is missing
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: PathBuf,
    /// Leave the source as it is: a copy
    #[arg(long)]
    pub(crate) keep: bool,
    /// Take the tasks out of a store that syncs with a log, and so out of all stores of that log
    #[arg(long, conflicts_with = "keep")]
    pub(crate) everywhere: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl TaskCommand {
    /// Whether it makes tasks where there are none, and so a place for them.
    pub(crate) const fn adds(&self) -> bool {
        matches!(self, Self::Add(_) | Self::Import(_) | Self::Sync(_) | Self::Move(_))
    }
}

impl Task {
    /// Whether the output, errors included, is JSON.
    pub(crate) const fn json(&self) -> bool {
        match &self.what {
            Some(TaskCommand::List(args)) => args.output.json,
            Some(TaskCommand::Export(args)) => args.output.json,
            Some(TaskCommand::Sync(args)) => args.output.json,
            Some(TaskCommand::Move(args)) => args.output.json,
            Some(TaskCommand::Next(args)) => args.output.json,
            Some(TaskCommand::Show(args)) => args.output.json,
            Some(TaskCommand::Tags(args)) => args.output.json,
            _ => false,
        }
    }
}

/// The arguments with the flags of a command whose words may begin with a hyphen before its words: `list +home --json` means what
/// `list --json +home` does. No word of a filter begins with two hyphens.
pub(crate) fn flags_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let Some(begin) = words_begin(&arguments) else { return arguments };
    let flags = List::augment_args(Next::augment_args(Export::augment_args(Command::new("words"))));
    let takes_value = |flag: &str| {
        let known = flags.get_arguments().find(|arg| arg.get_long() == Some(flag));
        known.is_some_and(|arg| arg.get_action().takes_values())
    };
    let (mut first, mut words) = (Vec::new(), Vec::new());
    let mut rest = arguments.split_off(begin).into_iter();
    while let Some(argument) = rest.next() {
        let flag = argument.to_str().and_then(|text| text.strip_prefix("--")).map(str::to_owned);
        match flag.as_deref() {
            Some("") => {
                words.push(argument);
                words.extend(rest.by_ref());
            }
            Some(flag) => {
                first.push(argument);
                first.extend(takes_value(flag).then(|| rest.next()).flatten());
            }
            None => words.push(argument),
        }
    }
    arguments.extend(first);
    arguments.extend(words);
    arguments
}

/// Where what follows `task list` and the like begins.
fn words_begin(arguments: &[OsString]) -> Option<usize> {
    (arguments.get(1)? == "task").then_some(())?;
    let mut at = 2;
    let flag_at = |at: usize| arguments.get(at)?.to_str()?.strip_prefix('-');
    if flag_at(at).is_some() {
        let task = Task::augment_args(Command::new("task"));
        while let Some(flag) = flag_at(at) {
            let is_named = |arg: &&Arg| match flag.strip_prefix('-') {
                Some(long) => arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&long)),
                None => arg.get_short().is_some_and(|short| flag.chars().eq([short])),
            };
            let value = task.get_arguments().find(is_named);
            at += if value.is_some_and(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set()) {
                2
            } else {
                1
            };
        }
    }
    ["list", "next", "export"].iter().any(|name| arguments.get(at).is_some_and(|a| a == name)).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        flags_first(arguments).iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn flags_of_lists_may_stand_after_the_words() {
        for (line, expected) in [
            ("tolstoy task list +home -shop --json", "tolstoy task list --json +home -shop"),
            ("tolstoy task list @all --columns id,due x --json", "tolstoy task list --columns id,due --json @all x"),
            ("tolstoy task --at list next -x --score=1", "tolstoy task --at list next --score=1 -x"),
            (
                "tolstoy task --token-in-clear -c f --at=x list +a --json",
                "tolstoy task --token-in-clear -c f --at=x list --json +a",
            ),
            ("tolstoy task --commit export a -- --json", "tolstoy task --commit export a -- --json"),
            ("tolstoy task list --columns", "tolstoy task list --columns"),
            ("tolstoy task add x --json", "tolstoy task add x --json"),
            ("tolstoy query list x --json", "tolstoy query list x --json"),
            ("tolstoy task", "tolstoy task"),
        ] {
            assert_eq!(sorted(line), expected);
        }
    }
}
