//! The example that the original's README promises: client 1 knows name and age of a person, client 2 name and ssn.

use tolstoy_sync::Outcome;

use super::lab::Lab;

/// The example, with more to say about `:person/name`: both clients transact, then sync in the order 1, 2, 1.
fn play(name: &str) -> Lab {
    let mut lab = Lab::new(2);
    let attribute = |ident: &str, of: &str, more: &str| {
        format!("{{:db/ident {ident} :db/valueType :db.type/{of} :db/cardinality :db.cardinality/one {more}}}")
    };
    let named = attribute(":person/name", "string", name);
    let age = attribute(":person/age", "long", "");
    let ssn = attribute(":person/ssn", "long", ":db/unique :db.unique/identity :db/index true");
    lab.transact(1, &format!("[{named} {age}]"));
    lab.transact(1, "[{:person/name \"Grisha\" :person/age 30}]");
    lab.transact(2, &format!("[{named} {ssn}]"));
    lab.transact(2, "[{:person/name \"Grisha\" :person/ssn 123}]");
    assert_eq!(lab.outcomes(1), [Outcome::RemoteFastForward]);
    assert_eq!(lab.outcomes(2), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    assert_eq!(lab.outcomes(1), [Outcome::LocalFastForward]);
    for device in [1, 2] {
        assert_eq!(lab.outcomes(device), [Outcome::NoChanges], "the third sync of client {device}");
    }
    let datoms = |device: usize| lab.store(device).datoms().unwrap();
    assert_eq!(datoms(1), datoms(2), "equal datoms, entids and transactions");
    for ident in [":person/name", ":person/age", ":person/ssn"] {
        assert_eq!(lab.entid(1, ident), lab.entid(2, ident));
    }
    lab
}

#[test]
fn a_person_is_two_where_the_name_is_not_unique() {
    let mut lab = play("");
    let (one, two) = (65538, 65540);
    let expected = [
        "[:person/name :db/ident :person/name]".to_owned(),
        "[:person/name :db/valueType :db.type/string]".to_owned(),
        "[:person/name :db/cardinality :db.cardinality/one]".to_owned(),
        "[:person/age :db/ident :person/age]".to_owned(),
        "[:person/age :db/valueType :db.type/long]".to_owned(),
        "[:person/age :db/cardinality :db.cardinality/one]".to_owned(),
        format!("[{one} :person/name \"Grisha\"]"),
        format!("[{one} :person/age 30]"),
        "[:person/ssn :db/ident :person/ssn]".to_owned(),
        "[:person/ssn :db/valueType :db.type/long]".to_owned(),
        "[:person/ssn :db/cardinality :db.cardinality/one]".to_owned(),
        "[:person/ssn :db/unique :db.unique/identity]".to_owned(),
        "[:person/ssn :db/index true]".to_owned(),
        format!("[{two} :person/name \"Grisha\"]"),
        format!("[{two} :person/ssn 123]"),
    ];
    for device in [1, 2] {
        assert_eq!(lab.facts(device), expected, "client {device}");
    }
    lab.rest();
}

#[test]
fn a_person_is_one_where_the_name_is_a_unique_identity() {
    let mut lab = play(":db/unique :db.unique/identity");
    for device in [1, 2] {
        assert_eq!(
            lab.data(device),
            ["[65538 :person/name \"Grisha\"]", "[65538 :person/age 30]", "[65538 :person/ssn 123]"],
            "client {device}"
        );
        assert_eq!(lab.facts(device).len(), 3 + 13, "client {device}: {:#?}", lab.facts(device));
    }
    lab.rest();
}
