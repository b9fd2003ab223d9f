//! EDN: values, a reader with positions and limits, a writer.

mod instant;

pub use instant::Instant;
