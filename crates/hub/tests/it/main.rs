//! The hub as its clients meet it: over HTTP, and through its service.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bodies;
mod browser;
mod closed;
mod coded;
mod common;
mod corpus;
mod driven;
mod durable;
mod format;
mod fuzzed;
mod gates;
mod guarded;
mod limits;
mod model;
mod observed;
mod opaque;
mod pull;
mod push;
mod racing;
mod snapshots;
mod status_page;
mod still;
mod taskchampion;
mod taskchampion_closed;
mod tasks;
mod tls;
mod transcript;
mod v0;
mod watched;
