//! What the tests of this crate share: stores on either engine, and small rows.

use bytes::Bytes;
use host::{Host, ManualClock};
use tempfile::TempDir;

use crate::{
    Batch, Durability, MemoryDisk, Pos, Raw, Store, StoreOptions, UserNid, tables::Accounts,
};

pub(crate) fn host() -> Host {
    Host::manual(&ManualClock::new(0), 1)
}

/// An open store and what it lies on.
pub(crate) struct Setup {
    pub(crate) engine: &'static str,
    pub(crate) store: Store,
    _directory: Option<TempDir>,
}

/// The same checks run on both engines.
pub(crate) fn both_engines() -> [Setup; 2] {
    let directory = tempfile::tempdir().unwrap();
    let rocks = Setup {
        engine: "RocksDB",
        store: Store::open(&small(directory.path()), host()).unwrap(),
        _directory: Some(directory),
    };
    let memory = Setup {
        engine: "memory",
        store: Store::open_memory(host()),
        _directory: None,
    };
    [memory, rocks]
}

/// A small database at `path`.
pub(crate) fn small(path: &std::path::Path) -> StoreOptions {
    StoreOptions {
        cache_bytes: 8 << 20,
        ..StoreOptions::new(path)
    }
}

pub(crate) fn open_disk(disk: &MemoryDisk) -> Store {
    Store::open_memory_disk(disk, &StoreOptions::default(), host()).unwrap()
}

pub(crate) fn open_disk_with(disk: &MemoryDisk, durability: Durability) -> Store {
    let options = StoreOptions {
        durability,
        interval_ms: 1,
        ..StoreOptions::default()
    };
    Store::open_memory_disk(disk, &options, host()).unwrap()
}

pub(crate) fn raw(text: &str) -> Raw {
    Raw(Bytes::copy_from_slice(text.as_bytes()))
}

/// A batch that writes one account.
pub(crate) fn account(number: u32, text: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put::<Accounts>(&UserNid(number), &raw(text));
    batch
}

/// The account that a test wrote, as text.
pub(crate) async fn read_account(store: &Store, number: u32) -> Option<String> {
    let row = store.get::<Accounts>(&UserNid(number)).await.unwrap();
    row.map(|Raw(bytes)| String::from_utf8(bytes.to_vec()).unwrap())
}

/// Live positions as numbers.
pub(crate) fn numbers(positions: &[Pos]) -> Vec<i64> {
    positions.iter().map(|pos| pos.0).collect()
}
