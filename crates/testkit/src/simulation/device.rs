//! A device: a store, the machine that it is on, and what the oracle knows of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tolstoy_env::Env;
use tolstoy_proto::Generation;
use tolstoy_store::{Entid, ErrorKind, Store, StoreOptions, Timeline};
use tolstoy_sync::{OtherLife, SyncReport};
use uuid::Uuid;

use super::{Book, functions, told};
use crate::dice::Dice;
use crate::disk::{Disk, Image, Refusal};
use crate::oracle::View;
use crate::plan::{Faults, Medium, Plan};
use crate::users::{Deed, User};
use crate::world::env;

/// A store, beside everything else of its device: a sync holds the one, while the other is looked at.
pub(super) struct Device {
    pub(super) store: Store,
    pub(super) own: Own,
}

pub(super) struct Own {
    pub(super) number: usize,
    pub(super) account: usize,
    pub(super) env: Env,
    pub(super) view: View,
    place: Place,
    backup: Option<Image>,
    /// The plan's.
    seed: u64,
    /// Whether its disk has little space in this step.
    narrow: bool,
    /// What was being transacted when the power went off.
    doubt: Option<Doubt>,
    /// How often its program was started anew, and whether the one that runs knows the functions.
    starts: u64,
    knows: bool,
    /// How many keys of the log its owner gave it.
    pub(super) keys: u64,
    /// The life of the log that it was last in step with.
    pub(super) life: Option<Generation>,
    /// What its owner said to the sync that runs, or to the last one.
    pub(super) said: Answers,
    /// What its owner says to the next sync, after one that stopped to ask.
    answers: Option<Answers>,
}

/// What an owner says to a sync beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// The log's definitions stand.
    pub(super) theirs: bool,
    /// The log's newest key.
    pub(super) key: bool,
    /// What to do with another life of the log.
    pub(super) life: Option<OtherLife>,
}

/// What an owner says to a sync that stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The log's definitions stand.
    Theirs,
    /// The log's newest key.
    Key,
    /// What to do with another life of the log.
    Life(OtherLife),
}

/// A transaction whose end nobody saw: it is in the store whole, or not at all.
struct Doubt {
    deed: Deed,
    /// It was acknowledged, so that it is there.
    acknowledged: Option<Uuid>,
}

enum Place {
    Memory,
    Disk(Disk),
    File(PathBuf),
}

const PATH: &str = "/store.db";

/// The dice that decide which program opens a store.
const PROGRAMS: u64 = 2_000_000;

impl Device {
    pub(super) fn new(plan: &Plan, number: usize, account: usize, folder: &Path) -> Result<Self, String> {
        let place = match plan.stores {
            Medium::Memory => Place::Memory,
            Medium::Disk => Place::Disk(Disk::new()),
            Medium::Files => Place::File(file(folder, number)),
        };
        Self::on(plan, number, account, place)
    }

    fn on(plan: &Plan, number: usize, account: usize, place: Place) -> Result<Self, String> {
        let env = env(plan.seed, number as u64);
        let mut store = place.open(env.clone())?;
        functions::teach(&mut store)?;
        let view = View::of(&store)?;
        let own = Own {
            number,
            account,
            env,
            view,
            place,
            backup: None,
            seed: plan.seed,
            narrow: false,
            doubt: None,
            starts: 0,
            knows: true,
            keys: 1,
            life: None,
            said: Answers::default(),
            answers: None,
        };
        Ok(Self { store, own })
    }

    /// Another device, which has a copy of this one's file. None where the store is in no file.
    pub(super) fn copy(&self, plan: &Plan, number: usize, folder: &Path) -> Result<Option<Self>, String> {
        let place = match &self.own.place {
            Place::Memory => return Ok(None),
            Place::Disk(disk) => Place::Disk(Disk::holding(disk.image())),
            Place::File(path) => {
                let copy = file(folder, number);
                for part in ["", "-wal"] {
                    let with = |path: &Path| PathBuf::from(format!("{}{part}", path.display()));
                    if with(path).exists() {
                        std::fs::copy(with(path), with(&copy)).map_err(|e| e.to_string())?;
                    }
                }
                Place::File(copy)
            }
        };
        Self::on(plan, number, self.own.account, place).map(Some)
    }

    /// Keeps a backup, in place of an earlier one; false where the store is in no file that can be kept.
    pub(super) fn keep_backup(&mut self) -> bool {
        self.own.backup = self.own.place.disk().map(Disk::image);
        self.own.backup.is_some()
    }

    /// Goes back to the backup, if there is one.
    pub(super) fn rewind(&mut self) -> Result<bool, String> {
        let Some(image) = self.own.backup.take() else { return Ok(false) };
        self.begin_on(image)?;
        self.own.life = None;
        self.own.view = View::of(&self.store)?;
        Ok(true)
    }

    fn begin_on(&mut self, image: Image) -> Result<(), String> {
        self.own.place = Place::Disk(Disk::holding(image));
        self.start()
    }

    /// Starts the device's program on what its store is.
    fn start(&mut self) -> Result<(), String> {
        self.store = self.own.start()?;
        if self.own.knows { functions::teach(&mut self.store) } else { Ok(()) }
    }

    /// Decides what becomes of the machine in the next step.
    pub(super) fn arm(&mut self, faults: &Faults, dice: &mut Dice) {
        let (power, full) = (dice.chance(faults.power), dice.chance(faults.full));
        let (at, refusal) = (dice.below(40), if dice.chance(500) { Refusal::Growth } else { Refusal::Writes });
        match self.own.place.disk() {
            Some(disk) if power => disk.cut_power(usize::try_from(at).unwrap_or(0)),
            Some(disk) if full => {
                disk.fill(at / 2, refusal);
                self.own.narrow = true;
            }
            _ => {}
        }
    }

    /// Loses the power now.
    pub(super) fn switch_off(&self) {
        if let Some(disk) = self.own.place.disk() {
            disk.cut_power(0);
        }
    }

    /// The step is over: space and power are there again. Where the power was off the store is opened on what is left, or
    /// cannot be.
    pub(super) fn disarm(&mut self, book: &mut Book, dice: &mut Dice) -> Result<(), String> {
        let Some(disk) = self.own.place.disk() else { return Ok(()) };
        disk.keep_power();
        if disk.free() > 0 && std::mem::take(&mut self.own.narrow) {
            book.coverage.count("stores with a full disk", 1);
        }
        if disk.is_off() {
            book.say(format!("    device {} lost its power", self.own.number));
            book.coverage.count("stores without power", 1);
            let image = disk.survivor(dice.below(u64::MAX));
            let number = self.own.number;
            let failed = |why| format!("device {number} cannot be opened after a power loss: {why}");
            self.own.place = Place::Disk(Disk::holding(image));
            self.start().map_err(failed)?;
        }
        self.own.narrow = false;
        self.own.look(&self.store, book)
    }

    /// Closes the store and opens it again, where it is in a file.
    pub(super) fn reopen(&mut self) -> Result<(), String> {
        if let Place::Disk(_) | Place::File(_) = self.own.place {
            self.start()?;
        }
        Ok(())
    }

    /// The user transacts something. A refusal leaves no trace.
    pub(super) fn transact(&mut self, book: &mut Book, dice: &mut Dice) -> Result<(), String> {
        self.own.transact(&mut self.store, book, dice)
    }

    /// The user transacts a lot.
    pub(super) fn transact_bulk(&mut self, book: &mut Book, dice: &mut Dice, n: u64) -> Result<(), String> {
        for _ in 0..n {
            let deed = User::plain(dice, &self.own.view);
            self.own.commit(&mut self.store, book, deed)?;
        }
        self.own.look(&self.store, book)
    }

    /// The attributes that it has from the log, or that the log has from it.
    pub(super) fn synced_attributes(&self) -> Result<BTreeSet<Entid>, String> {
        let synced = self.store.last_positioned().map_err(told)?.unwrap_or(Entid::TX0);
        let log = &self.own.view.log;
        let since = |a: Entid| log.iter().find(|t| t.changes.iter().any(|c| c.e == a)).map(|t| t.tx);
        let attributes = self.own.view.facts.attributes().into_iter();
        Ok(attributes.filter(|a| since(*a).is_some_and(|tx| tx <= synced)).collect())
    }
}

impl Own {
    /// Opens the store beside the device's own program.
    pub(super) fn open(&self) -> Result<Store, String> {
        let mut store = self.place.open(self.env.clone())?;
        functions::teach(&mut store)?;
        Ok(store)
    }

    /// Opens the store with the device's program, which is perhaps an older one and knows no functions.
    fn start(&mut self) -> Result<Store, String> {
        let store = self.place.open(self.env.clone())?;
        self.starts += 1;
        self.knows = Dice::new(self.seed, PROGRAMS + self.number as u64 * 10_000 + self.starts).chance(350);
        Ok(store)
    }

    /// Whether the device's program knows the functions.
    pub(super) fn knows(&self) -> bool {
        self.knows
    }

    /// A sync succeeded, after which the log is in this life: not in another than before, unless its owner said so.
    pub(super) fn goes_on(&mut self, life: Option<Generation>, report: &SyncReport) -> Result<(), String> {
        let before = std::mem::replace(&mut self.life, life);
        if before.is_some() && life.is_some() && before != life && report.other_life.is_none() {
            return Err(format!("device {} went on in another life of the log, and nobody said so", self.number));
        }
        Ok(())
    }

    /// Whether a sync stopped, and its owner was asked what to do.
    pub(super) fn is_asked(&self) -> bool {
        self.answers.is_some()
    }

    /// What the owner says to the sync that begins.
    pub(super) fn say(&mut self) -> Answers {
        self.said = self.answers.take().unwrap_or_default();
        self.said
    }

    /// The owner answers a sync that stopped to ask, and says to the next what was said to that one too: it changed nothing.
    pub(super) fn decide(&mut self, answer: Answer) {
        let mut answers = self.said;
        match answer {
            Answer::Theirs => answers.theirs = true,
            Answer::Key => answers.key = true,
            Answer::Life(life) => answers.life = Some(life),
        }
        self.answers = Some(answers);
    }

    /// Whether another process can open the store meanwhile.
    pub(super) fn is_shared(&self) -> bool {
        self.place.disk().is_some()
    }

    /// Whether the machine is about to fail.
    pub(super) fn is_armed(&self) -> bool {
        self.place.disk().is_some_and(Disk::is_armed)
    }

    pub(super) fn is_off(&self) -> bool {
        self.place.disk().is_some_and(Disk::is_off)
    }

    /// Whether space was wanting since the step began.
    pub(super) fn was_full(&self) -> bool {
        self.narrow && self.place.disk().is_some_and(|disk| disk.refused() > 0)
    }

    /// Looks at the store: it holds what its log adds up to, and no change was lost.
    pub(super) fn look(&mut self, store: &Store, book: &mut Book) -> Result<(), String> {
        if let Some(doubt) = self.doubt.take() {
            self.find_doubtful(store, book, &doubt)?;
        }
        let moved = self.view.refresh(store)?;
        if book.plan.bulk == 0 {
            self.view.compare(store)?;
        }
        let (steady, history) = (book.plan.steady(), &mut book.accounts[self.account].history);
        history.note_moved(&moved, self.number);
        if steady && !history.worn().is_empty() {
            return Err(format!("device {} moved what others committed, though the log lost nothing", self.number));
        }
        if !moved.is_empty() {
            let origins: BTreeSet<_> = self.view.origins().collect();
            if let Some(lost) = moved.iter().find(|t| !origins.contains(&t.origin.id)) {
                return Err(format!("device {} lost the change {}", self.number, lost.origin.id));
            }
        }
        Ok(())
    }

    fn find_doubtful(&mut self, store: &Store, book: &mut Book, doubt: &Doubt) -> Result<(), String> {
        let Doubt { deed: Deed { text, operations }, acknowledged } = doubt;
        let next = self.basis().plus(1);
        match (store.transaction(next).map_err(told)?, acknowledged) {
            (Some(found), acknowledged) if acknowledged.is_none_or(|origin| origin == found.origin.id) => {
                book.say(format!("    and had committed {text} as {}", found.origin.id));
                book.coverage.count("transactions found after a power loss", 1);
                book.accounts[self.account].history.note_found(
                    self.number,
                    &mut self.view,
                    found,
                    text,
                    Some(operations),
                )
            }
            (None, None) => Ok(()),
            (found, _) => Err(format!("{text} was acknowledged as {acknowledged:?}, and is lost: {found:?}")),
        }
    }

    /// The user transacts something through this opening of the store.
    pub(super) fn transact(&mut self, store: &mut Store, book: &mut Book, dice: &mut Dice) -> Result<(), String> {
        let manner = (book.plan.faults.quarrel, book.plan.format);
        let deed = User::transaction(dice, &self.view, &book.accounts[self.account].settled, manner);
        self.commit(store, book, deed)
    }

    fn commit(&mut self, store: &mut Store, book: &mut Book, deed: Deed) -> Result<(), String> {
        let text = deed.text.as_str();
        match store.transact_str(text) {
            Ok(report) => {
                book.say(format!("device {} transacts {text} as {}", self.number, report.origin.id));
                for d in &report.datoms {
                    book.say(format!("    {} {} {} {} {}", if d.added { '+' } else { '-' }, d.e, d.a, d.v, d.tx));
                }
                book.coverage.count("transactions", 1);
                if self.is_off() {
                    self.doubt = Some(Doubt { deed, acknowledged: Some(report.origin.id) });
                    return Ok(());
                }
                book.accounts[self.account].history.note(
                    self.number,
                    &mut self.view,
                    store,
                    &report,
                    text,
                    Some(&deed.operations),
                )
            }
            Err(e) if self.is_off() => {
                book.say(format!("device {} transacts {text}, and the power goes off: {e}", self.number));
                self.doubt = Some(Doubt { deed, acknowledged: None });
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::Input | ErrorKind::Refused) => {
                book.say(format!("device {} is refused {text}: {e}", self.number));
                book.coverage.count("transactions refused", 1);
                self.left_no_trace(store, text)
            }
            Err(e) if e.kind() == ErrorKind::Storage && self.was_full() => {
                book.say(format!("device {} has no space for {text}", self.number));
                Ok(())
            }
            Err(e) => Err(format!("device {}: {text}: {:?}: {e}", self.number, e.kind())),
        }
    }

    fn left_no_trace(&self, store: &Store, text: &str) -> Result<(), String> {
        let newest = store.transactions(Timeline::MAIN, self.basis().plus(-1), 2).map_err(told)?;
        if store.basis() != self.basis() || newest.len() != 1 || self.view.compare(store).is_err() {
            return Err(format!("a refused transaction left a trace: {text}"));
        }
        Ok(())
    }

    fn basis(&self) -> Entid {
        self.view.log.last().map_or(Entid::TX0, |t| t.tx)
    }
}

impl Place {
    fn open(&self, env: Env) -> Result<Store, String> {
        let store = match self {
            Self::Memory => Store::in_memory(env),
            Self::Disk(disk) => {
                let options = StoreOptions { create: true, vfs: Some(disk.vfs().to_owned()) };
                Store::open_with(Path::new(PATH), env, &options)
            }
            Self::File(path) => Store::open_or_create(path, env),
        };
        store.map_err(told)
    }

    fn disk(&self) -> Option<&Disk> {
        if let Self::Disk(disk) = self { Some(disk) } else { None }
    }
}

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.db"))
}
