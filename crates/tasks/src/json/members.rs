//! The members of one object in a list: smaller and quicker than a tree where there are a dozen of them, thousands of times.

use std::borrow::Cow;

use super::Json;

/// Names that most objects have; they take no memory.
const COMMON: [&str; 14] = [
    "blocked_by",
    "created_at",
    "deleted",
    "description",
    "done",
    "due",
    "id",
    "last_done",
    "recur",
    "recur_from",
    "snooze",
    "tags",
    "updated_at",
    "wait",
];

/// Members of an object by their names, each of which stands once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members(Vec<(Cow<'static, str>, Json)>);

impl Members {
    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let at = self.place(name).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// All members, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Adds a member; gives back the name where it is there.
    pub(crate) fn insert<'n>(&mut self, name: Cow<'n, str>, value: Json) -> Result<(), Cow<'n, str>> {
        // Most come in order.
        let is_last = self.0.last().is_none_or(|(last, _)| **last < *name);
        let at = if is_last { self.0.len() } else { self.place(&name).err().ok_or_else(|| name.clone())? };
        let common = COMMON.into_iter().find(|common| *common == name);
        let name = common.map_or_else(|| Cow::Owned(name.into_owned()), Cow::Borrowed);
        self.0.insert(at, (name, value));
        Ok(())
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Json> {
        let at = self.place(name).ok()?;
        Some(self.0.remove(at).1)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(there, _)| (**there).cmp(name))
    }
}

impl FromIterator<(String, Json)> for Members {
    /// Of two with one name, the first counts.
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(members: I) -> Self {
        let mut list = Self::default();
        for (name, value) in members {
            // It is there.
            let _ = list.insert(Cow::Owned(name), value);
        }
        list
    }
}

impl IntoIterator for Members {
    type Item = (String, Json);
    type IntoIter =
        std::iter::Map<std::vec::IntoIter<(Cow<'static, str>, Json)>, fn((Cow<'static, str>, Json)) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(name, value)| (name.into_owned(), value))
    }
}
