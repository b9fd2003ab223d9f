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
fn an_id_that_looks_like_a_number_stands_where_ids_do() {
    let tasks = Tasks::new();
    tasks.room.write("one.json", r#"[{"id":"2345678923456789","description":"Buy milk"}]"#);
    tasks.ok(&["import", "one.json"]);
    let listed = tasks.ok(&["list"]);
    assert!(listed.starts_with(" id      due ") && listed.contains("\n 23456   "), "{listed}");
    let blocked = r#"[{"id":"abcdefghkmnpqrst","description":"Bake","blocked_by":["2345678923456789"]}]"#;
    tasks.room.write("two.json", blocked);
    tasks.ok(&["import", "two.json"]);
    let listed = tasks.ok(&["list", "--columns", "blocked,description", "Bake"]);
    assert!(listed.contains("\n 23456     Bake"), "{listed}");
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
        &["add", "--json", "x"],
        &["add", "  "],
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
    let mut piped = tasks.room.command(&["task", "--at", "piped.db", "import", "-"]);
    let output = piped.stdin(std::fs::File::open(tasks.room.path("export.json")).unwrap()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "<stdin>: 1 task\n");
    // Edited by hand there, it comes back.
    std::fs::write(&file, text.replace("Buy milk", "Buy oat milk")).unwrap();
    tasks.room.write("back.json", &tasks.ok(&["--at", "folder", "export"]));
    tasks.ok(&["import", "back.json"]);
    assert!(tasks.ok(&["list"]).contains("Buy oat milk"));
}

#[test]
fn json_is_json() {
    let mut tasks = Tasks::new();
    let id = tasks.add(&["Buy milk", "+home", "size:23456789234567897890123"]);
    let parse = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    for command in ["list", "next"] {
        let listed = tasks.ok(&[command, "--json"]);
        assert!(listed.contains("\"size\":23456789234567897890123"), "{listed}");
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

const LOG: &str = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";

#[test]
fn tasks_may_be_on_a_hub() {
    let tasks = Tasks::new();
    let hub = tasks.room.hub();
    let place = format!("{}/1/logs/{LOG}", hub.url);
    let milk = tasks.ok(&["--at", &place, "add", "+home", "Buy", "milk"]).trim().to_owned();
    assert!(tasks.ok(&["--at", &format!("{place}/"), "list", "+home"]).contains("Buy milk"));
    tasks.ok(&["--at", &place, "modify", &milk[..4], "due:2099-11-25", "Buy", "oat", "milk"]);
    let shown = tasks.ok(&["--at", &place, "show", &milk]);
    assert!(shown.contains("oat milk") && shown.contains("2099-11-25"), "{shown}");
    tasks.ok(&["--at", &place, "undo"]);
    assert!(tasks.ok(&["--at", &place, "list"]).contains("Buy milk"));
    // Another device's.
    let export = tasks.ok(&["--at", &place, "export", "@all"]);
    tasks.room.write("tasks.json", &export);
    tasks.ok(&["--at", &format!("{}/1/logs/1a1a1a1a-6f0b-4a39-9d0e-1f7b6a1c2d3e", hub.url), "import", "tasks.json"]);
    assert!(tasks.room.ok(&["fsck", "hub"]).contains(", 2 tasks, "));
    assert_eq!(tasks.room.json(&["fsck", "--json", "hub"])["tasks"], 2);
    tasks.room.ok(&["backup", "hub", "backup.db"]);
    assert!(tasks.room.ok(&["fsck", "backup.db"]).contains(", 2 tasks, "));
}

#[test]
fn a_place_on_a_hub_that_cannot_be_reached_is_told_of() {
    let mut tasks = Tasks::new();
    tasks.room.write("token", "tol_wrong");
    let hub = tasks.room.hub();
    let run = |tasks: &mut Tasks, place: &str, more: &[&str]| {
        let args = [&["--at", place], more, &["list"]].concat();
        let ran = tasks.run(&args);
        let said = format!("$ task {}\n{}{}exit {}\n", args.join(" "), ran.out, ran.err, ran.code);
        let told = tasks.tidy(&said.replace(&hub.url, "HUB"));
        let _ = writeln!(tasks.told, "{told}");
    };
    run(&mut tasks, &hub.url, &[]);
    run(&mut tasks, &format!("{}/1/logs/milk", hub.url), &[]);
    run(&mut tasks, &format!("http://me:secret@localhost/1/logs/{LOG}"), &[]);
    run(&mut tasks, &format!("http://127.0.0.1:1/1/logs/{LOG}"), &[]);
    run(&mut tasks, &format!("http://hub.example/1/logs/{LOG}"), &["--token-file", "token"]);
    run(&mut tasks, &format!("http://hub.example/1/logs/{LOG}"), &["--token-file", "nowhere"]);
    insta::assert_snapshot!(tasks.told, @r#"
    $ task --at HUB list
    error: "HUB" names no log on that hub
    hint: a place on a hub is its address, /1/logs/ and the log's id, as in http://127.0.0.1:7410/1/logs/UUID; `tolstoy task sync URL/1/logs/new` makes a log
    exit 2

    $ task --at HUB/1/logs/milk list
    error: "HUB/1/logs/milk": "milk" is not a UUID of 36 lowercase characters
    hint: a place on a hub is its address, /1/logs/ and the log's id, as in http://127.0.0.1:7410/1/logs/UUID; `tolstoy task sync URL/1/logs/new` makes a log
    exit 2

    $ task --at http://me:secret@localhost/1/logs/UUID list
    error: the address of a hub holds no name and no password
    hint: a place on a hub is its address, /1/logs/ and the log's id, as in http://127.0.0.1:7410/1/logs/UUID; `tolstoy task sync URL/1/logs/new` makes a log
    exit 2

    $ task --at http://127.0.0.1:1/1/logs/UUID list
    error: the hub cannot be reached: http://127.0.0.1:1: Connection refused
    hint: is the hub running (`tolstoy serve`), and is the address right? Nothing is lost: sync again later
    exit 5

    $ task --at http://hub.example/1/logs/UUID --token-file token list
    error: http://hub.example: a token sent over plain http:// can be read by whoever is in between
    hint: use the hub's https:// address; or, where the network itself encrypts, such as a VPN, say --token-in-clear
    exit 2

    $ task --at http://hub.example/1/logs/UUID --token-file nowhere list
    error: ROOM/nowhere: there is no such file
    hint: `--token-file FILE` names the file that holds your token
    exit 1
    "#);
}

#[cfg(unix)]
#[test]
fn tasks_on_a_closed_hub_take_a_token() {
    let tasks = Tasks::new();
    let token = tasks.room.ok(&["token", "create", "--data", "hub", "--rights", "read,write", "--log", LOG]);
    let reader = tasks.room.ok(&["token", "create", "--data", "hub", "--rights", "read", "--log", LOG]);
    tasks.room.write("token", &token);
    tasks.room.write("reader", &reader);
    let mut hub = crate::room::Hub::start(
        &tasks.room,
        &["serve", "--listen", "127.0.0.1:0", "--data", "hub", "--tls-self-signed"],
    );
    let fingerprint = hub.line().strip_prefix("certificate ").unwrap().to_owned();
    let place = format!("{}/1/logs/{LOG}", hub.url);
    let with = |file: &str, log: &str, words: &[&str]| {
        let place = place.replace(LOG, log);
        let access = ["--at", &place, "--token-file", file, "--trust", &fingerprint];
        let ran = tasks.run(&[&access, words].concat());
        (ran.code, ran.out + &ran.err)
    };
    assert_eq!(with("token", LOG, &["add", "Buy", "milk"]).0, 0);
    assert!(with("token", LOG, &["list"]).1.contains("Buy milk"));
    let (code, said) = with("reader", LOG, &["add", "x"]);
    assert!(code != 0 && said.contains("this token lacks the right write"), "{said}");
    let (code, said) = with("token", "1a1a1a1a-6f0b-4a39-9d0e-1f7b6a1c2d3e", &["list"]);
    assert!(code != 0 && said.contains("there is no such log, or this token does not cover it"), "{said}");
    let (code, said) = {
        let ran = tasks.run(&["--at", &place, "--token-file", "token", "list"]);
        (ran.code, ran.err)
    };
    assert!(code != 0 && said.contains("is not trusted"), "{said}");
    // The place is named once.
    let ran = tasks.run(&["--token-file", "token", "sync", &place]);
    assert!(ran.err.starts_with(&format!("error: {place}: the hub there is not trusted: ")), "{ran}");
}
