//! What the system tells of files: inotify, on Linux. It is only ever a reason to look; elsewhere, and where it cannot be had, looks
//! come more often.

use std::sync::Arc;

use tokio::sync::Notify;

use super::place::Interest;

/// Who is to be woken by what.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux is asked"))]
pub(crate) struct Subscription {
    pub(crate) interest: Interest,
    pub(crate) wake: Arc<Notify>,
}

#[cfg(target_os = "linux")]
pub(crate) use linux::Notices;
#[cfg(not(target_os = "linux"))]
pub(crate) use none::Notices;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::sync::{Arc, Mutex, PoisonError};

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;

    use super::super::place::{Interest, is_hidden};
    use super::Subscription;

    /// What makes a place another one. Files that are read, opened and closed are none of it.
    const TOLD: WatchFlags = WatchFlags::CREATE
        .union(WatchFlags::MODIFY)
        .union(WatchFlags::ATTRIB)
        .union(WatchFlags::MOVED_FROM)
        .union(WatchFlags::MOVED_TO)
        .union(WatchFlags::DELETE)
        .union(WatchFlags::DELETE_SELF)
        .union(WatchFlags::MOVE_SELF)
        .union(WatchFlags::ONLYDIR);

    /// File systems of networks, and those that programs make: what others write there is not told. `statfs(2)` has the numbers.
    const UNTOLD: [u64; 8] =
        [0x6969, 0x517B, 0xFE53_4D42, 0xFF53_4D42, 0x6573_5546, 0x0102_1997, 0x00C3_6400, 0x5346_414F];

    /// The system's notices, and who waits for them.
    #[derive(Debug)]
    pub(crate) struct Notices {
        file: Option<OwnedFd>,
        subscriptions: Mutex<BTreeMap<i32, Vec<Subscription>>>,
    }

    impl Notices {
        /// Begins to listen, on a thread that ends with the process.
        pub(crate) fn start() -> Arc<Self> {
            let file = inotify::init(CreateFlags::CLOEXEC).map_err(io::Error::from);
            let notices = Arc::new(Self { file: file.ok(), subscriptions: Mutex::default() });
            let listening = Arc::clone(&notices);
            let thread = std::thread::Builder::new().name("notices".to_owned()).spawn(move || listening.listen());
            if notices.file.is_none() || thread.is_err() {
                tracing::warn!("the system does not tell of changes; places are looked at more often");
            }
            notices
        }

        /// Asks to be told, again where it was asked before: the directory may be another one by the same name. Whether the
        /// system tells.
        pub(crate) fn ask(&self, subscription: &Subscription) -> bool {
            let Some(file) = &self.file else { return false };
            let directory = subscription.interest.directory();
            let Ok(watch) = inotify::add_watch(file, directory, TOLD) else { return false };
            let mut all = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = all.entry(watch).or_default();
            if !waiting.iter().any(|known| Arc::ptr_eq(&known.wake, &subscription.wake)) {
                waiting.push(subscription.clone());
            }
            tells_all(directory)
        }

        /// Nobody waits for it any more.
        pub(crate) fn forget(&self, subscription: &Subscription) {
            let mut all = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
            for waiting in all.values_mut() {
                waiting.retain(|known| !Arc::ptr_eq(&known.wake, &subscription.wake));
            }
            let unused: Vec<i32> =
                all.iter().filter(|(_, waiting)| waiting.is_empty()).map(|(watch, _)| *watch).collect();
            for watch in unused {
                all.remove(&watch);
                if let Some(file) = &self.file {
                    // It is gone with its directory, or now.
                    let _ = inotify::remove_watch(file, watch);
                }
            }
        }

        fn listen(&self) {
            let Some(file) = &self.file else { return };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(file, &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) => {
                        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                        self.wake(event.wd(), event.events(), name);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the system does not tell of changes any more");
                        return;
                    }
                }
            }
        }

        fn wake(&self, watch: i32, events: ReadFlags, name: Option<&OsStr>) {
            let mut all = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                all.values().flatten().for_each(|waiting| waiting.wake.notify_one());
                return;
            }
            for waiting in all.get(&watch).into_iter().flatten() {
                if name.is_none_or(|name| waiting.interest.is_in(name)) {
                    waiting.wake.notify_one();
                }
            }
            if events.contains(ReadFlags::IGNORED) {
                all.remove(&watch);
            }
        }
    }

    impl Interest {
        fn directory(&self) -> &Path {
            let (Self::Folder(directory) | Self::File { directory, .. }) = self;
            directory
        }

        fn is_in(&self, file: &OsStr) -> bool {
            match self {
                Self::Folder(_) => !is_hidden(file),
                Self::File { name, .. } => file.as_bytes().starts_with(name.as_bytes()),
            }
        }
    }

    fn tells_all(directory: &Path) -> bool {
        let kind = rustix::fs::statfs(directory).ok().and_then(|found| u64::try_from(found.f_type).ok());
        kind.is_some_and(|kind| !UNTOLD.contains(&(kind & 0xFFFF_FFFF)))
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::sync::Arc;

    use super::Subscription;

    /// The system tells nothing that this program understands.
    #[derive(Debug)]
    pub(crate) struct Notices;

    impl Notices {
        pub(crate) fn start() -> Arc<Self> {
            Arc::new(Self)
        }

        pub(crate) fn ask(&self, _: &Subscription) -> bool {
            false
        }

        pub(crate) fn forget(&self, _: &Subscription) {}
    }
}
