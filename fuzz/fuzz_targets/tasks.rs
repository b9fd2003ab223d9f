//! A body goes to where a hub in memory exchanges tasks.
#![no_main]
#![allow(dead_code, reason = "each target uses its own part of what is included")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/hub/tests/it/fuzzed.rs"]
mod fuzzed;

#[path = "../../crates/hub/tests/it/still.rs"]
mod still;

thread_local! {
    static FUZZED: fuzzed::Fuzzed = fuzzed::Fuzzed::new();
}

fuzz_target!(|bytes: &[u8]| FUZZED.with(|fuzzed| fuzzed.check_tasks(bytes)));
