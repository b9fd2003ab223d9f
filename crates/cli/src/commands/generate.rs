//! `tolstoy completions` and `tolstoy man`: made of the very definitions that arguments are read with.

use clap::{Command, CommandFactory};

use crate::args::{Cli, Completions, Man, ProgramName};
use crate::error::{Failure, Kind};
use crate::facts;
use crate::ui::Ui;

pub(crate) fn completions(args: &Completions, ui: &mut Ui) -> Result<(), Failure> {
    let mut command = named(args.name)?;
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    ui.write(String::from_utf8_lossy(&script))
}

pub(crate) fn man(args: &Man, ui: &mut Ui) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::io(&args.directory.display().to_string(), &e);
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    let mut pages = 0;
    for name in [ProgramName::Tolstoy, ProgramName::Task] {
        // A command with many others: its own page speaks of them, and each has one.
        let mut command = named(name)?.disable_help_subcommand(true);
        command.build();
        pages += write_pages(&command, args).map_err(failed)?;
    }
    ui.line(format!("{}: {}", args.directory.display(), facts::count(pages, "page")))
}

/// Writes the page of a command and of those below it; gives their number.
fn write_pages(command: &Command, args: &Man) -> std::io::Result<u64> {
    let page = clap_mangen::Man::new(command.clone());
    page.generate_to(&args.directory)?;
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_fold(1, |pages, below| Ok(pages + write_pages(below, args)?))
}

/// The definitions, as they are by this name.
fn named(name: ProgramName) -> Result<Command, Failure> {
    let whole = Cli::command();
    match name {
        ProgramName::Tolstoy => Ok(whole),
        ProgramName::Task => {
            let task = whole.find_subcommand("task").cloned();
            let version = env!("CARGO_PKG_VERSION");
            task.map(|task| task.bin_name("task").display_name("task").version(version))
                .ok_or_else(|| Failure::new(Kind::Usage, "there is no command `task`"))
        }
    }
}
