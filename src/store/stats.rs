//! Figures for the metrics, and whether the commit log goes forward.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use figures::{Counter, Distribution, Histogram};
use thiserror::Error;

/// A look at the commit log and the engine. Counters only grow while the store is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches queued and not yet published.
    pub queue_depth: u64,
    /// Bytes of them, as `queue_bytes` bounds them.
    pub queue_bytes: u64,
    /// The bound: [`crate::StoreOptions::queue_bytes`].
    pub queue_limit_bytes: u64,
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
    /// Batches refused because too much waited.
    pub busy: u64,
    /// Bytes of the batches taken through.
    pub written_bytes: u64,
    /// Writes that waited for the disk.
    pub syncs: u64,
    /// Time spent in them, in microseconds.
    pub sync_micros: u64,
    /// The longest of them, in microseconds.
    pub longest_sync_micros: u64,
    /// What the engine holds in memory, in bytes.
    pub engine_memory_bytes: u64,
}

/// How the sizes and durations of commits are distributed.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitDistributions {
    /// Batches of a group.
    pub group_batches: Distribution,
    /// Seconds of a write that waits for the disk: append to the write-ahead log, sync, memtable.
    pub sync_seconds: Distribution,
}

/// A look into the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineFigures {
    /// Bytes in the block cache, write buffers included.
    pub cache_bytes: u64,
    /// What it may hold.
    pub cache_limit_bytes: u64,
    /// Bytes in it that cannot be dropped now.
    pub cache_pinned_bytes: u64,
    /// Bytes of table readers outside the cache.
    pub table_reader_bytes: u64,
    /// Whether writes stand still until a compaction is through.
    pub writes_stopped: bool,
    /// To how many bytes per second writes are slowed down; 0 where they are not.
    pub delayed_write_bytes_per_second: u64,
    /// How often writes were slowed down since the store was opened.
    pub write_delays: u64,
    /// How often they were stopped.
    pub write_stops: u64,
    /// Compactions under way.
    pub running_compactions: u64,
    /// Flushes of write buffers under way.
    pub running_flushes: u64,
    /// Errors in the background since the store was opened.
    pub background_errors: u64,
    /// By column family.
    pub families: Vec<FamilyFigures>,
}

/// A look at one column family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyFigures {
    /// Its name.
    pub name: &'static str,
    /// Files by level.
    pub level_files: Vec<u64>,
    /// Bytes of its files.
    pub sst_bytes: u64,
    /// Bytes of its write buffers.
    pub memtable_bytes: u64,
    /// Bytes that compactions have yet to rewrite.
    pub pending_compaction_bytes: u64,
    /// Rows, roughly.
    pub estimated_keys: u64,
}

/// Why nothing can be written now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unwritable {
    /// A write has failed, or the store was opened to be read.
    #[error("the store has failed: {0}")]
    Failed(String),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
    /// The disk does not answer.
    #[error("the disk has not answered for {} s", .0.as_secs())]
    Stuck(Duration),
}

pub(crate) struct Counters {
    pub(crate) batches: Counter,
    pub(crate) groups: Counter,
    pub(crate) last_group: AtomicU64,
    pub(crate) largest_group: AtomicU64,
    pub(crate) refused: Counter,
    pub(crate) busy: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_micros: Counter,
    pub(crate) longest_sync_micros: AtomicU64,
    group_batches: Histogram,
    sync_seconds: Histogram,
    /// Where `busy_since_micros` counts from.
    opened: Instant,
    /// When the committer took up what it is at, in microseconds after `opened`; 0 while it has nothing to do.
    busy_since_micros: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            batches: Counter::default(),
            groups: Counter::default(),
            last_group: AtomicU64::default(),
            largest_group: AtomicU64::default(),
            refused: Counter::default(),
            busy: Counter::default(),
            written_bytes: Counter::default(),
            syncs: Counter::default(),
            sync_micros: Counter::default(),
            longest_sync_micros: AtomicU64::default(),
            group_batches: Histogram::of_counts(),
            sync_seconds: Histogram::of_writes(),
            opened: Instant::now(),
            busy_since_micros: AtomicU64::default(),
        }
    }

    pub(crate) fn group(&self, batches: usize, bytes: usize) {
        let batches = batches as u64;
        self.batches.add(batches);
        self.groups.increment();
        self.written_bytes.add(bytes as u64);
        self.last_group.store(batches, Ordering::Relaxed);
        self.largest_group.fetch_max(batches, Ordering::Relaxed);
        self.group_batches.observe(batches);
    }

    pub(crate) fn synced(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.increment();
        self.sync_micros.add(micros);
        self.longest_sync_micros
            .fetch_max(micros, Ordering::Relaxed);
        self.sync_seconds.took(took);
    }

    /// The committer takes up a group.
    pub(crate) fn begin(&self) {
        self.busy_since_micros
            .store(self.now_micros().max(1), Ordering::Relaxed);
    }

    /// The group is published.
    pub(crate) fn end(&self) {
        self.busy_since_micros.store(0, Ordering::Relaxed);
    }

    /// How long the committer has been at the same group.
    pub(crate) fn busy_for(&self) -> Duration {
        match self.busy_since_micros.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(self.now_micros().saturating_sub(since)),
        }
    }

    fn now_micros(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn distributions(&self) -> CommitDistributions {
        CommitDistributions {
            group_batches: self.group_batches.read(),
            sync_seconds: self.sync_seconds.read(),
        }
    }

    pub(crate) fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            batches: self.batches.get(),
            groups: self.groups.get(),
            last_group: read(&self.last_group),
            largest_group: read(&self.largest_group),
            refused: self.refused.get(),
            busy: self.busy.get(),
            written_bytes: self.written_bytes.get(),
            syncs: self.syncs.get(),
            sync_micros: self.sync_micros.get(),
            longest_sync_micros: read(&self.longest_sync_micros),
            ..Stats::default()
        }
    }
}
