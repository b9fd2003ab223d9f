//! An embedded datom store in one SQLite file: schema as data, EDN transactions, Datalog, a log with every change's
//! origin, and the rebase primitive that synchronisers are built on.
//!
//! The store is synchronous and knows neither a network nor a terminal. Its file is drawn in `docs/format.md`.

pub mod bootstrap;
mod core;
mod error;
mod functions;
mod journal;
pub mod log;
mod query;
mod rebase;
mod schema;
mod store;
mod suggest;
mod transact;
mod types;

pub use error::{Error, ErrorKind, Result};
pub use functions::{Facts, Function, FunctionError, Parameter, Statement};
pub use journal::{Entry, Lost, Proposal, Settling, Standing, State, Touched};
pub use log::read::Timeline;
pub use log::{Displaced, EntidRun, Field, Operation, Overwrite, Reason, Stands, Transaction, Unbound, Update};
pub use query::{Query, QueryResult, Shape};
pub use rebase::{DisplacedChange, Foreign, Incoming, Pass, Position, Rebased};
pub use schema::{Attribute, Cardinality, Merge, Schema, Unique};
pub use store::{Extent, Store, StoreOptions};
pub use transact::TxReport;
pub use types::{Change, Datom, Double, Entid, Origin, Value, ValueType};
