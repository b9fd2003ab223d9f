//! Replays the fuzzer's corpora, so that what it once found stays found without a fuzzer.

use std::fs;
use std::path::Path;

use crate::fuzzed::{check_payload, check_text};

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() >= 5, "the corpus {name} is there");
    files
}

#[test]
fn every_payload_of_the_corpus_keeps_the_promises() {
    let mut decoded = 0;
    for payload in corpus("payload") {
        check_payload(&payload);
        decoded += usize::from(tolstoy_store::log::codec::decode(&payload).is_ok());
        for end in 0..payload.len() {
            check_payload(&payload[..end]);
        }
    }
    assert!(decoded > 0, "some of them are transactions");
}

#[test]
fn every_text_of_the_corpus_keeps_the_promises() {
    for text in corpus("transact") {
        check_text(std::str::from_utf8(&text).unwrap());
    }
}
