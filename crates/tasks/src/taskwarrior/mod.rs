//! Taskwarrior's tasks, as its JSON has them, and ours. `docs/tasks.md`, Taskwarrior.

mod dates;
mod export;
mod import;
mod names;
mod replica;
mod shared;
mod uuids;

pub use export::to_taskwarrior;
pub use import::Foreign;
pub use replica::{TaskMap, from_map};
pub use shared::{from_replica, is_held, to_replica, uuid_in_replica, written_at};
pub use uuids::{id_of, uuid_of};
