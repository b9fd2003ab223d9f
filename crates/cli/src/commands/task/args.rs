//! The arguments of `tolstoy task`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::{Access, Output};

/// Keep tasks: in a store of their own, in a folder with a file for each, or on a hub
///
/// Words say what a task is like: +tag, -tag, due:DATE, wait:DATE, snooze:DATE, recur:LENGTH, NAME:VALUE for any other property,
/// NAME: to remove it; the rest is the description. The same kind of words, with @STATE, `or` and `not`, are a filter. Dates are
/// 2026-11-25, 2026-11-25T09:30, now, tomorrow, fri, next friday, eod, eow, eom, eoy, 3d, 2w, 1mo.
/// Called by the name `task`, through a link, the program is this command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy task add due:eod +home Buy milk
  tolstoy task list +home due.before:eow
  tolstoy task done pb6
  tolstoy task add due:fri recur:1w Water the plants
  tolstoy task --at ~/Dropbox/tasks list
  tolstoy task --at https://hub.example/1/logs/0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e list")]
pub(crate) struct Task {
    /// Where the tasks are: a folder, the file of a store, or a log on a hub (URL/1/logs/LOG) [default: tasks.db where tolstoy keeps its data]
    #[arg(long, value_name = "PLACE", env = "TOLSTOY_TASKS", hide_env_values = true)]
    pub(crate) at: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(subcommand)]
    pub(crate) what: TaskCommand,
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
    /// List tasks, by due date; the open ones, where no state is asked for
    List(Filtered),
    Next(Next),
    Show(Show),
    Tags(Tags),
    Undo(Undo),
    /// Print the documents of tasks as a JSON array; all, where no state is asked for
    Export(Filtered),
    Import(Import),
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

/// Which tasks to show
#[derive(Debug, Args)]
pub(crate) struct Filtered {
    /// Which
    #[arg(value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) filter: Vec<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// List the tasks that can be done now, the most urgent first
#[derive(Debug, Args)]
pub(crate) struct Next {
    /// Which
    #[arg(value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) filter: Vec<String>,
    /// What is urgent: an expression over the task (docs/tasks.md)
    #[arg(long, value_name = "EXPRESSION", env = "TOLSTOY_TASK_SCORE", hide_env_values = true, default_value = tolstoy_tasks::Score::DEFAULT, hide_default_value = true)]
    pub(crate) score: String,
    #[command(flatten)]
    pub(crate) output: Output,
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

/// Take in documents, as export prints them: each is resolved with what is here
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file, or - for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
}

impl Task {
    /// Whether the output, errors included, is JSON.
    pub(crate) const fn json(&self) -> bool {
        match &self.what {
            TaskCommand::List(args) | TaskCommand::Export(args) => args.output.json,
            TaskCommand::Next(args) => args.output.json,
            TaskCommand::Show(args) => args.output.json,
            TaskCommand::Tags(args) => args.output.json,
            _ => false,
        }
    }
}
