//! The journal through the real program: two devices that disagree, a hub, and people who settle it.

use serde_json::json;

use crate::room::{Hub, Room};

const LOG: &str = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";

/// Two devices in step over a hub. The phone's Vera was displaced, since the laptop's Ivan has her address; so was her age, which
/// depends on her; and both changed Ivan's age.
fn disagreeing() -> (Room, Hub) {
    let room = Room::with_people();
    let hub = room.hub();
    room.ok(&["sync", "people.db", &hub.url, LOG]);
    room.ok(&["sync", "phone.db", &hub.url, LOG]);
    room.ok(&["transact", "people.db", r#"[{:person/name "Ivan" :person/age 31 :person/email "i@example.org"}]"#]);
    room.ok(&["transact", "phone.db", r#"[{:person/name "Vera" :person/email "i@example.org"}]"#]);
    room.ok(&["transact", "phone.db", r#"[[:db/add (lookup-ref :person/name "Vera") :person/age 3]]"#]);
    room.ok(&["transact", "phone.db", r#"[{:person/name "Ivan" :person/age 32}]"#]);
    room.ok(&["sync", "people.db"]);
    room.ok(&["sync", "phone.db"]);
    room.ok(&["sync", "people.db"]);
    (room, hub)
}

/// The ids of all entries.
fn ids(room: &Room) -> Vec<String> {
    let all = room.json(&["conflicts", "people.db", "--all", "--json"]);
    all.as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect()
}

/// Commands and what they print, ids of this run left out.
struct Told<'r> {
    room: &'r Room,
    ids: Vec<String>,
    text: String,
}

impl Told<'_> {
    fn tidy(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (n, id) in self.ids.iter().enumerate() {
            text = text.replace(id, &format!("ENTRY-{n}")).replace(&id[..8], &format!("ID-{n}"));
        }
        self.room.tidy(&text)
    }

    fn run(&mut self, args: &[&str]) {
        let ran = self.room.run(args);
        let text = self.tidy(&format!("$ tolstoy {}\n{ran}\n\n", args.join(" ")));
        self.text.push_str(&text);
    }
}

#[test]
fn the_journal_is_listed_shown_and_settled() {
    let (room, _hub) = disagreeing();
    let ids = ids(&room);
    let [vera, age, ivan] = [0, 1, 2].map(|n: usize| ids[n][..8].to_owned());
    let mut told = Told { room: &room, ids, text: String::new() };
    told.run(&["conflicts", "people.db"]);
    told.run(&["conflicts", "phone.db", "--all"]);
    told.run(&["conflicts", "show", "people.db", &vera]);
    told.run(&["conflicts", "show", "people.db", &age]);
    told.run(&["conflicts", "show", "people.db", &ivan]);
    told.run(&["conflicts", "apply", "people.db", &vera]);
    told.run(&["conflicts", "apply", "people.db", &age]);
    told.run(&["conflicts", "show", "people.db", &vera, "--edn"]);
    let edn = room.ok(&["conflicts", "show", "people.db", &vera, "--edn"]);
    room.write("vera.edn", &edn.replace("i@example.org", "v@example.org"));
    told.run(&["conflicts", "apply", "people.db", &vera, "--edit", "vera.edn"]);
    told.run(&["conflicts", "apply", "people.db", &age]);
    told.run(&["conflicts", "apply", "people.db", &ivan]);
    told.run(&["conflicts", "apply", "people.db", &vera]);
    told.run(&["conflicts", "show", "people.db", &vera]);
    told.run(&["conflicts", "people.db"]);
    insta::assert_snapshot!("conflicts", told.text);

    room.ok(&["sync", "people.db"]);
    room.ok(&["sync", "phone.db"]);
    assert_eq!(room.json(&["conflicts", "phone.db", "--json"]), json!([]));
    let all = room.json(&["conflicts", "phone.db", "--all", "--json"]);
    assert!(all.as_array().unwrap().iter().all(|e| e["state"] == "settled"), "{all}");
    assert_eq!(room.contents("phone.db"), room.contents("people.db"));
    let ages = "[:find ?n ?a :where [?p :person/name ?n] [?p :person/age ?a] :order ?n]";
    assert_eq!(room.json(&["query", "--json", "phone.db", ages]), json!([["Ivan", 31], ["Vera", 3]]));
}

#[test]
fn what_cannot_be_done_to_the_journal_is_said() {
    let (room, _hub) = disagreeing();
    let ids = ids(&room);
    let [vera, age, ivan] = [0, 1, 2].map(|n: usize| ids[n][..8].to_owned());
    let mut told = Told { room: &room, ids, text: String::new() };
    let before = room.contents("people.db");
    for args in [
        &["conflicts"][..],
        &["conflicts", "nowhere.db"],
        &["conflicts", "show", "people.db"],
        &["conflicts", "people.db", "show", &vera],
        &["conflicts", "shwo", "people.db", &vera],
        &["conflicts", "show", "people.db", "zebra"],
        &["conflicts", "show", "people.db", "00000000-0000-0000-0000-000000000000"],
        &["conflicts", "drop", "nowhere.db", &vera],
        &["conflicts", "apply", "people.db", &vera, "--edit", "nowhere.edn"],
        &["conflicts", "apply", "people.db", &vera, "--edit", "a.edn", "--with", "[]"],
        &["conflicts", "apply", "people.db", &vera, "--with", "[{:person/name"],
        &["conflicts", "apply", "people.db", &vera, "--with", "{:person/name \"Vera\"}"],
        &["conflicts", "apply", "people.db", &vera, "--with", "[{:person/name \"Vera\" :person/aeg 3}]"],
        &["conflicts", "apply", "people.db", &vera, "--with", "people.edn"],
        &["conflicts", "apply", "people.db", &vera, "--json"],
        &["conflicts", "export", "people.db", "people.edn"],
        &["conflicts", "export", "people.db", "nowhere/journal.edn"],
    ] {
        told.run(args);
    }
    assert_eq!(room.contents("people.db"), before);
    told.run(&["conflicts", "drop", "people.db", &ivan]);
    told.run(&["conflicts", "drop", "people.db", &ivan]);
    told.run(&["conflicts", "apply", "people.db", &ivan, "--again", "--with", "[]"]);
    told.run(&["conflicts", "drop", "people.db", &age]);
    told.run(&["status", "people.db", "--offline"]);
    let hide = |line: &str| line.split_once(", device ").map_or(line.to_owned(), |(before, _)| before.to_owned());
    let text: Vec<String> = told.text.lines().filter(|line| !line.starts_with("chain ")).map(hide).collect();
    insta::assert_snapshot!("conflicts-refusals", text.join("\n"));
}

#[test]
fn an_ambiguous_beginning_of_an_id_is_refused() {
    let (room, _hub) = disagreeing();
    let mut ids = ids(&room);
    // Of many, two begin alike.
    for n in 0..17 {
        room.ok(&["transact", "people.db", &format!("[{{:person/name \"x{n}\" :person/email \"{n}@example.org\"}}]")]);
        room.ok(&["transact", "phone.db", &format!("[{{:person/name \"y{n}\" :person/email \"{n}@example.org\"}}]")]);
    }
    room.ok(&["sync", "people.db"]);
    let merged = room.run(&["sync", "phone.db"]);
    assert!(
        merged.out.ends_with("journal: 19 entries wait for somebody to decide: `tolstoy conflicts phone.db`\n"),
        "{merged}"
    );
    room.ok(&["sync", "people.db"]);
    ids = room
        .json(&["conflicts", "people.db", "--json"])
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].as_str().unwrap().to_owned())
        .chain(ids.drain(2..))
        .collect();
    let digit = ids.iter().map(|id| &id[..1]).find(|digit| ids.iter().filter(|id| id.starts_with(*digit)).count() > 1);
    let ran = room.run(&["conflicts", "show", "people.db", digit.unwrap()]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("is the beginning of several ids: ") && ran.err.contains("give more of the id"), "{ran}");
}

#[test]
fn the_journal_and_side_timelines_can_be_written_out() {
    let (room, _hub) = disagreeing();
    let told = Told { room: &room, ids: ids(&room), text: String::new() };
    insta::assert_snapshot!("conflicts-export", told.tidy(&room.ok(&["conflicts", "export", "people.db"])));
    assert_eq!(room.ok(&["conflicts", "export", "people.db", "journal.edn"]), "journal.edn: 3 entries\n");
    let written = std::fs::read_to_string(room.path("journal.edn")).unwrap();
    assert_eq!(written, room.ok(&["conflicts", "export", "people.db"]));
    let lines = room.ok(&["conflicts", "export", "people.db", "--json"]);
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), room.json(&["conflicts", "people.db", "--all", "--json"]));
    insta::assert_snapshot!("conflicts-json", told.tidy(&serde_json::to_string_pretty(&lines).unwrap()));

    assert_eq!(
        room.ok(&["log", "people.db", "--timelines"]),
        "no side timelines: no merge has moved anything off the main line\n"
    );
    assert_eq!(room.json(&["log", "people.db", "--timelines", "--json"]), json!([]));
    assert_eq!(room.ok(&["log", "phone.db", "--timelines"]), "timeline 1: 3 transactions, 268435459 to 268435461\n");
    assert_eq!(
        room.json(&["log", "phone.db", "--timelines", "--json"]),
        json!([{"timeline": 1, "transactions": 3, "first": 268435459, "last": 268435461}])
    );
    assert_eq!(room.json(&["log", "phone.db", "--timeline", "1", "--json", "-n", "1"])[0]["tx"], 268435461);
}
