//! The story that was recorded of two original clients, where Grisha became Boris on every device. Here everybody survives.

use tolstoy_sync::Outcome;

use super::lab::Lab;

const SCHEMA: &str = "[
  {:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one
   :db/unique :db.unique/identity :db/index true :db/doc \"Full name\"}
  {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :person/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :person/height :db/valueType :db.type/double :db/cardinality :db.cardinality/one}
  {:db/ident :person/born :db/valueType :db.type/instant :db/cardinality :db.cardinality/one}
  {:db/ident :person/id :db/valueType :db.type/uuid :db/cardinality :db.cardinality/one}
  {:db/ident :person/alive :db/valueType :db.type/boolean :db/cardinality :db.cardinality/one}
  {:db/ident :person/mood :db/valueType :db.type/keyword :db/cardinality :db.cardinality/one}]";

const PEOPLE: &str = "[
  {:db/id \"anna\" :person/name \"Anna\" :person/age -28 :person/friend \"grisha\"}
  {:db/id \"grisha\" :person/name \"Grisha \\\"G\\\" Ю\" :person/age 30 :person/height 1.8
   :person/born #inst \"1988-02-29T23:59:59.123456Z\" :person/id #uuid \"316ea470-ce35-4adf-9c61-e0de6e289c59\"
   :person/alive true :person/mood :mood/calm}]";

const CHANGES: &str = "[
  [:db/add (lookup-ref :person/name \"Anna\") :person/age 29]
  [:db/retract (lookup-ref :person/name \"Anna\") :person/friend (lookup-ref :person/name \"Grisha \\\"G\\\" Ю\")]]";

/// The second client defines the one attribute that it knows.
const OTHER_SCHEMA: &str = "[{:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one
   :db/unique :db.unique/identity :db/index true :db/doc \"Full name\"}]";

#[test]
fn everybody_survives() {
    let mut lab = Lab::new(2);
    for text in [SCHEMA, PEOPLE, CHANGES] {
        lab.transact(1, text);
    }
    assert_eq!(lab.outcomes(1), [Outcome::RemoteFastForward]);
    lab.transact(2, OTHER_SCHEMA);
    lab.transact(2, "[{:person/name \"Boris\"}]");
    assert_eq!(lab.outcomes(2), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    lab.transact(1, "[{:person/name \"Vera\"}]");
    assert_eq!(lab.outcomes(1), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    assert_eq!(lab.outcomes(2), [Outcome::LocalFastForward]);
    let expected = [
        "[65544 :person/name \"Anna\"]",
        "[65544 :person/age 29]",
        "[65545 :person/name \"Grisha \\\"G\\\" Ю\"]",
        "[65545 :person/age 30]",
        "[65545 :person/height 1.8]",
        "[65545 :person/born #inst \"1988-02-29T23:59:59.123456Z\"]",
        "[65545 :person/id #uuid \"316ea470-ce35-4adf-9c61-e0de6e289c59\"]",
        "[65545 :person/alive true]",
        "[65545 :person/mood :mood/calm]",
        "[65546 :person/name \"Boris\"]",
        "[65547 :person/name \"Vera\"]",
    ];
    for device in [1, 2] {
        assert_eq!(lab.data(device), expected, "client {device}");
    }
    lab.rest();
}
