//! Any bytes that are UTF-8 go through the EDN reader and writer.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/edn/tests/it/check.rs"]
mod check;

fuzz_target!(|text: &str| check::check_text(text));
