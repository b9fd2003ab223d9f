//! `tolstoy daemon`

use clap::FromArgMatches;
use tokio::sync::mpsc;
use tolstoy_env::Env;

use crate::args::{Daemon, DaemonCommand};
use crate::daemon::config::{self, Config};
use crate::daemon::one::{Only, Running};
use crate::daemon::run::{Start, run as keep};
use crate::daemon::socket::{Request, Socket, ask};
use crate::daemon::status::Status;
use crate::error::{Failure, Kind};
use crate::settings::{self, DAEMON, DaemonSettings, Given};
use crate::ui::{GONE, Ui, visible};
use crate::{manager, telling};

pub(crate) fn run(args: &Daemon, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    match &args.what {
        Some(DaemonCommand::Status(args)) => status(Request::Status, args.output.json, ui),
        Some(DaemonCommand::Sync(args)) => status(Request::Sync, args.output.json, ui),
        None if args.print_config => print_config(args, ui),
        None if args.check => check(args, env, ui),
        None => begin(args, env, ui),
    }
}

/// Reads the settings: those of the file, with what flags and the environment say before it.
fn read(args: &Daemon) -> Result<(Config, DaemonSettings), Failure> {
    let path = match &args.config {
        Some(path) => path.clone(),
        None => config::default_path()?,
    };
    let config = Config::read(&path)?;
    let matches = DAEMON.with_file(&config.given, |daemon| daemon)?;
    let settings = DaemonSettings::from_arg_matches(&matches).map_err(settings::misused)?;
    Ok((config, settings))
}

fn print_config(args: &Daemon, ui: &mut Ui) -> Result<(), Failure> {
    let path = match &args.config {
        Some(path) => Some(path.clone()),
        None => config::default_path().ok().filter(|path| path.exists()),
    };
    let config = path.as_deref().map(Config::read).transpose()?;
    let (given, pairs) = match &config {
        Some(config) => (&config.given, config.text.as_str()),
        None => (&Given::default(), EXAMPLE),
    };
    let matches = DAEMON.with_file(given, |daemon| daemon)?;
    ui.write(settings::document(&DAEMON, &matches, given)?)?;
    ui.write(format!("\n# What is kept in step with what: docs/daemon.md has the keys.\n\n{}\n", pairs.trim_end()))
}

/// What stands for the pairs where there are none.
const EXAMPLE: &str = "\
#[[tasks]]
#place = \"~/.local/share/tolstoy/tasks.db\"
#with = [\"~/Sync/tasks/\"]

#[[store]]
#path = \"~/people.db\"
#url = \"https://hub.example:7410\"
#log = \"c707b728-8be4-452c-a3bd-d3adde5df51c\"
#token-file = \"~/laptop.token\"
";

fn check(args: &Daemon, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let (config, _) = read(args)?;
    let mut first: Option<Failure> = None;
    for pair in &config.pairs {
        let [here, there] = pair.sides();
        let title = format!("{} {} with {}", pair.kind(), visible(&here), visible(&there));
        match pair.check(env) {
            Ok(()) => ui.line(format!("{title}: ready"))?,
            Err(failure) => {
                let hint =
                    failure.hint.as_ref().map_or_else(String::new, |hint| format!("\n  hint: {}", visible(hint)));
                let text = ui.paint(GONE, format!("{title}: {}{hint}", visible(&failure.message)));
                ui.line(text)?;
                first.get_or_insert(failure);
            }
        }
    }
    first.map_or(Ok(()), |failure| Err(Failure { told: true, ..failure }))
}

fn begin(args: &Daemon, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let (config, settings) = read(args)?;
    telling::begin(&settings.log, settings.log_format, ui)?;
    let only = Only::become_it()?;
    // One thread for the loop: where that is stuck, nobody tells the manager that it lives. What blocks has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::io("starting the network", &e))?;
    let ended = runtime.block_on(async {
        let socket = Socket::listen(&only.running.socket)?;
        let (sender, asked) = mpsc::channel(1);
        tokio::spawn(socket.run(sender));
        tokio::spawn(manager::report_life("the daemon is stuck", || true));
        let pairs = config.pairs.len();
        // The arguments are what they are: only the file can say something else later.
        let again = args.clone();
        let start = Start { env: env.clone(), config, settings, read_again: Box::new(move || read(&again)), asked };
        keep(start, || {
            manager::tell(manager::State::Ready);
            tracing::info!(pid = std::process::id(), pairs, "the daemon runs");
        })
        .await
    });
    drop(only);
    // Syncs that hang are not waited for.
    runtime.shutdown_background();
    ended
}

fn status(request: Request, json: bool, ui: &mut Ui) -> Result<(), Failure> {
    let none = || {
        Failure::new(Kind::NoDaemon, "no daemon runs, so nothing is kept in step")
            .hint("`tolstoy daemon` runs one; `systemctl --user start tolstoy-daemon` where it is a service")
    };
    let Some(running) = Running::find()? else { return Err(none()) };
    let Some(text) = ask(&running.socket, request)? else { return Err(none()) };
    let status: Status = serde_json::from_str(&text).map_err(|_| {
        Failure::new(Kind::Busy, "the daemon's answer is not understood: it may be of another version")
            .hint("restart it: `systemctl --user restart tolstoy-daemon`")
    })?;
    if json {
        ui.write(&text)?;
    } else {
        status.show(ui)?;
    }
    match status.verdict() {
        Some(kind) if request == Request::Status => {
            Err(Failure { told: true, ..Failure::new(kind, "not all pairs are in step") })
        }
        _ => Ok(()),
    }
}
