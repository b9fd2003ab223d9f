use std::sync::Arc;
use std::thread;

use tempfile::TempDir;
use tolstoy_proto::LogId;

use super::*;

fn log(n: u128) -> LogId {
    LogId(uuid::Uuid::from_u128(n))
}

fn new(logs: Logs) -> NewToken {
    NewToken { name: None, rights: Rights::READ_WRITE, logs, expires: None }
}

#[test]
fn what_is_made_is_listed_until_it_is_revoked() {
    let room = TempDir::new().unwrap();
    let file = TokenFile::of(&room.path().join("hub"));
    let env = Env::system();
    assert_eq!(file.read().unwrap(), None);
    let wanted = NewToken {
        name: Some("the phone".to_owned()),
        rights: "read,admin".parse().unwrap(),
        logs: Logs::Only([log(1), log(2)].into()),
        expires: Instant::parse_rfc3339("2030-01-01T00:00:00Z"),
    };
    let (phone, secret) = file.create(wanted, &env).unwrap();
    let (all, other) = file.create(new(Logs::All), &env).unwrap();
    assert_ne!((secret.expose(), &phone.id), (other.expose(), &all.id));
    assert_eq!(file.read().unwrap(), Some(vec![phone.clone(), all.clone()]));
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(!text.contains(secret.expose().rsplit('_').next().unwrap()));
    assert!(phone.logs.cover(log(2)) && !phone.logs.cover(log(3)) && all.logs.cover(log(3)));

    assert_eq!(file.revoke(&phone.id).unwrap(), Some(phone.clone()));
    assert_eq!(file.revoke(&phone.id).unwrap(), None);
    assert_eq!(file.revoke(&all.id).unwrap(), Some(all));
    assert_eq!(file.read().unwrap(), Some(vec![]), "the file stays, so that the hub goes on to ask for tokens");
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let room = TempDir::new().unwrap();
    let file = TokenFile::of(&room.path().join("hub"));
    file.create(new(Logs::All), &Env::system()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file.path()), mode(&room.path().join("hub"))), (0o600, 0o700));
}

#[test]
fn those_who_make_tokens_at_the_same_time_lose_none() {
    let room = TempDir::new().unwrap();
    let file = Arc::new(TokenFile::of(room.path()));
    let makers: Vec<_> = (0..8)
        .map(|_| {
            let file = file.clone();
            thread::spawn(move || (0..5).for_each(|_| drop(file.create(new(Logs::All), &Env::system()).unwrap())))
        })
        .collect();
    makers.into_iter().for_each(|maker| maker.join().unwrap());
    assert_eq!(file.read().unwrap().unwrap().len(), 40);
}

#[test]
fn a_file_that_is_not_as_it_should_be_is_not_read() {
    let room = TempDir::new().unwrap();
    let file = TokenFile::of(room.path());
    file.create(new(Logs::Only([log(1)].into())), &Env::system()).unwrap();
    let good = fs::read_to_string(file.path()).unwrap();
    let row = good[good.find('{').unwrap() + 1..].split_once('[').unwrap().1.rsplit_once(']').unwrap().0.to_owned();
    let damaged = [
        String::new(),
        "[]".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"logs\"", "\"log\""),
        good.replace("\"expires\": null", "\"expires\": \"soon\""),
        good.replace("read,write", "read,owner"),
        good.replace("read,write", ""),
        good.replace("\"sha256\": \"", "\"sha256\": \"0"),
        good.replace("\"format\": 1", "\"format\": 1, \"more\": 2"),
        format!("{{\"format\": 1, \"tokens\": [{row}, {row}]}}"),
    ];
    for text in damaged {
        assert_ne!(text, good);
        fs::write(file.path(), &text).unwrap();
        assert!(matches!(file.read(), Err(TokenError::Damaged { .. })), "{text}: {:?}", file.read());
        // Nor is it written over.
        assert!(file.create(new(Logs::All), &Env::system()).is_err());
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    }
    fs::write(file.path(), good.replace("\"format\": 1", "\"format\": 2, \"more\": 2")).unwrap();
    assert!(matches!(file.read(), Err(TokenError::Newer { found: 2, .. })));
}

#[test]
fn a_name_can_be_shown() {
    let room = TempDir::new().unwrap();
    let file = TokenFile::of(room.path());
    for name in ["a\nb", "\u{1b}[31m", &"x".repeat(101)] {
        let wanted = NewToken { name: Some(name.to_owned()), ..new(Logs::All) };
        assert!(matches!(file.create(wanted, &Env::system()), Err(TokenError::BadName)));
    }
    assert_eq!(file.read().unwrap(), None);
}

#[cfg(unix)]
#[test]
fn no_link_is_followed() {
    use std::os::unix::fs::symlink;
    let room = TempDir::new().unwrap();
    let (victim, data) = (room.path().join("victim"), room.path().join("hub"));
    fs::create_dir(&data).unwrap();
    let file = TokenFile::of(&data);
    symlink(&victim, data.join(LOCK)).unwrap();
    let told = file.create(new(Logs::All), &Env::system()).unwrap_err().to_string();
    assert!(told.contains(LOCK) && told.contains("it is a symbolic link"), "{told}");
    assert!(!victim.exists(), "nothing was made where the link leads");

    fs::remove_file(data.join(LOCK)).unwrap();
    fs::write(&victim, r#"{"format": 1, "tokens": []}"#).unwrap();
    symlink(&victim, file.path()).unwrap();
    let told = file.create(new(Logs::All), &Env::system()).unwrap_err().to_string();
    assert!(told.contains(FILE) && told.contains("it is a symbolic link"), "{told}");
    assert!(file.read().is_err() && fs::read_to_string(&victim).unwrap().contains("[]"));

    // The directory itself may be a link: its place is its owner's business.
    fs::remove_file(file.path()).unwrap();
    symlink(&data, room.path().join("link")).unwrap();
    TokenFile::of(&room.path().join("link")).create(new(Logs::All), &Env::system()).unwrap();
    assert_eq!(file.read().unwrap().unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let room = TempDir::new().unwrap();
    let file = TokenFile::of(room.path());
    fs::create_dir(file.path()).unwrap();
    assert!(file.read().unwrap_err().to_string().contains("it is no ordinary file"));
}

/// Only root can make a file for another user: where the tests run as somebody else, there is nothing to see.
#[cfg(unix)]
#[test]
fn what_root_makes_belongs_to_the_directorys_owner() {
    use std::os::unix::fs::{MetadataExt, chown};
    let room = TempDir::new().unwrap();
    let data = room.path().join("hub");
    fs::create_dir(&data).unwrap();
    if chown(&data, Some(4321), Some(4321)).is_err() {
        return;
    }
    let file = TokenFile::of(&data);
    // One that was left behind as root's, as earlier versions did.
    fs::write(data.join(LOCK), "").unwrap();
    file.create(new(Logs::All), &Env::system()).unwrap();
    for name in [FILE, LOCK] {
        let found = fs::metadata(data.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (4321, 4321), "{name}");
    }
    // One with another name could be any file.
    fs::remove_file(data.join(LOCK)).unwrap();
    fs::write(room.path().join("other"), "").unwrap();
    fs::hard_link(room.path().join("other"), data.join(LOCK)).unwrap();
    let told = file.create(new(Logs::All), &Env::system()).unwrap_err().to_string();
    assert!(told.contains("hard links"), "{told}");
    assert_eq!(fs::metadata(room.path().join("other")).unwrap().uid(), 0);
}
