//! `tolstoy key`

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::json;
use tolstoy_env::Env;
use tolstoy_sync::{Secret, Secrets};
use zeroize::Zeroizing;

use crate::args::{KeyCommand, KeyCreate, KeyRotate, KeyShow};
use crate::error::{Failure, Kind};
use crate::ui::Ui;
use crate::{args, keys};

pub(crate) fn run(args: &args::Key, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    match &args.what {
        KeyCommand::Create(args) => create(args, env, ui),
        KeyCommand::Rotate(args) => rotate(args, env, ui),
        KeyCommand::Show(args) => show(args, ui),
    }
}

fn create(args: &KeyCreate, env: &Env, ui: &Ui) -> Result<(), Failure> {
    let secret = secret(args.passphrase, env)?;
    let text = Zeroizing::new([keys::HEADING, &Secrets::default().next_line(&secret)].concat());
    let name = args.file.display();
    let mut file = private(&args.file).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(Kind::InUse, format!("{name}: this file is there already"))
            .hint("name another; `tolstoy key rotate FILE` adds a newer key to a key file"),
        io::ErrorKind::NotFound => Failure::new(Kind::Missing, format!("{name}: there is no folder for this file")),
        _ => Failure::io(&name.to_string(), &e),
    })?;
    write(&mut file, &text).map_err(|e| Failure::io(&name.to_string(), &e))?;
    ui.note(format!(
        "{name}: key 1. Give this file to your other devices by a way that you trust, keep a copy: without it nobody reads the log"
    ));
    Ok(())
}

fn rotate(args: &KeyRotate, env: &Env, ui: &Ui) -> Result<(), Failure> {
    let (text, secrets) = keys::read(&args.file)?;
    let secret = secret(args.passphrase, env)?;
    let mut all = Zeroizing::new(text.trim_end_matches('\n').to_owned());
    all.push('\n');
    all.push_str(&secrets.next_line(&secret));
    let number = Secrets::parse(&all)
        .map_err(|e| Failure::new(Kind::Refused, format!("{}: {e}", args.file.display())))?
        .iter()
        .count();
    replace(&args.file, &all).map_err(|e| Failure::io(&args.file.display().to_string(), &e))?;
    ui.note(format!(
        "{}: key {number} is what stores seal with from now on. Give this file to the devices that shall still read what comes",
        args.file.display()
    ));
    Ok(())
}

fn show(args: &KeyShow, ui: &mut Ui) -> Result<(), Failure> {
    let (_, secrets) = keys::read(&args.file)?;
    let kinds: Vec<&str> = secrets
        .iter()
        .map(|(_, secret)| match secret {
            Secret::Random(_) => "random",
            Secret::Passphrase(_) => "passphrase",
        })
        .collect();
    let ids: Vec<Option<String>> = match args.log {
        Some(log) => keys::keyring(log, &secrets)?.ids().map(|(_, id)| Some(id.to_string())).collect(),
        None => vec![None; kinds.len()],
    };
    if args.output.json {
        let keys = (1..).zip(kinds.iter().zip(&ids));
        let keys = keys.map(|(number, (kind, id))| json!({"number": number, "kind": kind, "id": id}));
        return ui.json(&keys.collect::<Vec<_>>());
    }
    let rows: Vec<Vec<String>> = (1..)
        .zip(kinds.iter().zip(ids))
        .map(|(number, (kind, id))| vec![i32::to_string(&number), (*kind).to_owned(), id.unwrap_or_default()])
        .collect();
    let header = ["key", "kind", "id"].map(str::to_owned);
    ui.table(&header, &rows)
}

/// A new secret: random, or the passphrase that somebody types or that comes from a pipe.
fn secret(passphrase: bool, env: &Env) -> Result<Secret, Failure> {
    if !passphrase {
        return Secret::generate(env).map_err(|e| Failure::new(Kind::Storage, e.to_string()));
    }
    let unread = |e: io::Error| Failure::io("the passphrase", &e);
    let text = if io::stdin().is_terminal() {
        let first = Zeroizing::new(rpassword::prompt_password("passphrase: ").map_err(unread)?);
        let again = Zeroizing::new(rpassword::prompt_password("the same again: ").map_err(unread)?);
        if first.trim() != again.trim() {
            return Err(Failure::new(Kind::Input, "the two passphrases differ; nothing was changed"));
        }
        first
    } else {
        let mut line = Zeroizing::new(String::new());
        io::stdin().lock().read_line(&mut line).map_err(unread)?;
        line
    };
    Secret::passphrase(&text).ok_or_else(|| {
        Failure::new(Kind::Input, "the passphrase is empty, or longer than 1,024 bytes")
            .hint("several words that nobody else would put together are good, and easier to type than signs")
    })
}

/// A new file that only its owner reads.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn write(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Replaces a file whole, or not at all: with half a key file nothing that is in the log could be read.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".key").tempfile_in(folder)?;
    write(file.as_file_mut(), text)?;
    file.persist(path)?;
    Ok(())
}
