//! Figures for the metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A look at the commit log and the engine. Counters only grow while the store is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches queued and not yet published.
    pub queue_depth: u64,
    /// Bytes of them, as `queue_bytes` bounds them.
    pub queue_bytes: u64,
    /// Batches taken through, ticks and refused ones included.
    pub batches: u64,
    /// Groups they came in.
    pub groups: u64,
    /// Batches of the latest group.
    pub last_group: u64,
    /// Batches of the largest group so far.
    pub largest_group: u64,
    /// Batches refused by a guard.
    pub refused: u64,
    /// Writes that waited for the disk.
    pub syncs: u64,
    /// Time spent in them, in microseconds.
    pub sync_micros: u64,
    /// The longest of them, in microseconds.
    pub longest_sync_micros: u64,
    /// What the engine holds in memory, in bytes.
    pub engine_memory_bytes: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) last_group: AtomicU64,
    pub(crate) largest_group: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_micros: AtomicU64,
    pub(crate) longest_sync_micros: AtomicU64,
}

impl Counters {
    pub(crate) fn group(&self, batches: usize) {
        let batches = batches as u64;
        self.batches.fetch_add(batches, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.last_group.store(batches, Ordering::Relaxed);
        self.largest_group.fetch_max(batches, Ordering::Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_micros.fetch_add(micros, Ordering::Relaxed);
        self.longest_sync_micros
            .fetch_max(micros, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            batches: read(&self.batches),
            groups: read(&self.groups),
            last_group: read(&self.last_group),
            largest_group: read(&self.largest_group),
            refused: read(&self.refused),
            syncs: read(&self.syncs),
            sync_micros: read(&self.sync_micros),
            longest_sync_micros: read(&self.longest_sync_micros),
            ..Stats::default()
        }
    }
}
