//! The data: people with five indexed attributes.

use std::fmt::Write;

/// How many there are.
pub(crate) const COUNT: usize = 20_000;

pub(crate) const SCHEMA: &str = r#"[
  {:db/ident :person/name     :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/index true}
  {:db/ident :person/lastName :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/index true}
  {:db/ident :person/sex      :db/valueType :db.type/keyword :db/cardinality :db.cardinality/one :db/index true}
  {:db/ident :person/age      :db/valueType :db.type/long   :db/cardinality :db.cardinality/one :db/index true}
  {:db/ident :person/salary   :db/valueType :db.type/long   :db/cardinality :db.cardinality/one :db/index true}]"#;

/// One person.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) last_name: &'static str,
    pub(crate) sex: &'static str,
    pub(crate) age: i64,
    pub(crate) salary: i64,
}

const NAMES: [&str; 8] = ["Ivan", "Petr", "Sergei", "Oleg", "Yuri", "Dmitry", "Fedor", "Denis"];
const LAST_NAMES: [&str; 6] = ["Ivanov", "Petrov", "Sidorov", "Kovalev", "Kuznetsov", "Voronoi"];

/// The same people every time.
pub(crate) fn people() -> impl Iterator<Item = Person> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut below = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    (0..COUNT).map(move |_| Person {
        name: NAMES[below(8) as usize],
        last_name: LAST_NAMES[below(6) as usize],
        sex: ["sex/male", "sex/female"][below(2) as usize],
        age: below(90) as i64,
        salary: below(100_000) as i64,
    })
}

/// One person as EDN.
pub(crate) fn edn(person: &Person, out: &mut String) {
    let Person { name, last_name, sex, age, salary } = person;
    let _ = writeln!(
        out,
        "{{:person/name {name:?} :person/lastName {last_name:?} :person/sex :{sex} :person/age {age} :person/salary {salary}}}"
    );
}
