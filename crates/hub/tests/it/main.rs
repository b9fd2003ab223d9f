//! The hub as its clients meet it: over HTTP, and through its service.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bodies;
mod coded;
mod common;
mod durable;
mod format;
mod guarded;
mod model;
mod pull;
mod push;
mod racing;
mod snapshots;
mod transcript;
mod v0;
mod watched;
