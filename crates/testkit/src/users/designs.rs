//! The attributes that users define.

/// An attribute that users define: everybody who does means the same.
pub(super) struct Design {
    pub(super) name: &'static str,
    pub(super) value_type: &'static str,
    many: bool,
    pub(super) more: &'static str,
}

const fn design(name: &'static str, value_type: &'static str, many: bool, more: &'static str) -> Design {
    Design { name, value_type, many, more }
}

impl Design {
    /// Its definition, as text.
    pub(super) fn text(&self, doc: &str) -> String {
        let Self { name, value_type, many, more } = self;
        let many = if *many { "many" } else { "one" };
        format!(
            "{{:db/ident :{name} :db/valueType :db.type/{value_type} :db/cardinality :db.cardinality/{many} {more}{doc}}}"
        )
    }
}

/// What many transactions in a row are about.
pub(super) const BULK: [&str; 4] = ["u/name", "u/age", "u/note", "u/boss"];

pub(super) const IDENTITY: &str = ":db/unique :db.unique/identity";
pub(super) const UNIQUE: &str = ":db/unique :db.unique/value";

pub(super) const DESIGNS: [Design; 26] = [
    design("u/count", "long", false, ""),
    design("u/name", "string", false, IDENTITY),
    design("u/ssn", "long", false, IDENTITY),
    design("u/key", "uuid", false, IDENTITY),
    design("u/account", "ref", false, IDENTITY),
    design("u/alias", "keyword", true, IDENTITY),
    design("u/badge", "keyword", false, UNIQUE),
    design("u/tag", "string", true, UNIQUE),
    design("u/seat", "ref", false, UNIQUE),
    design("u/age", "long", false, ""),
    design("u/note", "string", true, ""),
    design("u/boss", "ref", false, ""),
    design("u/friend", "ref", true, ""),
    design("u/part", "ref", true, ":db/isComponent true"),
    design("u/alive", "boolean", false, ""),
    design("u/height", "double", false, ":db/index true"),
    design("u/born", "instant", true, ""),
    design("u/home", "uri", false, ":db/noHistory true"),
    design("u/photo", "bytes", false, ""),
    design("u/mark", "string", true, ""),
    design("u/score", "long", false, ":db/merge :db.merge/sum"),
    design("u/best", "long", false, ":db/merge :db.merge/max"),
    design("u/since", "instant", false, ":db/merge :db.merge/min"),
    design("u/title", "string", false, ":db/merge :db.merge/first"),
    design("u/lead", "ref", false, ":db/merge :db.merge/first"),
    design("u/draft", "string", false, ":db/merge :db.merge/journal"),
];

/// Three policies that an attribute of any type can have, two of numbers and instants, and one of numbers.
pub(super) const POLICIES: [&str; 6] = ["last", "first", "journal", "max", "min", "sum"];

/// Attributes whose meaning users change once all devices have them. Nobody renames or deletes these: to define one anew
/// would be to define it differently, which stops a sync.
pub(super) const ALTERABLE: [&str; 3] = [":u/note", ":u/boss", ":u/born"];

/// Attributes of which each user may think something else. Nobody renames or deletes these.
pub(crate) const QUARRELS: [&str; 3] = [":q/a", ":q/b", ":q/c"];

/// Whether an attribute keeps its name for good.
pub(super) fn is_fixed(name: &str) -> bool {
    ALTERABLE.contains(&name) || QUARRELS.contains(&name)
}
