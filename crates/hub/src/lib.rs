//! The server: logs, their chains and chunks, over HTTP.
//!
//! [`storage`] keeps rows, [`service`] knows the rules, [`live`] wakes who waits, `routes` speaks HTTP, [`serve`] listens. A hub never looks into a
//! chunk, and never acknowledges what is not durable.

mod activity;
pub mod auth;
mod connection;
mod gate;
mod gc;
pub mod live;
pub mod metrics;
mod pace;
mod rate;
mod ready;
mod routes;
mod server;
pub mod service;
mod stalled;
pub mod storage;
mod tls;
mod underway;

pub use auth::Principal;
pub use rate::Rate;
pub use server::{Exposed, Hub, HubHandle, Options, ReloadError, Reloader, ServeError, may_listen, serve};
pub use storage::{OpenError, SqliteOptions};
pub use tls::{TlsError, TlsOptions};
