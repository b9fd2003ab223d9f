//! The disk as SQLite calls it. The only unsafe code of the workspace: C function pointers, and memory that C lends.
//!
//! What each call relies on: SQLite gives `xOpen` room of `szOsFile` bytes for an [`OpenFile`], calls the methods of a file
//! between its `xOpen` and `xClose` only, never two of them for one file at a time, and with the buffers that its
//! documentation of `sqlite3_io_methods` and `sqlite3_vfs` describes. A VFS is never freed, since a connection may hold it
//! for as long as it likes.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rusqlite::ffi::{
    self, SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR, SQLITE_IOERR_DELETE_NOENT, SQLITE_IOERR_FSYNC,
    SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHORT_READ, SQLITE_NOTFOUND, SQLITE_OK, sqlite3_file, sqlite3_io_methods,
    sqlite3_vfs,
};

use super::shm::SLOTS;
use super::state::{FileId, Inode, Level, Opening, State, Trouble};

/// The longest path.
const LONGEST_PATH: c_int = 1024;

/// What SQLite assumes of a disk that says nothing else.
const ASSUMED_SECTOR: c_int = 4096;

static DISKS: AtomicU64 = AtomicU64::new(0);

/// A VFS that SQLite knows by name, until it is dropped. Connections that have it go on using it.
#[derive(Debug)]
pub(super) struct Registered {
    name: String,
    vfs: *mut sqlite3_vfs,
}

// SAFETY: the pointer is only given to SQLite, whose list of VFSs has a lock of its own.
unsafe impl Send for Registered {}
// SAFETY: as above; a shared reference gives the name only.
unsafe impl Sync for Registered {}

impl Registered {
    pub(super) fn new(state: &Arc<Mutex<State>>) -> Self {
        let name = format!("disk-{}", DISKS.fetch_add(1, Ordering::Relaxed));
        let c_name = CString::new(name.as_str()).unwrap_or_default().into_raw();
        let state: *mut Weak<Mutex<State>> = Box::into_raw(Box::new(Arc::downgrade(state)));
        let vfs = Box::into_raw(Box::new(sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<OpenFile>() as c_int,
            mxPathname: LONGEST_PATH,
            pNext: std::ptr::null_mut(),
            zName: c_name,
            pAppData: state.cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_path),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: None,
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the structure, its name and its data are never freed, and nobody else changes them.
        unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        Self { name, vfs }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: it was registered, and stays valid for the connections that hold it.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
    }
}

/// What SQLite allocates for each open file.
#[repr(C)]
struct OpenFile {
    base: sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    state: Arc<Mutex<State>>,
    inode: Inode,
    file: FileId,
    /// To be deleted when it is closed.
    temporary: Option<String>,
}

impl Handle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn code(trouble: Trouble) -> c_int {
    match trouble {
        Trouble::Full => SQLITE_FULL,
        Trouble::Sync => SQLITE_IOERR_FSYNC,
        Trouble::Busy => SQLITE_BUSY,
        Trouble::NoSuchFile | Trouble::NoPower => SQLITE_IOERR,
        Trouble::SharedMemory => SQLITE_IOERR_SHMSIZE,
    }
}

fn said(result: Result<(), Trouble>) -> c_int {
    result.map_or_else(code, |()| SQLITE_OK)
}

fn at(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

fn length(amount: c_int) -> usize {
    usize::try_from(amount).unwrap_or(0)
}

/// The disk of a VFS; none where it is gone.
///
/// # Safety
/// `vfs` is one of [`Registered::new`].
unsafe fn state_of(vfs: *mut sqlite3_vfs) -> Option<Arc<Mutex<State>>> {
    // SAFETY: the VFS and the data behind it were made together and are never freed.
    unsafe { (*(*vfs).pAppData.cast::<Weak<Mutex<State>>>()).upgrade() }
}

/// The handle of an open file.
///
/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn handle<'a>(file: *mut sqlite3_file) -> &'a Handle {
    // SAFETY: `open` put a handle there, which `close` alone takes away.
    unsafe { &*(*file.cast::<OpenFile>()).handle }
}

/// A path that SQLite gives.
///
/// # Safety
/// `name` is null or ends with a zero.
unsafe fn path<'a>(name: *const c_char) -> Option<std::borrow::Cow<'a, str>> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller says that it ends with a zero; SQLite keeps it for longer than the call.
    Some(unsafe { CStr::from_ptr(name) }.to_string_lossy())
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: SQLite gives room for an `OpenFile`. Without methods SQLite will not close it.
    unsafe { (*file).base.pMethods = std::ptr::null() };
    // SAFETY: `vfs` is ours, and the name ends with a zero.
    let (Some(state), name) = (unsafe { (state_of(vfs), path(name)) }) else { return SQLITE_CANTOPEN };
    let has = |flag: c_int| flags & flag != 0;
    let how = Opening {
        create: has(ffi::SQLITE_OPEN_CREATE),
        exclusive: has(ffi::SQLITE_OPEN_EXCLUSIVE),
        log: has(ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL),
    };
    let opened = state.lock().unwrap_or_else(PoisonError::into_inner).open(name.as_deref(), how);
    let Ok((inode, id)) = opened else { return SQLITE_CANTOPEN };
    let temporary = name.filter(|_| has(ffi::SQLITE_OPEN_DELETEONCLOSE)).map(std::borrow::Cow::into_owned);
    let handle = Box::into_raw(Box::new(Handle { state, inode, file: id, temporary }));
    // SAFETY: as above; `out_flags` is null or has room for a number.
    unsafe {
        (*file).handle = handle;
        (*file).base.pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    SQLITE_OK
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the file is open, and this is the last call for it: the handle is ours again.
    let handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    let mut state = handle.state();
    if let Some(name) = &handle.temporary {
        // Somebody may have deleted it already.
        let _ = state.delete(name, false);
    }
    state.close(handle.inode, handle.file);
    SQLITE_OK
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: the file is open, and SQLite gives a buffer of `amount` bytes that nobody else uses meanwhile.
    let (handle, into) = unsafe { (handle(file), std::slice::from_raw_parts_mut(into.cast::<u8>(), length(amount))) };
    match handle.state().read(handle.inode, at(offset), into) {
        Ok(n) if n == into.len() => SQLITE_OK,
        Ok(n) => {
            into.iter_mut().skip(n).for_each(|byte| *byte = 0);
            SQLITE_IOERR_SHORT_READ
        }
        Err(trouble) => code(trouble),
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: the file is open, and SQLite gives `amount` bytes that nobody changes meanwhile.
    let (handle, from) = unsafe { (handle(file), std::slice::from_raw_parts(from.cast::<u8>(), length(amount))) };
    said(handle.state().write(handle.inode, at(offset), from))
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    said(handle.state().truncate(handle.inode, at(size)))
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    said(handle.state().sync(handle.inode))
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    match handle.state().size(handle.inode) {
        Ok(bytes) => {
            // SAFETY: SQLite gives room for the number.
            unsafe { *size = i64::try_from(bytes).unwrap_or(i64::MAX) };
            SQLITE_OK
        }
        Err(trouble) => code(trouble),
    }
}

fn level(of: c_int) -> Level {
    match of {
        ffi::SQLITE_LOCK_SHARED => Level::Shared,
        ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
        ffi::SQLITE_LOCK_PENDING | ffi::SQLITE_LOCK_EXCLUSIVE => Level::Exclusive,
        _ => Level::None,
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    said(handle.state().lock(handle.inode, handle.file, level(wanted)))
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, kept: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    handle.state().unlock(handle.inode, handle.file, level(kept));
    SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: the file is open, and there is room for the number.
    unsafe {
        let handle = handle(file);
        *reserved = c_int::from(handle.state().is_reserved(handle.inode));
    }
    SQLITE_OK
}

unsafe extern "C" fn file_control(_file: *mut sqlite3_file, _op: c_int, _arg: *mut c_void) -> c_int {
    SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut sqlite3_file) -> c_int {
    ASSUMED_SECTOR
}

unsafe extern "C" fn device_characteristics(_file: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    make: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    let (region, size) = (length(region), length(size));
    let mut state = handle.state();
    let grows = make != 0 && state.shm(handle.inode).is_ok_and(|shm| !shm.has(region));
    if grows && let Err(trouble) = state.may_grow_shm() {
        return code(trouble);
    }
    match state.shm(handle.inode) {
        Ok(shm) => {
            // SAFETY: there is room for the pointer. What it leads to are atomics, which may be changed through it, and
            // which stay until this connection, too, has let go of them.
            unsafe { *out = shm.map(handle.file, region, size, make != 0).cast() };
            SQLITE_OK
        }
        Err(trouble) => code(trouble),
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    let (first, n) = (length(offset), length(n));
    let mask = (first..first + n).filter(|slot| *slot < SLOTS).fold(0, |mask, slot| mask | 1 << slot);
    let mut state = handle.state();
    match state.shm(handle.inode) {
        Ok(shm) if flags & ffi::SQLITE_SHM_UNLOCK != 0 => {
            shm.unlock(handle.file, mask);
            SQLITE_OK
        }
        Ok(shm) => {
            let locked = shm.lock(handle.file, mask, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0);
            if locked { SQLITE_OK } else { SQLITE_BUSY }
        }
        Err(trouble) => code(trouble),
    }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    fence(Ordering::SeqCst);
    // SAFETY: the file is open. Taking the lock orders what other connections do, as SQLite's own does.
    drop(unsafe { handle(file) }.state());
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    said(handle.state().shm(handle.inode).map(|shm| shm.unmap(handle.file)))
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, directory: c_int) -> c_int {
    // SAFETY: the VFS is ours, and the name ends with a zero.
    let (Some(state), Some(name)) = (unsafe { (state_of(vfs), path(name)) }) else { return SQLITE_IOERR };
    let deleted = state.lock().unwrap_or_else(PoisonError::into_inner).delete(&name, directory != 0);
    if deleted.is_ok() { SQLITE_OK } else { SQLITE_IOERR_DELETE_NOENT }
}

unsafe extern "C" fn access(vfs: *mut sqlite3_vfs, name: *const c_char, _flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: the VFS is ours, the name ends with a zero, and there is room for the number.
    unsafe {
        let (Some(state), Some(name)) = (state_of(vfs), path(name)) else { return SQLITE_IOERR };
        *out = c_int::from(state.lock().unwrap_or_else(PoisonError::into_inner).exists(&name));
    }
    SQLITE_OK
}

unsafe extern "C" fn full_path(_vfs: *mut sqlite3_vfs, name: *const c_char, n: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the name ends with a zero.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > length(n) {
        return SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has room for `n` bytes, and is not within the name.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    SQLITE_OK
}

/// SQLite's own VFS, for what has nothing to do with disks.
fn system() -> *mut sqlite3_vfs {
    // SAFETY: asks for the default VFS, which is always there.
    unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) }
}

unsafe extern "C" fn randomness(_vfs: *mut sqlite3_vfs, n: c_int, out: *mut c_char) -> c_int {
    let system = system();
    // SAFETY: the default VFS has this function, and takes the buffer that was given to us.
    unsafe { (*system).xRandomness.map_or(0, |random| random(system, n, out)) }
}

unsafe extern "C" fn sleep(_vfs: *mut sqlite3_vfs, micros: c_int) -> c_int {
    std::thread::sleep(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
    micros
}

unsafe extern "C" fn current_time(_vfs: *mut sqlite3_vfs, out: *mut i64) -> c_int {
    let system = system();
    // SAFETY: the default VFS has this function, and takes the room that was given to us.
    unsafe { (*system).xCurrentTimeInt64.map_or(SQLITE_IOERR, |time| time(system, out)) }
}
