//! The tokens of a hub: `tokens.json` in its data directory, as `docs/hub.md` draws it.
//!
//! A file of its own beside the database, because tokens are made and revoked by other processes while the hub has the
//! database open. It is replaced whole, so whoever reads it sees a state that was written.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tolstoy_edn::Instant;
use tolstoy_env::{Env, NoEntropy};
use tolstoy_proto::LogId;
use tolstoy_proto::taskchampion::ClientId;

use super::secret::Digest;
use super::{Logs, Rights, Secret, Token, TokenId};

/// The file's name within the data directory.
const FILE: &str = "tokens.json";

/// Locked while the file is changed. It stays behind, empty.
const LOCK: &str = "tokens.lock";

/// The newest format that this version knows.
const FORMAT: u32 = 1;

/// Bytes of the file that are read; more than any number of tokens that people handle.
const MAX_BYTES: u64 = 16 << 20;

/// Characters of a name.
const MAX_NAME: usize = 100;

/// The tokens of a hub, for those who make and revoke them. A running hub notices every change.
#[derive(Debug, Clone)]
pub struct TokenFile {
    directory: PathBuf,
}

/// What a token shall be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What its owner calls it: at most 100 characters, no control characters.
    pub name: Option<String>,
    /// What it allows.
    pub rights: Rights,
    /// On which logs.
    pub logs: Logs,
    /// Until when.
    pub expires: Option<Instant>,
}

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file or the directory cannot be used.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("{} is damaged: {why}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A later version wrote the file.
    #[error("{} has format {found}, and this version knows formats up to {FORMAT}: use a newer version", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The name cannot be shown in a list.
    #[error("a token's name has at most 100 characters, and no control characters")]
    BadName,
    /// The client has a token.
    #[error("this client is known already, as token {0}")]
    KnownClient(TokenId),
    /// There is no randomness to make a secret of.
    #[error("{0}")]
    NoEntropy(#[from] NoEntropy),
}

impl TokenFile {
    /// The tokens of the hub with this data directory. Nothing is read or made yet.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Where the file is, or would be.
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// All tokens, in the order in which they were made; none where there is no file: no token was ever made here.
    ///
    /// # Errors
    /// Where the file cannot be read, is damaged, or of a newer format.
    pub fn read(&self) -> Result<Option<Vec<Token>>, TokenError> {
        let path = self.path();
        let mut bytes = Vec::new();
        let read = open_own(&path, File::options().read(true))
            .and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, MAX_BYTES), &mut bytes));
        match read {
            Ok(_) => decode(&bytes, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TokenError::Io { path, source }),
        }
    }

    /// Makes a token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or the name cannot be shown.
    pub fn create(&self, new: NewToken, env: &Env) -> Result<(Token, Secret), TokenError> {
        self.add(new, env, |tokens| {
            let mut id = TokenId::new(env)?;
            while tokens.iter().any(|token| token.id == id) {
                id = TokenId::new(env)?;
            }
            Ok(Secret::new(id, env)?)
        })
    }

    /// Makes the id of a client of TaskChampion's a token for the client's log, and for no other: its replicas show it, and
    /// nothing else. Only `name`, `rights` and `expires` of `new` count.
    ///
    /// # Errors
    /// As for [`TokenFile::create`]; and where the client is known already.
    pub fn create_client(&self, client: ClientId, new: NewToken, env: &Env) -> Result<Token, TokenError> {
        let new = NewToken { logs: Logs::Only([client.log()].into()), ..new };
        let secret = Secret::of_client(client);
        let added = self.add(new, env, |tokens| match tokens.iter().any(|token| token.id == *secret.id()) {
            true => Err(TokenError::KnownClient(secret.id().clone())),
            false => Ok(secret),
        });
        added.map(|(token, _)| token)
    }

    fn add(
        &self,
        new: NewToken,
        env: &Env,
        secret: impl FnOnce(&[Token]) -> Result<Secret, TokenError>,
    ) -> Result<(Token, Secret), TokenError> {
        if new.name.as_ref().is_some_and(|n| n.chars().count() > MAX_NAME || n.chars().any(char::is_control)) {
            return Err(TokenError::BadName);
        }
        crate::storage::make_private_directory(&self.directory).map_err(self.io(&self.directory))?;
        let _locked = self.lock()?;
        let mut tokens = self.read()?.unwrap_or_default();
        let secret = secret(&tokens)?;
        let NewToken { name, rights, logs, expires } = new;
        let id = secret.id().clone();
        let token = Token { id, name, rights, logs, created: env.now(), expires, digest: secret.digest() };
        tokens.push(token.clone());
        self.write(&tokens)?;
        Ok((token, secret))
    }

    /// Makes the token worth nothing; gives it, or none where there is none of this id. Where it was the last, the file
    /// stays: a hub that once had tokens goes on to ask for them.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn revoke(&self, id: &TokenId) -> Result<Option<Token>, TokenError> {
        if self.read()?.is_none() {
            return Ok(None);
        }
        let _locked = self.lock()?;
        let mut tokens = self.read()?.unwrap_or_default();
        let Some(at) = tokens.iter().position(|token| token.id == *id) else { return Ok(None) };
        let revoked = tokens.remove(at);
        self.write(&tokens)?;
        Ok(Some(revoked))
    }

    fn lock(&self) -> Result<File, TokenError> {
        let path = self.directory.join(LOCK);
        let file = open_own(&path, File::options().create(true).append(true)).map_err(self.io(&path))?;
        give_to_owner_of(&self.directory, &file).map_err(self.io(&path))?;
        file.lock().map_err(self.io(&path))?;
        Ok(file)
    }

    /// Replaces the file, durably: a token that was revoked stays so.
    fn write(&self, tokens: &[Token]) -> Result<(), TokenError> {
        let path = self.path();
        let text = encode(tokens);
        let replace = || {
            // Made readable to its owner alone.
            let mut file = tempfile::Builder::new().prefix(".tokens-").tempfile_in(&self.directory)?;
            file.write_all(text.as_bytes())?;
            give_to_owner_of(&self.directory, file.as_file())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            File::open(&self.directory)?.sync_all()
        };
        replace().map_err(self.io(&path))
    }

    fn io(&self, path: &Path) -> impl FnOnce(io::Error) -> TokenError + use<> {
        let path = path.to_owned();
        move |source| TokenError::Io { path, source }
    }
}

/// Opens a file of the data directory. Its owner may be less trusted than who runs this, such as root: so no symbolic link
/// is followed, which could lead to any file, and nothing is waited for that is no file.
fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    }
    let file = options.open(path).map_err(|error| {
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if is_link { io::Error::other("it is a symbolic link, and none is followed here") } else { error }
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no ordinary file")) }
}

/// The hub must be able to use what another user, such as root, makes for it. The file itself is given away, whatever stands
/// under its name by now; one with several names could be any file of the disk.
#[cfg(unix)]
pub(crate) fn give_to_owner_of(directory: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (wanted, is) = (fs::metadata(directory)?, file.metadata()?);
    if wanted.uid() == is.uid() {
        return Ok(());
    }
    if is.nlink() != 1 {
        return Err(io::Error::other(
            "it belongs to another user than its directory, and has other names (hard links)",
        ));
    }
    fchown(file, Some(wanted.uid()), Some(wanted.gid()))
}

#[cfg(not(unix))]
pub(crate) fn give_to_owner_of(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

/// The file's content. A field that is not known could be one that takes rights away, so there must be none.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    tokens: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    sha256: String,
    rights: String,
    /// None: all.
    logs: Option<Vec<LogId>>,
    created: String,
    expires: Option<String>,
    name: Option<String>,
}

fn encode(tokens: &[Token]) -> String {
    let row = |token: &Token| Row {
        id: token.id.to_string(),
        sha256: token.digest.0.iter().map(|byte| format!("{byte:02x}")).collect(),
        rights: token.rights.to_string(),
        logs: match &token.logs {
            Logs::All => None,
            Logs::Only(logs) => Some(logs.iter().copied().collect()),
        },
        created: token.created.to_string(),
        expires: token.expires.map(|at| at.to_string()),
        name: token.name.clone(),
    };
    let content = Content { format: FORMAT, tokens: tokens.iter().map(row).collect() };
    // Strings and numbers only: this cannot fail, and an empty text would not be read as a file without tokens.
    serde_json::to_string_pretty(&content).unwrap_or_default() + "\n"
}

fn decode(bytes: &[u8], path: &Path) -> Result<Vec<Token>, TokenError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = |why: String| TokenError::Damaged { path: path.to_owned(), why };
    let format: Format = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if format.format > FORMAT {
        return Err(TokenError::Newer { path: path.to_owned(), found: format.format });
    }
    let content: Content = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut ids = BTreeSet::new();
    let mut tokens = Vec::with_capacity(content.tokens.len());
    for row in content.tokens {
        let id = row.id.clone();
        let token = token(row).ok_or_else(|| damaged(format!("the token {id:?} is malformed")))?;
        if !ids.insert(token.id.clone()) {
            return Err(damaged(format!("the token {id:?} is there twice")));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn token(row: Row) -> Option<Token> {
    let mut digest = [0; 32];
    if row.sha256.len() != 64 || !row.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (i, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(row.sha256.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(Token {
        id: row.id.parse().ok()?,
        name: row.name,
        rights: row.rights.parse().ok()?,
        logs: row.logs.map_or(Logs::All, |logs| Logs::Only(logs.into_iter().collect())),
        created: Instant::parse_rfc3339(&row.created)?,
        expires: match row.expires {
            Some(text) => Some(Instant::parse_rfc3339(&text)?),
            None => None,
        },
        digest: Digest(digest),
    })
}

#[cfg(test)]
mod tests;
