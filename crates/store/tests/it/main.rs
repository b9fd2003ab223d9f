//! What the store does, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bootstrap;
mod common;
mod corpus;
mod errors;
mod files;
mod fuzzed;
mod lookup_refs;
mod model;
mod nested;
mod operations;
mod operations_model;
mod operations_rebase;
mod query;
mod query_errors;
mod query_model;
mod query_plan;
mod rebase;
mod rebase_attack;
mod retract_entity;
mod reversed;
mod schema;
mod tempids;
mod transact;
mod upsert;
