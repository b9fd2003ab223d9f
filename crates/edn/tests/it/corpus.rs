//! Replays the fuzzer's corpus, so that what it once found stays found without a fuzzer.

use std::fs;
use std::path::Path;

use crate::check::check_text;

#[test]
fn every_text_of_the_corpus_keeps_the_promises() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/edn_read");
    let mut texts = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        if let Ok(text) = str::from_utf8(&bytes) {
            check_text(text);
            texts += 1;
        }
    }
    assert!(texts >= 10, "the corpus is there: {texts}");
}
