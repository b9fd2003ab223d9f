//! The server: logs, their chains and chunks, over HTTP.
//!
//! [`storage`] keeps rows, [`service`] knows the rules, [`live`] wakes who waits, `routes` speaks HTTP, [`serve`] listens. A hub never looks into a
//! chunk, and never acknowledges what is not durable.

mod gc;
pub mod live;
mod routes;
mod server;
pub mod service;
mod stalled;
pub mod storage;

pub use server::{Hub, HubHandle, Options, ServeError, serve};
pub use storage::{OpenError, SqliteOptions};
