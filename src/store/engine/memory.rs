//! An engine of plain maps over a pretended disk that fails and crashes when a test says so.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{ReadError, Visit, WriteError, rocks::Rocks};
use crate::{Extent, Scan, StoreOptions, batch::Operation, tables::Family};

/// What a store in memory keeps, apart from the store: survives [`MemoryDisk::crash`] and can be opened again.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    rows: RwLock<Rows>,
    faults: Mutex<Faults>,
    resumed: Condvar,
}

#[derive(Default)]
struct Rows {
    families: [BTreeMap<Bytes, Bytes>; Family::ALL.len()],
    /// For every write since the last sync, how to take it back.
    unsynced: Vec<Vec<Undo>>,
    /// Counts crashes: a store that was open before is cut off.
    generation: u64,
}

#[derive(Default)]
struct Faults {
    paused: bool,
    writes_until_failure: Option<u32>,
    syncs_until_failure: Option<u32>,
}

struct Undo {
    family: Family,
    key: Bytes,
    before: Option<Bytes>,
}

impl MemoryDisk {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `count` writes pass and fails the next: nothing of that write is kept, and the store answers every
    /// later call with an error until the disk is opened again.
    pub fn fail_write_after(&self, count: u32) {
        self.0.faults.lock().writes_until_failure = Some(count);
    }

    /// Lets `count` syncs pass and fails the next, with the same consequence; what was written stays unsynced.
    pub fn fail_sync_after(&self, count: u32) {
        self.0.faults.lock().syncs_until_failure = Some(count);
    }

    /// Holds the committer until [`MemoryDisk::resume`]: what is queued meanwhile becomes one group.
    pub fn pause(&self) {
        self.0.faults.lock().paused = true;
    }

    /// Lets the committer go on.
    pub fn resume(&self) {
        self.0.faults.lock().paused = false;
        self.0.resumed.notify_all();
    }

    /// How many writes are not synced.
    pub fn unsynced_writes(&self) -> usize {
        self.0.rows.read().unsynced.len()
    }

    /// Pulls the plug: of the writes not synced, the first `kept` survive, as in a log cut short. Open stores
    /// fail from now on; open a new one on the same disk. Faults are forgotten.
    pub fn crash_keeping(&self, kept: usize) {
        let mut rows = self.0.rows.write();
        while rows.unsynced.len() > kept {
            for undo in rows.unsynced.pop().unwrap_or_default().into_iter().rev() {
                let family = &mut rows.families[undo.family as usize];
                match undo.before {
                    Some(value) => family.insert(undo.key, value),
                    None => family.remove(&undo.key),
                };
            }
        }
        rows.unsynced.clear();
        rows.generation += 1;
        drop(rows);
        *self.0.faults.lock() = Faults::default();
        self.0.resumed.notify_all();
    }

    /// Pulls the plug: every write not synced is lost.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }
}

/// A store's hold on a [`MemoryDisk`], until the next failure or crash.
pub(crate) struct Memory {
    disk: MemoryDisk,
    generation: u64,
    failed: AtomicBool,
}

impl Memory {
    pub(crate) fn open(disk: &MemoryDisk) -> Self {
        let generation = disk.0.rows.read().generation;
        Self {
            disk: disk.clone(),
            generation,
            failed: AtomicBool::new(false),
        }
    }

    fn rows(&self) -> Result<RwLockReadGuard<'_, Rows>, ReadError> {
        let rows = self.disk.0.rows.read();
        match self.failure(rows.generation) {
            None => Ok(rows),
            Some(reason) => Err(ReadError::Failed(reason.into())),
        }
    }

    fn rows_mut(&self) -> Result<RwLockWriteGuard<'_, Rows>, WriteError> {
        let rows = self.disk.0.rows.write();
        match self.failure(rows.generation) {
            None => Ok(rows),
            Some(reason) => Err(WriteError(reason.into())),
        }
    }

    fn failure(&self, generation: u64) -> Option<&'static str> {
        if generation != self.generation {
            Some("the machine crashed")
        } else if self.failed.load(Ordering::Acquire) {
            Some("an earlier write failed")
        } else {
            None
        }
    }

    /// Counts down to an injected failure; once it is there, nothing works until the disk is opened again.
    fn count_down(
        &self,
        countdown: impl Fn(&mut Faults) -> &mut Option<u32>,
        what: &str,
    ) -> Result<(), WriteError> {
        let mut faults = self.disk.0.faults.lock();
        let countdown = countdown(&mut faults);
        match countdown.take() {
            None => Ok(()),
            Some(0) => {
                self.failed.store(true, Ordering::Release);
                Err(WriteError(format!("injected {what} failure")))
            }
            Some(left) => {
                *countdown = Some(left - 1);
                Ok(())
            }
        }
    }

    pub(crate) fn get<R>(
        &self,
        family: Family,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, ReadError> {
        let value = self.rows()?.families[family as usize].get(key).cloned();
        Ok(value.map(|value| read(&value)))
    }

    pub(crate) fn scan(
        &self,
        family: Family,
        scan: &Scan,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        let rows = self.rows()?;
        let bounds = (
            Bound::Included(scan.from.as_slice()),
            Bound::Excluded(scan.to.as_slice()),
        );
        let range = rows.families[family as usize].range::<[u8], _>(bounds);
        let mut visit = |(key, value): (&Bytes, &Bytes)| visit(key, value);
        if scan.reverse {
            let _ = range.rev().take(scan.limit).all(&mut visit);
        } else {
            let _ = range.take(scan.limit).all(&mut visit);
        }
        Ok(())
    }

    pub(crate) fn write<'a>(
        &self,
        operations: impl Iterator<Item = &'a Operation>,
        sync: bool,
    ) -> Result<(), WriteError> {
        let mut rows = self.rows_mut()?;
        self.count_down(|faults| &mut faults.writes_until_failure, "write")?;
        let mut undos = Vec::new();
        for operation in operations {
            rows.apply(operation, &mut undos);
        }
        rows.unsynced.push(undos);
        drop(rows);
        if sync { self.sync() } else { Ok(()) }
    }

    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        let mut rows = self.rows_mut()?;
        self.count_down(|faults| &mut faults.syncs_until_failure, "sync")?;
        rows.unsynced.clear();
        Ok(())
    }

    /// The bytes of the keys and values in these ranges.
    pub(crate) fn bytes(&self, extents: &[Extent]) -> Result<Vec<u64>, WriteError> {
        let rows = self.rows().map_err(|error| WriteError(error.to_string()))?;
        let bytes = |extent: &Extent| {
            let range = (
                Bound::Included(extent.from.as_slice()),
                Bound::Excluded(extent.to.as_slice()),
            );
            rows.families[extent.family as usize]
                .range::<[u8], _>(range)
                .map(|(key, value)| (key.len() + value.len()) as u64)
                .sum()
        };
        Ok(extents.iter().map(bytes).collect())
    }

    /// Written as a real database, so that it opens like any other.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<(), WriteError> {
        if path.exists() {
            return Err(WriteError(format!("{} exists already", path.display())));
        }
        let families = self
            .rows()
            .map_err(|error| WriteError(error.to_string()))?
            .families
            .clone();
        let copy =
            Rocks::open(&StoreOptions::new(path)).map_err(|error| WriteError(error.to_string()))?;
        for (family, rows) in Family::ALL.into_iter().zip(families) {
            let operations: Vec<_> = rows
                .iter()
                .map(|(key, value)| Operation::put_bytes(family, key, value))
                .collect();
            copy.write(operations.iter(), false)?;
        }
        copy.sync()?;
        copy.flush()
    }

    pub(crate) fn gate(&self) {
        let mut faults = self.disk.0.faults.lock();
        while faults.paused {
            self.disk.0.resumed.wait(&mut faults);
        }
    }

    pub(crate) fn open_gate(&self) {
        self.disk.resume();
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let rows = self.disk.0.rows.read();
        rows.families
            .iter()
            .flatten()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }
}

impl Rows {
    fn apply(&mut self, operation: &Operation, undos: &mut Vec<Undo>) {
        match operation {
            Operation::Put { family, key, value } => {
                let key = Bytes::copy_from_slice(&key.bytes);
                let before = self.families[*family as usize]
                    .insert(key.clone(), Bytes::copy_from_slice(&value.bytes));
                undos.push(Undo {
                    family: *family,
                    key,
                    before,
                });
            }
            Operation::Delete { family, key } => {
                if let Some((key, before)) =
                    self.families[*family as usize].remove_entry(key.bytes.as_slice())
                {
                    undos.push(Undo {
                        family: *family,
                        key,
                        before: Some(before),
                    });
                }
            }
            Operation::DeleteRange { family, from, to } => {
                let rows = &mut self.families[*family as usize];
                let bounds = (
                    Bound::Included(from.as_slice()),
                    Bound::Excluded(to.as_slice()),
                );
                let keys: Vec<Bytes> = if from < to {
                    rows.range::<[u8], _>(bounds)
                        .map(|(key, _)| key.clone())
                        .collect()
                } else {
                    Vec::new()
                };
                for key in keys {
                    let before = rows.remove(&key);
                    undos.push(Undo {
                        family: *family,
                        key,
                        before,
                    });
                }
            }
        }
    }
}
