//! The tokens as the running hub sees them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use tolstoy_edn::Instant;
use tolstoy_proto::taskchampion::ClientId;

use super::secret::Digest;
use super::{Secret, Token, TokenError, TokenFile, TokenId};

/// The tokens, kept in step with their file.
///
/// > **Closed.** Once a hub asks for tokens it goes on to, whatever becomes of the file: where it is damaged the last good
/// > state stays, where it is gone no token is left.
#[derive(Debug)]
pub(crate) struct LiveTokens {
    file: Option<TokenFile>,
    current: RwLock<Arc<Tokens>>,
    /// How the file looked when it was last read.
    seen: Mutex<Option<Stamp>>,
}

#[derive(Debug)]
struct Tokens {
    /// Whether tokens are asked for.
    required: bool,
    by_id: HashMap<TokenId, Arc<Token>>,
}

impl LiveTokens {
    /// Reads the file in the data directory. `required`: tokens are asked for even where there are none.
    pub(crate) fn load(directory: &Path, required: bool) -> Result<Self, TokenError> {
        let live = Self { file: Some(TokenFile::of(directory)), ..Self::none(required) };
        live.reload()?;
        Ok(live)
    }

    /// No tokens, for ever.
    pub(crate) fn none(required: bool) -> Self {
        let none = Arc::new(Tokens { required, by_id: HashMap::new() });
        Self { file: None, current: RwLock::new(none), seen: Mutex::new(None) }
    }

    /// Reads the file again. Where that fails the tokens stay as they were.
    pub(crate) fn reload(&self) -> Result<(), TokenError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before it is read: a change in between is noticed the next time.
        let stamp = Stamp::of(&file.path());
        let found = match file.read() {
            // It may pass, without a change of the file: looked at again the next time.
            Err(error @ TokenError::Io { .. }) => {
                *seen = None;
                return Err(error);
            }
            read => {
                *seen = stamp;
                read?
            }
        };
        let required = self.required() || found.is_some();
        let by_id = found.unwrap_or_default().into_iter().map(|token| (token.id.clone(), Arc::new(token))).collect();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Tokens { required, by_id });
        Ok(())
    }

    /// Reads the file again where it looks different; says whether it did.
    pub(crate) fn refresh(&self) -> Result<bool, TokenError> {
        let Some(file) = &self.file else { return Ok(false) };
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == Stamp::of(&file.path()) {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    fn current(&self) -> Arc<Tokens> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a token is asked for.
    pub(crate) fn required(&self) -> bool {
        self.current().required
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.current().by_id.len()
    }

    /// The token whose text this is, unless it has expired.
    pub(crate) fn find(&self, text: &str, now: Instant) -> Option<Arc<Token>> {
        self.find_shown(&Secret::parse(text)?, now)
    }

    /// The token that the id of a client of TaskChampion's is, unless it has expired.
    pub(crate) fn find_client(&self, client: ClientId, now: Instant) -> Option<Arc<Token>> {
        self.find_shown(&Secret::of_client(client), now)
    }

    fn find_shown(&self, shown: &Secret, now: Instant) -> Option<Arc<Token>> {
        let token = self.current().by_id.get(shown.id()).cloned();
        // Compared in any case, so that an id that exists takes as long as one that does not.
        let is_it = shown.digest() == token.as_ref().map_or(Digest([0; 32]), |token| token.digest);
        token.filter(|token| is_it && !token.is_expired(now))
    }
}

/// How a file looks from outside. One that was replaced looks different.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// None where there is no file.
    fn of(path: &Path) -> Option<Self> {
        let found: io::Result<fs::Metadata> = fs::metadata(path);
        let found = found.ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: found.modified().ok(), length: found.len(), inode })
    }
}

#[cfg(test)]
mod tests;
