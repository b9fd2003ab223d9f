//! What the store does, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bootstrap;
mod common;
mod corpus;
mod deletes;
mod errors;
mod files;
mod fuzzed;
mod journal;
mod lookup_refs;
mod model;
mod nested;
mod operations;
mod operations_model;
mod operations_rebase;
mod policies;
mod query;
mod query_errors;
mod query_model;
mod query_plan;
mod rebase;
mod rebase_attack;
mod retract_entity;
mod reversed;
mod schema;
mod schema_merges;
mod tempids;
mod texts;
mod transact;
mod upsert;
