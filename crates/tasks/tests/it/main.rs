//! What callers of the crate rely on, through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod devices;
mod document;
mod drivers;
mod folder;
mod ids;
mod json;
mod laws;
mod resolution;
mod store;
