//! The hub as its clients meet it: over HTTP, and through its service.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bodies;
mod closed;
mod coded;
mod common;
mod durable;
mod format;
mod guarded;
mod limits;
mod model;
mod pull;
mod push;
mod racing;
mod tls;
mod transcript;
mod v0;
mod watched;
