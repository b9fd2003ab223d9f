//! How a store is let in by its hub: the token and the certificate to trust.
//!
//! A token is never in the store: stores are copied, backed up and handed on. What is remembered is where the token's
//! file is, and only for the address that it was given for: no other hub sees it.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tolstoy_store::Store;
use tolstoy_sync::{Access, BearerToken, Trust};

use crate::args;
use crate::error::{Failure, Kind};

/// The store's note of it.
const NOTE: &str = "access";

/// The variable that holds a token.
const VARIABLE: &str = "TOLSTOY_TOKEN";

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Remembered {
    /// The hub that it is for.
    url: String,
    token_file: Option<PathBuf>,
    trust: Option<String>,
    ca: Option<PathBuf>,
    token_in_clear: bool,
}

impl Remembered {
    /// What the store remembers for the hub at `url`.
    pub(crate) fn of(store: &Store, url: &str) -> Result<Self, tolstoy_store::Error> {
        // A note that a later version wrote otherwise is as none: the hub then says what it wants.
        let noted: Option<Self> = store.note(NOTE)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(noted.filter(|noted| noted.url == url).unwrap_or_else(|| Self::none(url)))
    }

    /// Nothing, for the hub at `url`.
    pub(crate) fn none(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    /// Makes the store remember it.
    pub(crate) fn remember(&self, store: &mut Store) -> Result<(), tolstoy_store::Error> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        store.pass(|pass| pass.set_note(NOTE, Some(&bytes)))
    }

    /// What is remembered, with what is said now.
    pub(crate) fn with(mut self, said: &args::Access) -> Self {
        // From whichever directory the next sync runs.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if let Some(path) = &said.token_file {
            self.token_file = Some(absolute(path));
        }
        if let Some(fingerprint) = &said.trust {
            (self.trust, self.ca) = (Some(fingerprint.to_string()), None);
        }
        if let Some(path) = &said.ca {
            (self.ca, self.trust) = (Some(absolute(path)), None);
        }
        self.token_in_clear |= said.token_in_clear;
        self
    }

    /// What to show the hub and which hub to believe there. A file that is named now goes before the token of the
    /// environment, and that before a file that is remembered.
    pub(crate) fn access(&self, said: &args::Access, in_environment: Option<OsString>) -> Result<Access, Failure> {
        let url = &self.url;
        let token = match (&self.token_file, in_environment) {
            (Some(path), None) => Some(token_in(path)?),
            (Some(path), Some(_)) if said.token_file.is_some() => Some(token_in(path)?),
            (_, Some(text)) => {
                let token = text.to_str().and_then(|text| BearerToken::parse(text).ok());
                Some(token.ok_or_else(|| {
                    Failure::new(Kind::Usage, format!("what ${VARIABLE} holds is no token"))
                        .hint("a token is one word, as `tolstoy token create` prints it")
                })?)
            }
            (None, None) => None,
        };
        if token.is_some() && !self.token_in_clear && in_clear(url) {
            let message = format!("{url}: a token sent over plain http:// can be read by whoever is in between");
            return Err(Failure::new(Kind::Usage, message).hint(
                "use the hub's https:// address; or, where the network itself encrypts, such as a VPN, say --token-in-clear",
            ));
        }
        Ok(Access { token, trust: self.trust()? })
    }

    /// Which hub to believe.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        Ok(match (&self.trust, &self.ca) {
            (Some(fingerprint), _) => Trust::Fingerprint(
                fingerprint
                    .parse()
                    .map_err(|e: tolstoy_proto::BadFingerprint| Failure::new(Kind::Usage, e.to_string()))?,
            ),
            (None, Some(path)) => {
                let name = path.display();
                let pem = std::fs::read(path).map_err(|e| Failure::io(&name.to_string(), &e))?;
                Trust::roots(pem).map_err(|e| Failure::new(Kind::Input, format!("{name}: {e}")))?
            }
            (None, None) => Trust::System,
        })
    }
}

/// The token that the environment holds.
pub(crate) fn token_in_environment() -> Option<OsString> {
    std::env::var_os(VARIABLE).filter(|token| !token.is_empty())
}

fn token_in(path: &Path) -> Result<BearerToken, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::io(&path.display().to_string(), &e).hint("`--token-file FILE` names the file that holds your token")
    })?;
    BearerToken::parse(&text).map_err(|e| Failure::new(Kind::Input, format!("{}: {e}", path.display())))
}

/// Whether what is sent there passes other machines unencrypted.
fn in_clear(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host != "localhost" && !host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_safe_without_tls() {
        for safe in ["https://hub.example", "http://localhost:7410", "http://127.0.0.1", "http://[::1]:7410/sync"] {
            assert!(!in_clear(safe), "{safe}");
        }
        for unsafe_ in
            ["http://hub.example", "http://192.0.2.1:7410", "http://[2001:db8::1]", "http://localhost.example"]
        {
            assert!(in_clear(unsafe_), "{unsafe_}");
        }
    }

    #[test]
    fn what_is_said_goes_before_what_is_remembered() {
        let trust = "AB".repeat(32);
        let said =
            args::Access { trust: Some(trust.parse().unwrap_or_else(|_| unreachable!())), ..args::Access::default() };
        let before = Remembered {
            url: "https://h".into(),
            ca: Some("/ca.pem".into()),
            token_file: Some("/t".into()),
            ..Remembered::default()
        };
        let now = before.clone().with(&said);
        assert_eq!((now.ca.as_ref(), now.trust.is_some(), &now.token_file), (None, true, &before.token_file));
        assert_eq!(before.clone().with(&args::Access::default()), before);
    }
}
