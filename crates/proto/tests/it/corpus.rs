//! Replays the fuzzer's corpus, so that what it once found stays found without a fuzzer.

use std::fs;
use std::path::Path;

use crate::fuzzed::check_frames;

#[test]
fn all_bytes_of_the_corpus_keep_the_promises() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/frames");
    let mut files = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        check_frames(&bytes);
        files += 1;
    }
    assert!(files >= 5, "the corpus is there: {files}");
}
