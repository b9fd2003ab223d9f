//! What every driver must do. A driver's tests call [`driver_conformance!`](crate::driver_conformance) with a way to make an
//! empty place, and nothing else.
//!
//! Each check is a function over a new place; it panics where the driver does wrong.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a check fails by panicking")]
#![allow(missing_docs, reason = "a check's name says what it checks")]

use tolstoy_edn::Instant;

use super::{Answer, Driver, Exchanged, Offer, Released};
use crate::json::Json;
use crate::{Author, Document, TaskId, resolve};

/// Opens the place that is checked, once more each time.
pub type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Driver>;

/// Makes a `#[test]` of each check. `$make` gives what opens a new empty place, as often as it is called, and whatever must live
/// as long: `(impl FnMut() -> Box<dyn Driver>, T)`.
#[macro_export]
macro_rules! driver_conformance {
    ($make:expr) => {
        $crate::driver_conformance!(@ $make =>
            an_empty_place_has_nothing
            what_is_offered_stands_and_stays
            an_offer_of_nothing_changes_nothing
            hashes_are_those_of_the_documents
            what_comes_is_resolved_with_what_is_here
            an_offer_that_comes_again_changes_nothing
            one_exchange_may_speak_of_a_task_twice
            answers_are_in_the_order_of_the_offers
            what_nobody_knows_is_kept_exactly
            documents_without_clocks_stay_as_they_are
            deletions_and_removals_are_kept
            what_was_lost_is_kept
            what_is_too_large_is_refused_and_the_rest_goes_on
            two_who_open_one_place_see_each_other
            what_differs_is_told
            the_list_is_what_stands
            what_blocks_may_come_later
            a_place_lets_go_of_what_has_this_hash_or_says_why
            a_thousand_tasks_at_once
        );
    };
    (@ $make:expr => $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                let (mut open, _kept) = $make;
                $crate::driver::conformance::$check(&mut open);
            }
        )*
    };
}

const IDS: [&str; 4] = ["pb67wndxge8293xd", "px6zrs3z46b8e5pg", "wbyzkrrrp7xb2rps", "c6yx4mdzxm9cz7nm"];

fn id(n: usize) -> TaskId {
    IDS[n].parse().unwrap()
}

fn author(device: &str, second: i64) -> Author {
    let noon = Instant::parse_rfc3339("2026-11-25T12:00:00Z").unwrap();
    Author { device: device.parse().unwrap(), now: Instant::from_micros(noon.as_micros() + second * 1_000_000) }
}

fn task(n: usize, description: &str) -> Document {
    let mut document = Document::new(id(n));
    set(&mut document, "laptop", 0, "description", description);
    document.tag(&author("laptop", 0), "home", true).unwrap();
    document
}

fn set(document: &mut Document, device: &str, second: i64, property: &str, value: &str) {
    document.set(&author(device, second), property, Some(Json::from(value))).unwrap();
}

fn exchange(driver: &mut dyn Driver, offers: &[Offer]) -> Vec<Answer> {
    let Exchanged { answers, troubles } = driver.exchange(offers).unwrap();
    assert_eq!(answers.len(), offers.len());
    assert_eq!(troubles, []);
    answers
}

fn offer(driver: &mut dyn Driver, document: &Document) -> Document {
    match exchange(driver, &[Offer::of(document.clone())]).pop() {
        Some(Answer::Stands(Some(document))) => document,
        other => panic!("{other:?}"),
    }
}

fn read(driver: &mut dyn Driver, id: TaskId) -> Option<Document> {
    match exchange(driver, &[Offer::nothing(id)]).pop() {
        Some(Answer::Stands(document)) => document,
        other => panic!("{other:?}"),
    }
}

/// The documents are here, nothing else is, and whoever opens the place finds the same.
fn holds(open: Open<'_>, driver: &mut dyn Driver, documents: &[&Document]) {
    let mut other = open();
    for driver in [driver, &mut *other] {
        let hashes = driver.hashes().unwrap();
        assert_eq!(hashes.troubles, []);
        let expected = documents.iter().map(|document| (document.id(), document.hash())).collect();
        assert_eq!(hashes.tasks, expected);
        for document in documents {
            assert_eq!(read(driver, document.id()).as_ref(), Some(*document));
        }
    }
}

pub fn an_empty_place_has_nothing(open: Open<'_>) {
    let mut driver = open();
    holds(open, &mut *driver, &[]);
    assert_eq!(driver.list().unwrap().tasks, []);
    assert_eq!(read(&mut *driver, id(0)), None);
    assert_eq!(exchange(&mut *driver, &[]), []);
}

pub fn what_is_offered_stands_and_stays(open: Open<'_>) {
    let mut driver = open();
    let document = task(0, "milk");
    assert_eq!(offer(&mut *driver, &document), document);
    holds(open, &mut *driver, &[&document]);
    drop(driver);
    let mut again = open();
    holds(open, &mut *again, &[&document]);
}

pub fn an_offer_of_nothing_changes_nothing(open: Open<'_>) {
    let mut driver = open();
    let document = task(0, "milk");
    offer(&mut *driver, &document);
    assert_eq!(read(&mut *driver, id(0)), Some(document.clone()));
    assert_eq!(read(&mut *driver, id(1)), None);
    holds(open, &mut *driver, &[&document]);
}

pub fn hashes_are_those_of_the_documents(open: Open<'_>) {
    let mut driver = open();
    let (one, two) = (task(0, "milk"), task(1, "bread"));
    offer(&mut *driver, &one);
    offer(&mut *driver, &two);
    holds(open, &mut *driver, &[&one, &two]);
}

pub fn what_comes_is_resolved_with_what_is_here(open: Open<'_>) {
    let mut driver = open();
    let (mut ours, mut theirs) = (task(0, "milk"), task(0, "milk"));
    set(&mut ours, "laptop", 1, "due", "2026-11-26");
    set(&mut theirs, "phone", 2, "description", "oat milk");
    theirs.tag(&author("phone", 2), "home", false).unwrap();
    offer(&mut *driver, &ours);
    let resolved = resolve(&ours, &theirs).unwrap();
    assert_eq!(offer(&mut *driver, &theirs), resolved);
    holds(open, &mut *driver, &[&resolved]);
    // What is older than what is here changes nothing.
    assert_eq!(offer(&mut *driver, &task(0, "milk")), resolved);
    holds(open, &mut *driver, &[&resolved]);
}

pub fn an_offer_that_comes_again_changes_nothing(open: Open<'_>) {
    let mut driver = open();
    let document = task(0, "milk");
    for _ in 0..3 {
        assert_eq!(offer(&mut *driver, &document), document);
    }
    holds(open, &mut *driver, &[&document]);
}

pub fn one_exchange_may_speak_of_a_task_twice(open: Open<'_>) {
    let mut driver = open();
    let (mut ours, mut theirs) = (task(0, "milk"), task(0, "milk"));
    set(&mut ours, "laptop", 1, "due", "2026-11-26");
    set(&mut theirs, "phone", 2, "description", "oat milk");
    let resolved = resolve(&ours, &theirs).unwrap();
    let offers = [Offer::nothing(id(0)), Offer::of(ours.clone()), Offer::of(theirs), Offer::nothing(id(0))];
    let answers = exchange(&mut *driver, &offers);
    assert_eq!(answers[0], Answer::Stands(None));
    assert_eq!(answers[1], Answer::Stands(Some(ours)));
    assert_eq!(answers[2], Answer::Stands(Some(resolved.clone())));
    assert_eq!(answers[3], Answer::Stands(Some(resolved.clone())));
    holds(open, &mut *driver, &[&resolved]);
}

pub fn answers_are_in_the_order_of_the_offers(open: Open<'_>) {
    let mut driver = open();
    let (one, two) = (task(0, "milk"), task(1, "bread"));
    let offers = [Offer::of(two.clone()), Offer::nothing(id(2)), Offer::of(one.clone())];
    let expected = [Some(two.clone()), None, Some(one.clone())].map(Answer::Stands);
    assert_eq!(exchange(&mut *driver, &offers), expected);
    holds(open, &mut *driver, &[&one, &two]);
}

pub fn what_nobody_knows_is_kept_exactly(open: Open<'_>) {
    let mut driver = open();
    let text = r##"{"id":"pb67wndxge8293xd","description":"\u0000\u001f \ud83d\ude00 \"\\ e\u0301","tags":["\u00e9 x","#\n"],
        "big":123456789012345678901234567890,"f":1.50,"due":["wrong"],"recur":7,"done":{"a":{}},"null":null,"blocked_by":[1,"x"],
        "wait":"9999-12-31T23:59:59.999999Z","snooze":"0000-01-01","deep":[[[[{"\ue000":[],"\ud83d\ude00":-0.0}]]]],"updated_at":false}"##;
    let document = Document::parse(text).unwrap();
    offer(&mut *driver, &document);
    holds(open, &mut *driver, &[&document]);
    let back = read(&mut *driver, id(0)).unwrap();
    assert_eq!(back.to_json().exact(), document.to_json().exact());
}

pub fn documents_without_clocks_stay_as_they_are(open: Open<'_>) {
    let mut driver = open();
    let text = r#"{"description":"example description","id":"pb67wndxge8293xd","tags":["test"]}"#;
    let document = Document::parse(text).unwrap();
    assert_eq!(offer(&mut *driver, &document).canonical(), text);
    assert_eq!(read(&mut *driver, id(0)).unwrap().canonical(), text);
}

pub fn deletions_and_removals_are_kept(open: Open<'_>) {
    let mut driver = open();
    let mut document = task(0, "milk");
    set(&mut document, "laptop", 1, "due", "2026-11-26");
    offer(&mut *driver, &document);
    set(&mut document, "laptop", 2, "deleted", "2026-11-25T12:00:02Z");
    document.set(&author("laptop", 2), "due", None).unwrap();
    document.set(&author("laptop", 2), "description", None).unwrap();
    document.tag(&author("laptop", 2), "home", false).unwrap();
    assert_eq!(offer(&mut *driver, &document), document);
    holds(open, &mut *driver, &[&document]);
    assert_eq!(offer(&mut *driver, &task(0, "milk")), document);
    assert!(driver.list().unwrap().tasks[0].is_deleted());
}

pub fn what_was_lost_is_kept(open: Open<'_>) {
    let mut driver = open();
    let (mut ours, mut theirs) = (task(0, "milk"), task(0, "milk"));
    set(&mut ours, "laptop", 1, "description", "soy milk");
    set(&mut theirs, "phone", 2, "description", "oat milk");
    offer(&mut *driver, &theirs);
    let resolved = offer(&mut *driver, &ours);
    assert_eq!(resolved.journal()[0].value, Some(Json::from("soy milk")));
    holds(open, &mut *driver, &[&resolved]);
}

pub fn what_is_too_large_is_refused_and_the_rest_goes_on(open: Open<'_>) {
    let mut driver = open();
    let (mut ours, mut theirs, other) = (task(0, "milk"), task(0, "milk"), task(1, "bread"));
    set(&mut ours, "laptop", 1, "description", &"a".repeat(600_000));
    set(&mut theirs, "phone", 2, "description", &"b".repeat(600_000));
    offer(&mut *driver, &ours);
    let answers = exchange(&mut *driver, &[Offer::of(theirs), Offer::of(other.clone())]);
    assert!(
        matches!(&answers[0], Answer::Refused(refusal) if refusal.to_string().contains("too large")),
        "{answers:?}"
    );
    assert_eq!(answers[1], Answer::Stands(Some(other.clone())));
    let mut huge = task(2, "x");
    set(&mut huge, "laptop", 1, "description", &"a".repeat(10 << 20));
    assert!(matches!(&*exchange(&mut *driver, &[Offer::of(huge)]), [Answer::Refused(_)]));
    holds(open, &mut *driver, &[&ours, &other]);
}

pub fn two_who_open_one_place_see_each_other(open: Open<'_>) {
    let (mut one, mut two) = (open(), open());
    let (milk, bread) = (task(0, "milk"), task(1, "bread"));
    offer(&mut *one, &milk);
    assert_eq!(read(&mut *two, id(0)), Some(milk.clone()));
    offer(&mut *two, &bread);
    let mut changed = milk.clone();
    set(&mut changed, "phone", 1, "description", "oat milk");
    offer(&mut *two, &changed);
    let mut due = milk;
    set(&mut due, "laptop", 2, "due", "2026-11-26");
    let resolved = resolve(&changed, &due).unwrap();
    assert_eq!(offer(&mut *one, &due), resolved);
    holds(open, &mut *one, &[&resolved, &bread]);
    holds(open, &mut *two, &[&resolved, &bread]);
}

pub fn what_differs_is_told(open: Open<'_>) {
    let mut driver = open();
    let (one, two, three) = (task(0, "milk"), task(1, "bread"), task(2, "cake"));
    for document in [&one, &two] {
        offer(&mut *driver, document);
    }
    let mut differs = |theirs: &[(&Document, &Document)]| {
        let theirs = theirs.iter().map(|(task, hashed)| (task.id(), hashed.hash())).collect();
        let found = driver.differences(&theirs).unwrap();
        assert_eq!(found.troubles, []);
        found.tasks.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(differs(&[(&one, &one), (&two, &two)]), []);
    assert_eq!(differs(&[]), [(one.id(), Some(one.hash())), (two.id(), Some(two.hash()))]);
    assert_eq!(differs(&[(&one, &three), (&two, &two)]), [(one.id(), Some(one.hash()))]);
    let mut expected = vec![(two.id(), Some(two.hash())), (three.id(), None)];
    expected.sort_unstable();
    assert_eq!(differs(&[(&one, &one), (&three, &three)]), expected);
}

pub fn the_list_is_what_stands(open: Open<'_>) {
    let mut driver = open();
    let (one, mut two) = (task(0, "milk"), task(1, "bread"));
    set(&mut two, "laptop", 1, "x", "y");
    offer(&mut *driver, &two);
    offer(&mut *driver, &one);
    let listing = driver.list().unwrap();
    assert_eq!(listing.tasks, [one.task(), two.task()]);
    assert_eq!(listing.troubles, []);
}

pub fn what_blocks_may_come_later(open: Open<'_>) {
    let mut driver = open();
    let mut blocked = task(0, "cake");
    let on = |ids: &[&str]| Some(Json::Array(ids.iter().map(|id| Json::from(*id)).collect()));
    blocked.set(&author("laptop", 1), "blocked_by", on(&[IDS[1], IDS[2], IDS[0]])).unwrap();
    offer(&mut *driver, &blocked);
    holds(open, &mut *driver, &[&blocked]);
    let bread = task(1, "bread");
    offer(&mut *driver, &bread);
    blocked.set(&author("laptop", 2), "blocked_by", on(&[IDS[1]])).unwrap();
    offer(&mut *driver, &blocked);
    holds(open, &mut *driver, &[&blocked, &bread]);
    let bread = {
        let mut bread = bread;
        set(&mut bread, "laptop", 3, "description", "rye bread");
        bread
    };
    offer(&mut *driver, &bread);
    holds(open, &mut *driver, &[&blocked, &bread]);
}

pub fn a_place_lets_go_of_what_has_this_hash_or_says_why(open: Open<'_>) {
    let mut driver = open();
    let (milk, fence, mut cake) = (task(0, "milk"), task(1, "fence"), task(2, "cake"));
    cake.set(&author("laptop", 0), "blocked_by", Some(Json::Array(vec![Json::from(milk.id().as_str())]))).unwrap();
    for document in [&milk, &fence, &cake] {
        offer(&mut *driver, document);
    }
    // The fence was edited since its hash was taken; the last was never here.
    let mut edited = fence.clone();
    set(&mut edited, "phone", 9, "description", "the fence");
    offer(&mut *driver, &edited);
    let wanted = [&milk, &fence, &task(3, "nothing")].map(|document| (document.id(), document.hash()));
    let Released { released, kept, .. } = driver.release(&wanted.into_iter().collect()).unwrap();
    if kept.contains_key(&milk.id()) {
        assert_eq!(released.into_iter().collect::<Vec<_>>(), [], "a place that cannot lets go of none");
        return holds(open, &mut *driver, &[&milk, &edited, &cake]);
    }
    assert_eq!(kept.into_keys().collect::<Vec<_>>(), [fence.id()]);
    assert!(released.contains(&milk.id()) && released.contains(&id(3)));
    holds(open, &mut *driver, &[&edited, &cake]);
    // No mark is left: what comes again stands as it came.
    assert_eq!(offer(&mut *driver, &milk), milk);
    holds(open, &mut *driver, &[&milk, &edited, &cake]);
    let listed: Vec<TaskId> = driver.list().unwrap().tasks.iter().map(crate::Task::id).collect();
    assert_eq!(listed.len(), 3);
}

pub fn a_thousand_tasks_at_once(open: Open<'_>) {
    let mut driver = open();
    let characters = "23456789ab".as_bytes();
    let name = |n: usize| {
        let digit = |place: usize| char::from(characters[n / 10_usize.pow(place as u32) % 10]);
        format!("pb67wndxge8293{}{}", digit(1), digit(0)).replacen('p', &digit(2).to_string(), 1)
    };
    let documents: Vec<Document> = (0..1000)
        .map(|n| {
            let mut document = Document::new(name(n).parse().unwrap());
            set(&mut document, "laptop", 0, "description", &format!("task {n}"));
            document
        })
        .collect();
    let offers: Vec<Offer> = documents.iter().cloned().map(Offer::of).collect();
    let expected: Vec<Answer> = documents.iter().cloned().map(|document| Answer::Stands(Some(document))).collect();
    assert_eq!(exchange(&mut *driver, &offers), expected);
    assert_eq!(open().hashes().unwrap().tasks.len(), 1000);
    assert_eq!(driver.list().unwrap().tasks.len(), 1000);
}
