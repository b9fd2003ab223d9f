//! Key files: where the keys of encrypted logs are.
//!
//! As with tokens, no key is ever in a store: stores are copied, backed up and handed on. What is remembered is where the
//! file is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tolstoy_proto::LogId;
use tolstoy_store::Store;
use tolstoy_sync::{Keyring, Secrets};
use zeroize::Zeroizing;

use crate::error::{Failure, Kind};

/// The store's note of where its log's keys are.
const NOTE: &str = "key-file";

/// What a key file begins with.
pub(crate) const HEADING: &str = "# Keys of encrypted Tolstoy logs. Whoever has this file can read and write them.\n";

/// The key file that is said now, or else the one that is remembered.
pub(crate) fn file(store: &Store, said: Option<&Path>) -> Result<Option<PathBuf>, tolstoy_store::Error> {
    if let Some(path) = said {
        // From whichever directory the next sync runs.
        return Ok(Some(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())));
    }
    let noted = store.note(NOTE)?.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(noted.map(PathBuf::from))
}

/// Makes the store remember where its log's keys are.
pub(crate) fn remember(store: &mut Store, path: &Path) -> Result<(), tolstoy_store::Error> {
    let text = path.to_string_lossy();
    if store.note(NOTE)?.is_some_and(|noted| noted == text.as_bytes()) {
        return Ok(());
    }
    store.pass(|pass| pass.set_note(NOTE, Some(text.as_bytes())))
}

/// The text of a key file and what is in it.
pub(crate) fn read(path: &Path) -> Result<(Zeroizing<String>, Secrets), Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::io(&name.to_string(), &e).hint("`tolstoy key create FILE` makes a key file; --key-file FILE names it")
    })?;
    let text = Zeroizing::new(text);
    let secrets = Secrets::parse(&text).map_err(|e| {
        Failure::new(Kind::Input, format!("{name}: {e}")).hint("a key file is what `tolstoy key create FILE` writes")
    })?;
    Ok((text, secrets))
}

/// The keys of a log.
pub(crate) fn keyring(log: LogId, secrets: &Secrets) -> Result<Arc<Keyring>, Failure> {
    Keyring::new(log, secrets).map(Arc::new).map_err(|e| Failure::new(Kind::Storage, e.to_string()))
}
