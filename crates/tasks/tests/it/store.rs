//! Tasks in a store: what can be asked of them, and what syncs make of them.

use tolstoy_store::{Entid, Store, Timeline};
use tolstoy_tasks::driver::{Answer, Driver, Offer, StoreDriver};
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Document, TaskId, resolve};

use crate::common::{author, doc, env, set};

const ID: &str = "pb67wndxge8293xd";

fn driver() -> StoreDriver {
    StoreDriver::new(Store::in_memory(env(1)).unwrap())
}

fn offer(driver: &mut StoreDriver, document: &Document) -> Document {
    match driver.exchange(&[Offer::of(document.clone())]).unwrap().answers.remove(0) {
        Answer::Stands(Some(document)) => document,
        other => panic!("{other:?}"),
    }
}

fn ask(driver: &StoreDriver, query: &str) -> String {
    driver.store().query(query, &[]).unwrap().to_edn().to_string()
}

fn task(text: &str) -> Document {
    doc(&format!(r#"{{"id":"{ID}",{text}}}"#))
}

#[test]
fn tasks_can_be_asked_for() {
    let mut driver = driver();
    let mut milk = task(
        r#""description":"milk","tags":["home","shop"],"due":"2026-11-26","wait":"2026-11-25T10:00:00+01:00","recur":"1w","done":true,
        "blocked_by":["px6zrs3z46b8e5pg","nonsense"],"snooze":"soon""#,
    );
    offer(&mut driver, &milk);
    let facts =
        "[:find [?name ...] :where [?t :task/id \"pb67wndxge8293xd\"] [?t ?a] [?a :db/ident ?name] :order ?name]";
    assert_eq!(
        ask(&driver, facts),
        "[:task/blocked-by :task/description :task/due :task/id :task/recur :task/state :task/tag :task/wait]"
    );
    assert_eq!(ask(&driver, "[:find ?d . :where [?t :task/tag \"home\"] [?t :task/description ?d]]"), "\"milk\"");
    assert_eq!(ask(&driver, "[:find ?d . :where [_ :task/due ?d]]"), "#inst \"2026-11-26T00:00:00Z\"");
    assert_eq!(ask(&driver, "[:find ?d . :where [_ :task/wait ?d]]"), "#inst \"2026-11-25T09:00:00Z\"");
    assert_eq!(ask(&driver, "[:find ?id . :where [_ :task/blocked-by ?b] [?b :task/id ?id]]"), "\"px6zrs3z46b8e5pg\"");
    // The task that blocks is none yet.
    assert_eq!(driver.hashes().unwrap().tasks.len(), 1);

    let who = author("laptop", "2026-11-25T10:00:00Z");
    milk.tag(&who, "home", false).unwrap();
    milk.set(&who, "due", None).unwrap();
    milk.set(&who, "blocked_by", None).unwrap();
    set(&mut milk, &who, "description", "oat milk");
    offer(&mut driver, &milk);
    assert_eq!(ask(&driver, "[:find [?d ...] :where [_ :task/description ?d]]"), "[\"oat milk\"]");
    assert_eq!(ask(&driver, "[:find [?d ...] :where [_ :task/due ?d]]"), "[]");
    assert_eq!(ask(&driver, "[:find [?tag ...] :where [_ :task/tag ?tag]]"), "[\"shop\"]");
    assert_eq!(ask(&driver, "[:find [?b ...] :where [_ :task/blocked-by ?b]]"), "[]");
    assert_eq!(ask(&driver, "[:find (count ?s) . :where [_ :task/state ?s]]"), "1");
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut driver = driver();
    let milk = task(r#""description":"milk""#);
    driver.hashes().unwrap();
    assert_eq!(driver.store().basis(), Store::in_memory(env(1)).unwrap().basis(), "reading adds no vocabulary");
    offer(&mut driver, &milk);
    let basis = driver.store().basis();
    offer(&mut driver, &milk);
    driver.hashes().unwrap();
    driver.list().unwrap();
    assert_eq!(driver.store().basis(), basis);
}

/// As a merge of stores leaves it: both sides' states, and the facts of one of them.
fn add_state(driver: &mut StoreDriver, state: &str) {
    let state = tolstoy_edn::Value::from(state);
    driver.store_mut().transact_str(&format!("[[:db/add [:task/id \"{ID}\"] :task/state {state}]]")).unwrap();
}

#[test]
fn states_that_were_written_apart_become_one() {
    let mut driver = driver();
    let base = task(r#""description":"milk""#);
    let (mut ours, mut theirs) = (base.clone(), base);
    set(&mut ours, &author("laptop", "2026-11-25T10:00:00Z"), "description", "soy milk");
    set(&mut theirs, &author("phone", "2026-11-25T10:00:01Z"), "description", "oat milk");
    theirs.tag(&author("phone", "2026-11-25T10:00:01Z"), "shop", true).unwrap();
    offer(&mut driver, &ours);
    add_state(&mut driver, &theirs.canonical());
    let both = resolve(&ours, &theirs).unwrap();
    assert_eq!(driver.list().unwrap().tasks, [both.task()]);
    assert_eq!(driver.hashes().unwrap().tasks.values().copied().collect::<Vec<_>>(), [both.hash()]);
    assert_eq!(ask(&driver, "[:find (count ?s) . :where [_ :task/state ?s]]"), "1");
    assert_eq!(ask(&driver, "[:find [?d ...] :where [_ :task/description ?d]]"), "[\"oat milk\"]");
    assert_eq!(ask(&driver, "[:find [?tag ...] :where [_ :task/tag ?tag]]"), "[\"shop\"]");
    assert_eq!(both.journal()[0].value, Some(Json::from("soy milk")));
}

#[test]
fn of_states_that_differ_in_how_a_number_is_written_every_device_keeps_the_same() {
    for (first, second) in [("1", "1.0"), ("1.0", "1")] {
        let mut driver = driver();
        offer(&mut driver, &task(&format!("\"n\":{first}")));
        add_state(&mut driver, &format!(r#"{{"id":"{ID}","n":{second}}}"#));
        driver.hashes().unwrap();
        assert!(ask(&driver, "[:find [?s ...] :where [_ :task/state ?s]]").contains("\\\"n\\\":1.0}"), "{first}");
        assert_eq!(ask(&driver, "[:find (count ?s) . :where [_ :task/state ?s]]"), "1");
    }
}

#[test]
fn a_state_that_is_no_task_is_told_of_and_stays() {
    let mut driver = driver();
    let milk = task(r#""description":"milk""#);
    offer(&mut driver, &milk);
    let mut store = driver.into_store();
    store
        .transact_str(&format!(
            "[[:db/add [:task/id \"{ID}\"] :task/state \"{{\"] {{:task/id \"../x\" :task/state \"[]\"}}]"
        ))
        .unwrap();
    let mut driver = StoreDriver::new(store);
    let hashes = driver.hashes().unwrap();
    assert_eq!(hashes.tasks.len(), 1);
    let told: Vec<String> = hashes.troubles.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|t| t.contains("the task \"pb67wndxge8293xd\": a state of it is no task")), "{told:?}");
    assert!(told.iter().any(|t| t.contains("the task \"../x\"")), "{told:?}");
    let mut changed = milk;
    set(&mut changed, &author("laptop", "2026-11-25T10:00:00Z"), "description", "oat milk");
    let other = doc(r#"{"id":"px6zrs3z46b8e5pg"}"#);
    let answers = driver.exchange(&[Offer::of(changed), Offer::of(other.clone())]).unwrap().answers;
    assert!(matches!(&answers[0], Answer::Refused(why) if why.to_string().contains("is no task")), "{answers:?}");
    assert_eq!(answers[1], Answer::Stands(Some(other)));
    assert_eq!(ask(&driver, "[:find (count ?s) . :where [_ :task/state ?s]]"), "4");
}

#[test]
fn ten_thousand_tasks_are_written_and_listed() {
    let mut driver = driver();
    let world = env(7);
    let who = author("laptop", "2026-11-25T10:00:00Z");
    let documents: Vec<Document> = (0..10_000)
        .map(|n| {
            let mut document = Document::new(TaskId::mint(&world).unwrap());
            set(&mut document, &who, "description", &format!("task number {n} of ten thousand"));
            set(&mut document, &who, "due", "2026-11-26T12:00:00Z");
            set(&mut document, &who, "created_at", "2026-11-25T10:00:00Z");
            document.tag(&who, if n % 2 == 0 { "home" } else { "work" }, true).unwrap();
            document
        })
        .collect();
    let offers: Vec<Offer> = documents.into_iter().map(Offer::of).collect();
    assert_eq!(driver.exchange(&offers).unwrap().answers.len(), 10_000);
    let listing = driver.list().unwrap();
    assert_eq!(listing.tasks.len(), 10_000);
    assert!(
        listing.tasks.iter().all(|task| task.description().ends_with("of ten thousand") && task.tags().count() == 1)
    );
    assert_eq!(driver.hashes().unwrap().tasks.len(), 10_000);
}

#[test]
fn what_is_let_go_of_leaves_its_id_alone_and_the_log_whole() {
    let mut driver = driver();
    let milk = offer(&mut driver, &task(r#""description":"milk","tags":["home"],"blocked_by":["px6zrs3z46b8e5pg"]"#));
    let wanted = [(milk.id(), milk.hash())].into_iter().collect();
    assert_eq!(driver.release(&wanted).unwrap().kept.len(), 0);
    let facts = format!("[:find [?name ...] :where [?t :task/id \"{ID}\"] [?t ?a] [?a :db/ident ?name]]");
    assert_eq!(ask(&driver, &facts), "[:task/id]");
    let log = driver.store().transactions(Timeline::MAIN, Entid::TX0, usize::MAX).unwrap();
    assert!(format!("{log:?}").contains("milk"), "the log keeps what was");
    let basis = driver.store().basis();
    assert_eq!(driver.release(&wanted).unwrap().released.len(), 1, "once more it is gone already");
    assert_eq!(driver.store().basis(), basis, "and nothing is written for that");

    // A state that cannot be read is nobody's to let go of.
    offer(&mut driver, &milk);
    let odd = format!("[{{:task/id \"{ID}\" :task/state \"{{}}\"}}]");
    driver.store_mut().transact_str(&odd).unwrap();
    let kept = driver.release(&wanted).unwrap().kept;
    assert!(kept.values().all(|why| why.0.contains("no task")) && kept.len() == 1, "{kept:?}");
    assert!(ask(&driver, "[:find [?s ...] :where [_ :task/state ?s]]").contains("milk"));
}
