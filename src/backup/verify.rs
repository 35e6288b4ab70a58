//! Rehearses a restore, and checks what it gives.

use std::{fs, io, path::Path};

use consistency::{CheckOptions, Report};
use host::Host;
use serde::Serialize;
use store::{Store, StoreOptions};

use crate::{
    Archive, BackupError, Progress, Renewed, Snapshot, at,
    files::{self, Content},
    objects::Objects,
    renew::renew,
};

/// A file of a backup that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// Its name in the data directory.
    pub name: String,
    /// Where it is in the archive.
    pub object: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a rehearsal has found.
#[derive(Debug)]
pub struct Verified {
    /// The backup.
    pub snapshot: Snapshot,
    /// Files that are missing or not what they were; the rest was not looked at where there are any.
    pub damaged: Vec<Damaged>,
    /// What a restore would change, and what the check of the restored database says.
    pub rehearsal: Option<(Renewed, Report)>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.damaged.is_empty()
            && self
                .rehearsal
                .as_ref()
                .is_some_and(|(_, report)| report.is_healthy())
    }
}

/// Reads every file of a snapshot, restores it in the folder `scratch`, which is made and removed, and checks it there.
/// `options` says how, given the folder. Blocks.
pub fn verify(
    archive: &Archive,
    snapshot: Snapshot,
    scratch: &Path,
    options: impl FnOnce(&Path) -> Result<CheckOptions, BackupError>,
    (host, progress): (&Host, &dyn Progress),
) -> Result<Verified, BackupError> {
    progress.stage("reading");
    let damaged = damaged(archive, &snapshot, progress)?;
    if !damaged.is_empty() {
        return Ok(Verified {
            snapshot,
            damaged,
            rehearsal: None,
        });
    }
    files::make_folder(scratch)?;
    let rehearsed = rehearse(archive, &snapshot, scratch, options, (host, progress));
    let removed = files::remove_folder(scratch);
    let rehearsal = Some(rehearsed?);
    removed?;
    Ok(Verified {
        snapshot,
        damaged,
        rehearsal,
    })
}

fn damaged(
    archive: &Archive,
    snapshot: &Snapshot,
    progress: &dyn Progress,
) -> Result<Vec<Damaged>, BackupError> {
    let objects = Objects::of(archive.path());
    let (mut done, total) = (0, snapshot.bytes());
    let mut damaged = Vec::new();
    for (name, entry) in &snapshot.files {
        let path = objects.path(&entry.sha256);
        let read = &mut |bytes| {
            done += bytes;
            progress.advance(done.min(total), total);
        };
        let reason = match files::read_back(&path, read) {
            Ok(Content { size, .. }) if size != entry.size => {
                format!("it has {size} bytes, not {}", entry.size)
            }
            Ok(Content { sha256, .. }) if sha256 != entry.sha256 => {
                format!("its content has the hash {sha256}")
            }
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => "it is missing".to_owned(),
            Err(error) => return Err(at(path)(error)),
        };
        damaged.push(Damaged {
            name: name.clone(),
            object: path.display().to_string(),
            reason,
        });
    }
    Ok(damaged)
}

fn rehearse(
    archive: &Archive,
    snapshot: &Snapshot,
    scratch: &Path,
    options: impl FnOnce(&Path) -> Result<CheckOptions, BackupError>,
    (host, progress): (&Host, &dyn Progress),
) -> Result<(Renewed, Report), BackupError> {
    progress.stage("rehearsal");
    let objects = Objects::of(archive.path());
    let mut made = None;
    for (name, entry) in &snapshot.files {
        let (from, to) = (objects.path(&entry.sha256), scratch.join(name));
        let folder = to.parent().unwrap_or(scratch);
        if made.as_deref() != Some(folder) {
            files::make_folder(folder)?;
            made = Some(folder.to_owned());
        }
        // Files that a database never writes to, nor does a check, are not copied where they need not be.
        let is_table = Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "sst");
        let is_immutable = is_table || name.starts_with("media/");
        if !is_immutable || fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).map_err(at(&from))?;
        }
    }
    let database = scratch.join("db");
    let renewed = renew(&database, host)?;
    let store = Store::open(&StoreOptions::new(database), host.clone())?;
    let report = consistency::check(&store, &options(scratch)?, progress)?;
    Ok((renewed, report))
}
