//! The constants every store begins with: entids, the core schema, the bootstrap transaction.

use tolstoy_edn::{Instant, Keyword};
use uuid::Uuid;

use crate::types::{Change, Entid, Origin, Value, ValueType};

/// The core schema's attributes and enumerations by name.
pub mod entids {
    use crate::types::Entid;

    macro_rules! entids {
        ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => { $($(#[$doc])* pub const $name: Entid = Entid::new($number);)* };
    }

    entids! {
        /// `:db/ident`
        IDENT = 1;
        /// `:db/txInstant`
        TX_INSTANT = 3;
        /// `:db/valueType`
        VALUE_TYPE = 7;
        /// `:db/cardinality`
        CARDINALITY = 8;
        /// `:db/unique`
        UNIQUE = 9;
        /// `:db/isComponent`
        IS_COMPONENT = 10;
        /// `:db/index`
        INDEX = 11;
        /// `:db/fulltext`
        FULLTEXT = 12;
        /// `:db/noHistory`
        NO_HISTORY = 13;
        /// `:db.cardinality/one`
        CARDINALITY_ONE = 33;
        /// `:db.cardinality/many`
        CARDINALITY_MANY = 34;
        /// `:db.unique/value`
        UNIQUE_VALUE = 35;
        /// `:db.unique/identity`
        UNIQUE_IDENTITY = 36;
        /// `:db/doc`
        DOC = 37;
        /// `:db.schema/version`
        SCHEMA_VERSION = 38;
        /// `:db.schema/attribute`
        SCHEMA_ATTRIBUTE = 39;
        /// `:db.schema/core`
        SCHEMA_CORE = 40;
        /// `:db/merge`
        MERGE = 2000;
        /// `:db.merge/last`
        MERGE_LAST = 2001;
        /// `:db.merge/first`
        MERGE_FIRST = 2002;
        /// `:db.merge/max`
        MERGE_MAX = 2003;
        /// `:db.merge/min`
        MERGE_MIN = 2004;
        /// `:db.merge/sum`
        MERGE_SUM = 2005;
        /// `:db.merge/journal`
        MERGE_JOURNAL = 2006;
        /// `:db.journal/settles`
        JOURNAL_SETTLES = 2007;
    }
}

use entids::*;

/// The newest version of the store file, of native chunks and of the built-ins that this code knows.
pub const VERSION: u8 = 2;

/// The bootstrap transaction's instant, 2026-01-01T00:00:00Z.
pub const INSTANT: Instant = Instant::from_micros(1_767_225_600_000_000);

/// The bootstrap transaction's origin.
pub const ORIGIN: Origin =
    Origin { id: Uuid::from_u128(0x29e4_df78_6b05_8af5_b86c_da7f_c409_9f10), device: Uuid::nil(), authored: INSTANT };

/// The idents of version 1, from 1 on.
const IDENTS: [&str; 40] = [
    "db/ident",
    "db.part/db",
    "db/txInstant",
    "db.install/partition",
    "db.install/valueType",
    "db.install/attribute",
    "db/valueType",
    "db/cardinality",
    "db/unique",
    "db/isComponent",
    "db/index",
    "db/fulltext",
    "db/noHistory",
    "db/add",
    "db/retract",
    "db.part/user",
    "db.part/tx",
    "db/excise",
    "db.excise/attrs",
    "db.excise/beforeT",
    "db.excise/before",
    "db.alter/attribute",
    "db.type/ref",
    "db.type/keyword",
    "db.type/long",
    "db.type/double",
    "db.type/string",
    "db.type/uuid",
    "db.type/uri",
    "db.type/boolean",
    "db.type/instant",
    "db.type/bytes",
    "db.cardinality/one",
    "db.cardinality/many",
    "db.unique/value",
    "db.unique/identity",
    "db/doc",
    "db.schema/version",
    "db.schema/attribute",
    "db.schema/core",
];

/// The idents of version 2, from 2000 on.
const IDENTS_2: [&str; 12] = [
    "db/merge",
    "db.merge/last",
    "db.merge/first",
    "db.merge/max",
    "db.merge/min",
    "db.merge/sum",
    "db.merge/journal",
    "db.journal/settles",
    "db/cas",
    "db/inc",
    "db/max",
    "db/min",
];

/// The first built-in and the idents of each version, in order.
const BUILT_INS: [(i64, &[&str]); VERSION as usize] = [(1, &IDENTS), (2000, &IDENTS_2)];

/// The version that an entity of the schema's own partition belongs to, whether or not this code knows it. Version 1 uses the numbers below
/// 2000, each later one the thousand that its number begins.
pub(crate) const fn version_of(e: Entid) -> u8 {
    match e.get() {
        2000..0x1_0000 => (e.get() / 1000) as u8,
        _ => 1,
    }
}

/// Whether this code knows the entity as one of the schema's own.
pub(crate) fn is_built_in(e: Entid) -> bool {
    BUILT_INS.iter().any(|(first, idents)| (*first..).zip(*idents).any(|(number, _)| number == e.get()))
}

/// (attribute, type, cardinality, unique, index)
const ATTRIBUTES: [(Entid, ValueType, Entid, Option<Entid>, bool); 16] = [
    (IDENT, ValueType::Keyword, CARDINALITY_ONE, Some(UNIQUE_IDENTITY), true),
    (TX_INSTANT, ValueType::Instant, CARDINALITY_ONE, None, true),
    (Entid::new(4), ValueType::Ref, CARDINALITY_MANY, None, false),
    (Entid::new(5), ValueType::Ref, CARDINALITY_MANY, None, false),
    (Entid::new(6), ValueType::Ref, CARDINALITY_MANY, None, false),
    (Entid::new(22), ValueType::Ref, CARDINALITY_MANY, None, false),
    (VALUE_TYPE, ValueType::Ref, CARDINALITY_ONE, None, false),
    (CARDINALITY, ValueType::Ref, CARDINALITY_ONE, None, false),
    (UNIQUE, ValueType::Ref, CARDINALITY_ONE, None, false),
    (IS_COMPONENT, ValueType::Boolean, CARDINALITY_ONE, None, false),
    (INDEX, ValueType::Boolean, CARDINALITY_ONE, None, false),
    (FULLTEXT, ValueType::Boolean, CARDINALITY_ONE, None, false),
    (NO_HISTORY, ValueType::Boolean, CARDINALITY_ONE, None, false),
    (DOC, ValueType::String, CARDINALITY_ONE, None, false),
    (SCHEMA_VERSION, ValueType::Long, CARDINALITY_ONE, None, false),
    (SCHEMA_ATTRIBUTE, ValueType::Ref, CARDINALITY_MANY, Some(UNIQUE_VALUE), true),
];

/// (attribute, type, cardinality)
const ATTRIBUTES_2: [(Entid, ValueType, Entid); 2] =
    [(MERGE, ValueType::Ref, CARDINALITY_ONE), (JOURNAL_SETTLES, ValueType::Uuid, CARDINALITY_MANY)];

const fn refer(e: Entid, a: Entid, to: Entid) -> Change {
    Change::add(e, a, Value::Ref(to))
}

fn idents(first: i64, idents: &'static [&'static str]) -> impl Iterator<Item = Change> {
    let named =
        |(number, ident)| Keyword::parse(ident).map(|k| Change::add(Entid::new(number), IDENT, Value::Keyword(k)));
    (first..).zip(idents.iter().copied()).filter_map(named)
}

/// The assertions of the bootstrap transaction, in the log's order.
pub(crate) fn changes() -> Vec<Change> {
    let mut changes = core();
    changes.extend(additions());
    changes.push(Change::add(Entid::TX0, TX_INSTANT, Value::Instant(INSTANT)));
    changes.sort();
    changes
}

/// The 94 assertions of version 1, which are the original client's.
pub(crate) fn core() -> Vec<Change> {
    let mut changes: Vec<Change> = idents(1, &IDENTS).collect();
    for (attribute, value_type, cardinality, unique, index) in ATTRIBUTES {
        changes.push(refer(SCHEMA_CORE, SCHEMA_ATTRIBUTE, attribute));
        changes.push(refer(attribute, VALUE_TYPE, value_type.entid()));
        changes.push(refer(attribute, CARDINALITY, cardinality));
        changes.extend(unique.map(|u| refer(attribute, UNIQUE, u)));
        changes.extend(index.then(|| Change::add(attribute, INDEX, Value::Boolean(true))));
    }
    changes.push(Change::add(SCHEMA_CORE, SCHEMA_VERSION, Value::Long(1)));
    changes
}

/// What version 2 adds, in the log's order, about entities of its own only.
pub(crate) fn additions() -> Vec<Change> {
    let mut changes: Vec<Change> = idents(2000, &IDENTS_2).collect();
    for (attribute, value_type, cardinality) in ATTRIBUTES_2 {
        changes.push(refer(attribute, VALUE_TYPE, value_type.entid()));
        changes.push(refer(attribute, CARDINALITY, cardinality));
    }
    changes.sort();
    changes
}
