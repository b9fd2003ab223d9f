//! Tasks on a hub.

use std::path::Path;

use tolstoy_sync::{HubDriver, HubError, Remote, normalize_url};
use tolstoy_tasks::driver::DriverError;

use crate::access::Remembered;
use crate::args::Access;
use crate::error::{Failure, Kind};

/// What stands between a hub's address and the log.
const LOGS: &str = "/1/logs/";

/// The log on a hub that a place names; none where it names something else.
pub(super) fn remote(place: &Path) -> Result<Option<Remote>, Failure> {
    let Some(text) = place.to_str().filter(|text| text.starts_with("http://") || text.starts_with("https://")) else {
        return Ok(None);
    };
    let usage = |why: String| {
        Failure::new(Kind::Usage, why).hint("a place on a hub is its address, /1/logs/ and the log's id, as in http://127.0.0.1:7410/1/logs/0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e")
    };
    let (url, log) = text.split_once(LOGS).ok_or_else(|| usage(format!("{text:?} names no log on that hub")))?;
    let url = normalize_url(url).map_err(|error| usage(error.to_string()))?;
    let log = log.trim_end_matches('/').parse().map_err(|error| usage(format!("{text:?}: {error}")))?;
    Ok(Some(Remote { url, log }))
}

/// The tasks of that log.
pub(super) fn open(remote: Remote, said: &Access) -> Result<HubDriver, Failure> {
    let access = Remembered::none(&remote.url).with(said).access(said)?;
    HubDriver::new(remote, &access).map_err(|error| super::place::failure(&error))
}

/// What a hub, or the way to it, has to do with a failure; none where it has nothing.
pub(super) fn failure(error: &DriverError) -> Option<Failure> {
    let of_hub = std::error::Error::source(error)?.downcast_ref::<HubError>()?;
    let HubError { remote, error } = of_hub;
    Some(Failure::sync(Path::new(&remote.url), remote, error))
}
