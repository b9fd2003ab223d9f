//! Replays the fuzzer's corpus, and the like of it.

use std::fs;
use std::path::Path;

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;

use crate::fuzzed::check_text;

#[test]
fn every_text_of_the_corpus_keeps_the_promises() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/documents");
    let (mut texts, mut taken) = (0, 0);
    for entry in fs::read_dir(corpus).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        if let Ok(text) = str::from_utf8(&bytes) {
            texts += 1;
            taken += usize::from(check_text(text));
        }
    }
    assert!(texts >= 15 && taken >= 8, "the corpus is there: {texts}, of which {taken} are tasks");
}

fn any_value() -> impl Strategy<Value = String> {
    select(vec![
        "null",
        "true",
        "false",
        "7",
        "-0.0",
        "1e400",
        "\"\"",
        "\"x\"",
        "[]",
        "[\"a\",\"b\"]",
        "{}",
        "{\"a\":[1]}",
        "\"2026-11-25T09:00:00Z\"",
        "\"2026-11-25T09:00:00.123456Z\"",
        "\"20261125T090000Z\"",
        "\"2026-11-25\"",
        "\"recurring\"",
        "\"completed\"",
        "\"waiting\"",
        "\"pending\"",
        "\"1w\"",
        "[\"pb67wndxge8293xd\"]",
        "\"296d835e-8f85-4224-8f36-c612cad1b9f8\"",
        "[\"296d835e-8f85-4224-8f36-c612cad1b9f8\"]",
    ])
    .prop_map(str::to_owned)
}

fn any_name() -> impl Strategy<Value = &'static str> {
    select(vec![
        "description",
        "tags",
        "due",
        "wait",
        "snooze",
        "recur",
        "recur_from",
        "done",
        "deleted",
        "last_done",
        "blocked_by",
        "created_at",
        "updated_at",
        "status",
        "end",
        "entry",
        "modified",
        "depends",
        "urgency",
        "start",
        "annotations",
        "taskwarrior_recur",
        "taskwarrior_done",
        "tolstoy_done",
        "tolstoy_recur_from",
        "tolstoy_status",
        "tolstoy_tolstoy_end",
        "tolstoy_id",
        "tolstoy_uuid",
        "uuid",
        "x",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn strange_tasks_keep_the_promises(members in btree_map(any_name(), any_value(), 0..8), ours in any::<bool>()) {
        let id = if ours { "\"id\":\"pb67wndxge8293xd\"" } else { "\"uuid\":\"296d835e-8f85-4224-8f36-c612cad1b9f8\"" };
        let rest = members.iter().filter(|(name, _)| ours || **name != "uuid").map(|(name, value)| format!(",\"{name}\":{value}"));
        check_text(&format!("{{{id}{}}}", rest.collect::<String>()));
    }
}
