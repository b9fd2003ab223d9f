//! Syncs a store with a log on a hub, by rebase.
