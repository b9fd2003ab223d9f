//! An independent judge of what stores and syncs do. It shares no code with them: it reads a store's log and facts through
//! the public API, and everything else it works out itself.

mod carriers;
mod claims;
mod deletes;
pub mod facts;
mod heads;
mod history;
mod identity;
mod intents;
mod names;
mod policies;
mod settled;
mod verdict;

pub use carriers::{gives_way, justified};
pub use facts::Facts;
pub use heads::Heads;
pub use history::{Authored, History};
pub use identity::recognised;
pub use intents::{Act, Intent, NEXT, TAKE};
pub use names::{Name, View, Who};
pub use verdict::{Verdict, judge};
