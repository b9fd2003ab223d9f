//! Replays the fuzzer's corpus, so that what it once found stays found without a fuzzer.

use std::fs;
use std::path::Path;

use crate::fuzzed::{check_frames, check_zstd};

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() >= 5, "the corpus {name} is there");
    files
}

#[test]
fn all_bytes_of_the_corpus_keep_the_promises() {
    corpus("frames").iter().for_each(|bytes| check_frames(bytes));
}

#[test]
fn all_compressed_bytes_of_the_corpus_keep_the_promises() {
    for bytes in corpus("zstd") {
        check_zstd(&bytes);
        for at in 0..bytes.len().min(300) {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            check_zstd(&other);
            check_zstd(&bytes[..at]);
        }
    }
}
