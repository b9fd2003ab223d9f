//! How much of what matters happened: a simulation that never merges proves nothing about merges.

use std::collections::BTreeMap;
use std::fmt;

use tolstoy_sync::{Offered, Outcome, SyncReport};

use crate::oracle::Verdict;
use crate::world::LinkCounts;

/// Counts over any number of simulations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    pub(super) transactions: u64,
    pub(super) refused: u64,
    pub(super) crashes: u64,
    pub(super) restores: u64,
    pub(super) races: u64,
    pub(super) failed_syncs: u64,
    cold_starts: u64,
    snapshots_made: u64,
    merges: u64,
    contended_merges: u64,
    reapplied: u64,
    empty: u64,
    known: u64,
    carried: u64,
    renamed: u64,
    acknowledged: u64,
    resupplied: u64,
    link: LinkCounts,
    verdict: Verdict,
}

impl Coverage {
    /// Adds what another simulation covered.
    pub fn add(&mut self, other: &Self) {
        let sums: [(&mut u64, u64); 17] = [
            (&mut self.transactions, other.transactions),
            (&mut self.refused, other.refused),
            (&mut self.crashes, other.crashes),
            (&mut self.restores, other.restores),
            (&mut self.races, other.races),
            (&mut self.failed_syncs, other.failed_syncs),
            (&mut self.cold_starts, other.cold_starts),
            (&mut self.snapshots_made, other.snapshots_made),
            (&mut self.merges, other.merges),
            (&mut self.contended_merges, other.contended_merges),
            (&mut self.reapplied, other.reapplied),
            (&mut self.empty, other.empty),
            (&mut self.known, other.known),
            (&mut self.carried, other.carried),
            (&mut self.renamed, other.renamed),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.resupplied, other.resupplied),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
        self.link(&other.link);
        self.judged(&other.verdict);
    }

    pub(super) fn link(&mut self, more: &LinkCounts) {
        let link = &mut self.link;
        link.lost_requests += more.lost_requests;
        link.lost_acknowledgements += more.lost_acknowledgements;
        link.repeated += more.repeated;
        link.cut += more.cut;
        link.stale += more.stale;
    }

    pub(super) fn synced(&mut self, report: &SyncReport) {
        self.acknowledged += report.acknowledged;
        self.resupplied += report.resupplied;
        self.cold_starts += report.passes.iter().filter(|p| p.from_snapshot > 0).count() as u64;
        self.snapshots_made += u64::from(matches!(report.snapshot_offered, Some(Offered::Kept { .. })));
        let merges = report.passes.iter().filter(|p| matches!(p.outcome, Outcome::Merge { .. })).count() as u64;
        self.merges += merges;
        self.contended_merges += merges.saturating_sub(1);
        for rebased in report.passes.iter().filter_map(|p| p.rebased.as_ref()) {
            self.reapplied += rebased.reapplied;
            self.empty += rebased.empty;
            self.known += rebased.known;
            self.carried += rebased.carried;
            self.renamed += rebased.renamed.len() as u64;
        }
    }

    pub(super) fn judged(&mut self, more: &Verdict) {
        let verdict = &mut self.verdict;
        verdict.colliding_entids += more.colliding_entids;
        verdict.differing_attributes += more.differing_attributes;
        verdict.refs_into_displaced += more.refs_into_displaced;
        verdict.retractions += more.retractions;
        verdict.overwritten += more.overwritten;
        verdict.unified += more.unified;
        verdict.unified_late += more.unified_late;
        for (reason, n) in &more.displaced {
            *verdict.displaced.entry(reason).or_default() += n;
        }
    }

    /// All counts, by name.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let (link, verdict) = (&self.link, &self.verdict);
        let mut counts: BTreeMap<String, u64> = [
            ("transactions", self.transactions),
            ("transactions refused", self.refused),
            ("crashes", self.crashes),
            ("hub restores", self.restores),
            ("races for HEAD", self.races),
            ("failed syncs", self.failed_syncs),
            ("cold starts", self.cold_starts),
            ("snapshots made", self.snapshots_made),
            ("merges", self.merges),
            ("merges after a lost race", self.contended_merges),
            ("changes re-applied", self.reapplied),
            ("empty re-applications", self.empty),
            ("changes known by origin", self.known),
            ("carriers moved along", self.carried),
            ("entities renumbered", self.renamed),
            ("pushes found acknowledged", self.acknowledged),
            ("transactions resupplied", self.resupplied),
            ("lost requests", link.lost_requests),
            ("lost acknowledgements", link.lost_acknowledgements),
            ("repeated requests", link.repeated),
            ("cut streams", link.cut),
            ("stale pushes", link.stale),
            ("colliding entids", verdict.colliding_entids),
            ("attributes with differing entids", verdict.differing_attributes),
            ("refs into displaced entities", verdict.refs_into_displaced),
            ("retractions", verdict.retractions),
            ("overwritten values", verdict.overwritten),
            ("unifications", verdict.unified),
            ("unifications by looking ahead", verdict.unified_late),
        ]
        .map(|(name, n)| (name.to_owned(), n))
        .into();
        for reason in ["unique", "depends", "deleted", "schema"] {
            counts.insert(format!("displaced: {reason}"), verdict.displaced.get(reason).copied().unwrap_or(0));
        }
        counts
    }

    /// What never happened.
    pub fn missing(&self) -> Vec<String> {
        self.counts().into_iter().filter(|(_, n)| *n == 0).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, n) in self.counts() {
            writeln!(f, "{n:>9}  {name}")?;
        }
        Ok(())
    }
}
