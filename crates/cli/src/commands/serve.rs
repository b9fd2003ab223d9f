//! `tolstoy serve`

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use tokio::net::TcpListener;
use tolstoy_env::Env;
use tolstoy_hub::auth::TokenFile;
use tolstoy_hub::{Hub, Reloader, may_listen, serve};

use crate::error::{Failure, Kind};
use crate::settings::{self, Given, HUB, Settings};
use crate::signals::{Reloads, Signals};
use crate::ui::Ui;
use crate::{args, dirs, manager, telling};

pub(crate) fn run(args: &args::Serve, env: Env, ui: &mut Ui) -> Result<(), Failure> {
    let given = args.config.as_deref().map_or(Ok(Given::default()), |path| Given::read(path, &HUB))?;
    let matches = HUB.with_file(&given, |serve| match default_data() {
        Ok(data) => serve.mut_arg("data", |arg| arg.default_value(data.into_os_string())),
        Err(_) => serve,
    })?;
    if args.print_config {
        return ui.write(settings::document(&HUB, &matches, &given)?);
    }
    let settings = &Settings::from_arg_matches(&matches).map_err(settings::misused)?;
    tell_on_stderr(settings, args.verbose, &matches, ui)?;
    let options = settings.options()?;
    let data = match &settings.data {
        Some(data) => data,
        None => &default_data()?,
    };
    if data.exists() && !data.is_dir() {
        let message = format!("{}: this is a file, and a hub keeps its data in a directory", data.display());
        return Err(Failure::new(Kind::NotAStore, message).hint("name a directory: `tolstoy serve --data DIR`"));
    }
    let has_tokens = TokenFile::of(data).path().exists();
    may_listen(settings.listen, &options, has_tokens).map_err(|e| Failure::exposed(&e, data))?;
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::io("starting the network", &e))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(settings.listen).await.map_err(|e| Failure::listen(settings.listen, &e))?;
        let address = listener.local_addr().map_err(|e| Failure::listen(settings.listen, &e))?;
        let hub = Hub::open(data, env, options).map_err(|e| Failure::hub_data(&e))?;
        let stopped = Signals::listen()?;
        tokio::spawn(reload(hub.reloader(), Reloads::listen()?));
        let service = hub.service().clone();
        tokio::spawn(manager::report_life("a write does not end", move || service.is_alive()));
        let fingerprint = hub.fingerprint();
        let scheme = if fingerprint.is_some() { "https" } else { "http" };
        ui.line(format!("listening on {scheme}://{address}"))?;
        if let Some(fingerprint) = fingerprint.filter(|_| settings.tls_self_signed) {
            ui.line(format!("certificate {fingerprint}"))?;
        }
        ui.flush()?;
        manager::tell(manager::State::Ready);
        // Not where a program reads the line above, such as the demo, and shares the terminal.
        if ui.out_is_tty() && ui.err_is_tty() {
            ui.note(format!("data in {}; Ctrl-C stops", data.display()));
        }
        serve(listener, hub, first(stopped)).await.map_err(|e| Failure::serve(&e))
    })
}

/// Each connection is an open file, and a shell allows few: as many as the system lets this process have.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the number of open files stays as it is");
    }
}

#[cfg(not(unix))]
fn raise_open_files() {}

pub(crate) fn default_data() -> Result<PathBuf, Failure> {
    dirs::data().map(|dir| dir.join("hub")).ok_or_else(|| {
        Failure::new(Kind::Usage, "there is no home directory to keep the hub's data in")
            .hint("say where: `tolstoy serve --data DIR`")
    })
}

fn tell_on_stderr(settings: &Settings, verbose: u8, matches: &ArgMatches, ui: &Ui) -> Result<(), Failure> {
    if verbose > 0 && matches.value_source("log") == Some(ValueSource::CommandLine) {
        return Err(Failure::new(Kind::Usage, "--verbose and --log say the same: one of them is enough"));
    }
    let filter = match verbose {
        0 => settings.log.as_str(),
        1 => "info",
        2 => "info,tolstoy_hub=debug",
        _ => "debug,tolstoy_hub=trace",
    };
    telling::begin(filter, settings.log_format, ui)
}

/// Reads tokens and certificates again at each SIGHUP. What cannot be read stays as it was.
async fn reload(reloader: Reloader, mut reloads: Reloads) {
    loop {
        reloads.next().await;
        manager::tell(manager::State::Reloading);
        let reloader = reloader.clone();
        match tokio::task::spawn_blocking(move || reloader.reload()).await {
            Ok(Ok(())) => tracing::info!("tokens and certificate were read again"),
            Ok(Err(errors)) => errors.iter().for_each(|error| tracing::error!(%error, "reading again failed")),
            // The runtime is going down, and the hub with it.
            Err(_) => return,
        }
        manager::tell(manager::State::Ready);
    }
}

/// The first signal. A second one ends the process at once.
async fn first(mut signals: Signals) {
    signals.next().await;
    manager::tell(manager::State::Stopping);
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(i32::from(Kind::Interrupted.exit_code()));
    });
}
