//! One daemon for a data directory: who runs, and how to speak to it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dirs;
use crate::error::{Failure, Kind};

/// No longer path is an address of a socket, on any system.
const LONGEST: usize = 100;

/// Who runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    /// Where it is spoken to.
    pub(crate) socket: PathBuf,
}

/// That this process is the one, until it ends.
#[derive(Debug)]
pub(crate) struct Only {
    /// The system lets the lock go with the process, in whatever way that ends.
    _lock: File,
    directory: PathBuf,
    pub(crate) running: Running,
}

/// Where a daemon keeps what it needs while it runs.
fn directory() -> Result<PathBuf, Failure> {
    dirs::data().map(|data| data.join("daemon")).ok_or_else(|| {
        Failure::new(Kind::Usage, "there is no home directory, so there is no place for a daemon's lock")
            .hint("set HOME, or XDG_DATA_HOME")
    })
}

impl Only {
    /// Becomes the one.
    ///
    /// # Errors
    /// Where another one runs: who.
    pub(crate) fn become_it() -> Result<Self, Failure> {
        let directory = directory()?;
        let failed = |path: &Path, e: &io::Error| Failure::io(&path.display().to_string(), e);
        make_private(&directory).map_err(|e| failed(&directory, &e))?;
        let path = directory.join("lock");
        let lock =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(|e| failed(&path, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(taken(&directory)),
            Err(std::fs::TryLockError::Error(e)) => return Err(failed(&path, &e)),
        }
        let pid = std::process::id();
        let beside = directory.join("socket");
        let socket = match (beside.as_os_str().len() > LONGEST, dirs::runtime()) {
            (false, _) => beside,
            (true, Some(runtime)) => runtime.join(format!("tolstoy-daemon-{pid}.socket")),
            (true, None) => {
                let message = format!("{}: this path is too long for a socket", beside.display());
                return Err(Failure::new(Kind::Usage, message)
                    .hint("set XDG_RUNTIME_DIR to a directory of yours, or XDG_DATA_HOME to one with a shorter name"));
            }
        };
        let running = Running { pid, socket };
        let only = Self { _lock: lock, directory, running };
        if let Some(before) = Running::read(&only.directory) {
            // A daemon that was killed left it.
            let _ = std::fs::remove_file(before.socket);
        }
        only.say().map_err(|e| failed(&only.directory, &e))?;
        Ok(only)
    }

    /// Writes down who runs.
    fn say(&self) -> io::Result<()> {
        let text = serde_json::to_string(&self.running)?;
        let new = self.directory.join("running.new");
        let mut file = File::create(&new)?;
        writeln!(file, "{text}")?;
        std::fs::rename(&new, self.directory.join("running"))
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        let _ = std::fs::remove_file(&self.running.socket);
        let _ = std::fs::remove_file(self.directory.join("running"));
    }
}

impl Running {
    /// Who runs, or ran when it was killed.
    ///
    /// # Errors
    /// Where there is no place for a daemon to say so.
    pub(crate) fn find() -> Result<Option<Self>, Failure> {
        Ok(Self::read(&directory()?))
    }

    fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(directory.join("running")).ok()?;
        serde_json::from_str(&text).ok()
    }
}

fn taken(directory: &Path) -> Failure {
    // It may be about to write down who it is.
    let who = Running::read(directory).map_or_else(String::new, |running| format!(": process {}", running.pid));
    Failure::new(Kind::InUse, format!("a daemon runs already{who}")).hint(
        "`tolstoy daemon status` says what it does; `systemctl --user stop tolstoy-daemon`, or a SIGTERM, ends it",
    )
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    if let Some(parent) = directory.parent() {
        builder.create(parent)?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        builder.mode(0o700).create(directory)?;
        // It may have been there, made by somebody's hand.
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
    }
    #[cfg(not(unix))]
    builder.create(directory)
}
