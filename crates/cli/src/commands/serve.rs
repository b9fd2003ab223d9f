//! `tolstoy serve`

use std::path::PathBuf;

use tokio::net::TcpListener;
use tolstoy_env::Env;
use tolstoy_hub::{Hub, Options, ServeError, serve};
use tracing_subscriber::EnvFilter;

use crate::error::{Failure, Kind};
use crate::signals::Signals;
use crate::ui::Ui;
use crate::{args, dirs};

pub(crate) fn run(args: &args::Serve, env: Env, ui: &mut Ui) -> Result<(), Failure> {
    tell_on_stderr(args, ui)?;
    if !args.open && !args.listen.ip().is_loopback() {
        return Err(Failure::serve(&ServeError::NotOpen(args.listen)));
    }
    let data = match &args.data {
        Some(data) => data.clone(),
        None => default_data()?,
    };
    if data.exists() && !data.is_dir() {
        let message = format!("{}: this is a file, and a hub keeps its data in a directory", data.display());
        return Err(Failure::new(Kind::NotAStore, message).hint("name a directory: `tolstoy serve --data DIR`"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::io("starting the network", &e))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(|e| Failure::listen(args.listen, &e))?;
        let address = listener.local_addr().map_err(|e| Failure::listen(args.listen, &e))?;
        let hub = Hub::open(&data, env, Options { open: args.open, ..Options::default() })
            .map_err(|e| Failure::hub_data(&e))?;
        let stopped = Signals::listen()?;
        ui.line(format!("listening on http://{address}"))?;
        ui.flush()?;
        // Not where a program reads the line above, such as the demo, and shares the terminal.
        if ui.out_is_tty() && ui.err_is_tty() {
            ui.note(format!("data in {}; Ctrl-C stops", data.display()));
        }
        serve(listener, hub, first(stopped)).await.map_err(|e| Failure::serve(&e))
    })
}

fn default_data() -> Result<PathBuf, Failure> {
    dirs::data().map(|dir| dir.join("hub")).ok_or_else(|| {
        Failure::new(Kind::Usage, "there is no home directory to keep the hub's data in")
            .hint("say where: `tolstoy serve --data DIR`")
    })
}

fn tell_on_stderr(args: &args::Serve, ui: &Ui) -> Result<(), Failure> {
    let filter = match (&args.log, args.verbose) {
        (Some(filter), _) => filter.as_str(),
        (None, 0) => "warn",
        (None, 1) => "info",
        (None, 2) => "info,tolstoy_hub=debug",
        (None, _) => "debug,tolstoy_hub=trace",
    };
    let filter = EnvFilter::try_new(filter).map_err(|e| {
        Failure::new(Kind::Usage, format!("{filter:?} is no filter: {e}"))
            .hint("write a level, or `info,tolstoy_hub=debug`")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ui.err_is_colourful())
        .init();
    Ok(())
}

/// The first signal. A second one ends the process at once.
async fn first(mut signals: Signals) {
    signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(i32::from(Kind::Interrupted.exit_code()));
    });
}
