//! The memory that connections to one database share beside its write-ahead log.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use super::state::FileId;

/// Locks of the shared memory.
pub(super) const SLOTS: usize = 8;

/// Regions of shared memory, and the locks over it. It is as lasting as the connections that have it.
#[derive(Debug, Default)]
pub(super) struct Shm {
    /// Atomics, since several connections write to them through pointers.
    regions: Vec<Box<[AtomicU64]>>,
    /// Which slots each connection holds: shared, and alone.
    holders: HashMap<FileId, Slots>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slots {
    shared: u32,
    alone: u32,
}

impl Shm {
    /// Where a region of `size` bytes begins; null where it is not there and must not be made. It stays where it is until
    /// the last connection has [let go](Self::unmap).
    pub(super) fn map(&mut self, file: FileId, region: usize, size: usize, make: bool) -> *mut AtomicU64 {
        self.holders.entry(file).or_default();
        while make && self.regions.len() <= region {
            self.regions.push((0..size.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
        }
        self.regions.get(region).map_or(std::ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut())
    }

    /// Whether a region is there.
    pub(super) fn has(&self, region: usize) -> bool {
        region < self.regions.len()
    }

    /// Locks the slots of a mask; false where another holds one of them against that.
    pub(super) fn lock(&mut self, file: FileId, mask: u32, alone: bool) -> bool {
        let hindered = self
            .holders
            .iter()
            .any(|(holder, held)| *holder != file && (held.alone & mask != 0 || alone && held.shared & mask != 0));
        if hindered {
            return false;
        }
        let held = self.holders.entry(file).or_default();
        if alone {
            held.alone |= mask;
        } else {
            held.shared |= mask;
        }
        true
    }

    pub(super) fn unlock(&mut self, file: FileId, mask: u32) {
        if let Some(held) = self.holders.get_mut(&file) {
            held.alone &= !mask;
            held.shared &= !mask;
        }
    }

    /// The connection uses it no more. The last one takes it away.
    pub(super) fn unmap(&mut self, file: FileId) {
        self.holders.remove(&file);
        if self.holders.is_empty() {
            self.regions.clear();
        }
    }
}
