//! What a power loss leaves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::state::{Inode, Op, overwrite};
use super::{Image, SECTOR};
use crate::dice::Dice;

/// The history of a disk up to some operation: what is durable by then, and what is not yet.
#[derive(Debug)]
pub struct Replay {
    ops: Vec<Op>,
    /// How many operations have happened.
    at: usize,
    /// Syncs do nothing.
    lies: bool,
    names: BTreeMap<String, Inode>,
    contents: HashMap<Inode, Vec<u8>>,
    /// Writes and truncations that are not durable, by file, as places in `ops`.
    unsynced: HashMap<Inode, Vec<usize>>,
    /// Names made and deleted, in order, not durable.
    renamed: Vec<usize>,
}

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// All are lost.
    Harsh,
    /// All are there.
    Kind,
    /// Each is kept, lost or torn.
    Torn,
}

impl Replay {
    pub(super) fn new(start: &Image, ops: Vec<Op>, lies: bool) -> Self {
        let mut replay = Self {
            ops,
            at: 0,
            lies,
            names: BTreeMap::new(),
            contents: HashMap::new(),
            unsynced: HashMap::new(),
            renamed: Vec::new(),
        };
        for (n, (name, bytes)) in (0..).zip(&start.files) {
            replay.names.insert(name.clone(), Inode(n));
            replay.contents.insert(Inode(n), bytes.to_vec());
        }
        replay
    }

    /// How many operations there are.
    pub fn operations(&self) -> usize {
        self.ops.len()
    }

    /// Goes forward until `operations` have happened.
    pub fn forward(&mut self, operations: usize) {
        while self.at < operations.min(self.ops.len()) {
            self.step();
            self.at += 1;
        }
    }

    fn step(&mut self) {
        let Some(op) = self.ops.get(self.at).cloned() else { return };
        match op {
            Op::Create { .. } => self.renamed.push(self.at),
            Op::Delete { directory, .. } => {
                self.renamed.push(self.at);
                if directory && !self.lies {
                    self.sync_directory();
                }
            }
            Op::Write { inode, .. } | Op::Truncate { inode, .. } => {
                self.unsynced.entry(inode).or_default().push(self.at);
            }
            Op::Forget { inode } => {
                self.unsynced.remove(&inode);
            }
            Op::Sync { .. } if self.lies => {}
            Op::Sync { inode, directory } => {
                for n in self.unsynced.remove(&inode).unwrap_or_default() {
                    if let Some(op) = self.ops.get(n) {
                        apply(op, self.contents.entry(inode).or_default());
                    }
                }
                if directory {
                    self.sync_directory();
                }
            }
        }
    }

    fn sync_directory(&mut self) {
        for n in std::mem::take(&mut self.renamed) {
            if let Some(op) = self.ops.get(n) {
                rename(op, &mut self.names);
            }
        }
    }

    /// What a power loss at this moment leaves. The seed decides what becomes of all that is not durable.
    pub fn cut(&self, seed: u64) -> Image {
        let mut dice = Dice::new(seed, 77);
        let mood = match dice.below(6) {
            0 => Mood::Harsh,
            1 => Mood::Kind,
            _ => Mood::Torn,
        };
        let mut files = BTreeMap::new();
        for (name, inode) in self.names_after(mood, &mut dice) {
            let mut bytes = self.contents.get(&inode).cloned().unwrap_or_default();
            for n in self.unsynced.get(&inode).into_iter().flatten() {
                if let Some(op) = self.ops.get(*n) {
                    lose(op, &mut bytes, mood, &mut dice);
                }
            }
            files.insert(name, Arc::new(bytes));
        }
        Image { files }
    }

    /// The directory: of each name's changes some first ones are there.
    fn names_after(&self, mood: Mood, dice: &mut Dice) -> BTreeMap<String, Inode> {
        let mut names = self.names.clone();
        let mut lost: Vec<&str> = Vec::new();
        for op in self.renamed.iter().filter_map(|n| self.ops.get(*n)) {
            let (Op::Create { name, .. } | Op::Delete { name, .. }) = op else { continue };
            if lost.contains(&name.as_str()) {
                continue;
            }
            if mood == Mood::Kind || mood == Mood::Torn && dice.chance(500) {
                rename(op, &mut names);
            } else {
                lost.push(name);
            }
        }
        names
    }
}

fn rename(op: &Op, names: &mut BTreeMap<String, Inode>) {
    match op {
        Op::Create { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        Op::Delete { name, .. } => {
            names.remove(name);
        }
        Op::Write { .. } | Op::Truncate { .. } | Op::Sync { .. } | Op::Forget { .. } => {}
    }
}

fn apply(op: &Op, bytes: &mut Vec<u8>) {
    match op {
        Op::Write { offset, bytes: written, .. } => overwrite(bytes, *offset, written),
        Op::Truncate { size, .. } => bytes.resize(*size, 0),
        Op::Create { .. } | Op::Delete { .. } | Op::Sync { .. } | Op::Forget { .. } => {}
    }
}

/// Applies what the power loss left of an operation.
fn lose(op: &Op, bytes: &mut Vec<u8>, mood: Mood, dice: &mut Dice) {
    match mood {
        Mood::Harsh => {}
        Mood::Kind => apply(op, bytes),
        Mood::Torn => match (dice.below(3), op) {
            (0, _) => {}
            (1, Op::Write { offset, bytes: written, .. }) => tear(*offset, written, bytes, dice),
            _ => apply(op, bytes),
        },
    }
}

/// Writes some sectors of a write and not others. Where the file had grown for a lost one, zeros or old bytes of the disk
/// are in its place.
fn tear(offset: usize, written: &[u8], bytes: &mut Vec<u8>, dice: &mut Dice) {
    let mut at = offset;
    let end = offset + written.len();
    while at < end {
        let next = (at / SECTOR + 1).saturating_mul(SECTOR).min(end);
        let sector = written.get(at - offset..next - offset).unwrap_or_default();
        match dice.below(4) {
            0 | 1 => overwrite(bytes, at, sector),
            2 if at >= bytes.len() => {
                let mut old = vec![0; sector.len()];
                dice.fill(&mut old);
                overwrite(bytes, at, &old);
            }
            _ => {}
        }
        at = next;
    }
}
