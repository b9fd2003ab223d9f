//! The journal of several devices: settled on one, settled on all, and nothing twice. The oracle judges each story as well.

use tolstoy_edn::Limits;
use tolstoy_store::{Entry, Error, Reason, Settling, State, TxReport};
use uuid::Uuid;

use super::lab::Lab;

const SCHEMA: &str = "[
  {:db/ident :u/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :u/badge :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/value}
  {:db/ident :u/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :u/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}]";

/// Devices that have the schema, and Anna, whose age is 1.
fn lab(devices: u64) -> Lab {
    let mut lab = Lab::new(devices);
    lab.transact(1, SCHEMA);
    lab.transact(1, "[{:u/name \"Anna\" :u/age 1}]");
    (1..=devices as usize).for_each(|n| drop(lab.sync(n)));
    lab
}

/// The second device's change of Anna's badge and age is displaced by the first one's badge for Vera.
fn displaced(lab: &mut Lab) -> Uuid {
    lab.transact(1, "[{:u/name \"Vera\" :u/badge \"v\"}]");
    let change = "[[:db/add [:u/name \"Anna\"] :u/badge \"v\"] [:db/inc [:u/name \"Anna\"] :u/age 10]]";
    let origin = lab.transact(2, change).origin.id;
    lab.sync(1);
    assert_eq!(lab.sync(2).passes[0].rebased.as_ref().unwrap().displaced[0].reason, Reason::Unique);
    origin
}

fn entries(lab: &Lab, device: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    let seen = lab.store(device).journal(|entry| {
        entries.push(entry);
        Ok::<_, Error>(())
    });
    seen.unwrap();
    entries
}

fn states(lab: &Lab, device: usize) -> Vec<&'static str> {
    entries(lab, device).iter().map(|e| e.state().word()).collect()
}

fn drop_it(lab: &mut Lab, device: usize, id: Uuid) -> TxReport {
    lab.write(device, "drop", |store| store.settle(id, Settling::Drop, false)).unwrap()
}

fn apply_as(lab: &mut Lab, device: usize, id: Uuid, text: &str) -> TxReport {
    let form = tolstoy_edn::read_one(text, &Limits::default()).unwrap();
    lab.write(device, text, |store| store.settle(id, Settling::ApplyAs(&form), false)).unwrap()
}

const INCREMENT: &str = "[[:db/inc [:u/name \"Anna\"] :u/age 10]]";

fn age(lab: &Lab, device: usize) -> Vec<String> {
    lab.data(device).into_iter().filter(|fact| fact.contains(":u/age")).collect()
}

#[test]
fn what_one_device_settles_is_settled_on_all() {
    let mut lab = lab(3);
    let id = displaced(&mut lab);
    lab.sync(1);
    lab.sync(3);
    for device in 1..=3 {
        assert_eq!((entries(&lab, device)[0].id(), states(&lab, device)), (id, vec!["waiting"]));
    }
    apply_as(&mut lab, 3, id, INCREMENT);
    lab.rest();
    for device in 1..=3 {
        assert_eq!(states(&lab, device), ["settled"]);
        assert_eq!(entries(&lab, device)[0].settled_by, entries(&lab, 1)[0].settled_by);
        assert_eq!(age(&lab, device), ["[65540 :u/age 11]"]);
    }
}

#[test]
fn what_two_devices_apply_at_once_happens_once() {
    let mut lab = lab(3);
    let id = displaced(&mut lab);
    lab.quiesce();
    for device in 1..=2 {
        apply_as(&mut lab, device, id, INCREMENT);
    }
    drop_it(&mut lab, 3, id);
    lab.sync(1);
    // An increment twice is another thing than what was meant; a settlement twice is the same.
    let rebased = lab.sync(2).passes[0].rebased.clone().unwrap();
    assert_eq!(rebased.displaced[0].reason, Reason::Operation);
    let rebased = lab.sync(3).passes[0].rebased.clone().unwrap();
    assert_eq!((rebased.reapplied, rebased.displaced.len()), (1, 0));
    lab.rest();
    assert_eq!(age(&lab, 2), ["[65540 :u/age 11]"]);
    assert_eq!(states(&lab, 1), ["settled", "waiting"]);
    let second = entries(&lab, 1)[1].id();
    drop_it(&mut lab, 1, second);
    lab.rest();
    assert_eq!(states(&lab, 3), ["settled", "settled"]);
}

#[test]
fn a_settlement_finds_its_entry_after_the_hub_lost_both() {
    let mut lab = lab(4);
    let before = lab.hub.state().unwrap().seq.0;
    let id = displaced(&mut lab);
    lab.sync(1);
    lab.sync(3);
    let carrier = entries(&lab, 1)[0].transaction.tx;
    apply_as(&mut lab, 1, id, INCREMENT);
    lab.sync(1);
    lab.hub.restore(before).unwrap();
    // The fourth device knows nothing of all that and writes first, so that the carrier gets another place; the third, which has it and
    // not the settlement, is the one who supplies it.
    lab.transact(4, "[{:u/name \"Oleg\"}]");
    lab.sync(4);
    lab.sync(3);
    assert_ne!(entries(&lab, 3)[0].transaction.tx, carrier);
    assert_eq!(states(&lab, 3), ["waiting"]);
    lab.rest();
    for device in 1..=4 {
        assert_eq!((entries(&lab, device)[0].id(), states(&lab, device)), (id, vec!["settled"]));
        assert_eq!(age(&lab, device), ["[65540 :u/age 11]"]);
    }
}

#[test]
fn a_value_of_the_policy_journal_waits_until_somebody_applies_it() {
    let mut lab = lab(2);
    lab.transact(1, "[[:db/add :u/age :db/merge :db.merge/journal]]");
    lab.quiesce();
    lab.transact(1, "[[:db/add [:u/name \"Anna\"] :u/age 2]]");
    let second = lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/age 3]]");
    lab.quiesce();
    assert_eq!(age(&lab, 1), ["[65540 :u/age 2]"]);
    assert_eq!((entries(&lab, 1)[0].id(), states(&lab, 1)), (second.origin.id, vec!["waiting"]));
    lab.write(1, "apply", |store| store.settle(second.origin.id, Settling::Apply, false)).unwrap();
    // The oracle knows nothing of policies.
    lab.quiesce();
    assert_eq!((age(&lab, 2), states(&lab, 2)), (vec!["[65540 :u/age 3]".to_owned()], vec!["settled"]));
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Settles the oldest entry that waits, in one way or another.
fn settle_something(lab: &mut Lab, device: usize, dice: &mut Dice) {
    let Some(entry) = entries(lab, device).into_iter().find(|e| e.state() == State::Waits) else { return };
    let id = entry.id();
    if dice.roll(3) > 0 && lab.write(device, "apply", |store| store.settle(id, Settling::Apply, false)).is_ok() {
        return;
    }
    let badge = dice.roll(1_000_000);
    let text = lab.store(device).proposal(&entry).unwrap().to_text();
    let taken = text.find(":u/badge \"").map(|at| at + ":u/badge \"".len());
    let edited = taken.map_or(text.clone(), |at| format!("{}{badge}{}", &text[..at], &text[at..]));
    let form = tolstoy_edn::read_one(&edited, &Limits::default()).unwrap();
    let applied = lab.write(device, &edited, |store| store.settle(id, Settling::ApplyAs(&form), false));
    if dice.roll(2) > 0
        || applied.is_err() && entries(lab, device).iter().any(|e| e.id() == id && e.settled_by.is_empty())
    {
        let _ = lab.write(device, "drop", |store| store.settle(id, Settling::Drop, true));
    }
}

/// Whatever is settled where and when, every origin ever committed is one transaction, and all devices agree on the journal.
#[test]
fn settling_loses_nothing_and_repeats_nothing() {
    let (mut applied, mut displaced) = (0, 0);
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let mut lab = lab(3);
        for _ in 0..60 {
            let device = 1 + dice.roll(3) as usize;
            let (who, badge, n) = (dice.roll(4), dice.roll(5), dice.roll(9));
            let text = match dice.roll(9) {
                0 | 1 => format!("[{{:u/name \"n{who}\" :u/badge \"b{badge}\" :u/age {n}}}]"),
                2 => format!("[[:db/inc [:u/name \"n{who}\"] :u/age {n}]]"),
                3 => format!("[[:db/add [:u/name \"n{who}\"] :u/age {n}]]"),
                4 => format!("[{{:u/badge \"b{badge}\" :u/friend [:u/name \"n{who}\"]}}]"),
                5 | 6 => {
                    settle_something(&mut lab, device, &mut dice);
                    continue;
                }
                _ => {
                    displaced += lab
                        .sync(device)
                        .passes
                        .iter()
                        .filter_map(|p| p.rebased.as_ref())
                        .map(|r| r.displaced.len())
                        .sum::<usize>();
                    continue;
                }
            };
            // What the facts forbid, nobody commits.
            let _ = lab.write(device, &text, |store| store.transact_str(&text));
        }
        lab.rest();
        let ours: Vec<(Uuid, State)> = entries(&lab, 1).iter().map(|e| (e.id(), e.state())).collect();
        for device in 2..=3 {
            assert_eq!(
                entries(&lab, device).iter().map(|e| (e.id(), e.state())).collect::<Vec<_>>(),
                ours,
                "seed {seed}"
            );
        }
        applied += ours.iter().filter(|(_, state)| *state == State::Settled).count();
    }
    assert!(applied > 30 && displaced > 60, "{applied} settled of {displaced}: the dice do not try it");
}
