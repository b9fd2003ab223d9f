//! `tolstoy serve`

use std::net::IpAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tolstoy_env::Env;
use tolstoy_hub::auth::TokenFile;
use tolstoy_hub::{Hub, Options, Rate, TlsOptions, may_listen, serve};
use tracing_subscriber::EnvFilter;

use crate::error::{Failure, Kind};
use crate::signals::Signals;
use crate::ui::Ui;
use crate::{args, dirs};

pub(crate) fn run(args: &args::Serve, env: Env, ui: &mut Ui) -> Result<(), Failure> {
    tell_on_stderr(args, ui)?;
    let data = match &args.data {
        Some(data) => data.clone(),
        None => default_data()?,
    };
    if data.exists() && !data.is_dir() {
        let message = format!("{}: this is a file, and a hub keeps its data in a directory", data.display());
        return Err(Failure::new(Kind::NotAStore, message).hint("name a directory: `tolstoy serve --data DIR`"));
    }
    let options = options(args);
    let has_tokens = TokenFile::of(&data).path().exists();
    may_listen(args.listen, &options, has_tokens).map_err(|e| Failure::exposed(&e, &data))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::io("starting the network", &e))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(|e| Failure::listen(args.listen, &e))?;
        let address = listener.local_addr().map_err(|e| Failure::listen(args.listen, &e))?;
        let hub = Hub::open(&data, env, options).map_err(|e| Failure::hub_data(&e))?;
        let stopped = Signals::listen()?;
        let fingerprint = hub.fingerprint();
        let scheme = if fingerprint.is_some() { "https" } else { "http" };
        ui.line(format!("listening on {scheme}://{address}"))?;
        if let Some(fingerprint) = fingerprint.filter(|_| args.closed.tls_self_signed) {
            ui.line(format!("certificate {fingerprint}"))?;
        }
        ui.flush()?;
        // Not where a program reads the line above, such as the demo, and shares the terminal.
        if ui.out_is_tty() && ui.err_is_tty() {
            ui.note(format!("data in {}; Ctrl-C stops", data.display()));
        }
        serve(listener, hub, first(stopped)).await.map_err(|e| Failure::serve(&e))
    })
}

/// How the hub is to work, as far as it was said.
fn options(args: &args::Serve) -> Options {
    let args::Closed {
        require_token,
        tls_cert,
        tls_key,
        tls_self_signed,
        tls_name,
        behind_proxy,
        token_rate,
        address_rate,
        connections,
        connections_per_address,
    } = &args.closed;
    let files = tls_cert.clone().zip(tls_key.clone());
    let files = files.map(|(certificate, key)| TlsOptions::Files { certificate, key });
    let own = || TlsOptions::SelfSigned { names: own_names(args.listen.ip(), tls_name) };
    Options {
        open: args.open,
        require_token: *require_token,
        behind_proxy: *behind_proxy,
        tls: files.or_else(|| tls_self_signed.then(own)),
        token_rate: Rate::per_second(*token_rate),
        address_rate: Rate::per_second(*address_rate),
        connections: *connections,
        connections_per_address: *connections_per_address,
        ..Options::default()
    }
}

/// The names that a certificate of the hub's own is for.
fn own_names(listen: IpAddr, said: &[String]) -> Vec<String> {
    let mut names = said.to_vec();
    if !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    // Where the system tells the machine's name in no file, it can be said.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if !host.trim().is_empty() {
        names.push(host.trim().to_owned());
    }
    names.sort();
    names.dedup();
    names
}

pub(crate) fn default_data() -> Result<PathBuf, Failure> {
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
