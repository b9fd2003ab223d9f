//! Any bytes go through the decoder of compressed bodies.
#![no_main]
#![allow(dead_code, reason = "each target uses its own part of what is included")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/proto/tests/it/fuzzed.rs"]
mod fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::check_zstd(bytes));
