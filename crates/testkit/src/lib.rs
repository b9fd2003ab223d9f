//! What tests of the whole system stand on: a world that one seed decides, users who do everything that users may, and an
//! oracle that says afterwards whether anything was lost.
//!
//! [`simulate`] plays one seed. Everything in it, time and chance included, comes from the seed, so that a failing one can
//! be replayed: `cargo run -p tolstoy-testkit --example replay -- SEED`.

mod dice;
pub mod disk;
pub mod oracle;
mod simulation;
mod users;
pub mod world;

pub use dice::Dice;
pub use simulation::{Coverage, Failure, Plan, Simulation, simulate};
