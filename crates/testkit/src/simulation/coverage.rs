//! How much of what matters happened: a simulation that never merges proves nothing about merges.

use std::collections::BTreeMap;
use std::fmt;

use tolstoy_sync::{Offered, OtherLife, Outcome, SyncReport};

use crate::oracle::Verdict;
use crate::world::NetCounts;

/// Counts over any number of simulations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

/// Everything that is counted. What is not among these is not counted.
const COUNTED: [&str; 80] = [
    "transactions",
    "transactions refused",
    "transactions while a sync waits",
    "transactions found after a power loss",
    "syncs",
    "syncs side by side",
    "failed syncs",
    "syncs dropped while they wait",
    "stores without power",
    "stores with a full disk",
    "passes undone by a full disk",
    "hubs without power",
    "hub restores",
    "backups of a hub restored",
    "copies that took another id",
    "stores copied",
    "stores restored",
    "changes that a backup took for good",
    "logs wiped",
    "logs adopted",
    "logs filled again",
    "stopped before another life of a log",
    "stopped before another definition",
    "definitions that gave way",
    "entries of the journal settled",
    "displaced since it was settled elsewhere",
    "devices that join later",
    "snapshots spoiled",
    "snapshots of no use",
    "cold starts",
    "snapshots made",
    "merges",
    "merges after a lost race",
    "changes re-applied",
    "empty re-applications",
    "changes known by origin",
    "carriers moved along",
    "entities renumbered",
    "pushes found acknowledged",
    "transactions resupplied",
    "lost requests",
    "lost acknowledgements",
    "repeated requests",
    "requests that arrive late",
    "cut streams",
    "heads seen",
    "logs judged",
    "logs on a hub in memory",
    "logs on a hub on a disk",
    "logs on a hub in files",
    "logs in the native format",
    "encrypted logs",
    "logs in the original's format",
    "keys begun",
    "stopped for want of a key",
    "functions that took from a counter",
    "displaced for want of a function",
    "several logs on a hub",
    "colliding entids",
    "attributes with differing entids",
    "refs into displaced entities",
    "retractions",
    "overwritten values",
    "entities deleted whole",
    "decided by a policy: first",
    "decided by a policy: journal",
    "decided by a policy: max",
    "decided by a policy: min",
    "decided by a policy: sum",
    "unifications",
    "unifications by looking ahead",
    "displaced: unique",
    "displaced: depends",
    "displaced: deleted",
    "displaced: schema",
    "displaced: operation",
    "operations",
    "counters that are the sum of their increments",
    "stores in memory",
    "stores on a disk",
];

impl Default for Coverage {
    fn default() -> Self {
        Self(COUNTED.map(|name| (name, 0)).into())
    }
}

impl Coverage {
    /// Adds what another simulation covered.
    pub fn add(&mut self, other: &Self) {
        for (name, n) in &other.0 {
            self.count(name, *n);
        }
    }

    pub(super) fn count(&mut self, name: &str, n: u64) {
        if let Some(count) = self.0.get_mut(name) {
            *count += n;
        }
    }

    pub(super) fn net(&mut self, counts: &NetCounts) {
        let NetCounts { lost_requests, lost_acknowledgements, repeated, late, cut, blackouts, spoiled } = *counts;
        self.count("snapshots spoiled", spoiled);
        self.count("lost requests", lost_requests);
        self.count("lost acknowledgements", lost_acknowledgements);
        self.count("repeated requests", repeated);
        self.count("requests that arrive late", late);
        self.count("cut streams", cut);
        self.count("hubs without power", blackouts);
    }

    pub(super) fn synced(&mut self, report: &SyncReport) {
        self.count("pushes found acknowledged", report.acknowledged);
        self.count("transactions resupplied", report.resupplied);
        self.count("cold starts", report.passes.iter().filter(|p| p.from_snapshot > 0).count() as u64);
        let is_made = matches!(report.snapshot_offered, Some(Offered::Kept { .. }));
        self.count("snapshots made", u64::from(is_made));
        self.count("snapshots of no use", u64::from(report.snapshot_unusable.is_some()));
        self.count("logs adopted", u64::from(report.other_life == Some(OtherLife::Adopt)));
        self.count("logs filled again", u64::from(report.other_life == Some(OtherLife::Reseed)));
        let merges = report.passes.iter().filter(|p| matches!(p.outcome, Outcome::Merge { .. })).count() as u64;
        self.count("merges", merges);
        self.count("merges after a lost race", merges.saturating_sub(1));
        for rebased in report.passes.iter().filter_map(|p| p.rebased.as_ref()) {
            self.count("copies that took another id", u64::from(rebased.new_device.is_some()));
            self.count("changes re-applied", rebased.reapplied);
            self.count("empty re-applications", rebased.empty);
            self.count("changes known by origin", rebased.known);
            self.count("carriers moved along", rebased.carried);
            self.count("entities renumbered", rebased.renamed.len() as u64);
        }
    }

    pub(super) fn judged(&mut self, verdict: &Verdict) {
        self.count("logs judged", 1);
        self.count("colliding entids", verdict.colliding_entids);
        self.count("attributes with differing entids", verdict.differing_attributes);
        self.count("refs into displaced entities", verdict.refs_into_displaced);
        self.count("retractions", verdict.retractions);
        self.count("overwritten values", verdict.overwritten);
        self.count("entities deleted whole", verdict.deleted);
        self.count("operations", verdict.operations);
        self.count("functions that took from a counter", verdict.calls);
        self.count("counters that are the sum of their increments", verdict.counters);
        self.count("definitions that gave way", verdict.gave_way);
        self.count("entries of the journal settled", verdict.settled);
        self.count("displaced since it was settled elsewhere", verdict.settled_elsewhere);
        self.count("unifications", verdict.unified);
        self.count("unifications by looking ahead", verdict.unified_late);
        for (policy, n) in &verdict.policies {
            self.count(&format!("decided by a policy: {policy}"), *n);
        }
        for (reason, n) in &verdict.displaced {
            self.count(&format!("displaced: {reason}"), *n);
        }
    }

    /// What never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        self.0.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, n) in &self.0 {
            writeln!(f, "{n:>9}  {name}")?;
        }
        Ok(())
    }
}
