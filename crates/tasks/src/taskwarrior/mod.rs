//! Taskwarrior's tasks, as its JSON has them, and ours. `docs/tasks.md`, Taskwarrior.

mod dates;
mod export;
mod import;
mod names;
mod replica;
mod uuids;

pub use export::to_taskwarrior;
pub use import::Foreign;
pub use replica::from_map;
pub use uuids::{id_of, uuid_of};
