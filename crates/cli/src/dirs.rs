//! Where a person's files are, by the customs of the platform.

use std::path::PathBuf;

/// Where programs keep their data.
pub(crate) fn data() -> Option<PathBuf> {
    if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        Some(variable("HOME")?.join("Library/Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")))
    }
    .map(|base| base.join("tolstoy"))
}

/// Where programs keep their settings.
pub(crate) fn config() -> Option<PathBuf> {
    if cfg!(windows) {
        variable("APPDATA")
    } else if cfg!(target_os = "macos") {
        Some(variable("HOME")?.join("Library/Application Support"))
    } else {
        variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))
    }
    .map(|base| base.join("tolstoy"))
}

/// Where programs keep their sockets, for as long as somebody is logged in.
pub(crate) fn runtime() -> Option<PathBuf> {
    variable("XDG_RUNTIME_DIR")
}

/// The directory that belongs to whoever runs this.
pub(crate) fn home() -> Option<PathBuf> {
    variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" })
}

/// Where programs keep what may be lost, such as a history.
pub(crate) fn state() -> Option<PathBuf> {
    if cfg!(any(windows, target_os = "macos")) {
        return data();
    }
    variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state"))).map(|base| base.join("tolstoy"))
}

/// An absolute path in the environment; another one is as none, as the customs say.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
