//! Replays the fuzzer's corpus, so that what it once found stays found without a fuzzer; and the fixture of the format.

use std::fs;
use std::path::Path;

use tolstoy_proto::BlobDigest;

use crate::fuzzed::{FACTS, GOOD, begin_with, check_snapshot};

#[test]
fn all_bytes_of_the_corpus_keep_the_promises() {
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
