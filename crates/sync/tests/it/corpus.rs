//! Replays the fuzzer's corpus, so that what it once found stays found without a fuzzer.

use std::fs;
use std::path::Path;

use crate::fuzzed::check_original;

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
