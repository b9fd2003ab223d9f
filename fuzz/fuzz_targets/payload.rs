//! Any bytes go through the payload decoder.
#![no_main]
#![allow(dead_code, reason = "each target uses its own part of what is included")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/store/tests/it/fuzzed.rs"]
mod fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::check_payload(bytes));
