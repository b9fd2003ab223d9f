//! The server: logs, their chains and chunks, over HTTP.
//!
//! [`storage`] keeps rows, [`service`] knows the rules, `routes` speaks HTTP, [`server`](crate::serve) listens. A hub never
//! looks into a chunk.

pub mod service;
pub mod storage;
