//! What callers of the crate rely on, through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod corpus;
mod literals;
mod messages;
mod pretty;
mod properties;
mod structure;
