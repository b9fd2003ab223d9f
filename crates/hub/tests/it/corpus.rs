//! Replays the fuzzer's corpora, so that what it once found stays found without a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fuzzed::{Fuzzed, good_pushes};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder(name)).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 5, "the corpus {name} is there");
    files
}

#[test]
fn every_request_of_the_corpus_keeps_the_promises() {
    let fuzzed = Fuzzed::new();
    for request in corpus("requests") {
        for end in 0..=request.len() {
            fuzzed.check_request(&request[..end]);
        }
    }
}

#[test]
fn every_push_of_the_corpus_keeps_the_promises() {
    let fuzzed = Fuzzed::new();
    for push in corpus("pushes") {
        fuzzed.check_push(&push);
        for step in [7, 31, 97] {
            for at in (1..push.len()).step_by(step) {
                let mut other = push.clone();
                other[at] ^= 1 << (at % 8);
                fuzzed.check_push(&other);
                fuzzed.check_push(&push[..at]);
            }
        }
    }
}

#[test]
fn every_exchange_of_tasks_of_the_corpus_keeps_the_promises() {
    let fuzzed = Fuzzed::new();
    for body in corpus("tasks") {
        fuzzed.check_tasks(&body);
        for at in (1..body.len()).step_by(3) {
            let mut other = body.clone();
            other[at] ^= 1 << (at % 8);
            fuzzed.check_tasks(&other);
            fuzzed.check_tasks(&body[..at]);
        }
    }
}

#[test]
fn the_corpus_has_pushes_that_reach_far() {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pushes");
    fs::create_dir_all(&made).unwrap();
    let mut missing = Vec::new();
    for (name, push) in good_pushes() {
        if fs::read(folder("pushes").join(name)).unwrap_or_default() != push {
            fs::write(made.join(name), push).unwrap();
            missing.push(name);
        }
    }
    // A push that was good and may be none any more is a change of the protocol.
    assert!(missing.is_empty(), "{missing:?}: where that is meant, cp {}/* fuzz/corpus/pushes", made.display());
}
