//! What the wire's forms do, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod corpus;
mod fuzzed;
