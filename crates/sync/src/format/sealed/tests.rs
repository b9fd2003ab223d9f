use super::snapshot::{OpenSnapshot, SEGMENT, SealSnapshot};
use super::*;
use crate::key::Secrets;
use std::io::{self, Read, Write};
use std::sync::LazyLock;
use tolstoy_proto::LogId;
use uuid::Uuid;

const PARENT: TrnId = TrnId(Uuid::from_u128(3));

fn keyring(log: u128, text: &str) -> Keyring {
    Keyring::new(LogId(Uuid::from_u128(log)), &Secrets::parse(text).unwrap()).unwrap()
}

fn line(number: u16, byte: u8) -> String {
    format!("key {number} {}\n", format!("{byte:02x}").repeat(32))
}

static KEYS: LazyLock<Keyring> = LazyLock::new(|| keyring(7, &line(1, 0xab)));

/// Sealed with the newest key.
fn seal(keys: &Keyring, parent: TrnId, index: u32, plain: &[u8]) -> Result<Bytes, BadSeal> {
    seal_chunk(keys, keys.newest().unwrap(), parent, index, plain)
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    seal(&KEYS, PARENT, 0, plain).unwrap().to_vec()
}

#[test]
fn what_was_sealed_is_opened() {
    for plain in [&b""[..], b"TLST and so on", &[7; 100_000]] {
        let sealed = sealed(plain);
        assert_eq!(sealed.len(), plain.len() + OVERHEAD);
        let (opened, number) = open_chunk(&KEYS, PARENT, 0, &sealed).unwrap();
        assert_eq!((&opened[..], number), (plain, KeyNumber(1)));
    }
}

#[test]
fn a_retry_is_the_same_bytes_for_ever() {
    assert_eq!(sealed(b"hello"), sealed(b"hello"));
    let hex: String = sealed(b"hello").iter().map(|b| format!("{b:02x}")).collect();
    insta::assert_snapshot!(hex);
}

#[test]
fn no_two_texts_or_places_share_a_nonce() {
    let nonce = |sealed: &[u8]| sealed[HEADER..HEADER + NONCE].to_vec();
    let one = nonce(&sealed(b"hello"));
    assert_ne!(one, nonce(&sealed(b"hellp")));
    assert_ne!(one, nonce(&seal(&KEYS, PARENT, 1, b"hello").unwrap()));
    assert_ne!(one, nonce(&seal(&KEYS, TrnId::ROOT, 0, b"hello").unwrap()));
    assert_ne!(one, nonce(&seal(&keyring(8, &line(1, 0xab)), PARENT, 0, b"hello").unwrap()));
    assert_ne!(one, nonce(&seal(&keyring(7, &line(1, 0xac)), PARENT, 0, b"hello").unwrap()));
}

#[test]
fn no_byte_can_be_altered_and_none_left_out() {
    let whole = sealed(b"the text");
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        assert!(open_chunk(&KEYS, PARENT, 0, &altered).is_err(), "byte {at}");
        assert!(open_chunk(&KEYS, PARENT, 0, &whole[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn what_stands_elsewhere_is_not_opened() {
    let whole = sealed(b"the text");
    assert_eq!(open_chunk(&KEYS, PARENT, 1, &whole), Err(BadSeal::Altered));
    assert_eq!(open_chunk(&KEYS, TrnId::ROOT, 0, &whole), Err(BadSeal::Altered));
    assert_eq!(open_chunk(&keyring(8, &line(1, 0xab)), PARENT, 0, &whole), Err(BadSeal::Altered));
    let other = keyring(7, &line(1, 0xac));
    assert!(matches!(open_chunk(&other, PARENT, 0, &whole), Err(BadSeal::NoKey { number: KeyNumber(1), .. })));
    assert_eq!(open_chunk(&KEYS, PARENT, 0, b"TLST\x01 in clear, and long enough"), Err(BadSeal::Clear));
    assert_eq!(open_chunk(&KEYS, PARENT, 0, b"TLST"), Err(BadSeal::Clear));
}

#[test]
fn the_newest_key_seals_and_old_ones_open() {
    let two = keyring(7, &format!("{}{}", line(1, 0xab), line(2, 0xcd)));
    assert_eq!(open_chunk(&two, PARENT, 0, &sealed(b"old")).unwrap().1, KeyNumber(1));
    let new = seal(&two, PARENT, 0, b"new").unwrap();
    assert_eq!(open_chunk(&two, PARENT, 0, &new).unwrap().1, KeyNumber(2));
    assert!(matches!(open_chunk(&KEYS, PARENT, 0, &new), Err(BadSeal::NoKey { number: KeyNumber(2), .. })));
}

fn sealed_snapshot(plain: &[u8]) -> Vec<u8> {
    let mut seal = SealSnapshot::new(&KEYS, PARENT, Vec::new()).unwrap();
    for piece in plain.chunks(300_000) {
        seal.write_all(piece).unwrap();
    }
    seal.finish().unwrap()
}

fn open_snapshot(keys: &Keyring, snapshot: TrnId, sealed: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    OpenSnapshot::new(keys, snapshot, sealed)?.read_to_end(&mut plain)?;
    Ok(plain)
}

#[test]
fn snapshots_of_any_length_are_opened_as_they_were() {
    for len in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 3 * SEGMENT + 5] {
        let plain: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        assert_eq!(open_snapshot(&KEYS, PARENT, &sealed_snapshot(&plain)).unwrap(), plain, "{len}");
    }
}

#[test]
fn a_snapshot_is_opened_whole_in_order_and_in_its_place_or_not_at_all() {
    let plain: Vec<u8> = (0..2 * SEGMENT + 9).map(|n| (n % 251) as u8).collect();
    let whole = sealed_snapshot(&plain);
    let full = NONCE + SEGMENT + TAG;
    let [header, one, two, end] = [
        &whole[..HEADER],
        &whole[HEADER..HEADER + full],
        &whole[HEADER + full..HEADER + 2 * full],
        &whole[HEADER + 2 * full..],
    ];
    for bad in [
        [header, one, two].concat(),
        [header, two, one, end].concat(),
        [header, one, end].concat(),
        [header, one, two, end, end].concat(),
        [header, one, two, &end[..end.len() - 1]].concat(),
        header.to_vec(),
        header[..9].to_vec(),
    ] {
        assert!(open_snapshot(&KEYS, PARENT, &bad).is_err());
    }
    assert!(open_snapshot(&KEYS, TrnId::ROOT, &whole).is_err());
    assert!(open_snapshot(&keyring(8, &line(1, 0xab)), PARENT, &whole).is_err());
    assert!(open_snapshot(&keyring(7, &line(1, 0xac)), PARENT, &whole).is_err());
}
