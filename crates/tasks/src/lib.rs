//! Tasks: the document, what becomes of two documents of one task, and drivers for the places where tasks live.
//!
//! The formats and their invariants are in `docs/tasks.md`.

mod clock;
mod document;
pub mod driver;
mod id;
pub mod json;
mod reconcile;
mod task;

pub use clock::{Author, Device, NoDevice};
pub use document::{
    Document, Hash, Lost, MAX_BYTES, MAX_DEPTH, MAX_NAME, MAX_PROPERTIES, MAX_TEXT, Refusal, resolve,
};
pub use id::{NoTaskId, TaskId};
pub use reconcile::{ReconcileError, Report, Side, plan, reconcile};
pub use task::Task;
