//! Tasks: the document, what becomes of two documents of one task, and drivers for the places where tasks live.
//!
//! The formats and their invariants are in `docs/tasks.md`.

mod clock;
mod dates;
mod document;
pub mod driver;
mod filter;
mod id;
pub mod interchange;
pub mod json;
mod moving;
mod reconcile;
mod recur;
mod score;
mod task;
pub mod taskwarrior;
mod tree;
mod view;

pub use clock::{Author, Device, NoDevice};
pub use dates::{Calendar, NoDate};
pub use document::{Document, Hash, Lost, MAX_BYTES, MAX_DEPTH, MAX_NAME, MAX_PROPERTIES, MAX_TEXT, Refusal, resolve};
pub use filter::Filter;
pub use id::{NoTaskId, TaskId};
pub use moving::{Moved, Source, reconcile_all, relocate};
pub use reconcile::{ReconcileError, Report, Side, reconcile};
pub use recur::{Done, Recurrence};
pub use score::Score;
pub use task::Task;
pub use tree::{Digest, NoHash, NoPrefix, Node, Prefix};
pub use view::{State, View};
