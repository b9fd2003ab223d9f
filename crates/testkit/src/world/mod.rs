//! The world around the code under test: time, randomness, the hub, and the link that leads to it.

mod env;
mod hub;
mod net;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

pub use env::env;
pub use hub::{Hub, in_memory};
pub(crate) use net::lock;
pub use net::{Link, Net, NetCounts, Stream};

/// Runs a future that never has to wait for anything, as nothing in a simulation does.
///
/// # Panics
/// Where the future waits: then something in it is not under the simulation's control.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a future in a simulation waits for something outside of it"),
    }
}

/// The usual options of a sync, where a pause is a turn for others.
pub fn patient(env: tolstoy_env::Env) -> tolstoy_sync::Options {
    tolstoy_sync::Options::new(env, std::sync::Arc::new(|_| Box::pin(net::Turns(1))))
}

/// The usual options of a sync, where a pause takes no time.
pub fn options(env: tolstoy_env::Env) -> tolstoy_sync::Options {
    tolstoy_sync::Options::new(env, std::sync::Arc::new(|_| Box::pin(std::future::ready(()))))
}
