//! The end: all devices come to rest, and what came of it is judged.

use std::collections::BTreeMap;

use tolstoy_store::Transaction;
use tolstoy_sync::{Outcome, SyncReport};

use super::device::Device;
use super::{Book, World, told};
use crate::dice::Dice;
use crate::oracle::facts::show;
use crate::oracle::{View, judge};
use crate::plan::{Faults, Format};
use crate::world::lock;

/// Rounds of syncs in which all devices must come to rest.
const REST: u32 = 24;

impl World {
    /// With good links, all devices come to rest: two rounds of syncs in which nothing happens.
    pub(super) fn rest(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.book.say("from here on nothing goes wrong");
        let mut net = lock(&self.net);
        net.keep_power();
        net.settle();
        drop(net);
        let mut quiet = 0;
        for _ in 0..REST {
            let mut nothing = true;
            for at in 0..self.devices.len() {
                nothing &= self.sync_for_certain(at, dice)?.passes.iter().all(|p| p.outcome == Outcome::NoChanges);
            }
            quiet = if nothing { quiet + 1 } else { 0 };
            if quiet == 2 {
                return lock(&self.net).broken().map_or(Ok(()), Err);
            }
        }
        Err(format!("the devices did not come to rest within {REST} rounds"))
    }

    /// Syncs over a good link. Where the sync stops before another definition, or another life of the log, its owner says
    /// what to do.
    fn sync_for_certain(&mut self, at: usize, dice: &mut Dice) -> Result<SyncReport, String> {
        loop {
            let mut reports = self.side_by_side(&[at], Faults::NONE, dice)?;
            match reports.pop() {
                Some(report) => return Ok(report),
                None if self.devices[at].own.is_asked() => {}
                None => return Err("a sync over a good link failed".to_owned()),
            }
        }
    }

    /// A new device joins each account. The hub wants a snapshot for it, which the account's first device makes with its next
    /// push; and what goes wrong with links and machines goes wrong for it too.
    pub(super) fn join(&mut self, dice: &mut Dice) -> Result<(), String> {
        lock(&self.net).hub_mut().want_snapshots(1);
        let faults =
            Faults { late: 0, blackout: 0, restore: 0, copy: 0, rewind: 0, meanwhile: 0, ..self.book.plan.faults };
        for account in 0..self.book.accounts.len() {
            let present = |at: &usize| self.devices[*at].own.account == account && !self.is_absent(*at);
            let Some(first) = (0..self.devices.len()).find(present) else { continue };
            let Self { devices, book, .. } = self;
            devices[first].transact(book, dice)?;
            self.side_by_side(&[first], Faults { spoil: faults.spoil, ..Faults::NONE }, dice)?;
            let number = self.devices.len() + 1;
            self.book.say(format!("device {number} joins"));
            self.devices.push(Device::new(&self.book.plan, number, account, self.folder.path())?);
            self.side_by_side(&[number - 1], faults, dice)?;
        }
        Ok(())
    }

    /// Of each account all stores and the log are the same, and nothing was lost on the way there.
    pub(super) fn agree(&mut self) -> Result<(), String> {
        for n in 0..self.book.accounts.len() {
            let devices: Vec<&Device> = self.devices.iter().filter(|d| d.own.account == n).collect();
            let Some((first, others)) = devices.split_first() else { continue };
            // From the beginning once more, and compared with all of what the stores hold.
            let view = View::of(&first.store)?;
            for other in others {
                same(first, other, &view)?;
            }
            if self.book.plan.faults.copy > 0 {
                own_ids(&devices)?;
            }
            let log = self.book.accounts[n].log;
            let mut net = lock(&self.net);
            let (state, chain) = (net.hub().state(log).map_err(told)?, net.hub().chain(log).map_err(told)?);
            net.heads(log).saw(&state)?;
            net.heads(log).check(&chain)?;
            self.book.coverage.count("heads seen", net.heads(log).count());
            drop(net);
            for device in &devices {
                in_the_log(device, &view, &chain, self.book.plan.format)?;
            }
            let verdict = judge(&view.log, &self.book.accounts[n].history)?;
            self.book.say(format!("the log {log}:"));
            for transaction in view.log.iter().skip(1) {
                self.book.tell(transaction);
            }
            self.book.say(format!("{verdict:?}"));
            self.book.coverage.judged(&verdict);
        }
        Ok(())
    }
}

/// No two living devices have one id.
fn own_ids(devices: &[&Device]) -> Result<(), String> {
    let mut ids = BTreeMap::new();
    for device in devices {
        if let Some(other) = ids.insert(device.store.device(), device.own.number) {
            return Err(format!("devices {other} and {} have one id", device.own.number));
        }
    }
    Ok(())
}

/// Two stores hold the same log and the same facts.
fn same(first: &Device, other: &Device, view: &View) -> Result<(), String> {
    let [one, two] = [first, other].map(|d| d.own.number);
    if let Some((a, b)) = view.log.iter().zip(&other.own.view.log).find(|(a, b)| a != b) {
        return Err(format!("devices {one} and {two} differ at {}: {a:?} against {b:?}", a.tx));
    }
    let digest = |device: &Device| device.store.facts_digest().map_err(told);
    if view.log.len() != other.own.view.log.len() || digest(first)? != digest(other)? {
        return Err(format!("devices {one} and {two} hold different facts"));
    }
    view.compare(&other.store)
}

/// Each transaction of the store is noted at its place in the log, and there is nothing else in the log.
fn in_the_log(
    device: &Device,
    view: &View,
    chain: &[(tolstoy_proto::TrnId, tolstoy_proto::ChainDigest)],
    format: Format,
) -> Result<(), String> {
    let number = device.own.number;
    // A log in the original's format begins with the bootstrap.
    let left_out = usize::from(format != Format::Original);
    if chain.len() + left_out != view.log.len() {
        return Err(format!("the log has {} transactions, device {number} {}", chain.len(), view.log.len() - left_out));
    }
    for (transaction, (id, digest)) in view.log.iter().skip(left_out).zip(chain) {
        let position = device.store.position(transaction.tx).map_err(told)?;
        if position.map(|p| (p.id, p.digest)) != Some((id.0, digest.0)) {
            return Err(format!("device {number} has {} elsewhere in the log", transaction.tx));
        }
    }
    Ok(())
}

impl Book {
    /// Tells a transaction of the log.
    fn tell(&mut self, transaction: &Transaction) {
        let what = match &transaction.displaced {
            Some(displaced) => format!("carrier, {}: {}", displaced.reason.word(), displaced.detail),
            None => String::new(),
        };
        let Transaction { tx, origin, entids, overwritten, changes, .. } = transaction;
        self.say(format!("  {tx} {} {what}", origin.id));
        for run in entids {
            self.say(format!("      {} of {} is {}", run.count, run.authored, run.current));
        }
        for o in overwritten {
            self.say(format!("      overwrites [{} {}] {:?} {:?} {}", o.e, o.a, o.base, o.incoming, o.local));
        }
        let held = transaction.displaced.iter().flat_map(|d| &d.changes);
        for change in changes.iter().chain(held) {
            self.say(format!("      {}", show(change)));
        }
    }
}
