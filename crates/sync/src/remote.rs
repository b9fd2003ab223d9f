//! Which log a store syncs with, and where.

use tolstoy_proto::LogId;
use tolstoy_store::Store;
use uuid::Uuid;

use crate::error::Result;

/// A log on a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The hub's base address, without a final slash and without `/0.1` or `/1`.
    pub url: String,
    /// The log.
    pub log: LogId,
}

/// An address that is none of a hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It has not the form of one.
    #[error(
        "{0:?} is not the address of a hub: it begins with http:// or https:// and a host, such as http://127.0.0.1:7410"
    )]
    Malformed(String),
    /// It holds a name or a password, which would be stored with it and shown in messages; so it is not repeated here.
    #[error("the address of a hub holds no name and no password")]
    Credentials,
}

/// The base address in what people write: with or without `/0.1` or `/1`, with or without a final slash.
///
/// # Errors
/// Where the address does not begin with `http://` or `https://` and a host.
pub fn normalize_url(url: &str) -> Result<String, BadUrl> {
    let bad = || BadUrl::Malformed(url.to_owned());
    let parsed = reqwest::Url::parse(url.trim()).map_err(|_| bad())?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none_or(str::is_empty) {
        return Err(bad());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(BadUrl::Credentials);
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(bad());
    }
    let whole = parsed.as_str().trim_end_matches('/');
    let base = whole.strip_suffix("/0.1").or_else(|| whole.strip_suffix("/1")).unwrap_or(whole);
    Ok(base.trim_end_matches('/').to_owned())
}

impl Remote {
    /// The remote that the store last synced with.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn of(store: &Store) -> Result<Option<Self>> {
        let url = store.note("url")?.and_then(|bytes| String::from_utf8(bytes).ok());
        let log = store.note("log")?.and_then(|bytes| Uuid::from_slice(&bytes).ok());
        Ok(url.zip(log).map(|(url, log)| Self { url, log: LogId(log) }))
    }

    /// Makes this the remote that the store syncs with from now on.
    ///
    /// # Errors
    /// Where the store cannot be written, or has synced with another log: it holds that one's history, so it can only
    /// ever sync with that one.
    pub fn remember(&self, store: &mut Store) -> Result<()> {
        if let Some(before) = Self::of(store)?
            && before.log != self.log
            && store.last_positioned()?.is_some()
        {
            return Err(crate::Error::Damaged(format!(
                "the store syncs with the log {}, whose history it holds; to sync with {} use another store",
                before.log, self.log
            )));
        }
        store.pass(|pass| {
            pass.set_note("url", Some(self.url.as_bytes()))?;
            pass.set_note("log", Some(self.log.as_bytes()))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_is_not_theirs() {
        for url in [
            "http://localhost:7410",
            "http://localhost:7410/",
            "http://localhost:7410/0.1",
            "http://localhost:7410/0.1/",
            "http://localhost:7410/1",
        ] {
            assert_eq!(normalize_url(url).unwrap(), "http://localhost:7410");
        }
        assert_eq!(normalize_url("https://example.org/sync/0.1").unwrap(), "https://example.org/sync");
        for url in ["", "localhost:7410", "ftp://localhost", "http://", "http://h/?x=1"] {
            assert_eq!(normalize_url(url), Err(BadUrl::Malformed(url.to_owned())));
        }
        assert_eq!(normalize_url("http://me:secret@h"), Err(BadUrl::Credentials));
    }
}
