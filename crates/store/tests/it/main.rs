//! What the store does, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod nested;
mod rebase;
mod retract_entity;
mod tempids;
mod transact;
mod upsert;
