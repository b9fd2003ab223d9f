//! Any bytes as the snapshot that a new store begins with.
#![no_main]
#![allow(dead_code, reason = "each target uses its own part of what is included")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/sync/tests/it/fuzzed_snapshot.rs"]
mod fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::check_snapshot(bytes));
