//! What happens to hubs and devices between syncs: backups, copies, wiped logs, devices that join.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::device::Device;
use super::{World, told};
use crate::dice::Dice;
use crate::world::lock;

/// Devices that copies, and those that join, can make of those there are in the beginning.
const MOST_DEVICES: usize = 7;

impl World {
    /// Restores a backup of the hub.
    pub(super) fn restore(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.hand_out_keys();
        let mut net = lock(&self.net);
        if net.hub().is_in_files() {
            let is_restored = net.restore_backup()?;
            drop(net);
            self.book.say(if is_restored { "the hub's backup is restored" } else { "a backup is made of the hub" });
            self.book.coverage.count("backups of a hub restored", u64::from(is_restored));
            return self.forgive();
        }
        let mut logs = Vec::new();
        for account in &self.book.accounts {
            let seq = net.hub().state(account.log).map_err(told)?.seq.0;
            let back = dice.between(0, 8).min(seq);
            self.book.trace.push(format!("the hub is restored to {} of {seq}", seq - back));
            logs.push((account.log, seq - back));
        }
        self.book.coverage.count("hub restores", 1);
        net.restore(&logs)?;
        drop(net);
        self.forgive()
    }

    /// Makes a device of a copy of another's file.
    pub(super) fn copy(&mut self, at: usize) -> Result<(), String> {
        if self.devices.len() >= MOST_DEVICES {
            return Ok(());
        }
        let number = self.devices.len() + 1;
        if let Some(copy) = self.devices[at].copy(&self.book.plan, number, self.folder.path())? {
            self.book.say(format!("device {number} has a copy of device {}'s file", at + 1));
            self.book.coverage.count("stores copied", 1);
            self.devices.push(copy);
        }
        Ok(())
    }

    /// Restores the backup of a device or, where there is none, makes one.
    pub(super) fn rewind(&mut self, at: usize) -> Result<(), String> {
        let device = &mut self.devices[at];
        if device.rewind()? {
            self.book.say(format!("device {} is restored from its backup", at + 1));
            self.book.coverage.count("stores restored", 1);
            return self.forgive();
        }
        if device.keep_backup() {
            self.book.say(format!("a backup is made of device {}", at + 1));
        }
        Ok(())
    }

    /// Every device gets the newest keys, as it must where the log loses what says that there are newer ones.
    fn hand_out_keys(&mut self) {
        for device in &mut self.devices {
            device.own.keys = self.book.accounts[device.own.account].keys;
        }
    }

    /// Forgives the loss of the changes that no device has and that are not in the log, as far as it is known what is.
    pub(super) fn forgive(&mut self) -> Result<(), String> {
        lock(&self.net).keep_power();
        for (n, account) in self.book.accounts.iter_mut().enumerate() {
            let mut there: BTreeSet<Uuid> =
                account.history.acknowledged(&lock(&self.net).hub().chain(account.log).map_err(told)?);
            for device in self.devices.iter().filter(|d| d.own.account == n) {
                there.extend(device.own.view.origins());
            }
            for origin in account.history.missing_from(&there) {
                self.book.trace.push(format!("    the change {origin} is gone"));
                self.book.coverage.count("changes that a backup took for good", 1);
                account.history.forgive(origin);
            }
        }
        Ok(())
    }

    /// A new device joins the account of this one.
    pub(super) fn join_later(&mut self, at: usize, dice: &mut Dice) -> Result<(), String> {
        if self.devices.len() >= MOST_DEVICES {
            return Ok(());
        }
        let (number, account) = (self.devices.len() + 1, self.devices[at].own.account);
        self.book.say(format!("device {number} joins"));
        self.book.coverage.count("devices that join later", 1);
        self.devices.push(Device::new(&self.book.plan, number, account, self.folder.path())?);
        self.sync(number - 1, dice)
    }

    /// Wipes the log of this device's account.
    pub(super) fn wipe(&mut self, at: usize) -> Result<(), String> {
        let log = self.book.accounts[self.devices[at].own.account].log;
        self.book.say(format!("the log {log} is wiped"));
        self.book.coverage.count("logs wiped", 1);
        self.hand_out_keys();
        let mut net = lock(&self.net);
        net.keep_power();
        net.wipe(log)?;
        drop(net);
        self.forgive()
    }

    /// The log of this device's account gets another key, which the device knows from now on.
    pub(super) fn rotate(&mut self, at: usize) {
        let own = &mut self.devices[at].own;
        let account = &mut self.book.accounts[own.account];
        account.keys += 1;
        own.keys = account.keys;
        let line = format!("device {} begins key {}", own.number, account.keys);
        self.book.say(line);
        self.book.coverage.count("keys begun", 1);
    }

    /// Each device says something, so that copies of a store have met each other's changes when all is at rest.
    pub(super) fn all_speak(&mut self, dice: &mut Dice) -> Result<(), String> {
        let Self { devices, book, .. } = self;
        for device in devices {
            let before = device.own.view.log.len();
            for _ in 0..20 {
                if device.own.view.log.len() == before {
                    device.transact(book, dice)?;
                }
            }
        }
        Ok(())
    }
}
