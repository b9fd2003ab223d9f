//! Tasks on the command line.

use std::fmt::Write as _;

use crate::room::{Ran, Room};

/// A room with tasks, whose ids are replaced in what is shown.
pub(crate) struct Tasks {
    pub(crate) room: Room,
    ids: Vec<String>,
    pub(crate) told: String,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { room: Room::new(), ids: Vec::new(), told: String::new() }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = self.room.command(&[&["task"], args].concat()).env("TZ", "UTC").output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran}");
        ran.out
    }

    pub(crate) fn add(&mut self, args: &[&str]) -> String {
        let id = self.ok(&[&["add"], args].concat()).trim().to_owned();
        self.ids.push(id.clone());
        id
    }

    pub(crate) fn tidy(&self, text: &str) -> String {
        let whole = |text: String, (n, id): (usize, &String)| {
            text.replace(id.as_str(), &format!("id{n:014}")).replace(&id[..5], &format!("id{n:03}"))
        };
        self.room.tidy(&self.ids.iter().enumerate().fold(text.to_owned(), whole))
    }

    /// Runs a command and notes what it said.
    pub(crate) fn tell(&mut self, args: &[&str]) {
        let ran = self.run(args);
        let said = format!("$ task {}\n{}{}", args.join(" "), ran.out, ran.err);
        let code = if ran.code == 0 { String::new() } else { format!("exit {}\n", ran.code) };
        let told = self.tidy(&(said + &code));
        let _ = writeln!(self.told, "{told}");
    }
}

#[test]
fn a_day_with_tasks() {
    let mut tasks = Tasks::new();
    let milk = tasks.add(&["due:2099-11-25T18:30", "+home", "+shop", "Buy", "milk"]);
    let fence = tasks.add(&["Paint the fence", "+home", "size:3", "project:garden"]);
    let rent = tasks.add(&["due:2099-01-31", "recur:1mo", "Pay", "the", "rent"]);
    let blocked = format!("blocked_by:{milk}");
    tasks.add(&["Bake", "a", "cake", &blocked]);
    for args in [
        &["list"][..],
        &["list", "+home"],
        &["list", "due.before:2099-06-01", "or", "project:garden"],
        &["list", "@blocked"],
        &["next", "--score", "has(due) * 5 + value(size)"],
        &["tags"],
        &["modify", &milk[..5], "-shop", "due:", "Buy", "oat", "milk"],
        &["show", &milk],
        &["undo"],
        &["list", "/milk/"],
        &["snooze", &fence, "2099-12-01", "09:00"],
        &["next"],
        &["done", &milk, &rent],
        &["list"],
        &["undo"],
        &["delete", &fence],
        &["list", "@all"],
        &["undo"],
        &["undo"],
    ] {
        tasks.tell(args);
    }
    insta::assert_snapshot!("task-day", tasks.told);
}

#[test]
fn what_is_not_understood_is_said() {
    let mut tasks = Tasks::new();
    tasks.tell(&["undo"]);
    tasks.tell(&["list"]);
    tasks.add(&["Buy milk"]);
    for args in [
        &["done", "ooo"][..],
        &["done", ""],
        &["add", "+home"],
        &["add", "due:soonish", "x"],
        &["add", "recur:often", "due:2099-01-01", "x"],
        &["add", "recur:1w", "x"],
        &["list", "@opne"],
        &["list", "("],
        &["next", "--score", "urgency"],
        &["import", "missing.json"],
    ] {
        tasks.tell(args);
    }
    tasks.room.write("bad.json", "[{\"id\":\"../x\"}]");
    tasks.tell(&["import", "bad.json"]);
    insta::assert_snapshot!("task-refusals", tasks.told);
}

#[test]
fn a_folder_and_a_store_exchange_tasks_by_export_and_import() {
    let mut tasks = Tasks::new();
    let id = tasks.add(&["Buy milk", "note:1.50", "+home"]);
    tasks.room.write("export.json", &tasks.ok(&["export"]));
    assert_eq!(tasks.ok(&["--at", "folder/", "import", "export.json"]), "export.json: 1 task\n");
    let file = tasks.room.path(&format!("folder/{id}.json"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"note\": 1.50") && text.contains("\"description\": \"Buy milk\""), "{text}");
    assert_eq!(tasks.ok(&["--at", "folder", "export"]), tasks.ok(&["export"]));
    // Edited by hand there, it comes back.
    std::fs::write(&file, text.replace("Buy milk", "Buy oat milk")).unwrap();
    tasks.room.write("back.json", &tasks.ok(&["--at", "folder", "export"]));
    tasks.ok(&["import", "back.json"]);
    assert!(tasks.ok(&["list"]).contains("Buy oat milk"));
}

#[test]
fn json_is_json() {
    let mut tasks = Tasks::new();
    let id = tasks.add(&["Buy milk", "+home", "size:12345678901234567890123"]);
    let parse = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    for command in ["list", "next"] {
        let listed = tasks.ok(&[command, "--json"]);
        assert!(listed.contains("\"size\":12345678901234567890123"), "{listed}");
        assert_eq!(parse(listed)[0]["id"], id.as_str());
    }
    assert_eq!(parse(tasks.ok(&["show", &id, "--json"]))["description"], "Buy milk");
    assert_eq!(parse(tasks.ok(&["tags", "--json"]))["home"], 1);
    assert_eq!(parse(tasks.ok(&["export"]))[0]["tags"][0], "home");
    let refused = tasks.run(&["list", "--json", "@opne"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert_eq!(parse(refused.err)["error"], "input");
}

#[test]
fn tasks_in_a_store_are_facts() {
    let mut tasks = Tasks::new();
    tasks.ok(&["--at", "mine.db", "add", "Buy milk", "+home"]);
    let query = "[:find ?what . :where [?t :task/tag \"home\"] [?t :task/description ?what]]";
    assert_eq!(tasks.room.ok(&["query", "mine.db", query]), "\"Buy milk\"\n");
    assert!(tasks.ok(&["list"]).ends_with("0 tasks\n"));
    tasks.add(&["elsewhere"]);
    assert!(tasks.ok(&["--at", "mine.db", "list"]).ends_with("1 task\n"));
}

#[cfg(unix)]
#[test]
fn by_the_name_task_it_is_the_command() {
    let room = Room::new();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tolstoy"), room.path("task")).unwrap();
    let output = std::process::Command::new(room.path("task"))
        .args(["add", "Buy", "milk"])
        .env_clear()
        .env("HOME", room.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(room.ok(&["task", "list"]).contains("Buy milk"));
    let output = std::process::Command::new(room.path("task")).arg("frobnicate").env_clear().output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("Usage: tolstoy task [OPTIONS]"), "{told}");
}
