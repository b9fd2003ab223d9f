//! The settings of `tolstoy task`: from flags, the environment and a file.

use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};
use jiff::tz::TimeZone;
use tolstoy_edn::Instant;
use tolstoy_tasks::{Calendar, Score};

use super::args::Task;
use super::colours::Rule;
use super::columns::Column;
use super::place;
use crate::dirs;
use crate::error::Failure;
use crate::settings::{self, Given, Surface};

/// The columns of `list` and `next`.
pub(super) const COLUMNS: [&str; 4] = ["id", "due", "description", "tags"];

const HEADING: &str = "Settings";

/// What people set once.
#[derive(Debug, Clone, Args)]
pub(crate) struct TaskSettings {
    /// Where the tasks are: a folder, where it is one or ends with a slash, the file of a store, a log on a hub (URL/1/logs/LOG), or what Taskwarrior syncs (taskchampion:TASKRC)
    #[arg(long, visible_alias = "at", value_name = "PLACE", env = "TOLSTOY_TASKS", hide_env = true, help_heading = HEADING)]
    pub(crate) place: Option<PathBuf>,
    /// Commit what is written, where the place is a folder in a git work tree
    #[arg(long, value_name = "true|false", env = "TOLSTOY_TASK_COMMIT", hide_env = true, help_heading = HEADING)]
    #[arg(default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) commit: bool,
    /// What `next` takes for urgent: an expression over the task
    #[arg(long, value_name = "EXPRESSION", env = "TOLSTOY_TASK_SCORE", hide_env = true, help_heading = HEADING)]
    #[arg(default_value = Score::DEFAULT, hide_default_value = true, value_parser = score)]
    pub(crate) score: String,
    /// What `list` shows of each task: id, state, score, blocked, or the name of any property
    #[arg(long, value_name = "NAMES", env = "TOLSTOY_TASK_LIST_COLUMNS", hide_env = true, help_heading = HEADING)]
    #[arg(default_values = COLUMNS, value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) list_columns: Vec<Column>,
    /// What `next` shows of each task
    #[arg(long, value_name = "NAMES", env = "TOLSTOY_TASK_NEXT_COLUMNS", hide_env = true, help_heading = HEADING)]
    #[arg(default_values = COLUMNS, value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) next_columns: Vec<Column>,
    /// How tasks look on a terminal: a filter, = and a style each, with semicolons; the first whose filter holds counts
    #[arg(long, value_name = "RULES", env = "TOLSTOY_TASK_COLOURS", hide_env = true, help_heading = HEADING)]
    #[arg(default_values = COLOURS, value_delimiter = ';', action = ArgAction::Append, value_parser = colour)]
    pub(crate) colours: Vec<String>,
}

impl TaskSettings {
    /// With `~/` for the home directory in the place: in a file nobody else replaces it.
    fn in_home(mut self) -> Self {
        let rest = self.place.as_ref().and_then(|place| place.to_str()?.strip_prefix("~/").map(str::to_owned));
        if let Some(place) = rest.and_then(|rest| Some(dirs::home()?.join(rest))) {
            self.place = Some(place);
        }
        self
    }
}

/// What is late stands out, what is over stands back.
const COLOURS: [&str; 4] =
    ["@deleted = dim strikethrough", "@done = dim", "@overdue = red", "@blocked or @waiting or @snoozed = dim"];

/// `tolstoy task`.
const TASK: Surface = Surface {
    command: "task",
    declare: TaskSettings::augment_args,
    tables: &[],
    example: ("place", "/home/vera/tasks/"),
};

/// The settings file, where people keep one.
fn usual_file() -> Option<PathBuf> {
    dirs::config().map(|dir| dir.join("tasks.toml")).filter(|path| path.is_file())
}

/// Where `tolstoy task` keeps tasks where its command line says nothing of that.
///
/// # Errors
/// Where its settings file is wrong, or there is no home directory.
pub(crate) fn usual_place() -> Result<PathBuf, Failure> {
    let given = usual_file().map_or(Ok(Given::default()), |path| Given::read(&path, &TASK))?;
    let command = given.stand_in(TaskSettings::augment_args(Command::new("task")));
    let matches = command.try_get_matches_from(["task"]).map_err(settings::misused)?;
    let settings = TaskSettings::from_arg_matches(&matches).map_err(settings::misused)?;
    settings.in_home().place.map_or_else(place::default_place, Ok)
}

fn score(text: &str) -> Result<String, String> {
    Score::parse(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
}

fn colour(text: &str) -> Result<String, String> {
    let zones = jiff::tz::db().clone();
    // What a date means does not matter here, whether it is one does.
    let calendar = Calendar::new(Instant::from_micros(0), TimeZone::UTC, zones).ok_or("there is no calendar")?;
    Rule::parse(text, &calendar).map(|_| text.to_owned()).map_err(|e| e.to_string())
}

/// The settings in force.
pub(super) struct InForce {
    pub(super) settings: TaskSettings,
    given: Given,
    matches: Option<ArgMatches>,
}

impl InForce {
    /// Reads the settings file, where there is one, and lets it stand where the defaults stood.
    pub(super) fn read(args: &Task) -> Result<Self, Failure> {
        let named = args.config.clone();
        let Some(path) = named.or_else(usual_file) else {
            return Ok(Self { settings: args.settings.clone().in_home(), given: Given::default(), matches: None });
        };
        let given = Given::read(&path, &TASK)?;
        let matches = matches(&given)?;
        let settings = TaskSettings::from_arg_matches(&matches).map_err(settings::misused)?;
        Ok(Self { settings: settings.in_home(), given, matches: Some(matches) })
    }

    /// The settings as a file.
    pub(super) fn document(&self) -> Result<String, Failure> {
        let matches = match &self.matches {
            Some(matches) => matches.clone(),
            None => matches(&self.given)?,
        };
        settings::document(&TASK, &matches, &self.given)
    }
}

/// The command line once more, with what the file says, and the place for tasks, where the defaults were.
fn matches(given: &Given) -> Result<ArgMatches, Failure> {
    TASK.with_file(given, |task| match place::default_place() {
        Ok(place) => task.mut_arg("place", |arg| arg.default_value(place.into_os_string())),
        Err(_) => task,
    })
}
