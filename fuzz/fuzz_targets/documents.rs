//! Any text goes in as a task's document, and as a task of Taskwarrior's.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/tasks/tests/it/fuzzed.rs"]
mod fuzzed;

fuzz_target!(|text: &str| {
    fuzzed::check_text(text);
});
