//! The arguments of what is made of all arguments: completions and manual pages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Print what a shell needs to complete commands at the Tab key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy completions bash > ~/.local/share/bash-completion/completions/tolstoy
  tolstoy completions bash --for task > ~/.local/share/bash-completion/completions/task
  tolstoy completions zsh > ~/.zfunc/_tolstoy       where `fpath` has ~/.zfunc in it
  tolstoy completions fish > ~/.config/fish/completions/tolstoy.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
    /// The name that is completed: `task` is a link by that name
    #[arg(long = "for", value_enum, value_name = "NAME", default_value = "tolstoy")]
    pub(crate) name: ProgramName,
}

/// Names that the program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgramName {
    /// The program.
    Tolstoy,
    /// A link to it, which is `tolstoy task`.
    Task,
}

/// Write the manual pages into a directory: of `tolstoy`, of `task`, and of each command
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tolstoy man ~/.local/share/man/man1 && man tolstoy-task")]
pub(crate) struct Man {
    /// The directory, made where it is missing; pages of the same names are written over
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
