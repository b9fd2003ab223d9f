//! The daemon: keeps places in step by itself. `docs/daemon.md` says what it promises.
//!
//! [`schedule`] decides when what is synced, without I/O; [`run`] carries it out; [`place`] is the one list of kinds of places.

pub(crate) mod config;
mod network;
mod notices;
pub(crate) mod one;
pub(crate) mod pair;
mod place;
pub(crate) mod run;
mod schedule;
pub(crate) mod socket;
pub(crate) mod status;
mod watcher;
