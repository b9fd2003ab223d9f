//! `tolstoy demo`: two devices, one hub, through real processes.

mod check;
mod stage;

use crate::args;
use crate::error::{Failure, Kind};
use crate::ui::Ui;

use stage::Stage;

/// One telling of the story.
struct Variant {
    title: &'static str,
    /// Names files apart.
    letter: &'static str,
    /// What is stated of `:person/name` beside its type and cardinality.
    name: &'static str,
    before: &'static str,
    after: &'static str,
    /// The facts that both must end with, entities beside attributes numbered in order.
    facts: &'static [&'static str],
}

const NOT_UNIQUE: Variant = Variant {
    title: "(a) A name names nobody in particular",
    letter: "a",
    name: "",
    before: "Client 1 knows the name and the age of a person.",
    after: "Two people are called Grisha: nothing says that they are one.",
    facts: &[
        "[:person/name :db/ident :person/name]",
        "[:person/name :db/valueType :db.type/string]",
        "[:person/name :db/cardinality :db.cardinality/one]",
        "[:person/age :db/ident :person/age]",
        "[:person/age :db/valueType :db.type/long]",
        "[:person/age :db/cardinality :db.cardinality/one]",
        "[:person/ssn :db/ident :person/ssn]",
        "[:person/ssn :db/valueType :db.type/long]",
        "[:person/ssn :db/cardinality :db.cardinality/one]",
        "[:person/ssn :db/unique :db.unique/identity]",
        "[:person/ssn :db/index true]",
        "[?1 :person/name \"Grisha\"]",
        "[?1 :person/age 30]",
        "[?2 :person/name \"Grisha\"]",
        "[?2 :person/ssn 123]",
    ],
};

const UNIQUE: Variant = Variant {
    title: "(b) A name is an identity",
    letter: "b",
    name: IDENTITY,
    before: "The same again, but this time both clients define the name as a unique identity.",
    after: "One Grisha, with the age from client 1 and the number from client 2: who has the same identity is the same person.",
    facts: &[
        "[:person/name :db/ident :person/name]",
        "[:person/name :db/valueType :db.type/string]",
        "[:person/name :db/cardinality :db.cardinality/one]",
        "[:person/name :db/unique :db.unique/identity]",
        "[:person/name :db/index true]",
        "[:person/age :db/ident :person/age]",
        "[:person/age :db/valueType :db.type/long]",
        "[:person/age :db/cardinality :db.cardinality/one]",
        "[:person/ssn :db/ident :person/ssn]",
        "[:person/ssn :db/valueType :db.type/long]",
        "[:person/ssn :db/cardinality :db.cardinality/one]",
        "[:person/ssn :db/unique :db.unique/identity]",
        "[:person/ssn :db/index true]",
        "[?1 :person/name \"Grisha\"]",
        "[?1 :person/age 30]",
        "[?1 :person/ssn 123]",
    ],
};

/// What makes an attribute name its entity.
const IDENTITY: &str = "\n  :db/unique :db.unique/identity\n  :db/index true";

const PEOPLE: &str = "[:find ?person ?attribute ?value :where [?person :person/name] [?person ?a ?value] [?a :db/ident ?attribute] \
                      :order ?person ?attribute]";

pub(crate) fn run(args: &args::Demo, ui: &mut Ui) -> Result<(), Failure> {
    let mut stage = Stage::new(ui)?;
    stage.title("Two devices, one hub")?;
    let directory = stage.directory().display().to_string();
    stage.say(&format!("All of it happens in {directory}, which goes at the end unless you say --keep."))?;
    stage.say("A hub keeps the logs that devices share. This one listens on a free port.")?;
    stage.start_hub()?;
    for variant in [NOT_UNIQUE, UNIQUE] {
        tell(&mut stage, &variant)?;
    }
    stage.say("Both stories came out as they should.")?;
    stage.end(args.keep)
}

fn tell(stage: &mut Stage<'_>, variant: &Variant) -> Result<(), Failure> {
    let letter = variant.letter;
    let [edn1, edn2] = [1, 2].map(|n| format!("{letter}{n}.edn"));
    let [db1, db2] = [1, 2].map(|n| format!("{letter}{n}.db"));
    let name = variant.name;
    let url = stage.url();

    stage.title(variant.title)?;
    stage.say(variant.before)?;
    stage.file(&edn1, &definitions(name, "age", "", "{:person/name \"Grisha\" :person/age 30}"))?;
    stage.run(&["transact", &db1, &format!("@{edn1}")])?;
    stage.say("Client 2 knows nothing of ages, but of social security numbers, and each of those names one person.")?;
    stage.file(&edn2, &definitions(name, "ssn", IDENTITY, "{:person/name \"Grisha\" :person/ssn 123}"))?;
    stage.run(&["transact", &db2, &format!("@{edn2}")])?;

    stage.say("Client 1 syncs with a new log. Its changes go up.")?;
    let output = sync(stage, &["sync", &db1, &url, "new"], &["remote fast-forward"])?;
    let log = output.lines().find_map(|line| line.strip_prefix("log ")?.split_whitespace().next());
    let log = log.ok_or_else(|| Failure::new(Kind::Demo, "the sync did not say which log it made"))?;
    stage.say("Client 2 syncs with the same log. Both have changes: client 2 takes in those of the log, re-applies its own on top of\nthem, and sends what came of it.")?;
    sync(stage, &["sync", &db2, &url, log], &["merge", "remote fast-forward"])?;
    stage.say("Client 1 syncs again, and gets what client 2 sent. The address and the log need not be said again.")?;
    sync(stage, &["sync", &db1], &["local fast-forward"])?;

    stage.say("What do they know of people now?")?;
    stage.run(&["query", &db1, PEOPLE])?;
    stage.run(&["query", &db2, PEOPLE])?;
    stage.say(variant.after)?;
    let facts = check::same_facts(stage, &db1, &db2, variant.facts)?;
    let about = facts.iter().filter(|fact| fact.starts_with("[?")).count();
    stage
        .say(&format!("{} facts of the schema and {about} of people, the same in both stores:", facts.len() - about))?;
    stage.indented(&facts.join("\n"))?;

    stage.say("Once more: there is nothing left to do.")?;
    sync(stage, &["sync", &db1], &["no changes"])?;
    sync(stage, &["sync", &db2], &["no changes"]).map(drop)
}

/// A client's transaction.
fn definitions(name: &str, other: &str, of_other: &str, fact: &str) -> String {
    let attribute = |ident: &str, kind: &str, more: &str| {
        format!(
            "{{:db/ident :person/{ident}\n  :db/valueType :db.type/{kind}\n  :db/cardinality :db.cardinality/one{more}}}"
        )
    };
    format!("[{}\n {}\n {fact}]\n", attribute("name", "string", name), attribute(other, "long", of_other))
}

/// Runs a sync, and checks what its passes did.
fn sync(stage: &mut Stage<'_>, args: &[&str], expected: &[&str]) -> Result<String, Failure> {
    let output = stage.run(args)?;
    let passes: Vec<&str> = output.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    if passes == expected {
        return Ok(output);
    }
    Err(Failure::new(Kind::Demo, format!("the sync should have been {expected:?}, and was {passes:?}")))
}
