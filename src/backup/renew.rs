//! Makes a database that was brought back one of its own, so that no client is silently wrong
//! (docs/decisions/restore.md).

use std::path::Path;

use host::Host;
use serde::Serialize;
use store::{Batch, Store, StoreOptions, tables::PushQueue};

use crate::BackupError;

/// What a restore changes in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Renewed {
    /// One-time keys that are offered no more: they may have been given since.
    pub one_time_keys_dropped: u64,
    /// Key backups under another version, so that clients store their keys again.
    pub key_backups_renewed: u64,
}

/// Renews the database in the folder `path`, which nobody else has open. Blocks.
pub fn renew(path: &Path, host: &Host) -> Result<Renewed, BackupError> {
    let options = StoreOptions::new(path);
    Store::renew(&options, host)?;
    let store = Store::open(&options, host.clone())?;
    let encryption::Renewed {
        one_time_keys,
        key_backups,
    } = encryption::renew(&store)?;
    let mut batch = Batch::new();
    // What waited then has long been told, or is old: a phone that rings for it is wrong, and the badge follows the next.
    batch.delete_prefix::<PushQueue>(&());
    store.queue(batch)?.wait()?;
    Ok(Renewed {
        one_time_keys_dropped: one_time_keys,
        key_backups_renewed: key_backups,
    })
}
