//! What callers of the crate rely on, through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod corpus;
mod dates;
mod devices;
mod document;
mod drivers;
mod filter;
mod folder;
mod fuzzed;
mod hub;
mod ids;
mod interchange;
mod json;
mod laws;
mod moving;
mod recur;
mod resolution;
mod score;
mod shared;
mod store;
mod taskchampion;
mod taskwarrior;
mod tree;
