//! The settings of a daemon.

use clap::Args;

use super::{LogFormat, Period, Surface, positive};

/// The settings of `tolstoy daemon`, its pairs left out. See [`Settings`](super::Settings) for how to add one.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct DaemonSettings {
    /// How many syncs are under way at the same time
    #[arg(long, value_name = "N", env = "TOLSTOY_CONCURRENT_SYNCS", hide_env = true, help_heading = WHEN)]
    #[arg(default_value_t = 4, value_parser = positive)]
    pub(crate) concurrent_syncs: usize,
    /// How long a place that changes is quiet before it is synced; one that never is, is synced after ten times that
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_SETTLE", hide_env = true, help_heading = WHEN)]
    #[arg(default_value = "200ms")]
    pub(crate) settle: Period,
    /// How often places are looked at for changes that the system did not tell
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_LOOK", hide_env = true, help_heading = WHEN)]
    #[arg(default_value = "1m")]
    pub(crate) look: Period,
    /// After how long a pair is synced although nothing was seen to change
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_RECHECK", hide_env = true, help_heading = WHEN)]
    #[arg(default_value = "10m")]
    pub(crate) recheck: Period,
    /// The longest pause after failures; the first is about a second, each further one up to twice as long
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_RETRY", hide_env = true, help_heading = WHEN)]
    #[arg(default_value = "2m")]
    pub(crate) retry: Period,
    /// How long the syncs under way may take to end once the daemon stops
    #[arg(long, value_name = "DURATION", env = "TOLSTOY_DRAIN", hide_env = true, help_heading = WHEN)]
    #[arg(default_value = "10s")]
    pub(crate) drain: Period,
    /// What is told on standard error: a level (error, warn, info, debug, trace), or levels of parts, such as
    /// `info,tolstoy_sync=debug`
    #[arg(long, value_name = "FILTER", env = "TOLSTOY_LOG", hide_env = true, help_heading = super::TELLING)]
    #[arg(default_value = "info")]
    pub(crate) log: String,
    /// How it is told: as text for people, or as JSON, an object on each line
    #[arg(long, value_name = "text|json", env = "TOLSTOY_LOG_FORMAT", hide_env = true, help_heading = super::TELLING)]
    #[arg(default_value_t = LogFormat::Text, value_enum, hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
}

const WHEN: &str = "When it syncs";

/// `tolstoy daemon`.
pub(crate) const DAEMON: Surface = Surface {
    command: "daemon",
    declare: DaemonSettings::augment_args,
    tables: &["tasks", "store"],
    example: ("retry", "5m"),
};
