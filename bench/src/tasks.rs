//! Tasks: what the whole program takes to list them, and what the first sync of two places takes.

use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tolstoy_env::Env;
use tolstoy_store::Store;
use tolstoy_tasks::driver::{Driver, Folder, FolderOptions, Offer, StoreDriver};
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Author, Document, TaskId, reconcile};

use crate::round::{Comparison, Table, time};

/// How many tasks there are.
const COUNT: usize = 10_000;

/// Open tasks such as people have: most are due some day, half have tags, a tenth is blocked.
fn tasks(env: &Env) -> Vec<Offer> {
    let mut before: Option<TaskId> = None;
    let task = |n: usize| {
        let mut document = Document::new(TaskId::mint(env).unwrap());
        let author = Author { device: "laptop".parse().unwrap(), now: env.now() };
        let mut set = |name: &str, value: Json| document.set(&author, name, Some(value)).unwrap();
        set("created_at", Json::from(format!("2026-11-{:02}T09:00:00Z", 1 + n % 28)));
        set("description", Json::from(format!("Task number {n}, which is about something or other")));
        if !n.is_multiple_of(3) {
            set("due", Json::from(format!("2026-12-{:02}T{:02}:59:59Z", 1 + n % 28, n % 24)));
        }
        if n.is_multiple_of(10) {
            set("blocked_by", Json::Array(before.iter().map(|id| Json::from(id.as_str())).collect()));
        }
        if n.is_multiple_of(2) {
            document.tag(&author, "home", true).unwrap();
            document.tag(&author, "shop", true).unwrap();
        }
        before = Some(document.id());
        Offer::of(document)
    };
    (0..COUNT).map(task).collect()
}

fn store(room: &TempDir, name: &str, env: &Env) -> StoreDriver {
    StoreDriver::new(Store::open_or_create(&room.path().join(name), env.clone()).unwrap())
}

fn folder(room: &TempDir, name: &str, env: &Env) -> Folder {
    Folder::open(&room.path().join(name), env.clone(), FolderOptions { create: true, commit: false }).unwrap()
}

fn fill(driver: &mut dyn Driver, tasks: &[Offer]) {
    for batch in tasks.chunks(1000) {
        driver.exchange(batch).unwrap();
    }
}

/// `tolstoy task list` from its start to its end, with its output read.
pub(crate) fn list(table: &mut Table) {
    if !table.wants("tasks list") {
        return;
    }
    let program = std::env::current_exe().unwrap().with_file_name("tolstoy");
    if !program.is_file() {
        eprintln!("tasks list: {} is missing; `cargo build --release -p tolstoy-cli` makes it", program.display());
        return;
    }
    let (room, env) = (tempfile::tempdir().unwrap(), Env::system());
    fill(&mut store(&room, "tasks.db", &env), &tasks(&env));
    let run = || {
        let mut command = Command::new(&program);
        command.args(["task", "--at", "tasks.db", "list"]).current_dir(room.path());
        command.env_clear().env("HOME", room.path()).stdout(Stdio::piped());
        time(|| {
            let output = command.output().unwrap();
            assert!(output.status.success() && output.stdout.ends_with(b"10000 tasks\n"));
        })
    };
    table.compare(Comparison {
        name: "tasks list of 10,000",
        unit: "tasks/s",
        units: COUNT as f64,
        goal: 1.0,
        against: "60 milliseconds",
        rounds: 20,
        ours: Box::new(run),
        floor: Box::new(|| Duration::from_millis(60)),
    });
}

/// The first sync of a place with tasks and an empty one.
pub(crate) fn first_sync(table: &mut Table) {
    let env = Env::system();
    for (name, into_store) in
        [("tasks sync of 10,000, folder to store", true), ("tasks sync of 10,000, store to folder", false)]
    {
        if !table.wants(name) {
            continue;
        }
        let tasks = tasks(&env);
        // They are removed in the end: a file system may be slow to make files where many have just been removed.
        let mut rooms = Vec::new();
        let run = || {
            let room = tempfile::tempdir().unwrap();
            let (mut folder, mut store) = (folder(&room, "tasks", &env), store(&room, "tasks.db", &env));
            if into_store {
                fill(&mut folder, &tasks)
            } else {
                fill(&mut store, &tasks)
            }
            let taken = time(|| {
                let report = reconcile(&mut folder, &mut store).unwrap();
                assert!(report.in_step && report.came.len() + report.went.len() == COUNT);
            });
            rooms.push(room);
            taken
        };
        table.compare(Comparison {
            name,
            unit: "tasks/s",
            units: COUNT as f64,
            goal: 1.0,
            against: "two seconds",
            rounds: 3,
            ours: Box::new(run),
            floor: Box::new(|| Duration::from_secs(2)),
        });
    }
}
