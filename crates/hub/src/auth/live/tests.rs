use tempfile::TempDir;
use tolstoy_env::Env;

use super::*;
use crate::auth::{Logs, NewToken, Rights};

fn create(file: &TokenFile, expires: Option<Instant>) -> Secret {
    let new = NewToken { name: None, rights: Rights::READ_WRITE, logs: Logs::All, expires };
    file.create(new, &Env::system()).unwrap().1
}

fn at(seconds: i64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

#[test]
fn it_follows_the_file() {
    let room = TempDir::new().unwrap();
    let file = TokenFile::of(room.path());
    let live = LiveTokens::load(room.path(), false).unwrap();
    assert!(!live.required() && !live.refresh().unwrap());
    let secret = create(&file, None);
    assert!(live.find(secret.expose(), at(0)).is_none());
    assert!(live.refresh().unwrap());
    assert!(live.required());
    assert_eq!(&live.find(secret.expose(), at(0)).unwrap().id, secret.id());
    assert!(!live.refresh().unwrap());
    file.revoke(secret.id()).unwrap();
    assert!(live.refresh().unwrap());
    assert!(live.find(secret.expose(), at(0)).is_none());
    assert!(live.required());
}

#[test]
fn an_expired_token_and_another_secret_of_a_token_are_none() {
    let room = TempDir::new().unwrap();
    let secret = create(&TokenFile::of(room.path()), Some(at(100)));
    let live = LiveTokens::load(room.path(), false).unwrap();
    assert!(live.find(secret.expose(), at(99)).is_some());
    assert!(live.find(secret.expose(), at(100)).is_none());
    let (head, last) = secret.expose().split_at(secret.expose().len() - 1);
    let other = format!("{head}{}", if last == "a" { "b" } else { "a" });
    assert!(live.find(&other, at(0)).is_none());
    assert!(live.find("", at(0)).is_none());
}

#[test]
fn a_damaged_or_missing_file_opens_nothing() {
    let room = TempDir::new().unwrap();
    let file = TokenFile::of(room.path());
    let secret = create(&file, None);
    let live = LiveTokens::load(room.path(), false).unwrap();
    fs::write(file.path(), "{").unwrap();
    assert!(live.refresh().is_err());
    assert!(live.reload().is_err());
    assert!(live.required());
    assert!(live.find(secret.expose(), at(0)).is_some(), "the last good state stays");
    fs::remove_file(file.path()).unwrap();
    assert!(live.refresh().unwrap());
    assert!(live.required());
    assert!(live.find(secret.expose(), at(0)).is_none());
}

#[test]
fn a_damaged_file_at_the_start_is_an_error() {
    let room = TempDir::new().unwrap();
    fs::write(TokenFile::of(room.path()).path(), "{}").unwrap();
    assert!(LiveTokens::load(room.path(), false).is_err());
}
