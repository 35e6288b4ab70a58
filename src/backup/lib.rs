//! Backups that restore: of a server that runs or of one that does not, checked as they are written, rehearsed, brought
//! back as a new database instance (docs/decisions/restore.md).
//!
//! An [`Archive`] is a folder that explains itself:
//!
//! ```text
//! README.txt       what this is
//! objects/ab/abc…  files by the SHA-256 of their content; never changed
//! snapshots/ID     one backup: which file is which object; the last thing written
//! ```
//!
//! Database files and uploads are never changed once they are written, so that a second snapshot in the same folder writes
//! only what is new. What holds:
//!
//! * a snapshot's file appears when everything in it is on the disk and was read back; a backup that broke off is none;
//! * nothing that an earlier snapshot needs is changed or removed by a later one;
//! * a restore writes into an empty folder only, and a server does not start on one that broke off.
//!
//! Knows no HTTP, no command line, and not how a running server is asked for a checkpoint. Everything blocks.

use std::{io, path::PathBuf};

use store::{OpenError, StoreError};
use thiserror::Error;

mod archive;
mod create;
mod files;
mod objects;
mod renew;
mod restore;
mod snapshot;
mod verify;

pub use archive::Archive;
pub use consistency::Progress;
pub use create::{Checkpoint, Created, MediaSource, Source, create};
pub use renew::{Renewed, renew};
pub use restore::{RESTORING, Restored, restore};
pub use snapshot::{Entry, Expected, MediaPlace, Snapshot};
pub use verify::{Damaged, Verified, verify};

/// What keeps a backup from being made, looked at or brought back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not what [`create`] makes.
    #[error("{} holds no backup of Myelin", .0.display())]
    NoArchive(PathBuf),
    /// There is something else.
    #[error("{} is not empty and holds no backup; name a folder of its own", .0.display())]
    Foreign(PathBuf),
    /// Another process writes there.
    #[error("{} is being written by another process", .0.display())]
    InUse(PathBuf),
    /// No snapshot of that name, or none at all.
    #[error("there is no snapshot `{wanted}` in {}; there are: {}", path.display(), list(there))]
    NoSnapshot {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// Not as it was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a later version of the software.
    #[error("{} has format {found}; this version knows {known}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The data directory has something in it.
    #[error("{} is not empty ({found} is there); a restore never writes over data: move it away, or name another data_dir", path.display())]
    NotEmpty {
        /// The data directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// The database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not read or write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The check cannot go on.
    #[error(transparent)]
    Check(#[from] consistency::CheckError),
    /// The checkpoint was not made.
    #[error("the database cannot be copied: {0}")]
    Checkpoint(String),
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Names the file in an error.
fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.into();
    move |source| BackupError::Io { path, source }
}

#[cfg(test)]
mod tests;
