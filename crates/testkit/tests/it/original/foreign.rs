//! What originals write between stores of ours.

use tolstoy_store::{Entid, Timeline};
use tolstoy_sync::{Error, ErrorKind, Outcome};

use super::{lab, reader, tx, write};
use crate::lab::Lab;

fn sound(lab: &mut Lab) {
    lab.quiesce();
    assert_eq!(reader::facts_of(&lab.hub), reader::shared(lab.store(1)));
}

#[test]
fn the_original_goes_on_where_we_wrote() {
    let mut lab = lab(2, usize::MAX);
    lab.sync(1);
    lab.sync(2);
    lab.transact(1, "[{:person/name \"Petr\" :person/age 1}]");
    lab.sync(1);
    // It read ours as 268435463, and now knows that 65547 is taken.
    write(
        &lab.hub,
        tx(8),
        "2026-11-21T20:26:52Z",
        &["+\"e\":65547,\"a\":65537,\"v\":{\"Long\":2}", "-\"e\":65547,\"a\":65537,\"v\":{\"Long\":1}"],
    );
    lab.transact(2, "[{:person/name \"Petr\" :person/age 3}]");
    lab.transact(2, "[{:person/name \"Olga\"}]");
    lab.transact(1, "[{:person/name \"Ivan\"}]");
    assert_eq!(lab.outcomes(2), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    assert_eq!(lab.outcomes(1), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    sound(&mut lab);
    let data = lab.data(1);
    assert!(data.contains(&"[65547 :person/age 3]".to_owned()), "{data:#?}");
    assert_eq!(lab.log(1).last().unwrap().tx, tx(11));
}

#[test]
fn numbers_left_out_and_clocks_set_back_are_taken_as_they_are() {
    let mut lab = lab(2, 4);
    lab.sync(1);
    lab.transact(1, "[{:person/name \"Petr\"}]");
    write(&lab.hub, tx(7), "2001-01-01T00:00:00.001Z", &["+\"e\":65600,\"a\":65536,\"v\":{\"String\":\"Olga\"}"]);
    write(
        &lab.hub,
        tx(90),
        "2000-01-01T00:00:00.000001234Z",
        &["+\"e\":65601,\"a\":65536,\"v\":{\"String\":\"Ivan\"}"],
    );
    lab.sync(1);
    let log = lab.log(1);
    let shown: Vec<(Entid, String)> = log[3..].iter().map(|t| (t.tx, t.instant.to_string())).collect();
    assert_eq!(shown[0], (tx(7), "2001-01-01T00:00:00.001Z".to_owned()));
    assert_eq!(shown[1], (tx(90), "2000-01-01T00:00:00.000001Z".to_owned()));
    // Ours follows at once, and no later than it was authored.
    assert_eq!((shown[2].0, log[5].instant), (tx(91), log[5].origin.authored));
    assert_eq!(lab.data(1).last().unwrap(), "[65602 :person/name \"Petr\"]");
    sound(&mut lab);
    // They are taken off again, one by one, and put back.
    lab.hub.restore(5).unwrap();
    lab.sync(1);
    lab.quiesce();
    assert_eq!(lab.log(1), log);
}

#[test]
fn what_is_true_already_or_gone_has_no_effect() {
    let mut lab = lab(2, 4);
    let name = |e: i64, v: &str| format!("\"e\":{e},\"a\":65536,\"v\":{{\"String\":\"{v}\"}}");
    let (same, other, gone) = (name(65_544, "Anna"), name(65_545, "Boris"), name(65_544, "Nobody"));
    write(&lab.hub, tx(4), "2026-11-22T00:00:00Z", &[&format!("+{same}"), &format!("+{other}"), &format!("-{gone}")]);
    lab.sync(1);
    let last = lab.log(1).pop().unwrap();
    // The old name, which nothing retracts in so many words, is replaced, as the original's transactor does it.
    let done: Vec<String> =
        last.facts().map(|c| format!("{} {} {}", if c.added { "+" } else { "-" }, c.e, c.v)).collect();
    assert_eq!(done, ["- 65545 \"Grisha \\\"G\\\" Ю\"", "+ 65545 \"Boris\""]);
    assert_eq!(last.said.as_ref().unwrap().len(), 3);
    lab.transact(2, "[[:db/add \"x\" :db/doc \"of the second\"]]");
    sound(&mut lab);
}

#[test]
fn what_makes_no_sense_is_refused_in_words_and_changes_nothing() {
    let cases: [(i64, &str, &[&str], &str); 9] = [
        (3, "2026-11-22T00:00:00Z", &[], "a number above 268435459 belongs here"),
        (4, "2026-11-22T00:00:00Z", &["+\"e\":65544,\"a\":70000,\"v\":{\"Long\":1}"], "70000 is not an attribute"),
        (
            4,
            "2026-11-22T00:00:00Z",
            &["+\"e\":65544,\"a\":65537,\"v\":{\"String\":\"x\"}"],
            ":person/age takes values of type",
        ),
        (
            4,
            "2026-11-22T00:00:00Z",
            &["+\"e\":65544,\"a\":65536,\"v\":{\"String\":\"Grisha \\\"G\\\" Ю\"}"],
            "is unique and belongs to",
        ),
        (4, "2026-11-22T00:00:00Z", &["+\"e\":-1,\"a\":65537,\"v\":{\"Long\":1}"], "an entity below zero"),
        (
            4,
            "2026-11-22T00:00:00Z",
            &["+\"e\":65544,\"a\":65538,\"v\":{\"Ref\":268435461}"],
            "a transaction that is not there",
        ),
        (
            4,
            "2026-11-22T00:00:00Z",
            &["+\"e\":268435460,\"a\":3,\"v\":{\"Instant\":\"2026-11-22T00:00:00Z\"}"],
            "does not state its instant once",
        ),
        (4, "2026-11-22T00:00:00Z", &["+\"e\":1,\"a\":8,\"v\":{\"Ref\":34}"], "belongs to the core schema"),
        (4, "2026-11-22T00:00:00Z", &["+\"e\":65544,\"a\":65536,\"v\":{\"Bytes\":\"00\"}"], "unknown variant `Bytes`"),
    ];
    for (number, instant, datoms, why) in cases {
        let mut lab = lab(1, 4);
        lab.sync(1);
        lab.transact(1, "[{:person/name \"Petr\"}]");
        let before = (lab.store(1).facts_digest().unwrap(), lab.log(1));
        write(&lab.hub, tx(number), instant, datoms);
        let state = lab.hub.state().unwrap();
        for _ in 0..2 {
            let error = lab.try_sync(1, u32::MAX).unwrap_err();
            assert!(error.to_string().contains(why), "{error}\nlacks {why}");
        }
        assert_eq!((lab.store(1).facts_digest().unwrap(), lab.log(1)), before);
        assert_eq!(lab.store(1).side_timelines().unwrap(), []);
        assert_eq!(lab.hub.state().unwrap(), state);
    }
}

#[test]
fn another_bootstrap_is_none() {
    let mut lab = lab(1, 0);
    let (id, mut chunks) = super::recorded().remove(0);
    let last = chunks.pop().unwrap();
    super::put(&lab.hub, id, &chunks);
    drop(last);
    let error = lab.try_sync(1, u32::MAX).unwrap_err();
    assert!(error.to_string().contains("it is not the bootstrap of the core schema, version 1"), "{error}");
    assert_eq!(lab.store(1).last_positioned().unwrap(), None);
}

#[test]
fn a_hub_that_lost_what_an_original_wrote_is_given_it_again_under_its_origin() {
    let mut lab = lab(3, usize::MAX);
    for device in 1..=2 {
        lab.sync(device);
    }
    lab.transact(1, "[{:person/name \"Petr\"}]");
    lab.sync(1);
    let log = lab.log(1);
    for seq in [3, 1, 0] {
        lab.hub.restore(seq).unwrap();
        assert!(lab.sync(1).resupplied > 0);
        assert_eq!(lab.log(1), log, "the first gave it as it had it");
        // The second knows the same changes under other ids, the third under none.
        lab.quiesce();
        for device in 2..=3 {
            assert_eq!(lab.log(device), log, "device {device}, restored to {seq}");
        }
    }
    // Where another wrote in between, it is re-applied on top, once.
    lab.hub.restore(3).unwrap();
    write(
        &lab.hub,
        tx(3),
        "2026-11-23T00:00:00Z",
        &["+\"e\":65544,\"a\":65537,\"v\":{\"Long\":77}", "-\"e\":65544,\"a\":65537,\"v\":{\"Long\":-28}"],
    );
    sound(&mut lab);
    let mut origins: Vec<_> = lab.log(1).iter().map(|t| t.origin.id).collect();
    assert_eq!(origins.len(), log.len() + 1);
    origins.sort();
    origins.dedup();
    assert_eq!(origins.len(), log.len() + 1);
    assert!(lab.data(1).contains(&"[65546 :person/name \"Vera\"]".to_owned()));
}

#[test]
fn a_log_does_not_change_its_format() {
    let mut lab = lab(2, usize::MAX);
    lab.sync(1);
    let other = crate::lab::Lab::new(1);
    lab.hub = other.hub;
    // A hub that lost everything, in another generation or in none, is not given native chunks.
    lab.transact(1, "[{:person/name \"Petr\"}]");
    match lab.try_sync(1, u32::MAX) {
        Err(Error::Generation { .. }) => {}
        other => panic!("{other:?}"),
    }
    let mut lab = super::lab(1, 3);
    lab.sync(1);
    let native = bytes::Bytes::from_static(b"TLST\x01");
    super::put(&lab.hub, "0000bbbb-0000-4000-8000-0000000000ff".parse().unwrap(), &[("x".parse().unwrap(), native)]);
    assert_eq!(lab.try_sync(1, u32::MAX).unwrap_err().kind(), ErrorKind::Format);
    assert_eq!(lab.store(1).transactions(Timeline::MAIN, tx(2), 9).unwrap(), []);
}
