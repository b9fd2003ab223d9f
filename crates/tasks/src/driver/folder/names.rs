//! What a file's name says in a folder of tasks.

use std::path::Path;

use crate::TaskId;

/// The file by which writers take turns.
pub(super) const LOCK: &str = ".lock";

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// `ID.json`.
    Task(TaskId),
    /// A name that another program gave to a second version of a task's file.
    Copy(TaskId),
    /// Some other JSON file: perhaps a task that was renamed.
    Stray,
    /// A file of ours that was not yet renamed.
    Leftover,
    /// None of ours.
    Foreign,
}

impl Name {
    pub(super) fn of(name: &str) -> Self {
        if let Some(hidden) = name.strip_prefix('.') {
            let parts: Vec<&str> = hidden.split('.').collect();
            return match *parts {
                [id, random, "tmp"] if id.parse::<TaskId>().is_ok() && random.parse::<TaskId>().is_ok() => {
                    Self::Leftover
                }
                _ => Self::Foreign,
            };
        }
        let Some(stem) = name.strip_suffix(".json") else { return Self::Foreign };
        if let Ok(id) = stem.parse() {
            return Self::Task(id);
        }
        let copy = stem.split_at_checked(TaskId::LENGTH).and_then(|(id, rest)| {
            let apart = rest.chars().next().is_some_and(|c| !c.is_alphanumeric());
            id.parse().ok().filter(|_| apart)
        });
        copy.map_or(Self::Stray, Self::Copy)
    }
}

/// The name of a task's file.
pub(super) fn of_task(id: TaskId) -> String {
    format!("{id}.json")
}

/// The name under which a task's file is written before it is whole.
pub(super) fn of_leftover(id: TaskId, random: TaskId) -> String {
    format!(".{id}.{random}.tmp")
}

/// A path as messages show it: the file's name.
pub(super) fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_are() {
        let id: TaskId = "pb67wndxge8293xd".parse().unwrap();
        assert_eq!(Name::of("pb67wndxge8293xd.json"), Name::Task(id));
        for copy in [
            "pb67wndxge8293xd (conflicted copy 2026-11-25).json",
            "pb67wndxge8293xd (Anna's conflicted copy 2026-11-25).json",
            "pb67wndxge8293xd (Case Conflict).json",
            "pb67wndxge8293xd.sync-conflict-20261125-235829-ABCDEFG.json",
            "pb67wndxge8293xd (SFConflict anna@example.org 2026-11-25-12-00-00).json",
            "pb67wndxge8293xd (1).json",
            "pb67wndxge8293xd_conflict-20261125.json",
            "pb67wndxge8293xd-laptop.json",
            "pb67wndxge8293xd~1.json",
        ] {
            assert_eq!(Name::of(copy), Name::Copy(id), "{copy}");
        }
        for stray in
            ["milk.json", "pb67wndxge8293xdd.json", "package.json", "pb67wndxge8293xé.json", "PB67WNDXGE8293XD.json"]
        {
            assert_eq!(Name::of(stray), Name::Stray, "{stray}");
        }
        assert_eq!(Name::of(&of_leftover(id, id)), Name::Leftover);
        for foreign in [
            "",
            ".",
            "..",
            ".lock",
            ".git",
            "notes.txt",
            "pb67wndxge8293xd",
            ".syncthing.pb67wndxge8293xd.json.tmp",
            "~syncthing~pb67wndxge8293xd.json.tmp",
            ".pb67wndxge8293xd.json.swp",
            "pb67wndxge8293xd.json~",
            "pb67wndxge8293xd.damaged-00000000",
        ] {
            assert_eq!(Name::of(foreign), Name::Foreign, "{foreign}");
        }
    }
}
