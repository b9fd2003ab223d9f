//! Replays the fuzzer's corpus, so that what it once found stays found without a fuzzer.

use std::fs;
use std::path::Path;

use tolstoy_proto::BlobDigest;

use crate::fuzzed::check_original;
use crate::fuzzed_snapshot::{FACTS, GOOD, begin_with, check_snapshot};

#[test]
fn every_log_of_the_corpus_keeps_the_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/original");
    let logs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(logs.len() >= 5, "the corpus is there");
    let taken = logs.iter().filter(|log| check_original(log)).count();
    assert!(taken >= 2, "some of them are logs");
    // Of the longest, each line left out, and each line cut short.
    let longest = logs.iter().max_by_key(|log| log.len()).unwrap();
    let lines: Vec<&[u8]> = longest.split(|b| *b == b'\n').collect();
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        let line = fewer.remove(at);
        check_original(&fewer.join(&b'\n'));
        fewer.insert(at, &line[..line.len() / 2]);
        check_original(&fewer.join(&b'\n'));
    }
}

#[test]
fn every_snapshot_of_the_corpus_keeps_the_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/snapshot");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() >= 5, "the corpus is there");
    for bytes in files {
        check_snapshot(&bytes);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            check_snapshot(&other);
        }
    }
}

#[test]
fn a_snapshot_of_version_1_opens_for_ever() {
    let (store, report) = begin_with(GOOD);
    let report = report.unwrap();
    assert_eq!(report.snapshot_unusable, None);
    assert_eq!(report.passes[0].from_snapshot, 3);
    assert_eq!(BlobDigest(store.facts_digest().unwrap()).to_string(), FACTS);
}
