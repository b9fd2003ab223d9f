//! What the store does, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod nested;
mod query;
mod query_errors;
mod query_model;
mod query_plan;
mod retract_entity;
mod tempids;
mod transact;
mod upsert;
