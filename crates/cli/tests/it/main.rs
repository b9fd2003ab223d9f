//! The binary as people and scripts meet it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod config;
mod conflicts;
mod daemon;
mod demo;
mod devices;
mod generated;
mod help;
mod hostile;
mod hub_data;
mod key;
mod killed;
mod managed;
mod original;
mod output;
mod room;
mod serve;
mod shell;
mod status;
mod task;
mod task_config;
mod task_hostile;
mod task_places;
mod taskwarrior;
mod token;
