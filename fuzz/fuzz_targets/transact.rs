//! Any text goes to a store, as a transaction and as a query.
#![no_main]
#![allow(dead_code, reason = "each target uses its own part of what is included")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/store/tests/it/fuzzed.rs"]
mod fuzzed;

fuzz_target!(|text: &str| fuzzed::check_text(text));
