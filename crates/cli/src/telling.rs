//! What a program that goes on tells on standard error.

use tracing_subscriber::EnvFilter;

use crate::error::{Failure, Kind};
use crate::settings::LogFormat;
use crate::ui::Ui;

/// From here on what is told at these levels is written to standard error. To be called once.
///
/// # Errors
/// Where the filter is none.
pub(crate) fn begin(filter: &str, format: LogFormat, ui: &Ui) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|e| {
        Failure::new(Kind::Usage, format!("{filter:?} is no filter: {e}"))
            .hint("write a level, or `info,tolstoy_hub=debug`")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(ui.err_is_colourful()).init(),
        // A request's span is told once, as an object beside the event's own fields.
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}
