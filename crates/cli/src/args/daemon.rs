//! The arguments of `tolstoy daemon`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;
use crate::settings::DaemonSettings;

/// Keep places in step by itself: tasks with those elsewhere, stores with their logs
///
/// It watches the places that its settings file names, and syncs what changes: at once, and after any absence. It goes on for ever,
/// tells on standard error what it does, and may be stopped at any point; there is one for each user. SIGHUP has it read the file
/// again. What stands in the file above its pairs is also a flag and an environment variable (--retry is TOLSTOY_RETRY); a flag
/// beats the environment, which beats the file.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
A settings file (docs/daemon.md has all that may stand in it):
  [[tasks]]                       # those of `tolstoy task`, with a folder
  with = [\"~/Sync/tasks/\"]

  [[store]]                       # with the log that it synced with
  path = \"~/people.db\"

Examples:
  tolstoy daemon --check          what the settings file says, and what a sync would meet
  tolstoy daemon
  tolstoy daemon status
  tolstoy daemon sync             look at everything now
  tolstoy daemon --print-config   all settings, with their meaning"
)]
pub(crate) struct Daemon {
    #[command(subcommand)]
    pub(crate) what: Option<DaemonCommand>,
    /// The settings file, in TOML [default: daemon.toml in tolstoy/ among your configuration]
    #[arg(short, long, value_name = "FILE", env = "TOLSTOY_DAEMON_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings in force as a settings file, with the meaning and the origin of each, and do nothing else
    #[arg(long, conflicts_with = "check")]
    pub(crate) print_config: bool,
    /// Read the settings file, look at each place, tell what a sync would meet, and do nothing else
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) settings: DaemonSettings,
}

/// What to ask of a daemon that runs.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum DaemonCommand {
    Status(DaemonStatus),
    Sync(DaemonSync),
}

/// Say of each pair whether it is in step, and if not, why, and what to do
///
/// Exits with 0 where all pairs are in step or about to be, with 1 where no daemon runs, with 5 where one waits for something that
/// may pass, with 6 where you have to do something, with 7 where the daemon does not answer.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DaemonStatus {
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Have the daemon look at all pairs now, also at those that wait
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DaemonSync {
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Daemon {
    /// Whether the output, errors included, is JSON.
    pub(crate) fn json(&self) -> bool {
        match &self.what {
            Some(DaemonCommand::Status(args)) => args.output.json,
            Some(DaemonCommand::Sync(args)) => args.output.json,
            None => false,
        }
    }
}
