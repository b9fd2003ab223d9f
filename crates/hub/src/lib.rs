//! The server: logs, their chains and chunks, over HTTP.
//!
//! [`storage`] keeps rows, [`service`] knows the rules, `routes` speaks HTTP, [`serve`] listens. A hub never looks into a
//! chunk, and never acknowledges what is not durable.

mod activity;
mod gc;
pub mod metrics;
mod ready;
mod routes;
mod server;
pub mod service;
mod stalled;
pub mod storage;

pub use server::{Hub, HubHandle, Options, ServeError, serve};
pub use storage::{OpenError, SqliteOptions};
