//! What is played: as a seed decides, or as somebody wrote it down.
//!
//! A plan is written in words: `seed=17` is [`Plan::of`] 17, `large=3` is [`Plan::large`] 3, and `NAME=VALUE` after it
//! changes one thing. Everything a step does is decided by the seed and the step's number, so that a step does the same
//! where others are left out.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::dice::Dice;

/// Where a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// In memory.
    Memory,
    /// In files of a disk that can lose its power and its space.
    Disk,
    /// In real files.
    Files,
}

impl Medium {
    const ALL: [(&'static str, Self); 3] = [("memory", Self::Memory), ("disk", Self::Disk), ("files", Self::Files)];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, medium)| *medium == self).map_or("", |(word, _)| word)
    }
}

/// What logs are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tolstoy's own format.
    Native,
    /// The same, encrypted end to end.
    Sealed,
    /// The original client's.
    Original,
}

impl Format {
    const ALL: [(&'static str, Self); 3] =
        [("native", Self::Native), ("sealed", Self::Sealed), ("original", Self::Original)];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(word, _)| word)
    }
}

/// How likely each thing that goes wrong is, in a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// A request is lost before it reaches the hub.
    pub lose: u64,
    /// A request is given up by its sender, and reaches the hub at some later time.
    pub late: u64,
    /// The hub carries a request out, and the answer is lost.
    pub unanswered: u64,
    /// The hub gets a request twice: at once, or again at some later time.
    pub repeat: u64,
    /// A streamed answer breaks off somewhere.
    pub cut: u64,
    /// A sync is dropped while it waits.
    pub kill: u64,
    /// A device loses its power at some operation of its disk, while it transacts or syncs.
    pub power: u64,
    /// A device's disk has no space left from some write on.
    pub full: u64,
    /// The hub loses its power at some operation of its disk.
    pub blackout: u64,
    /// A backup of the hub is restored, of a thousand steps.
    pub restore: u64,
    /// A device's file is copied to another device, which goes on with it, of a thousand steps.
    pub copy: u64,
    /// A backup of a device is restored, of a thousand steps.
    pub rewind: u64,
    /// Users transact while a sync waits.
    pub meanwhile: u64,
    /// Users define an attribute as they like, and not all alike, of a thousand definitions.
    pub quarrel: u64,
    /// A new device joins an account, of a thousand steps.
    pub join: u64,
    /// A snapshot is damaged, or replaced by an earlier one, on its way to the hub.
    pub spoil: u64,
    /// A log is wiped, of a thousand steps.
    pub wipe: u64,
    /// An encrypted log gets another key, of a thousand steps.
    pub rotate: u64,
}

impl Faults {
    /// Links that never fail, machines that always run.
    pub const NONE: Self = Self {
        lose: 0,
        late: 0,
        unanswered: 0,
        repeat: 0,
        cut: 0,
        kill: 0,
        power: 0,
        full: 0,
        blackout: 0,
        restore: 0,
        copy: 0,
        rewind: 0,
        meanwhile: 0,
        quarrel: 0,
        join: 0,
        spoil: 0,
        wipe: 0,
        rotate: 0,
    };
}

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything that the plan leaves open.
    pub seed: u64,
    /// Whether it began as a large one.
    pub large: bool,
    /// How many logs there are.
    pub accounts: u64,
    /// How many devices each of them has in the beginning.
    pub devices: u64,
    /// How many steps are taken before the end.
    pub steps: u64,
    /// How many transactions a device makes in a row now and then.
    pub bulk: u64,
    /// After how many transactions the hub wants a snapshot; 0 where it wants one at the end only.
    pub snapshots: u64,
    /// Where the stores are.
    pub stores: Medium,
    /// Where the hub's logs are.
    pub hub: Medium,
    /// What the logs are written in.
    pub format: Format,
    /// What goes wrong.
    pub faults: Faults,
    /// The steps that are left out.
    pub without: BTreeSet<u64>,
    /// The devices that do nothing until the end, by number.
    pub absent: BTreeSet<u64>,
}

/// A number of a plan: what it is called, and where it is.
type Number = (&'static str, fn(&mut Plan) -> &mut u64);

const NUMBERS: [Number; 5] = [
    ("accounts", |p| &mut p.accounts),
    ("devices", |p| &mut p.devices),
    ("steps", |p| &mut p.steps),
    ("bulk", |p| &mut p.bulk),
    ("snapshots", |p| &mut p.snapshots),
];

/// The rates of what goes wrong: what shrinking turns off.
pub(crate) const RATES: [Number; 18] = [
    ("lose", |p| &mut p.faults.lose),
    ("late", |p| &mut p.faults.late),
    ("unanswered", |p| &mut p.faults.unanswered),
    ("repeat", |p| &mut p.faults.repeat),
    ("cut", |p| &mut p.faults.cut),
    ("kill", |p| &mut p.faults.kill),
    ("power", |p| &mut p.faults.power),
    ("full", |p| &mut p.faults.full),
    ("blackout", |p| &mut p.faults.blackout),
    ("restore", |p| &mut p.faults.restore),
    ("copy", |p| &mut p.faults.copy),
    ("rewind", |p| &mut p.faults.rewind),
    ("meanwhile", |p| &mut p.faults.meanwhile),
    ("quarrel", |p| &mut p.faults.quarrel),
    ("join", |p| &mut p.faults.join),
    ("spoil", |p| &mut p.faults.spoil),
    ("wipe", |p| &mut p.faults.wipe),
    ("rotate", |p| &mut p.faults.rotate),
];

impl Plan {
    /// The plan of a seed, as the tests play it: few devices, short, most of them on bad links and disks that fail.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let hub = [Medium::Memory, Medium::Disk, Medium::Files][dice.weighted(&[150, 790, 60])];
        let stores = [Medium::Memory, Medium::Disk, Medium::Files][dice.weighted(&[470, 500, 30])];
        let (accounts, devices) = (1 + dice.below(5) / 4, [2, 3, 3, 3, 4][dice.index(5)]);
        let mut faults = Faults::NONE;
        // Each kind of trouble is in some of the plans only, so that what one of them hides another shows.
        let mut some = |chance: u64, rate: u64| if dice.chance(chance) { rate } else { 0 };
        let bad_links = some(700, 1);
        faults.lose = bad_links * 60;
        faults.late = bad_links * 50;
        faults.unanswered = bad_links * 100;
        faults.repeat = bad_links * 100;
        faults.cut = bad_links * 150;
        faults.kill = some(600, 200);
        faults.power = some(500, 120);
        faults.full = some(250, 100);
        faults.blackout = some(500, 120);
        faults.restore = some(250, 60);
        let backups = some(600, 120);
        if hub == Medium::Files {
            faults.restore = backups;
        }
        faults.copy = some(150, 60);
        faults.rewind = some(250, 120);
        faults.meanwhile = some(700, 80);
        faults.quarrel = some(150, 300);
        faults.join = some(200, 60);
        faults.spoil = some(300, 300);
        faults.wipe = some(80, 50);
        faults.rotate = some(500, 60);
        let snapshots = some(300, 1) * 4;
        let format = [Format::Native, Format::Sealed, Format::Original][dice.weighted(&[800, 100, 100])];
        Self {
            seed,
            large: false,
            accounts,
            devices,
            steps: dice.between(14, 36),
            bulk: 0,
            snapshots,
            stores,
            hub,
            format,
            faults,
            without: BTreeSet::new(),
            absent: BTreeSet::new(),
        }
    }

    /// A plan with large states: bursts of transactions, values of megabytes, answers of many pages.
    pub fn large(seed: u64) -> Self {
        let short = Self::of(seed);
        // The original's format has no room for long values.
        let format = if short.format == Format::Original { Format::Native } else { short.format };
        Self { large: true, accounts: 1, steps: 20, bulk: 600, format, ..short }
    }

    /// Whether no change is ever taken from the log or from a device.
    pub(crate) fn steady(&self) -> bool {
        let Faults { restore, copy, rewind, wipe, .. } = self.faults;
        restore + copy + rewind + wipe == 0
    }

    /// The plan that it began as.
    fn origin(&self) -> Self {
        if self.large { Self::large(self.seed) } else { Self::of(self.seed) }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut own, mut origin) = (self.clone(), self.origin());
        write!(f, "{}={}", if self.large { "large" } else { "seed" }, self.seed)?;
        for (name, number) in NUMBERS.iter().chain(&RATES) {
            if number(&mut own) != number(&mut origin) {
                write!(f, " {name}={}", number(&mut own))?;
            }
        }
        for (name, own, origin) in [
            ("stores", self.stores.word(), origin.stores.word()),
            ("hub", self.hub.word(), origin.hub.word()),
            ("format", self.format.word(), origin.format.word()),
        ] {
            if own != origin {
                write!(f, " {name}={own}")?;
            }
        }
        for (name, list) in [("without", &self.without), ("absent", &self.absent)] {
            if !list.is_empty() {
                write!(f, " {name}={}", ranges(list))?;
            }
        }
        Ok(())
    }
}

/// `1-3,7`.
fn ranges(list: &BTreeSet<u64>) -> String {
    let mut words: Vec<(u64, u64)> = Vec::new();
    for n in list {
        match words.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => words.push((*n, *n)),
        }
    }
    let word = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    words.iter().map(word).collect::<Vec<_>>().join(",")
}

/// A plan that nobody can play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPlan(String);

impl fmt::Display for BadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; a plan is seed=N or large=N, then NAME=VALUE for what is different in it", self.0)
    }
}

impl std::error::Error for BadPlan {}

impl FromStr for Plan {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let mut plan: Option<Self> = None;
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(|| BadPlan(format!("{word:?} is not NAME=VALUE")))?;
            let number = || value.parse::<u64>().map_err(|_| BadPlan(format!("{word:?}: {value:?} is not a number")));
            match (&mut plan, name) {
                (None, "seed") => plan = Some(Self::of(number()?)),
                (None, "large") => plan = Some(Self::large(number()?)),
                (None, _) => return Err(BadPlan(format!("it begins with {word:?}"))),
                (Some(plan), "stores") => plan.stores = one_of(&Medium::ALL, value)?,
                (Some(plan), "hub") => plan.hub = one_of(&Medium::ALL, value)?,
                (Some(plan), "format") => plan.format = one_of(&Format::ALL, value)?,
                (Some(plan), "without") => plan.without = list(value)?,
                (Some(plan), "absent") => plan.absent = list(value)?,
                (Some(plan), _) => {
                    let known = NUMBERS.iter().chain(&RATES).find(|(known, _)| *known == name);
                    let (_, place) = known.ok_or_else(|| BadPlan(format!("{name:?} is nothing that a plan has")))?;
                    *place(plan) = number()?;
                }
            }
        }
        plan.ok_or_else(|| BadPlan("it is empty".to_owned()))
    }
}

fn one_of<T: Copy>(all: &[(&'static str, T)], word: &str) -> Result<T, BadPlan> {
    let found = all.iter().find(|(known, _)| *known == word);
    let words: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
    found.map(|(_, one)| *one).ok_or_else(|| BadPlan(format!("{word:?} is none of {}", words.join(", "))))
}

fn list(words: &str) -> Result<BTreeSet<u64>, BadPlan> {
    let bad = |word: &str| BadPlan(format!("{word:?} is not a number, nor FIRST-LAST"));
    let mut list = BTreeSet::new();
    for word in words.split(',') {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last): (u64, u64) = (first.parse().map_err(|_| bad(word))?, last.parse().map_err(|_| bad(word))?);
        list.extend(first..=last);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut plan = Plan::of(17);
        assert_eq!(plan.to_string(), "seed=17");
        plan.faults.lose += 1;
        plan.without = [1, 2, 3, 7].into();
        plan.hub = if plan.hub == Medium::Disk { Medium::Memory } else { Medium::Disk };
        let text = plan.to_string();
        assert!(text.ends_with("without=1-3,7"), "{text}");
        assert_eq!(text.parse(), Ok(plan));
        let large = Plan { steps: 3, absent: [2].into(), ..Plan::large(4) };
        assert_eq!(large.to_string(), "large=4 steps=3 absent=2");
        assert_eq!(large.to_string().parse(), Ok(large));
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        for text in ["", "steps=3", "seed=x", "seed=1 colour=2", "seed=1 hub=tape", "seed=1 without=3-"] {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
    }
}
