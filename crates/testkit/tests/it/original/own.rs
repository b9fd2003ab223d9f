//! Logs that stores of ours begin in the original's format.

use tolstoy_sync::{Error, ErrorKind, NewLog, Outcome};

use super::{reader, tx};
use crate::lab::Lab;

const NAME: &str = "[{:db/ident :n :db/valueType :db.type/string :db/cardinality :db.cardinality/one
                      :db/unique :db.unique/identity}
                     {:db/ident :x :db/valueType :db.type/double :db/cardinality :db.cardinality/one}]";

fn lab(devices: u64) -> Lab {
    let mut lab = Lab::new(devices);
    lab.new_log = NewLog::Original;
    lab
}

#[test]
fn a_log_begins_with_the_bootstrap_and_goes_on_for_whoever_joins() {
    let mut lab = lab(2);
    assert_eq!(lab.outcomes(1), [Outcome::NoChanges]);
    assert_eq!(lab.hub.state().unwrap().seq.0, 0, "the bootstrap alone is nothing to begin a log for");
    lab.transact(1, NAME);
    lab.transact(1, "[{:n \"Anna\" :x 0.1}]");
    assert_eq!(lab.outcomes(1), [Outcome::RemoteFastForward]);
    assert_eq!(lab.hub.state().unwrap().seq.0, 3);
    // What a store would begin a log in says nothing of the logs that there are.
    lab.new_log = NewLog::Native;
    lab.transact(2, NAME);
    lab.transact(2, "[{:n \"Anna\" :x 0.30000000000000004}]");
    assert_eq!(lab.outcomes(2), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    lab.rest();
    assert_eq!(reader::facts_of(&lab.hub), reader::shared(lab.store(1)));
    assert_eq!(lab.log(1).iter().map(|t| t.tx).collect::<Vec<_>>(), [1, 2, 3, 4].map(tx));
    assert_eq!(lab.sync(1).acknowledged + lab.sync(1).resupplied, 0);
}

#[test]
fn a_native_log_stays_native_whatever_was_chosen_for_new_ones() {
    let mut lab = Lab::new(2);
    lab.transact(1, NAME);
    lab.sync(1);
    lab.new_log = NewLog::Original;
    lab.transact(2, "[[:db/add \"x\" :db/doc \"two\"]]");
    lab.rest();
    assert_eq!(lab.hub.state().unwrap().seq.0, 2);
}

#[test]
fn what_the_format_cannot_say_stops_the_sync_and_changes_nothing() {
    let mut lab = lab(2);
    lab.transact(1, NAME);
    lab.sync(1);
    lab.sync(2);
    lab.transact(2, "[{:n \"Petr\"}]");
    lab.sync(2);
    lab.transact(1, "[{:n \"Anna\"}]");
    lab.transact(1, "[{:n \"Anna\" :x ##Inf}]");
    let before = (lab.store(1).facts_digest().unwrap(), lab.log(1), lab.hub.state().unwrap());
    for _ in 0..2 {
        let error = lab.try_sync(1, u32::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsayable);
        assert_eq!(
            error.to_string(),
            "the log is in the original client's format, which cannot say what this store's transaction 268435459 holds: \
             an infinite double"
        );
        assert_eq!((lab.store(1).facts_digest().unwrap(), lab.log(1), lab.hub.state().unwrap()), before);
    }
    // A store that has never synced can still begin a log in our own format.
    let mut lab = super::own::lab(1);
    lab.transact(1, "[{:db/ident :u :db/valueType :db.type/uri :db/cardinality :db.cardinality/one}]");
    assert!(matches!(lab.try_sync(1, u32::MAX), Err(Error::Unsayable { .. })));
    assert_eq!(lab.hub.state().unwrap().seq.0, 0);
    lab.new_log = NewLog::Native;
    assert_eq!(lab.outcomes(1), [Outcome::RemoteFastForward]);
}

#[test]
fn a_lost_answer_is_noticed_on_such_a_log_too() {
    let mut lab = lab(2);
    lab.transact(1, NAME);
    lab.sync(1);
    lab.transact(1, "[{:n \"Anna\"}]");
    lab.hub.restore(0).unwrap();
    assert_eq!(lab.sync(1).resupplied, 1, "the bootstrap is not counted");
    lab.rest();
    assert_eq!(reader::facts_of(&lab.hub), reader::shared(lab.store(2)));
}

#[test]
fn long_logs_and_long_transactions() {
    let mut lab = lab(2);
    lab.transact(1, NAME);
    for n in 0..220 {
        lab.transact(1, &format!("[{{:n \"{n}\"}}]"));
    }
    let many: String = (0..3_000).map(|n| format!("{{:n \"many {n}\"}}")).collect();
    lab.transact(1, &format!("[{many}]"));
    lab.sync(1);
    lab.sync(2);
    assert_eq!(reader::facts_of(&lab.hub), reader::shared(lab.store(2)));
    lab.rest();
}
