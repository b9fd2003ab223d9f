//! The demo's machinery: a directory, a hub, commands that are shown before they run, and Ctrl-C.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use crate::error::{Failure, Kind};
use crate::signals::Signals;
use crate::ui::{BOLD, TYPED, Ui};

/// Where the story happens. What is on it disappears with it: the hub's process, and the directory unless it is kept.
pub(super) struct Stage<'u> {
    pub(super) ui: &'u mut Ui,
    program: PathBuf,
    /// Dropped before the directory.
    hub: Option<Hub>,
    directory: TempDir,
    interrupted: Arc<AtomicBool>,
}

struct Hub {
    process: Child,
    url: String,
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It is stopped without asking: it is one that survives that, and its data goes with the directory. Where it has
        // ended by itself, nothing is left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl<'u> Stage<'u> {
    pub(super) fn new(ui: &'u mut Ui) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|e| Failure::io("finding this program", &e))?;
        let directory = tempfile::Builder::new()
            .prefix("tolstoy-demo-")
            .tempdir()
            .map_err(|e| Failure::io("making a temporary directory", &e))?;
        Ok(Self { ui, program, hub: None, directory, interrupted: watch_interrupts()? })
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The hub's address.
    pub(super) fn url(&self) -> String {
        self.hub.as_ref().map(|hub| hub.url.clone()).unwrap_or_default()
    }

    pub(super) fn title(&mut self, text: &str) -> Result<(), Failure> {
        let title = self.ui.paint(BOLD, text);
        self.ui.line(format!("{title}\n"))
    }

    /// A paragraph.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.ui.line(format!("{text}\n"))
    }

    /// A file of the story, and its text.
    pub(super) fn file(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        self.alive()?;
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).map_err(|e| Failure::io(&path.display().to_string(), &e))?;
        self.indented(text)
    }

    /// Text that is no prose.
    pub(super) fn indented(&mut self, text: &str) -> Result<(), Failure> {
        for line in text.lines() {
            self.ui.line(format!("    {line}"))?;
        }
        self.ui.line("")?;
        self.ui.flush()
    }

    fn prompt(&mut self, args: &[&str]) -> Result<(), Failure> {
        let command = self.ui.paint(TYPED, format!("$ {}", shown(args)));
        self.ui.line(format!("  {command}"))?;
        self.ui.flush()
    }

    fn alive(&self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) { Err(interrupted()) } else { Ok(()) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command without showing it, and gives its output.
    pub(super) fn ask(&mut self, args: &[&str]) -> Result<String, Failure> {
        self.alive()?;
        let output = self.command(args).output().map_err(|e| Failure::io(&shown(args), &e))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        // Ctrl-C reaches the command too.
        self.alive()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::new(Kind::Demo, format!("`{}` failed ({}): {said}", shown(args), output.status)))
    }

    /// Shows a command, runs it, shows its output and gives it.
    pub(super) fn run(&mut self, args: &[&str]) -> Result<String, Failure> {
        self.alive()?;
        self.prompt(args)?;
        let output = self.ask(args)?;
        self.indented(&output)?;
        Ok(output)
    }

    /// Starts a hub, and waits until it listens.
    pub(super) fn start_hub(&mut self) -> Result<(), Failure> {
        let args = ["serve", "--listen", "127.0.0.1:0", "--data", "hub"];
        self.prompt(&args)?;
        let mut process = self
            .command(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| Failure::io(&shown(&args), &e))?;
        let mut line = String::new();
        let read = process.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        // It is on the stage before anything can fail, so that it never outlives it.
        let url = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        let hub = self.hub.insert(Hub { process, url });
        if !matches!(read, Some(Ok(_))) || hub.url.is_empty() {
            return Err(Failure::new(Kind::Demo, "the hub did not start"));
        }
        self.indented(&line)
    }

    /// Takes the stage down; the directory stays where `keep` says so.
    pub(super) fn end(mut self, keep: bool) -> Result<(), Failure> {
        self.alive()?;
        self.hub = None;
        if keep {
            let path = self.directory.keep();
            self.ui.line(format!("The stores and the hub's data are in {}", path.display()))?;
        }
        Ok(())
    }
}

/// A command as it would be typed.
fn shown(args: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=".contains(c);
    let quoted = |arg: &&str| if arg.chars().all(plain) { (*arg).to_owned() } else { format!("'{arg}'") };
    std::iter::once("tolstoy".to_owned()).chain(args.iter().map(quoted)).collect::<Vec<_>>().join(" ")
}

fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted")
}

/// Notes Ctrl-C and SIGTERM, so that the stage is taken down before the program ends.
fn watch_interrupts() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&interrupted);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::io("watching for Ctrl-C", &e))?;
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    std::thread::spawn(move || {
        runtime.block_on(signals.next());
        noted.store(true, Ordering::Relaxed);
    });
    Ok(interrupted)
}
