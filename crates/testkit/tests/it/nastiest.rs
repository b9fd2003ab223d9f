//! What goes wrong at once, or in an order that nobody thinks of. `docs/sync.md` lists these among the nastiest there are.

use std::collections::BTreeSet;

use tolstoy_edn::Keyword;
use tolstoy_store::{Reason, TxReport};
use tolstoy_sync::{ErrorKind, OtherLife, Outcome};

use crate::lab::Lab;

const SCHEMA: &str = "[
  {:db/ident :u/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :u/badge :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/value}
  {:db/ident :u/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :u/count :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :u/sum :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/merge :db.merge/sum}
  {:db/ident :u/best :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/merge :db.merge/max}
  {:db/ident :u/title :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/merge :db.merge/first}
  {:db/ident :u/boss :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}
  {:db/ident :u/note :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :u/number :db/valueType :db.type/long :db/cardinality :db.cardinality/many}]";
const ANNA: &str = "[:u/name \"Anna\"]";
const INC: &str = "[[:db/inc [:u/name \"Anna\"] :u/count 1]]";

/// All devices of the lab have the schema and these facts.
fn begun(mut lab: Lab, text: &str) -> Lab {
    lab.transact(1, SCHEMA);
    lab.transact(1, text);
    for n in 1..=lab.stores.len() {
        lab.sync(n);
    }
    lab
}

fn lab(devices: u64, text: &str) -> Lab {
    begun(Lab::new(devices), text)
}

fn reason(lab: &Lab, report: &TxReport) -> Option<Reason> {
    lab.became(1, report).displaced.map(|d| d.reason)
}

/// The values of an attribute on a device, as text, in order.
fn values(lab: &Lab, device: usize, a: &str) -> Vec<String> {
    let of = |fact: String| {
        let (_, rest) = fact.strip_prefix('[')?.split_once(' ')?;
        Some(rest.strip_prefix(a)?.strip_prefix(' ')?.strip_suffix(']')?.to_owned())
    };
    lab.data(device).into_iter().filter_map(of).collect()
}

/// The push arrives and its answer does not; a copy of the store goes its own way; the hub forgets the push; and all say
/// something on top.
#[test]
fn a_lost_answer_and_a_copy_of_the_store_and_a_restored_hub() {
    let mut lab = begun(Lab::on_disks(2), "[{:u/name \"Anna\" :u/count 10}]");
    let early = lab.hub.state().unwrap().seq.0;
    lab.transact(1, INC);
    lab.sync_unanswered(1);
    let copy = lab.copy(1);
    assert_eq!(lab.store(copy).device(), lab.store(1).device());
    for device in [1, 2, copy] {
        lab.transact(device, INC);
    }
    lab.hub.restore(early).unwrap();
    for device in [2, copy, 1] {
        lab.sync(device);
    }
    lab.quiesce();
    assert_eq!(values(&lab, 1, ":u/count"), ["14"]);
    let devices: BTreeSet<_> = lab.stores.iter().map(|s| s.device()).collect();
    assert_eq!(devices.len(), 3, "each is a device of its own");
}

/// A device that was put back says something else under what it takes for the next number, while what it had said is in
/// the log, and increments with it.
#[test]
fn a_store_put_back_from_a_backup_increments_again() {
    let mut lab = begun(Lab::on_disks(2), "[{:u/name \"Anna\" :u/count 10}]");
    let backup = lab.image(1);
    let (device, lost) = (lab.store(1).device(), lab.transact(1, INC));
    lab.sync(1);
    lab.put_back(1, backup);
    let second = lab.transact(1, INC);
    assert_eq!(second.tx, lost.tx);
    lab.transact(2, INC);
    lab.quiesce();
    assert_eq!(values(&lab, 1, ":u/count"), ["13"]);
    assert_ne!(lab.store(1).device(), device);
}

#[test]
fn an_attribute_is_renamed_and_deleted_and_used_on_three_devices() {
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let mut lab = lab(3, "[{:u/name \"Anna\"}]");
        lab.transact(1, "[[:db/add :u/age :db/ident :u/years]]");
        lab.transact(2, "[[:db/retractEntity :u/age]]");
        let used = lab.transact(3, &format!("[[:db/add {ANNA} :u/age 28] [:db/add {ANNA} :u/note \"28\"]]"));
        order.into_iter().for_each(|n| drop(lab.sync(n)));
        lab.rest();
        // Nothing is half there: the change that uses the attribute is applied whole, or waits in the journal.
        let is_there = lab.data(1).iter().any(|fact| fact.ends_with(" 28]"));
        assert_eq!(is_there, reason(&lab, &used).is_none(), "{order:?}: {:?}", lab.facts(1));
        assert_eq!(is_there, values(&lab, 1, ":u/note") == ["\"28\""]);
    }
}

#[test]
fn both_sides_exchange_unique_values() {
    let three =
        "[{:u/name \"Anna\" :u/badge \"1\"} {:u/name \"Boris\" :u/badge \"2\"} {:u/name \"Vera\" :u/badge \"3\"}]";
    let exchange = |a: &str, x: u32, b: &str, y: u32| {
        format!("[[:db/add [:u/name \"{a}\"] :u/badge \"{x}\"] [:db/add [:u/name \"{b}\"] :u/badge \"{y}\"]]")
    };
    // The same exchange on both sides is one; it is not undone.
    let mut same = lab(2, three);
    let swaps = [1, 2].map(|n| same.transact(n, &exchange("Anna", 2, "Boris", 1)));
    same.sync(1);
    same.rest();
    assert_eq!(values(&same, 1, ":u/badge"), ["\"2\"", "\"1\"", "\"3\""]);
    assert_eq!(swaps.map(|swap| reason(&same, &swap)), [None, None]);
    // Two that meet in one entity cannot both be: the second is displaced whole.
    let mut other = lab(2, three);
    other.transact(1, &exchange("Anna", 2, "Boris", 1));
    let second = other.transact(2, &exchange("Boris", 3, "Vera", 2));
    other.sync(1);
    other.rest();
    assert_eq!(values(&other, 2, ":u/badge"), ["\"2\"", "\"1\"", "\"3\""]);
    assert_eq!(reason(&other, &second), Some(Reason::Unique));
}

/// The carrier is moved by two merges, lost by the hub and supplied again; meanwhile somebody settles it.
#[test]
fn a_carrier_that_is_moved_twice_and_lost_and_settled() {
    let mut lab = lab(3, "[{:u/name \"Anna\"}]");
    let early = lab.hub.state().unwrap().seq.0;
    lab.transact(1, "[{:u/name \"Boris\" :u/badge \"1\"}]");
    lab.sync(1);
    let made = lab.transact(2, "[{:db/id \"v\" :u/name \"Vera\" :u/badge \"1\"}]");
    let further = lab.transact(2, &format!("[[:db/add {} :u/boss {ANNA}]]", made.tempids["v"]));
    assert!(lab.try_sync(2, 1).is_err(), "it merged, and its push does not arrive");
    lab.transact(3, "[{:u/name \"Olga\"}]");
    lab.sync(3);
    let rebased = lab.sync(2).passes[0].rebased.clone().unwrap();
    assert_eq!(rebased.carried, 2);
    lab.sync(1);
    lab.transact(1, &format!("[[:db/add (transaction-tx) :db.journal/settles #uuid \"{}\"]]", made.origin.id));
    lab.hub.restore(early).unwrap();
    lab.transact(3, "[{:u/name \"Lev\"}]");
    for device in [3, 1, 2] {
        lab.sync(device);
    }
    lab.quiesce();
    for device in 1..=3 {
        assert_eq!(lab.became(device, &made).displaced.unwrap().reason, Reason::Unique);
        assert_eq!(lab.became(device, &further).displaced.unwrap().reason, Reason::Depends);
        let settled = format!(":db.journal/settles #uuid \"{}\"]", made.origin.id);
        assert_eq!(lab.facts(device).iter().filter(|fact| fact.ends_with(&settled)).count(), 1);
        assert_eq!(values(&lab, device, ":u/name").len(), 4, "Vera waits in the journal");
    }
}

/// What somebody says with a clock that is a year ahead keeps its time, and all that is said later follows it closely; what
/// stands is decided by the order of the log, and not by clocks.
#[test]
fn a_clock_that_is_a_year_ahead() {
    let mut lab = lab(3, "[{:u/name \"Anna\" :u/age 1}]");
    let ahead = "[:db/add (transaction-tx) :db/txInstant #inst \"2027-06-01T00:00:00Z\"]";
    let early = lab.transact(1, &format!("[{ahead} [:db/add {ANNA} :u/age 2]]"));
    let here = lab.transact(2, &format!("[[:db/add {ANNA} :u/age 3]]"));
    lab.sync(1);
    lab.sync(2);
    let there = lab.transact(3, &format!("[[:db/add {ANNA} :u/age 4]]"));
    lab.rest();
    assert_eq!(values(&lab, 1, ":u/age"), ["4"]);
    let [early, here, there] = [&early, &here, &there].map(|change| lab.became(2, change));
    assert!(early.instant < here.instant && here.instant < there.instant);
    assert_eq!(there.instant.as_micros(), early.instant.as_micros() + 2);
    assert_eq!(there.origin.authored.to_string().get(..4), Some("2026"));
}

/// One side lets an attribute have several values, and the other replaces the one that it has.
#[test]
fn an_attribute_made_many_on_one_side_and_replaced_on_the_other() {
    let mut lab = lab(2, "[{:u/name \"Anna\" :u/age 28}]");
    lab.transact(1, "[[:db/add :u/age :db/cardinality :db.cardinality/many]]");
    lab.transact(1, &format!("[[:db/add {ANNA} :u/age 30]]"));
    lab.transact(2, &format!("[[:db/add {ANNA} :u/age 29]]"));
    lab.sync(1);
    lab.rest();
    assert_eq!(values(&lab, 2, ":u/age"), ["29", "30"]);
}

#[test]
fn of_three_that_compare_and_set_one_wins_and_one_follows() {
    let mut lab = lab(3, "[{:u/name \"Anna\" :u/count 10}]");
    let cas = |old: u32, new: u32| format!("[[:db/cas {ANNA} :u/count {old} {new}]]");
    let first = lab.transact(1, &cas(10, 20));
    let second = lab.transact(2, &cas(10, 30));
    let after = lab.transact(2, &cas(30, 31));
    lab.sync(1);
    lab.sync(3);
    let third = lab.transact(3, &cas(20, 25));
    lab.sync(2);
    lab.rest();
    let reasons = [&first, &second, &after, &third].map(|change| reason(&lab, change));
    assert_eq!(reasons, [None, Some(Reason::Operation), Some(Reason::Operation), None]);
    assert_eq!(values(&lab, 1, ":u/count"), ["25"]);
}

/// One side deletes somebody whole, the other gives the name up and takes it again, which says anew who is meant; a third
/// only edits.
#[test]
fn a_delete_against_an_identity_that_is_stated_anew() {
    let mut lab = lab(3, "[{:u/name \"Anna\" :u/age 28 :u/note \"x\"}]");
    lab.transact(1, &format!("[[:db/retractEntity {ANNA}]]"));
    let anna = lab.transact(2, &format!("[[:db/add {ANNA} :u/name \"Anne\"]]"));
    let named =
        lab.transact(2, "[[:db/add [:u/name \"Anne\"] :u/name \"Anna\"] [:db/add [:u/name \"Anne\"] :u/age 29]]");
    let edit = lab.transact(3, &format!("[[:db/add {ANNA} :u/age 30]]"));
    for device in [1, 3, 2] {
        lab.sync(device);
    }
    lab.rest();
    assert_eq!([&anna, &named, &edit].map(|change| reason(&lab, change)), [None, None, Some(Reason::Deleted)]);
    assert_eq!(values(&lab, 1, ":u/name"), ["\"Anna\""]);
    assert_eq!(values(&lab, 1, ":u/age"), ["29"]);
    assert!(values(&lab, 1, ":u/note").is_empty());
}

/// Both sides give the same numbers to new entities, and write these numbers, and origins, into texts and numbers too.
#[test]
fn texts_and_numbers_that_look_like_entities_stay_what_they_are() {
    let mut lab = lab(2, "[{:u/name \"Anna\"}]");
    let made = lab.transact(1, "[{:db/id \"b\" :u/name \"Boris\"}]");
    let number = made.tempids["b"];
    let origin = made.origin.id;
    let text = format!(
        "[{{:db/id \"v\" :u/name \"Vera\" :u/note [\"{number}\" \"[:db/add {number} :u/age 1]\" \"{origin}\" \":u/name\"]
            :u/number [{number} 0 -1 268435457] :u/boss {ANNA}}}]"
    );
    let other = lab.transact(2, &text);
    assert_eq!(other.tempids["v"], number);
    lab.sync(1);
    let rebased = lab.sync(2).passes[0].rebased.clone().unwrap();
    assert_eq!(rebased.renamed.len(), 1, "the new entity itself has another number");
    lab.rest();
    assert_eq!(values(&lab, 1, ":u/number"), ["-1", "0", &number.to_string(), "268435457"]);
    let mut notes = values(&lab, 1, ":u/note");
    notes.sort();
    let mut meant = [
        format!("\"{number}\""),
        format!("\"[:db/add {number} :u/age 1]\""),
        format!("\"{origin}\""),
        "\":u/name\"".to_owned(),
    ];
    meant.sort();
    assert_eq!(notes, meant);
}

/// Somebody says something at the last instant that can be said. Nobody is kept from saying something afterwards.
#[test]
fn the_last_instant_of_the_year_9999() {
    let mut lab = lab(3, "[{:u/name \"Anna\" :u/age 1}]");
    let last = "[:db/add (transaction-tx) :db/txInstant #inst \"9999-12-31T23:59:59.999999Z\"]";
    lab.transact(1, &format!("[{last} [:db/add {ANNA} :u/age 2]]"));
    let here = lab.transact(2, &format!("[[:db/add {ANNA} :u/age 3]]"));
    lab.sync(1);
    lab.sync(2);
    lab.sync(3);
    lab.transact(3, &format!("[[:db/add {ANNA} :u/age 4]]"));
    lab.rest();
    assert_eq!(values(&lab, 1, ":u/age"), ["4"]);
    assert_eq!(reason(&lab, &here), None);
}

/// A device begins with a snapshot of what the hub then loses. It is the only one left that has it all.
#[test]
fn a_snapshot_of_a_future_that_the_hub_lost() {
    let mut lab = begun(Lab::on_disks(2), "[{:u/name \"Anna\" :u/count 10}]");
    let (early, backup) = (lab.hub.state().unwrap().seq.0, lab.image(1));
    lab.hub.want_snapshots();
    for _ in 0..3 {
        lab.transact(1, INC);
        lab.sync(1);
    }
    let joined = lab.join();
    let pass = lab.sync(joined).passes[0].clone();
    assert_eq!((pass.outcome, pass.from_snapshot), (Outcome::LocalFastForward, early + 3));
    lab.put_back(1, backup);
    lab.hub.restore(early).unwrap();
    lab.transact(1, INC);
    lab.transact(2, INC);
    lab.sync(2);
    lab.sync(1);
    assert_eq!(lab.sync(joined).resupplied, 3);
    lab.quiesce();
    assert_eq!(values(&lab, joined, ":u/count"), ["15"]);
}

/// A log is wiped, and a device that never synced begins it anew with people of the same names.
#[test]
fn a_wiped_log_that_a_stranger_begins_anew() {
    let mut lab = lab(2, "[{:u/name \"Anna\" :u/count 10}]");
    lab.transact(1, INC);
    lab.transact(2, INC);
    lab.sync(1);
    lab.hub.delete().unwrap();
    let stranger = lab.join();
    lab.transact(stranger, SCHEMA);
    lab.transact(stranger, "[{:u/name \"Anna\" :u/age 3} {:u/name \"Olga\"}]");
    lab.sync(stranger);
    for device in [1, 2] {
        assert_eq!(lab.try_sync(device, u32::MAX).unwrap_err().kind(), ErrorKind::Generation);
    }
    lab.other_life = OtherLife::Adopt;
    lab.quiesce();
    assert_eq!(values(&lab, stranger, ":u/name"), ["\"Anna\"", "\"Olga\""]);
    assert_eq!(values(&lab, 1, ":u/count"), ["12"]);
    assert_eq!(values(&lab, 2, ":u/age"), ["3"]);
}

/// Two of three define an attribute otherwise than the log has it; each of them gives way, also after the hub lost it all.
#[test]
fn three_definitions_of_one_attribute_and_a_hub_that_forgets() {
    let mut lab = lab(3, "[{:u/name \"Anna\"}]");
    let early = lab.hub.state().unwrap().seq.0;
    let define = |kind: &str| {
        format!("[{{:db/ident :u/size :db/valueType :db.type/{kind} :db/cardinality :db.cardinality/one}}]")
    };
    lab.transact(1, &define("long"));
    lab.transact(1, &format!("[[:db/add {ANNA} :u/size 1]]"));
    let own = ["string", "double"].into_iter().zip([2, 3]).map(|(kind, n)| lab.transact(n, &define(kind)));
    let own: Vec<TxReport> = own.collect();
    let used = lab.transact(2, &format!("[[:db/add {ANNA} :u/size \"large\"]]"));
    lab.sync(1);
    assert!(lab.try_sync(2, u32::MAX).is_err());
    lab.theirs = vec![Keyword::parse(":u/size").unwrap()];
    lab.sync(2);
    lab.hub.restore(early).unwrap();
    for device in [2, 3, 1] {
        lab.sync(device);
    }
    lab.quiesce();
    assert_eq!([&own[0], &own[1]].map(|change| reason(&lab, change)), [Some(Reason::Schema), Some(Reason::Schema)]);
    assert_eq!(reason(&lab, &used), Some(Reason::Depends));
    assert_eq!(values(&lab, 3, ":u/size"), ["1"]);
}

/// One change states values under three policies, and loses two races for HEAD: what is decided is decided once.
#[test]
fn policies_decide_once_through_two_lost_races() {
    let mut lab = lab(3, "[{:u/name \"Anna\" :u/sum 10 :u/best 5 :u/title \"a\"}]");
    let all = |sum: u32, best: u32, title: &str| {
        format!("[{{:u/name \"Anna\" :u/sum {sum} :u/best {best} :u/title \"{title}\"}}]")
    };
    let change = lab.transact(2, &all(13, 7, "mine"));
    lab.transact(1, &all(11, 9, "first"));
    lab.sync(1);
    assert!(lab.try_sync(2, 1).is_err());
    lab.sync(3);
    lab.transact(3, &all(12, 8, "second"));
    lab.sync(3);
    assert!(lab.try_sync(2, 1).is_err());
    lab.rest();
    assert_eq!(values(&lab, 1, ":u/sum"), ["15"], "10, and 1, and 1, and 3");
    assert_eq!(values(&lab, 1, ":u/best"), ["8"], "what the last to know of 9 said, which is more than 7");
    assert_eq!(values(&lab, 1, ":u/title"), ["\"second\""]);
    let recorded = lab.became(3, &change).overwritten;
    assert!(recorded.iter().all(|o| o.a != lab.entid(1, ":u/sum")), "{recorded:?}");
    assert!(recorded.iter().any(|o| o.a == lab.entid(1, ":u/title")));
}
