//! EDN: values, a reader with positions and limits, a writer. No I/O, no clock.
//!
//! [`read_one`] and [`read_all`] turn text into [`Form`]s, which know where in the text they stand, so that whatever
//! interprets them can point at the place it complains about ([`render_error`]). [`Form::to_value`] forgets the places.
//! A [`Value`] displays as text that reads back equal; [`pretty`] does the same over several lines.
//!
//! ```
//! use tolstoy_edn::{Limits, Value, read_one};
//!
//! let form = read_one("{:person/name \"Ivan\", :person/age 30}", &Limits::default())?;
//! assert_eq!(form.to_value().to_string(), "{:person/name \"Ivan\" :person/age 30}");
//! # Ok::<(), tolstoy_edn::ReadError>(())
//! ```

mod error;
mod form;
mod instant;
mod name;
mod number;
mod place;
mod reader;
mod token;
mod value;
mod writer;

pub use error::{ReadError, ReadErrorKind};
pub use form::{Form, FormKind, Span};
pub use instant::Instant;
pub use name::{Keyword, NameFault, Symbol};
pub use number::{BigInteger, Decimal, NumberFault};
pub use place::{Position, locate, render_error};
pub use reader::{Limits, read_all, read_one};
pub use uuid::Uuid;
pub use value::Value;
pub use writer::pretty;
