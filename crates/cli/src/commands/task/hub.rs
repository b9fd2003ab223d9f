//! Tasks on a hub.

use std::ffi::OsString;
use std::path::Path;

use tolstoy_sync::{HubDriver, HubError, Remote, normalize_url};
use tolstoy_tasks::driver::DriverError;

use crate::access::Remembered;
use crate::args::Access;
use crate::error::{Failure, Kind};

/// What stands between a hub's address and the log.
const LOGS: &str = "/1/logs/";

/// The log on a hub that a place names; none where it names something else.
pub(crate) fn remote(place: &Path) -> Result<Option<Remote>, Failure> {
    let Some(text) = place.to_str().filter(|text| text.starts_with("http://") || text.starts_with("https://")) else {
        return Ok(None);
    };
    let usage = |why: String| {
        Failure::new(Kind::Usage, why).hint("a place on a hub is its address, /1/logs/ and the log's id, as in http://127.0.0.1:7410/1/logs/0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e")
    };
    let (url, log) = text.split_once(LOGS).unwrap_or((text, ""));
    // First, for an address may hold a password by mistake, which is not to be repeated.
    let url = normalize_url(url).map_err(|error| usage(error.to_string()))?;
    if log.is_empty() {
        return Err(usage(format!("{text:?} names no log on that hub")));
    }
    let log = log.trim_end_matches('/').parse().map_err(|error| usage(format!("{text:?}: {error}")))?;
    Ok(Some(Remote { url, log }))
}

/// The tasks of that log. `token` is for who says nothing of tokens.
pub(crate) fn open(remote: Remote, said: &Access, token: Option<OsString>) -> Result<HubDriver, Failure> {
    let access = access(&remote, said, token)?;
    HubDriver::new(remote, &access).map_err(|error| super::place::failure(&error))
}

/// What it takes to speak to that hub.
pub(crate) fn access(remote: &Remote, said: &Access, token: Option<OsString>) -> Result<tolstoy_sync::Access, Failure> {
    Remembered::none(&remote.url).with(said).access(said, token)
}

/// What a hub, or the way to it, has to do with a failure; none where it has nothing.
pub(super) fn failure(error: &DriverError) -> Option<Failure> {
    let of_hub = std::error::Error::source(error)?.downcast_ref::<HubError>()?;
    let HubError { remote, error } = of_hub;
    Some(Failure::sync(Path::new(&remote.url), remote, error))
}
