//! The daemon: the real program, in the places that it keeps in step.
#![cfg(unix)]

mod folders;
mod killed;
mod managed;
mod stores;
mod told;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;

use crate::room::{Ran, Room};

/// How long anything is waited for.
struct Patience(std::time::Instant);

impl Patience {
    #[allow(clippy::disallowed_methods, reason = "tests of a process live in real time")]
    fn new() -> Self {
        Self(std::time::Instant::now())
    }

    /// Waits a moment. Whether to go on waiting.
    fn lasts(&self) -> bool {
        std::thread::sleep(Duration::from_millis(20));
        self.0.elapsed() < Duration::from_secs(120)
    }
}

/// Settings under which only what the daemon notices by itself makes it sync: all else comes too late for a test.
const ALERT: &str = "settle = \"20ms\"\nlook = \"1d\"\nrecheck = \"1d\"\nretry = \"1d\"\n";

/// A person's home in a room, with a daemon that may run there.
struct Home {
    room: Arc<Room>,
    name: &'static str,
}

/// A running daemon; it is killed with the value.
struct Daemon<'h> {
    home: &'h Home,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Home {
    fn new(room: &Arc<Room>, name: &'static str) -> Self {
        std::fs::create_dir_all(room.path(name).join(".config/tolstoy")).unwrap();
        Self { room: Arc::clone(room), name }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.room.path(self.name).join(name)
    }

    /// Writes the settings file.
    fn settings(&self, text: &str) {
        std::fs::write(self.path(".config/tolstoy/daemon.toml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.room.command(args);
        command.env("HOME", self.path("")).env("TZ", "UTC").current_dir(self.path(""));
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran}");
        ran.out
    }

    /// Adds a task, and gives its id.
    fn add(&self, words: &str) -> String {
        self.ok(&["task", "add", words]).trim().to_owned()
    }

    /// All tasks, by id: what `tolstoy task export` says of them.
    fn tasks(&self) -> Vec<Json> {
        let text = self.ok(&["task", "export"]);
        let values = serde_json::Deserializer::from_str(&text).into_iter::<Json>();
        let mut tasks: Vec<Json> = values
            .flat_map(|value| match value.unwrap() {
                Json::Array(tasks) => tasks,
                task => vec![task],
            })
            .collect();
        tasks.sort_by_key(|task| task["id"].to_string());
        tasks
    }

    fn start(&self, args: &[&str]) -> Daemon<'_> {
        self.start_with(args, &[])
    }

    /// Starts a daemon, and waits until it answers.
    fn start_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Daemon<'_> {
        let daemon = self.spawn(args, variables);
        daemon.wait("it answers", |_| true);
        daemon
    }

    fn spawn(&self, args: &[&str], variables: &[(&str, &str)]) -> Daemon<'_> {
        let mut command = self.command(&[&["daemon"], args].concat());
        command.envs(variables.iter().copied()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut err, to) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while err.read_line(&mut line).unwrap() > 0 {
                to.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Daemon { home: self, child, log, reader: Some(reader) }
    }
}

impl Daemon<'_> {
    /// Asks for the status as the command does. None: it does not listen.
    fn status(&self) -> Option<Json> {
        let mut stream = UnixStream::connect(self.home.path(".local/share/tolstoy/daemon/socket")).ok()?;
        stream.write_all(b"status\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until the status is so.
    fn wait(&self, what: &str, mut until: impl FnMut(&Json) -> bool) -> Json {
        let patience = Patience::new();
        loop {
            let status = self.status();
            if let Some(status) = status.as_ref().filter(|status| until(status)) {
                return status.clone();
            }
            assert!(patience.lasts(), "{what}: {status:?}\n{}", self.log());
        }
    }

    /// Waits until all pairs are in step, and for this to hold.
    fn wait_in_step(&self, what: &str, mut holds: impl FnMut() -> bool) -> Json {
        self.wait(what, |status| pairs(status).iter().all(|pair| pair["state"] == "in-step") && holds())
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended: its exit code and all that it told.
    fn end(&mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (code, self.log())
    }

    fn stop(mut self) -> String {
        self.signal("TERM");
        let (code, log) = self.end();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pairs(status: &Json) -> &[Json] {
    status["pairs"].as_array().unwrap()
}

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
