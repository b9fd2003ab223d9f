//! The one binary: stores, a hub to sync them through, and a shell.

mod access;
mod args;
mod commands;
mod daemon;
mod dirs;
mod error;
mod facts;
mod json;
mod keys;
mod manager;
mod progress;
mod repl;
mod settings;
mod signals;
mod telling;
mod text;
mod ui;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use tolstoy_env::Env;

use crate::args::{Cli, Command};
use crate::error::{Failure, Kind};
use crate::ui::Ui;

fn main() -> ExitCode {
    let mut ui = Ui::new();
    let parsed = Cli::command()
        .try_get_matches_from(arguments())
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?.command, matches)));
    let (command, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return misused(&error, &ui),
    };
    let json = command.json();
    let result = run(&command, &matches, &mut ui).and_then(|()| ui.flush());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.kind != Kind::Closed && !failure.told {
                // What was printed before the failure belongs before it; that it cannot be printed is the lesser news.
                let _ = ui.flush();
                ui.failure(&failure, json);
            }
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// The arguments. By the name `task`, through a link, the program is its command of that name, and says so.
pub(crate) fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.first().is_some_and(|name| Path::new(name).file_stem().is_some_and(|stem| stem == "task")) {
        arguments.splice(..1, ["tolstoy".into(), "task".into()]);
    }
    commands::task::args::flags_first(arguments)
}

fn run(command: &Command, matches: &ArgMatches, ui: &mut Ui) -> Result<(), Failure> {
    let env = Env::system();
    match command {
        Command::Demo(args) => commands::demo::run(args, ui),
        Command::Repl(args) => repl::run(args, matches.subcommand_matches("repl"), &env, ui),
        Command::Transact(args) => commands::transact::run(args, &env, ui),
        Command::Query(args) => commands::query::run(args, &env, ui),
        Command::Schema(args) => commands::schema::run(args, &env, ui),
        Command::Log(args) => commands::log::run(args, &env, ui),
        Command::Import(args) => commands::import::run(args, &env, ui),
        Command::Sync(args) => commands::sync::run(args, &env, ui),
        Command::Status(args) => commands::status::run(args, &env, ui),
        Command::Conflicts(args) => commands::conflicts::run(args, &env, ui),
        Command::Backup(args) => commands::backup::backup(args, ui),
        Command::Restore(args) => commands::backup::restore(args, ui),
        Command::Fsck(args) => commands::fsck::run(args, ui),
        Command::Gc(args) => commands::gc::run(args, env, ui),
        Command::Serve(args) => commands::serve::run(args, env, ui),
        Command::Token(args) => commands::token::run(args, &env, ui),
        Command::Key(args) => commands::key::run(args, &env, ui),
        Command::Task(args) => commands::task::run(args, &env, ui),
        Command::Daemon(args) => commands::daemon::run(args, &env, ui),
        Command::Completions(args) => commands::generate::completions(args, ui),
        Command::Man(args) => commands::generate::man(args, ui),
    }
}

/// Arguments that make no command; or help, which clap treats alike.
fn misused(error: &clap::Error, ui: &Ui) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked && std::env::args_os().any(|a| a == "--json") {
        // The first paragraph says what is wrong, over several lines where it lists arguments.
        let text = error.to_string();
        let said: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        let message = said.join(" ");
        ui.failure(
            &Failure::new(Kind::Usage, message.trim_start_matches("error: "))
                .hint("`tolstoy help COMMAND` shows how it is used"),
            true,
        );
    } else {
        // Nothing can be done where the output is closed.
        let _ = error.print();
    }
    ExitCode::from(if asked { 0 } else { Kind::Usage.exit_code() })
}
