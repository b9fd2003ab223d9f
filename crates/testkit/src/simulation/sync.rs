//! Syncs of several devices side by side, each of them at any of its awaits, and what interrupts them.

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tolstoy_edn::Keyword;
use tolstoy_proto::{LogId, Seq};
use tolstoy_store::{Displaced, Entid, ErrorKind as StoreErrorKind, Operation, Position, Reason, Store};
use tolstoy_sync::{Error, ErrorKind, Keyring, NewLog, Options, OtherLife, Secrets, SyncReport};

use super::device::{Answer, Device, Own};
use super::{Book, World, told};
use crate::dice::Dice;
use crate::oracle::{Facts, gives_way, justified, recognised};
use crate::plan::{Faults, Format};
use crate::users::QUARRELS;
use crate::world::{Link, Net, lock, patient};

/// A sync under way.
struct Running<'d> {
    own: &'d mut Own,
    future: Pin<Box<dyn Future<Output = Result<SyncReport, Error>> + 'd>>,
    polls: u64,
    /// After how many polls it is dropped.
    dropped_after: Option<u64>,
    mark: Arc<Mutex<Option<Mark>>>,
    /// Whether the user transacted meanwhile.
    touched: bool,
}

/// How a sync ended.
enum End {
    Done(Result<SyncReport, Error>),
    Dropped,
}

/// A sync that ended.
struct Ended {
    at: usize,
    end: End,
    mark: Option<Mark>,
    touched: bool,
}

/// What a store looks like between two passes, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    basis: Entid,
    sides: usize,
    synced: Option<(Entid, Position)>,
    generation: Option<Vec<u8>>,
}

impl Mark {
    fn of(store: &Store) -> Result<Self, String> {
        let last = store.last_positioned().map_err(told)?;
        let position = last.map(|tx| store.position(tx)).transpose().map_err(told)?.flatten();
        Ok(Self {
            basis: store.basis(),
            sides: store.side_timelines().map_err(told)?.len(),
            synced: last.zip(position),
            generation: store.note("generation").map_err(told)?,
        })
    }
}

impl World {
    /// Syncs the device, and perhaps others at the same time.
    pub(super) fn sync(&mut self, at: usize, dice: &mut Dice) -> Result<(), String> {
        let mut who = vec![at];
        for _ in 0..dice.weighted(&[60, 25, 15]) {
            let other = dice.index(self.devices.len());
            if !self.is_absent(other) && !who.contains(&other) {
                who.push(other);
            }
        }
        let faults = self.book.plan.faults;
        let (blackout, after) = (dice.chance(faults.blackout), dice.below(50));
        if let Some(disk) = lock(&self.net).hub().disk().filter(|_| blackout) {
            disk.cut_power(usize::try_from(after).unwrap_or(0));
        }
        self.side_by_side(&who, faults, dice).map(|_| ())
    }

    /// Syncs these devices side by side. Gives the reports of those that came to their end.
    pub(super) fn side_by_side(
        &mut self,
        who: &[usize],
        faults: Faults,
        dice: &mut Dice,
    ) -> Result<Vec<SyncReport>, String> {
        let Self { net, devices, book, folder } = self;
        book.coverage.count("syncs", 1);
        book.coverage.count("syncs side by side", who.len() as u64 - 1);
        let (mut idle, mut running, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (at, device) in devices.iter_mut().enumerate() {
            if who.contains(&at) {
                running.push(begin(device, net, book, (folder.path(), faults), dice)?);
            } else if !book.plan.absent.contains(&(at as u64 + 1)) {
                idle.push(device);
            }
        }
        while !running.is_empty() {
            if dice.chance(faults.meanwhile) {
                meanwhile(net, &mut idle, &mut running, book, dice)?;
            }
            let at = dice.index(running.len());
            if let Some(end) = running[at].turn() {
                let Running { own, mark, touched, .. } = running.swap_remove(at);
                let mark = lock(&mark).take();
                ended.push(Ended { at: own.number - 1, end, mark, touched });
            }
        }
        drop((idle, running));
        let (mut reports, is_spoiled) = (Vec::new(), lock(&self.net).is_spoiled());
        for Ended { at, end, .. } in &ended {
            let Device { store, own } = &mut self.devices[*at];
            if let (End::Done(Ok(report)), false) = (end, own.is_off()) {
                // A store that has nothing of the log was in step with no life of it.
                let is_in_step = store.last_positioned().map_err(told)?.is_some();
                let life = lock(&self.net).life(self.book.accounts[own.account].log).filter(|_| is_in_step);
                own.goes_on(life, report)?;
            }
        }
        for Ended { at, end, mark, touched } in ended {
            let device = &mut self.devices[at];
            let mark = mark.filter(|_| !touched);
            reports.extend(after(device, end, (mark, touched, is_spoiled), &mut self.book, dice)?);
        }
        self.book.coverage.net(&std::mem::take(&mut lock(&self.net).counts));
        Ok(reports)
    }
}

fn begin<'d>(
    device: &'d mut Device,
    net: &Arc<Mutex<Net>>,
    book: &mut Book,
    (folder, faults): (&Path, Faults),
    dice: &mut Dice,
) -> Result<Running<'d>, String> {
    book.say(format!("device {} syncs", device.own.number));
    let (log, keys) = (book.accounts[device.own.account].log, book.accounts[device.own.account].keys);
    let format = book.plan.format;
    let mark = Arc::new(Mutex::new(None));
    let mut link = Link::new(net.clone(), log, Dice::new(dice.below(u64::MAX), 0), faults);
    let asks = book.plan.faults.quarrel + book.plan.faults.wipe > 0 || book.plan.format == Format::Sealed;
    if device.own.is_shared() && (faults.full > 0 || asks) {
        // Another opening of the file sees what is committed, between any two passes.
        let (mut witness, mark) = (device.own.open()?, mark.clone());
        link = link.calling(move || *lock(&mark) = witness.refresh().ok().and_then(|()| Mark::of(&witness).ok()));
    }
    device.arm(&faults, dice);
    let (dropped, after) = (dice.chance(faults.kill), dice.between(1, 12));
    let Device { store, own } = device;
    let mut options = Options { spool_dir: Some(folder.to_owned()), ..patient(own.env.clone()) };
    let said = own.say();
    if said.theirs {
        options.theirs = QUARRELS.iter().filter_map(|q| Keyword::parse(q)).collect();
    }
    if said.key {
        own.keys = keys;
    }
    if let Some(other) = said.life {
        options.other_life = other;
        // What it goes on in then is what its owner chose, also where the sync fails for another reason in the end.
        own.life = None;
    }
    write_in(format, log, own.keys, &mut options)?;
    let future = Box::pin(async move { tolstoy_sync::sync(store, &mut link, &options).await });
    Ok(Running { own, future, polls: 0, dropped_after: dropped.then_some(after), mark, touched: false })
}

/// The options for a log in a format, with so many of its keys.
fn write_in(format: Format, log: LogId, keys: u64, options: &mut Options) -> Result<(), String> {
    match format {
        Format::Native => {}
        Format::Sealed => {
            let lines: String = (1..=keys).map(|n| format!("key {n} {:064x}\n", n + 7)).collect();
            let secrets = Secrets::parse(&lines).map_err(told)?;
            options.keys = Some(Arc::new(Keyring::new(log, &secrets).map_err(told)?));
        }
        Format::Original => options.new_log = NewLog::Original,
    }
    Ok(())
}

impl Running<'_> {
    fn turn(&mut self) -> Option<End> {
        self.polls += 1;
        if self.dropped_after.is_some_and(|after| self.polls > after) {
            return Some(End::Dropped);
        }
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(End::Done(result)),
            Poll::Pending => None,
        }
    }
}

/// While syncs wait, somebody transacts: on another device or, in another process, on one that syncs. That process may
/// sync too.
fn meanwhile(
    net: &Arc<Mutex<Net>>,
    idle: &mut [&mut Device],
    running: &mut [Running<'_>],
    book: &mut Book,
    dice: &mut Dice,
) -> Result<(), String> {
    let at = dice.index(idle.len() + running.len());
    book.coverage.count("transactions while a sync waits", 1);
    if let Some(device) = idle.get_mut(at) {
        book.say("meanwhile:");
        return device.transact(book, dice);
    }
    let Some(syncing) = running.get_mut(at - idle.len()) else { return Ok(()) };
    if !syncing.own.is_shared() || syncing.own.is_off() || syncing.own.is_armed() {
        return Ok(());
    }
    book.say("meanwhile, in another process:");
    let mut store = syncing.own.open()?;
    syncing.own.look(&store, book)?;
    syncing.own.transact(&mut store, book, dice)?;
    syncing.touched = true;
    if dice.chance(600) {
        let log = book.accounts[syncing.own.account].log;
        let mut link = Link::new(net.clone(), log, Dice::new(dice.below(u64::MAX), 0), Faults::NONE);
        let mut options = patient(syncing.own.env.clone());
        write_in(book.plan.format, log, syncing.own.keys, &mut options)?;
        let report = to_the_end(tolstoy_sync::sync(&mut store, &mut link, &options));
        match report {
            Ok(report) => {
                book.say(format!("    it syncs: {}", summary(&report)));
                book.coverage.synced(&report);
            }
            Err(e) if [ErrorKind::Offline, ErrorKind::Contended].contains(&e.kind()) => {
                book.say(format!("    it fails: {e}"))
            }
            Err(e) if asks(&e, book).is_some() => book.say(format!("    it stops: {e}")),
            Err(e) => return Err(format!("device {}: another process fails to sync: {e}", syncing.own.number)),
        }
        syncing.own.look(&store, book)?;
    }
    Ok(())
}

/// Runs a future that waits for its turn only.
fn to_the_end<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Judges what a sync left behind.
fn after(
    device: &mut Device,
    end: End,
    (mark, touched, is_spoiled): (Option<Mark>, bool, bool),
    book: &mut Book,
    dice: &mut Dice,
) -> Result<Option<SyncReport>, String> {
    let number = device.own.number;
    let (was_off, was_full) = (device.own.is_off(), device.own.was_full());
    if touched && !was_off {
        device.store.refresh().map_err(told)?;
    }
    let report = match end {
        End::Dropped => {
            book.say(format!("    device {number}'s sync is dropped"));
            book.coverage.count("syncs dropped while they wait", 1);
            match dice.below(3) {
                0 => device.switch_off(),
                1 => device.reopen()?,
                _ => {}
            }
            None
        }
        End::Done(Ok(report)) => {
            book.say(format!("    device {number}: {}", summary(&report)));
            book.coverage.synced(&report);
            Some(report)
        }
        End::Done(Err(e)) => {
            book.say(format!("    device {number} fails: {e}"));
            book.coverage.count("failed syncs", 1);
            let store = |e: &Error| if let Error::Store(e) = e { Some(e.kind()) } else { None };
            match (e.kind(), store(&e)) {
                (ErrorKind::Offline | ErrorKind::Contended, _) => {}
                (_, Some(StoreErrorKind::Busy)) if touched => {}
                _ if asks(&e, book).is_some() => {
                    stopped(device, asks(&e, book), mark.as_ref().filter(|_| !was_off), book)?;
                }
                (ErrorKind::Store, Some(StoreErrorKind::Storage)) if was_off || was_full => {}
                (kind, _) => return Err(format!("device {number}: the sync fails: {kind:?}: {e}")),
            }
            if was_full && !was_off {
                // What failed for want of space is undone: the store is as it was between two passes.
                device.disarm(book, dice)?;
                device.store.refresh().map_err(told)?;
                if let Some(mark) = mark {
                    let now = Mark::of(&device.store)?;
                    if now != mark {
                        return Err(format!("device {number}: a pass that failed left a trace: {mark:?}, now {now:?}"));
                    }
                    book.coverage.count("passes undone by a full disk", 1);
                }
            }
            None
        }
    };
    if let Some(why) = report.as_ref().and_then(|r| r.snapshot_unusable.as_ref())
        && !why.starts_with("the connection broke")
        && !is_spoiled
    {
        return Err(format!("device {number}: no snapshot was spoiled, and one is of no use: {why}"));
    }
    device.disarm(book, dice)?;
    device.own.look(&device.store, book)?;
    if let Some(report) = &report
        && !touched
        && !was_off
    {
        check_displaced(&device.own, report, book)?;
    }
    let positions = positions(device)?;
    book.accounts[device.own.account].history.acknowledge(positions);
    Ok(report)
}

/// What the owner says to a sync that stopped to ask, in a plan where that happens.
fn asks(e: &Error, book: &Book) -> Option<Answer> {
    let faults = &book.plan.faults;
    // A backup of a hub may be of before the log was begun: then it lives no more.
    let other_life = faults.wipe + faults.restore > 0;
    match e {
        Error::Store(e) if e.kind() == StoreErrorKind::Definitions && faults.quarrel > 0 => Some(Answer::Theirs),
        Error::Generation { state } if other_life => {
            Some(Answer::Life(if state.seq == Seq::ROOT { OtherLife::Reseed } else { OtherLife::Adopt }))
        }
        Error::Key(_) if book.plan.format == Format::Sealed => Some(Answer::Key),
        Error::NothingToAdopt if other_life => Some(Answer::Life(OtherLife::Reseed)),
        Error::NotEmpty { .. } if other_life => Some(Answer::Life(OtherLife::Adopt)),
        _ => None,
    }
}

/// A sync that stopped to ask changed nothing.
fn stopped(device: &mut Device, answer: Option<Answer>, mark: Option<&Mark>, book: &mut Book) -> Result<(), String> {
    let Some(answer) = answer else { return Ok(()) };
    device.own.decide(answer);
    book.coverage.count(
        match answer {
            Answer::Theirs => "stopped before another definition",
            Answer::Life(_) => "stopped before another life of a log",
            Answer::Key => "stopped for want of a key",
        },
        1,
    );
    match mark {
        Some(mark) if Mark::of(&device.store)? != *mark => {
            Err(format!("device {}: a sync that stopped to ask left a trace: {mark:?}", device.own.number))
        }
        _ => Ok(()),
    }
}

/// The ids of the transactions that are known to be in the log, with their changes.
fn positions(device: &Device) -> Result<Vec<(uuid::Uuid, uuid::Uuid)>, String> {
    let mut positions = Vec::new();
    for transaction in device.own.view.log.iter().skip(1).rev() {
        let Some(position) = device.store.position(transaction.tx).map_err(told)? else { continue };
        positions.push((position.id, transaction.origin.id));
        if positions.len() > 64 {
            break;
        }
    }
    Ok(positions)
}

/// A change that this sync displaced could not be applied, on the facts it was to be applied to, and is about whom it
/// should be.
fn check_displaced(own: &Own, report: &SyncReport, book: &mut Book) -> Result<(), String> {
    let mut merges = report.passes.iter().filter_map(|p| p.rebased.as_ref());
    let (Some(only), None) = (merges.next(), merges.next()) else { return Ok(()) };
    let log = &own.view.log;
    let (mut before, mut rest) = (Facts::default(), log.iter().peekable());
    for displaced in &only.displaced {
        while let Some(transaction) = rest.next_if(|t| t.tx < displaced.tx) {
            before.apply(transaction)?;
        }
        let carrier = rest.peek().filter(|t| t.tx == displaced.tx).ok_or("a carrier is not in the log")?;
        let calls = carrier.displaced.iter().flat_map(|d| &d.operations).any(|o| matches!(o, Operation::Call { .. }));
        if calls && displaced.reason == Reason::Operation && justified(carrier, &before, true).is_err() {
            book.coverage.count("displaced for want of a function", 1);
        }
        justified(carrier, &before, own.knows())?;
        let gave_way = |d: &Displaced| d.reason == Reason::Schema && gives_way(&d.changes, &before);
        if !own.said.theirs && carrier.displaced.as_ref().is_some_and(gave_way) {
            return Err(format!("the definition in {} gave way, and nobody said that it may", displaced.origin));
        }
        if book.plan.steady() {
            recognised(carrier, log, &book.accounts[own.account].history)?;
        }
    }
    Ok(())
}

fn summary(report: &SyncReport) -> String {
    let passes: Vec<String> = report
        .passes
        .iter()
        .map(|p| {
            let rebased = p.rebased.as_ref().map(|r| {
                format!(
                    " (reapplied {}, empty {}, known {}, displaced {:?}, carried {}, renamed {:?})",
                    r.reapplied,
                    r.empty,
                    r.known,
                    r.displaced.iter().map(|d| (d.tx.get(), d.reason.word(), &d.detail)).collect::<Vec<_>>(),
                    r.carried,
                    r.renamed.iter().map(|(from, to)| (from.get(), to.get())).collect::<Vec<_>>()
                )
            });
            let received = format!("{} ({} in a snapshot)", p.received, p.from_snapshot);
            format!("{:?} received {received} sent {}{}", p.outcome, p.sent, rebased.unwrap_or_default())
        })
        .collect();
    format!("{}; acknowledged {}, resupplied {}", passes.join("; "), report.acknowledged, report.resupplied)
}
