use std::collections::BTreeSet;

use tolstoy_tasks::TaskId;

use crate::common::env;

#[test]
fn minted_ids_are_ids_and_come_from_the_randomness_given() {
    let world = env(1);
    let ids: BTreeSet<TaskId> = (0..1000).map(|_| TaskId::mint(&world).unwrap()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(ids.iter().all(|id| id.as_str().parse() == Ok(*id)));
    assert_eq!(TaskId::mint(&env(2)).unwrap(), TaskId::mint(&env(2)).unwrap());
    let used: BTreeSet<char> = ids.iter().flat_map(|id| id.as_str().chars().collect::<Vec<_>>()).collect();
    assert_eq!(used.into_iter().collect::<String>(), "23456789abcdefghkmnpqrstwxyz");
}

#[test]
fn what_is_no_id_is_refused_with_words() {
    for absurd in [
        "",
        "../x",
        "../../etc/passwd",
        "pb67wndxge8293x",
        "pb67wndxge8293xdd",
        "pb67wndxge8293xo",
        "PB67WNDXGE8293XD",
        "pb67wndxge8293x\0",
        "pb67wndxge8293x\n",
        "pb67wndxge8293é",
        ".b67wndxge8293xd",
        "pb67wndx/e8293xd",
    ] {
        let error = absurd.parse::<TaskId>().unwrap_err().to_string();
        assert!(error.contains("is no id of a task: that is 16 characters"), "{error}");
    }
    assert!("x".repeat(10_000_000).parse::<TaskId>().unwrap_err().to_string().len() < 200);
}
