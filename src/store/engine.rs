//! The seam below the tables: ordered bytes in families. RocksDB in earnest, plain maps in memory for tests.

use std::path::Path;

use thiserror::Error;

use crate::{EngineFigures, Extent, Scan, batch::Operation, tables::Family};

pub(crate) mod memory;
pub(crate) mod rocks;

/// How far a read may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Only what is in memory: never waits for the disk.
    Memory,
    /// Wherever it is.
    Disk,
    /// Wherever it is, leaving the cache to those who will need it again: for who reads everything once.
    Sweep,
}

/// Why a read gave nothing.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// It needs [`Tier::Disk`].
    #[error("not in memory")]
    NotInMemory,
    /// What is on the disk is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// The engine failed.
    #[error("{0}")]
    Failed(String),
}

/// The engine failed to write; nothing that was not acknowledged before may be acknowledged now.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct WriteError(pub(crate) String);

/// Keys and values as an engine hands them to the reader of a scan; `false` ends the scan.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// What keeps the bytes.
pub(crate) enum Engine {
    Rocks(rocks::Rocks),
    Memory(memory::Memory),
}

impl Engine {
    /// Reads one row in place.
    pub(crate) fn get<R>(
        &self,
        family: Family,
        key: &[u8],
        tier: Tier,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, ReadError> {
        match self {
            Self::Rocks(rocks) => rocks.get(family, key, tier, read),
            Self::Memory(memory) => memory.get(family, key, read),
        }
    }

    /// Reads several rows of one family in place; the answer is in the order of `keys`.
    pub(crate) fn multi_get<R>(
        &self,
        family: Family,
        keys: &[Vec<u8>],
        tier: Tier,
        read: impl Fn(&[u8]) -> R,
    ) -> Result<Vec<Option<R>>, ReadError> {
        match self {
            Self::Rocks(rocks) => rocks.multi_get(family, keys, tier, read),
            Self::Memory(memory) => {
                let get = |key: &Vec<u8>| memory.get(family, key, &read);
                keys.iter().map(get).collect()
            }
        }
    }

    /// Shows the rows of a range in its direction. The limit is the scan's own.
    pub(crate) fn scan(
        &self,
        family: Family,
        scan: &Scan,
        tier: Tier,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        if scan.limit == 0 || scan.from >= scan.to {
            return Ok(());
        }
        match self {
            Self::Rocks(rocks) => rocks.scan(family, scan, tier, visit),
            Self::Memory(memory) => memory.scan(family, scan, visit),
        }
    }

    /// Writes all operations or none. With `sync`, they and everything written before are on disk on return.
    pub(crate) fn write<'a>(
        &self,
        operations: impl Iterator<Item = &'a Operation>,
        sync: bool,
    ) -> Result<(), WriteError> {
        match self {
            Self::Rocks(rocks) => rocks.write(operations, sync),
            Self::Memory(memory) => memory.write(operations, sync),
        }
    }

    /// Everything written is on disk on return.
    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        match self {
            Self::Rocks(rocks) => rocks.sync(),
            Self::Memory(memory) => memory.sync(),
        }
    }

    /// Moves everything out of the write-ahead log, so that the next open has nothing to replay.
    pub(crate) fn flush(&self) -> Result<(), WriteError> {
        match self {
            Self::Rocks(rocks) => rocks.flush(),
            Self::Memory(memory) => memory.sync(),
        }
    }

    /// Makes a database of its own at `path`, which must not exist: everything that was written before the call is in it,
    /// and of what is written meanwhile a beginning.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<(), WriteError> {
        match self {
            Self::Rocks(rocks) => rocks.checkpoint(path),
            Self::Memory(memory) => memory.checkpoint(path),
        }
    }

    /// About how many bytes each of these ranges takes on the disk, without what is only in the write buffers.
    pub(crate) fn approximate_bytes(&self, extents: &[Extent]) -> Result<Vec<u64>, WriteError> {
        match self {
            Self::Rocks(rocks) => rocks.approximate_bytes(extents),
            Self::Memory(memory) => memory.bytes(extents),
        }
    }

    /// Called by the committer when there is work, before it takes it: a test may hold it here.
    pub(crate) fn gate(&self) {
        if let Self::Memory(memory) = self {
            memory.gate();
        }
    }

    /// Lets the committer go: the store is being dropped.
    pub(crate) fn open_gate(&self) {
        if let Self::Memory(memory) = self {
            memory.open_gate();
        }
    }

    /// Whether a failed write ends the process. Only an engine that fails on purpose lives on.
    pub(crate) fn failure_is_fatal(&self) -> bool {
        matches!(self, Self::Rocks(_))
    }

    /// What the engine holds in memory, in bytes: block cache, write buffers, the rest.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Rocks(rocks) => rocks.memory_bytes(),
            Self::Memory(memory) => memory.memory_bytes(),
        }
    }

    /// A look inside, for the metrics. Maps in memory have nothing to tell.
    pub(crate) fn figures(&self) -> EngineFigures {
        match self {
            Self::Rocks(rocks) => rocks.figures(),
            Self::Memory(_) => EngineFigures::default(),
        }
    }
}

#[cfg(test)]
mod tests;
