//! The files of a disk as programs see them, and the list of what changed them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::shm::Shm;
use super::{Image, Refusal, SECTOR};

/// A file's content, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Inode(pub(super) u64);

/// One opening of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId(u64);

/// Something that changed the disk.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create {
        name: String,
        inode: Inode,
    },
    Write {
        inode: Inode,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    Truncate {
        inode: Inode,
        size: usize,
    },
    /// What was written to the file so far is durable; with `directory`, so are all names.
    Sync {
        inode: Inode,
        directory: bool,
    },
    /// A sync failed: what was written to the file and is not durable never will be.
    Forget {
        inode: Inode,
    },
    Delete {
        name: String,
        directory: bool,
    },
}

/// How far a connection has locked a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

/// What SQLite must hear of an operation that could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Full,
    Sync,
    Busy,
    NoSuchFile,
    SharedMemory,
    NoPower,
}

#[derive(Debug, Default)]
struct Node {
    bytes: Vec<u8>,
    /// A name leads here.
    named: bool,
    /// Its first sync syncs the directory.
    fresh: bool,
    openings: usize,
    locks: HashMap<FileId, Level>,
    shm: Shm,
}

/// All of a disk.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ops: Vec<Op>,
    names: BTreeMap<String, Inode>,
    nodes: HashMap<Inode, Node>,
    next: u64,
    pub(super) writes: u64,
    pub(super) syncs: u64,
    /// From which write on there is no space.
    pub(super) full: Option<(u64, Refusal)>,
    pub(super) refused: u64,
    pub(super) bad_sync: Option<u64>,
    /// After how many operations the power is off for good.
    pub(super) off_after: Option<usize>,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) create: bool,
    pub(super) exclusive: bool,
    /// A journal or write-ahead log.
    pub(super) log: bool,
}

impl State {
    /// Nodes of the image are numbered in the order of their names, from 0: the replay does the same.
    pub(super) fn holding(image: &Image) -> Self {
        let mut state = Self::default();
        for (name, bytes) in &image.files {
            let inode = state.new_node(Node { bytes: bytes.to_vec(), named: true, ..Node::default() });
            state.names.insert(name.clone(), inode);
        }
        state
    }

    fn new_node(&mut self, node: Node) -> Inode {
        let inode = Inode(self.next);
        self.next += 1;
        self.nodes.insert(inode, node);
        inode
    }

    fn node(&mut self, inode: Inode) -> Result<&mut Node, Trouble> {
        self.nodes.get_mut(&inode).ok_or(Trouble::NoSuchFile)
    }

    /// Whether the power is off: then nothing is done any more.
    pub(super) fn is_off(&self) -> bool {
        self.off_after.is_some_and(|after| self.ops.len() >= after)
    }

    fn powered(&self) -> Result<(), Trouble> {
        if self.is_off() { Err(Trouble::NoPower) } else { Ok(()) }
    }

    fn is_full(&self) -> Option<Refusal> {
        self.full.filter(|(from, _)| self.writes >= *from).map(|(_, refusal)| refusal)
    }

    /// Opens a file; one without a name is gone when it is closed.
    pub(super) fn open(&mut self, name: Option<&str>, how: Opening) -> Result<(Inode, FileId), Trouble> {
        self.powered()?;
        let known = name.and_then(|name| self.names.get(name).copied());
        let inode = match (known, name) {
            (Some(_), _) if how.create && how.exclusive => return Err(Trouble::NoSuchFile),
            (Some(inode), _) => inode,
            (None, Some(_)) if !how.create => return Err(Trouble::NoSuchFile),
            (None, Some(_)) if self.is_full().is_some() => {
                self.refused += 1;
                return Err(Trouble::NoSuchFile);
            }
            (None, Some(name)) => {
                let inode = self.new_node(Node { named: true, fresh: how.log, ..Node::default() });
                self.names.insert(name.to_owned(), inode);
                self.ops.push(Op::Create { name: name.to_owned(), inode });
                inode
            }
            (None, None) => self.new_node(Node::default()),
        };
        self.node(inode)?.openings += 1;
        self.next += 1;
        Ok((inode, FileId(self.next)))
    }

    pub(super) fn close(&mut self, inode: Inode, file: FileId) {
        let Some(node) = self.nodes.get_mut(&inode) else { return };
        node.locks.remove(&file);
        node.shm.unmap(file);
        node.openings -= 1;
        self.forget_unused(inode);
    }

    fn forget_unused(&mut self, inode: Inode) {
        if self.nodes.get(&inode).is_some_and(|node| !node.named && node.openings == 0) {
            self.nodes.remove(&inode);
        }
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub(super) fn delete(&mut self, name: &str, directory: bool) -> Result<(), Trouble> {
        self.powered()?;
        let inode = self.names.remove(name).ok_or(Trouble::NoSuchFile)?;
        self.node(inode)?.named = false;
        self.ops.push(Op::Delete { name: name.to_owned(), directory });
        self.forget_unused(inode);
        Ok(())
    }

    pub(super) fn size(&mut self, inode: Inode) -> Result<usize, Trouble> {
        Ok(self.node(inode)?.bytes.len())
    }

    /// Reads as much as there is; gives how much.
    pub(super) fn read(&mut self, inode: Inode, offset: usize, into: &mut [u8]) -> Result<usize, Trouble> {
        self.powered()?;
        let bytes = self.node(inode)?.bytes.get(offset..).unwrap_or_default();
        let n = bytes.len().min(into.len());
        if let (Some(into), Some(bytes)) = (into.get_mut(..n), bytes.get(..n)) {
            into.copy_from_slice(bytes);
        }
        Ok(n)
    }

    pub(super) fn write(&mut self, inode: Inode, offset: usize, bytes: &[u8]) -> Result<(), Trouble> {
        self.powered()?;
        let refusal = self.is_full();
        self.writes += 1;
        let size = self.size(inode)?;
        let fits = match refusal {
            None => bytes.len(),
            Some(Refusal::Growth) if offset + bytes.len() <= size => bytes.len(),
            // What fits into the last block that is there, and not more.
            Some(Refusal::Growth) => bytes.len().min(size.next_multiple_of(SECTOR).saturating_sub(offset)),
            Some(Refusal::Writes) => 0,
        };
        let written = bytes.get(..fits).unwrap_or_default();
        if !written.is_empty() {
            let node = self.node(inode)?;
            overwrite(&mut node.bytes, offset, written);
            if node.named {
                self.ops.push(Op::Write { inode, offset, bytes: written.into() });
            }
        }
        if fits < bytes.len() {
            self.refused += 1;
            return Err(Trouble::Full);
        }
        Ok(())
    }

    pub(super) fn truncate(&mut self, inode: Inode, size: usize) -> Result<(), Trouble> {
        self.powered()?;
        let node = self.node(inode)?;
        node.bytes.resize(size, 0);
        if node.named {
            self.ops.push(Op::Truncate { inode, size });
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, inode: Inode) -> Result<(), Trouble> {
        self.powered()?;
        let bad = self.bad_sync.is_some_and(|bad| bad == self.syncs);
        self.syncs += 1;
        let node = self.node(inode)?;
        if !node.named {
            return Ok(());
        }
        if bad {
            self.ops.push(Op::Forget { inode });
            return Err(Trouble::Sync);
        }
        let directory = std::mem::take(&mut node.fresh);
        self.ops.push(Op::Sync { inode, directory });
        Ok(())
    }

    /// Locks a database up to this level, where the other connections let it.
    pub(super) fn lock(&mut self, inode: Inode, file: FileId, wanted: Level) -> Result<(), Trouble> {
        let node = self.node(inode)?;
        let held = node.locks.get(&file).copied().unwrap_or(Level::None);
        if held >= wanted {
            return Ok(());
        }
        let others = node.locks.iter().filter(|(other, _)| **other != file).map(|(_, level)| *level).max();
        let others = others.unwrap_or(Level::None);
        let reached = match wanted {
            Level::None | Level::Shared if others < Level::Pending => Level::Shared,
            Level::Reserved if others < Level::Reserved => Level::Reserved,
            Level::Pending | Level::Exclusive if others == Level::None => Level::Exclusive,
            Level::Pending | Level::Exclusive if others == Level::Shared => Level::Pending,
            _ => return Err(Trouble::Busy),
        };
        node.locks.insert(file, reached);
        // Nobody else may begin to read now; who reads already ends first.
        if reached < wanted { Err(Trouble::Busy) } else { Ok(()) }
    }

    pub(super) fn unlock(&mut self, inode: Inode, file: FileId, level: Level) {
        if let Ok(node) = self.node(inode) {
            let held = node.locks.entry(file).or_insert(Level::None);
            *held = (*held).min(level);
        }
    }

    /// Whether any connection is about to write.
    pub(super) fn is_reserved(&mut self, inode: Inode) -> bool {
        self.node(inode).is_ok_and(|node| node.locks.values().any(|level| *level >= Level::Reserved))
    }

    pub(super) fn shm(&mut self, inode: Inode) -> Result<&mut Shm, Trouble> {
        Ok(&mut self.node(inode)?.shm)
    }

    /// All files that have a name, as programs see them.
    pub(super) fn image(&self) -> Image {
        let bytes = |inode| self.nodes.get(inode).map(|node| Arc::new(node.bytes.clone()));
        Image { files: self.names.iter().filter_map(|(name, inode)| Some((name.clone(), bytes(inode)?))).collect() }
    }

    /// Whether shared memory may grow: elsewhere it is a file beside the database.
    pub(super) fn may_grow_shm(&mut self) -> Result<(), Trouble> {
        if self.is_full().is_some() {
            self.refused += 1;
            return Err(Trouble::SharedMemory);
        }
        Ok(())
    }
}

/// Writes into bytes, which grow where they are too short.
pub(super) fn overwrite(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(written);
    }
}
