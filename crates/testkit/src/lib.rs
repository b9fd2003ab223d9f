//! What tests of the whole system stand on: a world that one seed decides, users who do everything that users may, and an
//! oracle that says afterwards whether anything was lost.
//!
//! [`simulate`] plays one plan. Everything in it, time and chance included, comes from the plan's seed, so that a failing one
//! can be replayed: `tolstoy-sim --replay "seed=17"`. `docs/testing.md` tells more.

mod dice;
pub mod disk;
pub mod oracle;
pub mod plan;
mod shrink;
mod simulation;
mod users;
pub mod world;

pub use dice::Dice;
pub use plan::Plan;
pub use shrink::{Small, shrink};
pub use simulation::{Coverage, Failure, Simulation, replay, simulate};
