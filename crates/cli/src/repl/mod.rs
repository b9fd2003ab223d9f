//! `tolstoy repl`: a session with a store.

mod command;
mod input;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use tolstoy_edn::Form;
use tolstoy_env::Env;
use tolstoy_store::Timeline;
use tolstoy_sync::OtherLife;

use crate::args;
use crate::commands::query::Format;
use crate::commands::{Db, import, log, query, schema, sync, transact};
use crate::error::{Failure, Kind};
use crate::text::Source;
use crate::ui::Ui;

use command::{COMMANDS, Command};
use input::{Input, Pipe, Read, Terminal};

pub(crate) fn run(args: &args::Repl, matches: Option<&ArgMatches>, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let is_tty = !args.no_tty && std::io::stdin().is_terminal() && ui.out_is_tty();
    if args.no_tty {
        ui.be_plain();
    }
    let json = args.output.json;
    let db = match args.db.as_ref().or(args.database.as_ref()) {
        Some(path) => Db::open_or_create(path, env, ui, json)?,
        None => Db::in_memory(env)?,
    };
    let mut session = Session { db, env, ui, json, timer: false, failed: None };
    if is_tty {
        session.greet()?;
    }
    for (flag, text) in matches.map(flags).unwrap_or_default() {
        let result = session.flag(flag, text);
        session.settle(result)?;
    }
    let input = if is_tty {
        Input::Terminal(Box::new(Terminal::new(!args.no_history, session.ui)?))
    } else {
        Input::Pipe(Pipe::new())
    };
    session.talk(input)?;
    session.failed.map_or(Ok(()), |failure| Err(Failure { told: true, ..failure }))
}

/// What -t, -q and -i were given, in the order of the command line.
fn flags(matches: &ArgMatches) -> Vec<(&'static str, &String)> {
    let given = |name| {
        let indices = matches.indices_of(name).into_iter().flatten();
        indices.zip(matches.get_many::<String>(name).into_iter().flatten()).map(move |(i, text)| (i, name, text))
    };
    let mut all: Vec<_> = ["transact", "query", "import"].into_iter().flat_map(given).collect();
    all.sort_by_key(|(i, ..)| *i);
    all.into_iter().map(|(_, name, text)| (name, text)).collect()
}

struct Session<'s> {
    db: Db,
    env: &'s Env,
    ui: &'s mut Ui,
    json: bool,
    timer: bool,
    /// The first failure of what was not typed: nobody was there to see it.
    failed: Option<Failure>,
}

/// Whether there is more to come.
#[derive(PartialEq, Eq)]
enum Next {
    Entry,
    Leave,
}

impl Session<'_> {
    fn greet(&mut self) -> Result<(), Failure> {
        let version = env!("CARGO_PKG_VERSION");
        let where_to = match self.is_in_memory() {
            true => "a new store in memory; `.open FILE` for one that lasts".to_owned(),
            false => self.db.path.display().to_string(),
        };
        self.ui.line(format!("tolstoy {version}, {where_to}. `.help` lists the commands."))?;
        self.ui.flush()
    }

    fn is_in_memory(&self) -> bool {
        !self.db.path.exists()
    }

    fn talk(&mut self, mut input: Input) -> Result<(), Failure> {
        let is_terminal = matches!(input, Input::Terminal(_));
        loop {
            let name = self.db.path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let db = &self.db;
            let idents = || db.store.schema().idents().into_iter().map(|(k, _)| k.to_string()).collect();
            let read = input.next(&format!("{name}> "), idents, self.ui)?;
            let began = self.env.now();
            let result = match read {
                Read::Entry(source) => self.entry(&source),
                Read::Unreadable(failure) => Err(failure),
                Read::Nothing => continue,
                Read::End => return Ok(()),
            };
            let micros = self.env.now().as_micros().saturating_sub(began.as_micros());
            let failed_before = self.failed.take();
            let next = self.settle(result)?;
            if self.timer {
                self.ui.note(format!("took {}.{:03} ms", micros / 1000, micros % 1000));
            }
            if is_terminal || failed_before.is_some() {
                self.failed = failed_before;
            }
            if next == Next::Leave {
                return Ok(());
            }
        }
    }

    /// Tells a failure and goes on, unless nobody listens any more.
    fn settle(&mut self, result: Result<Next, Failure>) -> Result<Next, Failure> {
        self.ui.flush()?;
        match result {
            Ok(next) => Ok(next),
            Err(failure) if failure.kind == Kind::Closed => Err(failure),
            Err(failure) => {
                self.ui.failure(&failure, self.json);
                self.failed.get_or_insert(failure);
                Ok(Next::Entry)
            }
        }
    }

    fn flag(&mut self, flag: &str, text: &str) -> Result<Next, Failure> {
        if flag == "import" {
            return self.import(Path::new(text));
        }
        let source = Source::of_argument(text)?;
        if flag == "query" {
            self.query(&source, &source.text, &[])?
        } else {
            self.transact(&source, &source.form()?)?
        }
        Ok(Next::Entry)
    }

    fn entry(&mut self, source: &Source) -> Result<Next, Failure> {
        // What other processes wrote meanwhile counts for all that follows.
        self.db.store.refresh().map_err(|e| self.db.failure(&e))?;
        for command in command::parse(source)? {
            if self.command(source, command)? == Next::Leave {
                return Ok(Next::Leave);
            }
        }
        Ok(Next::Entry)
    }

    fn command(&mut self, source: &Source, command: Command) -> Result<Next, Failure> {
        match command {
            Command::Exit => return Ok(Next::Leave),
            Command::Help(name) => self.help(name.as_deref())?,
            Command::Open(path) => self.db = Db::open_or_create(&path, self.env, self.ui, self.json)?,
            Command::Close => self.db = Db::in_memory(self.env)?,
            Command::Schema => schema::show(&self.db, false, self.format(), self.ui)?,
            Command::Log(n) => log::show(&self.db, Timeline::MAIN, Some(n), self.json, self.ui)?,
            Command::Import(path) => return self.import(&path),
            Command::Transact(form) => self.transact(source, &form)?,
            Command::Query { text, inputs } => self.query(source, &text, &inputs)?,
            Command::Explain { text, inputs } => {
                let inputs: Vec<_> = inputs.iter().map(Form::to_value).collect();
                query::explain(&self.db, source, &text, &inputs, self.ui)?;
            }
            Command::Timer(on) => self.timer = on,
            Command::Sync { url, log } => {
                let target = sync::Target::parse(url.as_deref(), log.as_deref())?;
                let access = args::Access::default();
                let said = sync::Said { access: &access, key_file: None, other_life: OtherLife::Stop };
                sync::with(&mut self.db, &target, said, self.env, self.json, self.ui)?;
            }
            Command::Cache => self.ui.note("there is nothing to cache: SQLite keeps what is read often in memory"),
        }
        Ok(Next::Entry)
    }

    fn transact(&mut self, source: &Source, form: &Form) -> Result<(), Failure> {
        transact::one(&mut self.db, source, form, self.json, self.ui)
    }

    fn query(&mut self, source: &Source, text: &str, inputs: &[Form]) -> Result<(), Failure> {
        let inputs: Vec<_> = inputs.iter().map(Form::to_value).collect();
        query::one(&self.db, source, text, &inputs, self.format(), self.ui)
    }

    fn import(&mut self, path: &Path) -> Result<Next, Failure> {
        let files = import::read(&[PathBuf::from(path)])?;
        import::files_into(&mut self.db, &files, self.json, self.ui)?;
        Ok(Next::Entry)
    }

    fn format(&self) -> Format {
        Format::choose(self.json, false, self.ui)
    }

    fn help(&mut self, name: Option<&str>) -> Result<(), Failure> {
        let Some(name) = name else {
            let width = COMMANDS.iter().map(|c| command::usage_of(c).len()).max().unwrap_or_default();
            for entry in &COMMANDS {
                self.ui.line(format!("{:width$}  {}", command::usage_of(entry), entry.about))?;
            }
            return self.ui.line("An entry goes on over several lines until its brackets close.");
        };
        let entry = COMMANDS.iter().find(|c| c.names.contains(&name)).ok_or_else(|| command::unknown(name))?;
        self.ui.line(format!("{}\n  {}", command::usage_of(entry), entry.about))
    }
}
