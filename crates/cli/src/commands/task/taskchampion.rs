//! Tasks that Taskwarrior's replicas share through a hub.

use std::path::{Path, PathBuf};

use tolstoy_env::Env;
use tolstoy_proto::taskchampion::ClientId;
use tolstoy_sync::{EncryptionSecret, TaskChampionDriver, TaskChampionError, normalize_url};
use tolstoy_tasks::driver::DriverError;
use zeroize::Zeroizing;

use crate::access::Remembered;
use crate::args::Access;
use crate::dirs;
use crate::error::{Failure, Kind};

/// What such a place begins with. Taskwarrior's settings follow.
pub(crate) const SCHEME: &str = "taskchampion:";

/// Taskwarrior's names for where it syncs. What the hub's address was called before Taskwarrior 3.2 comes last.
const URL: [&str; 2] = ["sync.server.url", "sync.server.origin"];
const CLIENT: [&str; 1] = ["sync.server.client_id"];
const SECRET: [&str; 1] = ["sync.encryption_secret"];

/// The file with Taskwarrior's settings that a place names; none where it names something else.
pub(super) fn settings(place: &Path) -> Option<PathBuf> {
    let file = place.to_str()?.strip_prefix(SCHEME)?;
    // A shell leaves this alone where it is not at the beginning.
    let in_home = file.strip_prefix("~/").and_then(|rest| Some(dirs::home()?.join(rest)));
    Some(in_home.unwrap_or_else(|| PathBuf::from(file)))
}

/// The tasks that the replicas with these settings share.
pub(crate) fn open(file: &Path, said: &Access, env: &Env) -> Result<TaskChampionDriver, Failure> {
    let name = file.display().to_string();
    let hint = "a place `taskchampion:FILE` names Taskwarrior's settings, as in taskchampion:~/.taskrc";
    if name.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("`{SCHEME}` names no file")).hint(hint));
    }
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| Failure::io(&name, &e).hint(hint))?;
    let Shared { url, client, secret } = Shared::read(&text).map_err(|why| {
        Failure::new(Kind::Input, format!("{name}: {why}"))
            .hint("Taskwarrior's settings for a sync are `sync.server.url=https://HUB`, `sync.server.client_id=UUID` and `sync.encryption_secret=SECRET`; files that it includes are not read")
    })?;
    // A token is for a hub's own logs: who knows the client's id is let in.
    let trust = Remembered::none(&url).with(said).trust()?;
    let access = tolstoy_sync::Access { token: None, trust };
    TaskChampionDriver::new(url, client, &secret, &access, env.clone()).map_err(|error| super::place::failure(&error))
}

/// What is wrong with what a hub has for a client, as a failure; none where it is something else.
pub(super) fn failure(error: &DriverError) -> Option<Failure> {
    let error: &TaskChampionError = std::error::Error::source(error)?.downcast_ref()?;
    let (kind, hint) = match error {
        TaskChampionError::Secret => {
            (Kind::Key, "nothing was changed; `sync.encryption_secret` is the same on all devices that share tasks")
        }
        TaskChampionError::Contended => (Kind::Contended, "nothing is lost: sync again later"),
        TaskChampionError::Failed(_) => (Kind::Storage, "nothing was changed"),
        TaskChampionError::NoBeginning => {
            (Kind::Damaged, "nothing was changed; `task sync` with Taskwarrior sends one when the hub asks")
        }
        _ => (Kind::Damaged, "nothing was changed; does Taskwarrior itself sync with it?"),
    };
    Some(Failure::new(kind, error.to_string()).hint(hint))
}

/// Where replicas sync, and as whom.
struct Shared {
    url: String,
    client: ClientId,
    secret: EncryptionSecret,
}

impl Shared {
    /// Reads Taskwarrior's settings; else says what is wrong with them, and never what they say.
    fn read(text: &str) -> Result<Self, String> {
        let url = value(text, &URL)?;
        let url = normalize_url(&url).map_err(|_| format!("what {} says is not the address of a hub", URL[0]))?;
        let client = value(text, &CLIENT)?.to_ascii_lowercase();
        let client = client.parse().map_err(|_| format!("what {} says is no UUID", CLIENT[0]))?;
        let secret = EncryptionSecret::new(&value(text, &SECRET)?).ok_or_else(|| missing(&SECRET))?;
        Ok(Self { url, client, secret })
    }
}

/// What a setting says: the last time, as Taskwarrior has it.
fn value(text: &str, names: &[&str]) -> Result<Zeroizing<String>, String> {
    let said = |wanted: &str| {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let pairs = lines.filter_map(|line| line.split_once('='));
        pairs.filter(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim()).next_back()
    };
    let value = names.iter().find_map(|name| said(name)).filter(|value| !value.is_empty());
    value.map(|value| Zeroizing::new(unescaped(value))).ok_or_else(|| missing(names))
}

/// A value without the escapes of JSON that `task config` writes. What is none stays as it is.
fn unescaped(value: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(value.len()), value);
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut following = after.chars();
        let (c, used) = match following.next() {
            Some(c @ ('"' | '\\' | '/')) => (Some(c), 1),
            Some('b') => (Some('\u{8}'), 1),
            Some('f') => (Some('\u{c}'), 1),
            Some('n') => (Some('\n'), 1),
            Some('r') => (Some('\r'), 1),
            Some('t') => (Some('\t'), 1),
            Some('u') => (after.get(1..5).and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?)), 5),
            _ => (None, 0),
        };
        plain.push(c.unwrap_or('\\'));
        rest = after.get(c.map_or(0, |_| used)..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

fn missing(names: &[&str]) -> String {
    format!("{} is missing", names.first().unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# mine\nsync.server.url=https://old\nsync.server.url = https://hub.example/ # here\nnews.version=3.4.1\nsync.server.client_id=EA82D570-3d7e-494a-a581-babe65dc7b3b\r\nsync.encryption_secret=a = b\n";

    #[test]
    fn taskwarrior_s_settings_are_read_as_it_reads_them() {
        let shared = Shared::read(GOOD).unwrap();
        assert_eq!(shared.url, "https://hub.example");
        assert_eq!(shared.client.expose(), "ea82d570-3d7e-494a-a581-babe65dc7b3b");
        assert_eq!(*value(GOOD, &SECRET).unwrap(), "a = b");
        let escaped = GOOD.replace("https://hub", r"https:\/\/hub").replace("a = b", r#"\"a\u00e4\\ \q \u12\"#);
        assert_eq!(Shared::read(&escaped).unwrap().url, "https://hub.example");
        assert_eq!(*value(&escaped, &SECRET).unwrap(), "\"aä\\ \\q \\u12\\");
        let older = GOOD.replace("sync.server.url", "sync.server.origin");
        assert_eq!(Shared::read(&older).unwrap().url, "https://hub.example");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_not_repeated() {
        for (wrong, why) in [
            (GOOD.replace("client_id", "id"), "sync.server.client_id is missing"),
            (GOOD.replace("a = b", ""), "sync.encryption_secret is missing"),
            (GOOD.replace("sync.server.url", "url"), "sync.server.url is missing"),
            (GOOD.replace("https://hub", "hub"), "what sync.server.url says is not the address of a hub"),
            (GOOD.replace("babe65dc7b3b", "hunter2"), "what sync.server.client_id says is no UUID"),
        ] {
            assert_eq!(Shared::read(&wrong).err().as_deref(), Some(why));
        }
    }

    #[test]
    fn a_place_is_told_from_others_by_its_beginning() {
        assert_eq!(settings(Path::new("taskchampion:/home/vera/.taskrc")), Some("/home/vera/.taskrc".into()));
        assert_eq!(settings(Path::new("/home/vera/taskchampion:")), None);
        assert_eq!(settings(Path::new("https://hub.example")), None);
    }
}
