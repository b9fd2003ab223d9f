//! Taskwarrior's dates, `20261125T093000Z`. What is none in one form is kept as it is in the other.

use tolstoy_edn::Instant;

use crate::document::instant_of;
use crate::json::Json;

/// As a document has it.
pub(super) fn from_taskwarrior(value: Json) -> Json {
    let read = |text: &str| {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let plain = date.len() == 8 && time.len() == 6 && date.bytes().chain(time.bytes()).all(|b| b.is_ascii_digit());
        plain.then_some(())?;
        let part = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
        let written = format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(date, 0, 4)?,
            part(date, 4, 6)?,
            part(date, 6, 8)?,
            part(time, 0, 2)?,
            part(time, 2, 4)?,
            part(time, 4, 6)?
        );
        // There are days that no month has, and leap seconds.
        Instant::parse_rfc3339(&written).filter(|instant| instant.to_string() == written).map(|_| written)
    };
    value.as_str().and_then(read).map_or(value, Json::String)
}

/// As Taskwarrior has it: to the second.
pub(super) fn to_taskwarrior(value: &Json) -> Json {
    instant_of(value).map_or_else(|| value.clone(), |instant| Json::String(written(instant)))
}

/// An instant as Taskwarrior writes it.
pub(super) fn written(instant: Instant) -> String {
    let text = instant.to_string();
    let seconds = text.get(.."2026-11-25T09:30:00".len()).unwrap_or_default();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}
